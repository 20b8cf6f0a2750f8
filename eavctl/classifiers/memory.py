"""Keep memory that one training step frees for the next one."""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST_THRESHOLD = 32 << 20  # glibc takes no higher one


def keep_freed_memory() -> None:
    """Make the C library keep freed memory, for the rest of the process.

    By default glibc returns large blocks to the system at once, and page faults of the next step take a fifth
    of the training of a small network on a CPU. Without glibc nothing happens. Commands that train networks
    call this; functions of the library never do, because it changes the whole process.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        set_option(M_TRIM_THRESHOLD, 2**31 - 1)
