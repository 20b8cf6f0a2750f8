"""A service with fixed answers that speaks the interface the page uses; its page is the real one."""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

import eavctl.serving
from eavctl.packaged import models as packaged

PAGE = Path(eavctl.serving.__file__).parent / "page"
POLICY = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: data:"
CLASSES = ["angry", "happy", "neutral", "sad"]
MODEL = "/v2/models/speech"
TABLE = b"PAR1 a table PAR1"
RIGHT = {
    "up_to": 0.8,
    "right": 0.92,
    "low": 0.84,
    "high": 0.98,
    "n_rows": 66,
    "over": "subjects",
    "measured_on": {"held_out": "dataset", "datasets": ["emodb", "nemo", "ravdess"]},
}


def answer(start: float, end: float, proba: list[float], **facts: Any) -> dict[str, Any]:
    """An answer as `Predictor.answer` gives it."""
    return {
        "recording": "clip.wav",
        "start": start,
        "end": end,
        "pred": CLASSES[proba.index(max(proba))],
        "proba": dict(zip(CLASSES, proba, strict=True)),
        "unsure": [],
        "right_out_of_fold": RIGHT,
        **facts,
    }


NO_ANSWER: dict[str, Any] = {
    "pred": None,
    "proba": None,
    "unsure": ["no speech"],
    "right_out_of_fold": None,
}


def live_answer(k: int, **facts: Any) -> dict[str, Any]:
    """The answer to window k of a session, with windows of 3 s a second apart."""
    return {
        **answer(float(k), k + 3.0, [0.5, 0.3, 0.2, 0.0] if k % 2 else [0.2, 0.2, 0.2, 0.4]),
        "t_start": float(k),
        "t_end": k + 3.0,
        "latency_ms": 47.3,
        "used": ["audio", "video"],
        "absent": [{"name": "eeg", "reason": "stalled for 1.2 s", "share": 1.0}],
        "gaps": {"audio": 0.12, "video": 0.0},
        "quality": {"frames": 8, "side": 96, "hop": 1.0, "dropped": 0},
        **facts,
    }


class StandIn:
    """What the service answers, and what it was asked.

    Attributes
    ----------
    modalities : of the model.
    clip : the answer to a whole recording.
    windows : the answers to its segments.
    live : the answers of a stream, sent at once when each modality has sent `enough` messages.
    refusal : status and sentence with which recordings and streams are refused.
    asked : type of the body, query and wanted type of each recording sent.
    fields : of the form, of the last recording.
    settings, messages : of the last stream: kind, time and payload of each message.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was asked, and answer as usual."""
        self.modalities = ["audio", "video"]
        self.clip = answer(0.0, 3.0, [0.76, 0.17, 0.04, 0.03])
        self.windows = [answer(k / 2, k / 2 + 3, [0.1 * k, 0.3, 0.6 - 0.1 * k, 0.1]) for k in range(6)]
        self.live = [live_answer(0)]
        self.enough = 1
        self.refusal: tuple[int, str] | None = None
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.fields: list[str] = []
        self.settings: dict[str, Any] = {}
        self.messages: list[tuple[int, float, bytes]] = []

    def app(self) -> ASGIApp:
        """The application."""
        return Starlette(
            routes=[
                Route("/", lambda request: FileResponse(PAGE / "index.html")),
                Mount("/page", StaticFiles(directory=PAGE)),
                Route("/v2/health/ready", lambda request: JSONResponse({"ready": True})),
                Route("/v2/models", lambda request: JSONResponse({"models": [{"name": "speech"}]})),
                Route(MODEL, self._about),
                Route(f"{MODEL}/infer", self._infer, methods=["POST"]),
                Route(f"{MODEL}/analysis", self._analysis, methods=["POST"]),
                WebSocketRoute(f"{MODEL}/stream", self._stream),
            ],
            middleware=[Middleware(_WithPolicy)],
        )

    def _about(self, request: Request) -> Response:
        facts = {"classes": CLASSES, "modalities": self.modalities, "window_s": 3.0}
        return JSONResponse({"name": "speech", **facts, "card": packaged.packaged("speech").card})

    async def _infer(self, request: Request) -> Response:
        accepted, query = request.headers["accept"], dict(request.query_params)
        self.asked.append((request.headers["content-type"].partition(";")[0], query, accepted))
        async with request.form() as form:  # no fields where the body is the file itself
            self.fields = list(form)
        if self.refusal:
            status, sentence = self.refusal
            return JSONResponse({"error": sentence}, status)
        if "parquet" in accepted:
            return Response(TABLE, media_type=accepted)
        found = self.windows if "segment" in query else [self.clip]
        facts = {"model": "speech", "recordings": 1, "classes": CLASSES, "rejected": [], "warnings": []}
        return JSONResponse({**facts, "predictions": found})

    async def _analysis(self, request: Request) -> Response:
        picture = io.BytesIO()
        Image.new("RGB", (900, 300), "white").save(picture, "png")
        return Response(picture.getvalue(), media_type="image/png")

    async def _stream(self, socket: WebSocket) -> None:
        await socket.accept()
        self.settings, self.messages = await socket.receive_json(), []
        if self.refusal:
            await socket.send_json({"error": self.refusal[1]})
            return
        await socket.send_json({"ready": True, "window_s": 3.0, "classes": CLASSES, "model": "speech"})
        is_due = True
        while (content := (message := await socket.receive()).get("bytes")) is not None:
            kind, captured = struct.unpack("<Bd", content[:9])
            self.messages.append((kind, captured, content[9:]))
            if is_due and self._has_enough():
                is_due = False
                for each in self.live:
                    await socket.send_json(each)
        if message["type"] == "websocket.receive":  # the end, and not a page that was left
            await socket.send_bytes(TABLE)
            await socket.close()

    def _has_enough(self) -> bool:
        kinds = [kind for kind, _, _ in self.messages]
        return all(kinds.count(kind) >= self.enough for kind in (1, 2)[: len(self.settings["modalities"])])


class _WithPolicy:
    """Adds the content security policy of the service."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self._app(scope, receive, with_policy)


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve in a thread on a free port; gives the address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(5)
