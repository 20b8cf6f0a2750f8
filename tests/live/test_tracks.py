"""Blocks of samples become one signal, whose gaps are filled and known, whatever the stamps do."""

import numpy as np
import pytest
from fake_streams import RATE, sampled
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.live.chunk import Chunk
from eavctl.live.ring import Ring
from eavctl.live.tracks import SampledTrack

BEGIN, BLOCK = 100.0, 20
BLOCK_S = BLOCK / RATE


def _track(seconds=10.0):
    return SampledTrack(None, RATE, seconds)


def _block(number, time, stamp, n=BLOCK):
    """The block whose samples count on from ``number``."""
    return Chunk(np.arange(number, number + n, dtype=np.float32), time, stamp)


def _fill(track, seconds, *, first=0, begin=BEGIN, zero=5e4):
    """Blocks in time, from sample number ``first`` on."""
    for number in range(first, first + round(seconds * RATE), BLOCK):
        time = number / RATE
        track.push(_block(number, begin + time, zero + time))


def _window(track, start, end):
    return track.signal(start, end, 0.0).data


def test_blocks_of_any_size_adjoin():
    track = _track()
    number = 0
    for n in [1, 7, 300, 20, 1000, 3, 64] * 3:
        track.push(_block(number, BEGIN + number / RATE, number / RATE, n))
        number += n
    assert np.array_equal(_window(track, BEGIN + 1, BEGIN + 3), np.arange(1000, 3000))
    assert (track.missing, track.lost, track.clock.jumps) == (0.0, 0, 0)


@pytest.mark.parametrize("ppm", [-1000, 1000])
def test_a_rate_that_is_wrong_leaves_no_gap_and_samples_at_their_times(ppm):
    track, worst = _track(), 0.0
    period = (1 + ppm * 1e-6) / RATE
    for number in range(0, round(600 * RATE), 2 * BLOCK):
        time = BEGIN + number * period
        track.push(_block(number, time, time, 2 * BLOCK))
        if number > 5 * RATE and not number % 10000:
            worst = max(worst, abs(float(_window(track, time - 2, time - 1)[0]) * period + BEGIN - time + 2))
    assert (track.missing, track.lost, track.clock.jumps) == (0.0, 0, 0)
    assert worst < 0.005


@pytest.mark.parametrize("jitter_s", [0.002, 0.008])
def test_stamps_that_jitter_leave_no_gap(jitter_s):
    track, random = _track(), np.random.default_rng(0)
    for number in range(0, round(120 * RATE), BLOCK):
        time = BEGIN + number / RATE
        stamp = time + random.normal(0, jitter_s)
        track.push(_block(number, max(time, stamp), stamp))
    assert (track.missing, track.lost, track.clock.jumps) == (0.0, 0, 0)
    data = _window(track, BEGIN + 115, BEGIN + 119)
    assert np.array_equal(np.diff(data), np.ones(len(data) - 1))
    assert data[0] == pytest.approx(115 * RATE, abs=jitter_s * RATE)


@pytest.mark.parametrize("n_lost", [1, 5, 40])
def test_lost_packets_are_a_gap_of_their_length_on_a_straight_line(n_lost):
    track = _track()
    _fill(track, 2.0)
    _fill(track, 2.0, first=2000 + n_lost * BLOCK)
    assert track.missing == pytest.approx(n_lost * BLOCK_S)
    assert track.clock.jumps == 0
    data = _window(track, BEGIN + 1, BEGIN + 4)
    assert data == pytest.approx(np.arange(1000, 4000), abs=1e-2)  # the line through a line
    assert track.cover(BEGIN + 1, BEGIN + 4).missing == pytest.approx(n_lost * BLOCK_S)
    assert track.cover(BEGIN, BEGIN + 2).missing == 0


def test_a_gap_longer_than_the_ring_takes_no_more_memory_than_the_ring():
    track = _track(seconds=4.0)
    _fill(track, 2.0)
    _fill(track, 1.0, first=10**7)
    assert track.missing == pytest.approx(10**4 - 2.0)
    assert track.reach == pytest.approx(BEGIN + 10**4 + 1.0)
    assert track.cover(BEGIN + 10**4 - 3, BEGIN + 10**4 + 1).missing == pytest.approx(3.0)
    assert np.array_equal(_window(track, BEGIN + 10**4, BEGIN + 10**4 + 1), np.arange(10**7, 10**7 + 1000))


