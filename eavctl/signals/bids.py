"""BIDS: the names of EEG recordings, and the tables beside them that describe channels and events.

References: Gorgolewski et al., The brain imaging data structure, Scientific Data 3, 2016; Pernet et al.,
EEG-BIDS, Scientific Data 6, 2019; https://bids-specification.readthedocs.io, version 1.10: "Common
principles" (names, tabular files, the inheritance principle), "Electroencephalography" (``channels.tsv``,
``electrodes.tsv``), "Task events" (``events.tsv``).
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eavctl.errors import SignalError
from eavctl.signals.eeg_file import Event, listed, warn
from eavctl.signals.eeg_montages import Montage, on_a_head, positions_of
from eavctl.signals.eeg_names import clean_name
from eavctl.signals.endings import split_ending

ENTITY = r"[a-z]+-[^_]+"
RECORDING = re.compile(rf"sub-[^_]+(_{ENTITY})*_eeg")
TABLE = re.compile(rf"(({ENTITY}_)*)(?P<suffix>[a-z]+)")
DEPTH = 3  # folders of a recording below the data set: subject, session, eeg
MISSING = ("", "n/a")
SPACE = "space"  # entity of tables of coordinates that recordings do not have
EEG = "EEG"
TYPE_PREFIX = re.compile(r"EEG ", re.IGNORECASE)  # of the labels in EDF files, which MNE removes


class Table(NamedTuple):
    """A tab-separated table.

    Parameters
    ----------
    path : its file.
    columns : names of the columns, in order.
    rows : line and cells by column, without missing values.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def require(self, *columns: str) -> None:
        """Raise a SignalError unless the table has at least one of the columns."""
        if not set(columns) & set(self.columns):
            raise SignalError(f"{self.path}: has no column {' or '.join(map(repr, columns))}")


def entities_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """The entities in the name of an EEG recording, such as ``{"sub": "01", "task": "rest"}``.

    Parameters
    ----------
    path : of a file, such as ``sub-01_task-rest_eeg.edf``; any other name has no entities.
    """
    stem, _ = split_ending(os.path.basename(path))
    return _entities(stem) if RECORDING.fullmatch(stem) else {}


def _entities(stem: str) -> dict[str, str]:
    return dict(part.split("-", 1) for part in stem.split("_")[:-1])


def data_set_of(path: str | os.PathLike[str]) -> Path:
    """The folder of the data set of a recording: above its subject's folder, else the recording's own."""
    file = Path(os.path.abspath(path))  # links are not followed: recordings can be links to a store
    subject = f"sub-{entities_of(file).get('sub')}"
    return next((each.parent for each in file.parents[:DEPTH] if each.name == subject), file.parent)


def table_of(path: str | os.PathLike[str], suffix: str) -> Table | None:
    """The table that applies to a recording, by the inheritance principle; None if there is none.

    It lies beside the recording or in a folder above it, up to that of the data set, and its name has no
    entity that the recording has not, except for the ``space`` of coordinates. Of several, the nearest
    applies, then the one with most entities.

    Parameters
    ----------
    path : of a recording.
    suffix : such as ``channels`` or ``events``.

    Raises
    ------
    SignalError : the table cannot be read.
    """
    found = path_of(path, suffix)
    return None if found is None else read_table(found)


def path_of(path: str | os.PathLike[str], suffix: str) -> Path | None:
    """The path of the table that `table_of` reads."""
    entities = entities_of(path)
    for folder in _folders(path) if entities else ():
        fitting = [
            (len(own), file)
            for file in folder.glob(f"*{suffix}.tsv")
            if (match := TABLE.fullmatch(file.stem))
            and match["suffix"] == suffix
            and (own := _entities(file.stem)).items() <= entities.items() | {(SPACE, own.get(SPACE))}
        ]
        if fitting:
            return max(fitting)[1]
    return None


