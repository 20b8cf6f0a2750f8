"""Streams over a WebSocket: samples and pictures in, an answer a window out, a prediction table at the end.

The client's first message is text, see `eavctl.serving.hello`; the service answers ``{"ready": true, ...}``.
Then the client sends binary messages: a byte with the kind (1 audio, 2 video, 3 EEG), the time of capture as
a little-endian float64, in seconds on the client's clock, and the payload: float32 samples of one channel of
audio, float32 (n_chans, n) of EEG in microvolt, row by row, or one JPEG. Each answer is a text message, the
JSON object of ``eavctl live`` with ``dropped``, the number of windows that could not be judged in time.
``{"end": true}`` ends the stream: the last windows are judged, the table follows as one binary message, and
the service closes. ``{"error": "..."}`` says why a stream ends before that, or has no table.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import struct
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from eavctl.live.chunk import Chunk
from eavctl.live.needs import Needs
from eavctl.live.synchroniser import TOLERANCE_S, Synchroniser
from eavctl.live.window import Window
from eavctl.serving.hello import Hello, HelloError, is_end, read_hello
from eavctl.serving.messages import Message
from eavctl.serving.service import RefusalError, Service
from eavctl.serving.windows import JpegPicture, to_message

KINDS = {1: "audio", 2: "video", 3: "eeg"}
HEADER = struct.Struct("<Bd")
SAMPLE = np.dtype("<f4")
CAMERA_HZ = 10.0  # of a browser; the true rate is learned
MOST_FRAMES_HZ = 30.0
LATEST = 1e10  # seconds, of a client's clock
SPARE_S = 5.0  # of a ring, for windows that wait to be closed
QUEUED = 2  # windows that wait to be judged
MOST_ANSWERS = 4000  # that a table has; of longer streams, the newest
IDLE_S = 60.0  # without a message
POLL_S = 0.25
NAME = "stream"
NORMAL, POLICY, BUG, RESTART = 1000, 1008, 1011, 1012  # codes of RFC 6455


class _Given(NamedTuple):
    """See `eavctl.live.needs.Given`."""

    modality: str
    rate: float
    ch_names: tuple[str, ...] = ()
    name: str = NAME
    is_recorded: bool = False


async def stream(websocket: WebSocket) -> None:
    """Serve one stream, from its first message to its table."""
    service: Service = websocket.app.state.service
    await websocket.accept()
    try:
        service.require_ready()
        about = service.pool.about
        if websocket.path_params["model"] != about["name"]:
            raise RefusalError(404, f"no model of this name; the service has {about['name']}")
        if about["window"] is None:
            raise RefusalError(422, "the model standardises by several recordings: it judges no windows")
        needs = Needs(**about["window"])
        hello = read_hello(await _first(websocket), about["modalities"], needs.seconds)
        await websocket.send_json(
            {"ready": True, "model": about["name"], "classes": about["classes"], "window_s": needs.seconds}
        )
        await _Session(websocket, service, hello, needs).run()
    except (RefusalError, HelloError) as error:
        await _close(websocket, str(error), POLICY)
    except WebSocketDisconnect:
        return
    except Exception as error:
        await _close(websocket, f"a bug: {type(error).__name__}", BUG)
        raise
    else:
        await _close(websocket, "", RESTART if service.draining.is_set() else NORMAL)


async def _first(websocket: WebSocket) -> str:
    try:
        async with asyncio.timeout(IDLE_S):
            message = await websocket.receive()
    except TimeoutError:
        raise HelloError("the first message did not come") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    return message.get("text") or ""


async def _close(websocket: WebSocket, error: str, code: int) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # the client has gone
        if websocket.application_state is WebSocketState.CONNECTED:
            if error:
                await websocket.send_json({"error": error})
            await websocket.close(code)


class _Session:
    """One stream after its first message: three tasks that receive, cut windows, and have them judged."""

    def __init__(self, websocket: WebSocket, service: Service, hello: Hello, needs: Needs) -> None:
        self._websocket, self._service, self._hello, self._needs = websocket, service, hello, needs
        self._begin: float | None = None  # of the first window, as in a live session
        tracks = {each.modality: needs.track(each, SPARE_S) for each in _given(hello)}
        self._synchroniser = Synchroniser(
            tracks, needs.seconds, hello.hop, TOLERANCE_S, needs.margins, skip=False
        )
        self._arrived = asyncio.Event()
        self._queue: asyncio.Queue[Window | None] = asyncio.Queue(QUEUED)
        self._answers: deque[Mapping[str, Any]] = deque(maxlen=MOST_ANSWERS)
        self._n_dropped = 0
        self._next_frame = 0.0
        self._has_ended = False

    async def run(self) -> None:
        """Serve the stream, and send its table.

        Raises
        ------
        HelloError : the client breaks the protocol.
        RefusalError : the table cannot be made.
        WebSocketDisconnect : the client has gone.
        """
        tasks = [asyncio.create_task(each()) for each in (self._receive, self._cut, self._judge)]
        try:
            for each in asyncio.as_completed(tasks):
                await each
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not self._answers:
            await self._websocket.send_json({"error": "no window was answered, so there is no table"})
            return
        reply = await self._service.ask({"job": "table"}, json.dumps([*self._answers]).encode())
        await self._websocket.send_bytes(reply.blocks[0])

    # --- in -----------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Take messages until the client ends the stream, or the service is to end."""
        draining = asyncio.create_task(self._service.draining.wait())
        try:
            while not self._has_ended:
                receiving = asyncio.create_task(self._websocket.receive())
                await asyncio.wait([receiving, draining], timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    self._end()
                else:
                    self._take(receiving.result())
        finally:
            draining.cancel()

    def _take(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if message.get("bytes") is not None:
            self._push(message["bytes"])
        elif is_end(message["text"]):
            self._end()
        else:
            raise HelloError('a text message within a stream can only end it: {"end": true}')

    def _end(self) -> None:
        self._has_ended = True
        for modality in self._hello.modalities:
            self._synchroniser.ended(modality, "")
        self._arrived.set()

    def _push(self, message: bytes) -> None:
        if len(message) <= HEADER.size:
            raise HelloError("a binary message has a kind, a time and a payload")
        kind, stamp = HEADER.unpack_from(message)
        modality = KINDS.get(kind, "")
        if modality not in self._hello.modalities:
            raise HelloError(f"a message of kind {kind}, which the first message did not announce")
        if not math.isfinite(stamp) or abs(stamp) > LATEST:
            raise HelloError("a time of capture that is not a number of seconds")
        now, payload = time.monotonic(), message[HEADER.size :]
        if modality == "video":
            if now >= self._next_frame:
                self._next_frame = max(self._next_frame + 1 / MOST_FRAMES_HZ, now - 1 / MOST_FRAMES_HZ)
                self._synchroniser.push(modality, Chunk(JpegPicture(payload), now, stamp))
        else:
            samples, rate = self._samples(modality, payload)
            self._synchroniser.push(modality, Chunk(samples, now - samples.shape[-1] / rate, stamp))
        self._arrived.set()

    def _samples(self, modality: str, payload: bytes) -> tuple[np.ndarray, float]:
        """Samples of a message, and their rate."""
        n_chans = len(self._hello.ch_names) if modality == "eeg" else 1
        if len(payload) % (SAMPLE.itemsize * n_chans):
            raise HelloError(f"{modality}: the payload is no whole number of samples of {n_chans} channels")
        samples = np.frombuffer(payload, SAMPLE)
        if not np.isfinite(samples).all():
            raise HelloError(f"{modality}: samples that are not finite numbers")
        if modality == "eeg":
            return samples.reshape(n_chans, -1).astype(np.float64), self._hello.sfreq
        return samples.astype(np.float32), self._hello.rate

    # --- out ----------------------------------------------------------------------------------------------

    async def _cut(self) -> None:
        """Queue windows as they are complete; those that find no room are dropped."""
        while not self._synchroniser.exhausted():
            now = time.monotonic()
            window = self._synchroniser.poll(now)
            if window is None:
                await self._wait(now)
                continue
            if self._begin is None:
                self._begin = window.start
            if self._has_ended:
                await self._queue.put(window)
            elif self._queue.full():
                self._n_dropped += 1
            else:
                self._queue.put_nowait(window)
        await self._queue.put(None)

    async def _wait(self, now: float) -> None:
        """Wait for what comes next, or until a window is complete without it."""
        deadline = self._synchroniser.next_deadline(now)
        seconds = POLL_S if deadline is None else min(max(deadline - now, 0.0), POLL_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        self._arrived.clear()

    async def _judge(self) -> None:
        """Have windows judged, one by one, and send the answers."""
        while (window := await self._queue.get()) is not None:
            answer = await self._answer(window)
            if answer is None:
                self._n_dropped += 1
                continue
            answer["latency_ms"] = round(1000 * (time.monotonic() - window.end), 1)
            answer["dropped"] = self._n_dropped
            if answer["pred"] is not None:
                self._answers.append(answer)
            await self._websocket.send_text(json.dumps(answer))

    async def _answer(self, window: Window) -> dict[str, Any] | None:
        """The answer to a window; None where no worker is to be had."""
        try:
            return await self._asked(window)
        except RefusalError as error:
            if error.status == 429:
                return None
            reason = "crashed its decoder" if error.status == 422 else error.sentence
        except TimeoutError:
            reason = "took too long"
        absent = {**window.absent, **dict.fromkeys(window.signals, reason)}
        with contextlib.suppress(RefusalError, TimeoutError):
            return await self._asked(window._replace(signals={}, gaps={}, absent=absent))
        return None

    async def _asked(self, window: Window) -> dict[str, Any]:
        header = {"job": "window", "name": NAME, "begin": self._begin}
        message: Message = to_message(window, header, self._needs.frames)
        async with asyncio.timeout(self._service.limits.request_s):
            reply = await self._service.ask(dict(message.header), *message.blocks)
        answer: dict[str, Any] = json.loads(reply.blocks[0])
        return answer


def _given(hello: Hello) -> Iterator[_Given]:
    rates = {"audio": hello.rate, "eeg": hello.sfreq, "video": CAMERA_HZ}
    for modality in hello.modalities:
        yield _Given(modality, rates[modality], hello.ch_names if modality == "eeg" else ())
