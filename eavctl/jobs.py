"""How many processes to work with."""

from __future__ import annotations

import os

from eavctl.errors import UsageError


def useful(jobs: int) -> int:
    """The processes asked for, but no more than there are processors for: results are the same.

    Raises
    ------
    UsageError : fewer than one.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} processes cannot work: jobs must be 1 or more")
    return min(jobs, _processors())


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
