"""Features in a request, as the Open Inference Protocol has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from eavctl.errors import UsageError
from eavctl.predicting.streams import StreamInput

DATATYPES = {"float32": "FP32", "uint8": "UINT8"}  # of the Open Inference Protocol
NUMBERS = "iuf"  # kinds of numpy's types; not text, which would be parsed, nor booleans


def input_of(stream: StreamInput) -> dict[str, Any]:
    """An input of a model, as its metadata have it."""
    return {
        "name": stream.name,
        "datatype": DATATYPES[stream.dtype],
        "shape": [-1, *_shape_of(stream)],
        "features": stream.meta.features,
        "modality": stream.recipe.modality,
        "channels": stream.recipe.settings.get("channels"),
    }


def _shape_of(stream: StreamInput) -> tuple[int, ...]:
    """Of a row of the stream's features."""
    if stream.shape is not None:
        return stream.shape
    return tuple(stream.meta.shape) or (len(stream.meta.columns or ()),)


def read_request(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises
    ------
    UsageError : it is none, or has no inputs.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("inputs"), list):
        raise UsageError("the body needs 'inputs', a list, as in the Open Inference Protocol")
    if not isinstance(content.get("id") or "", str):
        raise UsageError("id: a text is needed")
    return content


def inputs_of(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The inputs of a request by name.

    Raises
    ------
    UsageError : one has no name, or a name stands twice.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for each in content["inputs"]:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise UsageError("inputs: each is an object with name, shape, datatype and data")
        if each["name"] in found:
            raise UsageError(f"inputs: {each['name']!r} stands there twice")
        found[each["name"]] = each
    return found


def array_of(given: Mapping[str, Any], stream: StreamInput) -> np.ndarray:
    """The features of an input, shape (n_rows, *shape).

    Raises
    ------
    UsageError : another type or shape than the model takes, or values that are not finite numbers.
    """
    wanted, shape = input_of(stream), given.get("shape")
    if given.get("datatype") != wanted["datatype"]:
        raise UsageError(f"inputs: {stream.name} takes the datatype {wanted['datatype']}")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise UsageError(f"inputs: {stream.name} needs a shape, such as {wanted['shape']}")
    if shape[1:] != wanted["shape"][1:]:
        raise UsageError(f"inputs: {stream.name} has shape {shape}, and the model takes {wanted['shape']}")
    try:
        data = np.asarray(given.get("data"))
        if data.dtype.kind not in NUMBERS:
            raise ValueError
        x = data.astype(np.float64).reshape(shape)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"inputs: the data of {stream.name} are not numbers of shape {shape}") from None
    with np.errstate(over="ignore", invalid="ignore"):
        found = x.astype(stream.dtype)
    if not np.isfinite(found).all() or (stream.dtype == "uint8" and (found != x).any()):
        raise UsageError(f"inputs: {stream.name} has values that {wanted['datatype']} cannot hold")
    return found
