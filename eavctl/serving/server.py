"""Run the service: start its workers, listen, and end in order when a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from eavctl.errors import DataError
from eavctl.jobs import useful
from eavctl.packaged import models as packaged
from eavctl.serving.app import make_app
from eavctl.serving.connections import impatient
from eavctl.serving.pool import WORKER, Pool
from eavctl.serving.service import Limits, Service, State

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
SHUTDOWN_S = 1  # for connections to close, once the requests have ended
MOST_CONNECTIONS = 256  # with those that send nothing
MESSAGE_BYTES = 1 << 20  # of a stream's message
MESSAGES = 8  # of a stream that wait to be read

Ready = Callable[[str, dict[str, Any]], None]


class _Server(uvicorn.Server):
    """A server that leaves signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    model: str | os.PathLike[str],
    *,
    weights: Sequence[str | os.PathLike[str]] = (),
    host: str = "127.0.0.1",
    port: int = 8080,
    jobs: int = 2,
    limits: Limits = Limits(),  # noqa: B008  # a tuple of numbers
    worker: Sequence[str] = WORKER,
    on_ready: Ready = lambda url, about: None,
) -> int:
    """Serve a model until a signal comes; what has begun is finished first.

    Parameters
    ----------
    model, weights : as `eavctl.predicting.predictor.Predictor.load` takes them.
    host, port : where to listen; port 0 takes a free one.
    jobs : worker processes, at most one a processor.
    limits : bounds.
    worker : the command that starts a worker.
    on_ready : called with the address and the model's metadata once requests are taken.

    Returns
    -------
    The number of the signal.

    Raises
    ------
    DataError : the model cannot be loaded, or the address cannot be had.
    """
    found = packaged.find(model)
    first = {
        "model": str(found) if isinstance(found, packaged.PackagedModel) else os.path.abspath(found),
        "weights": [os.path.abspath(each) for each in weights],
    }
    with _listening(host, port) as listener:
        pool = Pool(first, useful(jobs), limits.waiting, worker)
        return asyncio.run(_serve(pool, limits, listener, host, on_ready))


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{host}:{port}: cannot listen there ({reason}); name another --port") from None
    # Connections inherit it; asyncio sets it for no socket of this kind. An answer's second packet would wait
    # for the client to acknowledge the first, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _serve(pool: Pool, limits: Limits, listener: socket.socket, host: str, on_ready: Ready) -> int:
    service = Service(pool, limits)
    config = uvicorn.Config(
        make_app(service, host),
        http=impatient(limits.request_s),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ws_max_size=MESSAGE_BYTES,
        ws_max_queue=MESSAGES,
        ws_per_message_deflate=False,
    )
    server = _Server(config)
    ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with _signals(ending, server):
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            starting = asyncio.create_task(pool.start())
            either: list[asyncio.Future[Any]] = [starting, ending]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                service.state = State.READY
                on_ready(_url(listener, host), pool.about)
            number = await ending
            starting.cancel()
            await service.drain()
            return number
        finally:
            server.should_exit = True
            await running
            await pool.close()


@contextlib.contextmanager
def _signals(ending: asyncio.Future[int], server: uvicorn.Server) -> Iterator[None]:
    """Let a signal set the future, and a second one end the server at once."""
    loop = asyncio.get_running_loop()

    def end(number: int) -> None:
        if ending.done():
            server.force_exit = True
        else:
            ending.set_result(number)

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    taken = [each for each in numbers if signal.getsignal(each) != signal.SIG_IGN]  # as under nohup
    before = {number: signal.getsignal(number) for number in taken}
    for number in taken:
        loop.add_signal_handler(number, end, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _url(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
