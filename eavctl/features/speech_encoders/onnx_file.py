"""The constant tensors of an ONNX file, read without the package ``onnx``.

Only the fields of the protocol buffer that hold constants are read, and only those types of them that are
needed.
"""

from __future__ import annotations

import math

import numpy as np

from eavctl.storage.protobuf import as_bytes, as_text, fields, varints

GRAPH, INITIALIZER = 7, 5  # fields of the model, and of the graph
DIMS, DTYPE, FLOATS, NAME, RAW = 1, 2, 4, 8, 9  # fields of a tensor
DTYPES = {1: "<f4", 3: "i1", 6: "<i4"}


def initializers(content: bytes) -> dict[str, np.ndarray]:
    """The constants of a model's graph by name, of type float32, int8 or int32; others are left out.

    Parameters
    ----------
    content : the whole file.

    Raises
    ------
    ValueError : not a protocol buffer, cut off, or a constant whose values do not fit its shape.
    """
    graphs = (value for field, value in fields(memoryview(content)) if field == GRAPH)
    parts = (value for graph in graphs for field, value in fields(as_bytes(graph)) if field == INITIALIZER)
    found = (_tensor(as_bytes(part)) for part in parts)
    return dict(each for each in found if each is not None)


def _tensor(content: memoryview) -> tuple[str, np.ndarray] | None:
    dims: list[int] = []
    name, dtype, data = "", 0, memoryview(b"")
    for field, value in fields(content):
        if field == DIMS:
            dims += [value] if isinstance(value, int) else varints(value)
        elif field == DTYPE and isinstance(value, int):
            dtype = value
        elif field == NAME:
            name = as_text(value)
        elif field in (FLOATS, RAW):
            data = as_bytes(value)
    if dtype not in DTYPES or not data:  # integers that are not raw: zero points
        return None
    kind = np.dtype(DTYPES[dtype])
    if math.prod(dims) * kind.itemsize != len(data):
        raise ValueError(f"{name} has {len(data)} bytes for a shape of {dims}")
    return name, np.frombuffer(data, kind).reshape(dims)
