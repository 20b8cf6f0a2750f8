"""Recordings and a model to class probabilities, by the very code that extraction and training ran."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from eavctl import artifacts, files
from eavctl.errors import DataError, SignalError
from eavctl.features.normalize import SPEAKER_WARNING, standardize_by_group
from eavctl.stages.recipe import Describe, Recipe, noting

if TYPE_CHECKING:
    from eavctl.tables import PredictionTable

MIN_SPEAKER_CLIPS = 4  # below this a speaker's own mean and deviation say more about the text than the voice


@dataclass(frozen=True)
class Row:
    """One judged recording, or one window of it; times in seconds."""

    recording: str
    keys: dict[str, Any]
    start: float
    end: float
    proba: np.ndarray


@dataclass(frozen=True)
class Predicted:
    """What the model says: rows with probabilities in the order of ``classes``, and what went wrong."""

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    rejected: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    model: artifacts.Model

    def sureness(self, row: Row) -> float | None:
        """How often out-of-fold rows judged as surely as this one were right; None if not recorded.

        The share of right answers among the out-of-fold rows of the model's training whose highest
        probability fell into the same fifth.
        """
        top = row.proba.max()
        for fifth in self.model.meta.get("out_of_fold", {}).get("reliability", []):
            if top <= fifth["up_to"]:
                return float(fifth["right"])
        return None

    def to_table(self) -> PredictionTable:
        """The rows as a prediction table, sorted by ``sample_id``."""
        import pandas as pd

        from eavctl.tables import PredictionTable, key_frame

        rows = sorted(self.rows, key=lambda row: row.keys["sample_id"])
        keys = key_frame(pd.DataFrame([{**row.keys, "start": row.start, "end": row.end} for row in rows]))
        meta = self.model.meta
        return PredictionTable(
            keys,
            np.stack([row.proba for row in rows]),
            self.classes,
            {
                "name": f"{meta['kind']} on {meta['features']}",
                "modalities": [meta["modality"]],
                "model_hashes": [meta["training_hash"]],
                "protocol": {
                    "name": "predict",
                    "normalize": meta["protocol"]["normalize"],
                    "warnings": list(self.notes),
                },
                "out_of_fold": False,
                "versions": meta["versions"],
            },
        )


@dataclass(frozen=True)
class _Recording:
    """A recording to judge: what is opened, what it is called, and what is known of it."""

    file: str | os.PathLike[str] | BinaryIO
    name: str
    keys: dict[str, Any]
    trial: int | None = None  # its index in a file of many


@dataclass(frozen=True)
class _Segment:
    """Features of a recording or a part of it, from ``start`` to ``end`` seconds."""

    name: str
    keys: dict[str, Any]
    start: float
    end: float
    x: np.ndarray


@dataclass
class _Gathered:
    """What is to be judged, and what went wrong on the way."""

    segments: list[_Segment] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_recordings: int = 0


def predict(
    sources: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
    *,
    layout: str | None = None,
    trial: int | None = None,
    window: float | None = None,
    hop: float | None = None,
    strict: bool = False,
) -> Predicted:
    """Judge recordings.

    Parameters
    ----------
    sources : files, folders (read by their layout if one recognises them), manifests, feature tables, or
        ``-`` for a recording on stdin.
    model : a model file.
    layout, trial : of data sets: the layout where it is not to be recognised, the trial where only one is
        meant.
    window, hop : judge windows of so many seconds instead of whole recordings.
    strict : one bad recording is an error.

    Raises
    ------
    DataError : no recording could be used, or one could not and ``strict`` is given; or the model needs
        several clips of a speaker and there are fewer.
    SettingsError : a feature table of other settings than the model's.
    """
    loaded = artifacts.load(model)
    if loaded.meta["kind"] == "fuse":
        raise DataError(
            f"{model}: fuses predictions of other models; apply it with 'eavctl fuse --use {model}'"
        )
    recipe = Recipe.from_meta(loaded.meta)
    if window:
        recipe = replace(recipe, segment=window, hop=hop)
    gathered = _Gathered()
    for source in sources:
        if _is_feature_table(source):
            _take_table(source, loaded, model, gathered)
        else:
            with noting() as oddities:
                recordings = _recordings(source, _Asked(loaded.meta["modality"], layout, trial))
            gathered.notes += oddities
            for _, same in itertools.groupby(recordings, key=lambda recording: recording.file):
                _describe(list(same), recipe, gathered)
    if not gathered.segments or (strict and gathered.rejected):
        first = gathered.rejected[0]
        raise DataError(
            f"{len(gathered.rejected)} of {gathered.n_recordings} recordings cannot be used; "
            f"the first is {first['path']}: {first['reason']}"
        )
    segments, notes = gathered.segments, gathered.notes
    x = np.stack([segment.x for segment in segments])
    if loaded.meta["protocol"]["normalize"]:
        x = standardize_by_group(x, _speakers(segments, model))
        notes.append(SPEAKER_WARNING)
    notes += _seen_in_training(segments, loaded.meta)
    proba = loaded.predict_proba(x)
    rows = _windows(segments, proba) if window else _wholes(segments, proba)
    classes = tuple(str(name) for name in loaded.classes_)
    return Predicted(classes, tuple(rows), tuple(gathered.rejected), tuple(notes), loaded)


def _describe(recordings: Sequence[_Recording], recipe: Recipe, gathered: _Gathered) -> None:
    """Add the segments of one file's recordings, or the reasons why there are none."""
    gathered.n_recordings += len(recordings)
    first = recordings[0]
    with noting() as notes:
        try:
            with recipe.open(first.file) as describe:
                for recording in recordings:
                    _describe_one(recording, describe, gathered)
        except SignalError as error:
            gathered.rejected.append(_rejected(first, error))
    gathered.notes += dict.fromkeys(notes)


