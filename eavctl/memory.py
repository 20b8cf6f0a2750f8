"""The size of the memory, and its reuse between the steps of a training, or between recordings."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST_THRESHOLD = 32 << 20  # the maximum of glibc
CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def keep_freed_memory() -> None:
    """Make the C library keep the memory that arrays free, for the rest of the process and its forks.

    By default glibc returns large blocks to the system at once, and getting new pages takes a fifth of the
    time of training a small network on a CPU, and a tenth of an extraction. Without glibc, nothing happens.
    Because this affects the whole process, only commands call it, never library functions.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        set_option(M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Return to the system what the C library keeps of freed memory, after a step on all rows of a table.

    A few arrays that stay among many that were freed keep hundreds of MB in the process, at a million rows a
    tenth of a training's peak. Without glibc, nothing happens.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def total_memory() -> float:
    """Bytes of memory that processes of this machine or container can have; infinity where unknown."""
    try:
        total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):  # AttributeError: Windows has no sysconf
        return float("inf")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        total = min(total, float(CONTROL_GROUP.read_text()))
    return total
