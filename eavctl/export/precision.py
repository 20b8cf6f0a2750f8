"""Int8 and float16 forms of an exported model: made, measured beside it, and taken or declined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.classifiers.streams import Streams
from eavctl.export.folding import folded
from eavctl.export.half import halved
from eavctl.export.measured import Measured, Variant, measure, objections
from eavctl.export.quantised import quantised, ways_of
from eavctl.storage import artifacts
from eavctl.storage.onnx_files import serialise

if TYPE_CHECKING:
    import onnx
    import pandas as pd

    from eavctl.storage.metadata import ModelMeta

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"
NAME = "onnx"  # of the float32 variant


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

    def content(self, proto: onnx.ModelProto, precision: str, **facts: Any) -> bytes:
        """The bytes of the model's file with another graph, of another precision."""
        about = {**self.meta["export"], **facts, "precision": precision}
        return serialise(proto, {**self.meta, "export": about})


class Converted(NamedTuple):
    """A form of another precision.

    Parameters
    ----------
    content : bytes of its file.
    precision : of the file, such as ``int8``.
    way : how its weights were converted, for people.
    measured : the float32 form, and this one.
    reasons : why it is not worth its change of the answers; none if it is.
    """

    content: bytes
    precision: str
    way: str
    measured: Sequence[Measured]
    reasons: Sequence[str]


def to_int8(
    exported: Exported, calibration: np.ndarray | Streams | None = None, *, tensorrt: bool = False
) -> Converted:
    """The int8 form of a model: of several ways to quantise it the first that is worth it, else the last.

    Parameters
    ----------
    calibration : rows on which ranges of activations are measured, for convolutional networks.
    tensorrt : see `eavctl.export.quantised.ways_of`.

    Raises
    ------
    UsageError : calibration rows are needed, or the model has no weights to quantise.
    """
    prepared = folded(exported.proto)
    for way in ways_of(prepared, tensorrt=tensorrt):
        found = _converted(exported, quantised(prepared, way, calibration), INT8, way.name)
        if not found.reasons:
            break
    return found


def to_half(exported: Exported) -> Converted:
    """The float16 form of a model, whose ``reasons`` are for a processor: it is meant for others."""
    return _converted(exported, halved(exported.proto), FLOAT16, "weights and arithmetic")


def _converted(exported: Exported, proto: onnx.ModelProto, precision: str, way: str) -> Converted:
    """Measure a converted graph beside the float32 one; the file keeps what no machine changes."""
    with TemporaryDirectory() as folder:
        variants = [
            written(Path(folder) / f"{name}.onnx", name, exported.content(graph, of))
            for name, graph, of in ((NAME, exported.proto, FLOAT32), (precision, proto, precision))
        ]
        measured = measure(variants, exported.x, exported.keys)
    change = measured[1].change._asdict()
    content = exported.content(proto, precision, way=way, change=change)
    return Converted(content, precision, way, measured, objections(*measured))


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
        return None
    return (
        f"{len(clips)} of {len(given.clips)} clips and {len(people)} of {len(given.subjects)} people of the "
        "rows are of the model's training: its score on them is too high; the comparison holds for such rows"
    )
