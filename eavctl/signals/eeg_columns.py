"""Tables of text that are recordings of EEG: a column of time stamps and one a channel, found by their names.

The names are those of muse-lsl (``timestamps,TP9,AF7,AF8,TP10,Right AUX``), Mind Monitor (``TimeStamp``,
``RAW_TP9``), the OpenBCI GUI (lines of ``%``, then ``Sample Index, EXG Channel 0, ...``), Emotiv
(``EEG.AF3`` below a line of facts), and of tables that are written by hand or by MNE.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eavctl.errors import DataError
from eavctl.signals.eeg_names import clean_names
from eavctl.storage import delimited, files

START = 1 << 15  # bytes in which the header and the first samples stand
MOST_LINES = 40  # before the header
STAMPS = frozenset({"timestamps", "timestamp", "time", "times", "t", "datetime", "lsltimestamp", "unixtime"})
UNIT = re.compile(r"\s*[\[(]\s*([^\])]*?)\s*[\])]\s*$")
SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
MICROVOLTS = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
MARKERS = re.compile(
    r"(markers?|triggers?|stim(ulus)?|events?|annotations?)(channel)?\d*|elements|sti\d+|markervalueint"
)
# Electrodes of the 10-5 system, the mastoids and ear lobes, and channels with numbers for names.
_REGIONS = "N|NFp|Fp|AFp|AFF?|F|FFT|FFC|FT|FTT|FC|FCC|T|TTP|C|CCP|TPP?|CPP?|P|PPO|POO?|O|OI|I"
ELECTRODE = re.compile(rf"({_REGIONS})(\d{{1,2}}h?|z)|[AM][12]", re.IGNORECASE)
NUMBERED = re.compile(r"((EEG|EXG|ch|chan|channel)[\s_.-]*)+\d{1,3}", re.IGNORECASE)
PREFIX = re.compile(r"(EEG|EXG|RAW)[\s_.-]+", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """What the columns of a table of EEG are.

    Parameters
    ----------
    stamps : index of the column of time stamps.
    unit_s : its unit in seconds, where its name gives one.
    channels : indices of the EEG channels.
    names : names of the EEG channels, without a prefix of the type.
    units_uv : their units in microvolt, where their names give them, else 1.
    markers : indices of the columns of markers.
    others : names of the columns that are left out.
    """

    stamps: int
    unit_s: float | None
    channels: tuple[int, ...]
    names: tuple[str, ...]
    units_uv: tuple[float, ...]
    markers: tuple[int, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """The header of a table of EEG.

    Parameters
    ----------
    cells : names of all columns.
    columns : what they are.
    n_before : lines up to the header, and it.
    separator : between the columns.
    first : the cells of the first row.
    width : how many cells most of the first rows have; programs leave out the last or add one.
    """

    cells: tuple[str, ...]
    columns: Columns
    n_before: int
    separator: str
    first: tuple[str, ...]
    width: int

    @property
    def begins_samples(self) -> bool:
        """Whether a row follows, and holds numbers of the channels or nothing."""
        cells = [self.first[i] for i in self.columns.channels if i < len(self.first)]
        return bool(cells) and all(not cell or is_number(cell) for cell in cells)


def columns_by_name(cells: Sequence[str]) -> Columns | None:
    """What the columns of these names are; None without time stamps or without a channel of EEG."""
    plain = [UNIT.sub("", cell) for cell in cells]
    units = [unit[1].casefold() if (unit := UNIT.search(cell)) else "" for cell in cells]
    folded = [re.sub(r"[\s_.-]+", "", name).casefold() for name in plain]
    stamps = [i for i, name in enumerate(folded) if name in STAMPS and units[i] != "formatted"]
    channels = [i for i, name in enumerate(plain) if i not in stamps and is_channel(name)]
    if not stamps or not channels:
        return None
    short = [plain[i] if NUMBERED.fullmatch(plain[i]) else PREFIX.sub("", plain[i]) for i in channels]
    names = clean_names(short if len(set(short)) == len(short) else [plain[i] for i in channels])
    markers = [i for i, name in enumerate(folded) if i not in channels and MARKERS.fullmatch(name)]
    used = {stamps[0], *channels, *markers}
    return Columns(
        stamps[0],
        SECONDS.get(units[stamps[0]]),
        tuple(channels),
        tuple(names),
        tuple(MICROVOLTS.get(units[i], 1.0) for i in channels),
        tuple(markers),
        tuple(dict.fromkeys(cell for i, cell in enumerate(cells) if i not in used and cell)),
    )


def is_channel(name: str) -> bool:
    """Whether a name is that of an EEG channel: an electrode, or ``EEG``, ``EXG`` or ``ch`` and a number."""
    return bool(NUMBERED.fullmatch(name) or ELECTRODE.fullmatch(PREFIX.sub("", name).strip(" .")))


def is_number(text: str) -> bool:
    """Whether a text is a number, with a decimal point or comma."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def event_name(text: str) -> str:
    """The name of the event that a marker stands for; empty for none. ``1.0`` is the event ``1``."""
    name = text.strip()
    with contextlib.suppress(ValueError):
        name = f"{float(name):.15g}"
    return "" if name in ("0", "-0") else name


def read_header(path: str | os.PathLike[str]) -> Header | None:
    """Find the header of a table of EEG near the start of a file; None where there is none.

    Raises
    ------
    DataError : the file cannot be read.
    """
    with files.opened(path) as handle:
        start = handle.read(START)
    codec = delimited.codec_of_start(start)
    if codec is None or not start:
        return None
    lines = list(io.StringIO(start.decode(codec, "replace"), newline=None))
    for number, line in enumerate(lines[:MOST_LINES], start=1):
        separator, cells = _cells(line, path)
        columns = columns_by_name(cells)
        if columns is not None:
            below = [each for each in lines[number : number + MOST_LINES] if each.strip()]
            rows = [_cells(each, path, separator)[1] for each in below]
            widths = Counter(map(len, rows)) or Counter([len(cells)])
            (width, _), *_ = widths.most_common(1)
            first = tuple(rows[0]) if rows else ()
            return Header(tuple(cells), columns, number, separator, first, width)
    return None


def _cells(line: str, path: str | os.PathLike[str], separator: str | None = None) -> tuple[str, list[str]]:
    """The separator of a line, and its cells; no cells where its quotes do not fit."""
    with contextlib.suppress(DataError):
        found, rows = delimited.records(iter([line]), path, separator)
        for _, cells in rows:
            return found, [cell.strip() for cell in cells]
    return separator or ",", []
