"""Connections whose request does not come are closed: else they would count as clients for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """The HTTP protocol of a server that waits so many seconds, twice at most, for the next request."""

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(seconds, self._look, None)

        def _look(self, before: object) -> None:
            """Close the connection if it waits for a request, as it did when it was looked at before."""
            if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a WebSocket's now
                return
            is_waiting = self.cycle is None or self.cycle.response_complete
            if is_waiting and self.cycle is before:
                self.transport.close()
            else:
                self.loop.call_later(seconds, self._look, self.cycle if is_waiting else self)

    return Impatient
