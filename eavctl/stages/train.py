"""A feature table to a model: fitted in folds for honest scores, then once on everything.

Whatever is learned from rows (scaling, choice of settings, calibration) is learned inside the fitter,
which sees training rows alone; the fold's test rows are judged once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from eavctl import artifacts, files, tables
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import leakage
from eavctl.evaluation.groups import identify
from eavctl.evaluation.protocols import Plan, splits
from eavctl.evaluation.reliability import reliability
from eavctl.evaluation.summary import summarize
from eavctl.features.normalize import SPEAKER_WARNING, standardize_by_group
from eavctl.provenance import hash_json, versions
from eavctl.tables import FeatureTable, PredictionTable

Tick = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Evaluation:
    """Who is tested on whom, and what is done to the features before.

    Parameters
    ----------
    protocol, folds, group : as `eavctl.evaluation.protocols.splits` takes them.
    normalize : ``"speaker"`` standardises the features of each speaker by that speaker's own clips.
    seed : of the splits and of the fitting.
    """

    protocol: str = "auto"
    folds: int = 5
    group: str = "subject"
    normalize: str | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        if self.normalize not in (None, "speaker"):
            raise UsageError(f"--normalize takes 'speaker', not {self.normalize!r}")


class Fitter(Protocol):
    """What turns training rows into a predictor."""

    @property
    def kind(self) -> str:
        """The kind of model, as `eavctl.artifacts.PREDICTORS` knows it."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-able settings: with the table and the evaluation they fix the result."""
        ...

    def check(self, features: FeatureTable) -> None:
        """Raise a DataError or UsageError if it cannot be fitted on such a table."""
        ...

    def fit(
        self, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, kept: Path, note: Callable[[str], None]
    ) -> Any:
        """Fit on rows ``x`` (n_rows, *shape).

        ``groups`` must not be divided by inner splits. A long fit keeps its state in the file ``kept``,
        goes on from it after a kill, and tells how far it is by ``note``.
        """
        ...


@dataclass(frozen=True)
class Trained:
    """What a training came to: the model's own account of itself, and the out-of-fold predictions.

    ``predictions`` is None where an earlier run's model is up to date and its predictions were not asked for.
    """

    meta: Mapping[str, Any]
    warnings: tuple[str, ...]
    predictions: PredictionTable | None
    up_to_date: bool = False


def train(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    fitter: Fitter,
    evaluation: Evaluation,
    *,
    predictions: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_fold: Tick = lambda done, total, note: None,
) -> Trained:
    """Fit and judge a classifier by folds, fit it once more on all rows, and write the model.

    Parameters
    ----------
    table : a feature table; rows without a label are left out, and counted in the warnings.
    out : the model file to write.
    predictions : also write the out-of-fold probabilities to this table.
    on_fold : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : something stands on both sides of a split whose protocol does not say so by name.
    DataError : the table does not fit the protocol or the fitter.
    """
    for target in [out, *([predictions] if predictions else [])]:
        files.guard(target, force=force)
    artifacts.check_name(out, fitter.kind)  # now, not when hours of training are to be kept
    features = tables.read_features(table)
    training_hash = _identity(features, fitter, evaluation)
    if not force and (done := _up_to_date(out, predictions, training_hash)):
        return done
    fitter.check(features)
    features, left_out = _usable(features, evaluation)
    planned = _planned(features.keys, evaluation)
    warnings = (*left_out, *planned.warnings, *([SPEAKER_WARNING] if evaluation.normalize else []))
    for split in planned.folds:
        leakage.check(features.keys, split.train, split.test, allow=planned.allow, group=planned.group)
        leakage.content_check(features.x, features.keys, split.train, split.test)
    if evaluation.normalize:
        features = replace(features, x=standardize_by_group(features.x, _groups(features.keys, "subject")))

    parts = Path(out).with_name(f".{Path(out).name}.parts")
    judged, final = _fit(features, fitter, planned, parts / training_hash, on_fold)
    protocol = {
        "name": planned.name,
        "group": planned.group,
        "folds": len(planned.folds),
        "shares": planned.shares,
        "normalize": evaluation.normalize,
        "warnings": list(warnings),
    }
    meta = {
        "kind": fitter.kind,
        **{key: features.meta[key] for key in _FROM_FEATURES},
        "columns": list(features.columns) if features.columns is not None else None,
        "classes": [str(name) for name in final.classes_],
        "seed": evaluation.seed,
        "fitter": fitter.describe(),
        "protocol": protocol,
        "trained_on": {
            "table": features.meta["content_hash"],
            "subjects": sorted(set(features.keys["subject"].dropna())),
            "clips": sorted(set(features.keys["clip_id"])),
        },
        "training_hash": training_hash,
        "versions": versions(*PACKAGES),
    }
    oof = replace(judged, meta=_prediction_meta(meta))
    meta["out_of_fold"] = {**summarize(oof), "reliability": reliability(oof)}
    artifacts.save(out, final, meta)
    if predictions:
        tables.write_predictions(oof, predictions)
    shutil.rmtree(parts, ignore_errors=True)
    return Trained(meta, warnings, oof)


def plan(table: str | os.PathLike[str], evaluation: Evaluation) -> Plan:
    """The splits that `train` would make of a table."""
    keys = tables.read_keys(table)
    return _planned(keys[keys["label"].notna()].reset_index(drop=True), evaluation)


