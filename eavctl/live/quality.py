"""Quality of live inference, adapted to the latency that is measured."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from eavctl.live.latencies import spread_of

TARGET_S = 0.25
CALM = 0.5  # of the target: quality rises while latencies stay below
N_CALM = 10  # windows in a row
N_LATENCIES = 20
N_AT_LEAST = 10  # latencies since the last change, before the next
RISE, FALL = 0.1, 0.7
LOWEST = 0.1
PICTURES_UNTIL = 0.4  # the level down to which pictures become fewer and smaller; below, windows become rarer
FEWEST_FRAMES = 0.25  # of the best number
LEAST_SIDE, USUAL_SIDE, SIDE_STEP = 160, 640, 16  # pixels
LONGEST_HOP = 4.0  # times the best
PATIENCE = 10  # times as long until a modality is tried again whose cost is too high, or not known
USUALLY_DEAR = ("video", "eeg", "audio")  # the order of costs, until they are measured


class Quality(NamedTuple):
    """What is taken of the sources.

    Parameters
    ----------
    frames : video frames a window; 0 without video.
    side : longest side of the pictures in pixels; None: as the camera gives them.
    hop : seconds from one window to the next.
    dropped : modalities that are left out.
    """

    frames: int
    side: int | None
    hop: float
    dropped: tuple[str, ...] = ()

    def __str__(self) -> str:
        pictures = f"{self.frames} frames a window, " if self.frames else ""
        size = f"of {self.side} pixels, " if self.frames and self.side else ""
        without = f", without {' and '.join(self.dropped)}" if self.dropped else ""
        return f"{pictures}{size}a window every {self.hop:g} s{without}"


class QualityController:
    """Lowers quality while answers are too late, and raises it again, slowly.

    One level, from 1 (the best) down to 0.1, says how many frames a window has and how large they are, then
    how rare windows are. It is multiplied by 0.7 when the 95th percentile of the last latencies is above the
    target, and rises by 0.1 when 10 latencies in a row are below half of the target; in between nothing
    changes [1]_. At the lowest level the modality that costs most is left out, but never the last one. It
    comes back first, once its measured cost fits below the target, or after 100 calm answers.

    Parameters
    ----------
    best : the quality without load.
    modalities : those of the session.
    target_s : for the 95th percentile of the latency from capture to answer.

    Attributes
    ----------
    quality : the present one.

    References
    ----------
    .. [1] Chiu, Jain: Analysis of the increase and decrease algorithms for congestion avoidance in computer
       networks, 1989.
    """

    def __init__(self, best: Quality, modalities: tuple[str, ...], target_s: float = TARGET_S) -> None:
        self.quality = best
        self._best, self._modalities, self._target_s = best, modalities, target_s
        self._level = 1.0
        self._latencies: deque[float] = deque(maxlen=N_LATENCIES)
        self._n_calm = 0
        self._costs: dict[str, float] = {}  # seconds a window, by modality, when it was last measured

    def observe(self, latency_s: float, costs: Mapping[str, float]) -> str | None:
        """Take the latency of an answer, and the seconds that each modality took of it, where they are known.

        Returns
        -------
        A sentence, if the quality changes; else None.
        """
        self._latencies.append(latency_s)
        self._costs.update(costs)
        self._n_calm = self._n_calm + 1 if latency_s < CALM * self._target_s else 0
        if self._is_late():
            return self._change_to(*self._lower())
        if self._n_calm and self._n_calm % N_CALM == 0:
            return self._change_to(*self._higher())
        return None

    def _is_late(self) -> bool:
        """Whether the 95th percentile is above the target, and not by a single late answer."""
        n_late = sum(latency > self._target_s for latency in self._latencies)
        if len(self._latencies) < N_AT_LEAST or n_late < 2:
            return False
        return spread_of(self._latencies).p95 > self._target_s

    def _lower(self) -> tuple[float, tuple[str, ...]]:
        """The next lower level, or one modality less."""
        dropped = self.quality.dropped
        if self._level > LOWEST:
            return max(self._level * FALL, LOWEST), dropped
        left = [modality for modality in self._modalities if modality not in dropped]
        if len(left) < 2:
            return self._level, dropped
        left.sort(key=USUALLY_DEAR.index)
        return self._level, (*dropped, max(left, key=lambda modality: self._costs.get(modality, 0.0)))

    def _higher(self) -> tuple[float, tuple[str, ...]]:
        """The modality back that was left out last, or the next higher level."""
        dropped = self.quality.dropped
        if not dropped:
            return min(self._level + RISE, 1.0), dropped
        fits = max(self._latencies) + self._costs.get(dropped[-1], math.inf) < self._target_s
        return self._level, dropped[:-1] if fits or self._n_calm >= PATIENCE * N_CALM else dropped

    def _change_to(self, level: float, dropped: tuple[str, ...]) -> str | None:
        if (level, dropped) == (self._level, self.quality.dropped):
            return None
        before, p95 = self.quality, spread_of(self._latencies).p95
        self._level, self.quality = level, self._quality_of(level, dropped)
        self._latencies.clear()
        self._n_calm = 0
        if self.quality == before:
            return None
        return f"p95 {p95 * 1e3:.0f} ms, target {self._target_s * 1e3:.0f} ms: {self.quality}"

    def _quality_of(self, level: float, dropped: tuple[str, ...]) -> Quality:
        best = self._best
        until = PICTURES_UNTIL if best.frames else 1.0
        share = max(level - until, 0.0) / (1 - until) if best.frames else 1.0
        frames = round(best.frames * (FEWEST_FRAMES + (1 - FEWEST_FRAMES) * share))
        rareness = max(until - level, 0.0) / (until - LOWEST)
        hop = round(best.hop * LONGEST_HOP**rareness, 2)
        return Quality(max(frames, min(best.frames, 1)), self._side(share), hop, dropped)

    def _side(self, share: float) -> int | None:
        best = self._best.side
        if share == 1.0 or (best is not None and best <= LEAST_SIDE):
            return best
        side = LEAST_SIDE + share * ((best or USUAL_SIDE) - LEAST_SIDE)
        return round(side / SIDE_STEP) * SIDE_STEP
