"""EEG recordings in tables of text, such as the CSV of a headband: see `eavctl.signals.eeg_columns`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from eavctl.errors import DataError, SignalError
from eavctl.signals.eeg_columns import Header, event_name, is_number, read_header
from eavctl.signals.eeg_file import Event, listed, numbered, warn
from eavctl.signals.eeg_stamped import SLOWEST, StampedRecording
from eavctl.signals.sample_grid import block_rate
from eavctl.storage.delimited import encoding_of

LARGEST_BYTES = 4 << 30
BLOCK_BYTES = 4 << 20
NOTHING = ["", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "None", "-"]
FASTEST = 1000 * SLOWEST  # Hz; 1000 is the factor by which units of time differ
UNITS_S = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
MOST_CHANGES = 0.2  # of the rows, by which a column of markers changes
EPOCH_S = (1e9, 1e10)  # seconds since 1970 of the years 2001 to 2286


class CsvRecording(StampedRecording):
    """A continuous recording in a table of text: a row a sample, with its time stamp.

    Rows without a stamp, or without a number in a channel, are missing samples. Values are in microvolt, or
    in the unit in the name of their column.
    """

    def __init__(self, path: str) -> None:
        self._header = _header(path)
        columns = self._header.columns
        table, n_torn = _parsed(path, self._header)
        is_used = [table[str(i)].null_count < len(table) for i in columns.channels]
        if not any(is_used):
            raise SignalError(f"{path}: its channels hold no numbers: {listed(columns.names)}")
        self._used = [str(i) for i in compress(columns.channels, is_used)]
        named, units = list(compress(columns.names, is_used)), list(compress(columns.units_uv, is_used))
        stamps = _seconds(path, table[str(columns.stamps)], columns.unit_s)
        markers = {self._header.cells[i]: table[str(i)] for i in columns.markers if i < self._header.width}
        empty = [f"{name} (empty)" for name, used in zip(columns.names, is_used, strict=True) if not used]
        left_out = [*columns.others, *empty]
        names = numbered(path, named)
        super().__init__(path, names, units, stamps, self._columns_of(table), left_out=left_out)
        found = [event for name, each in markers.items() for event in self._events_of(name, each)]
        self.events = tuple(sorted(found, key=lambda event: event.onset))
        if n_torn:
            warn(path, f"lines with another number of cells than the header, which are left out: {n_torn}")

    def _columns_of(self, table: pa.Table) -> list[np.ndarray]:
        return [table[name].to_numpy() for name in self._used]

    def _load(self) -> list[np.ndarray]:
        return self._columns_of(_parsed(self.path, self._header)[0])

    def _events_of(self, column: str, markers: pa.ChunkedArray) -> Iterator[Event]:
        """The events of a column of markers: wherever its value changes to another one than none."""
        encoded = pc.dictionary_encode(pc.fill_null(markers, "")).combine_chunks()
        number_of: dict[str, int] = {"": 0}  # of a name
        texts = map(event_name, encoded.dictionary.to_pylist())
        codes = np.array([number_of.setdefault(text, len(number_of)) for text in texts])
        values = codes[encoded.indices.to_numpy()]
        firsts = np.flatnonzero(np.diff(values, prepend=-1))
        if len(firsts) > MOST_CHANGES * len(values) + 1:
            warn(self.path, f"the column {column!r} changes too often for markers, and is left out")
            return
        names = list(number_of)
        onsets = self.places_of_rows(firsts)
        lasts = self.places_of_rows(np.append(firsts[1:], len(values)) - 1)
        lengths = np.where(lasts > onsets, lasts + 1 - onsets, 0)
        for value, onset, length in zip(
            values[firsts].tolist(), onsets.tolist(), lengths.tolist(), strict=True
        ):
            if value:
                yield Event(onset / self.sfreq, length / self.sfreq, names[value])


def _header(path: str) -> Header:
    if os.path.getsize(path) > LARGEST_BYTES:
        raise SignalError(f"{path}: a text of more than 4 GiB; cut it first")
    try:
        header = read_header(path)
    except DataError as error:
        raise SignalError(str(error)) from None
    if header is None:
        raise SignalError(
            f"{path}: not a recording: no line near its start names a column of time stamps ('timestamps', "
            "'time') and channels of EEG ('TP9', 'Cz', 'EEG 1'); rename the columns"
        )
    return header


def _parsed(path: str, header: Header) -> tuple[pa.Table, int]:
    """The columns that are used, by their numbers, and the number of lines that are no rows."""
    torn: list[int | None] = []

    def leave_out(row: csv.InvalidRow) -> str:
        torn.append(row.number)
        return "skip"

    types, decimal_point = _form(path, header)
    try:
        codec, _ = encoding_of(path)  # of lines that are no rows, Arrow gives the text too
        table = csv.read_csv(
            path,
            csv.ReadOptions(
                use_threads=False,  # files are read side by side, and the first fault is told
                column_names=[str(i) for i in range(header.width)],
                skip_rows=header.n_before,
                encoding="utf8" if codec == "utf-8-sig" else codec,
                block_size=BLOCK_BYTES,
            ),
            csv.ParseOptions(delimiter=header.separator, invalid_row_handler=leave_out),
            csv.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                null_values=NOTHING,
                strings_can_be_null=True,
                decimal_point=decimal_point,
            ),
        )
    except (DataError, pa.ArrowInvalid, OSError, UnicodeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SignalError(f"{path}: damaged, or not a table of numbers ({_named(reason, header)})") from None
    if not len(table):
        raise SignalError(f"{path}: holds no samples, only a header")
    return table, len(torn)


def _form(path: str, header: Header) -> tuple[dict[str, pa.DataType], str]:
    """The types of the columns that are used, by their numbers, and the decimal point, by the first row."""
    columns = header.columns
    if header.width <= max(columns.stamps, *columns.channels):
        raise SignalError(
            f"{path}: most rows have {header.width} cells, but the header names {len(header.cells)} columns"
        )
    first = (*header.first, *[""] * header.width)
    comma = header.separator != "," and any("," in first[i] for i in (columns.stamps, *columns.channels))
    types = {str(i): pa.float64() for i in columns.channels} | {
        str(i): pa.string() for i in columns.markers if i < header.width
    }
    stamps = str(columns.stamps)
    is_date = first[columns.stamps] and not is_number(first[columns.stamps])
    types[stamps] = pa.string() if is_date else pa.float64()
    return types, "," if comma else "."


def _named(reason: str, header: Header) -> str:
    """A reason of Arrow's, with the name of the column instead of its number."""
    before, found, rest = reason.partition("In CSV column #")
    number, _, text = rest.partition(":")
    if found and number.isdecimal() and int(number) < len(header.cells):
        return f"{before}column {header.cells[int(number)]!r}:{text}"
    return reason


