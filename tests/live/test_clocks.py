"""A source's clock is mapped to the session's, however late, drifting or jumping."""

import numpy as np
import pytest

from eavctl.live.clocks import MonotonicClock, SourceClock

BLOCK_S = 0.25
HOUR_S = 3600.0


def _follow(clock, seconds, *, drift_ppm=0.0, zero=-5e4, delay_s=0.005, begin=0.0, seed=0):
    """Feed stamps whose time of capture is late by random delays; errors of the mapped times, in seconds."""
    times = begin + np.arange(0, seconds, BLOCK_S)
    delays = np.random.default_rng(seed).exponential(delay_s, len(times)) if delay_s else np.zeros(len(times))
    stamps = zero + times * (1 - drift_ppm * 1e-6)
    errors = []
    for time, stamp, delay in zip(times.tolist(), stamps.tolist(), delays.tolist(), strict=True):
        clock.observe(stamp, time + delay)
        errors.append(clock.to_session(stamp) - time)
    return np.array(errors)


@pytest.mark.parametrize("drift_ppm", [-200, 200, 1000])
def test_an_hour_with_drift_and_late_arrivals(drift_ppm):
    clock = SourceClock()
    errors = _follow(clock, HOUR_S, drift_ppm=drift_ppm)
    settled = errors[round(16 / BLOCK_S) :]
    assert np.abs(settled).max() < 0.005
    assert clock.drift_ppm == pytest.approx(drift_ppm, abs=30)
    assert clock.jumps == 0


def test_exact_times_are_mapped_exactly():
    clock = SourceClock()
    errors = _follow(clock, 100.0, delay_s=0.0)
    assert np.abs(errors).max() < 1e-9


def test_mapping_and_its_inverse_agree():
    clock = SourceClock()
    _follow(clock, 60.0, drift_ppm=500)
    for steady in (-5e4, -4.99e4):
        assert clock.steady_at(clock.session_of(steady)) == pytest.approx(steady, abs=1e-8)


@pytest.mark.parametrize("jump_s", [-3000.0, -1.0, 0.3, 1.0, 3000.0])
def test_a_clock_that_jumps_is_followed_at_once(jump_s):
    clock = SourceClock()
    _follow(clock, 30.0)
    errors = _follow(clock, 30.0, begin=30.0, zero=-5e4 + jump_s, seed=1)
    assert clock.jumps == 1
    assert np.abs(errors).max() < 0.05
    assert np.abs(errors[40:]).max() < 0.005
    assert clock.offset == pytest.approx(5e4 - jump_s, abs=0.005)


def test_a_clock_that_stood_still_is_followed_when_all_its_stamps_stay_late():
    clock = SourceClock()
    _follow(clock, 30.0)
    errors = _follow(clock, 40.0, begin=33.0, zero=-5e4 - 3.0, seed=1)
    assert errors[0] == pytest.approx(-3.0, abs=0.1)  # as if delayed
    assert np.abs(errors[round(25 / BLOCK_S) :]).max() < 0.02
    assert clock.jumps == 1


def test_a_stall_whose_data_come_later_is_no_jump():
    clock = SourceClock()
    _follow(clock, 30.0)
    for time in np.arange(30.0, 35.0, BLOCK_S):
        clock.observe(-5e4 + time, 35.0)
    errors = _follow(clock, 10.0, begin=35.0, seed=1)
    assert clock.jumps == 0
    assert np.abs(errors).max() < 0.005


def test_missing_data_are_no_jump():
    clock = SourceClock()
    _follow(clock, 30.0)
    errors = _follow(clock, 10.0, begin=37.0, seed=1)
    assert clock.jumps == 0
    assert np.abs(errors).max() < 0.005


def test_a_first_stamp_that_is_late_is_corrected_by_the_second():
    clock = SourceClock()
    clock.observe(0.0, 10.4)
    clock.observe(0.5, 10.5)
    assert clock.to_session(0.5) == 10.5
    assert clock.jumps == 0


def test_the_typical_delay_is_told():
    clock = SourceClock()
    _follow(clock, 60.0, delay_s=0.02)
    assert 0.01 < clock.delay < 0.04


def test_the_session_runs_as_fast_as_it_is_told():
    slow, fast = MonotonicClock(), MonotonicClock(1000.0)
    before = slow.now(), fast.now()
    while slow.now() - before[0] < 0.002:
        pass
    assert fast.now() - before[1] > 1.0


def test_a_stopped_clock_does_not_wait():
    clock = MonotonicClock()
    clock.stop()
    before = clock.now()
    clock.wait(100.0)
    assert clock.now() - before < 50.0
