"""The page in headless Chromium, whose camera and microphone are files."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLIP = {"name": "clip.wav", "mimeType": "audio/wav", "buffer": b"RIFF of a clip"}
PATIENCE_MS = 10_000


def device_files(folder: Path, sound: np.ndarray, rate: int, picture: Image.Image) -> list[str]:
    """Chromium's arguments for a microphone that gives this sound, and a camera that gives this picture.

    Both begin again at their end.
    """
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    frame = io.BytesIO()
    picture.save(frame, "jpeg")
    (folder / "film.mjpeg").write_bytes(frame.getvalue() * 4)
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'sound.wav'}",
        f"--use-file-for-fake-video-capture={folder / 'film.mjpeg'}",
    ]


@contextmanager
def open_tab(chromium: str, devices: Sequence[str]) -> Iterator[Any]:
    """A tab of a browser that reaches this machine alone."""
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*sandbox, alone, *devices])
        context = browser.new_context(permissions=["camera", "microphone"])
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
        browser.close()


class Shown:
    """The page in a tab, with what goes wrong in it."""

    def __init__(self, tab: Any, address: str) -> None:
        self.page, self.address = tab, address
        self.foreign: list[str] = []
        self.faults: list[str] = []
        self.may_refuse = False  # the browser itself logs each answer that is an error
        self._listeners = {
            "request": self._on_request,
            "console": self._on_console,
            "pageerror": lambda error: self.faults.append(str(error)),
        }
        for event, listener in self._listeners.items():
            tab.on(event, listener)
        self.load()

    def load(self) -> None:
        """Load the page, and wait until it takes recordings."""
        self.page.goto(self.address)
        self.page.wait_for_selector("#file:enabled", state="attached")

    def close(self) -> None:
        """Leave the page; nothing may have gone wrong in it, and no other host been asked."""
        self.page.evaluate("localStorage.clear()")
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.page.goto("about:blank")
        assert not self.foreign
        assert not self.faults

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.address, f"blob:{self.address}")):
            self.foreign.append(request.url)

    def _on_console(self, message: Any) -> None:
        is_refusal = message.text.startswith("Failed to load resource") and self.may_refuse
        if message.type in ("error", "warning") and not is_refusal:
            self.faults.append(message.text)

    def text(self, selector: str) -> str:
        """What is shown there."""
        return str(self.page.inner_text(selector)).replace("\xa0", " ")

    def judge(self, clip: dict[str, Any] = CLIP) -> None:
        """Choose a clip and wait for its answer."""
        self.page.set_input_files("#file", clip)
        self.page.wait_for_selector("#downloads:visible")

    def record(self) -> None:
        """Start to record and wait for an answer."""
        self.page.click("#start")
        self.page.wait_for_selector("#course svg")

    def shares(self) -> list[float]:
        """Width of each bar over that of its track, once the bars have come to rest."""
        self.page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
        script = (
            "(bars) => bars.map((bar) => bar.getBoundingClientRect().width / bar.parentElement.offsetWidth)"
        )
        return [float(x) for x in self.page.eval_on_selector_all("#bars i", script)]
