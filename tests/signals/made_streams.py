"""Made recordings of streams: a headband's CSV, and XDF files as LabRecorder writes them.

The form of XDF is that of its specification, https://github.com/sccn/xdf/wiki/Specifications.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

FIRST = 1_533_222_559.839  # epoch seconds of the first sample
BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
FORMS = {"float32": "<f4", "double64": "<f8", "int16": "<i2", "int32": "<i4"}


def eeg(n_chans: int, seconds: float, rate: float = 256.0, *, seed: int = 0) -> np.ndarray:
    """Noise, (n_chans, n_times), in microvolt, rounded as muse-lsl does."""
    return np.random.default_rng(seed).normal(0, 20, (n_chans, round(seconds * rate))).round(3)


def stamps_of(n: int, rate: float = 256.0, first: float = FIRST) -> np.ndarray:
    """Stamps of a headband, rounded to milliseconds."""
    return np.round(first + np.arange(n) / rate, 3)


def write_csv(
    path: Path,
    signal: np.ndarray,
    names: Sequence[str] = ("TP9", "AF7", "AF8", "TP10", "Right AUX"),
    *,
    rate: float = 256.0,
    lost: Sequence[tuple[int, int]] = (),
    stamps: np.ndarray | None = None,
    separator: str = ",",
) -> Path:
    """Write a signal as muse-lsl does, without the samples of the ranges that are lost."""
    stamps = stamps_of(signal.shape[1], rate) if stamps is None else stamps
    is_kept = np.ones(signal.shape[1], bool)
    for first, end in lost:
        is_kept[first:end] = False
    rows = [
        separator.join([f"{stamps[i]:.3f}", *(f"{value:.3f}" for value in signal[:, i])])
        for i in np.flatnonzero(is_kept)
    ]
    path.write_text("\n".join([separator.join(["timestamps", *names]), *rows, ""]), encoding="utf-8")
    return path


@dataclass
class Stream:
    """A stream to write.

    Parameters
    ----------
    values : numbers, (n_samples, n_chans), or rows of texts.
    stamps : on the clock of the stream.
    channels : facts of each channel, such as ``{"label": "Cz", "unit": "microvolts"}``.
    offsets : times at which the clock was compared, and what is added to reach the recorder's clock.
    """

    name: str
    kind: str
    values: Any
    stamps: np.ndarray
    rate: float = 0.0
    form: str = "float32"
    channels: Sequence[dict[str, str]] = ()
    offsets: Sequence[tuple[float, float]] = ()
    info: dict[str, str] = field(default_factory=dict)

    @property
    def header(self) -> bytes:
        n_chans = len(self.values[0]) if len(self.values) else max(len(self.channels), 1)
        facts = {
            "name": self.name,
            "type": self.kind,
            "channel_count": str(n_chans),
            "nominal_srate": str(self.rate),
            "channel_format": self.form,
            **self.info,
        }
        described = "".join(f"<channel>{_tags(each)}</channel>" for each in self.channels)
        return (
            f'<?xml version="1.0"?><info>{_tags(facts)}<desc><channels>{described}</channels></desc></info>'
        ).encode()

    def sample(self, i: int, *, has_stamp: bool = True) -> bytes:
        stamp = b"\x08" + struct.pack("<d", self.stamps[i]) if has_stamp else b"\0"
        if self.form == "string":
            return stamp + b"".join(_sized(text.encode()) for text in self.values[i])
        return stamp + np.asarray(self.values[i]).astype(FORMS[self.form]).tobytes()


def _tags(facts: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in facts.items())


def _sized(content: bytes) -> bytes:
    n = len(content)
    return (bytes([1, n]) if n < 256 else b"\x04" + struct.pack("<I", n)) + content


def chunk(tag: int, content: bytes) -> bytes:
    """A chunk of an XDF file."""
    return _sized(struct.pack("<H", tag) + content)


def xdf(*streams: Stream, n_together: int = 32, has_footers: bool = True) -> bytes:
    """An XDF file of streams, in chunks of a few samples."""
    parts = [b"XDF:", chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')]
    numbered = [(struct.pack("<I", number), each) for number, each in enumerate(streams, start=1)]
    parts += [chunk(2, number + each.header) for number, each in numbered]
    for number, each in numbered:
        parts += [chunk(4, number + struct.pack("<dd", *pair)) for pair in each.offsets]
        for first in range(0, len(each.stamps), n_together):
            rows = range(first, min(first + n_together, len(each.stamps)))
            count = b"\x04" + struct.pack("<I", len(rows))
            parts.append(chunk(3, number + count + b"".join(each.sample(i) for i in rows)))
        parts.append(chunk(5, BOUNDARY))
    if has_footers:
        parts += [chunk(6, number + b"<?xml version='1.0'?><info></info>") for number, _ in numbered]
    return b"".join(parts)
