"""A fusion network in the folds of a training: what it starts from, and what each modality is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.errors import LeakError
from eavctl.evaluation.protocols import Plan, Split
from eavctl.evaluation.summary import compare, corrected
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.fusion.networks.model import Design, FusionModel, fit
from eavctl.fusion.subsets import subsets_of, table_of
from eavctl.storage import artifacts
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import in_order
from eavctl.training.cross_validation import Task, Witness
from eavctl.training.joined_tables import Joined
from eavctl.training.rows import TrainingTable

LATE = "late fusion, the mean of the models alone"


@dataclass(frozen=True)
class Start:
    """A trained model to start from: the file, the model of all its rows, and those of its folds."""

    path: str
    whole: artifacts.Model
    folds: tuple[artifacts.Model, ...]

    def clear_of(self, tested: pd.DataFrame, keys: pd.DataFrame, shares: bool) -> artifacts.Model | None:
        """Of its models that have met none of the rows to be tested, the one that knows the training best.

        Parameters
        ----------
        tested, keys : of the rows to be tested, and of the training rows.
        shares : the protocol allows a subject on both sides.
        """
        ours, mine = TrainedOn.of_keys(tested), TrainedOn.of_keys(keys)
        clear = []
        for model in (self.whole, *self.folds):
            trained = TrainedOn.from_meta(model.meta.get("trained_on", model.meta))
            met = trained.shared_clips(ours) or (not shares and trained.shared_subjects(ours))
            # What the split itself has on both sides is the protocol's doing, not the start's.
            if not met and not trained.shared_recordings(ours) - mine.recordings:
                clear.append((len(trained.shared_clips(mine)), model))
        return max(clear, key=lambda each: each[0])[1] if clear else None


@dataclass(frozen=True)
class FusionFitter:
    """Fits `eavctl.fusion.networks.model.fit`; see `eavctl.training.cross_validation.Fitter`.

    Parameters
    ----------
    design : the network.
    starts : for each stream the trained model to start from, or None.
    settings : of the training.
    log_dir : folder for TensorBoard scalars, a folder in it for each fit.
    """

    design: Design
    starts: tuple[Start | None, ...]
    settings: TrainSettings = field(default_factory=TrainSettings)
    log_dir: Path | None = None
    kind: ClassVar[str] = "fusion"

    @property
    def name(self) -> str:
        """The method."""
        return self.design.method

    def describe(self) -> dict[str, Any]:
        """See `Fitter`."""
        hashes = [start and start.whole.meta["training_hash"] for start in self.starts]
        return {**self.design.to_meta(), "training": asdict(self.settings), "init": hashes}

    def check(self, table: TrainingTable, planned: Plan) -> None:
        """See `Fitter`; refuses a start that has met rows to be tested."""
        with torch.device("meta"):  # shapes are judged before hours are spent; nothing is allocated
            self.design.build(len(table.classes))
        for split in planned.folds:
            tested, keys = table.keys.iloc[split.test], table.keys.iloc[split.train]
            for start in self.starts:
                if start and start.clear_of(tested, keys, planned.shares) is None:
                    raise LeakError(
                        f"leak: {start.path} was trained on what fold {split.fold} tests.\nTrain it "
                        "with --keep-folds and the same --protocol, --folds, --group and --seed, or leave "
                        "--init out."
                    )

    def models(self, task: Task) -> list[artifacts.Model | None]:
        """The models that a fit may start from: for the fit on all rows the whole ones."""
        if not len(task.tested):
            return [start.whole if start else None for start in self.starts]
        return [
            start.clear_of(task.tested, task.keys, task.shares) if start else None for start in self.starts
        ]

    def fit(self, task: Task, kept: Path | None, note: Callable[[str], None]) -> FusionModel:
        """See `Fitter`."""

        def on_epoch(epoch: Epoch) -> None:
            note(f"epoch {epoch.epoch}, loss {epoch.loss:.3f}, validation UAR {epoch.validation_uar:.3f}")

        return fit(
            task.x,
            task.labels,
            self.design,
            groups=task.groups,
            units=task.units,
            starts=[model.predictor if model else None for model in self.models(task)],
            settings=self.settings,
            keeping=Keeping(kept, self.log_dir / task.slug if self.log_dir else None, on_epoch),
        )


class FusionWitness(Witness):
    """Judges each fold's network with every subset of the streams, and the models it started from alone."""

    def __init__(self, fitter: FusionFitter, joined: Joined) -> None:
        self.fitter, self.names, self.left_out = fitter, joined.names, joined.left_out
        self.subsets = subsets_of(range(len(self.names)))
        self._said: dict[tuple[int, ...], list[_Part]] = {subset: [] for subset in self.subsets}
        self._alone: dict[int, list[_Part]] = {}
        self._late: list[_Part] = []
        self._weights: list[np.ndarray] = []

    def judged(self, split: Split, predictor: FusionModel, task: Task, x: Any) -> None:
        """See `Witness`."""
        for subset in self.subsets:
            there = np.flatnonzero(x.present[:, list(subset)].any(axis=1))
            if len(there):
                proba = predictor.predict_proba(x[there].only(subset))
                self._said[subset].append(_part(task.tested.iloc[there], split.fold, proba, predictor))
        classes = predictor.classes_.tolist()
        each = np.full((len(self.names), len(task.tested), len(classes)), np.nan)
        for stream, model in enumerate(self.fitter.models(task)):
            there = np.flatnonzero(x.present[:, stream])
            if model and len(there) and set(model.classes_) <= set(classes):
                proba = model.predict_proba(x.arrays[stream][there])
                part = _part(task.tested.iloc[there], split.fold, proba, model)
                self._alone.setdefault(stream, []).append(part)
                each[stream, there] = in_order(proba, model.classes_, classes)
        mean = each.mean(axis=0)  # NaN where a model or a stream is absent
        there = np.flatnonzero(np.isfinite(mean).all(axis=1))
        if len(there):
            self._late.append(_part(task.tested.iloc[there], split.fold, mean[there], predictor))
        self._weights.append(predictor.weights(x))

    def account(self, predictions: PredictionTable) -> dict[str, Any]:
        """See `Witness`: under ``fusion``, weights, the table of subsets, and what it is compared with."""
        alone = {self.names[stream]: _table(parts, predictions) for stream, parts in self._alone.items()}
        entries = table_of(
            lambda names: _table(self._said[tuple(self.names.index(name) for name in names)], predictions),
            alone,
            self.names,
        )
        weights = np.concatenate(self._weights).mean(axis=0)
        return {
            "fusion": {
                "method": self.fitter.design.method,
                "inputs": list(self.names),
                "encoders": [stream.encoder for stream in self.fitter.design.streams],
                "weights": dict(zip(self.names, weights.tolist(), strict=True)),
                "left_out": self.left_out,
                "subsets": entries,
                "versus": self._versus(predictions, alone),
            }
        }

    def _versus(self, fused: PredictionTable, alone: Mapping[str, PredictionTable]) -> list[dict[str, Any]]:
        """The fusion beside the best model alone, and beside the mean of all, where all streams had one.

        Corrected for both, and for the number of models that the best was picked from.
        """
        if not alone:
            return []
        compared = [{"name": name, **compare(fused, table)} for name, table in alone.items()]
        best = max(compared, key=lambda each: each["second"])
        if not self._late:
            return corrected([best], [len(compared)])
        late = {"name": LATE, "late": True, **compare(fused, _table(self._late, fused))}
        return corrected([best, late], [len(compared), 1])


@dataclass(frozen=True)
class _Part:
    """A fold's test rows, their probabilities and answers, and the names of the classes."""

    keys: pd.DataFrame
    proba: np.ndarray
    pred: np.ndarray
    classes: np.ndarray


def _part(keys: pd.DataFrame, fold: int, proba: np.ndarray, judge: FusionModel | artifacts.Model) -> _Part:
    """A fold's test rows with their probabilities, answered as the judge would."""
    answers = judge.classes_.astype(object)[judge.decide(proba)]
    return _Part(keys.assign(fold=fold), proba, answers, judge.classes_)


def _table(parts: Sequence[_Part], like: PredictionTable) -> PredictionTable:
    """The rows of all folds, with the classes and the metadata of other predictions of the training."""
    keys = pd.concat([part.keys for part in parts], ignore_index=True)
    pred = np.concatenate([part.pred for part in parts])
    proba = np.concatenate([in_order(part.proba, part.classes, list(like.classes)) for part in parts])
    order = np.argsort(keys["sample_id"].to_numpy(dtype=str))
    keys = keys.iloc[order].reset_index(drop=True)
    return PredictionTable(keys, proba[order], like.classes, like.meta, pred=pred[order])
