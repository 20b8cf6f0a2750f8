"""Numeric arrays of a MATLAB file of any version, read slab by slab in bounded memory.

References: MathWorks, MAT-File Format, R2024b (version 5); MathWorks, MAT-File Versions (7.3 is HDF5 with
the axes reversed).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from eavctl.errors import SignalError

BLOCK_BYTES = 16 << 20  # held at once where slabs cannot be read one by one
LARGEST_SLAB = 64 << 20
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512, 1024, 2048)  # MATLAB puts 512 bytes of text before it
SUSPECT_BYTES, SUSPECT_RATIO = 64 << 20, 50  # EEG compresses a few times; beyond both, it is a trap


@dataclass(frozen=True)
class Variable(ABC):
    """One numeric array of a file; axes in MATLAB's order.

    Parameters
    ----------
    path : the file, for errors.
    name, shape : as MATLAB shows them.
    dtype : what its values are given as.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @abstractmethod
    def block(self, axis: int, start: int, stop: int) -> np.ndarray:
        """Read the slabs ``start`` to ``stop`` along ``axis``: an array with that axis shortened."""

    @abstractmethod
    def block_length(self, axis: int) -> int:
        """How many slabs along ``axis`` are best read at once: as many as cost no more than one."""

    def slab_bytes(self, axis: int) -> int:
        """Size of one slab along ``axis``, as given."""
        return math.prod(n for i, n in enumerate(self.shape) if i != axis) * self.dtype.itemsize

    def slabs_that_fit(self, axis: int) -> int:
        """How many slabs along ``axis`` may be held at once.

        Raises
        ------
        SignalError : a single one is too large.
        """
        size = self.slab_bytes(axis)
        if size > LARGEST_SLAB:
            raise SignalError(
                f"{self.path}: one part of {self.name!r} {self.shape} takes {size >> 20} MB, more than "
                f"{LARGEST_SLAB >> 20}; split the array"
            )
        return max(min(BLOCK_BYTES // max(size, 1), self.shape[axis]), 1)


class MatFile:
    """An open MATLAB file; `eavctl.signals.matlab.open_mat` returns one.

    Parameters
    ----------
    path : the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._variables: dict[str, Variable] = {}
        self._held: tuple[str, int, int, int] = ("", 0, 0, 0)
        self._block = np.empty(0)

    @property
    def names(self) -> dict[str, tuple[int, ...]]:
        """Shape of each numeric array, by name; structures, cells, text and sparse matrices are left out."""
        return {name: variable.shape for name, variable in self._variables.items()}

    def slab(self, name: str, index: int, axis: int = -1) -> np.ndarray:
        """Read one slab: the array at ``index`` of ``axis``, that axis removed, in the array's own type.

        Slabs asked for in ascending order cost one pass over the array, or a few where they do not lie in
        one piece each.

        Raises
        ------
        SignalError : no such array or slab, damaged, or too large to be held.
        """
        variable = self._variable(name)
        axis %= len(variable.shape)
        if not 0 <= index < variable.shape[axis]:
            raise SignalError(
                f"{self.path}: {name!r} has no part {index + 1}, it is of shape {variable.shape}"
            )
        held_name, held_axis, start, stop = self._held
        if (held_name, held_axis) != (name, axis) or not start <= index < stop:
            length = variable.block_length(axis)
            start = index // length * length
            stop = min(start + length, variable.shape[axis])
            self._held, self._block = ("", 0, 0, 0), np.empty(0)  # frees it before the next is made
            self._block = variable.block(axis, start, stop)
            self._held = (name, axis, start, stop)
        return self._block[(slice(None),) * axis + (index - start,)].copy(order="K")

    def slabs(self, name: str, axis: int = -1) -> Iterator[np.ndarray]:
        """Every slab along ``axis``, in order; see `slab`."""
        for index in range(self._variable(name).shape[axis]):
            yield self.slab(name, index, axis)

    def read(self, name: str, max_values: int) -> np.ndarray:
        """Read a small array whole, in its own type.

        Raises
        ------
        SignalError : no such array, damaged, or of more than ``max_values`` values.
        """
        variable = self._variable(name)
        if math.prod(variable.shape) > max_values:
            raise SignalError(
                f"{self.path}: {name!r} is of shape {variable.shape}, and at most {max_values} values "
                "are expected"
            )
        return variable.block(len(variable.shape) - 1, 0, variable.shape[-1])

    def close(self) -> None:
        """Close the file."""
        self._held, self._block = ("", 0, 0, 0), np.empty(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _variable(self, name: str) -> Variable:
        if name not in self._variables:
            known = ", ".join(self._variables) or "none"
            raise SignalError(f"{self.path}: no numeric array {name!r} in it; it holds: {known}")
        return self._variables[name]


def is_hdf5(path: str) -> bool:
    """Tell whether a file is of version 7.3.

    Raises
    ------
    SignalError : it cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(max(HDF5_PLACES) + len(HDF5_SIGNATURE))
    except OSError as error:
        raise SignalError(f"{path}: cannot be opened ({error.strerror})") from None
    return any(start[place:].startswith(HDF5_SIGNATURE) for place in HDF5_PLACES)


def refuse_trap(path: str, name: str, unpacked: int, packed: int) -> None:
    """Refuse an array that would unpack to far more than EEG ever does.

    Raises
    ------
    SignalError : more than 64 MB, and more than 50 times what is stored.
    """
    if unpacked > SUSPECT_BYTES and unpacked > SUSPECT_RATIO * packed:
        what = repr(name) if name else "a variable"
        raise SignalError(
            f"{path}: {what} would unpack from {packed >> 10} KB to {unpacked >> 20} MB; EEG does not "
            "compress like that. If it is real, save it without compression (-v6)"
        )
