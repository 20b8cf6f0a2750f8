"""Int8 and float16 forms of an exported model: made, measured beside it, and taken or declined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.classifiers.onnx_model import OnnxModel
from eavctl.classifiers.streams import Streams
from eavctl.export.half import halved
from eavctl.export.measured import Measured, Variant, changed, loss_of, measure, objections
from eavctl.export.quantised import quantised, ways_of
from eavctl.storage import artifacts
from eavctl.storage.onnx_files import serialise

if TYPE_CHECKING:
    import onnx
    import pandas as pd

    from eavctl.storage.metadata import ModelMeta

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"


@dataclass(frozen=True)
class Exported:
    """An exported model in float32, and the rows on which others of its forms are measured.

    Parameters
    ----------
    proto : its graph.
    meta : of the model file, with the facts of the export under ``export``.
    x : rows.
    keys : of the rows, with labels; None of rows without keys.
    """

    proto: onnx.ModelProto
    meta: Mapping[str, Any]
    x: np.ndarray | Streams
    keys: pd.DataFrame | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the file says of the export."""
        return dict(self.meta["export"])

    def content(self, proto: onnx.ModelProto, about: Mapping[str, Any]) -> bytes:
        """The bytes of the model's file with a graph of another precision, and what it says of the export."""
        return serialise(proto, {**self.meta, "export": dict(about)})


@dataclass(frozen=True)
class Wanted:
    """The form of a model that is asked for.

    Parameters
    ----------
    precision : ``float16`` or ``int8``.
    calibration : rows on which ranges of activations are measured, for int8 of convolutional networks.
    tensorrt : the file is for TensorRT, which has static and symmetric int8 only.
    """

    precision: str
    calibration: np.ndarray | Streams | None = None
    tensorrt: bool = False


class Converted(NamedTuple):
    """A form of another precision.

    Parameters
    ----------
    content : bytes of its file.
    about : what the file says of the export: its ``precision``, the ``way`` in which weights were converted,
        and the ``change`` of the answers, without times, which differ from run to run.
    measured : the float32 form, and this one.
    reasons : why it is not worth its change of the answers; none if it is.
    """

    content: bytes
    about: Mapping[str, Any]
    measured: Sequence[Measured]
    reasons: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """JSON-able, without the content."""
        own = {name: self.about[name] for name in ("precision", "way")}
        return {**own, "variants": [e.to_json() for e in self.measured], "reasons": [*self.reasons]}


def convert(exported: Exported, wanted: Wanted) -> Converted:
    """The form of a model that is asked for: of several ways the first without a loss, else the last.

    So equal models and rows give equal bytes; the time, which differs from run to run, only declines. Int8
    must be smaller and faster than float32 on this machine, without a loss; what is meant for other
    processors, float16 and files for TensorRT, must be smaller without a loss (see
    `eavctl.export.measured.objections`).

    Raises
    ------
    UsageError : calibration rows are needed, or the model has no weights to quantise.
    DataError : a form that onnxruntime cannot compute.
    """
    elsewhere = wanted.precision == FLOAT16 or wanted.tensorrt
    with TemporaryDirectory() as folder:
        path = Path(folder) / "float32.onnx"
        original = written(path, FLOAT32, exported.content(exported.proto, exported.about))
        way, proto = _form(exported, wanted, original)
        about = {**exported.about, "precision": wanted.precision, "way": way}
        path = Path(folder) / "converted.onnx"
        converted = written(path, wanted.precision, exported.content(proto, about))
        measured = measure([original, converted], exported.x, exported.keys)
    about["change"] = measured[1].change._asdict()
    reasons = objections(*measured, elsewhere=elsewhere)
    return Converted(exported.content(proto, about), about, measured, reasons)


def _form(exported: Exported, wanted: Wanted, original: Variant) -> tuple[str, onnx.ModelProto]:
    """The way in which the graph is converted, and the converted graph."""
    if wanted.precision == FLOAT16:
        return "weights and arithmetic", halved(exported.proto)
    ways = ways_of(exported.proto, tensorrt=wanted.tensorrt)
    for way in ways:
        proto = quantised(exported.proto, way, wanted.calibration)
        if way == ways[-1] or not _loses(exported, proto, original):
            break
    return way.name, proto


def _loses(exported: Exported, proto: onnx.ModelProto, original: Variant) -> bool:
    """Whether answers of a converted graph are shown to be worse."""
    converted = OnnxModel.from_bytes(exported.content(proto, exported.about), exported.meta)
    before, after = (each.predict_proba(exported.x) for each in (original.predictor, converted))
    return bool(loss_of(changed(original.predictor, before, after, exported.keys)))


def written(path: Path, name: str, content: bytes) -> Variant:
    """Write a form of a model, and read it back."""
    path.write_bytes(content)
    return Variant(name, path, artifacts.load(path).predictor)


def trained_on_note(meta: ModelMeta, keys: pd.DataFrame | None) -> str | None:
    """A sentence on rows that the model was trained on; None where there are none, or rows without keys."""
    if keys is None:
        return None
    from eavctl.evaluation.trained_on import TrainedOn

    known, given = TrainedOn.from_meta(meta.trained_on), TrainedOn.of_keys(keys)
    clips, people = known.shared_clips(given), known.shared_subjects(given)
    if not clips and not people:
        return f"the model: {known.doubt}" if known.doubt else None
    of_people = f" and {len(people)} of {len(given.subjects)} people" if given.subjects else ""
    return (
        f"{len(clips)} of {len(given.clips)} clips{of_people} of the rows are of the model's training: its "
        "score on them is too high; the comparison holds for such rows"
    )
