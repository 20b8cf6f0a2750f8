"""Workers of a Dask cluster, on this machine or on others: calls and results travel, recordings do not."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from eavctl.errors import DataError, UsageError
from eavctl.extraction.executors import AHEAD, DeadlyCallError, WorkerPool, serial
from eavctl.jobs import useful
from eavctl.memory import keep_freed_memory
from eavctl.registry import register
from eavctl.storage.provenance import versions
from eavctl.version import __version__

LOCAL = "local"
ADDRESS = re.compile(r"((tcp|tls|wss?)://)?([\w.-]+|\[[\da-fA-F:.%]+\]):\d+(/\S*)?")
ANSWER_S = 10.0  # that a scheduler has for an answer
PATIENCE_S = 30.0  # that work waits for a first worker, or another one, or a scheduler that is silent
STEP_S = 1.0  # between two looks at the workers
CLOSE_S, END_S = 2.0, 10.0  # for leaving a cluster, and for ending one
# Packages that compute features; a worker need not have those that its recordings do not need.
COMPARED = ("numpy", "scipy", "soundfile", "soxr", "av", "mne", "pillow", "torch")


@register("executors", "dask", probe=lambda address: _probe(address))
def dask(jobs: int, address: str = "") -> WorkerPool:
    """Workers of Dask: ``dask:tcp://host:8786`` of a scheduler, ``dask:local:4`` new ones of this machine.

    Without an address there are as many new ones as jobs.

    Raises
    ------
    UsageError : no address of a scheduler.
    DataError : Dask is not installed, no scheduler answers there, it has no workers, or they do not fit: they
        have other versions of packages, or several threads, in which features are not computed.
    """
    if not address:
        return serial(jobs) if jobs == 1 else _Cluster(f"{LOCAL}:{useful(jobs)}")
    return _Cluster(address)


def _probe(address: str) -> None:
    """Check that a scheduler answers, and that the workers that it has fit; new workers are not started.

    Raises
    ------
    UsageError, DataError : as `dask`.
    """
    if _n_local(address) is not None:
        _distributed()
        return
    with _connected(address) as client:
        _check_workers(client)


class _Cluster(WorkerPool):
    """The workers of one scheduler.

    Parameters
    ----------
    address : of the scheduler, or ``local:N`` for N new processes.
    """

    broken = ()  # results raise errors that say what to do

    def __init__(self, address: str) -> None:
        self._address = address
        self._here = versions(*COMPARED), os.getcwd()
        with contextlib.ExitStack() as stack:
            self._client = stack.enter_context(_connected(address))
            self._await_workers()
            _check_workers(self._client)
            self._stack = stack.pop_all()

    def _await_workers(self) -> None:
        self._n_threads, self._looked, self._seen = 0, 0.0, time.monotonic()
        while not self.capacity:
            self.require_workers()
            time.sleep(STEP_S / 10)

    @property
    def capacity(self) -> int:  # type: ignore[override]  # it changes as workers come and go
        """Calls that are handed out at once."""
        self._look()
        return self._n_threads * (1 + AHEAD)

    def _look(self) -> None:
        """Count the workers' threads, if that was some time ago."""
        now = time.monotonic()
        if now < self._looked + (STEP_S if self._n_threads else 0):
            return
        with contextlib.suppress(Exception):  # no answer, of which `require_workers` and results tell
            self._n_threads = sum(self._client.nthreads(callback_timeout=ANSWER_S).values())
            if self._n_threads:
                self._seen = time.monotonic()
        self._looked = time.monotonic()

    def require_workers(self) -> None:
        """Check that there are workers, or were until a moment ago.

        Raises
        ------
        DataError : there are none, or the scheduler is silent.
        """
        self._look()
        if time.monotonic() > self._seen + PATIENCE_S:
            raise DataError(
                f"{self._address}: no workers, or no answer of the Dask scheduler, for {PATIENCE_S:.0f} s.\n"
                f"Start workers: dask worker {self._address} --nthreads 1 --nworkers N"
            )

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Call:
        """Hand out a call; it is made once, or again where its worker dies."""
        # Pickled here, for Dask would look through the arguments for futures.
        call = pickle.dumps((function, arguments))
        try:
            return _Call(self, self._client.submit(_run, *self._here, call, pure=False))
        except Exception as error:  # the client has closed itself
            raise self.lost() from error

    def close(self, *, abandon: bool) -> None:
        """Leave the cluster, and end it if it was started here; calls that wait are dropped with that."""
        self._stack.close()

    def lost(self) -> DataError:
        """The error for a scheduler that has gone."""
        return DataError(
            f"{self._address}: the connection to the Dask scheduler is lost.\n"
            "Run again once it is back; an extraction continues where it stopped"
        )


class _Call:
    """A call that was handed out."""

    def __init__(self, pool: _Cluster, future: Any) -> None:
        self._pool, self._future = pool, future

    def result(self) -> Any:
        """Wait for the result, as long as there are workers.

        Raises
        ------
        DataError : the workers or the scheduler are lost.
        DeadlyCallError : every worker that made the call died.
        """
        from distributed import CancelledError, KilledWorker, wait

        try:
            while not self._future.done():
                with contextlib.suppress(TimeoutError), self._future.client.as_current():
                    wait(self._future, timeout=STEP_S)
                    break
                self._pool.require_workers()
            outcome = self._future.result()
        except KilledWorker as error:
            raise DeadlyCallError(1 + error.allowed_failures) from None
        except (CancelledError, OSError):
            raise self._pool.lost() from None
        except (ImportError, AttributeError) as error:
            raise _unfit("a Dask worker", error) from error
        if outcome.error is not None:
            raise pickle.loads(outcome.error)
        return outcome.result

    def cancel(self) -> None:
        """Drop the call, unless it runs."""
        with contextlib.suppress(Exception):  # the scheduler may have gone
            self._future.cancel()


