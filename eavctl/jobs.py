"""Worker processes: how many, how many threads in each, and that none outlives its parent."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import AbstractContextManager
from typing import Any

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


class Outputs:
    """Whether this process writes its outputs: of several that compute the same, one does."""

    are_written = True


def rank_of_process() -> int | None:
    """Number of this process among those that torchrun has started, from 0; None in one on its own."""
    if int(os.environ.get("WORLD_SIZE") or 1) < 2 or not os.environ.get("MASTER_ADDR"):
        return None
    return int(os.environ.get("RANK") or 0)


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends; without Linux, nothing happens."""
    import contextlib
    import ctypes
    import signal

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def one_thread() -> AbstractContextManager[Any]:
    """Keep the libraries of linear algebra to one thread in a block.

    Sums then are the same in any process, and nested pools are slower.
    """
    # Finding the loaded libraries takes up to 3 ms, and only imports load others.
    return _libraries(len(sys.modules)).limit(limits=1)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """The libraries that are loaded while so many modules are imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
