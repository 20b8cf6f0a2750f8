"""Judge a window of a live session, and put the answer into the JSON object of all ways of judging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from eavctl.extraction.open_recording import Signal
from eavctl.live.quality import Quality
from eavctl.live.smoothing import Smoothing
from eavctl.live.window import Window
from eavctl.predicting.notes import people_note
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.rows import Row

ROUNDING = 9  # decimals of a second: times of the session's clock have an arbitrary zero


class LiveAnswer(NamedTuple):
    """What a window gave.

    Parameters
    ----------
    name : of the session, such as the names of its sources.
    start, end : seconds since the start of the session's first window.
    window : the window itself, its times on the session's clock.
    row : the prediction; None where there is none, for the ``reason``.
    seconds : that computing took, by stage: ``features`` and ``model``.
    costs : seconds that the features of each modality took.
    notes : what is odd about the signals, where no earlier window of the session had it.
    """

    name: str
    start: float
    end: float
    window: Window
    row: Row | None
    reason: str
    seconds: Mapping[str, float]
    costs: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()


class Judge:
    """Judges the windows of one session, one after the other.

    Parameters
    ----------
    predictor : with a loaded model.
    name : of the session.
    smooth : time constant in seconds over which probabilities are smoothed; 0 for none.
    begin : time on the session's clock from which answers count; None for the start of the first window.
    """

    def __init__(
        self, predictor: Predictor, name: str, smooth: float = 0.0, begin: float | None = None
    ) -> None:
        self._predictor, self._name, self._begin = predictor, name, begin
        self._smoothing = Smoothing(smooth) if smooth else None
        self._noted: set[str] = set()
        self._several = ""  # of the first window with several people

    def __call__(self, window: Window) -> LiveAnswer:
        """Judge a window by the modalities that it has."""
        row, reason = None, ""
        began = perf_counter()
        described = self._predictor.describe_window(window.signals, window.absent)
        features_s = perf_counter() - began
        if described.segments:
            row = self._predictor.judge_described_window(described, self._smooth(window.end))
        elif window.signals:
            reason = described.rejected[0].reason
        else:
            reason = "; ".join(f"{modality}: {why}" for modality, why in window.absent.items())
        seconds = {"features": features_s, "model": perf_counter() - began - features_s}
        if self._begin is None:
            self._begin = window.start
        start, end = (round(time - self._begin, ROUNDING) for time in (window.start, window.end))
        if row is not None:
            keys = {"sample_id": f"{self._name}@{start:09.3f}", "clip_id": self._name}
            row = row._replace(recording=self._name, keys=keys, start=start, end=end)
        if row is not None and (row.people or 0) > 1:
            self._several = self._several or people_note(self._predictor, self._name, row.people or 0)
        told = [*described.notes, *([self._several] if self._several else [])]
        notes = tuple(note for note in told if note not in self._noted)
        self._noted.update(notes)
        return LiveAnswer(self._name, start, end, window, row, reason, seconds, described.seconds, notes)

    def look_ahead(self, modality: str, so_far: Signal) -> None:
        """Compute the features of a window that still fills, so that what they need of it is known."""
        self._predictor.describe_window({modality: so_far})

    def _smooth(self, end: float) -> Callable[[np.ndarray], np.ndarray] | None:
        """Smoothing for the window that ends at this time."""
        smoothing = self._smoothing
        return None if smoothing is None else lambda proba: smoothing(proba, end)


def to_json(
    predictor: Predictor, answer: LiveAnswer, latency_s: float, quality: Quality | None
) -> dict[str, Any]:
    """An answer as JSON-able values: those of `Predictor.answer`, and what a live session adds.

    Parameters
    ----------
    latency_s : from the capture of the window's last sample to the answer.
    quality : that the window had; None where it is fixed.

    Returns
    -------
    ``recording``, ``start``, ``end``, ``pred``, ``proba``, ``unsure``, ``right_out_of_fold`` and, of a
    fusion, ``modalities``: see `Predictor.answer`. A window without a prediction has None for ``pred``, and
    the reason in ``unsure``. Then ``t_start`` and ``t_end`` on the session's monotonic clock, in seconds;
    ``latency_ms``; ``used``, names of modalities; ``absent``, with reasons; ``gaps``, missing seconds by
    modality; and ``quality``.
    """
    window, row = answer.window, answer.row
    found = _unjudged(predictor, answer) if row is None else predictor.answer(row)
    return {
        **found,
        "t_start": window.start,
        "t_end": window.end,
        "latency_ms": round(1000 * latency_s, 1),
        "used": [] if row is None else list(row.weights),
        "absent": found.get("absent", _absent(predictor, window)),
        "gaps": {name: round(missing, 6) for name, missing in window.gaps.items()},
        "quality": None if quality is None else quality._asdict(),
    }


def _absent(predictor: Predictor, window: Window) -> list[dict[str, Any]]:
    """Streams that are not in the window; the reason is None for those without a source."""
    return [
        {"name": stream.name, "reason": window.absent.get(stream.recipe.modality), "share": 1.0}
        for stream in predictor.streams
        if stream.recipe.modality not in window.signals
    ]


def _unjudged(predictor: Predictor, answer: LiveAnswer) -> dict[str, Any]:
    """The keys of `Predictor.answer` for a window without a prediction."""
    found = {
        "recording": answer.name,
        "start": answer.start,
        "end": answer.end,
        "pred": None,
        "proba": None,
        "unsure": [answer.reason],
        "right_out_of_fold": None,
    }
    return {**found, "modalities": {}} if predictor.is_fusion else found
