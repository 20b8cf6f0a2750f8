"""Windows of several modalities: where they begin and end, what is in them, and what is absent."""

import gc
import itertools
import sys
from types import FunctionType, ModuleType

import numpy as np
import pytest
from fake_streams import RATE, Delivery, delivered, finish, frames, number_of, run, sampled
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.live.chunk import SourceError
from eavctl.live.frame_track import FrameTrack
from eavctl.live.quality import Quality
from eavctl.live.synchroniser import Synchroniser
from eavctl.live.tracks import SampledTrack
from eavctl.signals.segments import cut

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


def test_a_modality_that_is_alone_is_awaited_longer():
    windows = run(_synchroniser("audio"), delivered(sampled("audio", BEGIN, 5.0, late=0.3)))
    assert len(windows) == 7
    assert all("audio" in window.signals and not window.gaps for window in windows)


def test_the_window_of_a_late_modality_is_its_own_data_of_that_time():
    windows = run(
        _synchroniser("audio", "eeg"),
        delivered(sampled("audio", BEGIN, 6.0), sampled("eeg", BEGIN, 6.0, n_chans=2, late=0.05)),
    )
    for window in windows:
        n = len(window.signals["audio"].data)
        assert np.array_equal(window.signals["audio"].data, window.signals["eeg"].data[0, -n:])
        assert window.ready == pytest.approx(window.end + 0.05)


def test_a_stalled_modality_is_absent_holds_nobody_up_and_comes_back():
    stalled = [d for d in frames(BEGIN, 12.0) if not BEGIN + 4.2 < d.arrival < BEGIN + 8.0]
    synchroniser = _synchroniser("audio", "video")
    windows = run(synchroniser, delivered(sampled("audio", BEGIN, 12.0), iter(stalled)))
    absent = [window for window in windows if "video" in window.absent]
    assert absent[0].end == BEGIN + 4.5  # within one hop
    assert "stalled" in absent[1].absent["video"]
    assert all(window.ready == pytest.approx(window.end) for window in absent)
    assert all("audio" in window.signals for window in windows)
    assert "missing" in next(w for w in absent if w.end > BEGIN + 8.0).absent["video"]
    assert all("video" in window.signals for window in windows if window.start >= BEGIN + 8.0)
    assert synchroniser.status(BEGIN + 12).modalities["video"].absent == len(absent)


def test_the_state_of_a_modality():
    synchroniser = _synchroniser("audio", "video")
    end = BEGIN + 3.0
    run(synchroniser, delivered(sampled("audio", BEGIN, 3.0), frames(BEGIN, 3.0)))

    def states(now):
        return {name: each.state for name, each in synchroniser.status(now).modalities.items()}

    assert states(end) == {"audio": "live", "video": "live"}
    assert states(end + 2.0) == {"audio": "stalled", "video": "stalled"}
    synchroniser.ended("video", "unplugged: camera:0")
    synchroniser.ended("audio", "")
    assert states(end) == {"audio": "ended", "video": "broken"}


def test_an_unplugged_source_is_absent_with_its_reason_and_comes_back():
    synchroniser = _synchroniser("audio", "eeg")
    windows = run(
        synchroniser, delivered(sampled("audio", BEGIN, 4.0), sampled("eeg", BEGIN, 4.0, n_chans=2))
    )
    assert all(not window.absent for window in windows)
    synchroniser.ended("eeg", "unplugged: lsl:cap")
    away = run(synchroniser, delivered(sampled("audio", BEGIN + 4.0, 3.0, stamp_zero=4.0)))
    assert {window.absent.get("eeg") for window in away} == {"unplugged: lsl:cap"}
    back = run(
        synchroniser,
        delivered(
            sampled("audio", BEGIN + 7.0, 5.0, stamp_zero=7.0),
            sampled("eeg", BEGIN + 7.0, 5.0, n_chans=2, stamp_zero=900.0),  # its clock begins anew
        ),
    )
    assert "missing" in back[0].absent["eeg"]
    assert all(not window.absent for window in back if window.start >= BEGIN + 7.0)
    assert synchroniser.status(BEGIN + 12).modalities["eeg"].missing_s == pytest.approx(3.0)
    for window in back[-3:]:
        first = round((window.start - BEGIN - 7.0) * RATE)
        n = len(window.signals["audio"].data)
        assert np.array_equal(window.signals["eeg"].data[0, -n:], np.arange(first, first + n))


