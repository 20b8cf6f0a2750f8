"""The state of the service: whether it takes requests, how many it is at, and its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Iterator
from typing import Any, NamedTuple

from eavctl.serving.messages import Message
from eavctl.serving.pool import BusyError, CrashedError, Pool

RETRY_S = 1  # a client that was refused may ask again then


class Limits(NamedTuple):
    """Bounds of the service.

    Parameters
    ----------
    body_bytes : of one request.
    held_bytes : of all requests at once.
    request_s : for one request, from its first byte to its answer.
    clients : requests and streams at once.
    waiting : requests that wait for a worker.
    drain_s : for what has begun when the service is to end.
    """

    body_bytes: int = 64 << 20
    held_bytes: int = 256 << 20
    request_s: float = 30.0
    clients: int = 64
    waiting: int = 64
    drain_s: float = 10.0


class State(enum.Enum):
    """What the service does, in this order; a word for sentences."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "ending"


class RefusalError(Exception):
    """A request that is not answered, with the HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence

    @property
    def headers(self) -> dict[str, str]:
        """Of the response."""
        found = {"Retry-After": str(RETRY_S)} if self.status in (429, 503) else {}
        return found | ({"Connection": "close"} if self.status == 413 else {})


class Service:
    """What all requests share.

    Parameters
    ----------
    pool : the workers.
    limits : bounds.

    Attributes
    ----------
    draining : set when the service is to end, for streams to end too.
    """

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self.pool, self.limits = pool, limits
        self.state = State.STARTING
        self.draining = asyncio.Event()
        self._n_clients = self._n_bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def require_ready(self) -> None:
        """Raise RefusalError while the service starts or ends."""
        if self.state is not State.READY:
            raise RefusalError(503, f"the service is {self.state.value}; ask again later")

    @contextlib.contextmanager
    def client(self) -> Iterator[None]:
        """Count one more client while the block runs.

        Raises
        ------
        RefusalError : there are too many.
        """
        if self._n_clients >= self.limits.clients:
            raise RefusalError(429, f"{self._n_clients} clients are served already; ask again later")
        self._n_clients += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._n_clients -= 1
            if not self._n_clients:
                self._empty.set()

    def require_size(self, n_bytes: int) -> None:
        """Raise RefusalError for a body of more bytes than one request may have."""
        if n_bytes > self.limits.body_bytes:
            raise RefusalError(413, f"the body is larger than {self.limits.body_bytes >> 20} MB")

    def hold(self, n_bytes: int) -> None:
        """Count bytes that a request holds; `release` gives them back.

        Raises
        ------
        RefusalError : requests hold too many.
        """
        if self._n_bytes + n_bytes > self.limits.held_bytes:
            raise RefusalError(429, "too many bytes of other requests are held; ask again later")
        self._n_bytes += n_bytes

    def release(self, n_bytes: int) -> None:
        """Count bytes that are no longer held."""
        self._n_bytes -= n_bytes

    async def ask(self, header: dict[str, Any], *blocks: bytes) -> Message:
        """Have a worker answer.

        Raises
        ------
        RefusalError : no worker is to be had, it crashed, or the request cannot be answered.
        """
        try:
            reply = await self.pool.run(Message(header, blocks))
        except BusyError:
            raise RefusalError(429, "too many requests wait for a worker; ask again later") from None
        except CrashedError:
            raise RefusalError(422, "the recording crashed its decoder: damaged, or too large") from None
        if "error" in reply.header:
            raise RefusalError(reply.header["status"], reply.header["error"])
        return reply

    async def drain(self) -> None:
        """Take no more requests, and wait for those that have begun, for a limited time."""
        self.state = State.DRAINING
        self.draining.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), self.limits.drain_s)
