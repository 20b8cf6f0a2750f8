"""The page with the real service: a clip, and a recording from a microphone that is a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile
from page_browser import Shown, device_files, open_tab
from PIL import Image

SPEECH = "emodb/03a01Fa.flac"
STREAM_MS = 30_000


@pytest.fixture(scope="module")
def tab(chromium: str, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab whose microphone gives speech."""
    sound, rate = soundfile.read(shared_data / SPEECH)
    devices = device_files(tmp_path_factory.mktemp("devices"), sound, rate, Image.new("RGB", (64, 48)))
    with open_tab(chromium, devices) as tab:
        yield tab


@pytest.fixture
def shown(tab: Any, service: Any) -> Iterator[Shown]:
    page = Shown(tab, f"{service.url.rstrip('/')}/")
    yield page
    page.close()


def downloaded(shown: Shown, button: str) -> Path:
    with shown.page.expect_download() as found:
        shown.page.click(button)
    return Path(found.value.path())


def test_a_clip_has_the_answer_of_the_service(shown, service, clip):
    shown.judge({"name": "clip.flac", "mimeType": "audio/flac", "buffer": clip})
    (expected,) = service.infer(clip, "?name=clip.flac").json["predictions"]
    assert shown.text(".verdict strong") == expected["pred"]
    assert shown.shares() == pytest.approx(list(expected["proba"].values()), abs=0.01)
    shown.page.wait_for_selector("#analysis:visible")
    assert shown.page.evaluate("document.querySelector('#analysis').naturalWidth") > 500
    assert json.loads(downloaded(shown, "#json").read_text())["predictions"] == [expected]
    assert pq.read_table(downloaded(shown, "#table"))["pred"].to_pylist() == [expected["pred"]]


def test_a_recording_from_the_microphone_has_answers_and_a_table(shown):
    shown.page.click("#start")
    shown.page.wait_for_selector("#bars .is-answer", timeout=STREAM_MS)
    assert sum(shown.shares()) == pytest.approx(1, abs=0.02)
    assert "audio" in shown.text(".facts")
    shown.page.click("#start")
    shown.page.wait_for_selector("#table:enabled", timeout=STREAM_MS)
    answers = [json.loads(line) for line in downloaded(shown, "#json").read_text().splitlines()]
    judged = [answer["pred"] for answer in answers if answer["pred"] is not None]
    assert pq.read_table(downloaded(shown, "#table"))["pred"].to_pylist() == judged
