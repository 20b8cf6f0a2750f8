"""A pool of worker processes: one request a worker at a time, and a new worker for each that is lost.

A decoder that crashes or hangs on a recording takes down its worker, and no other request: the pool starts
another worker at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.errors import DataError
from eavctl.serving.messages import Message, read_async

WORKER = (sys.executable, "-P", "-m", "eavctl.serving.worker")  # -P: no module from the working folder
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
MOST_RESIDENT_BYTES = 4 << 30  # a worker of more is replaced after its request
PAUSE_S = 1.0  # before a worker is started again that ended while it started
BUFFER_BYTES = 1 << 20


class BusyError(Exception):
    """Too many requests wait for a worker."""


class CrashedError(Exception):
    """The worker ended while it was at the request."""


class _Worker:
    """A worker process: its socket, and the folder in which it works."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process, self._reader, self._writer = process, reader, writer

    @classmethod
    async def start(cls, command: Sequence[str], folder: str) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                cwd=folder,
                env=_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=BUFFER_BYTES)
        return cls(process, reader, writer)

    async def ask(self, request: Message) -> Message:
        """Send a request and receive the reply; the worker is killed where that does not come to an end."""
        try:
            self._writer.write(request.to_bytes())
            await self._writer.drain()
            return await read_async(self._reader)
        except (OSError, asyncio.IncompleteReadError):
            self.kill()
            raise CrashedError from None
        except BaseException:  # cancelled: the request takes too long, or the service ends
            self.kill()
            raise

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None and not self._reader.at_eof()

    def kill(self) -> None:
        self._writer.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


def _environment() -> dict[str, str]:
    """Of a worker: modules are found as in this process, whatever its folder, and sums use one thread."""
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return {**ONE_THREAD, **os.environ, "PYTHONPATH": path}


class Pool:
    """Workers of one model.

    Parameters
    ----------
    first : the header of the first message to a worker, such as its ``model``.
    n_workers : how many.
    most_waiting : requests that wait for a worker, before others are refused.
    command : starts a worker; the descriptor of its socket is appended.

    Attributes
    ----------
    about : what a worker says of its model; empty before the first is ready.
    """

    def __init__(
        self,
        first: Mapping[str, Any],
        n_workers: int,
        most_waiting: int,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._first, self._n_workers, self._most_waiting = dict(first), n_workers, most_waiting
        self._command = command
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._n_waiting = 0
        self._keepers: list[asyncio.Task[None]] = []
        self.about: dict[str, Any] = {}

    async def start(self) -> None:
        """Start the workers; return when one is ready.

        Raises
        ------
        DataError : the model cannot be loaded.
        """
        ready = asyncio.Event()
        self._keepers = [asyncio.create_task(self._keep(ready)) for _ in range(self._n_workers)]
        waiting = asyncio.create_task(ready.wait())
        done, _ = await asyncio.wait([waiting, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for each in done - {waiting}:
            each.result()

    async def _keep(self, ready: asyncio.Event) -> None:
        """Have one worker, and another when that is lost."""
        while True:
            try:
                await self._keep_one(ready)
            except OSError as error:  # too many processes or open files, or a full disk
                if not ready.is_set():
                    raise DataError(f"a worker process cannot be started: {error.strerror}") from None
                await asyncio.sleep(PAUSE_S)

    async def _keep_one(self, ready: asyncio.Event) -> None:
        with tempfile.TemporaryDirectory(prefix="eavctl-", ignore_cleanup_errors=True) as folder:
            worker = await _Worker.start(self._command, folder)
            try:
                await self._begin(worker, ready)
                await worker.process.wait()
            finally:
                worker.kill()
                await worker.process.wait()

    async def _begin(self, worker: _Worker, ready: asyncio.Event) -> None:
        """Let a worker load the model, and offer it to requests."""
        try:
            hello = await worker.ask(Message(self._first))
        except CrashedError:
            if not ready.is_set():
                raise DataError("a worker process ended while it loaded the model: out of memory?") from None
            await asyncio.sleep(PAUSE_S)
            return
        if "about" not in hello.header:
            if not ready.is_set():
                raise DataError(str(hello.header["error"]))
            await asyncio.sleep(PAUSE_S)
            return
        self.about = hello.header["about"]
        self._idle.put_nowait(worker)
        ready.set()

    async def run(self, request: Message) -> Message:
        """Have a request answered by the next worker that is free.

        Raises
        ------
        BusyError : too many wait already.
        CrashedError : the worker ended while it was at the request.
        """
        if self._idle.empty() and self._n_waiting >= self._most_waiting:
            raise BusyError
        self._n_waiting += 1
        try:
            worker = await self._next()
        finally:
            self._n_waiting -= 1
        reply = await worker.ask(request)
        if reply.header.get("resident_bytes", 0) > MOST_RESIDENT_BYTES:
            worker.kill()
        else:
            self._idle.put_nowait(worker)
        return reply

    async def _next(self) -> _Worker:
        while True:
            worker = await self._idle.get()
            if worker.is_alive:
                return worker

    async def close(self) -> None:
        """End the workers, whatever they are at."""
        for each in self._keepers:
            each.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
