"""Numeric arrays of a MATLAB file, read slab by slab in bounded memory.

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

BLOCK_BYTES = 16 << 20  # memory for several slabs that can only be read together
LARGEST_SLAB = 64 << 20
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512, 1024, 2048)  # MATLAB writes 512 bytes of text before the signature
SUSPECT_BYTES, SUSPECT_RATIO = 64 << 20, 50  # EEG compresses a few times; beyond both, a decompression bomb


@dataclass(frozen=True)
class Variable(ABC):
    """One numeric array of a file, with its axes in MATLAB's order.

    Parameters
    ----------
    path : path of the file, for errors.
    name, shape : name and shape as MATLAB shows them.
    dtype : type of the values that are returned.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @abstractmethod
    def block(self, axis: int, start: int, stop: int) -> np.ndarray:
        """Read the slabs ``start`` to ``stop`` along ``axis``, as one array."""

    @abstractmethod
    def block_length(self, axis: int) -> int:
        """Number of slabs along ``axis`` to read at once: as many as cost about the same as one."""

    def slab_bytes(self, axis: int) -> int:
        """Size in bytes of one slab along ``axis``, in the type that is returned."""
        return math.prod(n for i, n in enumerate(self.shape) if i != axis) * self.dtype.itemsize

    def slabs_that_fit(self, axis: int) -> int:
        """Number of slabs along ``axis`` that may be in memory at once.

        Raises
        ------
        SignalError : a single slab is too large.
        """
        size = self.slab_bytes(axis)
        if size > LARGEST_SLAB:
            raise SignalError(
                f"{self.path}: one slab of {self.name!r} {self.shape} takes {size >> 20} MB, more than "
                f"{LARGEST_SLAB >> 20} MB; split the array"
            )
        return max(min(BLOCK_BYTES // max(size, 1), self.shape[axis]), 1)


class MatFile:
    """An open MATLAB file, as `eavctl.signals.matlab.open_mat` returns it.

    Parameters
    ----------
    path : path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._variables: dict[str, Variable] = {}
        self._held: tuple[str, int, int, int] = ("", 0, 0, 0)
        self._block = np.empty(0)

    @property
    def names(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the numeric arrays by name, without structures, cells, text and sparse matrices."""
        return {name: variable.shape for name, variable in self._variables.items()}

    def slab(self, name: str, index: int, axis: int = -1) -> np.ndarray:
        """Read the slab at ``index`` of ``axis``, without that axis, in the type of the array.

        Reading slabs in ascending order takes one pass over the array, or a few if they are not contiguous.

        Raises
        ------
        SignalError : no such array or slab, damaged, or too large for memory.
        """
        variable = self._variable(name)
        axis %= len(variable.shape)
        if not 0 <= index < variable.shape[axis]:
            raise SignalError(
                f"{self.path}: {name!r} has no slab {index + 1}, it is of shape {variable.shape}"
            )
        held_name, held_axis, start, stop = self._held
        if (held_name, held_axis) != (name, axis) or not start <= index < stop:
            length = variable.block_length(axis)
            start = index // length * length
            stop = min(start + length, variable.shape[axis])
            self._held, self._block = ("", 0, 0, 0), np.empty(0)  # frees this block before reading the next
            self._block = variable.block(axis, start, stop)
            self._held = (name, axis, start, stop)
        return self._block[(slice(None),) * axis + (index - start,)].copy(order="K")

    def slabs(self, name: str, axis: int = -1) -> Iterator[np.ndarray]:
        """Yield every slab along ``axis`` in order; see `slab`."""
        for index in range(self._variable(name).shape[axis]):
            yield self.slab(name, index, axis)

    def read(self, name: str, max_values: int) -> np.ndarray:
        """Read a whole small array, in its own type.

        Raises
        ------
        SignalError : no such array, damaged, or more than ``max_values`` values.
        """
        variable = self._variable(name)
        if math.prod(variable.shape) > max_values:
            raise SignalError(
                f"{self.path}: {name!r} is of shape {variable.shape}, but at most {max_values} values "
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
            raise SignalError(f"{self.path}: has no numeric array {name!r}; it holds: {known}")
        return self._variables[name]


def is_hdf5(path: str) -> bool:
    """Whether a file is HDF5, as MATLAB files of version 7.3 are.

    Raises
    ------
    SignalError : the file cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(max(HDF5_OFFSETS) + len(HDF5_SIGNATURE))
    except OSError as error:
        raise SignalError(f"{path}: cannot be opened ({error.strerror})") from None
    return any(start[offset:].startswith(HDF5_SIGNATURE) for offset in HDF5_OFFSETS)


def check_expansion(path: str, name: str, unpacked: int, packed: int) -> None:
    """Check that an array does not expand on decompression as EEG never does.

    Parameters
    ----------
    path, name : file and array, for errors.
    unpacked, packed : size of the array in memory and in the file, bytes.

    Raises
    ------
    SignalError : more than 64 MB, and more than 50 times the stored size.
    """
    if unpacked > SUSPECT_BYTES and unpacked > SUSPECT_RATIO * packed:
        what = repr(name) if name else "a variable"
        raise SignalError(
            f"{path}: {what} would unpack from {packed >> 10} KB to {unpacked >> 20} MB, which is not "
            "plausible for EEG; if the data are real, save them without compression (-v6)"
        )
