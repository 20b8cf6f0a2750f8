"""The manifest, with one row per recording or segment of any data set, and the detection of its layout."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eavctl import registry
from eavctl.datasets.column_names import is_recording
from eavctl.datasets.name_inference import suggested
from eavctl.errors import DataError, RecordingWarning, UsageError
from eavctl.signals.endings import MEDIA_ENDINGS, READ_BESIDE, TEXT_ENDINGS, split_ending
from eavctl.storage import remote_tree
from eavctl.storage.arrow import column, of_records
from eavctl.storage.keys import PATHS
from eavctl.storage.paths import named
from eavctl.storage.remote import UrlPath
from eavctl.storage.tables import COLUMN_TYPES, key_frame

if TYPE_CHECKING:
    import pandas as pd

BATCH = 1024  # records held as Python objects at once; Arrow needs a tenth of their memory
N_INSPECTED = 50  # recordings by which a layout recognises its data sets

_inspected: ContextVar[dict[Path, list[Path]]] = ContextVar("inspected")  # while `layout_of` asks the layouts


@dataclass(frozen=True, eq=False)
class Manifest:
    """The recordings of a data set.

    Parameters
    ----------
    table : the columns of `COLUMN_TYPES`, then extra columns of text; sorted by ``sample_id``; paths are
        relative to ``root``.
    root : base folder of the paths.
    layout : name of the layout.
    classes : labels in the order of the data set.
    rejected : recordings that are missing or cannot be used, with ``path``, ``reason``, their keys, and
        ``modality`` if only one modality is affected.
    understood : how names were understood, in one line, where the data set leaves a choice; else empty.
    source : the folder or the file that was read, for messages; by default the root.
    epoch : start and end of every row relative to the event that it was cut at, in seconds; None where rows
        were not cut at events.
    """

    table: pa.Table
    root: Path
    layout: str
    classes: tuple[str, ...] = ()
    rejected: tuple[dict[str, str], ...] = field(default=())
    understood: str = ""
    source: Path | None = None
    epoch: tuple[float, float] | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def _place(self) -> Path:
        return self.source or self.root

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in order, each as a dictionary without missing values."""
        filled = [name for name in self.table.column_names if self._has_any(name)]
        for batch in self.table.select(filled).to_batches(max_chunksize=BATCH):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None}

    def distinct(self, *names: str) -> set[tuple[Any, ...]]:
        """The distinct combinations of values in these columns."""
        return {
            values
            for batch in self.table.select(list(names)).to_batches(max_chunksize=BATCH)
            for values in zip(*(each.to_pylist() for each in batch.columns), strict=True)
        }

    def _has_any(self, name: str) -> bool:
        return bool(self.table[name].null_count < len(self))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows as a data frame, with None for missing values."""
        return key_frame(self.table.to_pandas(), self.table.column_names)

    def where(self, wanted: Mapping[str, str]) -> Manifest:
        """Select the recordings with the given values of keys or extra columns, as ``{"task": "speaking"}``.

        Raises
        ------
        UsageError : no such column.
        DataError : no recording has these values.
        """
        known = [name for name in self.table.column_names if name not in (*PATHS, "eeg_index")]
        if unknown := sorted(wanted.keys() - set(known)):
            raise UsageError(f"--where: unknown key {unknown[0]!r}; known: {', '.join(known)}")
        kept, rejected = self, list(self.rejected)
        for key, value in wanted.items():
            values = [None if each is None else str(each) for each in kept.table[key].to_pylist()]
            if value not in values:
                found = ", ".join(sorted({each for each in values if each is not None})[:8]) or "none"
                raise DataError(f"{self._place}: no recording has {key} {value!r}; found: {found}")
            kept = kept.taking([row for row, each in enumerate(values) if each == value])
            rejected = [bad for bad in rejected if bad.get(key, value) == value]
        return replace(kept, rejected=tuple(rejected))

    def holding(self, *modalities: str) -> Manifest:
        """Select the recordings that have any of the modalities, and the rejections that concern them.

        Raises
        ------
        DataError : no recording has any of them.
        """
        paths = [f"{modality}_path" for modality in modalities if self._has_any(f"{modality}_path")]
        held: Sequence[int] = range(len(self))
        if not any(self.table[path].null_count == 0 for path in paths):
            given = zip(*(self.table[path].to_pylist() for path in paths), strict=True)
            held = [row for row, files in enumerate(given) if any(files)]
        rejected = tuple(bad for bad in self.rejected if bad.get("modality", modalities[0]) in modalities)
        if not held and not rejected:
            others = ", ".join(path.removesuffix("_path") for path in PATHS if self._has_any(path))
            raise DataError(
                f"{self._place}: none of the {len(self)} recordings has {' or '.join(modalities)}, only "
                f"{others}; choose other features"
            )
        return replace(self.taking(held), rejected=rejected)

    def taking(self, rows: Sequence[int]) -> Manifest:
        """Select rows by their indices, in the given order."""
        if len(rows) == len(self) and all(a == b for a, b in enumerate(rows)):
            return self
        arrays = []
        for each in self.table.schema:  # in Python: Arrow's `take` imports pandas
            values = self.table[each.name].to_pylist() if self._has_any(each.name) else []
            arrays.append(column([values[row] for row in rows] if values else [None] * len(rows), each.type))
        return replace(self, table=pa.Table.from_arrays(arrays, names=self.table.column_names))


def build(
    records: Iterable[Mapping[str, object]],
    root: Path,
    layout: str,
    *,
    classes: tuple[str, ...] | None = None,
    rejected: Sequence[Mapping[str, str]] = (),
    understood: str = "",
) -> Manifest:
    """Build a manifest from records; a record that repeats a ``sample_id`` is rejected.

    Parameters
    ----------
    records : dictionaries by column; without a ``sample_id``, a record is a whole clip and has its name.
        Keys that are not of `COLUMN_TYPES` become extra columns of text.
    root, layout, understood : see `Manifest`.
    classes : order of the labels; labels not among them follow, sorted.
    rejected : recordings that are already rejected, see `Manifest`.

    Raises
    ------
    DataError : no records, or a name that is not valid Unicode.
    """
    stream = iter(records)
    batches, labels, last, is_in_order = [], set[str](), "", True
    while chunk := list(itertools.islice(stream, BATCH)):
        extra = [name for name in dict.fromkeys(itertools.chain(*chunk)) if name not in COLUMN_TYPES]
        try:
            batch = of_records(chunk, COLUMN_TYPES | dict.fromkeys(extra, pa.string()))
        except UnicodeEncodeError as error:
            raise DataError(f"{root}: {error.object!r} is not valid Unicode; rename it") from None
        named = batch["clip_id"]  # whole recordings, the usual case, share these names without a copy
        if batch["sample_id"].null_count < len(batch):
            pairs = zip(batch["sample_id"].to_pylist(), named.to_pylist(), strict=True)
            named = column([name or clip for name, clip in pairs], pa.string())
        batches.append(batch.set_column(0, "sample_id", named))
        labels.update(filter(None, batch["label"].to_pylist()))
        names = named.to_pylist()
        is_in_order &= all(a < b for a, b in itertools.pairwise([last, *names]))
        last = names[-1]
    if not batches:
        why = f"; {rejected[0]['path']}: {rejected[0]['reason']}" if rejected else ""
        raise DataError(f"{root}: no recordings found for the layout {layout!r}{why}")
    order = tuple(c for c in classes or () if c in labels)
    order += tuple(sorted(labels - set(order)))
    table = pa.concat_tables(batches, promote_options="default")  # batches can lack extra columns
    found = Manifest(table, root, layout, order, tuple(map(dict, rejected)), understood)
    return found if is_in_order else _sorted(found)


def _sorted(found: Manifest) -> Manifest:
    """Sort by name, and reject rows that repeat a name."""
    unique, repeated = _by_name(found.table["sample_id"].to_pylist())
    rejected = []
    for record in found.taking(repeated).records() if repeated else ():
        path = next(record[key] for key in PATHS if key in record)
        rejected.append(
            {"clip_id": record["clip_id"], "path": path, "reason": "another recording has the same name"}
        )
    return replace(found.taking(unique), rejected=(*found.rejected, *rejected))


def _by_name(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Rows sorted by name, and the rows that repeat a name, in their original order."""
    order = sorted(range(len(names)), key=names.__getitem__)
    is_first = [True, *(names[a] != names[b] for a, b in itertools.pairwise(order))]
    unique = list(itertools.compress(order, is_first))
    if len(unique) == len(names):
        return unique, []
    return unique, sorted(set(order) - set(unique))


