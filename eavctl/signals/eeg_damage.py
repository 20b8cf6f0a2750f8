"""Checks of EEG files, by sizes and bytes, for damage that readers would silently turn into wrong values.

Reference: Kemp, Olivan, European data format 'plus' (EDF+), Clinical Neurophysiology 114, 2003.
"""

from __future__ import annotations

import gzip
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from eavctl.errors import SignalError

CHECKED_BYTES = 16 << 20
FEWEST_LINE_FEEDS = 4  # by chance all of so many follow a carriage return in one of 10^8 files
CR, LF = 13, 10
GAP_S = 0.01
MOST_SIGNALS = 4096
FLOAT32_BYTES, FLOAT64_BYTES = 4, 8
LARGEST_BYTES = 2 << 30
FIF_TAG_BYTES, LARGEST_FIF = 16, 2 << 30


def check_text_mode(path: str) -> None:
    """Raise a SignalError if a binary file was copied as text, so that every line feed became two bytes.

    From the first line feed on, all samples are shifted by a byte and would be read as noise.
    """
    with open(path, "rb") as file:
        content = np.frombuffer(file.read(CHECKED_BYTES), np.uint8)
    before_line_feeds = np.flatnonzero(content[1:] == LF)
    if len(before_line_feeds) >= FEWEST_LINE_FEEDS and (content[before_line_feeds] == CR).all():
        raise SignalError(
            f"{path}: damaged, every line feed became two bytes when it was copied as text; copy it "
            "again in binary mode"
        )


@dataclass(frozen=True)
class EdfHeader:
    """The fields of an EDF or BDF header that determine the size of the file.

    Parameters
    ----------
    n_bytes, record_bytes : size of the header and of one data record.
    n_records : number of data records; -1 if the header leaves it open.
    record_s : duration of a data record in seconds.
    times_at : offset of the time stamp in a data record; None if the recording is continuous.
    """

    n_bytes: int
    record_bytes: int
    n_records: int
    record_s: float
    times_at: int | None


def check_edf(path: str) -> str | None:
    """Compare the size of an EDF or BDF file with its header.

    Returns
    -------
    A warning about a file that can still be read, or None.

    Raises
    ------
    SignalError : not EDF or BDF, no samples, copied as text, or with gaps in time between records.
    """
    check_text_mode(path)
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        try:
            header = _edf_header(file)
        except ValueError:
            raise SignalError(f"{path}: not an EDF or BDF file, or its header is damaged") from None
        n_found, rest = divmod(size - header.n_bytes, header.record_bytes)
        if n_found <= 0:
            raise SignalError(f"{path}: the file ends before its first samples")
        _check_gaps(path, file, header, min(n_found, header.n_records) if header.n_records > 0 else n_found)
    seconds = n_found * header.record_s
    if n_found < header.n_records or (rest and header.n_records < 0):
        return f"the end of the recording is missing; using its first {seconds:.2f} s"
    if n_found > header.n_records > 0:
        return f"longer than its header says; using all {seconds:.2f} s"
    return None


def _edf_header(file: BinaryIO) -> EdfHeader:
    """Parse the header; raises a ValueError if it is not valid."""
    head = file.read(256)
    is_bdf = head[:8] == b"\xffBIOSEMI"
    if not is_bdf and head[:8].strip() != b"0":
        raise ValueError
    n_signals, n_records, record_s = int(head[252:256]), int(head[236:244]), float(head[244:252])
    if not 0 < n_signals <= MOST_SIGNALS or not record_s >= 0 or int(head[184:192]) != 256 * (n_signals + 1):
        raise ValueError
    signals = file.read(256 * n_signals)
    labels = [signals[16 * i : 16 * (i + 1)] for i in range(n_signals)]
    lengths = [
        int(signals[216 * n_signals + 8 * i : 216 * n_signals + 8 * (i + 1)]) for i in range(n_signals)
    ]
    if min(lengths) < 0 or not sum(lengths):
        raise ValueError
    width = 3 if is_bdf else 2
    stamps = [i for i, label in enumerate(labels) if label.strip().endswith(b"Annotations")]
    is_interrupted = head[192:197] in (b"EDF+D", b"BDF+D") and bool(stamps)
    times_at = width * sum(lengths[: stamps[0]]) if is_interrupted else None
    return EdfHeader(256 * (n_signals + 1), width * sum(lengths), n_records, record_s, times_at)


