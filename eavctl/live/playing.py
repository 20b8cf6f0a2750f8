"""Stream a recording over the Lab Streaming Layer as a device would, for tests and demonstrations."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import UsageError
from eavctl.live.sources.files import SampledPlayer
from eavctl.live.sources.uri import FILE, open_source, scheme_of
from eavctl.signals.endings import modalities_of

TABLE_ENDING = ".parquet"
PLAYED_FEATURES = "eeg-epochs"  # the only feature set of signals
LAST_S = 0.5  # until inlets have received the last samples


class Played(NamedTuple):
    """What was played, or would be.

    Parameters
    ----------
    name, type : of the stream; the type is ``EEG`` or ``Audio``.
    ch_names : of EEG; of audio empty.
    rate : samples a second.
    seconds : length of the recording.
    """

    name: str
    type: str
    ch_names: tuple[str, ...]
    rate: float
    seconds: float


class Playback:
    """A recording ready to be played.

    Parameters
    ----------
    path : an EEG file, or a trial of it, ``FILE?trial=3``; a file with sound; or a table of ``eeg-epochs``,
        whose rows follow each other.
    name : of the stream.

    Raises
    ------
    UsageError : a table of other features.
    DataError : it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self._source = _opened(os.fspath(path))
        self.played = Played(
            name,
            "EEG" if self._source.modality == "eeg" else "Audio",
            tuple(self._source.ch_names),
            self._source.rate,
            self._source.seconds,
        )

    def run(self, lsl: Any) -> None:
        """Play it to its end, at its own speed.

        Parameters
        ----------
        lsl : the module ``pylsl``.
        """
        clock = _LslClock(lsl)
        outlet = lsl.StreamOutlet(_stream_info(lsl, self.played))
        for chunk in self._source.chunks(clock, clock.now()):
            block = np.ascontiguousarray(np.atleast_2d(np.asarray(chunk.data)).T, np.float32)
            outlet.push_chunk(block, chunk.captured + (len(block) - 1) / self._source.rate)
        clock.wait(LAST_S)


def _opened(path: str) -> SampledPlayer:
    if path.lower().endswith(TABLE_ENDING):
        return _table(path)
    modality = "eeg" if "eeg" in modalities_of(path.partition("?")[0]) else "audio"
    source = open_source(path, modality) if scheme_of(path) == FILE else None
    if not isinstance(source, SampledPlayer):
        raise UsageError(f"{path}: no file; play takes EEG, sound, or a table of {PLAYED_FEATURES!r}")
    return source


def _table(path: str) -> SampledPlayer:
    from eavctl.storage.metadata import FeatureMeta
    from eavctl.storage.tables import read_features

    table = read_features(path)
    meta = FeatureMeta.from_json({**table.meta, "columns": table.columns}, path)
    if meta.features != PLAYED_FEATURES:
        raise UsageError(f"{path}: features {meta.features!r}; of tables, play takes {PLAYED_FEATURES!r}")
    signal = np.concatenate(list(table.x), axis=1)
    return SampledPlayer(path, signal, float(meta.settings["rate"]), meta.settings["channels"])


def _stream_info(lsl: Any, played: Played) -> Any:
    labels = played.ch_names or ("audio",)
    info = lsl.StreamInfo(
        played.name, played.type, len(labels), played.rate, lsl.cf_float32, f"eavctl play {played.name}"
    )
    channels = info.desc().append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("type", played.type)
        channel.append_child_value("unit", "microvolts" if played.type == "EEG" else "full scale")
    return info


class _LslClock:
    """The clock of LSL's time stamps."""

    def __init__(self, lsl: Any) -> None:
        self._lsl = lsl

    def now(self) -> float:
        return float(self._lsl.local_clock())

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)
