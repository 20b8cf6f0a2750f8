"""How well embeddings tell people apart: an encoder can learn the voice in place of the emotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.classifiers import linear
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import RowsOf
from eavctl.evaluation.groups import identify
from eavctl.evaluation.intervals import LEVEL, Clusters, repeated_difference, repeated_score
from eavctl.evaluation.summary import judge
from eavctl.training.probing.arms import PROBE, RANDOM
from eavctl.training.probing.columns import nearest, standardised
from eavctl.training.probing.embedder import Embedder

N_FOLDS = 4
PENALTY = 1e-4  # of all rows, of the variance: a choice for each of many people would take hours


@dataclass(frozen=True)
class People:
    """The rows of people with two units, such as clips, or more.

    Parameters
    ----------
    rows : their numbers in the table, shape (n_rows,).
    person, unit : numbers from 0 of each row's, shape (n_rows,).
    names : of the people.
    """

    rows: np.ndarray
    person: np.ndarray
    unit: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, rows: Rows) -> People | None:
        """Find them; None where there are fewer than two people, as in tables without subjects."""
        assert rows.units is not None  # of the plan
        subjects = identify(rows.key_frame, "subject")
        known = rows.inner.own[[name is not None for name in subjects[rows.inner.own]]]
        if not len(known):
            return None
        pairs = np.unique(np.stack([subjects[known].astype(str), rows.units[known].astype(str)]), axis=1)
        names, n_units = np.unique(pairs[0], return_counts=True)
        kept = known[np.isin(subjects[known].astype(str), names[n_units > 1])]
        if np.count_nonzero(n_units > 1) < 2:
            return None
        names, person = np.unique(subjects[kept].astype(str), return_inverse=True)
        return cls(kept, person, np.unique(rows.units[kept], return_inverse=True)[1], names)

    def folds(self, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Training and test rows, numbers from 0: units are whole, and everyone is trained on in each."""
        rng = np.random.default_rng(seed)
        fold_of_unit = np.empty(self.unit.max() + 1, int)
        for number in range(len(self.names)):
            mine = rng.permutation(np.unique(self.unit[self.person == number]))
            fold_of_unit[mine] = np.arange(len(mine)) % N_FOLDS
        of_row = fold_of_unit[self.unit]
        for fold in range(N_FOLDS):
            test = np.flatnonzero(of_row == fold)
            if len(test):
                yield np.flatnonzero(of_row != fold), test

    def answers(self, x: np.ndarray, seed: int) -> np.ndarray:
        """Who each row is taken for, by a logistic regression on the other folds, shape (n_rows,)."""
        found = np.empty(len(self.rows), int)
        for train, test in self.folds(seed):
            scaling = standardised(x, self.rows[train]).scaling
            parts = RowsOf(x, self.rows[train]), self.person[train]
            found[test] = nearest(x, self.rows[test], *linear.solved(*parts, PENALTY, scaling=scaling))
        return found


def tell_persons(rows: Rows, embedder: Embedder, seeds: Sequence[int]) -> dict[str, Any] | None:
    """How often a linear probe tells whose clip an embedding is, beside a random encoder's.

    No class label is used, and clips are whole: a person's other clips are trained on.

    Parameters
    ----------
    rows : with keys, and units as the plan has them.
    seeds : of the random encoders; the first one also divides the clips.

    Returns
    -------
    JSON-able: UAR over people with its interval, of the ``probe`` and of ``random``, their ``difference``,
    whether that is ``better``, that is higher, and ``chance``; None where a table names fewer than two people
    with two clips.
    """
    people = People.of(rows)
    if people is None:
        return None
    own = people.answers(embedder.pretrained, seeds[0])
    others = np.stack([people.answers(embedder.random(seed), seeds[0]) for seed in seeds])
    n_people = len(people.names)
    clusters = Clusters(people.unit, int(people.unit.max()) + 1, "clips", people.unit)
    probe, random = (repeated_score(clusters, people.person, each, n_people) for each in (own[None], others))
    versus = repeated_difference(
        clusters, people.person, np.broadcast_to(own, others.shape), others, n_people
    )
    found = {
        "scores": {PROBE: probe.to_json(), RANDOM: random.to_json()},
        "difference": versus.interval.to_json(),
        "p_value": versus.p_value,
        "level": LEVEL,
        "over": clusters.over,
        "n_clusters": clusters.n,
        "chance": 1 / n_people,
        "n_people": n_people,
        "n_rows": len(people.rows),
    }
    return found | judge(found)
