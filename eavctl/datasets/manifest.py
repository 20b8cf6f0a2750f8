"""The manifest: one row a recording or part of one, whatever the data set, and the way to find its layout."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eavctl import registry
from eavctl.errors import DataError, UsageError
from eavctl.signals.endings import MEDIA_ENDINGS, split_ending
from eavctl.storage.arrow import column, of_records
from eavctl.storage.keys import KEYS, MANIFEST_COLUMNS, PATHS
from eavctl.storage.paths import named
from eavctl.storage.tables import COLUMN_TYPES, key_frame

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 1024  # records that are Python objects at a time; Arrow holds a tenth of their memory


@dataclass(frozen=True, eq=False)
class Manifest:
    """Recordings of a data set.

    Parameters
    ----------
    table : the columns of `MANIFEST_COLUMNS`, sorted by ``sample_id``; paths are relative to ``root``.
    root : folder that the paths start from.
    layout : name of the layout that was read.
    classes : labels in the data set's own order.
    rejected : recordings that were found, or missed, but cannot be rows, with ``path`` and ``reason``, keys
        that they have, and ``modality`` where only one is concerned.
    """

    table: pa.Table
    root: Path
    layout: str
    classes: tuple[str, ...] = ()
    rejected: tuple[dict[str, str], ...] = field(default=())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def records(self) -> Iterator[dict[str, Any]]:
        """The rows in order, each with the keys that it has."""
        filled = [name for name in MANIFEST_COLUMNS if self._has_any(name)]
        for batch in self.table.select(filled).to_batches(max_chunksize=AT_ONCE):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None}

    def distinct(self, *names: str) -> set[tuple[Any, ...]]:
        """The combinations of values that these columns have."""
        return {
            values
            for batch in self.table.select(list(names)).to_batches(max_chunksize=AT_ONCE)
            for values in zip(*(each.to_pylist() for each in batch.columns), strict=True)
        }

    def _has_any(self, name: str) -> bool:
        return bool(self.table[name].null_count < len(self))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows as a data frame, None for what is not known."""
        return key_frame(self.table.to_pandas(), MANIFEST_COLUMNS)

    def where(self, wanted: Mapping[str, str]) -> Manifest:
        """The recordings whose keys are all as wanted, such as ``{"task": "speaking"}``.

        Raises
        ------
        UsageError : no such key.
        DataError : no recording is so.
        """
        unknown = sorted(wanted.keys() - set(KEYS))
        if unknown:
            raise UsageError(f"no key is named {unknown[0]!r}; known: {', '.join(KEYS)}")
        kept, rejected = self, list(self.rejected)
        for key, value in wanted.items():
            values = [None if each is None else str(each) for each in kept.table[key].to_pylist()]
            if value not in values:
                found = ", ".join(sorted({each for each in values if each is not None})[:8]) or "none"
                raise DataError(f"{self.root}: no recording has {key} {value!r}; found: {found}")
            kept = kept.taking([row for row, each in enumerate(values) if each == value])
            rejected = [bad for bad in rejected if bad.get(key, value) == value]
        return replace(kept, rejected=tuple(rejected))

    def holding(self, *modalities: str) -> Manifest:
        """The recordings that have any of the modalities, and of those rejected the ones that concern it.

        Raises
        ------
        DataError : none has it.
        """
        paths = [f"{modality}_path" for modality in modalities if self._has_any(f"{modality}_path")]
        given = zip(*(self.table[path].to_pylist() for path in paths), strict=True)
        held = [row for row, files in enumerate(given) if any(files)]
        rejected = tuple(bad for bad in self.rejected if bad.get("modality", modalities[0]) in modalities)
        if not held and not rejected:
            others = ", ".join(path.removesuffix("_path") for path in PATHS if self._has_any(path))
            raise DataError(
                f"{self.root}: none of the {len(self)} recordings has {' or '.join(modalities)}, only "
                f"{others}; choose other features"
            )
        return replace(self.taking(held), rejected=rejected)

    def taking(self, rows: Sequence[int]) -> Manifest:
        """The recordings of these rows, in this order."""
        if len(rows) == len(self) and all(a == b for a, b in enumerate(rows)):
            return self
        arrays = []
        for name, kind in COLUMN_TYPES.items():  # in Python, for Arrow's own `take` imports pandas
            values = self.table[name].to_pylist() if self._has_any(name) else []
            arrays.append(column([values[row] for row in rows] if values else [None] * len(rows), kind))
        return replace(self, table=pa.Table.from_arrays(arrays, names=[*COLUMN_TYPES]))


