"""MATLAB files of version 7.3, which are HDF5 with the axes reversed.

`Hdf5File` is what the program sees; all that touches the file is `answer`, which runs in another process.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.hdf5_process import ask
from eavctl.signals.matlab import LARGEST_SLAB, MatFile, Variable, refuse_trap

CACHE_BYTES = 8 << 20  # of unpacked chunks
NUMBERS = "biuf"


@dataclass(frozen=True)
class _Array(Variable):
    """A data set of numbers, stored by rows with its axes reversed; in ``chunks``, or whole."""

    stored: np.dtype[np.generic]
    chunks: tuple[int, ...] | None

    def block_length(self, axis: int) -> int:
        fitting = self.slabs_that_fit(axis)
        if self.chunks is None:
            return 1 if axis == len(self.shape) - 1 else fitting
        chunk = self.chunks[len(self.shape) - 1 - axis]
        if chunk == 1:
            return 1
        return max(fitting // chunk * chunk, min(fitting, chunk))

    def block(self, axis: int, start: int, stop: int) -> np.ndarray:
        shape = list(self.shape)
        shape[axis] = stop - start
        where = {"name": self.name, "axis": len(shape) - 1 - axis, "start": start, "stop": stop}
        _, content = ask(self.path, "block", **where)
        if len(content) != math.prod(shape) * self.stored.itemsize:
            raise SignalError(f"{self.path}: damaged: {self.name!r} is not of the size that it says")
        return np.frombuffer(content, self.stored).reshape(shape[::-1]).T.astype(self.dtype, copy=False)


class Hdf5File(MatFile):
    """A file of version 7.3; see `eavctl.signals.matlab.open_mat`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        found, _ = ask(path, "arrays")
        for each in found:
            name, shape, stored = each["name"], tuple(each["shape"]), np.dtype(each["stored"])
            dtype = np.dtype(bool) if each["is_logical"] else stored.newbyteorder("=")
            chunks = tuple(each["chunks"]) if each["chunks"] else None
            self._variables[name] = _Array(path, name, shape[::-1], dtype, stored, chunks)

    def close(self) -> None:
        """Close the file."""
        super().close()
        if self._variables:
            self._variables.clear()
            with contextlib.suppress(SignalError):
                ask(self.path, "close")


# --- in the other process

_last: dict[tuple[str, int, int], Any] = {}  # the file opened last, by its path, size and time


def answer(path: str, question: str, **details: Any) -> tuple[Any, bytes]:
    """Answer for `eavctl.signals.hdf5_process`: ``arrays`` of a file, a ``block`` of one, or ``close`` it.

    Raises
    ------
    SignalError : the file cannot be read.
    """
    with _clear_errors(path):
        if question == "close":
            _close()
            return None, b""
        file = _opened(path)
        if question == "arrays":
            return list(_arrays(path, file)), b""
        place = (slice(None),) * details["axis"] + (slice(details["start"], details["stop"]),)
        return None, np.asarray(file[details["name"]][place]).tobytes()


@contextlib.contextmanager
def _clear_errors(path: str) -> Iterator[None]:
    """Damage shows in HDF5's library as any of these."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise SignalError(f"{path}: damaged, or no MATLAB 7.3 file ({reason})") from None


def _opened(path: str) -> Any:
    import h5py

    found = os.stat(path)
    key = (path, found.st_size, found.st_mtime_ns)
    if key not in _last:
        _close()
        _last[key] = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES)
    return _last[key]


def _close() -> None:
    for file in _last.values():
        file.close()
    _last.clear()


def _arrays(path: str, file: Any) -> Iterator[dict[str, Any]]:
    """Describe the numeric arrays of a file, with their axes as HDF5 has them."""
    import h5py

    for name in file:
        # Links and virtual data sets could lead into any file of the disk.
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        data = file[name]
        if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
            continue
        kind = data.attrs.get("MATLAB_class", b"")
        is_text = kind in (b"char", "char") or "MATLAB_empty" in data.attrs
        if data.dtype.kind not in NUMBERS or is_text or len(data.shape or ()) < 2:
            continue
        chunk_bytes = math.prod(data.chunks or ()) * data.dtype.itemsize
        if chunk_bytes > LARGEST_SLAB:
            raise SignalError(
                f"{path}: {name!r} is stored in pieces of {chunk_bytes >> 20} MB, more than "
                f"{LARGEST_SLAB >> 20}; save it again with smaller chunks"
            )
        refuse_trap(path, name, math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size())
        yield {
            "name": name,
            "shape": data.shape,
            "stored": data.dtype.str,
            "chunks": data.chunks,
            "is_logical": kind in (b"logical", "logical"),
        }