def find(source: str | os.PathLike[str], layout: str | None = None, **settings: Any) -> Manifest:
    """Scan a data set with the named layout, or with the first one that recognises it.

    Parameters
    ----------
    settings : of the layout, such as ``columns`` of ``csv`` or ``pattern`` of ``pattern``.

    Raises
    ------
    DataError : no such file or folder, no layout recognises it, or it holds no recordings.
    UsageError : an empty path, an unknown layout, or a setting that the layout does not have.
    """
    (place,) = named(source)
    with remote_tree.named_by_url():
        root = remote_tree.placed(place, READ_BESIDE)
        entry = layout_of(root, layout)
        if unknown := sorted(settings.keys() - entry.settings.keys()):
            raise UsageError(f"{root}: the layout {entry.name!r} takes no --{unknown[0]}")
        found: Manifest = entry.thing(root, **settings)
    return replace(_without_outsiders(found), source=UrlPath(place))


def _without_outsiders(found: Manifest) -> Manifest:
    """Reject the recordings of a remote manifest that are not below its folder: they are of this machine."""
    if not remote_tree.is_remote(found.root):
        return found
    paths = [found.table[name].to_pylist() for name in PATHS]
    kept, rejected = list[int](), list(found.rejected)
    for row, mine in enumerate(zip(*paths, strict=True)):
        outside = [path for path in mine if path and remote_tree.is_outside(found.root, path)]
        if outside:
            bad = {"clip_id": found.table["clip_id"][row].as_py(), "path": outside[0]}
            rejected.append({**bad, "reason": "not below the folder of the manifest"})
        else:
            kept.append(row)
    return replace(found.taking(kept), rejected=tuple(rejected))


