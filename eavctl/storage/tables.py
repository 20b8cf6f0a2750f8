"""The tables that commands exchange, read and written as Parquet.

Every table has one row per sample: the key columns, then features or class probabilities. Metadata of the
whole table are stored as JSON under the Parquet metadata key ``eavctl``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike

from eavctl.errors import DataError
from eavctl.storage import files, parquet
from eavctl.storage.arrow import column, numbers, of_records
from eavctl.storage.feature_columns import RowGroup, empty, fill, holds_tensors, tensor_field
from eavctl.storage.keys import AUGMENT, KEYS, KINDS, MANIFEST_COLUMNS, clean, extras
from eavctl.storage.metadata import FeatureMeta, PredictionMeta
from eavctl.storage.ownership import NAMES, REJECTED_COLUMNS, is_for_others
from eavctl.storage.provenance import canonical_json

if TYPE_CHECKING:
    import pandas as pd  # importing it takes longer than a small extraction, which does not need it

    from eavctl.storage.text_tables import TableWriter

SCHEMA_VERSION = 3  # 1: tensors are nested lists; below 3: no column for the recording of a row
NAMES_RECORDINGS = 3
TENSOR = "x"
EXTRA = "extra"  # in the metadata: the names of extra columns, where a table has some
PRED, PROBA, UNSURE = "pred", "proba_", "unsure"
# Columns with the out-of-fold accuracy of such predictions: key in `reliability`'s bins, and type.
RIGHT = {
    "right_out_of_fold": ("right", pa.float64()),
    "right_low": ("low", pa.float64()),
    "right_high": ("high", pa.float64()),
    "right_n_rows": ("n_rows", pa.int64()),
}
# Rows of a row group, which is held in memory besides the table. Groups of columns are large, because the
# Parquet footer needs a kilobyte of memory per column and group.
COLUMNS_GROUP, TENSORS_GROUP, TENSORS_BYTES = 4096, 1024, 16 << 20

_ARROW = {float: pa.float64(), int: pa.int64()}


def _types(names: Sequence[str]) -> dict[str, pa.DataType]:
    return {name: _ARROW[KINDS[name]] if name in KINDS else pa.string() for name in names}


COLUMN_TYPES, KEY_TYPES = _types(MANIFEST_COLUMNS), _types(KEYS)


@dataclass(frozen=True)
class FeatureTable:
    """Features of many samples.

    Parameters
    ----------
    keys : the columns `KEYS`, `AUGMENT` if the table has altered copies, and extra columns of text, one row
        per sample, sorted by ``sample_id``.
    x : float32 array, shape (n_rows, n_columns); or, for a tensor column, shape (n_rows, *shape), float32, or
        uint8 for pictures. `eavctl.storage.stored_rows.read_stored` gives `StoredRows` in its place.
    columns : names of the columns, or None for a tensor column.
    meta : modality, feature set and settings, rate, units, classes, hashes, rejected recordings, versions.
    """

    keys: pd.DataFrame
    x: np.ndarray
    columns: tuple[str, ...] | None
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class PredictionTable:
    """Class probabilities and predicted classes of many samples.

    Parameters
    ----------
    keys : the columns `KEYS` and extra columns of text, one row per sample, sorted by ``sample_id``.
    proba : float64 array, shape (n_rows, n_classes); each row sums to 1.
    classes : names of the classes, in the order of the columns of ``proba``.
    meta : classes, modalities, model hashes, protocol, ``out_of_fold``.
    pred : predicted class of each row, a name in ``classes``, object array, shape (n_rows,); by default the
        most probable class.
    right : out-of-fold accuracy of such predictions, for each row a bin of `eavctl.evaluation.reliability`,
        or None if unknown; empty for out-of-fold rows.
    unsure : for each row why its prediction cannot be relied on, None where it can; empty if not judged.
    """

    keys: pd.DataFrame
    proba: np.ndarray
    classes: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)
    pred: np.ndarray = None  # type: ignore[assignment]  # __post_init__ puts an array here
    right: Sequence[Mapping[str, Any] | None] = ()
    unsure: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        if self.pred is None:
            most_probable = np.array(self.classes, dtype=object)[self.proba.argmax(axis=1)]
            object.__setattr__(self, "pred", most_probable)
        if not len(self.keys) == len(self.proba) == len(self.pred):
            raise ValueError(f"{len(self.keys)} keys, {len(self.proba)} rows, {len(self.pred)} predictions")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def about(self) -> PredictionMeta:
        """The metadata, typed; those of a table in memory may be incomplete."""
        return PredictionMeta.from_json(self.meta, "a table in memory")


def key_frame(rows: pd.DataFrame | _KeyColumns, columns: Sequence[str] = KEYS) -> pd.DataFrame:
    """Convert rows to all key columns: text as str or None, numbers as numbers."""
    import pandas as pd

    keys = pd.DataFrame(index=range(len(rows)))
    for name in columns:
        values = rows[name].to_numpy() if name in rows else np.full(len(rows), None, object)
        if name in ("start", "end"):
            keys[name] = pd.to_numeric(pd.Series(values), errors="coerce").astype("float64")
        elif name in ("fold", "eeg_index"):
            numbers, distinct = pd.factorize(values)
            keys[name] = pd.array([*map(int, distinct), None], dtype="Int64")[numbers]
        else:
            keys[name] = pd.Series(_cleaned(name, values), dtype=object)
    return keys


def _cleaned(name: str, values: np.ndarray) -> np.ndarray:
    """Texts of a key column, None where there is none; equal ones are one object, shape (n_rows,)."""
    import pandas as pd

    numbers, distinct = pd.factorize(values)
    texts = np.array([*(clean(name, value) for value in distinct), None], dtype=object)
    return np.asarray(texts[numbers])


def key_table(
    rows: Sequence[Mapping[str, Any]] | pd.DataFrame, *, copies: bool = False, extra: Sequence[str] = ()
) -> pa.Table:
    """The key columns as an Arrow table, from a data frame or from records that may lack some keys.

    Parameters
    ----------
    copies : also the column `AUGMENT`, of tables with altered copies.
    extra : names of the extra columns.

    Raises
    ------
    ValueError : a value is not a number where one is needed.
    """
    types = key_types(copies=copies, extra=extra)
    if isinstance(rows, Sequence):
        return of_records(rows, types)
    arrays = [column(_known(rows[name]), kind) for name, kind in types.items()]
    return pa.Table.from_arrays(arrays, schema=pa.schema([*types.items()]))


def _known(values: pd.Series) -> list[Any]:
    """The values of a column, None where there is none."""
    known: list[Any] = values.astype(object).where(values.notna(), None).tolist()
    return known


def key_types(*, copies: bool, extra: Sequence[str] = ()) -> dict[str, pa.DataType]:
    """Names and types of the key columns, with `AUGMENT` where a table has altered copies, and extra ones."""
    return KEY_TYPES | ({AUGMENT: pa.string()} if copies else {}) | dict.fromkeys(extra, pa.string())


def check_extra(names: Sequence[str], taken: Sequence[str], source: str) -> None:
    """Check that no extra column has the name of a column of eavctl's tables, or of a feature.

    Parameters
    ----------
    names : of the extra columns.
    taken : names of features.
    source : the data set, for the error.

    Raises
    ------
    DataError : one has.
    """
    ours = {TENSOR, PRED, UNSURE, *RIGHT, AUGMENT, "recording", *taken}
    for name in names:
        if name in ours or name.startswith(PROBA):
            raise DataError(
                f"{source}: the column {name!r} has the name of one that eavctl's tables have; name it "
                f"otherwise, in a manifest by --columns {name}=own_{name}"
            )


# --- writing ----------------------------------------------------------------------------------------------


class ContentHash:
    """Hash of the rows of a feature table, in their order."""

    def __init__(self) -> None:
        self._keys, self._x = (hashlib.blake2b(digest_size=16) for _ in range(2))

    def add(self, keys: Sequence[bytes], x: np.ndarray) -> None:
        """Add rows: the keys of each as JSON, and their features."""
        for row in keys:
            self._keys.update(row)
        self._x.update(x.data)

    def hexdigest(self) -> str:
        """The hash of keys and features."""
        return f"{self._keys.hexdigest()}-{self._x.hexdigest()}"


class FeatureWriter:
    """Writer of a feature table batch by batch, with a few megabytes of memory.

    The file is complete or absent: it appears under its name only after `close`, which sets the metadata.
    Rows must be sorted by ``sample_id``; the size of the batches does not change the file. The writer is a
    context manager; after an exception, no file remains.

    Parameters
    ----------
    path : file to write, or ``-`` for stdout.
    columns : names of the feature columns, or None for one tensor column ``x``.
    shape, dtype : shape and type of the features of a sample; columns are always float32.
    copies : the table has altered copies.
    kind : of the table, a key of `eavctl.storage.ownership.NAMES`.
    extra : names of extra columns of text, which follow the keys.
    fields : columns of other types after these, which `write` takes too; the tensors of such a table repeat.
    whole : gets the rows too, where the table is a part of a larger one.
    group : rows of a row group, where they are chosen by the caller.

    Attributes
    ----------
    content_hash : of the rows written, after `close`.
    groups : rows of each row group, after `close`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[str] | None,
        shape: Sequence[int],
        dtype: DTypeLike = np.float32,
        *,
        copies: bool = False,
        kind: str = "features",
        extra: Sequence[str] = (),
        fields: Sequence[pa.Field] = (),
        whole: ContentHash | None = None,
        group: int | None = None,
    ):
        self.path, self.columns, self.shape = os.fspath(path), columns, tuple(shape)
        self.dtype, self.copies, self.kind, self.extra = np.dtype(dtype), copies, kind, tuple(extra)
        self._repeated = [TENSOR] if fields else []
        self._fields = [tensor_field(TENSOR, self.dtype, self.shape)]
        if columns is not None:
            self._fields = [pa.field(name, pa.float32()) for name in columns]
        keys = key_types(copies=copies, extra=extra)
        self.schema = pa.schema([*(pa.field(*each) for each in keys.items()), *fields, *self._fields])
        self.n_rows = 0
        self._last_id = ""
        row_bytes = self.dtype.itemsize * math.prod(self.shape)
        capacity = COLUMNS_GROUP if columns else max(1, min(TENSORS_GROUP, TENSORS_BYTES // row_bytes))
        self._group = RowGroup(self._fields, self.dtype, self.shape, group or capacity)
        self._keys: list[pa.Table] = []  # of the rows in the group
        self._hashes = [ContentHash(), *([whole] if whole else [])]
        self.content_hash, self.groups = "", list[int]()

    def __enter__(self) -> FeatureWriter:
        with ExitStack() as stack:
            handle = stack.enter_context(files.atomic_write(self.path))
            self._writer = self._opened(handle)
            self._file = stack.pop_all()
        return self

    def _opened(self, handle: IO[bytes]) -> pq.ParquetWriter | TableWriter:
        """The writer of the format that the ending names."""
        if is_for_others(self.path):
            from eavctl.storage.text_tables import TableWriter  # its kernels take longer to import

            return TableWriter(self.path, handle, self.schema, self.kind)
        options = parquet.options(self.schema, repeated=self._repeated)
        return parquet.Writer(handle, self.schema, **options)

    def write(self, keys: pa.Table, x: np.ndarray) -> None:
        """Append rows.

        Parameters
        ----------
        keys : key columns, see `key_table`.
        x : features, shape (n_rows, *shape).

        Raises
        ------
        DataError : the sample_ids are not unique and ascending.
        """
        x = np.ascontiguousarray(x, dtype=self.dtype)
        ids = keys["sample_id"].to_pylist()
        if any(a >= b for a, b in zip([self._last_id, *ids], ids, strict=False)):
            raise DataError("the sample_ids of a table must be unique and ascending")
        self._add(keys, x)
        texts = [canonical_json(_hexed(row)).encode() for row in keys.to_pylist()]
        for each in self._hashes:
            each.add(texts, x)
        self._last_id = ids[-1] if ids else self._last_id
        self.n_rows += len(ids)

    def _add(self, keys: pa.Table, x: np.ndarray) -> None:
        while len(x):
            taken = self._group.add(x)
            self._keys.append(keys[:taken])
            keys, x = keys[taken:], x[taken:]
            if self._group.is_full:
                self._flush()

    def _flush(self) -> None:
        """Write the buffered rows as one row group."""
        if self._keys:
            arrays = [*pa.concat_tables(self._keys).columns, *self._group.take()]
            self._writer.write_table(pa.table(arrays, schema=self.schema))
            self.groups.append(sum(map(len, self._keys)))
            self._keys = []

    def close(self, meta: dict[str, Any]) -> None:
        """Write the remaining rows and the metadata, with the hash of the content; must be the last call."""
        self._flush()
        self.content_hash = self._hashes[0].hexdigest()
        full = whole_meta(meta, self.kind, self.extra, self.content_hash)
        self._writer.add_key_value_metadata(parquet.with_checksum(full, self.schema, self.n_rows))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except Exception as failure:  # such as a full disk; an earlier error takes precedence
            if error is None:
                kind, error, trace = type(failure), failure, failure.__traceback__
        self._file.__exit__(kind, error, trace)


def whole_meta(meta: Mapping[str, Any], kind: str, extra: Sequence[str], content_hash: str) -> dict[str, Any]:
    """The metadata of a table of features with what each table has."""
    full = {"schema_version": SCHEMA_VERSION, "kind": kind, **_with_extra(meta, extra)}
    return full | {"content_hash": content_hash}


def _hexed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that JSON can hold: bytes as hex digits."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def write_features(table: FeatureTable, path: str | os.PathLike[str]) -> None:
    """Write a feature table that is in memory; see `FeatureWriter` for larger ones."""
    facts: dict[str, Any] = {"copies": AUGMENT in table.keys, "extra": extras(table.keys)}
    with FeatureWriter(path, table.columns, table.x.shape[1:], table.x.dtype, **facts) as writer:
        writer.write(key_table(table.keys, **facts), table.x)
        writer.close(table.meta)


def write_predictions(table: PredictionTable, path: str | os.PathLike[str]) -> None:
    """Write a prediction table: keys, ``pred``, ``proba_<class>``, and `RIGHT` and `UNSURE` if known.

    The ending of the path says the format, one of `eavctl.storage.ownership.TABLES`.
    """
    _write(*_predictions(table), path)


def prediction_bytes(table: PredictionTable) -> bytes:
    """The bytes of the Parquet file that `write_predictions` writes."""
    return _bytes(*_predictions(table))


def _predictions(table: PredictionTable) -> tuple[pa.Table, dict[str, Any]]:
    """The rows and the metadata of a prediction table."""
    extra = extras(table.keys)
    check_extra(extra, (), str(table.meta.get("name", "the table")))
    keys = key_table(table.keys, extra=extra)
    arrays = dict(zip(keys.column_names, keys.columns, strict=True))
    arrays[PRED] = column(table.pred.tolist(), pa.string())
    for name, shares in zip(table.classes, table.proba.T, strict=True):
        arrays[PROBA + name] = numbers(shares.astype(np.float64))
    for name, (key, kind) in RIGHT.items() if table.right else ():
        arrays[name] = column([part and part[key] for part in table.right], kind)
    if table.unsure:
        arrays[UNSURE] = column(table.unsure, pa.string())
    meta = {"schema_version": SCHEMA_VERSION, "kind": "predictions", **_with_extra(table.meta, extra)}
    meta["classes"] = list(table.classes)
    return pa.table(arrays), meta


def _with_extra(meta: Mapping[str, Any], extra: Sequence[str]) -> dict[str, Any]:
    """The metadata with the names of the extra columns, if there are any."""
    others = {key: value for key, value in meta.items() if key != EXTRA}
    return others | ({EXTRA: list(extra)} if extra else {})


def write_rejected(records: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write rejected recordings with their reasons; the ending says the format, as of predictions."""
    kinds = {name: pa.float64() if name == "start" else pa.string() for name in REJECTED_COLUMNS}
    arrays = {name: column([each.get(name) for each in records], kind) for name, kind in kinds.items()}
    _write(pa.table(arrays), {"schema_version": SCHEMA_VERSION, "kind": "rejected"}, path)


def _write(arrow: pa.Table, meta: dict[str, Any], path: str | os.PathLike[str]) -> None:
    if not is_for_others(path):
        files.write_bytes(path, _bytes(arrow, meta))
        return
    from eavctl.storage.text_tables import opened_writer

    with opened_writer(path, arrow.schema, meta["kind"]) as writer:
        writer.write_table(arrow)


def _bytes(arrow: pa.Table, meta: dict[str, Any]) -> bytes:
    arrow = arrow.replace_schema_metadata(parquet.with_checksum(meta, arrow.schema, len(arrow)))
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, **parquet.options(arrow.schema))
    return buffer.getvalue()


# --- reading ----------------------------------------------------------------------------------------------


def read_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the ``eavctl`` metadata of a Parquet file without its rows; empty if it has none.

    Raises
    ------
    DataError : no such file, not a Parquet file, or damaged.
    """
    with opened(path) as source:
        return parquet.meta_of(source)


def verify(path: str | os.PathLike[str]) -> None:
    """Read a whole table, one row group at a time, and verify its checksums.

    Raises
    ------
    DataError : no such file, not a Parquet file, or damaged.
    """
    with opened(path) as source:
        for number in range(source.num_row_groups):
            source.read_row_group(number)


def read_feature_meta(path: str | os.PathLike[str]) -> FeatureMeta:
    """Read how the features of a table were extracted, without its rows.

    Raises
    ------
    DataError : as `read_features`.
    """
    with opened(path, "features") as source:
        columns = feature_names(source)
        named = None if columns == [TENSOR] else columns
        return FeatureMeta.from_json({**parquet.meta_of(source), "columns": named}, path)


def read_keys(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read only the key columns of a feature or prediction table.

    Raises
    ------
    DataError : as `read_meta`.
    """
    with opened(path) as source:
        return keys_of(source)


def read_features(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a feature table.

    Raises
    ------
    DataError : no such file, damaged, not a feature table, or of a newer schema version.
    """
    with opened(path, "features") as source:
        meta, keys = parquet.meta_of(source), keys_of(source)
        names = feature_names(source)
        x = empty(source, names, len(keys))
        fill(source, names, x, np.arange(len(keys)))
        return FeatureTable(keys, x, columns_of(source), meta)


def read_rows(paths: Sequence[str | os.PathLike[str]], places: Sequence[np.ndarray]) -> np.ndarray:
    """Read the features of tables of equal features into one array, (n_rows of all, *shape).

    Parameters
    ----------
    paths : the tables, one at least.
    places : for each table, the row of the array for each of its rows, shape (n_rows of the table,).

    Raises
    ------
    DataError : as `read_features`.
    """
    x: np.ndarray | None = None
    for path, place in zip(paths, places, strict=True):
        with opened(path, "features") as source:
            names = feature_names(source)
            x = empty(source, names, sum(map(len, places))) if x is None else x
            fill(source, names, x, place)
    assert x is not None
    return x


def read_predictions(path: str | os.PathLike[str]) -> PredictionTable:
    """Read a prediction table.

    Raises
    ------
    DataError : as `read_features`; also probabilities that are not finite or do not sum to 1, or a predicted
        class that is not in the classes.
    """
    with opened(path, "predictions") as source:
        meta, keys, arrow = parquet.meta_of(source), keys_of(source), source.read()
        classes = tuple(meta["classes"])
        proba = np.column_stack([arrow[PROBA + name].to_numpy().astype(np.float64) for name in classes])
        pred = np.array(arrow[PRED].to_pylist(), dtype=object)
        unsure = arrow[UNSURE].to_pylist() if UNSURE in arrow.column_names else ()
    if not np.allclose(proba.sum(axis=1), 1.0, atol=1e-6) or (proba < 0).any():
        raise DataError(f"{path}: the probabilities of some rows are negative or do not sum to 1")
    unknown = [name for name in dict.fromkeys(pred) if name not in classes]
    if unknown:
        raise DataError(f"{path}: {unknown[0]!r} in the column {PRED!r} is not one of the classes")
    return PredictionTable(keys, proba, classes, meta, pred, unsure=unsure)


# Metadata that every table of a kind must have, besides its kind and version.
_NEEDED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "features": {
        "modality": str,
        "features": str,
        "features_version": int,
        "settings": dict,
        "features_hash": str,
        "classes": list,
        "shape": list,
        "content_hash": str,
    },
    "predictions": {"classes": list, "modalities": list, "model_hashes": list, "protocol": dict},
}
_NEEDED["grounding"] = _NEEDED["features"]
_HINTS = {
    "grounding": "; make one with 'eavctl extract' from pictures with phrases",
    "features": "; make one with 'eavctl extract'",
    "predictions": "; make one with 'eavctl train-svm --predictions' or 'eavctl predict -o'",
}

# What to do with a table where one of another kind is needed, in place of these hints.
_TAKEN_BY = {"grounding": "; 'eavctl train-ground' takes it"}


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], kind: str | None = None) -> Iterator[pq.ParquetFile]:
    """Open a table, of the given kind if any; exceptions of the block on damaged files become a DataError."""
    with parquet.opened(path, NAMES[kind] if kind else "a table (.parquet)") as source:
        if kind:
            _check(source, path, kind)
        yield source


def _check(source: pq.ParquetFile, path: str | os.PathLike[str], kind: str) -> None:
    """Check that a table is of the given kind, and has what this kind needs."""
    meta = parquet.meta_of(source)
    if meta.get("kind") != kind:
        is_ours = isinstance(meta.get("kind"), str)
        name = (
            NAMES.get(meta["kind"], meta["kind"]) if is_ours else "a Parquet file that eavctl did not write"
        )
        hint = _TAKEN_BY.get(str(meta.get("kind")), _HINTS[kind])
        raise DataError(f"{path}: this is {name}; {NAMES[kind]} is needed{hint}")
    if meta.get("schema_version", 0) > SCHEMA_VERSION:
        raise DataError(f"{path}: written by a newer eavctl (schema {meta['schema_version']}); upgrade")
    columns = set(source.schema_arrow.names)
    needed = [*(name for name in KEYS if name != "recording")]
    if kind == "predictions":
        needed += [PRED, *(f"{PROBA}{name}" for name in meta.get("classes", ()))]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(f"{path}: the table lacks the columns {', '.join(missing)}")
    invalid = [name for name, kinds in _NEEDED[kind].items() if not isinstance(meta.get(name), kinds)]
    if invalid or (kind == "predictions" and not meta["classes"]):
        raise DataError(f"{path}: the metadata of the table lack {', '.join(invalid) or 'classes'}")


def columns_of(source: pq.ParquetFile) -> tuple[str, ...] | None:
    """The names of the columns of features; None where they are one column of tensors."""
    names = feature_names(source)
    is_tensor = names == [TENSOR] and holds_tensors(source.schema_arrow.field(TENSOR))
    return None if is_tensor else tuple(names)


def feature_names(source: pq.ParquetFile) -> list[str]:
    """The columns that are neither keys nor extra."""
    known = {*KEYS, AUGMENT, *_extra_of(source)}
    return [name for name in source.schema_arrow.names if name not in known]


def _extra_of(source: pq.ParquetFile) -> list[str]:
    """The names of the extra columns of a table."""
    return [str(name) for name in parquet.meta_of(source).get(EXTRA, ())]


def keys_of(source: pq.ParquetFile) -> pd.DataFrame:
    """The columns `KEYS`, `AUGMENT` if the table has it, and the extra columns."""
    has, extra = source.schema_arrow.names, _extra_of(source)
    names = (*KEYS, *([AUGMENT] if AUGMENT in has else []), *extra)
    keys = key_frame(_KeyColumns(source, [name for name in names if name in has]), names)
    if len(keys) != source.metadata.num_rows:  # before memory is allocated for the claimed number
        raise ValueError(f"{len(keys)} rows of {source.metadata.num_rows}")
    return keys


class _KeyColumns:
    """The key columns of an open table, each read when it is asked for: together they are large."""

    def __init__(self, source: pq.ParquetFile, names: Sequence[str]) -> None:
        self._source, self._names = source, names
        self._samples = source.read(columns=["sample_id"])["sample_id"]

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, name: str) -> pd.Series:
        """The column; where each clip is one sample, the names of both are the same objects."""
        if name == "sample_id":
            return self._own
        column = self._source.read(columns=[name])[name]
        return self._own if name == "clip_id" and column.equals(self._samples) else _series(column)

    @functools.cached_property
    def _own(self) -> pd.Series:
        return _series(self._samples)


def _series(column: pa.ChunkedArray) -> pd.Series:
    import pandas as pd

    texts = pa.types.is_string(column.type)
    return pd.Series(column.to_numpy(), dtype=object) if texts else column.to_pandas()
