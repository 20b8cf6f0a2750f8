"""Writer of a feature table as a folder of parts, partitioned by data set."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from eavctl.errors import DataError
from eavctl.storage import files, parquet, tables
from eavctl.storage.ownership import check_folder
from eavctl.storage.provenance import hash_json
from eavctl.storage.table_folders import COMMON, Part, folder_of, is_folder
from eavctl.storage.tables import FeatureWriter

PART_ROWS, PART_BYTES = 250_000, 256 << 20  # of features, after which a new part begins
GROUP_ROWS, GROUP_BYTES = 4096, 16 << 20  # of a row group, which readers decode as a whole


def writer_of(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None,
    shape: Sequence[int],
    dtype: DTypeLike = np.float32,
    *,
    about: Mapping[str, Any],
    copies: bool = False,
    extra: Sequence[str] = (),
) -> FeatureWriter | FolderWriter:
    """The writer of a feature table: of a folder where the path ends with a slash or is one, else of a file.

    Parameters
    ----------
    path, columns, shape, dtype, copies, extra : as of `eavctl.storage.tables.FeatureWriter`.
    about : see `FolderWriter`.
    """
    if is_folder(path):
        return FolderWriter(path, columns, shape, dtype, about=about, copies=copies, extra=extra)
    return FeatureWriter(path, columns, shape, dtype, copies=copies, extra=extra)


class FolderWriter:
    """Writer of a feature table as a folder, with the interface of `eavctl.storage.tables.FeatureWriter`.

    The folder is complete or absent: it gets its name only after `close`. Rows come sorted by ``sample_id``
    and are kept so in each data set; the data sets follow each other by the names of their folders. A table
    of one data set has the rows, and the hash of the content, that it would have in a single file.

    Parameters
    ----------
    path : folder to write; one that holds a table of eavctl's is replaced.
    columns, shape, dtype, copies, extra : as of `eavctl.storage.tables.FeatureWriter`.
    about : metadata of the parts, which are written before those of the whole table are known.
    """

    kind = "features"

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[str] | None,
        shape: Sequence[int],
        dtype: DTypeLike = np.float32,
        *,
        about: Mapping[str, Any],
        copies: bool = False,
        extra: Sequence[str] = (),
    ) -> None:
        self.path, self.copies, self.extra = os.fspath(path), copies, tuple(extra)
        self._about = {**about, "shape": list(shape)}
        row_bytes = np.dtype(np.float32 if columns else dtype).itemsize * math.prod(shape)
        self._group = max(1, min(GROUP_ROWS, GROUP_BYTES // row_bytes))
        groups = min(PART_ROWS, PART_BYTES // row_bytes) // self._group
        self._part_rows = max(1, groups) * self._group
        self._facts = (columns, shape, dtype)
        self._datasets: dict[str, _Parts] = {}
        self._is_complete = False
        self.n_rows = 0
        self._last_id = ""

    def __enter__(self) -> FolderWriter:
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(files.atomic_folder(self.path))
            stack.enter_context(self._checked())
            self._stack = stack.pop_all()
        return self

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        """Check that the folder is complete and replaces none but eavctl's files, before it gets its name."""
        yield
        if not self._is_complete:
            raise ValueError("a table without metadata; call close")
        check_folder(self.path, self.kind, force=True)

    def write(self, keys: pa.Table, x: np.ndarray) -> None:
        """Append rows; see `eavctl.storage.tables.FeatureWriter.write`.

        Raises
        ------
        DataError : the sample_ids are not unique and ascending.
        """
        ids = keys["sample_id"].to_pylist()
        if any(a >= b for a, b in zip([self._last_id, *ids], ids, strict=False)):
            raise DataError("the sample_ids of a table must be unique and ascending")
        names = np.array([folder_of(name) for name in keys["dataset"].to_pylist()], object)
        for name in dict.fromkeys(names):
            rows = np.flatnonzero(names == name)
            mine = (keys, x) if len(rows) == len(ids) else (keys.take(rows), x[rows])
            self._parts_of(name).write(*mine)
        self._last_id = ids[-1] if ids else self._last_id
        self.n_rows += len(ids)

    def _parts_of(self, name: str) -> _Parts:
        if name not in self._datasets:
            stack = self._stack.enter_context(contextlib.ExitStack())
            self._datasets[name] = _Parts(self._folder, name, self._part_rows, self._part, self._about, stack)
        return self._datasets[name]

    def _part(self, path: str | os.PathLike[str], whole: tables.ContentHash | None = None) -> FeatureWriter:
        return FeatureWriter(
            path, *self._facts, copies=self.copies, extra=self.extra, whole=whole, group=self._group
        )

    def close(self, meta: dict[str, Any]) -> None:
        """Write the remaining rows, the list of the parts and the metadata; must be the last call."""
        for each in self._datasets.values():
            each.end_part()
        parts = sorted(part for each in self._datasets.values() for part in each.parts)
        hashes = {name: each.whole.hexdigest() for name, each in sorted(self._datasets.items())}
        content = next(iter(hashes.values())) if len(hashes) == 1 else hash_json(hashes)
        full = tables.whole_meta(meta, self.kind, self.extra, content)
        schema = self._part(COMMON).schema
        with files.atomic_write(self._folder / COMMON) as handle, parquet.Writer(handle, schema) as writer:
            writer.add_key_value_metadata(parquet.with_parts(full, schema, parts))
        self._is_complete = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class _Parts:
    """The parts of one data set.

    Parameters
    ----------
    folder, name : of the table, and in it of the data set.
    most_rows : of a part.
    opened : the writer of a part, which adds its rows to the hash of the data set too.
    about : metadata of each part.
    stack : ends the part that is being written, after an error too.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        most_rows: int,
        opened: Callable[[Path, tables.ContentHash], FeatureWriter],
        about: Mapping[str, Any],
        stack: contextlib.ExitStack,
    ) -> None:
        self._folder, self._name, self._most_rows = folder, name, most_rows
        self._opened, self._about, self._stack = opened, about, stack
        self._writer: FeatureWriter | None = None
        self.parts: list[Part] = []
        self.whole = tables.ContentHash()
        files.make_folder(folder / name)

    def write(self, keys: pa.Table, x: np.ndarray) -> None:
        """Append rows of the data set."""
        while len(x):
            if self._writer is None:
                self._writer = self._stack.enter_context(self._opened(self._folder / self._next, self.whole))
            room = self._most_rows - self._writer.n_rows
            self._writer.write(keys[:room], x[:room])
            keys, x = keys[room:], x[room:]
            if len(x):
                self.end_part()

    @property
    def _next(self) -> str:
        return f"{self._name}/part-{len(self.parts):05d}.parquet"

    def end_part(self) -> None:
        """Write the part that was begun."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close({**self._about, "n_rows": writer.n_rows})
        self._stack.close()
        n_bytes = os.stat(writer.path).st_size
        self.parts.append(Part(self._next, n_bytes, tuple(writer.groups), writer.content_hash))
