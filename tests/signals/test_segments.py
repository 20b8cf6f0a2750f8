"""Segments are whole, lie within, and are as many as fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eavctl.signals.segments import cut


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
def test_segments_are_whole_within_and_as_many_as_fit(n_samples, rate, seconds, hop):
    found = cut(n_samples / rate, seconds, hop)
    duration = n_samples / rate
    if duration < seconds - 1e-6:
        assert found == [(0.0, duration)]
        return
    step = hop or seconds
    assert all(end - start == pytest.approx(min(seconds, duration)) for start, end in found)
    assert found[-1][1] <= duration + 1e-6
    assert duration - found[-1][1] < step + 1e-6
    assert [start for start, _ in found] == pytest.approx([i * step for i in range(len(found))])
