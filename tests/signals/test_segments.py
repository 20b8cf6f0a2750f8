"""Segments are whole, end a frame after the recording at most, and are as many as fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eavctl.signals.segments import FRAME_S, cut, first_of


@pytest.mark.parametrize(
    ("seconds", "hop", "expected"),
    [(1.0, None, [(0, 1), (1, 2), (2, 3)]), (2.0, 1.0, [(0, 2), (1, 3)]), (5.0, 1.0, [(0, 3.5)])],
)
def test_segments_are_whole_and_a_short_recording_is_one(seconds, hop, expected):
    assert cut(3.5, seconds, hop) == expected


@given(
    st.integers(1, 10**6),
    st.sampled_from([8000, 16000, 44100]),
    st.floats(0.05, 30),
    st.one_of(st.none(), st.floats(0.05, 30)),
)
def test_segments_are_whole_end_with_the_recording_and_are_as_many_as_fit(n_samples, rate, seconds, hop):
    found = cut(n_samples / rate, seconds, hop)
    duration = n_samples / rate
    step = hop or seconds
    slack = min(FRAME_S, step / 2, seconds / 2)
    if duration < seconds - slack - 1e-6:
        assert found == [(0.0, duration)]
        return
    assert all(end - start == pytest.approx(seconds) for start, end in found)
    assert found[-1][1] <= duration + slack + 1e-6
    assert duration - found[-1][1] < step - slack + 1e-6
    assert [start for start, _ in found] == pytest.approx([i * step for i in range(len(found))])


@pytest.mark.parametrize("duration", [19.96, 19.99, 20.0, 20.01, 24.9])
def test_a_frame_more_or_less_gives_the_same_segments(duration):
    assert cut(duration, 5.0) == [(0, 5), (5, 10), (10, 15), (15, 20)]


def test_more_than_a_frame_is_missing():
    assert cut(19.95, 5.0) == [(0, 5), (5, 10), (10, 15)]
    assert cut(4.95, 5.0) == [(0.0, 4.95)]
    assert cut(4.97, 5.0) == [(0, 5)]


@given(st.integers(-3, 120), st.integers(1, 60), st.integers(1, 100))
def test_data_lie_within_the_recording_and_move_no_more_than_they_must(start, length, total):
    first = first_of(start, length, total)
    if 0 <= start <= total - length:
        assert first == start
    elif length <= total:
        assert first in (0, total - length)  # the nearest that fits
    else:
        assert first == 0
