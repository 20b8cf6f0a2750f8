"""MATLAB files of version 7.3, which are HDF5 with the axes reversed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.matlab import LARGEST_SLAB, MatFile, Variable, refuse_trap

CACHE_BYTES = 8 << 20  # of unpacked chunks
NUMBERS = "biuf"


@contextmanager
def _clear_errors(path: str) -> Iterator[None]:
    """Damage shows in HDF5's library as any of these."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise SignalError(f"{path}: damaged, or no MATLAB 7.3 file ({reason})") from None


@dataclass(frozen=True)
class _Array(Variable):
    """A data set of numbers, stored by rows with its axes reversed."""

    data: Any

    def block_length(self, axis: int) -> int:
        fitting = self.slabs_that_fit(axis)
        if self.data.chunks is None:
            return 1 if axis == len(self.shape) - 1 else fitting
        chunk = int(self.data.chunks[len(self.shape) - 1 - axis])
        if chunk == 1:
            return 1
        return max(fitting // chunk * chunk, min(fitting, chunk))

    def block(self, axis: int, start: int, stop: int) -> np.ndarray:
        place: list[slice] = [slice(None)] * len(self.shape)
        place[len(self.shape) - 1 - axis] = slice(start, stop)
        with _clear_errors(self.path):
            return np.asarray(self.data[tuple(place)]).T.astype(self.dtype, copy=False)


class Hdf5File(MatFile):
    """A file of version 7.3; see `eavctl.signals.matlab.open_mat`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        with _clear_errors(path):
            self._file = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES)
        try:
            with _clear_errors(path):
                for name in self._file:
                    self._add(name)
        except SignalError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._variables.clear()
        self._file.close()

    def _add(self, name: str) -> None:
        # Links and virtual data sets could lead into any file of the disk.
        if not isinstance(self._file.get(name, getlink=True), h5py.HardLink):
            return
        data = self._file[name]
        if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
            return
        kind = data.attrs.get("MATLAB_class", b"")
        is_text = kind in (b"char", "char") or "MATLAB_empty" in data.attrs
        if data.dtype.kind not in NUMBERS or is_text or len(data.shape or ()) < 2:
            return
        chunk_bytes = math.prod(data.chunks or ()) * data.dtype.itemsize
        if chunk_bytes > LARGEST_SLAB:
            raise SignalError(
                f"{self.path}: {name!r} is stored in pieces of {chunk_bytes >> 20} MB, more than "
                f"{LARGEST_SLAB >> 20}; save it again with smaller chunks"
            )
        refuse_trap(self.path, name, math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size())
        dtype = np.dtype(bool) if kind in (b"logical", "logical") else data.dtype.newbyteorder("=")
        self._variables[name] = _Array(self.path, name, data.shape[::-1], dtype, data)