@pytest.mark.parametrize(("lost_s", "is_used"), [(0.06, True), (0.2, False)])
def test_lost_packets_are_a_gap_or_too_many(lost_s, is_used):
    lossy = [d for d in sampled("audio", BEGIN, 6.0) if not 3.0 <= d.chunk.stamp < 3.0 + lost_s - 1e-9]
    windows = run(_synchroniser("audio"), lossy)
    hit = [window for window in windows if window.start < BEGIN + 3.0 < window.end]
    assert hit
    for window in hit:
        if is_used:
            assert window.gaps["audio"] == pytest.approx(lost_s)
        else:
            assert "missing" in window.absent["audio"]
    assert all(not w.absent and not w.gaps for w in windows if w.start > BEGIN + 3.0 + lost_s)


def test_a_modality_that_stops_just_before_a_windows_end_is_used_and_the_lack_is_said():
    windows = run(
        _synchroniser("audio", "eeg"),
        delivered(sampled("audio", BEGIN, 3.0), sampled("eeg", BEGIN, 1.94, n_chans=2)),
    )
    assert windows[0].gaps == {"eeg": pytest.approx(0.06)}
    eeg = windows[0].signals["eeg"]
    assert np.array_equal(eeg.data, [[*range(1940), *[1939] * 60]] * 2)
    assert "eeg" in windows[1].absent


def test_the_session_begins_with_the_last_modality():
    windows = run(
        _synchroniser("audio", "eeg"),
        delivered(sampled("audio", BEGIN, 5.0), sampled("eeg", BEGIN + 1.3, 5.0, n_chans=2)),
    )
    assert windows[0].start == pytest.approx(BEGIN + 1.3)
    assert np.array_equal(windows[0].signals["audio"].data, np.arange(1300, 3300))


def test_after_two_seconds_a_modality_joins_later():
    windows = run(
        _synchroniser("audio", "eeg"),
        delivered(sampled("audio", BEGIN, 8.0), sampled("eeg", BEGIN + 3.3, 5.0, n_chans=2)),
    )
    assert windows[0].start == pytest.approx(BEGIN)
    assert "eeg" in windows[0].absent
    assert all(("eeg" in window.signals) == (window.start > BEGIN + 3.2) for window in windows)


def test_nothing_is_waited_for_that_broke_before_it_gave_anything():
    synchroniser = _synchroniser("audio", "eeg")
    synchroniser.ended("eeg", "no such stream")
    windows = run(synchroniser, delivered(sampled("audio", BEGIN, 3.0)))
    assert windows[0].ready == pytest.approx(BEGIN + WINDOW_S)
    assert windows[0].absent == {"eeg": "no such stream"}


def test_the_newest_window_is_given_and_those_skipped_are_counted():
    synchroniser = _synchroniser("audio")
    for delivery in sampled("audio", BEGIN, 6.0):
        synchroniser.push("audio", delivery.chunk)
    window = synchroniser.poll(BEGIN + 6.0)
    assert (window.start, window.end) == (BEGIN + 4.0, BEGIN + 6.0)
    assert synchroniser.poll(BEGIN + 6.0) is None
    status = synchroniser.status(BEGIN + 6.0)
    assert (status.windows, status.dropped) == (1, 8)
    assert status.modalities["audio"].lost == 0


def test_of_files_no_window_is_skipped():
    synchroniser = _synchroniser("audio", skip=False)
    for delivery in sampled("audio", BEGIN, 6.0):
        synchroniser.push("audio", delivery.chunk)
    starts = []
    while (window := synchroniser.poll(BEGIN + 6.0)) is not None:
        starts.append(window.start - BEGIN)
    assert starts == pytest.approx(np.arange(0, 4.1, HOP_S))
    assert synchroniser.status(BEGIN + 6.0).dropped == 0


def test_files_are_not_read_ahead_of_the_windows():
    synchroniser = _synchroniser("audio", skip=False)
    deliveries, windows, n_full = list(sampled("audio", BEGIN, 60.0)), [], 0
    for delivery in deliveries:
        while not synchroniser.has_room("audio"):  # a session that judges slowly
            n_full += 1
            windows.append(synchroniser.poll(BEGIN + 60.0))
        synchroniser.push("audio", delivery.chunk)
    assert n_full
    assert synchroniser.status(BEGIN + 60.0).modalities["audio"].lost == 0
    assert [window.start for window in windows] == pytest.approx([BEGIN + k / 2 for k in range(len(windows))])


@pytest.mark.parametrize(("seconds", "n_windows"), [(3.98, 5), (3.94, 4), (4.0, 5)])
def test_the_end_of_a_file_gives_the_segments_that_predict_has(seconds, n_windows):
    synchroniser = _synchroniser("audio", skip=False)
    windows = run(synchroniser, delivered(sampled("audio", BEGIN, seconds)))
    synchroniser.ended("audio", "")
    windows += finish(synchroniser, BEGIN + 10.0)
    assert len(windows) == n_windows == len(cut(seconds, WINDOW_S, HOP_S))
    assert synchroniser.exhausted()
    assert synchroniser.next_deadline(BEGIN + 10.0) is None
    first = round(min((n_windows - 1) * HOP_S, seconds - WINDOW_S) * RATE)
    assert np.array_equal(windows[-1].signals["audio"].data, np.arange(first, first + WINDOW_S * RATE))


