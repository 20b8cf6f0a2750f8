"""What a live source gives: blocks of samples, or one picture, each with its time of capture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from eavctl.errors import DataError

Picture = Callable[[int | None], np.ndarray]
"""A frame that is converted when it is needed: of the longest side in pixels (None: the frame's own), uint8
RGB, shape (height, width, 3)."""


class Chunk(NamedTuple):
    """A block of samples, or one frame.

    Parameters
    ----------
    data : audio: float32, shape (n,), full scale 1. EEG: floats, shape (n_chans, n), microvolt. Video: a
        `Picture`.
    captured : time on the session's clock at which the first sample, or the frame, was captured, as far as
        the source can tell: never before the truth, and as little as possible after it.
    stamp : the same time on the source's own clock, in seconds, whatever its zero; None where the source has
        no clock, so that samples are counted instead.
    """

    data: np.ndarray | Picture
    captured: float
    stamp: float | None = None


class Clock(Protocol):
    """The session's clock: monotonic, in seconds."""

    def now(self) -> float:
        """The time."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after that time on this clock; sources that play files use it."""
        ...


class SourceError(DataError):
    """A source cannot be opened, or ended by a fault: unplugged, or its stream is lost."""


class Source(Protocol):
    """An open source.

    Attributes
    ----------
    name : as the user gave it, such as ``mic:default``.
    modality : ``audio``, ``eeg`` or ``video``.
    rate : samples a second as the source states it; frames a second of video.
    ch_names : of EEG; else empty.
    is_recorded : whether it is a file or a pipe: it begins when the session begins, and can wait.
    can_stall : whether it is anything but a file.
    lost : samples or frames that came but were dropped in the source, because `chunks` was not read in time
        or the device said so. They are gaps in the stamps as well.
    """

    name: str
    modality: str
    rate: float
    ch_names: Sequence[str]
    is_recorded: bool
    can_stall: bool
    lost: int

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """Yield chunks as they are captured, in a thread of the session's, until the source ends or `close`.

        Parameters
        ----------
        clock : the session's.
        begin : its time at the session's begin; a file's first sample is captured then.

        Raises
        ------
        SourceError : unplugged, or lost.
        """
        ...

    def close(self) -> None:
        """Let `chunks` end within half a second; called from another thread, at any time, also twice."""
        ...
