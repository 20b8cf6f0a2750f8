"""What a model costs on this machine, as it is, as an ONNX graph, and in int8, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.classifiers.streams import Streams
from eavctl.errors import UsageError
from eavctl.export.graph import to_proto
from eavctl.export.measured import Measured, Variant, measure
from eavctl.export.precision import FLOAT32, INT8, Exported, trained_on_note, written
from eavctl.export.quantised import quantised, ways_of
from eavctl.export.rows import CheckRows, check_rows
from eavctl.packaged.models import find
from eavctl.storage import artifacts
from eavctl.storage.remote import local

if TYPE_CHECKING:
    import onnx

RUNTIMES = {"svm": "numpy", "linear": "numpy", "dnn": "torch", "fusion": "torch"}  # of model files


@dataclass(frozen=True)
class Planned:
    """What would be measured.

    Parameters
    ----------
    model : its file or name.
    kind : of the model.
    rows : on which it would be measured.
    """

    model: str
    kind: str
    rows: CheckRows

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        rows = {"what": self.rows.what, "n": len(self.rows.x), "made_up": self.rows.made_up}
        return {"model": self.model, "kind": self.kind, "rows": rows}


@dataclass(frozen=True)
class Benched(Planned):
    """Variants of a model side by side.

    Parameters
    ----------
    variants : the model as it is, first.
    notes : on what was left out, and on rows of the training, in sentences.
    """

    variants: Sequence[Measured]
    notes: Sequence[str]

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        variants = [each.to_json() for each in self.variants]
        return {**super().facts(), "variants": variants, "notes": list(self.notes)}


def bench(
    model: str | os.PathLike[str],
    check: Sequence[str | os.PathLike[str]] = (),
    calibrate: Sequence[str | os.PathLike[str]] = (),
) -> Benched:
    """Measure a model beside its exported forms: size, time, memory, and how far the answers differ.

    Parameters
    ----------
    model : a model file, or the name of a packaged model; an exported model is measured alone.
    check : feature tables of the rows to judge, one a stream; by default rows are made up.
    calibrate : feature tables on which int8 of a convolutional network is calibrated.

    Raises
    ------
    DataError, SettingsError, UsageError : a file that cannot be read, a model that cannot be exported, or
        tables that do not fit it.
    """
    path = find(model)
    stored, rows = _read(path, check)
    calibration = check_rows(stored, calibrate).x if calibrate else None
    note = trained_on_note(stored.meta, rows.keys)
    notes = [note] if note else []
    with TemporaryDirectory() as folder:
        if stored.meta.export:
            variants = [Variant(stored.meta.export["precision"], local(path), stored.predictor)]
        else:
            own = Variant(RUNTIMES[stored.meta.kind], local(path), stored.predictor)
            exported, left_out = _exported(stored, rows, calibration, Path(folder))
            variants = [own, *exported]
            notes += left_out
        measured = measure(variants, rows.x, rows.keys)
    return Benched(str(model), stored.meta.kind, rows, measured, notes)


def plan(
    model: str | os.PathLike[str],
    check: Sequence[str | os.PathLike[str]] = (),
    calibrate: Sequence[str | os.PathLike[str]] = (),
) -> Planned:
    """What `bench` would measure with the same parameters.

    Raises
    ------
    DataError, SettingsError, UsageError : a file that cannot be read, or tables that do not fit the model.
    """
    stored, rows = _read(find(model), check)
    if calibrate:
        check_rows(stored, calibrate)
    return Planned(str(model), stored.meta.kind, rows)


def _read(
    path: str | os.PathLike[str], check: Sequence[str | os.PathLike[str]]
) -> tuple[artifacts.Model, CheckRows]:
    stored = artifacts.load(path)
    if stored.meta.kind not in RUNTIMES:
        raise UsageError(f"{path}: fuses predictions, which costs next to nothing; name a model of features")
    return stored, check_rows(stored, check)


def _exported(
    stored: artifacts.Model, rows: CheckRows, calibration: np.ndarray | Streams | None, folder: Path
) -> tuple[list[Variant], list[str]]:
    """The float32 graph and int8 in each way that fits the model, and a note on what is left out."""
    proto = to_proto(stored)
    exported = Exported(proto, {**stored.meta.json, "export": {}}, rows.x, rows.keys)

    def form(name: str, graph: onnx.ModelProto, precision: str) -> Variant:
        content = exported.content(graph, {"precision": precision})
        return written(folder / f"{len(variants)}.onnx", name, content)

    variants: list[Variant] = []
    variants.append(form("onnx", proto, FLOAT32))
    try:
        for way in ways_of(proto):
            variants.append(form(f"{INT8}, {way.name}", quantised(proto, way, calibration), INT8))
    except UsageError as error:
        return variants, [f"left out: {error}"]
    return variants, []