def test_files_shorter_than_a_window_are_one_window():
    synchroniser = _synchroniser("audio", "video", skip=False)
    windows = run(synchroniser, delivered(sampled("audio", BEGIN, 1.2), frames(BEGIN, 1.2)))
    assert windows == []
    for modality in ("audio", "video"):
        synchroniser.ended(modality, "")
    (window,) = finish(synchroniser, BEGIN + 1.3)
    assert window.end - window.start == pytest.approx(1.2)
    assert set(window.signals) == {"audio", "video"}
    assert np.array_equal(window.signals["audio"].data, np.arange(1200))
    assert synchroniser.exhausted()


def test_a_session_without_any_data_is_over_when_its_sources_are():
    synchroniser = _synchroniser("audio")
    assert synchroniser.poll(5.0) is None
    assert synchroniser.next_deadline(5.0) is None
    assert not synchroniser.exhausted()
    synchroniser.ended("audio", "")
    assert synchroniser.exhausted()
    assert synchroniser.poll(50.0) is None


def test_a_poll_at_the_deadline_gives_a_window_though_nothing_came():
    synchroniser = _synchroniser("audio", "eeg")
    run(synchroniser, delivered(sampled("audio", BEGIN, 3.3), sampled("eeg", BEGIN, 3.3, n_chans=2)))
    deadline = synchroniser.next_deadline(BEGIN + 3.3)
    assert BEGIN + 3.5 <= deadline <= BEGIN + 3.6 + 1e-6
    assert synchroniser.poll(deadline - 0.01) is None
    assert set(synchroniser.poll(deadline + 1e-6).absent) == {"audio", "eeg"}


def test_the_next_deadline_is_the_end_of_a_window_for_which_all_is_there():
    synchroniser = _synchroniser("audio")
    for delivery in sampled("audio", BEGIN, 2.5):
        synchroniser.push("audio", delivery.chunk)
    assert synchroniser.next_deadline(BEGIN + 1.0) == pytest.approx(BEGIN + WINDOW_S)
    assert synchroniser.poll(BEGIN + 1.9) is None  # the end is in the future
    assert synchroniser.poll(BEGIN + WINDOW_S) is not None


@pytest.mark.parametrize("times", [{"captured": np.nan}, {"stamp": np.inf}])
def test_a_time_that_is_not_finite_is_an_error(times):
    (first, *_) = sampled("audio", BEGIN, 1.0)
    with pytest.raises(SourceError, match="audio"):
        _synchroniser("audio").push("audio", first.chunk._replace(**times))


def test_quality_takes_effect_on_the_windows_that_follow():
    synchroniser = _synchroniser("audio", "video")
    run(synchroniser, delivered(sampled("audio", BEGIN, 4.0), frames(BEGIN, 4.0)))
    synchroniser.set_quality(Quality(5, 160, 1.0, ("audio",)))
    windows = run(
        synchroniser,
        delivered(
            sampled("audio", BEGIN + 4.0, 6.0, stamp_zero=4.0),
            (d._replace(chunk=d.chunk._replace(stamp=None)) for d in frames(BEGIN + 4.0, 6.0)),
        ),
    )
    assert np.diff([window.start for window in windows]) == pytest.approx(1.0)
    assert all("audio" in window.absent for window in windows)
    synchroniser.set_quality(Quality(5, 160, 1.0))
    (window,) = run(synchroniser, delivered(sampled("audio", BEGIN + 10.0, 1.0, stamp_zero=10.0)))
    assert "audio" in window.signals


def _held_bytes(root):
    """Memory of all objects that one holds, directly or not."""
    seen, waiting = {}, [root]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
            seen[id(each)] = sys.getsizeof(each)
            waiting += gc.get_referents(each)
    return sum(seen.values())


def test_an_hour_of_three_modalities_takes_no_more_memory_than_minutes():
    """Of each minute a second is lost; the clock of the audio drifts, that of the EEG jumps."""
    tracks = {
        "audio": SampledTrack(None, 100.0, 6.0),
        "eeg": SampledTrack(2, 50.0, 6.0, ("C3", "C4")),
        "video": FrameTrack(4, WINDOW_S, 3.0),
    }
    synchroniser = Synchroniser(tracks, WINDOW_S, 1.0)

    def minute(number):
        begin = BEGIN + number * 60
        deliveries = delivered(
            sampled("audio", begin, 60.0, rate=100.0, block_s=0.5, stamp_zero=number * 60 * 1.0002),
            sampled("eeg", begin, 60.0, rate=50.0, block_s=0.5, n_chans=2, stamp_zero=number * 7.0),
            (d._replace(chunk=d.chunk._replace(stamp=None)) for d in frames(begin, 60.0, rate=3.0)),
        )
        kept = [each for each in deliveries if not begin + 30 <= each.arrival < begin + 31]
        return len(run(synchroniser, kept, poll_s=60.0)), _held_bytes(synchroniser)

    n_windows, held = zip(*(minute(number) for number in range(60)), strict=True)
    assert sum(n_windows) > 3500
    assert max(held[2:]) < 1.1 * max(held[:2])
    assert max(held) < 200_000
    status = synchroniser.status(BEGIN + 3600)
    assert status.modalities["audio"].missing_s == pytest.approx(60, abs=31)


