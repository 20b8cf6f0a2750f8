"""Memory of a training: what one step frees, the next one takes."""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST_THRESHOLD = 32 << 20  # glibc takes no higher one


def keep_freed_memory() -> None:
    """Have the C library keep what tensors free, for the rest of the process.

    By default glibc gives large blocks back to the system at once, and filling the next step's fresh pages
    takes a fifth of training a small network on a CPU. Without glibc nothing happens. The process must be the
    caller's own: the commands that train networks call this, the functions that train never do.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        set_option(M_TRIM_THRESHOLD, 2**31 - 1)