def _seconds(path: str, stamps: pa.ChunkedArray, unit_s: float | None) -> np.ndarray:
    """The time stamps in seconds, NaN where there is none."""
    if pa.types.is_string(stamps.type):
        return _of_dates(path, stamps)
    found: np.ndarray = stamps.to_numpy().astype(np.float64)
    if unit_s is not None:
        return found * unit_s
    finite = found[np.isfinite(found)]
    if len(finite) < 2:
        return found
    try:
        rate = block_rate(finite - finite[0])
    except SignalError as error:
        raise SignalError(f"{path}: {error}") from None
    fitting = [unit for unit in UNITS_S.values() if SLOWEST <= rate / unit < FASTEST]
    if not fitting or (fitting[0] < 1 and EPOCH_S[0] <= finite[0] < EPOCH_S[1]):
        raise SignalError(
            f"{path}: {rate:g} samples in one unit of its time stamps, no sampling rate of EEG in any unit; "
            "write seconds"
        )
    if fitting[0] < 1 and np.array_equal(np.diff(finite), np.ones(len(finite) - 1)):
        raise SignalError(
            f"{path}: its time stamps count samples or milliseconds; write seconds, or name the column "
            "'time (ms)'"
        )
    return found * fitting[0]


def _of_dates(path: str, stamps: pa.ChunkedArray) -> np.ndarray:
    """Seconds of dates in the form of ISO 8601, or of times of a day."""
    for prefix, kind in (
        ("", pa.timestamp("us")),
        ("", pa.timestamp("us", "UTC")),
        ("1970-01-01 ", pa.timestamp("us")),
    ):
        try:
            texts = pc.utf8_trim_whitespace(stamps)
            if prefix:
                texts = pc.binary_join_element_wise(prefix, texts, "")
            numbers: Any = pc.cast(pc.cast(texts, kind), pa.int64())
        except pa.ArrowInvalid:
            continue
        return np.asarray(pc.divide(pc.cast(numbers, pa.float64()), 1e6).to_numpy(), np.float64)
    example = next(text for text in stamps.to_pylist() if text)
    raise SignalError(
        f"{path}: the time stamp {example!r} is no number and no date such as 2024-05-01 12:30:00.125; write "
        "seconds"
    )