@pytest.mark.parametrize("jump_s", [-2000.0, -1.0, -0.03, 0.3, 1.0, 2000.0])
def test_a_clock_that_jumps_is_no_gap(jump_s):
    track = _track()
    _fill(track, 5.0)
    _fill(track, 3.0, first=5000, zero=5e4 + jump_s)
    assert track.clock.jumps == 1
    assert (track.missing, track.lost) == (0.0, 0)
    assert np.array_equal(_window(track, BEGIN + 4, BEGIN + 7), np.arange(4000, 7000))


@pytest.mark.parametrize("jump_s", [-2000.0, 2000.0])
def test_a_device_that_was_plugged_in_again_leaves_the_gap_that_it_was_away(jump_s):
    track = _track()
    _fill(track, 5.0)
    _fill(track, 3.0, first=7000, zero=5e4 + jump_s)
    assert track.clock.jumps == 1
    assert track.missing == pytest.approx(2.0)
    assert np.array_equal(_window(track, BEGIN + 7, BEGIN + 9), np.arange(7000, 9000))


def test_a_block_that_is_sent_twice_is_used_once():
    track = _track()
    _fill(track, 3.0)
    track.push(_block(2900, BEGIN + 3.0, 5e4 + 2.9))
    _fill(track, 2.0, first=3000)
    assert track.lost == BLOCK
    assert (track.missing, track.clock.jumps) == (0.0, 0)
    assert np.array_equal(_window(track, BEGIN + 2, BEGIN + 4), np.arange(2000, 4000))


def test_without_stamps_samples_are_counted():
    track = _track()
    for delivery in sampled("audio", BEGIN, 5.0, stamp_zero=None):
        late = 0.01 if delivery.arrival % 1 > 0.5 else 0.0
        track.push(delivery.chunk._replace(captured=delivery.chunk.captured + late))
    assert track.missing == 0
    assert np.array_equal(_window(track, BEGIN + 1, BEGIN + 4), np.arange(1000, 4000))


def test_samples_that_are_overwritten_before_a_window_used_them_are_counted():
    track = _track(seconds=4.0)
    _fill(track, 1.0)
    track.expect(BEGIN + 1.0, 1.0)
    _fill(track, 3.0, first=1000)
    assert track.lost == 0
    assert track.has_room
    _fill(track, 2.0, first=4000)
    assert track.lost == 1000
    assert not track.has_room


def test_a_track_shorter_than_the_window_repeats_its_last_sample():
    track = _track()
    _fill(track, 1.0)
    data = _window(track, BEGIN, BEGIN + 1.02)
    assert np.array_equal(data, [*range(1000), *[999] * 20])


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2), st.floats(0, 0.05)), min_size=1, max_size=80),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_no_sample_is_twice_and_none_is_out_of_order(blocks, seed):
    """Blocks of any length, late by any time, of which some are lost, with stamps that jitter."""
    track, random = SampledTrack(None, RATE, 3.0), np.random.default_rng(seed)
    number = 0
    for n, n_lost, late in blocks:
        number += n_lost * BLOCK
        time = BEGIN + number / RATE
        track.push(_block(number, time + late, time + random.normal(0, 0.001), n))
        number += n
    track.push(_block(number, BEGIN + number / RATE, BEGIN + number / RATE, 200))
    held = min(track.reach - track.first, (number + 200) / RATE)  # these differ where the clocks drift
    data = _window(track, track.reach - min(held - 0.01, 2.9), track.reach)
    assert (np.diff(data) > 0).all()
    assert np.array_equal(data[-100:], np.arange(number + 100, number + 200))


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_a_ring_has_the_newest_values(lengths, size):
    ring, everything = Ring(np.zeros((2, size))), np.zeros((2, 0))
    for n in lengths:
        block = np.tile(np.arange(everything.shape[1], everything.shape[1] + n), (2, 1))
        ring.append(block)
        everything = np.concatenate([everything, block], axis=1)
    assert ring.end == everything.shape[1]
    assert np.array_equal(ring.read(ring.oldest, size), everything[:, -size:])
