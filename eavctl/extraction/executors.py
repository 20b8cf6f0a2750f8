"""One function over many arguments in worker processes: results in order, and a few of them in memory."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, Literal, TypeVar

from eavctl.errors import DataError
from eavctl.jobs import useful

T = TypeVar("T")

ExecutorName = Literal["loky", "fork"]

AHEAD = 2  # calls handed out to each worker beside the one that it runs
PR_SET_PDEATHSIG = 1  # of prctl.h


def in_order(
    function: Callable[..., T],
    arguments: Iterable[tuple[Any, ...]],
    jobs: int,
    executor: ExecutorName = "loky",
) -> Iterator[T]:
    """Yield ``function(*each)`` of all arguments, in their order; they are gone through as they are needed.

    Parameters
    ----------
    jobs : worker processes; more than there are processors for are not started.
    executor : ``loky``, joblib's workers, new processes, safe in any program, which take most of a second to
        import what is needed. ``fork``, copies of this process, which start in milliseconds: for programs
        that have no threads and no locks but their own, as the command line.

    Raises
    ------
    DataError : a worker died.
    UsageError : fewer than one job.
    """
    jobs = useful(jobs)
    pool = _forks(jobs) if executor == "fork" and _can_fork() else _new_processes(jobs)
    call = partial(_run, function) if isinstance(pool, ProcessPoolExecutor) else function
    waiting: deque[Future[T]] = deque()
    todo = iter(arguments)
    try:
        while True:
            room = jobs * (1 + AHEAD) - len(waiting)
            waiting += [pool.submit(call, *each) for each in itertools.islice(todo, room)]
            if not waiting:
                break
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a worker process died, for want of memory or over a recording that crashes a decoder.\n"
            "Run again with fewer --jobs: what is done is kept"
        ) from None
    finally:
        for future in waiting:
            future.cancel()
        if waiting and isinstance(pool, ProcessPoolExecutor):
            _end(pool)
        else:
            pool.shutdown(wait=not waiting)


def _can_fork() -> bool:
    """Whether a fork is safe: another thread could hold a lock that its copy never gives back."""
    return sys.platform == "linux" and threading.active_count() == 1


def _forks(jobs: int) -> Executor:
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"), _begin)


def _end(pool: ProcessPoolExecutor) -> None:
    """End the forks soon, and wait for that: what they would go on to write is of no use.

    Each ends its call and then itself: one that died while it sent a result would be waited for for ever.
    """
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def _new_processes(jobs: int) -> Executor:
    from joblib.externals.loky import get_reusable_executor

    pool: Executor = get_reusable_executor(max_workers=jobs)
    return pool


class _Call:
    """What a fork is doing: whether it is in a call, and whether it was told to end."""

    runs = False
    is_ended = False


def _run(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a fork, which `_leave` can interrupt there and nowhere else."""
    if _Call.is_ended:
        raise KeyboardInterrupt
    _Call.runs = True
    try:
        return function(*arguments)
    finally:
        _Call.runs = False


def _leave(*_: Any) -> None:
    _Call.is_ended = True
    if _Call.runs:
        _Call.runs = False
        raise KeyboardInterrupt


def _begin() -> None:
    """What a fork does first: leave keyboard and terminal to its parent, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
