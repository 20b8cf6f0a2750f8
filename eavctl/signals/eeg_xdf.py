"""EEG recordings of the Lab Streaming Layer in files of the format XDF, as LabRecorder writes them.

pyxdf reads the samples and synchronises the clocks of the streams. Before that, the chunks of the file are
looked through: a file that was cut off is read up to its last whole chunk, and sizes that a damaged file
invents are never allocated.

References: https://github.com/sccn/xdf/wiki/Specifications, version 1.0 (chunks and their tags), and
https://github.com/sccn/xdf/wiki/EEG-Meta-Data (labels, types and units of channels).
"""

from __future__ import annotations

import gzip
import io
import logging
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.eeg_columns import MICROVOLTS, event_name, is_channel
from eavctl.signals.eeg_file import Event, listed, numbered, warn
from eavctl.signals.eeg_names import NO_EEG, clean_names
from eavctl.signals.eeg_stamped import StampedRecording

MAGIC = b"XDF:"
LARGEST_BYTES = 2 << 30
HEADER, SAMPLES, OF_STREAMS = 2, 3, (2, 3, 4, 6)  # tags of chunks
WIDTHS = {
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "float32": 4,
    "int64": 8,
    "double64": 8,
    "string": 1,
}  # bytes, least
MOST_CHANNELS = 4096
MARKERS = ("markers", "marker", "events", "event", "stim", "trigger", "triggers")
UNITS_UV = {
    **MICROVOLTS,
    **{"microvolt": 1.0, "millivolt": 1e3, "volt": 1e6, "nanovolt": 1e-3},
    **{"microvolts": 1.0, "millivolts": 1e3, "volts": 1e6, "nanovolts": 1e-3, "": 1.0},
}


@dataclass
class _Stream:
    """A stream by its header, and how many samples follow."""

    name: str
    kind: str
    n_chans: int
    rate: float
    form: str
    n_samples: int = 0

    @property
    def is_eeg(self) -> bool:
        return self.kind.casefold() == "eeg" and self.form != "string"

    @property
    def holds_markers(self) -> bool:
        return self.form == "string" or (self.kind.casefold() in MARKERS and not self.rate)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.kind or 'no type'}, {self.n_chans} channels, {self.n_samples} samples)"


class XdfRecording(StampedRecording):
    """The one stream of type EEG in an XDF file; the streams of markers beside it are its events."""

    def __init__(self, path: str) -> None:
        with _as_signal_errors(path):
            content = _content(path)
            streams, n_whole = _looked_through(content)
        self._id = _chosen(path, streams)
        wanted = [self._id, *(number for number, each in streams.items() if each.holds_markers)]
        self._n_whole = n_whole
        with _as_signal_errors(path):
            loaded = _loaded(content[:n_whole], wanted)
        is_cut = n_whole < len(content)
        del content
        eeg = loaded.pop(self._id)
        labels, units, self._picks, left_out = _channels(path, eeg)
        series, stamps = eeg["time_series"], eeg["time_stamps"]
        super().__init__(
            path,
            clean_names(labels),
            units,
            np.asarray(stamps, np.float64),
            self._columns_of(series),
            stated=streams[self._id].rate or None,
            left_out=left_out,
        )
        self.events = tuple(self._events_of(loaded.values()))
        if is_cut:
            warn(path, f"the end of the recording is missing; using its first {self.duration:.2f} s")

    def _columns_of(self, series: np.ndarray) -> list[np.ndarray]:
        return [series[:, i] for i in self._picks]

    def _load(self) -> list[np.ndarray]:
        with _as_signal_errors(self.path):
            loaded = _loaded(_content(self.path)[: self._n_whole], [self._id])
        return self._columns_of(loaded[self._id]["time_series"])

    def _events_of(self, streams: Any) -> list[Event]:
        """The markers within the recording, sorted by time."""
        found, n_outside = [], 0
        for stream in streams:
            for stamp, values in zip(stream["time_stamps"], stream["time_series"], strict=True):
                name = "/".join(filter(None, (event_name(str(value)) for value in values)))
                onset = self._grid.seconds_of(float(stamp))
                if name and -0.5 / self.sfreq <= onset <= self.duration:
                    found.append(Event(max(onset, 0.0), 0.0, name))
                elif name:
                    n_outside += 1
        if n_outside:
            warn(self.path, f"markers outside of the EEG, which are ignored: {n_outside}")
        return sorted(found, key=lambda event: (event.onset, event.name))