def _folders(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder of a recording, and those above it up to that of the data set."""
    top = data_set_of(path)
    for folder in Path(os.path.abspath(path)).parents:
        yield folder
        if folder == top:
            return


def read_table(path: Path) -> Table:
    """Read a tab-separated table with a header, encoded in UTF-8.

    Raises
    ------
    SignalError : it cannot be read, is no such table, has no header, repeats a column, or a row has more
        cells than columns.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t", strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        raise SignalError(f"{path}: not a table of tab-separated values in UTF-8 ({error})") from None
    lines = [(line, cells) for line, cells in lines if any(cells)]
    if not lines:
        raise SignalError(f"{path}: the table is empty")
    columns = lines[0][1]
    repeated = [name for name in columns if name and columns.count(name) > 1]
    if repeated:
        raise SignalError(f"{path}: two columns are named {repeated[0]!r}; keep one")
    rows = []
    for line, cells in lines[1:]:
        if any(cells[len(columns) :]):
            raise SignalError(f"{path}: line {line} has {len(cells)} cells, the header {len(columns)}")
        known = zip(columns, cells, strict=False)
        rows.append((line, {name: cell for name, cell in known if name and cell not in MISSING}))
    return Table(path, tuple(filter(None, columns)), tuple(rows))


def described_channels(
    path: str, names: Sequence[str], eeg: Collection[int], bads: Collection[str]
) -> tuple[list[int], set[str]]:
    """The EEG channels of a recording, and those marked bad, by its ``channels.tsv``.

    The table decides for the channels that it lists; where it gives no type or status, and for channels that
    it does not list, the file decides.

    Parameters
    ----------
    path : of the recording.
    names : names of all channels of the file.
    eeg : indices of the EEG channels by the file.
    bads : names of the channels marked bad in the file.

    Returns
    -------
    Indices of the EEG channels, and names of the bad ones; as given, if no table applies.

    Raises
    ------
    SignalError : the table cannot be read, names an EEG channel that the file does not have, repeats one, or
        leaves no EEG channel.
    """
    table = table_of(path, "channels")
    if table is None:
        return list(eeg), set(bads)
    table.require("name")
    places = _places(names)
    is_eeg: dict[int, bool] = {}
    marked, absent = set(bads), []
    for line, row in table.rows:
        name, kind = row.get("name", ""), row.get("type", "").upper()
        place = places.get(name, places.get(_plain(name)))
        if place is None:
            absent += [name] if kind in ("", EEG) else []
            continue
        if place in is_eeg:
            raise SignalError(f"{table.path}: line {line} repeats the channel {name!r}")
        is_eeg[place] = kind == EEG if kind else place in eeg
        status = row.get("status", "").lower()
        marked = marked | {names[place]} if status == "bad" else marked
        marked = marked - {names[place]} if status == "good" else marked
    if absent:
        raise SignalError(
            f"{path}: {table.path.name} names channels that the recording does not have: {_few(absent)}; "
            f"it has {_few(names)}"
        )
    found = [place for place in range(len(names)) if is_eeg.get(place, place in eeg)]
    if not found:
        raise SignalError(f"{path}: no EEG channels by {table.path.name}")
    if unlisted := [names[place] for place in found if place not in is_eeg]:
        warn(path, f"{table.path.name} does not list the channels {_few(unlisted)}, which are used")
    return found, marked


def electrodes_of(path: str, ch_names: Sequence[str]) -> Montage | None:
    """The places of a recording's electrodes by its ``electrodes.tsv``; None if it has none.

    A `RecordingWarning` tells why a table is not used. The unit and the axes of its coordinate system do not
    matter, see `eavctl.signals.eeg_montages`.

    Parameters
    ----------
    path : of the recording.
    ch_names : names of its EEG channels.

    Returns
    -------
    Positions by the names of the channels; electrodes that are no channel keep their own names.
    """
    try:
        table = table_of(path, "electrodes")
        if table is None:
            return None
        channels = {_plain(name): name for name in ch_names}
        found = positions_of([row for _, row in table.rows])
        return on_a_head({channels.get(_plain(name), name): place for name, place in found.items()})
    except (SignalError, ValueError) as error:
        warn(path, f"its table of electrodes is not used: {error}")
        return None


def _places(names: Sequence[str]) -> Mapping[str, int]:
    """The index of each channel by its name and, if no other has the same, by its plain name."""
    plain = [_plain(name) for name in names]
    found = {name: i for i, name in enumerate(plain) if plain.count(name) == 1}
    return found | {name: i for i, name in enumerate(names)}


def _plain(name: str) -> str:
    """A name without the type that EDF puts before it, in one case, and cleaned as those of files."""
    return clean_name(TYPE_PREFIX.sub("", name.strip(), count=1)).casefold()


def _few(names: Sequence[str]) -> str:
    return listed(names[:5]) + (", ..." if len(names) > 5 else "")


def events_of(path: str | os.PathLike[str], length: float) -> tuple[Event, ...] | None:
    """The events of a recording by its ``events.tsv``; None if it has none.

    The name of an event is its ``trial_type``, or else its ``value``; one without either is left out. An
    unknown onset is NaN, an unknown duration 0.

    Parameters
    ----------
    path : of the recording.
    length : of the recording, in seconds.

    Raises
    ------
    SignalError : the table cannot be read, lacks a column, or a time is not a number.
    """
    table = table_of(path, "events")
    if table is None:
        return None
    table.require("onset")
    table.require("trial_type", "value")
    found = []
    for line, row in table.rows:
        name = row.get("trial_type", row.get("value"))
        if name is not None:
            onset = _seconds(table, line, row, "onset", math.nan)
            duration = max(_seconds(table, line, row, "duration", 0.0), 0.0)
            found.append(Event(onset, duration, name, is_cut=onset <= length < onset + duration))
    return tuple(found)


def _seconds(table: Table, line: int, row: Mapping[str, str], column: str, unknown: float) -> float:
    text = row.get(column)
    try:
        return unknown if text is None else float(text)
    except ValueError:
        raise SignalError(
            f"{table.path}: line {line}: {column} is {text!r}, not a number of seconds"
        ) from None
