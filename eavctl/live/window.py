"""A window in which modalities meet: what is there, what is absent and why, and what is missing inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eavctl.extraction.open_recording import Signal


class Window(NamedTuple):
    """A window of a live session, complete or past its deadline.

    Parameters
    ----------
    start, end : on the session's clock, seconds.
    signals : by modality, of those that are there, as `eavctl.predicting.predictor.Predictor.describe_window`
        takes them.
    absent : by modality, the reason, such as ``stalled for 1.2 s``.
    gaps : by modality, seconds of the window that were missing and were filled, or are not covered.
    ready : time at which the window was closed.
    """

    start: float
    end: float
    signals: Mapping[str, Signal]
    absent: Mapping[str, str]
    gaps: Mapping[str, float]
    ready: float
