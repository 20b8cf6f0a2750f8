"""The view of a terminal: of any size and encoding, and drawn in a thread while answers come."""

from __future__ import annotations

import io
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from eavctl.live.answering import LiveAnswer
from eavctl.live.latencies import Latencies
from eavctl.live.session import Answered
from eavctl.live.status import ModalityStatus, Status
from eavctl.live.view import View
from eavctl.predicting.rows import Row

CLASSES = ("calm", "glücklich", "sad")
PROBA = np.array([0.7, 0.2, 0.1])


class FakeSession:
    def __init__(self):
        self.latencies = Latencies()

    def status(self):
        return Status({"audio": ModalityStatus("live", 0.0, 0.0, 0, 0.01, 0, 0.0, 0, 0)}, 3, 0)


def answered(end, proba=PROBA, reason=""):
    row = None if proba is None else Row("mic", {}, end - 1, end, proba, "calm", {}, (), is_novel=False)
    return Answered(LiveAnswer("mic", end - 1, end, None, row, reason, {}), 0.1, None, "")


@pytest.fixture
def view():
    confidence = SimpleNamespace(right=lambda row: None)
    return View(SimpleNamespace(classes=CLASSES, confidence=confidence), FakeSession(), "model: mic")


def drawn(view, width=120, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding, errors="replace")
    Console(file=file, width=width, color_system=None, force_terminal=True).print(view)
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_the_bars_of_a_small_terminal_stand_in_its_first_lines(view):
    view.add(answered(1.0))
    lines = drawn(view, 40).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert all(name in "".join(lines[:7]) for name in CLASSES)
    calm, glad, _ = (line.count("█") for line in lines if line.startswith(CLASSES))
    assert calm > glad > 0


@pytest.mark.parametrize("width", [1, 7, 20, 300])
def test_no_width_is_too_small(view, width):
    assert drawn(view, width)
    for each in (answered(1.0), answered(2.0, None, "no speech")):
        view.add(each)
        assert drawn(view, width)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_blocks_gets_other_bars(view, encoding):
    view.add(answered(1.0))
    text = drawn(view, encoding=encoding)
    (calm,) = (line for line in text.splitlines() if line.startswith("calm"))
    assert calm.count("#") == round(0.7 * 40)
    assert "?" not in text.replace("gl?cklich", "")


@pytest.fixture
def _hasty():
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_hasty")
def test_it_is_drawn_while_answers_come(view):
    failed, is_over = [], threading.Event()

    def draw():
        while not is_over.is_set():
            try:
                drawn(view)
            except Exception as error:
                failed.append(error)
                return

    drawer = threading.Thread(target=draw)
    drawer.start()
    for i in range(3000):
        view.add(answered(i / 50))
        view._session.latencies.add({f"stage {i // 30}": 0.1})
    is_over.set()
    drawer.join()
    assert failed == []
