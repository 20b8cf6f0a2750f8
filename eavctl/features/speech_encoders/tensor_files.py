"""Files of tensors: safetensors, memory-mapped and read by numpy alone, and torch's pickled ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import is_zipfile

import numpy as np

from eavctl.errors import DataError

LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000  # bytes, the limit of the format
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
BFLOAT = "BF16"


class Tensor(NamedTuple):
    """A tensor that is read when it is needed.

    Parameters
    ----------
    shape : known without reading it.
    read : gives it in float32.
    """

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def safetensors(path: Path) -> dict[str, Tensor]:
    """Map a safetensors file into memory.

    Its first 8 bytes are the length of a JSON header, which gives each tensor's type, shape and place.

    Raises
    ------
    DataError : it cannot be read, or its header does not describe its content.
    """
    try:
        content = np.memmap(path, np.uint8, mode="r")
        return _described(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not a safetensors file, or damaged ({error})") from None


def _described(content: np.ndarray) -> dict[str, Tensor]:
    length = int.from_bytes(content[:LENGTH_BYTES].tobytes(), "little")
    start = LENGTH_BYTES + length
    if length > LONGEST_HEADER or start > len(content):
        raise ValueError(f"a header of {length} bytes in a file of {len(content)}")
    header = json.loads(content[LENGTH_BYTES:start].tobytes())
    header.pop("__metadata__", None)
    return {name: _mapped(content[start:], name, about) for name, about in header.items()}


def _mapped(data: np.ndarray, name: str, about: dict[str, Any]) -> Tensor:
    first, end = about["data_offsets"]
    shape = tuple(int(n) for n in about["shape"])
    dtype = np.dtype(DTYPES[about["dtype"]])
    if min(shape, default=0) < 0 or not 0 <= first <= end <= len(data):
        raise ValueError(f"{name} lies outside of the file")
    if end - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has {end - first} bytes for a shape of {shape}")
    return Tensor(shape, partial(_read, data[first:end], dtype, shape, about["dtype"] == BFLOAT))


def _read(data: np.ndarray, dtype: np.dtype[Any], shape: tuple[int, ...], is_bfloat: bool) -> np.ndarray:
    # A view cannot be taken of bytes at an odd address, where the header's length leaves them.
    values = np.frombuffer(data, dtype).reshape(shape)
    return _of_bfloat(values) if is_bfloat else _single(values)


def _of_bfloat(halves: np.ndarray) -> np.ndarray:
    """Values whose upper 16 bits are given."""
    return np.asarray(np.left_shift(halves, 16, dtype=np.uint32).view(np.float32))


def _single(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
        return np.asarray(values, np.float32)


def pickled(path: Path) -> dict[str, Tensor]:
    """Read a file of ``torch.save``: tensors only, so that it cannot run code.

    Raises
    ------
    DataError : it cannot be read, or holds something else.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
        return {
            str(name): Tensor(tuple(each.shape), partial(_of_torch, each)) for name, each in state.items()
        }
    except Exception as error:  # zip, pickle and torch have errors of their own
        raise DataError(f"{path}: no readable tensors ({type(error).__name__})") from None


def _of_torch(tensor: Any) -> np.ndarray:
    # Converted by numpy: torch would start threads, after which a process must not fork.
    import torch

    if tensor.dtype == torch.bfloat16:
        return _of_bfloat(tensor.detach().view(torch.int16).numpy().view(np.uint16))
    return _single(tensor.detach().numpy())
