"""The answers without a part of the features, and how much worse they are than those with all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.terms import terms_of
from eavctl.evaluation import metrics
from eavctl.evaluation.groups import identify
from eavctl.evaluation.importance import draw_donors, without, without_terms
from eavctl.evaluation.intervals import LEVEL, clusters_of, holm, paired_difference, score_intervals
from eavctl.evaluation.row_means import mean_difference
from eavctl.explaining.judging import Judged
from eavctl.explaining.occlusion import Occlusion
from eavctl.features.normalize import NORMALIZATIONS
from eavctl.training.clips import with_classes
from eavctl.training.cross_validation import check_finite, predicted

UNJUDGED = -1
SITE = "site"  # the view of a band at a channel: for maps, without the answers without all other parts


class Part(NamedTuple):
    """A part of the features.

    Parameters
    ----------
    view : how features are divided, such as ``family`` or ``time``.
    name : of the part in its view.
    columns : how many columns it has; None of tensors.
    """

    view: str
    name: str
    columns: int | None = None


@dataclass
class Answers:
    """The answers to some rows.

    Parameters
    ----------
    pred : class numbers, int, shape (n_rows,); -1 for rows that were not judged.
    true : probability of each row's class, shape (n_rows,).
    """

    pred: np.ndarray
    true: np.ndarray

    @classmethod
    def none(cls, n_rows: int) -> Answers:
        """No row is judged yet."""
        return cls(np.full(n_rows, UNJUDGED), np.zeros(n_rows))


@dataclass
class Effects:
    """Collects the answers with all features, and without each part; called with each `Judged`.

    Parameters
    ----------
    rows : all rows.
    classes : names of all that a row can be, or be taken for.
    views : families of columns (see `eavctl.features.families`); empty of tensors.
    occlusion : of tensors; None of columns.
    normalize : ``speaker``, ``dataset`` or ``subject`` where features were normalised by it: then columns are
        exchanged within each; else within data sets.
    seed : of the draws.
    on_part : called with the name of what comes next.
    """

    rows: Rows
    classes: Sequence[str]
    views: Mapping[str, Mapping[str, np.ndarray]]
    occlusion: Occlusion | None
    normalize: str | None
    seed: int
    on_part: Callable[[int, str], None] = lambda fold, name: None
    usual: Answers = field(init=False)
    dropped: dict[Part, Answers] = field(default_factory=dict)
    alone: dict[Part, Answers] = field(default_factory=dict)
    n_single: int = 0

    def __post_init__(self) -> None:
        self.usual = Answers.none(len(self.rows))

    def __call__(self, judged: Judged) -> None:
        """Judge rows with all features, and without each part."""
        x = judged.rows.array
        self._keep(self.usual, judged, predicted(judged.predictor, x))
        if (occluded := self.occlusion) is not None:
            for region in occluded.regions:
                self.on_part(judged.fold, region.name)
                proba = predicted(judged.predictor, occluded(x, region))
                self._keep(self._of(self.dropped, Part(region.view, region.name)), judged, proba)
        if self.views:
            keys = judged.rows.key_frame
            groups = identify(keys, NORMALIZATIONS[self.normalize or "dataset"]).astype(str)
            for number, group in enumerate(np.unique(groups)):
                mine = np.flatnonzero(groups == group)
                self.n_single += len(mine) == 1
                some = Judged(judged.predictor, judged.rows.taking(mine), judged.numbers[mine], judged.fold)
                self._replace(some, np.random.default_rng([self.seed, judged.fold, number]))

    def _replace(self, judged: Judged, rng: np.random.Generator) -> None:
        """Judge rows without each family of columns, and without all others."""
        x, donors = judged.rows.array, draw_donors(judged.rows.labels, rng)
        every = np.arange(x.shape[1])
        terms = terms_of(getattr(judged.predictor, "predictor", judged.predictor))
        total = terms.of(x, every) if terms else np.empty(0)

        def predict(rows: np.ndarray) -> np.ndarray:
            return predicted(judged.predictor, rows)

        def keep(answers: dict[Part, Answers], part: Part, lost: np.ndarray) -> None:
            if terms is None:
                proba = without(predict, x, lost, donors)
            else:
                own = terms.of(x, lost)
                proba = without_terms(terms, total - own, own, donors)
            self._keep(self._of(answers, part), judged, proba)

        for view, families in self.views.items():
            for name, columns in families.items():
                self.on_part(judged.fold, name)
                part = Part(view, name, len(columns))
                keep(self.dropped, part, columns)
                if view != SITE:
                    keep(self.alone, part, np.setdiff1d(every, columns))

    def _of(self, answers: dict[Part, Answers], part: Part) -> Answers:
        return answers.setdefault(part, Answers.none(len(self.rows)))

    def _keep(self, answers: Answers, judged: Judged, proba: np.ndarray) -> None:
        check_finite(proba, f"fold {judged.fold}" if judged.fold else "the model")
        known = with_classes(proba, judged.predictor.classes_, self.classes)
        numbers = metrics.indices(judged.predictor.classes_, self.classes)
        answers.pred[judged.numbers] = numbers[judged.predictor.decide(proba)]
        truth = metrics.indices(judged.rows.labels, self.classes)
        answers.true[judged.numbers] = known[np.arange(len(known)), truth]

    # --- the result ---------------------------------------------------------------------------------------

    def findings(self, group: str | None) -> dict[str, Any]:
        """The scores with all features, and what each part is worth, JSON-able.

        Parameters
        ----------
        group : the key that the protocol keeps whole.

        Returns
        -------
        ``uar`` with its interval, ``chance``, ``level``, ``over`` and ``n_clusters``, and ``views``: of each
        its ``name`` and its ``parts``, each with the ``drop`` of UAR without it, the ``p_value`` corrected
        for the parts of the view (Holm), ``probability``, the mean drop of the probability of the true
        class, and ``alone``, the UAR without all other parts, or None of occluded parts.
        """
        judged = np.flatnonzero(self.usual.pred != UNJUDGED)
        keys = self.rows.key_frame.iloc[judged].reset_index(drop=True)
        truth = metrics.indices(self.rows.labels[judged], self.classes)
        clusters, n_classes = clusters_of(keys, group), len(self.classes)

        def uar(answers: Answers) -> dict[str, float | None]:
            return score_intervals(clusters, truth, answers.pred[judged], n_classes)["uar"].to_json()

        def worth(part: Part, dropped: Answers) -> dict[str, Any]:
            usual, without_it = self.usual.pred[judged], dropped.pred[judged]
            drop = paired_difference(clusters, truth, usual, without_it, n_classes)
            probability = mean_difference(clusters, self.usual.true[judged], dropped.true[judged])
            alone = self.alone.get(part)
            return {
                "name": part.name,
                "columns": part.columns,
                "drop": drop.interval.to_json(),
                "p_value": drop.p_value,
                "probability": probability.interval.to_json(),
                "alone": None if alone is None else uar(alone),
            }

        views: dict[str, list[dict[str, Any]]] = {}
        for part, dropped in self.dropped.items():
            views.setdefault(part.view, []).append(worth(part, dropped))
        return {
            "rows": len(judged),
            "uar": uar(self.usual),
            "chance": 1 / len(np.unique(truth)),
            "level": LEVEL,
            "over": clusters.over,
            "n_clusters": clusters.n,
            "views": [{"name": view, "parts": _corrected(parts)} for view, parts in views.items()],
        }


def _corrected(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    p_values = holm([part["p_value"] for part in parts])
    return [{**part, "p_value": p} for part, p in zip(parts, p_values, strict=True)]