@st.composite
def _sessions(draw):
    """Deliveries of three modalities with delays, losses, stalls and a clock that jumps."""
    deliveries = []
    for modality in ("audio", "eeg", "video"):
        begin = BEGIN + draw(st.floats(0, 3))
        stream = (
            frames(begin, 6.0)
            if modality == "video"
            else sampled(modality, begin, 6.0, n_chans=2 if modality == "eeg" else None)
        )
        lost = {draw(st.integers(0, 299)) for _ in range(draw(st.integers(0, 20)))}
        jump_at, jump_s = draw(st.integers(0, 299)), draw(st.sampled_from([0.0, -5.0, 0.2, 100.0]))
        delays = draw(st.lists(st.floats(0, 0.3), min_size=1, max_size=20))
        latest = 0.0
        for number, each in enumerate(stream):
            if number in lost:
                continue
            latest = max(latest, each.arrival + delays[number % len(delays)])
            stamp = each.chunk.stamp + (jump_s if number >= jump_at else 0.0)
            late = latest - each.arrival
            chunk = each.chunk._replace(stamp=stamp, captured=each.chunk.captured + late)
            deliveries.append(Delivery(latest, modality, chunk))
    return delivered(iter(deliveries))


@given(_sessions(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_windows_are_in_order_whole_and_never_of_the_future(deliveries, skip):
    synchroniser = _synchroniser("audio", "eeg", "video", skip=skip)
    windows = run(synchroniser, deliveries, poll_s=0.05)
    starts = [window.start for window in windows]
    assert all(b - a >= HOP_S - 1e-6 for a, b in itertools.pairwise(starts))
    for window in windows:
        assert window.end <= window.ready + 1e-5
        assert set(window.signals) | set(window.absent) == {"audio", "eeg", "video"}
        assert not set(window.signals) & set(window.absent)
        for modality, signal in window.signals.items():
            assert 0 <= window.gaps.get(modality, 0.0) <= 0.3 + 1e-6
            if modality != "video":
                n_margin = round(signal.margin * RATE)
                values = np.atleast_2d(signal.data)[0]
                assert len(values) == n_margin + WINDOW_S * RATE
                assert (np.diff(values) >= 0).all()
    now = deliveries[-1].arrival
    for _ in range(3):  # whatever happened, the next window comes at the deadline, without any more data
        deadline = synchroniser.next_deadline(now)
        now = max(now, deadline + 1e-5)
        assert synchroniser.poll(now) is not None
    for modality in ("audio", "eeg", "video"):
        synchroniser.ended(modality, "")
    finish(synchroniser, now + 10.0)
    assert synchroniser.exhausted()


@pytest.mark.parametrize("is_recorded", [True, False])
def test_video_that_was_left_out_comes_back_without_its_old_frames(is_recorded):
    tracks = _tracks("audio") | {"video": FrameTrack(N_FRAMES, WINDOW_S, 30.0, is_recorded)}
    synchroniser = Synchroniser(tracks, WINDOW_S, HOP_S)
    full = Quality(N_FRAMES, None, HOP_S)
    deliveries = delivered(sampled("audio", BEGIN, 20.0), frames(BEGIN, 20.0))
    edges = [BEGIN, BEGIN + 6.0, BEGIN + 12.0, np.inf]
    windows = []
    for quality, (start, end) in zip(
        (full, full._replace(dropped=("video",)), full), itertools.pairwise(edges), strict=True
    ):
        synchroniser.set_quality(quality)
        windows += run(synchroniser, [each for each in deliveries if start <= each.arrival < end])
    assert [*windows[0].signals] == [*windows[-1].signals] == ["audio", "video"]
    assert any("video" in window.absent for window in windows)
    for window in windows:
        if "video" in window.signals:
            times = BEGIN + np.array(_shown(window.signals["video"])) / 30
            wanted = window.start + np.arange(N_FRAMES) * WINDOW_S / N_FRAMES
            assert np.abs(times - wanted).max() <= 0.1 + 1 / 30  # the tolerance, and a frame