def _describe_one(recording: _Recording, describe: Describe, gathered: _Gathered) -> None:
    keys, name = recording.keys, recording.name
    try:
        samples = describe(keys.get("start"), keys.get("end"), recording.trial)
    except SignalError as error:
        gathered.rejected.append(_rejected(recording, error))
        return
    for sample in samples:
        if sample.x is None:
            gathered.rejected.append({"path": name, "reason": sample.reason})
        else:
            gathered.segments.append(_Segment(name, keys, sample.start, sample.end, sample.x))


def _rejected(recording: _Recording, error: SignalError) -> dict[str, str]:
    path = recording.file if isinstance(recording.file, str | os.PathLike) else recording.name
    return {"path": recording.name, "reason": str(error).removeprefix(f"{path}: ")}


@dataclass(frozen=True)
class _Asked:
    """What is wanted of a data set."""

    modality: str
    layout: str | None
    trial: int | None


def _recordings(source: str | os.PathLike[str], asked: _Asked) -> list[_Recording]:
    name = os.fspath(source)
    if name == files.STDIO:
        content = BytesIO(sys.stdin.buffer.read())
        content.name = "stdin"  # errors name the recording by it
        return [_Recording(content, "stdin", {"sample_id": "stdin", "clip_id": "stdin"})]
    path = Path(source)
    if path.is_dir() or path.suffix.lower() in (".csv", ".tsv", ".parquet"):
        return _from_data_set(path, asked)
    clip = path.with_suffix("").as_posix()
    keys = {"sample_id": clip, "clip_id": clip}
    if path.suffix.lower() != ".mat":
        return [_Recording(path, name, keys)]
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:  # a file of many trials
        trials = range(file.n_trials or 1) if asked.trial is None else [asked.trial - 1]
    return [_Recording(path, f"{name} ({t + 1})", {"clip_id": f"{clip}/{t + 1:03d}"}, t) for t in trials]


