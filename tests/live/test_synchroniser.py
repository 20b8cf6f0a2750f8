"""Windows of several modalities: where they begin and end, what is in them, and what is absent."""

import numpy as np
import pytest
from fake_streams import RATE, delivered, frames, number_of, run, sampled

from eavctl.live.frame_track import FrameTrack
from eavctl.live.synchroniser import Synchroniser
from eavctl.live.tracks import SampledTrack

WINDOW_S, HOP_S, BEGIN = 2.0, 0.5, 100.0
N_FRAMES = 20


def _tracks(*modalities):
    made = {
        "audio": SampledTrack(None, RATE, 6.0),
        "eeg": SampledTrack(2, RATE, 6.0, ("C3", "C4")),
        "video": FrameTrack(N_FRAMES, WINDOW_S, 30.0),
    }
    return {modality: made[modality] for modality in modalities}


def _synchroniser(*modalities, **settings):
    return Synchroniser(_tracks(*modalities), WINDOW_S, HOP_S, **settings)


def _shown(signal):
    return [number_of(each) for each in signal.data.frames(0, WINDOW_S, N_FRAMES)]


def test_three_modalities_meet_bit_for_bit():
    synchroniser = _synchroniser("audio", "eeg", "video")
    windows = run(
        synchroniser,
        delivered(
            sampled("audio", BEGIN, 10.0),
            sampled("eeg", BEGIN, 10.0, n_chans=2, stamp_zero=5e4),
            frames(BEGIN, 10.0),
        ),
    )
    assert len(windows) == 17
    for k, window in enumerate(windows):
        first = round(k * HOP_S * RATE)
        assert window.start == pytest.approx(BEGIN + k * HOP_S)
        assert window.absent == {}
        assert window.gaps == {}
        wanted = np.arange(first, first + WINDOW_S * RATE)
        assert np.array_equal(window.signals["audio"].data, wanted)
        margin = min(2.0, k * HOP_S)
        eeg = window.signals["eeg"]
        assert eeg.margin == margin
        assert np.array_equal(eeg.data, [np.arange(first - margin * RATE, first + WINDOW_S * RATE)] * 2)
        assert _shown(window.signals["video"]) == [k * 15 + 3 * i for i in range(N_FRAMES)]


def test_a_window_comes_with_the_last_sample_that_it_needs():
    windows = run(_synchroniser("audio"), delivered(sampled("audio", BEGIN, 5.0, late=0.03)))
    assert [window.ready for window in windows] == pytest.approx([w.end + 0.03 for w in windows])


@pytest.mark.parametrize(("late", "is_used"), [(0.09, True), (0.11, False)])
def test_a_modality_within_the_tolerance_is_used(late, is_used):
    windows = run(
        _synchroniser("audio", "eeg"),
        delivered(sampled("audio", BEGIN, 10.0), sampled("eeg", BEGIN, 10.0, n_chans=2, late=late)),
    )
    assert len(windows) == 17
    assert all(("eeg" in window.signals) == is_used for window in windows)
    assert all(window.ready <= window.end + 0.1 + 1e-6 for window in windows)
    if not is_used:
        assert all("late" in window.absent["eeg"] for window in windows)
