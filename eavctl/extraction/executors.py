"""Executors: what runs one function over many arguments, in this process or in workers.

An executor is a function ``f(jobs) -> WorkerPool``, registered by name. `map_in_order` does the rest: it
yields results in the order of the arguments, and hands out only a few calls ahead. One whose workers can be
on other machines has the fact ``probe``, and takes an address after its name, as in ``dask:local:4``: it is
``f(jobs, address)``, and ``probe(address)`` checks that the workers can be reached.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from eavctl import registry
from eavctl.errors import DataError, UsageError
from eavctl.jobs import end_with_parent, useful
from eavctl.registry import register

# multiprocessing and concurrent.futures are imported in functions: judging one recording needs neither.

T = TypeVar("T")

AHEAD = 2  # calls handed out to each worker besides the one that it runs


class WorkerPool:
    """What an executor makes; by itself, one that runs calls in this process.

    Attributes
    ----------
    capacity : calls that are handed out at once.
    broken : errors that a call's result raises when a worker has died.
    """

    capacity = 1
    broken: tuple[type[BaseException], ...] = ()

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Hand out ``function(*arguments)``; both can be pickled.

        Returns
        -------
        A `concurrent.futures.Future`, or what has its ``result`` and ``cancel``.
        """
        return _Later(function, arguments)

    def close(self, *, abandon: bool) -> None:
        """End the workers; with ``abandon``, results of calls that run are not wanted."""


class DeadlyCallError(DataError):
    """Workers died one after the other of the same call.

    Parameters
    ----------
    n_workers : that died.
    recordings : of the call, in words.
    """

    def __init__(self, n_workers: int, recordings: str = "the same recordings") -> None:
        super().__init__(
            f"{n_workers} workers died one after the other of {recordings}: out of memory, or a decoder "
            "crashed.\nLeave out the recording that is to blame; an extraction continues where it stopped"
        )
        self.n_workers = n_workers


def _named(executor: str) -> tuple[registry.Entry, tuple[str, ...]]:
    """The registered executor, and the address that its name carries, if any.

    Raises
    ------
    UsageError : no such executor, or an address for one that takes none.
    """
    name, _, address = executor.partition(":")
    entry = registry.get("executors", name)
    if address and "probe" not in entry.facts:
        raise UsageError(f"the executor {name!r} takes no address, and {executor!r} names one")
    return entry, (address,) if address else ()


def is_elsewhere(executor: str) -> bool:
    """Whether an executor's workers can be on other machines, which have the files by their paths alone.

    Raises
    ------
    UsageError : no such executor.
    """
    return "probe" in _named(executor)[0].facts


def probe(executor: str) -> None:
    """Check that an executor's workers can be reached, if they are elsewhere.

    Raises
    ------
    UsageError : no such executor, or no address.
    DataError : nothing answers there, or the workers do not fit.
    """
    entry, address = _named(executor)
    if address:
        entry.facts["probe"](*address)


def always() -> bool:
    """Say that the next argument can be drawn without waiting."""
    return True


def map_in_order(
    function: Callable[..., T],
    arguments: Iterable[tuple[Any, ...]],
    jobs: int,
    executor: str = "loky",
    *,
    is_ready: Callable[[], bool] = always,
    first_here: bool = False,
) -> Iterator[T]:
    """Yield ``function(*each)`` for all arguments, in their order.

    Arguments are drawn as they are needed.

    Parameters
    ----------
    jobs : worker processes; no more are started than there are processors or calls. With 1, the calls run in
        this process.
    executor : name of a registered executor. ``loky``: joblib's workers, new processes, safe in any program;
        they take most of a second to start. ``fork``: copies of this process, which start in milliseconds;
        for programs whose only threads and locks are their own, as the command line. ``serial``: this
        process. ``dask:tcp://host:8786``: the workers of a Dask scheduler, whatever the number of jobs;
        ``dask:local:4``: four of this machine.
    is_ready : whether the next argument can be drawn without waiting; until then results are yielded. By
        default it always can.
    first_here : the first call runs in this process, while the workers start.

    Raises
    ------
    DataError : a worker died, or workers elsewhere cannot be reached or are lost.
    DeadlyCallError : workers elsewhere died of the same call.
    UsageError : no such executor, or fewer than one job.
    """
    entry, address = _named(executor)
    n_first = 1 if jobs == 1 else max(useful(jobs), 2)
    todo, first = iter(arguments), list[tuple[Any, ...]]()
    for each in todo:
        first.append(each)
        if len(first) == n_first or not is_ready():
            break
    else:
        jobs = max(len(first), 1)  # no worker without a call
    pool: WorkerPool = entry.thing(jobs, *address)
    calls = (
        (_Later if first_here and i == 0 else pool.submit)(function, each)
        for i, each in enumerate(itertools.chain(first, todo))
    )
    waiting: deque[Any] = deque()
    try:
        while True:
            while len(waiting) < pool.capacity and (not waiting or is_ready()):
                call = next(calls, None)
                if call is None:
                    break
                waiting.append(call)
            if not waiting:
                break
            result = waiting[0].result()
            waiting.popleft()
            yield result
    except pool.broken:
        raise DataError(
            "a worker process died: out of memory, or a recording crashed its decoder.\n"
            "Run again with fewer --jobs; an extraction continues where it stopped"
        ) from None
    finally:
        for call in waiting:
            call.cancel()
        pool.close(abandon=bool(waiting))