def _from_data_set(root: Path, asked: _Asked) -> list[_Recording]:
    """Recordings of a folder or manifest, by its layout; a folder that none knows is taken file by file."""
    import pandas as pd

    from eavctl.datasets.manifest import find, media_files

    try:
        manifest = find(root, asked.layout)
    except DataError:
        paths = list(media_files(root)) if root.is_dir() else []
        if asked.layout or not paths:
            raise
        return [each for path in paths for each in _recordings(path, asked)]
    recordings = []
    for row in manifest.holding(asked.modality).rows.to_dict("records"):
        keys = {key: value for key, value in row.items() if not pd.isna(value)}
        if asked.trial is not None and not _is_number(keys.get("trial", ""), asked.trial):
            continue
        path = manifest.root / keys[f"{asked.modality}_path"]
        index = keys.get("eeg_index") if asked.modality == "eeg" else None
        name = str(path) if index is None else f"{path} (trial {keys['trial']})"
        recordings.append(_Recording(path, name, keys, index))
    if not recordings:
        raise DataError(f"{root}: has no trial {asked.trial} with {asked.modality}")
    return recordings


def _is_number(name: str, number: int) -> bool:
    """Whether a trial's name is this number, padded or not; names can be anything."""
    return name.isdecimal() and int(name) == number


def _is_feature_table(source: str | os.PathLike[str]) -> bool:
    if not (os.fspath(source).endswith(".parquet") and Path(source).is_file()):
        return False
    from eavctl.tables import read_meta

    return read_meta(source).get("kind") == "features"


def _take_table(
    source: str | os.PathLike[str],
    loaded: artifacts.Model,
    model: str | os.PathLike[str],
    gathered: _Gathered,
) -> None:
    """Add the rows of a feature table."""
    import pandas as pd

    from eavctl.tables import read_features

    table = read_features(source)
    artifacts.require_fit(loaded, model, table.meta, os.fspath(source))
    for row, x in zip(table.keys.to_dict("records"), table.x, strict=True):
        keys = {key: value for key, value in row.items() if not pd.isna(value)}
        gathered.segments.append(_Segment(keys["clip_id"], keys, keys["start"], keys["end"], x))
    gathered.n_recordings += len(table)


def _speakers(segments: Sequence[_Segment], model: str | os.PathLike[str]) -> np.ndarray:
    """The speaker of each segment; recordings of unknown speakers count as one speaker's."""
    speakers = np.array([segment.keys.get("subject", "") for segment in segments])
    for speaker in np.unique(speakers):
        clips = {s.name for s in segments if s.keys.get("subject", "") == speaker}
        if len(clips) < MIN_SPEAKER_CLIPS:
            raise DataError(
                f"{model} was trained with --normalize speaker and needs {MIN_SPEAKER_CLIPS} or more\n"
                f"recordings of a speaker; {speaker or 'this call'} has {len(clips)}. Give more, or use a "
                "model trained without it."
            )
    return speakers


def _seen_in_training(segments: Sequence[_Segment], meta: dict[str, Any]) -> list[str]:
    subjects = {s.keys["subject"] for s in segments if "subject" in s.keys}
    clips = {s.keys["clip_id"] for s in segments}
    seen = sorted(subjects & set(meta["trained_on"]["subjects"]) or clips & set(meta["trained_on"]["clips"]))
    if not seen:
        return []
    others = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
    return [f"the model was trained on {seen[0]}{others}: how well it does on them says nothing about others"]


def _windows(segments: Sequence[_Segment], proba: np.ndarray) -> list[Row]:
    """A row for each window, told by its start."""
    rows = []
    for segment, each in zip(segments, proba, strict=True):
        keys = segment.keys | {"sample_id": f"{segment.keys['clip_id']}@{segment.start:09.3f}"}
        rows.append(Row(segment.name, keys, segment.start, segment.end, each))
    return rows


def _wholes(segments: Sequence[_Segment], proba: np.ndarray) -> list[Row]:
    """A row for each recording: the mean over its segments, where the model judges segments."""
    places: dict[str, list[int]] = {}
    for place, segment in enumerate(segments):
        places.setdefault(segment.name, []).append(place)
    rows = []
    for name, mine in places.items():
        first, last = segments[mine[0]], segments[mine[-1]]
        keys = first.keys | {"sample_id": first.keys["clip_id"]}
        rows.append(Row(name, keys, first.start, last.end, proba[mine].mean(axis=0)))
    return rows
