"""Clients that leave, and workers that cannot be started: the service goes on, without a line in its log."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from eavctl.errors import DataError
from eavctl.serving import pool as pools
from eavctl.serving.app import make_app
from eavctl.serving.messages import Message
from eavctl.serving.pool import Pool
from eavctl.serving.service import Limits, Service, State

WORKER = """
import os, socket, sys
from eavctl.serving.messages import Message, read
with socket.socket(fileno=int(sys.argv[1])) as channel, channel.makefile("rwb") as stream:
    while (request := read(stream)) is not None:
        if "end" in request.header:
            os._exit(1)
        stream.write(Message({"about": {"name": "m"}}).to_bytes())
        stream.flush()
"""


@pytest.mark.parametrize("kind", ["application/octet-stream", "multipart/form-data; boundary=x"])
def test_a_client_that_leaves_within_its_body_is_no_bug(kind):
    service = Service(SimpleNamespace(about={"name": "m"}), Limits())
    service.state = State.READY
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v2/models/m/infer",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind.encode())],
    }
    parts = iter([{"type": "http.request", "body": b"--x", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(parts)

    async def send(message):
        pass

    asyncio.run(make_app(service, "localhost")(scope, receive, send))
    with service.client():  # nothing of it is still counted
        service.hold(service.limits.held_bytes)


def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch):
    monkeypatch.setattr(pools, "PAUSE_S", 0.05)

    async def run():
        pool = Pool({}, 1, 1, (sys.executable, "-c", WORKER))
        try:
            await pool.start()
            pool._command = ("/no/such/program",)
            with pytest.raises(pools.CrashedError):
                await pool.run(Message({"end": True}))
            await asyncio.sleep(0.1)
            pool._command = (sys.executable, "-c", WORKER)
            async with asyncio.timeout(10):
                return await pool.run(Message({}))
        finally:
            await pool.close()

    assert "about" in asyncio.run(run()).header


def test_workers_that_can_never_be_started_are_an_error():
    async def run():
        pool = Pool({}, 2, 1, ("/no/such/program",))
        try:
            await pool.start()
        finally:
            await pool.close()

    with pytest.raises(DataError, match="worker"):
        asyncio.run(run())
