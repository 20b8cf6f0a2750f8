"""Fit a fusion network in a cross-validation, and score what each modality contributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import LeakError
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.summary import compare, corrected
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.fusion import late
from eavctl.fusion.networks import model
from eavctl.fusion.networks.model import Design, FusionModel
from eavctl.fusion.pooled import NETWORK, PooledFusion, network_design
from eavctl.fusion.subsets import subsets_of, table_of
from eavctl.storage import artifacts
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import concatenated, with_classes
from eavctl.training.cross_validation import Fit, FoldResult
from eavctl.training.dnn_fitter import checkpoint_file
from eavctl.training.encoder_start import EncoderStart
from eavctl.training.joined_tables import JoinedTables
from eavctl.training.pooled_fit import ColumnFit, fit_pooled
from eavctl.training.rows import TableFacts

LATE = {name: f"late fusion, the {name} of the models alone" for name in ("mean", "product")}
"""Late fusions to compare with, which need no fit, and what outputs call them."""


@dataclass(frozen=True)
class Start:
    """A trained model to start from: the file, the model of all its rows, and those of its folds."""

    path: str
    whole: artifacts.Model
    folds: tuple[artifacts.FoldModel, ...]

    @property
    def encoder(self) -> str:
        """Name of its encoder in the registry."""
        return str(self.whole.meta.json["model"]["encoder"])

    @property
    def encoder_settings(self) -> dict[str, Any]:
        """Keywords of its encoder's class."""
        return dict(self.whole.meta.json["model"]["encoder_settings"])

    @property
    def content_hash(self) -> str:
        """Of all that its training depended on."""
        return self.whole.meta.training_hash

    def clear_of(
        self, test_keys: pd.DataFrame, keys: pd.DataFrame, shares: bool
    ) -> artifacts.StoredModel | None:
        """The model, of all rows or of a fold, that was trained on none of the test rows.

        Of several, the one that was trained on most of the training rows; None if there is none.

        Parameters
        ----------
        test_keys, keys : of the test rows, and of the training rows.
        shares : the protocol allows a subject on both sides.
        """
        tested, ours = TrainedOn.of_keys(test_keys), TrainedOn.of_keys(keys)
        clear = []
        for each in (self.whole, *self.folds):
            trained = TrainedOn.from_meta(each.trained_on)
            shared = trained.shared_clips(tested) or (not shares and trained.shared_subjects(tested))
            # A recording that the split itself has on both sides is the protocol's doing, not the start's.
            is_known = not trained.unnamed or (not shares and tested.subjects and trained.subjects)
            if is_known and not shared and not trained.shared_recordings(tested) - ours.recordings:
                clear.append((len(trained.shared_clips(ours)), each))
        return max(clear, key=lambda found: found[0])[1] if clear else None


