"""Streams of the Lab Streaming Layer: EEG, or audio, from any program on the network."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import RecordingWarning
from eavctl.live.chunk import Chunk, Clock, Source, SourceError
from eavctl.live.lsl_library import load_lsl
from eavctl.live.sources.base import BaseSource
from eavctl.live.sources.uri import Wanted
from eavctl.registry import register
from eavctl.signals.eeg_names import NO_EEG, clean_names

RESOLVE_S = 3.0
DESCRIBE_S = 5.0
BUFFERED_S = 10  # beyond, the library drops the oldest
PULL_S = 0.02
MOST_SAMPLES = 8192  # in a chunk; more than 20 ms of any stream
SILENT_S = 3.0  # then a stream is lost: some versions of the library do not notice the end of one
GAP_S, GAP_SAMPLES = 0.02, 2  # stamps that advance by more than both have a gap between them
# Powers of ten, of which some programs write the exponent alone.
MICROVOLTS = {
    **dict.fromkeys(("microvolts", "microvolt", "uv", "-6"), 1.0),
    **dict.fromkeys(("\N{MICRO SIGN}v", "\N{GREEK SMALL LETTER MU}v"), 1.0),
    **dict.fromkeys(("nanovolts", "nanovolt", "nv", "-9"), 1e-3),
    **dict.fromkeys(("millivolts", "millivolt", "mv", "-3"), 1e3),
    **dict.fromkeys(("volts", "volt", "v", "0"), 1e6),
}  # fmt: skip


class Channel(NamedTuple):
    """What a stream says of a channel; a text is empty where it says nothing."""

    label: str
    kind: str
    unit: str


class LslStream(BaseSource):
    """A stream with a fixed rate.

    Stamps are LSL's, corrected by its measured offset of the sender's clock and not smoothed, because
    smoothing hides gaps. EEG channels are those of type EEG, or all but EOG, ECG and EMG where no channel
    says so; their units come from the stream. Channels of audio are averaged.

    Parameters
    ----------
    wanted : its place is the stream's name, or its source id.
    lsl : the module ``pylsl``.

    Raises
    ------
    SourceError : no such stream, or one that cannot be used.
    """

    def __init__(self, wanted: Wanted, lsl: Any) -> None:
        super().__init__(wanted.name)
        self.modality, self._lsl = wanted.modality, lsl
        self._inlet = lsl.StreamInlet(
            self._resolved(wanted.place), BUFFERED_S, recover=False, processing_flags=lsl.proc_clocksync
        )
        try:
            info = self._inlet.info(DESCRIBE_S)
        except RuntimeError:  # of pylsl's own: lost, or no answer in time
            raise SourceError(f"{self.name}: the stream does not answer") from None
        self.rate = float(info.nominal_srate())
        if self.rate <= 0 or info.channel_format() == lsl.cf_string:
            raise SourceError(f"{self.name}: a stream of events, without a sampling rate")
        if self.modality == "eeg":
            self._choose(channels_of(info))

    def _resolved(self, place: str) -> Any:
        if {"'", '"'} <= set(place):
            raise SourceError(f"{self.name}: a name with both kinds of quotes cannot be looked for")
        quoted = f'"{place}"' if "'" in place else f"'{place}'"
        found = self._lsl.resolve_bypred(f"name={quoted} or source_id={quoted}", 1, RESOLVE_S)
        if not found:
            raise SourceError(f"{self.name}: no such stream; 'eavctl live --list' lists those on the network")
        return found[0]

    def _choose(self, channels: list[Channel]) -> None:
        """Choose the EEG channels and their factors to microvolt."""
        typed = [i for i, each in enumerate(channels) if each.kind.lower() == "eeg"]
        picks = [i for i in typed or range(len(channels)) if not NO_EEG.match(channels[i].label)]
        if not picks:
            raise SourceError(f"{self.name}: has no EEG channel")
        self.ch_names = clean_names([channels[i].label or str(i + 1) for i in picks])
        units = [channels[i].unit.strip().lower() for i in picks]
        unknown = sorted(set(units) - MICROVOLTS.keys())
        if unknown:
            stated = ", ".join(repr(unit) for unit in unknown)
            warnings.warn(
                f"{self.name}: unit {stated} of some channels is taken as microvolt",
                RecordingWarning,
                stacklevel=2,
            )
        self._picks = picks
        self._factors = np.array([[MICROVOLTS.get(unit, 1.0)] for unit in units])

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`."""
        buffer = np.empty((MOST_SAMPLES, self._inlet.channel_count), self._inlet.value_type)
        last = clock.now()
        while not self._closed.is_set():
            try:
                stamps = self._pulled(buffer)
            except RuntimeError:  # of pylsl's own
                raise SourceError(f"{self.name}: the stream is lost") from None
            lsl_now, now = self._lsl.local_clock(), clock.now()  # in this order, so that no time is too early
            if not stamps and now - last > SILENT_S:
                raise SourceError(f"{self.name}: the stream is lost, no data for {SILENT_S:g} s")
            last = now if stamps else last
            for run in self._runs(np.asarray(stamps)):
                stamp = float(stamps[run.start])
                yield Chunk(self._converted(buffer[run]), now - max(lsl_now - stamp, 0.0), stamp)

    def _pulled(self, buffer: np.ndarray) -> list[float]:
        """Wait for 20 ms, or that many samples; fill the buffer with all that came and return its stamps."""
        stamps: list[float] = self._inlet.pull_chunk(PULL_S, max(round(PULL_S * self.rate), 1), buffer)[1]
        with suppress(RuntimeError):  # lost; the next call says so, when these samples are used
            n = len(stamps)
            stamps = stamps + self._inlet.pull_chunk(0.0, len(buffer) - n, buffer[n:])[1]
        return stamps

    def _runs(self, stamps: np.ndarray) -> list[slice]:
        """The runs of samples without a gap between them."""
        gap = max(GAP_S, GAP_SAMPLES / self.rate) + 1 / self.rate
        begins = np.flatnonzero(np.diff(stamps) > gap) + 1
        edges = [0, *begins.tolist(), len(stamps)] if len(stamps) else []
        return [slice(start, end) for start, end in itertools.pairwise(edges)]

    def _converted(self, block: np.ndarray) -> np.ndarray:
        """Audio (n,) or EEG (n_chans, n), of a block (n, channels) of the stream's type; a copy."""
        if self.modality == "eeg":
            return np.asarray(block[:, self._picks].T * self._factors)
        scale = -float(np.iinfo(block.dtype).min) if block.dtype.kind == "i" else 1.0
        return np.asarray(block.mean(axis=1) / scale, np.float32)


def channels_of(info: Any) -> list[Channel]:
    """What a stream's full description says of each of its channels."""
    node, found = info.desc().child("channels").child("channel"), []
    while not node.empty():
        found.append(Channel(*(node.child_value(key) for key in ("label", "type", "unit"))))
        node = node.next_sibling("channel")
    missing = info.channel_count() - len(found)
    return [*found, *[Channel("", "", "")] * missing][: info.channel_count()]


@register("live sources", "lsl", modalities=("eeg", "audio"))
def open_lsl(wanted: Wanted) -> Source:
    """Open a stream by its name or source id.

    Raises
    ------
    UsageError : pylsl is not installed.
    SourceError : no such stream.
    """
    return LslStream(wanted, load_lsl(wanted.name))