def _check_gaps(path: str, file: BinaryIO, header: EdfHeader, n_records: int) -> None:
    """Raise a SignalError if there are gaps in time between records: samples and events would not align."""
    if header.times_at is None:
        return
    first: float | None = None
    for number in range(n_records):
        file.seek(header.n_bytes + number * header.record_bytes + header.times_at)
        stamp = re.match(rb"([+-]\d+(?:\.\d*)?)\x14", file.read(32))
        if stamp is None:
            raise SignalError(f"{path}: damaged, record {number + 1} has no time stamp")
        first = float(stamp[1]) if first is None else first
        if abs(float(stamp[1]) - first - number * header.record_s) > GAP_S:
            seconds = number * header.record_s
            raise SignalError(f"{path}: interrupted after {seconds:.2f} s; save each part as a separate file")


def check_brainvision(path: str, data_path: str, n_chans: int, n_times: int, sfreq: float) -> str | None:
    """Compare the size of a BrainVision data file with its header; returns and raises as `check_edf` does."""
    text = Path(path).read_text("latin-1")
    if re.search(r"^DataFormat\s*=\s*ASCII", text, re.MULTILINE | re.IGNORECASE):
        return None
    check_text_mode(data_path)
    claim = re.search(r"^DataPoints\s*=\s*(\d+)", text, re.MULTILINE | re.IGNORECASE)
    width = 4 if re.search(r"^BinaryFormat\s*=\s*IEEE_FLOAT_32", text, re.MULTILINE | re.IGNORECASE) else 2
    found, rest = divmod(Path(data_path).stat().st_size, n_chans * width)
    claimed = int(claim[1]) if claim else found
    if (found, rest) == (claimed, 0):
        return None
    by_channel = re.search(r"^DataOrientation\s*=\s*VECTORIZED", text, re.MULTILINE | re.IGNORECASE)
    if found > claimed or by_channel or not n_times:
        raise SignalError(
            f"{data_path}: not of the size that {path} gives, {claimed} samples of {n_chans} channels"
        )
    return f"the end of {data_path} is missing; using its first {n_times / sfreq:.2f} s"


def check_fif(path: str) -> bool:
    """Follow the chain of tags of a FIF file; MNE would not return if damage made it a circle.

    Returns
    -------
    Whether the file ends before the chain of tags does.

    Raises
    ------
    SignalError : the chain has no end, or the file was copied as text.
    """
    is_packed = path.lower().endswith(".gz")
    if not is_packed:
        check_text_mode(path)
    seen: set[int] = set()
    at = 0
    with gzip.open(path) if is_packed else open(path, "rb") as file:
        while at not in seen and 0 <= at <= LARGEST_FIF:
            seen.add(at)
            file.seek(at)
            tag = file.read(FIF_TAG_BYTES)
            if len(tag) < FIF_TAG_BYTES:
                return True
            _, _, size, following = struct.unpack(">4i", tag)
            if following == -1:
                return False
            at = following if following > 0 else at + FIF_TAG_BYTES + size
    raise SignalError(f"{path}: damaged, its chain of tags has no end")


def check_fdt(path: str, data_path: str, n_chans: int, n_times: int) -> None:
    """Raise a SignalError if the size of an EEGLAB data file is not the one that its ``.set`` file gives."""
    check_text_mode(data_path)
    size, needed = Path(data_path).stat().st_size, n_chans * n_times * FLOAT32_BYTES
    if size != needed:
        raise SignalError(
            f"{data_path}: has {size} bytes, but by {path} it needs {needed}; copy it or save the set again"
        )


def check_size(path: str, n_chans: int, n_times: int) -> None:
    """Raise a SignalError for a recording without samples, or of more than 2 GiB in memory."""
    if not n_times:
        raise SignalError(f"{path}: holds no samples")
    if n_chans * n_times * FLOAT64_BYTES > LARGEST_BYTES:
        raise SignalError(f"{path}: {n_chans} channels of {n_times} samples exceed 2 GiB; cut it first")
