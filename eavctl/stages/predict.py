"""Recordings and a model to class probabilities, by the very code that extraction and training ran."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from eavctl import artifacts, files
from eavctl.errors import DataError, SignalError
from eavctl.features.normalize import SPEAKER_WARNING, standardize_by_group
from eavctl.stages.recipe import Recipe, Sample

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
class _Input:
    """A recording to judge: what is opened, what it is called, and what is known of it."""

    recording: str | os.PathLike[str] | BinaryIO
    name: str
    keys: dict[str, Any]


def predict(
    sources: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
    *,
    layout: str | None = None,
    window: float | None = None,
    hop: float | None = None,
    strict: bool = False,
) -> Predicted:
    """Judge recordings.

    Parameters
    ----------
    sources : files, folders (read by their layout if one recognises them), or ``-`` for stdin.
    model : a model file.
    window, hop : judge windows of so many seconds instead of whole recordings.
    strict : one bad recording is an error.

    Raises
    ------
    DataError : no recording could be used, or one could not and ``strict`` is given; or the model needs
        several clips of a speaker and there are fewer.
    """
    loaded = artifacts.load(model)
    recipe = Recipe.from_meta(loaded.meta)
    if window:
        recipe = replace(recipe, segment=window, hop=hop)
    inputs = [each for source in sources for each in _inputs(source, layout, loaded.meta["modality"])]
    rejected: list[dict[str, str]] = []
    notes: list[str] = []
    found: list[tuple[_Input, Sample]] = []
    for each in inputs:
        try:
            samples, odd = recipe.describe(each.recording, (each.keys.get("start"), each.keys.get("end")))
        except SignalError as error:
            rejected.append({"path": each.name, "reason": str(error).removeprefix(f"{each.name}: ")})
            continue
        notes += odd
        rejected += [{"path": each.name, "reason": s.reason} for s in samples if s.x is None]
        found += [(each, sample) for sample in samples if sample.x is not None]
    if not found or (strict and rejected):
        raise DataError(
            f"{len(rejected)} of {len(inputs)} recordings cannot be used; "
            f"the first is {rejected[0]['path']}: {rejected[0]['reason']}"
        )
    x = np.stack([sample.x for _, sample in found if sample.x is not None])
    if loaded.meta["protocol"]["normalize"]:
        speakers = _speakers(found, model)
        x = standardize_by_group(x, speakers)
        notes.append(SPEAKER_WARNING)
    notes += _seen_in_training(inputs, loaded.meta)
    proba = loaded.predict_proba(x)
    rows = _rows(found, proba, windows=window is not None)
    classes = tuple(str(name) for name in loaded.classes_)
    return Predicted(classes, tuple(rows), tuple(rejected), tuple(notes), loaded)


def _inputs(source: str | os.PathLike[str], layout: str | None, modality: str) -> list[_Input]:
    name = os.fspath(source)
    if name == files.STDIO:
        content = BytesIO(sys.stdin.buffer.read())
        content.name = "stdin"  # errors name the recording by it
        return [_Input(content, "stdin", {"sample_id": "stdin", "clip_id": "stdin"})]
    path = Path(source)
    if path.is_file() and path.suffix.lower() not in (".csv", ".tsv", ".parquet"):
        clip = path.with_suffix("").as_posix()
        return [_Input(path, name, {"sample_id": clip, "clip_id": clip})]
    return _from_data_set(path, layout, modality)


def _from_data_set(root: Path, layout: str | None, modality: str) -> list[_Input]:
    """Recordings of a folder or manifest, by its layout; a folder that no layout knows is taken file by file."""
    import pandas as pd

    from eavctl.datasets.manifest import find, media_files

    try:
        manifest = find(root, layout)
    except DataError:
        paths = list(media_files(root)) if root.is_dir() else []
        if layout or not paths:
            raise
        return [each for path in paths for each in _inputs(path, None, modality)]
    inputs = []
    for row in manifest.rows.to_dict("records"):
        keys = {key: value for key, value in row.items() if not pd.isna(value)}
        path = manifest.root / keys.get(f"{modality}_path", "")
        inputs.append(_Input(path, str(path), keys))
    return inputs


def _speakers(found: list[tuple[_Input, Sample]], model: str | os.PathLike[str]) -> np.ndarray:
    """The speaker of each sample; recordings of unknown speakers count as one speaker's."""
    speakers = np.array([each.keys.get("subject", "") for each, _ in found])
    for speaker in np.unique(speakers):
        clips = {each.name for each, _ in found if each.keys.get("subject", "") == speaker}
        if len(clips) < MIN_SPEAKER_CLIPS:
            raise DataError(
                f"{model} was trained with --normalize speaker and needs {MIN_SPEAKER_CLIPS} or more recordings "
                f"of a speaker; {speaker or 'this call'} has {len(clips)}. Give more, or train without --normalize."
            )
    return speakers


def _seen_in_training(inputs: Sequence[_Input], meta: dict[str, Any]) -> list[str]:
    subjects = {each.keys["subject"] for each in inputs if "subject" in each.keys}
    clips = {each.keys["clip_id"] for each in inputs}
    seen = subjects & set(meta["trained_on"]["subjects"]) or clips & set(meta["trained_on"]["clips"])
    if not seen:
        return []
    return [
        f"the model was trained on {sorted(seen)[0]}{' and others' if len(seen) > 1 else ''}: not a fair test"
    ]


def _rows(found: list[tuple[_Input, Sample]], proba: np.ndarray, *, windows: bool) -> list[Row]:
    """One row a window; or one a recording, the mean of its segments where the model judges segments."""
    if windows:
        return [
            Row(e.name, {**e.keys, "sample_id": f"{e.keys['clip_id']}@{s.start:09.3f}"}, s.start, s.end, p)
            for (e, s), p in zip(found, proba, strict=True)
        ]
    rows = []
    for name in dict.fromkeys(each.name for each, _ in found):
        mine = [i for i, (each, _) in enumerate(found) if each.name == name]
        each, first = found[mine[0]]
        rows.append(Row(name, each.keys, first.start, found[mine[-1]][1].end, proba[mine].mean(axis=0)))
    return rows
