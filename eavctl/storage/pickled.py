"""Pickles of model files, read so that they can do nothing but build arrays, texts and numbers."""

from __future__ import annotations

import io
import pickle
import pickletools
import zlib
from typing import Any, BinaryIO

import numpy as np

from eavctl.errors import DataError

MOST_BYTES = 1 << 28  # of a compressed file's content: a small file cannot fill the memory

# How many bytes follow each opcode, by its number; negative where a length or a line end says so.
ARGUMENTS = {ord(each.code): each.arg.n if each.arg else 0 for each in pickletools.opcodes}
LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
TWO_LINES = frozenset(pickle.GLOBAL + pickle.INST)
# They name a place of the memo, and Python's unpickler then makes room for all places before it, of up to
# 64 GB. `pickle.dumps` has not written them since protocol 4.
UNREAD = frozenset(pickle.PUT + pickle.LONG_BINPUT)
STOP = ord(pickle.STOP)


class _Dtype:
    """Stands for a dtype of the file: not numpy's own, whose state the file could change."""

    __slots__ = ("dtype",)

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biufU":
            raise DataError(f"refused: an array of type {code!r} in a model")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _StandIn:
    """Returned for a name in a pickle: it can be called, and accepts no state."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise DataError("refused: the file sets state on the classes that build its arrays")


class _MakeDtype(_StandIn):
    __slots__ = ()

    def __call__(self, code: str, *_: Any) -> _Dtype:
        return _Dtype(code)


class _MakeArray(_StandIn):
    __slots__ = ()

    def __call__(self, content: bytes, kind: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
        flat = np.frombuffer(content, dtype=kind.dtype)
        return flat.reshape(shape, order="F" if order == "F" else "C").copy()


# The names in a pickle of contiguous arrays (numpy 1 and 2 differ), and what stands for them.
STAND_INS: dict[tuple[str, str], type[_StandIn]] = {
    ("numpy", "dtype"): _MakeDtype,
    ("numpy._core.numeric", "_frombuffer"): _MakeArray,
    ("numpy.core.numeric", "_frombuffer"): _MakeArray,
}


class _DataUnpickler(pickle.Unpickler):
    """Builds arrays and plain values by this module alone; any other name is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in STAND_INS:
            return STAND_INS[module, name]()
        raise DataError(
            f"refused: the file asks to run {module}.{name}, and a model is data only.\n"
            "Do not open it with joblib or pickle either, unless you trust who made it."
        )


def loaded(handle: BinaryIO, *, is_compressed: bool) -> Any:
    """What a pickle holds.

    Raises
    ------
    DataError : a name that is not needed for an array, an array of another type than numbers and texts, or
        too large a content.
    Exception : of any kind, where the pickle is damaged.
    """
    content = _decompressed(handle) if is_compressed else handle.read()
    end = _readable(content)
    return _DataUnpickler(io.BytesIO(content if end == len(content) else content[:end])).load()


def _readable(content: bytes) -> int:
    """Number of bytes before the first instruction that is not to be read, or not known."""
    at, n_bytes = 0, len(content)
    while at < n_bytes:
        opcode = content[at]
        n_argument = ARGUMENTS.get(opcode)
        if n_argument is None or opcode in UNREAD:
            return at
        if opcode == STOP:
            return n_bytes
        at += 1
        if n_argument >= 0:
            at += n_argument
        elif n_argument in LENGTH_BYTES:
            width = LENGTH_BYTES[n_argument]
            at += width + int.from_bytes(content[at : at + width], "little")
        else:
            for _ in range(2 if opcode in TWO_LINES else 1):
                at = content.find(b"\n", at) + 1 or n_bytes
    return n_bytes


def _decompressed(handle: BinaryIO) -> bytes:
    """The whole content of a compressed file, of a limited size."""
    decompressor = zlib.decompressobj()
    content = decompressor.decompress(handle.read(MOST_BYTES), MOST_BYTES)
    if not decompressor.eof:
        raise DataError("the model is damaged (it is cut, or larger than any model); copy it again")
    return content