def build(
    records: Iterable[Mapping[str, object]],
    root: Path,
    layout: str,
    *,
    classes: tuple[str, ...] | None = None,
    rejected: Sequence[Mapping[str, str]] = (),
) -> Manifest:
    """Make a manifest of records; of two with one ``sample_id``, the second is rejected.

    A record without ``sample_id`` is a whole clip and takes its name. ``rejected`` are others that cannot be
    records.

    Raises
    ------
    DataError : there are no records.
    """
    stream = iter(records)
    batches, labels, last, is_in_order = [], set[str](), "", True
    while chunk := list(itertools.islice(stream, AT_ONCE)):
        try:
            batch = of_records(chunk, COLUMN_TYPES)
        except UnicodeEncodeError as error:
            raise DataError(f"{root}: {error.object!r} is not a name in Unicode; rename it") from None
        named = batch["clip_id"]  # whole recordings, as most are, need no names of their own in memory
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
    found = Manifest(pa.concat_tables(batches), root, layout, order, tuple(map(dict, rejected)))
    return found if is_in_order else _in_order(found)


def _in_order(found: Manifest) -> Manifest:
    """Sort by name, and reject what has a name that came before."""
    unique, repeated = _by_name(found.table["sample_id"].to_pylist())
    refused = []
    for record in found.taking(repeated).records() if repeated else ():
        path = next(record[key] for key in PATHS if key in record)
        refused.append(
            {"clip_id": record["clip_id"], "path": path, "reason": "a recording of this name came before"}
        )
    return replace(found.taking(unique), rejected=(*found.rejected, *refused))


def _by_name(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Rows in the order of their names, and those whose name came before, in their own order."""
    order = sorted(range(len(names)), key=names.__getitem__)
    is_first = [True, *(names[a] != names[b] for a, b in itertools.pairwise(order))]
    unique = list(itertools.compress(order, is_first))
    if len(unique) == len(names):
        return unique, []
    return unique, sorted(set(order) - set(unique))


def find(source: str | os.PathLike[str], layout: str | None = None) -> Manifest:
    """Scan a data set by the layout named, or by the one that recognises it.

    Raises
    ------
    DataError : nothing is there, or no layout recognises it.
    UsageError : an empty name, or no layout has that name.
    """
    (root,) = map(Path, named(source))
    if layout:
        found: Manifest = registry.get("layouts", layout).thing(root)
        return found
    entries = [registry.get("layouts", name) for name in registry.names("layouts")]
    for entry in sorted(entries, key=lambda e: e.facts["priority"]):
        if entry.facts["recognise"](root):
            found = entry.thing(root)
            return found
    known = ", ".join(entry.name for entry in entries)
    raise DataError(
        f"{root}: none of the layouts ({known}) recognises it.\n"
        "Put the recordings in one folder a class, or name a layout with --layout."
    )


def media_folders(root: Path, endings: Collection[str] = MEDIA_ENDINGS) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders below ``root`` that hold recordings, sorted, each with their names, sorted.

    Hidden files, and folders seen before, are passed over.
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
    """Yield recordings below ``root``, sorted, as `media_folders` finds them."""
    for folder, names in media_folders(root, endings):
        yield from (Path(folder, name) for name in names)
