"""The reader of ONNX constants, on protocol buffers written here byte by byte."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.features.speech_encoders.onnx_file import initializers


def varint(number):
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, values, *, raw=True, packed=False):
    code = {"float32": 1, "int8": 3, "int32": 6, "int64": 7}[values.dtype.name]
    dims = (
        field(1, b"".join(map(varint, values.shape)))
        if packed
        else b"".join(field(1, n) for n in values.shape)
    )
    return dims + field(2, code) + field(8, name.encode()) + field(9 if raw else 4, values.tobytes())


def model(*tensors):
    graph = field(2, b"graph") + b"".join(field(5, each) for each in tensors)
    fixed = varint(3 << 3 | 1) + bytes(8) + varint(4 << 3 | 5) + bytes(4)  # numbers of fixed size, unread
    return field(1, 10) + fixed + field(7, graph) + field(8, b"later")


ARRAYS = {
    "matrix": np.arange(12, dtype=np.int8).reshape(3, 4),
    "scale": np.array([0.5, -1.25], np.float32),
    "bias": np.array([-100_000, 7], np.int32),
    "one": np.array(3.5, np.float32),
    "long": np.zeros((300, 2), np.float32),
}
CONTENT = model(
    tensor("matrix", ARRAYS["matrix"]),
    tensor("scale", ARRAYS["scale"], raw=False),
    tensor("bias", ARRAYS["bias"], packed=True),
    tensor("one", ARRAYS["one"]),
    tensor("long", ARRAYS["long"]),
    tensor("indices", np.array([1, 2], np.int64)),
)


def test_constants_are_read_with_their_shapes_and_types():
    found = initializers(CONTENT)
    assert found.keys() == ARRAYS.keys()
    for name, values in found.items():
        assert values.dtype == ARRAYS[name].dtype
        assert values.shape == ARRAYS[name].shape
        assert np.array_equal(values, ARRAYS[name])


def test_a_file_cut_inside_the_graph_is_an_error():
    start = CONTENT.index(b"graph")
    for length in range(start, len(CONTENT) - 7, 13):
        with pytest.raises(ValueError, match="ends"):
            initializers(CONTENT[:length])


@pytest.mark.parametrize(
    "content",
    [
        varint(7 << 3 | 2) + varint(2**40),
        varint(7 << 3) + varint(5),
        varint(7 << 3 | 3),
        b"\xff" * 30,
        model(field(1, 5) + field(2, 1) + field(9, bytes(8))),
        model(field(1, 2**62) + field(1, 2**62) + field(2, 1) + field(9, bytes(8))),
        model(field(2, 1) + field(8, b"\xff") + field(9, bytes(4))),
    ],
)
def test_what_is_no_protocol_buffer_or_does_not_fit_is_an_error(content):
    with pytest.raises(ValueError, match="."):
        initializers(content)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.binary(min_size=1, max_size=4))
def test_changed_bytes_are_an_error_or_arrays(at, change):
    content = CONTENT[:at] + change + CONTENT[at + len(change) :]
    with contextlib.suppress(ValueError):
        assert all(isinstance(each, np.ndarray) for each in initializers(content).values())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
def test_random_bytes_are_an_error_or_arrays(content):
    with contextlib.suppress(ValueError):
        initializers(field(7, field(5, content)))
