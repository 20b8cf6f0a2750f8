"""Worker processes: how many, and that none outlives its parent."""

from __future__ import annotations

import os

from eavctl.errors import UsageError

PR_SET_PDEATHSIG = 1  # of prctl.h


def useful(jobs: int) -> int:
    """Limit the requested number of processes to the available processors; results do not depend on it.

    Raises
    ------
    UsageError : fewer than one.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {jobs}")
    return min(jobs, _processors())


def _processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends; without Linux, nothing happens."""
    import contextlib
    import ctypes
    import signal

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