# --- on the driver ----------------------------------------------------------------------------------------


def _distributed() -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise DataError("--dask needs Dask: pip install 'eavctl[dask]'") from error
    return distributed


def _n_local(address: str) -> int | None:
    """The number of new workers of ``local:N``; None for the address of a scheduler.

    Raises
    ------
    UsageError : neither.
    """
    name, _, number = address.partition(":")
    if name == LOCAL and number.isascii() and number.isdecimal() and int(number) > 0:
        return int(number)
    if name == LOCAL or not ADDRESS.fullmatch(address):
        raise UsageError(
            f"{address!r} is no Dask scheduler: give its address, such as tcp://host:8786, or local:4 for "
            "four workers on this machine"
        )
    return None


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Yield a client of a scheduler; log lines of Dask are left out for as long.

    Raises
    ------
    UsageError, DataError : as `dask`.
    """
    n_local, distributed = _n_local(address), _distributed()
    from distributed.utils import silence_logging_cmgr

    with contextlib.ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL + 1))
        if n_local is None:
            try:
                client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False)
            except Exception as error:  # whatever listens there can answer anything
                reason = " ".join(str(error).split())
                raise DataError(f"{address}: no Dask scheduler answers ({reason})") from error
        else:
            with _without_signals():
                cluster = distributed.LocalCluster(
                    n_workers=n_local,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL + 1,
                )
                stack.callback(_ended, cluster.close, END_S)
            client = distributed.Client(cluster, timeout=ANSWER_S, set_as_default=False)
        stack.callback(_ended, client.close, CLOSE_S)
        yield client


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Start threads and processes to which the keyboard's and the terminal's signals never come.

    Those that come for this process meanwhile are late.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # later, its start would let the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(close: Callable[..., Any], seconds: float) -> None:
    """Close a client or a cluster, whose other side may be gone."""
    with contextlib.suppress(Exception):
        close(timeout=seconds)


def _check_workers(client: Any) -> None:
    """Check the workers that a scheduler has now; each call checks its own again, for others may come.

    Raises
    ------
    DataError : one does not fit.
    """
    here = versions(*COMPARED)
    try:
        found = client.run(_misfit, here, on_error="return", callback_timeout=ANSWER_S)
    except TimeoutError as error:
        raise DataError(f"the Dask workers do not answer within {ANSWER_S:.0f} s") from error
    for worker, misfit in found.items():
        if isinstance(misfit, OSError):  # it is leaving
            continue
        if isinstance(misfit, Exception):
            raise _unfit(f"Dask worker {worker}", misfit) from misfit
        if misfit:
            raise DataError(f"Dask worker {worker} {misfit}")


def _unfit(worker: str, error: Exception) -> DataError:
    return DataError(f"{worker} cannot run eavctl {__version__} ({error}); install it there as here")


# --- in a worker ------------------------------------------------------------------------------------------


def _misfit(here: dict[str, str], dask_worker: Any) -> str:
    """Why a worker cannot compute what the process that asks for it would; empty where it can.

    Parameters
    ----------
    here : versions of the packages in that process.
    """
    there = versions(*COMPARED)
    python, ours = (each["python"].rpartition(".")[0] for each in (there, here))
    compared = {"Python": (python, ours)}
    compared |= {name: (there[name], here[name]) for name in here if name in there and name != "python"}
    for name, (theirs, own) in compared.items():
        if theirs != own:
            return f"has {name} {theirs}, and this process {own}: features would differ; install the same"
    n_threads = dask_worker.state.nthreads
    if n_threads != 1:
        return (
            f"has {n_threads} threads, and features are computed by one thread a process: start it with "
            f"--nthreads 1, and --nworkers {n_threads} for as many processes"
        )
    return ""


class _Outcome(NamedTuple):
    """The result of a call, or the error that it raised, pickled.

    Dask would send the error with its traceback, and one of a thousand levels stops the receiver for ever.
    """

    result: Any = None
    error: bytes | None = None


def _run(here: dict[str, str], folder: str, call: bytes) -> _Outcome:
    """Make a call in a worker, in the folder of the process that asks for it, for paths can be relative.

    Parameters
    ----------
    here : versions of the packages in that process.
    call : the function and its arguments, pickled.
    """
    try:
        return _Outcome(_called(here, folder, call))
    except Exception as error:
        error.add_note(traceback.format_exc())
        error.__cause__ = error.__context__ = error.__traceback__ = None  # the note has them
        try:
            return _Outcome(error=pickle.dumps(error))
        except Exception:  # an error of a library can hold anything
            return _Outcome(error=pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}")))


def _called(here: dict[str, str], folder: str, call: bytes) -> Any:
    """The result of a call.

    Raises
    ------
    DataError : the worker does not fit, or lacks a package; or whatever the call raises.
    """
    from distributed import get_worker

    worker = get_worker()
    if misfit := _misfit(here, worker):
        raise DataError(f"Dask worker {worker.address} {misfit}")
    try:
        keep_freed_memory()  # Dask has it returned at once, which doubles the time of features
        with contextlib.chdir(folder) if os.path.isdir(folder) else contextlib.nullcontext():
            function, arguments = pickle.loads(call)
            return function(*arguments)
    except ModuleNotFoundError as error:
        raise DataError(
            f"Dask worker {worker.address} ({socket.gethostname()}) lacks a package: {error}; install eavctl "
            "there as here"
        ) from error
