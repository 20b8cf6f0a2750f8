"""Quality falls while answers are late, rises while they are early, and holds between."""

import itertools
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.live.latencies import Latencies
from eavctl.live.quality import Quality, QualityController

BEST = Quality(frames=20, side=None, hop=0.5)
MODALITIES = ("audio", "eeg", "video")
TARGET_S = 0.25
COSTS = {"audio": 0.01, "eeg": 0.02, "video": 0.2}


def _controller(best: Quality = BEST, modalities: tuple[str, ...] = MODALITIES) -> QualityController:
    return QualityController(best, modalities, TARGET_S)


def _feed(controller: QualityController, latency_of: Callable[[Quality], float], n: int) -> list[Quality]:
    """Qualities that were changed to, over ``n`` answers."""
    changes = []
    for _ in range(n):
        costs = {m: cost for m, cost in COSTS.items() if m not in controller.quality.dropped}
        if controller.observe(latency_of(controller.quality), costs):
            changes.append(controller.quality)
    return changes


def test_nothing_changes_between_the_thresholds():
    controller = _controller()
    assert _feed(controller, lambda quality: 0.2, 500) == []
    assert controller.quality == BEST


def test_one_late_answer_changes_nothing():
    controller = _controller()
    latencies = iter([0.2] * 15 + [3.0] + [0.2] * 50)
    assert _feed(controller, lambda quality: next(latencies), 60) == []


def test_pictures_shrink_before_windows_become_rare_and_a_modality_is_left_out_last():
    controller = _controller()
    changes = _feed(controller, lambda quality: 1.0, 2000)
    first_rare = next(i for i, quality in enumerate(changes) if quality.hop > BEST.hop)
    first_dropped = next(i for i, quality in enumerate(changes) if quality.dropped)
    assert 0 < first_rare < first_dropped
    assert all(a.frames >= b.frames and a.hop <= b.hop for a, b in itertools.pairwise(changes))
    lowest = changes[first_dropped - 1]
    assert (lowest.side, lowest.hop) == (160, 4 * BEST.hop)
    assert changes[first_dropped].dropped == ("video",)  # costs most
    assert controller.quality.dropped == ("video", "eeg")  # the last one stays


def test_the_dropped_modality_comes_back_first_and_then_all_quality():
    controller = _controller()
    _feed(controller, lambda quality: 0.2 if quality.dropped else 1.0, 200)
    assert controller.quality.dropped == ("video",)
    changes = _feed(controller, lambda quality: 0.01, 500)
    assert changes[0].dropped == ()
    assert changes[0].hop == 4 * BEST.hop
    assert changes[-1] == BEST == controller.quality


def test_a_modality_that_alone_is_too_slow_does_not_flap():
    controller = _controller()
    slow = {**COSTS, "video": 2.0}

    def answer() -> bool:
        used = {m: cost for m, cost in slow.items() if m not in controller.quality.dropped}
        return bool(controller.observe(sum(used.values()), used))

    n_changes = [sum(answer() for _ in range(300)) for _ in range(4)]
    assert n_changes[0] > 0
    assert max(n_changes[1:]) <= 2 * 300 / 100  # out and in again, every 100 answers at most


def test_of_unknown_costs_video_is_the_highest():
    controller = _controller()
    for _ in range(300):
        controller.observe(1.0, {})
    assert controller.quality.dropped == ("video", "eeg")


def test_it_settles_where_the_latency_follows_the_frames():
    controller = _controller()
    _feed(controller, lambda quality: 0.02 * quality.frames, 400)
    assert controller.quality.dropped == ()
    assert 0.02 * controller.quality.frames <= TARGET_S
    assert _feed(controller, lambda quality: 0.02 * quality.frames, 400) == []


def test_without_video_windows_become_rarer_at_once():
    controller = _controller(Quality(0, None, 1.0), ("audio",))
    changes = _feed(controller, lambda quality: 1.0, 500)
    assert changes[0].hop > 1.0
    assert controller.quality == Quality(0, None, 4.0)


@given(
    st.lists(st.floats(0, 5), max_size=300), st.integers(0, 64), st.sampled_from([None, 100, 160, 224, 1080])
)
@settings(max_examples=40, deadline=None)
def test_quality_stays_within_its_bounds(latencies, n_frames, side):
    best = Quality(n_frames, side, 0.5)
    controller = _controller(best)
    for latency in latencies:
        before = controller.quality
        sentence = controller.observe(latency, COSTS)
        assert (sentence is None) == (controller.quality == before)
        now = controller.quality
        assert min(n_frames, 1) <= now.frames <= n_frames
        assert now.side == side or 160 <= now.side <= (side or 640)
        assert best.hop <= now.hop <= 4 * best.hop
        assert len(now.dropped) < len(MODALITIES)


def test_latencies_are_those_of_the_last_answers():
    latencies = Latencies(n_kept=100)
    for each in range(1000):
        latencies.add({"features": 5.0, "total": float(each)})
    spreads = latencies.spreads()
    assert list(spreads) == ["features", "total"]
    assert spreads["features"] == (5.0, 5.0)
    assert 945 <= spreads["total"].p50 <= 955
    assert 990 <= spreads["total"].p95 <= 999
