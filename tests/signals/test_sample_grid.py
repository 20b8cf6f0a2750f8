"""The grid of samples behind stamps: rates and gaps that are known, under jitter, bursts and drift."""

import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.signals.sample_grid import grid_of

RATE, N = 256.0, 256 * 60
LOST = ((1200, 1248), (1260, 1300), (5000, 6280), (9000, 9012))


def true_times(lost=(), drift=1.0):
    is_kept = np.ones(N, bool)
    for first, end in lost:
        is_kept[first:end] = False
    kept = np.flatnonzero(is_kept)
    return kept, 1.5e9 + kept / RATE * drift


def rounded(times, generator):
    return np.round(times, 3)


def jittered(times, generator):
    return times + generator.normal(0, 0.002, len(times))


def in_packets(times, generator):
    """The packets of twelve samples arrive late, and stand in their order; each sample has its own stamp."""
    packet = np.arange(len(times)) // 12
    last = np.maximum.reduceat(times, np.arange(0, len(times), 12))
    arrival = np.maximum.accumulate(last + generator.exponential(0.01, len(last)))
    return np.round(arrival[packet] + np.arange(len(times)) % 12 * 2e-4, 3)


def in_late_packets(times, generator):
    """As `in_packets`, and one in fifty is late by 0.3 s more and keeps those behind it waiting."""
    packet = np.arange(len(times)) // 12
    last = np.maximum.reduceat(times, np.arange(0, len(times), 12))
    delay = generator.exponential(0.01, len(last)) + 0.3 * (generator.random(len(last)) < 0.02)
    return np.maximum.accumulate(last + delay)[packet]


ARRIVALS = [rounded, jittered, in_packets, in_late_packets]


@pytest.mark.parametrize("drift", [1.0, 1.0008, 0.9992])
@pytest.mark.parametrize("arrival", ARRIVALS)
def test_no_gap_is_found_where_no_sample_is_missing(arrival, drift):
    _, times = true_times(drift=drift)
    grid = grid_of(arrival(times, np.random.default_rng(0)))
    assert grid.sfreq == RATE
    assert grid.gaps == ()
    assert np.array_equal(grid.places, np.arange(N))


@pytest.mark.parametrize("drift", [1.0, 1.0008])
@pytest.mark.parametrize("arrival", [rounded, jittered])
def test_missing_samples_are_found_where_they_are(arrival, drift):
    kept, times = true_times(LOST, drift)
    grid = grid_of(arrival(times, np.random.default_rng(0)))
    assert len(grid.gaps) == len(LOST)
    assert np.abs(grid.places - kept).max() <= 2  # samples, of 1380 that are missing
    found = [(start * RATE, end * RATE) for start, end in grid.gaps]
    assert np.abs(np.subtract(found, LOST)).max() <= 2


@pytest.mark.parametrize("arrival", [in_packets, in_late_packets])
def test_of_late_packets_those_that_are_lost_are_counted(arrival):
    _, times = true_times(LOST)
    grid = grid_of(arrival(times, np.random.default_rng(0)))
    assert abs(grid.n_times - N) <= 8  # of 1380 samples
    assert grid.sfreq == RATE


@pytest.mark.parametrize("rate", [100, 125, 128, 160, 220, 250, 256, 500, 512, 1000])
def test_the_rate_of_a_device_is_told_though_its_clock_is_off(rate):
    for drift in (0.997, 1.0, 1.003):
        times = np.arange(20 * rate) / rate * drift
        assert grid_of(times).sfreq == rate


def test_a_rate_that_no_device_has_is_that_of_the_stamps():
    assert grid_of(np.arange(5000) / 137.4).sfreq == pytest.approx(137.4, abs=0.5)
    assert grid_of(np.arange(5000) / 30.27).sfreq == pytest.approx(30.27, abs=1e-3)


@pytest.mark.parametrize("digits", [1, 2])
def test_stamps_of_a_coarse_clock(digits):
    grid = grid_of(np.round(np.arange(N) / RATE, digits))
    assert (grid.sfreq, grid.n_times) == (RATE, N)


def test_a_stated_rate_counts_if_the_stamps_fit_it():
    assert grid_of(np.arange(5000) / 249.9, 249.5).sfreq == 249.5
    assert grid_of(np.arange(5000) / 250, 500).sfreq == 250


def test_samples_lie_on_the_grid_and_gaps_are_straight_lines():
    kept, times = true_times(((100, 200),))
    grid = grid_of(times)
    signal = np.sin(np.arange(N) / 9)
    found = grid.spread(signal[kept])
    assert np.array_equal(found[kept], signal[kept])
    assert np.allclose(found[99:201], np.linspace(signal[99], signal[200], 102))


def test_a_time_of_the_clock_is_found_on_the_grid_behind_a_gap():
    _, times = true_times(((2560, 5120),))
    grid = grid_of(times)
    for seconds in (0.0, 5.0, 30.0, 59.0):
        assert grid.seconds_of(1.5e9 + seconds) == pytest.approx(seconds, abs=2e-3)


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (np.arange(3.0), "only 3"),
        (np.zeros(1000), "advance"),
        (np.concatenate([np.arange(1000) / 256, np.arange(1000) / 256]), "back"),
        (np.arange(1000)[::-1] / 256.0, "advance"),
        (np.arange(1000) * 1e300, "span"),
        (np.append(np.arange(1000) / 256.0, 1e18), "span"),
    ],
)
def test_stamps_that_are_none_are_refused(stamps, message):
    with pytest.raises(SignalError, match=message):
        grid_of(stamps)
