"""The arms of a probe: what is fitted on the labelled rows of a fold, and predicts its test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eavctl.classifiers import linear
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import RowsOf
from eavctl.evaluation.plan import Split
from eavctl.training.cross_validation import Fit, check_finite, predicted
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.encoder_start import EncoderStart
from eavctl.training.probing.columns import Cached, Columns, compact, nearest, standardised
from eavctl.training.probing.draws import Share
from eavctl.training.probing.embedder import Embedder
from eavctl.training.probing.networks import settings_for

PROBE, RANDOM, RAW, SCRATCH, FINETUNED = ARMS = ("probe", "random", "raw", "scratch", "finetuned")
JUDGED, BASELINES = (PROBE, FINETUNED), (RANDOM, RAW, SCRATCH)

# Shares of the total variance. `eavctl.classifiers.linear.USUAL` is not among them: it would be preferred.
PENALTIES = tuple(float(f"{10**-k:.2g}") for k in np.arange(1.25, 6, 0.5))
# Where labelled rows are too few to choose by: with five a class, penalties from 1e-5 to 1e-3 differ by less
# than 0.01 in their scores on training images, in each linear arm.
FIXED = linear.USUAL
ENOUGH = 10  # labelled rows of the rarest class from which inner folds choose the penalty


@dataclass(frozen=True)
class Task:
    """A draw of labelled rows in a fold, on which every arm is fitted.

    Parameters
    ----------
    rows : all rows, with the groups and units of the plan.
    split : the fold.
    share : of its training rows that is labelled.
    labelled : numbers of the labelled rows.
    number : of the draw, from 0.
    seed : of the draw of labels, and of all that its arms draw.
    note : called with a few words on the progress.
    """

    rows: Rows
    split: Split
    share: Share
    labelled: np.ndarray
    number: int
    seed: int
    note: Callable[[str], None] = lambda text: None

    @property
    def name(self) -> str:
        """For errors and progress."""
        return f"fold {self.split.fold}, labels {self.share.text}, draw {self.number + 1}"

    def training_rows(self) -> Rows:
        """The labelled rows, with the groups that inner folds keep whole."""
        return self.rows.taking(self.labelled).with_inner_groups()

    def numbers(self, classes: np.ndarray) -> np.ndarray:
        """The class numbers of names, shape (n_classes,)."""
        return np.array([self.rows.classes.index(str(name)) for name in classes])


class Arm(Protocol):
    """What is fitted on labelled rows."""

    @property
    def name(self) -> str:
        """One of `ARMS`."""
        ...

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers, so that its result differs from seed to seed with all labels."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """JSON-able: all that its results depend on, beside the task."""
        ...

    def predict(self, task: Task, checkpoint: Path | None) -> np.ndarray:
        """Fit on the labelled rows, and predict the class numbers of the test rows, shape (n_test,).

        ``checkpoint`` is the name of a file for the state of a long fit.
        """
        ...


@dataclass(frozen=True)
class LinearArm:
    """A logistic regression on columns that are not fitted.

    Inner folds of the labelled rows choose the penalty, where there are enough of them.

    Parameters
    ----------
    columns : of a seed and the numbers of a fold's training rows.
    draws, facts : see `Arm`.
    """

    name: str
    columns: Callable[[int, np.ndarray], Columns]
    facts: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = False
    jobs: int = 1

    def predict(self, task: Task, checkpoint: Path | None) -> np.ndarray:
        """See `Arm`."""
        columns, rows = self.columns(task.seed, task.split.train), task.training_rows()
        x, scaling = RowsOf(columns.x, task.labelled), columns.scaling
        if np.unique(rows.y[rows.inner.own], return_counts=True)[1].min() < ENOUGH:
            classes, y = np.unique(rows.y, return_inverse=True)
            coef, intercept = linear.solved(
                x, y, FIXED, weights=rows.fit_weights, scaling=scaling, jobs=self.jobs
            )
        else:
            model = linear.fit(
                x,
                rows.labels,
                weights=rows.weights,
                groups=rows.groups,
                units=rows.units,
                copies=rows.copies,
                scaling=scaling,
                seed=task.seed,
                penalties=PENALTIES,
                jobs=self.jobs,
            )
            classes, coef, intercept = task.numbers(model.classes_), model.coef, model.intercept
        return np.asarray(classes[nearest(columns.x, task.split.test, coef, intercept)])


@dataclass(frozen=True)
class NetworkArm:
    """An encoder and a head, trained on the labelled rows.

    Parameters
    ----------
    encoder, encoder_settings : name in the registry, and keywords of its class.
    start : the pretrained encoder to start from; None trains from scratch.
    given : settings of the training that the user has set.
    """

    name: str
    encoder: str
    encoder_settings: Mapping[str, Any]
    start: EncoderStart | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = field(default=True, init=False)

    @property
    def facts(self) -> Mapping[str, Any]:
        """See `Arm`."""
        return {
            "encoder": self.encoder,
            "encoder_settings": dict(self.encoder_settings),
            "init": self.start and self.start.content_hash,
            "given": dict(self.given),
        }

    def predict(self, task: Task, checkpoint: Path | None) -> np.ndarray:
        """See `Arm`."""
        rows = task.training_rows()
        settings = settings_for(
            len(rows.inner.own), pretrained=self.start is not None, seed=task.seed, given=self.given
        )
        fitter = DnnFitter(
            self.encoder, dict(self.encoder_settings), settings, checkpoints=checkpoint, init=self.start
        )
        nothing = rows.key_frame.iloc[:0]
        model = fitter.fit(rows, Fit(self.name, nothing, shares=False, note=task.note))
        proba = predicted(model, task.rows.taking(task.split.test).x)
        check_finite(proba, self.name)
        return np.asarray(task.numbers(model.classes_)[model.decide(proba)])


def make_arms(
    names: Sequence[str], start: EncoderStart, embedder: Embedder, given: Mapping[str, Any], jobs: int = 1
) -> list[Arm]:
    """The arms of these names, in the order of `ARMS`.

    Parameters
    ----------
    given : settings of the networks' trainings that the user has set.
    jobs : threads of the linear ones; the results do not depend on them.
    """
    by_file = {"encoder": start.content_hash}
    pretrained, raw = (
        Cached(lambda train: standardised(embedder.pretrained, train)),
        Cached(lambda train: compact(embedder.raw, train)),
    )

    def random(seed: int, train: np.ndarray) -> Columns:
        return standardised(embedder.random(seed), train)

    encoder = (start.encoder, start.encoder_settings)
    arms: list[Arm] = [
        LinearArm(PROBE, lambda seed, train: pretrained(train), by_file, jobs=jobs),
        LinearArm(RANDOM, random, by_file, draws=True, jobs=jobs),
        LinearArm(RAW, lambda seed, train: raw(train), jobs=jobs),
        NetworkArm(SCRATCH, *encoder, given=given),
        NetworkArm(FINETUNED, *encoder, start=start, given=given),
    ]
    return [arm for arm in arms if arm.name in names]