def _planned(keys: pd.DataFrame, evaluation: Evaluation) -> Plan:
    return splits(
        keys, evaluation.protocol, folds=evaluation.folds, group=evaluation.group, seed=evaluation.seed
    )


def _fit(
    features: FeatureTable, fitter: Fitter, planned: Plan, kept: Path, on_fold: Tick
) -> tuple[PredictionTable, Any]:
    """The out-of-fold predictions of the plan's test rows, and the predictor fitted on all rows."""
    x, labels = features.x, features.keys["label"].to_numpy(dtype=str)
    groups = _groups(features.keys, planned.group)
    classes = [name for name in features.meta["classes"] if name in set(labels)]
    proba = np.full((len(features), len(classes)), np.nan)
    fold = np.zeros(len(features), int)
    everything = np.arange(len(features))
    fits = [(f"fold {split.fold}", split.train) for split in planned.folds] + [("all rows", everything)]
    for number, (name, rows) in enumerate(fits):

        def note(text: str, number: int = number, name: str = name) -> None:
            on_fold(number, len(fits), f"{name} {text}")

        note("")
        file = kept.with_name(f"{kept.name}-{name.replace(' ', '-')}")
        mine = x if len(rows) == len(x) else x[rows]  # all rows, of pictures, are not held twice
        predictor = fitter.fit(mine, labels[rows], groups[rows], file, note)
        if number < len(planned.folds):
            split = planned.folds[number]
            proba[split.test] = _in_order(predictor.predict_proba(x[split.test]), predictor.classes_, classes)
            fold[split.test] = split.fold
    on_fold(len(fits), len(fits), "")
    judged = np.flatnonzero(np.isfinite(proba).all(axis=1))
    keys = features.keys.iloc[judged].reset_index(drop=True).assign(fold=pd.array(fold[judged], "Int64"))
    return PredictionTable(keys, proba[judged], tuple(classes)), predictor


PACKAGES = ("numpy", "scikit-learn", "torch")


def _identity(features: FeatureTable, fitter: Fitter, evaluation: Evaluation) -> str:
    """A hash of all that a training's result depends on."""
    return hash_json(
        {
            "table": features.meta["content_hash"],
            "kind": fitter.kind,
            "fitter": fitter.describe(),
            "evaluation": asdict(evaluation),
            "versions": versions(*PACKAGES),
        }
    )


_FROM_FEATURES = (
    "modality",
    "features",
    "features_version",
    "settings",
    "rate",
    "units",
    "features_hash",
    "segment",
    "shape",
)


def _usable(features: FeatureTable, evaluation: Evaluation) -> tuple[FeatureTable, tuple[str, ...]]:
    """The rows that can be trained on, and what was left out."""
    labelled = features.keys["label"].notna().to_numpy()
    if not labelled.any():
        raise DataError("the table has no labels; extract from a layout that names classes, or with --events")
    if evaluation.normalize and features.x.dtype == np.uint8:
        raise UsageError("--normalize speaker is for signals, not for pictures; leave it out")
    if evaluation.normalize and features.keys.loc[labelled, "subject"].isna().any():
        raise DataError("--normalize speaker needs a subject for every row; this table lacks some or all")
    if labelled.all():
        return features, ()
    keys = features.keys[labelled].reset_index(drop=True)
    left = f"{int((~labelled).sum())} rows without a label were left out"
    return FeatureTable(keys, features.x[labelled], features.columns, features.meta), (left,)


def _groups(keys: pd.DataFrame, group: str) -> np.ndarray:
    """What inner splits must keep together: the group, or the clip where a row has none."""
    pairs = zip(identify(keys, group), identify(keys, "clip_id"), strict=True)
    return np.array([clip if name is None else name for name, clip in pairs], dtype=str)


def _in_order(proba: np.ndarray, have: np.ndarray, want: list[str]) -> np.ndarray:
    """Columns in the table's order; a class that a fold's training rows lack has probability 0."""
    result = np.zeros((len(proba), len(want)))
    for column, name in enumerate(have):
        result[:, want.index(str(name))] = proba[:, column]
    return result


def _prediction_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{meta['kind']} on {meta['features']}"
    return {
        "name": name + (" (speaker-normalised)" if meta["protocol"]["normalize"] else ""),
        "modalities": [meta["modality"]],
        "model_hashes": [meta["training_hash"]],
        "protocol": meta["protocol"],
        "out_of_fold": True,
        "versions": meta["versions"],
    }


def _up_to_date(
    out: str | os.PathLike[str], predictions: str | os.PathLike[str] | None, training_hash: str
) -> Trained | None:
    """What an earlier run of the same training left, if all of it is there; its times are set to now."""
    if not Path(out).is_file() or (predictions and not Path(predictions).is_file()):
        return None
    try:
        meta = artifacts.read_meta(out)
        table = tables.read_predictions(predictions) if predictions else None
    except DataError:
        return None
    hashes = [meta.get("training_hash"), *(table.meta["model_hashes"] if table else [])]
    if any(each != training_hash for each in hashes):
        return None
    for target in [out, *([predictions] if predictions else [])]:
        os.utime(target)
    return Trained(meta, tuple(meta["protocol"]["warnings"]), table, up_to_date=True)
