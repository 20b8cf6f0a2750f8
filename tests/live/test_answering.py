"""Answers to the windows of a session."""

import numpy as np
import pytest

from eavctl.extraction.open_recording import Signal
from eavctl.live.answering import Judge
from eavctl.live.window import Window
from eavctl.predicting.segments import DescribedRecording, Rejection

SIGNALS = {"audio": Signal(np.zeros(4), 4.0)}


class Unsuccessful:
    """A predictor that finds something odd about each window, and can judge none."""

    def __init__(self, *notes: tuple[str, ...]) -> None:
        self.notes = iter(notes)

    def describe_window(self, signals, absent):
        too_short = Rejection("window", "window", "too short")
        seconds = dict.fromkeys(signals, 0.25)
        return DescribedRecording("window", {}, (), (too_short,), next(self.notes), seconds=seconds)


def window(start, signals=SIGNALS, **absent):
    return Window(start, start + 1, signals, absent, {}, start + 1)


def test_what_is_odd_about_the_signals_is_noted_once_a_session():
    predictor = Unsuccessful(("flat: Cz",), ("flat: Cz",), ("flat: Cz", "flat: Fz"))
    judge = Judge(predictor, "a session")
    assert [judge(window(start)).notes for start in (0.0, 1.0, 2.0)] == [("flat: Cz",), (), ("flat: Fz",)]


def test_the_costs_are_those_of_the_modalities_and_not_of_the_stages():
    answer = Judge(Unsuccessful(()), "a session")(window(0.0))
    assert answer.costs == {"audio": 0.25}
    assert set(answer.seconds) == {"features", "model"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (window(0.0), "too short"),
        (window(0.0, {}, audio="unplugged", eeg="late by 110 ms"), "audio: unplugged; eeg: late by 110 ms"),
    ],
)
def test_a_window_that_cannot_be_judged_has_a_reason(given, reason):
    answer = Judge(Unsuccessful(()), "a session")(given)
    assert (answer.row, answer.reason) == (None, reason)
