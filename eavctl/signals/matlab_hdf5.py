"""MATLAB files of version 7.3, which are HDF5 with the axes reversed.

`eavctl.signals.hdf5_reader` reads the file in another process, to which `Hdf5File` sends requests.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.hdf5_process import ask
from eavctl.signals.mat_file import MatFile, Variable


@dataclass(frozen=True)
class _Array(Variable):
    """A numeric data set, stored with its axes reversed, either in ``chunks`` or contiguous (None)."""

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
            raise SignalError(f"{self.path}: damaged: {self.name!r} is not of the size in its header")
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