@contextmanager
def _as_signal_errors(path: str) -> Iterator[None]:
    """Convert any exception of pyxdf, but that it is missing, to a SignalError; its log is not shown."""
    logger = logging.getLogger("pyxdf.pyxdf")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    except (SignalError, ModuleNotFoundError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SignalError(f"{path}: damaged, or no XDF file ({reason})") from None
    finally:
        logger.disabled = before


def _content(path: str) -> bytes:
    """The bytes of the file, unpacked; of a packed file that was cut off, those that can be unpacked."""
    with open(path, "rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        source = gzip.GzipFile(fileobj=file) if is_packed else file
        parts, n_bytes = [], 0
        while n_bytes <= LARGEST_BYTES:
            try:
                part = source.read1(1 << 20)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                break
            if not part:
                break
            parts.append(part)
            n_bytes += len(part)
    if n_bytes > LARGEST_BYTES:
        raise SignalError(f"{path}: more than 2 GiB; cut it first")
    content = b"".join(parts)
    if not content.startswith(MAGIC):
        raise SignalError(f"{path}: no XDF file: it does not begin with 'XDF:'")
    return content


def _looked_through(content: bytes) -> tuple[dict[int, _Stream], int]:
    """The streams by their numbers, and the number of bytes up to the end of the last whole chunk."""
    streams: dict[int, _Stream] = {}
    at = len(MAGIC)
    while at < len(content):
        try:
            length, start = _variable_int(content, at)
            end = start + length
            (tag,) = struct.unpack_from("<H", content, start)
            if end > len(content) or length < 2 or (tag in OF_STREAMS and length < 6):
                break
            if tag in OF_STREAMS:
                (number,) = struct.unpack_from("<I", content, start + 2)
                if tag == HEADER:
                    streams[number] = _stream(content[start + 6 : end])
                elif tag == SAMPLES:
                    stream = streams[number]
                    n_samples, first = _variable_int(content, start + 6)
                    if n_samples * (1 + stream.n_chans * WIDTHS[stream.form]) > end - first:
                        break
                    stream.n_samples += n_samples
        except (struct.error, IndexError, KeyError, ValueError, ElementTree.ParseError):
            break
        at = end
    return streams, at


def _variable_int(content: bytes, at: int) -> tuple[int, int]:
    """An integer of 1, 4 or 8 bytes, which a byte with that number precedes, and the offset behind it."""
    width = content[at]
    form = {1: "<B", 4: "<I", 8: "<Q"}.get(width)
    if form is None:
        raise ValueError(f"an integer of {width} bytes")
    return struct.unpack_from(form, content, at + 1)[0], at + 1 + width


def _stream(xml: bytes) -> _Stream:
    """The stream of a header; raises a ValueError or a KeyError if it is none."""
    info = ElementTree.fromstring(xml.decode("utf-8", "replace"))
    found = _Stream(
        (info.findtext("name") or "").strip(),
        (info.findtext("type") or "").strip(),
        int(info.findtext("channel_count") or ""),
        float(info.findtext("nominal_srate") or ""),
        info.findtext("channel_format") or "",
    )
    if not 0 < found.n_chans <= MOST_CHANNELS or not 0 <= found.rate < np.inf or found.form not in WIDTHS:
        raise ValueError(f"{found.n_chans} channels of {found.form!r} at {found.rate} Hz")
    return found


def _chosen(path: str, streams: Mapping[int, _Stream]) -> int:
    """The number of the one stream of EEG that has samples."""
    if not streams:
        raise SignalError(f"{path}: holds no streams")
    eeg = [number for number, each in streams.items() if each.is_eeg and each.n_samples]
    if not eeg:
        raise SignalError(
            f"{path}: no stream of type EEG has samples, of {listed(map(str, streams.values()))}"
        )
    if len(eeg) > 1:
        names = listed(str(streams[number]) for number in eeg)
        raise SignalError(f"{path}: holds several streams of EEG: {names}; save each in a file of its own")
    return eeg[0]


def _loaded(content: bytes, wanted: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The streams of these numbers, with stamps of one clock, that are not smoothed."""
    import pyxdf

    streams, _ = pyxdf.load_xdf(io.BytesIO(content), list(wanted), dejitter_timestamps=False)
    return {int(stream["info"]["stream_id"]): stream for stream in streams}


def _channels(path: str, stream: Mapping[str, Any]) -> tuple[list[str], list[float], list[int], list[str]]:
    """Names, units in microvolt and indices of a stream's EEG channels, and the names of its others."""
    n_chans = int(stream["info"]["channel_count"][0])
    described = _described(stream["info"].get("desc"))
    described = described if len(described) == n_chans else [{}] * n_chans
    labels = [_word(each, "label") or f"EEG {i:03d}" for i, each in enumerate(described, start=1)]
    kinds = [_word(each, "type").casefold() for each in described]
    may_be = [
        kind in ("", "eeg") and not NO_EEG.match(label) for kind, label in zip(kinds, labels, strict=True)
    ]
    are_named = [may and is_channel(label) for may, label in zip(may_be, labels, strict=True)]
    picks = np.flatnonzero(are_named if any(are_named) else may_be).tolist()
    if not picks:
        raise SignalError(f"{path}: no EEG channels, of {listed(labels)}")
    words = [_word(described[i], "unit") for i in picks]
    if unknown := sorted({word for word in words if word.casefold() not in UNITS_UV}):
        warn(path, f"channels of unknown unit are taken as microvolt: {listed(unknown)}")
    units = [UNITS_UV.get(word.casefold(), 1.0) for word in words]
    left_out = [label for i, label in enumerate(labels) if i not in picks]
    return numbered(path, [labels[i] for i in picks]), units, picks, left_out


def _described(description: Any) -> list[Mapping[str, Any]]:
    """What a stream says of each of its channels; empty where it says nothing, or in another form."""
    for name in ("channels", "channel"):
        description = description[0] if isinstance(description, list) and description else None
        description = description.get(name) if isinstance(description, Mapping) else None
    found = description or []
    return [each if isinstance(each, Mapping) else {} for each in found]


def _word(described: Mapping[str, Any], name: str) -> str:
    found = described.get(name)
    return str(found[0] or "").strip() if isinstance(found, list) and found else ""