def map_surviving(
    function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], jobs: int, executor: str = "loky"
) -> Iterator[T | None]:
    """Yield ``function(*each)`` for all arguments, in their order; None where a call ended its process.

    Every call runs in another process, also with one job: what a damaged file does to a library is then no
    end of the command.

    Parameters
    ----------
    jobs, executor : as of `map_in_order`; ``serial`` is none of them.
    """
    todo = list(arguments)
    done = 0
    while done < len(todo):
        pool = _others(min(useful(jobs), len(todo) - done), executor)
        waiting: deque[Any] = deque()
        try:
            while done < len(todo):
                ahead = itertools.islice(todo, done + len(waiting), done + pool.capacity)
                waiting += [pool.submit(function, each) for each in ahead]
                found = waiting.popleft().result()
                done += 1
                yield found
        except pool.broken:  # by one of those handed out: the next is called alone
            pool.close(abandon=True)
            pool = _others(1, executor)
            try:
                yield pool.submit(function, todo[done]).result()
            except pool.broken:
                yield None
            done += 1
        finally:
            pool.close(abandon=bool(waiting))


def _others(n_workers: int, executor: str) -> WorkerPool:
    """A pool of other processes: copies of this one where these are asked for and safe."""
    return _Forks(n_workers) if executor == "fork" and _can_fork() else _Loky(n_workers)


# --- this process -----------------------------------------------------------------------------------------


class _Later:
    """A call of this process, made when its result is asked for."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._function, self._arguments = function, arguments

    def result(self) -> Any:
        return self._function(*self._arguments)

    def cancel(self) -> None:
        pass


@register("executors", "serial")
def serial(jobs: int) -> WorkerPool:
    """One call after the other, in this process."""
    return WorkerPool()


# --- new processes ----------------------------------------------------------------------------------------


class _Loky(WorkerPool):
    def __init__(self, n_workers: int) -> None:
        from concurrent.futures.process import BrokenProcessPool

        from joblib.externals.loky import get_reusable_executor

        self.capacity = n_workers * (1 + AHEAD)
        self.broken = (BrokenProcessPool,)
        self._pool = get_reusable_executor(max_workers=n_workers)

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return self._pool.submit(function, *arguments)

    def close(self, *, abandon: bool) -> None:
        self._pool.shutdown(wait=not abandon)


@register("executors", "loky")
def loky(jobs: int) -> WorkerPool:
    """New processes by joblib's loky."""
    return _Loky(useful(jobs)) if jobs != 1 else serial(jobs)


# --- copies of this process -------------------------------------------------------------------------------


class _Forks(WorkerPool):
    def __init__(self, n_workers: int) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        self.capacity = n_workers * (1 + AHEAD)
        self.broken = (BrokenProcessPool,)
        self._pool = ProcessPoolExecutor(n_workers, multiprocessing.get_context("fork"), _begin)
        self._pool.submit(int)  # starts all workers now: later there may be threads

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return self._pool.submit(_run, function, *arguments)

    def close(self, *, abandon: bool) -> None:
        """End the forks, and wait for that: an abandoned one must not go on writing.

        Each ends its call and then itself. Were one killed while it sends a result, this would wait forever.
        """
        if abandon:
            for process in list((getattr(self._pool, "_processes", None) or {}).values()):
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=abandon)


@register("executors", "fork")
def fork(jobs: int) -> WorkerPool:
    """Copies of this process where that is safe, and else new processes."""
    return _Forks(useful(jobs)) if jobs != 1 and _can_fork() else loky(jobs)


def _can_fork() -> bool:
    """Whether a fork is safe: another thread could hold a lock that its copy never releases."""
    import threading

    return sys.platform == "linux" and threading.active_count() == 1


class _State:
    """What a fork is doing: whether it is in a call, and whether it must end."""

    runs = False
    is_ended = False


def _run(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a fork; `_leave` can interrupt it here and nowhere else."""
    if _State.is_ended:
        raise KeyboardInterrupt
    _State.runs = True
    try:
        return function(*arguments)
    finally:
        _State.runs = False


def _leave(*_: Any) -> None:
    _State.is_ended = True
    if _State.runs:
        _State.runs = False
        raise KeyboardInterrupt


def _begin() -> None:
    """Start a fork: leave keyboard and terminal signals to its parent, and end when the parent does."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    end_with_parent()
