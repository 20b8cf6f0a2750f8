"""Files as live sources, played at the speed of the session's clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.live.chunk import Chunk, Clock, Source
from eavctl.live.sources.base import BaseSource
from eavctl.live.sources.uri import Wanted
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.endings import AUDIO_ENDINGS, split_ending

AUDIO_CHUNK_S, EEG_CHUNK_S = 0.02, 0.04
MOST_TRIALS = 1_000_000


class SampledPlayer(BaseSource):
    """Plays samples in memory: audio, or EEG. A chunk comes when its last sample has been captured.

    Parameters
    ----------
    name : for errors.
    data : audio: float32, shape (n,). EEG: shape (n_chans, n), microvolt.
    rate : samples a second.
    ch_names : of EEG.
    start : seconds from the session's begin to the first sample.
    gaps : start and end, in seconds, of each time in which the recording lacks samples; those that bridge it
        are not played.
    """

    is_recorded = True
    can_stall = False

    def __init__(
        self,
        name: str,
        data: np.ndarray,
        rate: float,
        ch_names: Sequence[str] = (),
        start: float = 0.0,
        gaps: Sequence[tuple[float, float]] = (),
    ) -> None:
        super().__init__(name)
        self.rate, self.ch_names = rate, tuple(ch_names)
        self.modality = "audio" if data.ndim == 1 else "eeg"
        self._data, self._start = data, start
        edges = [0, *(round(at * rate) for gap in gaps for at in gap), data.shape[-1]]
        self._parts = list(zip(edges[::2], edges[1::2], strict=True))

    @property
    def seconds(self) -> float:
        """Length of the samples."""
        return float(self._data.shape[-1] / self.rate)

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`."""
        seconds = AUDIO_CHUNK_S if self.modality == "audio" else EEG_CHUNK_S
        size = max(round(seconds * self.rate), 1)
        for part, end in self._parts:
            for first in range(part, end, size):
                last = min(first + size, end)
                if not self._wait_until(clock, begin + self._start + last / self.rate):
                    return
                stamp = self._start + first / self.rate
                yield Chunk(self._data[..., first:last], begin + stamp, stamp)


class FilmPlayer(BaseSource):
    """Plays the frames of a film, each from its presentation time on; they are decoded once, in order."""

    modality = "video"
    is_recorded = True
    can_stall = False

    def __init__(self, name: str, path: str) -> None:
        from eavctl.signals.containers import start_of
        from eavctl.signals.video import open_video

        super().__init__(name)
        self._start = start_of(path, "video")
        self._film = open_video(path)
        self.rate = self._film.fps

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`; the film ends when its last frame has been shown."""
        n_played = 0
        with self._film:
            for seconds, picture in self._film.play():
                stamp = self._start + seconds
                if not self._wait_until(clock, begin + stamp):
                    return
                yield Chunk(picture, begin + stamp, stamp)
                n_played += 1
            self.lost = self._film.n_frames - n_played  # which cannot be decoded
            self._wait_until(clock, begin + self._start + self._film.duration)


@register("live sources", "file", modalities=("audio", "eeg", "video"))
def open_file(wanted: Wanted, *, trial: Annotated[int, Within(1, MOST_TRIALS)] | None = None) -> Source:
    """Open a file of any format that `extract` reads.

    Sound and picture of one film keep their offset: the earlier of the two begins when the session begins.
    Audio is read at the wanted rate; EEG at its own, with all channels as recorded.

    Parameters
    ----------
    trial : EEG files that hold trials: number of the one to play, from 1.

    Raises
    ------
    SignalError : the file cannot be used.
    UsageError : a trial of sound or pictures.
    """
    if wanted.modality == "eeg":
        return _open_eeg(wanted, trial)
    if trial is not None:
        raise UsageError(f"{wanted.name}: only EEG files hold trials")
    return _open_audio(wanted) if wanted.modality == "audio" else FilmPlayer(wanted.name, wanted.place)


def _open_audio(wanted: Wanted) -> Source:
    from eavctl.signals import audio

    samples, rate = audio.read(wanted.place, None if wanted.rate is None else round(wanted.rate))
    start = 0.0
    if split_ending(wanted.place)[1] not in AUDIO_ENDINGS:
        from eavctl.signals.containers import start_of

        with suppress(SignalError):  # a sound file of an unusual ending
            start = start_of(wanted.place, "audio")
    return SampledPlayer(wanted.name, samples, rate, start=start)


def _open_eeg(wanted: Wanted, trial: int | None) -> Source:
    from eavctl.signals.eeg import open_eeg

    with open_eeg(wanted.place) as file:
        if file.n_trials is not None and trial is None:
            raise SignalError(
                f"{wanted.place}: holds {file.n_trials} trials; name one, as in '{wanted.place}?trial=1'"
            )
        signal = file.read_raw(None if trial is None else trial - 1)
        return SampledPlayer(wanted.name, signal, file.sfreq, file.ch_names, gaps=file.gaps)
