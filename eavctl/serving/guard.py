"""What stands before every request: who may ask, how much, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eavctl.serving.service import RefusalError, Service, State

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"0.0.0.0", "::", ""})
HEALTH = "/v2/health/"
SAFE = ("GET", "HEAD", "OPTIONS")
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: data:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: refuses foreign hosts and origins, and requests over the service's bounds.

    A page of another site must not use a service of this machine: its requests have another ``Origin``, or,
    where its name was made to lead here, another ``Host``.

    Parameters
    ----------
    app : what answers the others.
    service : its bounds and its state.
    host : the address on which it listens.
    """

    def __init__(self, app: ASGIApp, service: Service, host: str) -> None:
        self._app, self._service, self._host = app, service, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one stream."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = _Request(self._service, receive, send)
        try:
            self._check(scope)
            with self._counted(scope), request.held():
                limit = self._service.limits.request_s if scope["type"] == "http" else None
                async with asyncio.timeout(limit):
                    await self._app(scope, request.receive, request.send)
        except RefusalError as refusal:
            await request.refuse(scope, refusal)
        except TimeoutError:
            seconds = self._service.limits.request_s
            await request.refuse(scope, RefusalError(503, f"the request took more than {seconds:g} s"))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(_without_port(host)):
            raise RefusalError(403, "the Host header names another machine than this one")
        origin = headers.get("origin")
        is_safe = scope["type"] == "http" and scope["method"] in SAFE
        if origin is not None and not is_safe and origin not in (f"http://{host}", f"https://{host}"):
            raise RefusalError(403, "the request comes from a page of another site")
        length = headers.get("content-length", "0")
        if length.isdecimal():
            self._service.require_size(int(length))

    def _is_ours(self, name: str) -> bool:
        if name in LOCAL or name == self._host.lower():
            return True
        return self._host in WILDCARDS and (_is_address(name) or name == socket.gethostname().lower())

    @contextlib.contextmanager
    def _counted(self, scope: Scope) -> Iterator[None]:
        """Count the client; health is answered whatever the service is at."""
        if scope["path"].startswith(HEALTH):
            yield
            return
        if self._service.state is State.DRAINING:
            self._service.require_ready()
        with self._service.client():
            yield


class _Request:
    """One request: counts the bytes of its body, and knows whether its response has begun."""

    def __init__(self, service: Service, receive: Receive, send: Send) -> None:
        self._service, self._receive, self._send = service, receive, send
        self._n_bytes, self._has_begun = 0, False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Give the bytes back at the end."""
        try:
            yield
        finally:
            self._service.release(self._n_bytes)

    async def receive(self) -> Message:
        """Receive a part of the body; the messages of a stream have bounds of their own."""
        message = await self._receive()
        if message["type"] == "http.request":
            n_bytes = len(message.get("body", b""))
            self._service.require_size(self._n_bytes + n_bytes)
            self._service.hold(n_bytes)
            self._n_bytes += n_bytes
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers that every response has."""
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._has_begun = True
            headers = message.setdefault("headers", [])
            there = {name.lower() for name, _ in headers}
            added = ((name.lower().encode(), value.encode()) for name, value in SECURITY.items())
            message["headers"] = [*headers, *(each for each in added if each[0] not in there)]
        elif message["type"] == "websocket.accept":
            self._has_begun = True
        await self._send(message)

    async def refuse(self, scope: Scope, refusal: RefusalError) -> None:
        """Answer that the request is refused, unless the response has begun."""
        if not self._has_begun:
            await error_response(refusal)(scope, self._receive, self.send)


def error_response(refusal: RefusalError) -> JSONResponse:
    """The response to a refused request."""
    return JSONResponse({"error": refusal.sentence}, refusal.status, refusal.headers)


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    name = name if name and port.isdecimal() else host
    return name.strip("[]").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
