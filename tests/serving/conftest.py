"""A service in a process of its own, and a small client."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

for module in ("starlette", "uvicorn", "websockets", "python_multipart"):
    pytest.importorskip(module)

START_S, END_S = 60, 20
HERE = Path(__file__).parent
OTHER = """
import sys
from eavctl.serving.server import serve
from eavctl.serving.service import Limits
serve("speech-small", port=0, jobs=1, limits=Limits(**{limits}), worker=[sys.executable, {worker!r}],
      on_ready=lambda url, about: print(url, flush=True))
"""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """A running service."""

    model = "/v2/models/speech-small"

    def __init__(self, command: list[str], scratch: Path) -> None:
        self.scratch = scratch
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        is_told, _, _ = select.select([self.process.stdout], [], [], START_S)
        self.url = self.process.stdout.readline().strip() if is_told else ""
        assert self.url.startswith("http://"), self.process.stderr.read()
        self.address = urlsplit(self.url).netloc

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=timeout)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def infer(self, body: Any, query: str = "", **headers: str) -> Answer:
        headers = {"Content_Type": "application/octet-stream", **headers}
        return self.ask("POST", f"{self.model}/infer{query}", body, **headers)

    def features(self, content: Any) -> Answer:
        return self.infer(json.dumps(content), Content_Type="application/json")

    def infer_form(self, files: Mapping[str, tuple[str, bytes]]) -> Answer:
        """Post a form of files: name and content by field."""
        parts = [
            f'--limit\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
            + content
            + b"\r\n"
            for field, (name, content) in files.items()
        ]
        body = b"".join([*parts, b"--limit--\r\n"])
        return self.infer(body, Content_Type="multipart/form-data; boundary=limit")

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(END_S)
        finally:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """``eavctl serve`` as users start it."""
    scratch = tmp_path_factory.mktemp("scratch")
    words = ["-m", "eavctl", "serve", "--model", "speech-small", "--port", "0", "--jobs", "2"]
    found = Service(words, scratch)
    yield found
    assert found.end() == 0
    assert list(scratch.iterdir()) == []


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Starts a service with one of the workers beside this file, and with other limits."""
    found: list[Service] = []

    def start(worker: str, **limits: float) -> Service:
        code = OTHER.format(limits=limits, worker=str(HERE / worker))
        found.append(Service(["-c", code], tmp_path_factory.mktemp("scratch")))
        return found[-1]

    yield start
    for each in found:
        each.end()


@pytest.fixture(scope="session")
def clip(shared_data: Path) -> bytes:
    """A recording of speech."""
    return (shared_data / "emodb" / "03a01Fa.flac").read_bytes()
