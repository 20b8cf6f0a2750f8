"""The process that runs a trial, and whether it still does."""

from __future__ import annotations

import contextlib
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

BEAT_S = 30.0  # a process records this often that it lives
SILENT_S = 600.0  # after this, a process on another machine counts as dead; clocks may differ by minutes
ENDED = ("Z", "X")  # states of processes that are killed but not yet waited for


_held: set[str] = set()  # trials that this process runs now


@contextlib.contextmanager
def owned() -> Iterator[dict[str, Any]]:
    """Yield this process as the owner of a trial that it runs in the block, as a JSON value."""
    pid, run = os.getpid(), uuid.uuid4().hex
    _held.add(run)
    try:
        yield {"host": platform.node(), "system": _system(), "pid": pid, "start": _start(pid), "run": run}
    finally:
        _held.discard(run)


def is_gone(owner: Mapping[str, Any], last_seen: float) -> bool:
    """Whether an owner no longer runs its trial.

    Parameters
    ----------
    owner : what `owned` yielded in its process; empty if it is not known.
    last_seen : when the process last recorded that it lived, in seconds since 1970. It decides for processes
        of other machines, and of this one before its last start.
    """
    if not owner.get("system") or owner["system"] != _system():
        return time.time() - last_seen > SILENT_S
    if owner["pid"] == os.getpid() and owner["run"] not in _held:
        return True
    return bool(_start(owner["pid"]) != owner["start"])


def _system() -> str:
    """What tells apart the numbers of processes: this start of the machine, and the container."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""  # not Linux


def _start(pid: int) -> int | None:
    """Start of a process in clock ticks since the machine's; None if there is no such process."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in ENDED else int(fields[18])
