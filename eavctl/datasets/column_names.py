"""What the columns of a manifest mean, by their names and by ``--columns``."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eavctl.errors import DataError, UsageError
from eavctl.signals.eeg_columns import STAMPS, columns_by_name, read_header
from eavctl.signals.endings import TEXT_ENDINGS, modalities_of, split_ending
from eavctl.storage.foreign_tables import header_of
from eavctl.storage.keys import MANIFEST_COLUMNS, PATHS

PATH, DURATION = "path", "duration"
ENDINGS = (".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".jsonl", ".ndjson", ".parquet")
ASKED_ENDINGS = (".txt",)  # which other texts have too
SHOWN = 8  # names in a message
MOST_DOUBTED = 40  # extra columns whose names are compared with those of keys
SHORTEST = 5  # letters of a name that may be meant for another
LIKE = 0.85  # likeness from which one name may be meant by another, of `difflib`

# Other names of each key, in lower case and without spaces, dashes, underscores and points.
SYNONYMS = {
    PATH: "file filename filepath filelocation fname relativepath relpath",
    "audio_path": "audio audiofile audiofilename audiofilepath sound soundfile wav wavfile wavpath wavname",
    "video_path": "video videofile videofilename videofilepath videoname film movie",
    "eeg_path": "eeg eegfile eegfilename eegfilepath edf edffile edfpath",
    "label": "labels emotion emotions emotionlabel emotionclass emotionname class classlabel classname "
    "category target",
    "subject": "subjectid subjectname speaker speakerid speakername participant participantid actor actorid "
    "person personid",
    "dataset": "corpus corpusname database datasetname",
    "session": "sessionid",
    "trial": "trialid trialnumber",
    "task": "taskname",
    "clip_id": "clip clipname utterance utteranceid",
    "start": "onset begin starttime begintime startseconds",
    "end": "offset stop endtime stoptime endseconds",
    DURATION: "dur length",
    "split": "subset partition",
    "fold": "foldid",
}
_UNIT = re.compile(r"[(\[](s|sec|secs|seconds?)[)\]]$")


def folded(name: str) -> str:
    """A name without case, spaces, dashes, underscores, points, and a unit of seconds in brackets."""
    return _UNIT.sub("", re.sub(r"[\s_.-]+", "", name.casefold()))


_KEYS = {folded(key): key for key in (PATH, DURATION, *MANIFEST_COLUMNS)}
_KEYS |= {other: key for key, others in SYNONYMS.items() for other in others.split()}


def key_of(name: str) -> str | None:
    """The key that a name stands for; None for a name of no key."""
    return _KEYS.get(folded(name))


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a manifest.

    By its ending, unless it is a recording of EEG; of a text, by a first line that names a path.
    """
    place = Path(path)
    if not place.is_file():
        return False
    ending = place.suffix.lower()
    if ending not in ASKED_ENDINGS:
        return ending in ENDINGS and not is_recording(place)
    return _names_a_path(header_of(place))


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a table of text that is a recording of EEG.

    Its header names time stamps and channels, and no path, and numbers follow.
    """
    place = Path(path)
    if split_ending(place.name)[1] not in TEXT_ENDINGS or not place.is_file():
        return False
    header = read_header(place)
    return header is not None and header.begins_samples and not _names_a_path(header.cells)


def _names_a_path(names: Iterable[str]) -> bool:
    return any(key_of(name) in (PATH, *PATHS) for name in names)


@dataclass(frozen=True)
class Meaning:
    """What the columns of a manifest mean.

    Parameters
    ----------
    header : the names of the columns; empty for one without a name.
    keys : key by the number of its column, from 0: `PATH`, `DURATION`, or one of `MANIFEST_COLUMNS`.
    extra : name by the number of its column, of columns that are kept as text.
    """

    header: tuple[str, ...]
    keys: Mapping[int, str]
    extra: Mapping[int, str]

    @property
    def unnamed(self) -> list[int]:
        """Numbers of the columns without a name."""
        return [i for i in range(len(self.header)) if i not in self.keys and i not in self.extra]

    def doubts(self) -> Iterator[str]:
        """Yield sentences on extra columns whose names are nearly those of keys that no column has."""
        if len(self.extra) > MOST_DOUBTED:  # a table of features, or another for machines
            return
        missing = {name: key for name, key in _KEYS.items() if key not in self.keys.values()}
        for i, name in self.extra.items():
            if name != self.header[i] or len(name) < SHORTEST:  # it was given, or is near too many
                continue
            for near in difflib.get_close_matches(folded(name), missing, n=1, cutoff=LIKE):
                key = missing[near]
                unit = ", in seconds" if key in ("start", "end") else ""
                yield (
                    f"the column {name!r} is kept as text; if it is the {key}{unit}, say so: --columns "
                    f"{shlex.quote(name)}={key}"
                )

    def __str__(self) -> str:
        """How the columns were understood, such as ``file = path, label; kept: age``."""
        known, kept = (
            [name if self.header[i] == name else f"{self.header[i]} = {name}" for i, name in names.items()]
            for names in (self.keys, self.extra)
        )
        parts = [", ".join(known), *(["kept: " + shown(kept)] if kept else [])]
        parts += ["the first column, without a name, is left out"] if 0 in self.unnamed else []
        return "; ".join(parts)


def understand(header: Sequence[str], columns: Mapping[str, str], source: str | os.PathLike[str]) -> Meaning:
    """What the columns of a manifest mean.

    Names count in any case, with or without spaces, dashes and underscores. A key that ``columns`` gives to
    one column is taken from no other: columns that have its name, or another name of it, are kept as text.

    Parameters
    ----------
    header : names of the columns; empty for a column without a name.
    columns : by the name of a column, its key, or a new name under which it is kept.
    source : the file, for errors.

    Raises
    ------
    DataError : two columns have one name or mean one key, or no column names the recordings.
    UsageError : ``columns`` has a name that is no column's, or gives two columns one key.
    """
    named = [name for name in header if name]
    if twice := _twice(named):
        raise DataError(f"{source}: two columns are named {twice!r}; keep one")
    given = {_find(name, header, source): new for name, new in columns.items()}
    wanted = {i: key_of(new) or new for i, new in given.items()}
    if again := _twice(wanted.values()):
        raise UsageError(f"--columns gives two columns the name {again!r}")
    found = {i: key_of(name) for i, name in enumerate(header) if name and i not in given}
    keys = {i: key for i, key in found.items() if key and key not in wanted.values()}
    keys |= {i: key for i, key in wanted.items() if key in _KEYS.values()}
    keys = _with_duration(keys, header, source)
    if key := _twice(keys.values()):
        names = [header[i] for i, other in keys.items() if other == key]
        raise DataError(
            f"{source}: the columns {' and '.join(map(repr, names))} both mean {key}; say which one does: "
            f"--columns {shlex.quote(names[0])}={key}"
        )
    if not {PATH, *PATHS} & {*keys.values()}:
        if not named or any(modalities_of(name) for name in named):
            raise DataError(f"{source}: the first line names no columns; write one above, such as path,label")
        if columns_by_name(named):
            raise DataError(f"{source}: its first line is that of a recording of EEG; no samples follow it")
        raise DataError(
            f"{source}: no column names the recordings, of {shown(named)}, which the first line names.\n"
            f"Name it path, or say which it is: --columns {shlex.quote(named[0])}=path{_advice(named)}"
        )
    extra = {i: wanted.get(i, name) for i, name in enumerate(header) if name and i not in keys}
    if again := _twice(extra.values()):
        raise UsageError(f"--columns gives a column the name of another one, {again!r}")
    return Meaning(tuple(header), dict(sorted(keys.items())), extra)


def _advice(names: Iterable[str]) -> str:
    """How a table with time stamps is taken for a recording of EEG; empty for other tables."""
    if not STAMPS.intersection(folded(name) for name in names):
        return ""
    return ". A recording of EEG needs channels of known names, such as TP9, Cz or 'EEG 1'."


def _with_duration(
    keys: dict[int, str], header: Sequence[str], source: str | os.PathLike[str]
) -> dict[int, str]:
    """The keys with a duration only where it gives the end of a segment.

    Events of BIDS have onset and duration; other manifests an offset, which is the start, and a duration.
    """
    has = {*keys.values()}
    if DURATION not in has or ("start" in has and "end" not in has):
        return keys
    offset = next(
        (header[i] for i, key in keys.items() if key == "end" and folded(header[i]) == "offset"), ""
    )
    if offset and "start" not in has:
        raise DataError(
            f"{source}: {offset!r} beside a duration can be the start or the end of a segment; say which: "
            f"--columns {offset}=start or {offset}=end"
        )
    return {i: key for i, key in keys.items() if key != DURATION}


def _twice(names: Iterable[str]) -> str | None:
    """A name that occurs twice; None if there is none."""
    return next((name for name, n in Counter(names).items() if n > 1), None)


def _find(name: str, header: Sequence[str], source: str | os.PathLike[str]) -> int:
    """The number of the column that ``--columns`` names."""
    for same in (str, folded):
        found = [i for i, other in enumerate(header) if same(other) == same(name) and other]
        if len(found) == 1:
            return found[0]
    near = difflib.get_close_matches(name, header, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else " It takes COLUMN=KEY, such as file=path."
    raise UsageError(
        f"--columns: {source} has no column {name!r}, but {shown([n for n in header if n])}.{hint}"
    )


def shown(names: Sequence[str], n: int | None = None) -> str:
    """Names in a message; of many, the first few and how many more.

    Parameters
    ----------
    n : how many there are, if ``names`` are only the first.
    """
    n_more = (len(names) if n is None else n) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {n_more} more" if n_more > 0 else "")
