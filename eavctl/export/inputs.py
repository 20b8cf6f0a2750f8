"""The inputs of a model's graph: name, shape and type of each, and which axis has a free length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eavctl import registry
from eavctl.errors import UsageError
from eavctl.storage.metadata import ModelMeta

COLUMN_KINDS = ("svm", "linear")


class Input(NamedTuple):
    """One input of a graph.

    Parameters
    ----------
    name : in the graph.
    shape : of one row.
    dtype : of its values, float32, or uint8 of pictures.
    free_axis : axis of a row that may have any length; None where all are fixed.
    shortest : least length of that axis.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    free_axis: int | None = None
    shortest: int = 1


def inputs_of(meta: ModelMeta) -> tuple[Input, ...]:
    """The inputs of a model's graph that take features, in order.

    Raises
    ------
    UsageError : a kind of model that takes no features.
    """
    own = meta.json["model"]
    if meta.kind in COLUMN_KINDS:
        return (Input("x", (len(meta.inputs[0].columns or ()),), np.dtype(np.float32)),)
    if meta.kind == "dnn":
        return (_of_encoder("x", own["encoder"], own["shape"]),)
    if meta.kind == "fusion":
        streams = [_of_encoder(s["name"], s["encoder"], s["shape"]) for s in own["design"]["streams"]]
        # Single models take rows of their training's length.
        return tuple(each._replace(free_axis=None) if "pool" in own else each for each in streams)
    raise UsageError(
        f"a model of kind {meta.kind!r} fuses predictions, not features; export the models that it fuses"
    )


def _of_encoder(name: str, encoder: str, shape: Sequence[int]) -> Input:
    if encoder in COLUMN_KINDS:
        return Input(name, tuple(shape), np.dtype(np.float32))
    facts = registry.get("encoders", encoder).facts
    dtype = np.dtype(facts.get("example_dtype", "float32"))
    return Input(name, tuple(shape), dtype, facts.get("free_axis"), facts.get("shortest", 1))