def layout_of(source: str | os.PathLike[str], layout: str | None = None) -> registry.Entry:
    """The named layout, or the first one that recognises a data set; errors as for `find`."""
    if layout:
        return registry.get("layouts", layout)
    with remote_tree.named_by_url():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)  # `find` repeats it
            root = remote_tree.placed(source, READ_BESIDE, afresh=False)
        return _recognised(root)


def _recognised(root: Path) -> registry.Entry:
    """The first layout that recognises a data set."""
    entries = [registry.get("layouts", name) for name in registry.names("layouts")]
    token = _inspected.set({})
    try:
        for entry in sorted(entries, key=lambda e: e.facts["priority"]):
            if entry.facts["recognise"](root):
                return entry
    finally:
        _inspected.reset(token)
    raise DataError(f"{root}: no layout of 'eavctl list layouts' recognises it.\n{_advice(root)}")


def _advice(root: Path) -> str:
    """What to do with a data set that no layout recognises: the pattern of its names, if there is one."""
    if not root.is_dir():
        return "Name a folder of recordings, or a manifest (.csv, .xlsx, .jsonl) that lists them."
    found = suggested([split_ending(path.relative_to(root).as_posix())[0] for path in media_files(root)])
    return found or "Put the recordings in one folder per class, or name a layout with --layout."


def first_files(root: Path) -> list[Path]:
    """The first `N_INSPECTED` recordings below a folder, in the order of `media_folders`; none for a file.

    They are looked for once, however many layouts ask, because a folder can hold many files.
    """
    found = _inspected.get({})
    if root not in found:
        found[root] = list(itertools.islice(media_files(root), N_INSPECTED)) if root.is_dir() else []
    return found[root]


def media_folders(root: Path, endings: Collection[str] = MEDIA_ENDINGS) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders below ``root`` that hold recordings, sorted, each with their sorted names.

    Of tables of text, those are left out that are no recordings by their header; see `folders_with` for the
    rest.
    """
    for folder, names in folders_with(root, endings):
        texts = {name for name in names if split_ending(name)[1] in TEXT_ENDINGS}
        kept = [name for name in names if name not in texts or is_recording(os.path.join(folder, name))]
        if kept:
            yield folder, kept


def folders_with(root: Path, endings: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders below ``root`` with files of these endings, sorted, each with their sorted names.

    Hidden files and folders are skipped, as are folders visited before through a link.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kept = [n for n in names if not n.startswith(".") and split_ending(n)[1] in endings]
        if kept:
            yield folder, sorted(kept)


def media_files(root: Path, endings: Collection[str] = MEDIA_ENDINGS) -> Iterator[Path]:
    """Yield the recordings below ``root`` in the order of `media_folders`."""
    for folder, names in media_folders(root, endings):
        yield from (Path(folder, name) for name in names)


def files_with(root: Path, *endings: str) -> Iterator[Path]:
    """Yield the files below ``root`` of these endings in the order of `folders_with`."""
    for folder, names in folders_with(root, endings):
        yield from (Path(folder, name) for name in names)
