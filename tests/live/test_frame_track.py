"""Frames of a window are those that the film's reader takes, and few are converted."""

import weakref

import av
import numpy as np
import pytest
from fake_streams import frames, number_of
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.live.chunk import Chunk
from eavctl.live.frame_track import FrameTrack
from eavctl.signals.video import open_video

BEGIN = 100.0


def _times(path):
    """Times of a film's frames from its first one, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        moments = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        return [float((moment - moments[0]) * stream.time_base) for moment in moments]


def _shown(track, start, window_s, n_frames):
    film = track.signal(start, start + window_s, 0.0).data
    return [number_of(picture) for picture in film.frames(0.0, window_s, n_frames)]


def _wanted(times, start, window_s, n_frames):
    """Numbers of the frames that are shown, by searching all times."""
    wanted = start + np.arange(n_frames) * window_s / n_frames
    return [int(each) for each in np.maximum(np.searchsorted(times, wanted + 1e-6, "right") - 1, 0)]


@pytest.mark.parametrize(
    ("name", "n_frames"), [("ravdess-video/01-01-01-01-01-01-01.mp4", 5), ("video/face_noface.mov", 4)]
)
def test_a_window_of_a_film_has_the_pictures_of_the_file(shared_data, name, n_frames):
    path, window_s, hop_s = shared_data / name, 1.0, 0.5
    track, converted = FrameTrack(n_frames, window_s, 30.0, is_recorded=True), []
    track.expect(BEGIN, hop_s)
    times = [time for time in _times(path) if time < 1.6]
    with open_video(path) as film, open_video(path) as played:

        def picture(time):
            converted.append(time)
            return next(iter(played.frames(time, time + 1, 1)))

        start = 0.0
        for time in times:
            track.push(Chunk(lambda side, time=time: picture(time), BEGIN + time, time))
            if track.reach < BEGIN + start + window_s:
                continue
            shown = track.signal(BEGIN + start, BEGIN + start + window_s, 0.0).data
            for here, there in zip(
                shown.frames(0.0, window_s, n_frames),
                film.frames(start, start + window_s, n_frames),
                strict=True,
            ):
                assert np.array_equal(here, there)
            start += hop_s
            track.expect(BEGIN + start, hop_s)
    assert start >= 2 * hop_s
    assert len(converted) <= 2 * n_frames * (times[-1] + 1)


@given(
    st.lists(st.floats(0.005, 0.4), min_size=5, max_size=150),
    st.integers(1, 12),
    st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_windows_show_what_an_exhaustive_search_finds(intervals, n_frames, hop_steps):
    """Frames at any times, where the hop is a multiple of half the step between a window's frames."""
    window_s = 2.0
    hop_s = hop_steps * window_s / n_frames / 2
    times = np.cumsum([0.0, *intervals])
    track = FrameTrack(n_frames, window_s, 25.0, is_recorded=True)
    track.expect(BEGIN, hop_s)
    start = 0.0
    for number, time in enumerate(times):
        track.push(
            Chunk(lambda side, number=number: np.full((1, 1, 3), number, np.uint8), BEGIN + time, time)
        )
        while time >= start + window_s:
            film = track.signal(BEGIN + start, BEGIN + start + window_s, 0.0).data
            shown = [int(each[0, 0, 0]) for each in film.frames(0.0, window_s, n_frames)]
            assert shown == _wanted(times, start, window_s, n_frames)
            start += hop_s
            track.expect(BEGIN + start, hop_s)


@pytest.mark.parametrize("hop_s", [0.5, 0.37, 0.01, 3.0])
def test_few_frames_are_kept_and_converted_whatever_the_hop(hop_s):
    n_frames, window_s, seconds, converted = 8, 2.0, 20.0, []
    track = FrameTrack(n_frames, window_s, 60.0)
    track.expect(BEGIN, hop_s)
    start = 0.0
    for delivery in frames(BEGIN, seconds, rate=60.0):
        chunk = delivery.chunk
        track.push(chunk._replace(data=lambda side, chunk=chunk: converted.append(1) or chunk.data(side)))
        while track.reach >= BEGIN + start + window_s:
            film = track.signal(BEGIN + start, BEGIN + start + window_s, 0.0).data
            assert film.fps * film.duration <= 3 * n_frames
            start += hop_s
            track.expect(BEGIN + start, hop_s)
    assert track.lost == 0
    assert len(converted) <= 2 * n_frames * seconds / window_s + seconds / hop_s


def test_before_the_session_begins_frames_are_bounded():
    track, held = FrameTrack(4, 2.0, 30.0), []

    def watched(side):
        pixels = np.zeros((1, 1, 3), np.uint8)
        held.append(weakref.ref(pixels))
        return pixels

    for delivery in frames(BEGIN, 60.0):
        track.push(delivery.chunk._replace(data=watched))
    assert sum(pixels() is not None for pixels in held) < 50
    assert track.cover(BEGIN, BEGIN + 60).begin < BEGIN + 58


def test_a_camera_that_stalls_leaves_a_gap_and_a_film_does_not():
    for is_recorded, missing in ((False, 1.0), (True, 0.0)):
        track = FrameTrack(4, 2.0, 30.0, is_recorded)
        for delivery in frames(BEGIN, 2.0):
            track.push(delivery.chunk)
        for delivery in frames(BEGIN + 3.0, 1.0):
            track.push(delivery.chunk._replace(stamp=delivery.chunk.captured - BEGIN))
        assert track.missing == pytest.approx(missing)
        assert track.cover(BEGIN + 1, BEGIN + 4).missing == pytest.approx(missing)


def test_a_camera_that_becomes_slower_is_no_gap():
    track = FrameTrack(4, 2.0, 30.0)
    for number, time in enumerate([*np.arange(0, 2, 1 / 30), *np.arange(2, 6, 1 / 8)]):
        track.push(
            Chunk(lambda side, number=number: np.full((1, 1, 3), number, np.uint8), BEGIN + time, time)
        )
    assert track.missing == 0


def test_a_frame_that_comes_out_of_order_is_refused():
    track = FrameTrack(4, 2.0, 30.0)
    for time in (0.0, 0.04, 0.03, 0.08):
        track.push(Chunk(lambda side: np.zeros((1, 1, 3), np.uint8), BEGIN + time, time))
    assert track.lost == 1
    assert track.clock.jumps == 0


def test_a_smaller_side_is_asked_of_the_frames_that_follow():
    track = FrameTrack(4, 1.0, 30.0)
    track.expect(BEGIN, 1.0)
    for delivery in frames(BEGIN, 1.0):
        track.push(delivery.chunk)
    track.adapt(2, 160)
    track.expect(BEGIN + 1, 1.0)
    for delivery in frames(BEGIN + 1.0, 1.0):
        track.push(delivery.chunk._replace(stamp=delivery.chunk.captured - BEGIN))
    film = track.signal(BEGIN + 1, BEGIN + 2, 0.0).data
    assert [number_of(each) for each in film.frames(0.0, 1.0, 2)] == [0, 15]
    assert [each[0, 0, 2] for each in film.frames(0.0, 1.0, 2)] == [160, 160]