@dataclass(frozen=True)
class FusionFitter:
    """Fits `eavctl.fusion.networks.model.fit`; see `eavctl.training.cross_validation.Fitter`.

    Parameters
    ----------
    design : the network.
    starts : for each stream the trained model, or the pretrained encoder, to start from; or None.
    settings : of the training.
    columns : by the number of the stream, what fits the classifier of a stream of columns.
    log_dir : folder for TensorBoard scalars, a folder in it for each fit.
    checkpoints : see `eavctl.training.train.TableFitter`.
    """

    design: Design
    starts: tuple[Start | EncoderStart | None, ...]
    settings: TrainSettings = field(default_factory=TrainSettings)
    log_dir: Path | None = None
    checkpoints: Path | None = None
    columns: Mapping[int, ColumnFit] = field(default_factory=dict)
    kind: ClassVar[str] = "fusion"

    @property
    def name(self) -> str:
        """The method."""
        return self.design.method

    @property
    def encoders(self) -> tuple[Pretrained, ...]:
        """See `eavctl.training.train.TableFitter`; trained models are checked by `check`."""
        return tuple(each.pretrained for each in self.starts if isinstance(each, EncoderStart))

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        hashes = [start and start.content_hash for start in self.starts]
        return {**self.design.to_meta(), "training": asdict(self.settings), "init": hashes}

    def described(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """What outputs say of the features of joined tables, with the method and each stream's encoder."""
        streams = [
            {**stream, "encoder": each.encoder, "encoder_settings": dict(each.encoder_settings)}
            for stream, each in zip(features["streams"], self.design.streams, strict=True)
        ]
        return {"method": self.design.method, "streams": streams}

    def check_table(self, facts: TableFacts) -> None:
        """See `eavctl.training.train.TableFitter`: encoders were chosen by the tables."""

    def check(self, rows: Rows, plan: Plan) -> None:
        """Refuse a start whose models were all trained on test rows of a fold; see `TableFitter`."""
        with torch.device("meta"):  # checks the shapes; nothing is allocated
            network_design(self.design, len(rows.classes)).build(len(rows.classes))
        for stream, fitter in self.columns.items():
            fitter.check(replace(rows, x=rows.streams.arrays[stream]), plan)
        for split in plan.folds:
            test_keys, keys = rows.key_frame.iloc[split.test], rows.key_frame.iloc[split.train]
            for start in self._trained:
                if start and start.clear_of(test_keys, keys, plan.shares) is None:
                    raise LeakError(
                        f"leak: {start.path} was trained on what fold {split.fold} tests.\nTrain it "
                        "with --keep-folds and the same --protocol, --folds, --group and --seed, or leave "
                        "--init out."
                    )

    def models(self, rows: Rows, fit: Fit) -> list[artifacts.StoredModel | None]:
        """The trained model that each stream starts from in a fit: on all rows, the one of all rows."""
        if not len(fit.test_keys):
            return [start.whole if start else None for start in self._trained]
        keys = rows.key_frame
        return [start.clear_of(fit.test_keys, keys, fit.shares) if start else None for start in self._trained]

    @property
    def _trained(self) -> list[Start | None]:
        """For each stream the trained model to start from, if it starts from one."""
        return [each if isinstance(each, Start) else None for each in self.starts]

    def fit(self, rows: Rows, fit: Fit) -> FusionModel | PooledFusion:
        """See `eavctl.training.train.TableFitter`."""
        starts: list[model.StreamStart | None] = [
            start.state if isinstance(start, EncoderStart) else (trained.predictor if trained else None)
            for start, trained in zip(self.starts, self.models(rows, fit), strict=True)
        ]
        keeping = Keeping(
            checkpoint_file(self.checkpoints, fit),
            self.log_dir / fit.slug if self.log_dir else None,
            fit.epoch_ended,
        )
        if self.columns or any(isinstance(start, DnnModel) for start in starts):
            return fit_pooled(rows, self.design, self.columns, starts, self.settings, keeping, fit)
        return model.fit(
            rows.streams,
            rows.labels,
            self.design,
            row_weights=rows.weights,
            groups=rows.speakers,
            units=rows.units,
            copies=rows.copies,
            starts=starts,
            settings=self.settings,
            keeping=keeping,
        )

    def with_checkpoints(self, path: Path) -> FusionFitter:
        """See `eavctl.training.train.TableFitter`."""
        return replace(self, checkpoints=path)


class FusionScores:
    """Scores each fold's network for every subset of the streams, and its single models.

    A `eavctl.training.train.FoldObserver`.
    """

    def __init__(self, fitter: FusionFitter, joined: JoinedTables) -> None:
        self.fitter, self.names, self.left_out = fitter, joined.names, joined.left_out
        self.subsets = subsets_of(range(len(self.names)))
        self._of_subset: dict[tuple[int, ...], list[PredictionTable]] = {s: [] for s in self.subsets}
        self._of_single: dict[int, list[PredictionTable]] = {}
        self._late: dict[str, list[PredictionTable]] = {}
        self._pools: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []

    def __call__(self, fold: FoldResult) -> None:
        """Predict the test rows of a fold in all these ways."""
        x, predictor = fold.test.streams, fold.predictor
        for subset in self.subsets:
            rows = np.flatnonzero(x.present[:, list(subset)].any(axis=1))
            if len(rows):
                proba = predictor.predict_proba(x[rows].only(subset))
                self._of_subset[subset].append(_predictions(fold, rows, proba, predictor))
        if hasattr(predictor, "singles"):
            self._judge_singles(fold, predictor)
        self._weights.append(predictor.weights(x))

    def _judge_singles(self, fold: FoldResult, predictor: Any) -> None:
        """Predict the test rows by each single model, and by the late fusions of all."""
        self._pools.append(np.append(predictor.pool.singles, predictor.pool.network))
        x, classes = fold.test.streams, predictor.classes_.tolist()
        each = np.full((len(self.names), len(x), len(classes)), np.nan)
        for stream, single in enumerate(predictor.singles):
            rows = np.flatnonzero(x.present[:, stream])
            if single and len(rows):
                proba = single.model.predict_proba(x.arrays[stream][rows])
                self._of_single.setdefault(stream, []).append(_predictions(fold, rows, proba, single.model))
                each[stream, rows] = with_classes(proba, single.model.classes_, classes)
        rows = np.flatnonzero(np.isfinite(each).all(axis=(0, 2)))  # those that have all streams
        if len(rows):
            for name in LATE:
                proba = late.new(name).predict_proba(each[:, rows].transpose(1, 0, 2))
                self._late.setdefault(name, []).append(_predictions(fold, rows, proba, predictor))

    def meta(self, predictions: PredictionTable) -> dict[str, Any]:
        """Under ``fusion``: weights, the scores of all subsets, and comparisons."""
        alone = {self.names[s]: _joined(tables, predictions) for s, tables in self._of_single.items()}
        entries = table_of(
            lambda names: _joined(self._of_subset[tuple(map(self.names.index, names))], predictions),
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
                **self._pool(),
                "left_out": self.left_out,
                "subsets": entries,
                "versus": self._versus(predictions, alone),
            }
        }

    def _pool(self) -> dict[str, Any]:
        """The mean weights over folds of the single models and of the network, if there is a pool."""
        if not self._pools:
            return {}
        mean = np.mean(self._pools, axis=0).tolist()
        return {"pool": dict(zip([*self.names, NETWORK], mean, strict=True))}

    def _versus(self, fused: PredictionTable, alone: Mapping[str, PredictionTable]) -> list[dict[str, Any]]:
        """Compare the fusion with the best single model, and with late fusions where each stream had one.

        The p-values are corrected for all comparisons, and for the number of models that the best is of.
        """
        if not alone:
            return []
        compared = [{"name": name, **compare(fused, table)} for name, table in alone.items()]
        best = max(compared, key=lambda each: each["second"])
        others = [
            {"name": LATE[name], "late": True, **compare(fused, _joined(tables, fused))}
            for name, tables in self._late.items()
        ]
        return corrected([best, *others], [len(compared), *[1] * len(others)])


def _predictions(fold: FoldResult, rows: np.ndarray, proba: np.ndarray, predictor: Any) -> PredictionTable:
    """Some of a fold's test rows with their probabilities, answered by the predictor's decision rule."""
    keys = fold.fit.test_keys.iloc[rows].assign(fold=fold.split.fold)
    answers = predictor.classes_.astype(object)[predictor.decide(proba)]
    return PredictionTable(keys, proba, tuple(predictor.classes_.tolist()), pred=answers)


def _joined(tables: Sequence[PredictionTable], like: PredictionTable) -> PredictionTable:
    """The rows of all folds in order, with the classes and the metadata of other predictions."""
    found = concatenated(tables, like.classes)
    order = np.argsort(found.keys["sample_id"].to_numpy(dtype=str))
    keys = found.keys.iloc[order].reset_index(drop=True)
    return replace(found, keys=keys, proba=found.proba[order], pred=found.pred[order], meta=like.meta)
