"""The tables between the commands, and the only place that reads or writes Parquet.

Every table is one row a sample: the keys (who, what, when), then features or class probabilities. What
holds for the whole table stands as JSON under the Parquet metadata key ``eavctl``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike

from eavctl import files
from eavctl.errors import DataError
from eavctl.provenance import canonical_json

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what it once took: 30 MB of an extraction

SCHEMA_VERSION = 1
META_KEY = b"eavctl"
TENSOR = "x"
PROBA = "proba_"

KEY_TYPES: dict[str, pa.DataType] = {
    "sample_id": pa.string(),
    "clip_id": pa.string(),
    "dataset": pa.string(),
    "subject": pa.string(),
    "session": pa.string(),
    "trial": pa.string(),
    "task": pa.string(),
    "start": pa.float64(),
    "end": pa.float64(),
    "label": pa.string(),
    "split": pa.string(),
    "fold": pa.int64(),
}
KEYS = tuple(KEY_TYPES)
PATHS = ("eeg_path", "audio_path", "video_path")
MANIFEST_COLUMNS = (*KEYS, *PATHS, "eeg_index")


@dataclass(frozen=True)
class FeatureTable:
    """Features of many samples.

    Parameters
    ----------
    keys : one row a sample, the columns of `KEYS`, sorted by ``sample_id``.
    x : float32 array, shape (n_rows, n_columns) or, for a tensor column, (n_rows, *shape) of float32, or
        uint8 for pictures.
    columns : names of the columns, or None for a tensor.
    meta : modality, feature set and settings, rate, units, classes, hashes, what was rejected, versions.
    """

    keys: pd.DataFrame
    x: np.ndarray
    columns: tuple[str, ...] | None
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class PredictionTable:
    """Class probabilities of many samples.

    Parameters
    ----------
    keys : one row a sample, the columns of `KEYS`, sorted by ``sample_id``.
    proba : float64 array, shape (n_rows, n_classes); each row sums to 1.
    classes : names of the classes, in the order of the columns of ``proba``.
    meta : classes, modalities, model hashes, protocol, ``out_of_fold``.
    """

    keys: pd.DataFrame
    proba: np.ndarray
    classes: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def pred(self) -> np.ndarray:
        """The likeliest class of each row, shape (n_rows,), of str."""
        likeliest: np.ndarray = np.array(self.classes, dtype=object)[self.proba.argmax(axis=1)]
        return likeliest


def key_frame(rows: pd.DataFrame, columns: Sequence[str] = KEYS) -> pd.DataFrame:
    """Bring rows to the key columns: every column there, text as str or None, numbers as numbers."""
    keys = pd.DataFrame(index=range(len(rows)))
    for name in columns:
        values = rows[name].to_numpy() if name in rows else np.full(len(rows), None, object)
        if name in ("start", "end"):
            keys[name] = pd.to_numeric(pd.Series(values), errors="coerce").astype("float64")
        elif name in ("fold", "eeg_index"):
            keys[name] = pd.array([None if pd.isna(v) else int(v) for v in values], dtype="Int64")
        else:
            texts = [None if v is None or v is pd.NA or v != v or v == "" else str(v) for v in values]
            keys[name] = pd.Series(texts, dtype=object)
    return keys


# --- writing ----------------------------------------------------------------------------------------------


class FeatureWriter:
    """Write a feature table batch by batch, so that memory holds one batch and never the table.

    The file is whole or absent: it appears under its name only after `close` with the last metadata.
    Rows must come sorted by ``sample_id``. Use as a context manager; an exception leaves nothing behind.

    Parameters
    ----------
    path : where to write, or ``-`` for stdout.
    columns : names of the feature columns, or None for one tensor column ``x``.
    shape, dtype : of one sample's features; columns are always float32.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[str] | None,
        shape: Sequence[int],
        dtype: DTypeLike = np.float32,
    ):
        self.path, self.columns, self.shape = os.fspath(path), columns, tuple(shape)
        self.dtype = np.dtype(dtype)
        features = [(name, pa.float32()) for name in columns or ()]
        if columns is None:
            features = [(TENSOR, pa.fixed_shape_tensor(pa.from_numpy_dtype(self.dtype), self.shape))]
        self.schema = pa.schema([*KEY_TYPES.items(), *features])
        self.n_rows = 0
        self._last_id = ""
        self._keys_hash, self._x_hash = (hashlib.blake2b(digest_size=16) for _ in range(2))

    def __enter__(self) -> FeatureWriter:
        self._sink = io.BytesIO() if self.path == files.STDIO else None
        self._file = None if self._sink else files.atomic_write(self.path)
        handle = self._file.__enter__() if self._file else self._sink
        self._writer = pq.ParquetWriter(handle, self.schema, **_parquet_options(self.schema))
        return self

    def write(self, keys: pd.DataFrame, x: np.ndarray) -> None:
        """Append rows: keys, and ``x`` of shape (n_rows, *shape)."""
        x = np.ascontiguousarray(x, dtype=self.dtype)
        ids = keys["sample_id"].tolist()
        if any(a >= b for a, b in zip([self._last_id, *ids], ids, strict=False)):
            raise DataError("rows of a table must have unique sample_ids, in order")
        self._writer.write_table(pa.table([*_key_arrays(keys), *self._feature_arrays(x)], schema=self.schema))
        self._keys_hash.update(keys.to_json(orient="records", lines=True, double_precision=15).encode())
        self._x_hash.update(x.data)
        self._last_id = ids[-1] if ids else self._last_id
        self.n_rows += len(ids)

    def _feature_arrays(self, x: np.ndarray) -> list[pa.Array]:
        if self.columns is not None:
            return [pa.array(column) for column in np.ascontiguousarray(x.T)]
        kind = self.schema.field(TENSOR).type
        flat = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), int(np.prod(self.shape)))
        return [pa.ExtensionArray.from_storage(kind, flat)]

    def close(self, meta: dict[str, Any]) -> None:
        """Set the table's metadata, to which the hash of the content is added; call once, last."""
        content = f"{self._keys_hash.hexdigest()}-{self._x_hash.hexdigest()}"
        full = {"schema_version": SCHEMA_VERSION, "kind": "features", **meta, "content_hash": content}
        self._writer.add_key_value_metadata({META_KEY: canonical_json(full).encode()})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if self._file:
            self._file.__exit__(kind, error, trace)
        elif self._sink and kind is None:
            files.write_bytes(files.STDIO, self._sink.getvalue())


def write_features(table: FeatureTable, path: str | os.PathLike[str]) -> None:
    """Write a feature table that is in memory (see `FeatureWriter` for one that is not)."""
    with FeatureWriter(path, table.columns, table.x.shape[1:], table.x.dtype) as writer:
        writer.write(table.keys, table.x)
        writer.close(table.meta)


def write_predictions(table: PredictionTable, path: str | os.PathLike[str]) -> None:
    """Write a prediction table: the keys, ``pred`` and one ``proba_<class>`` column a class."""
    arrays = dict(zip(KEYS, _key_arrays(table.keys), strict=True))
    arrays["pred"] = pa.array(table.pred.tolist(), pa.string())
    for name, column in zip(table.classes, table.proba.T, strict=True):
        arrays[PROBA + name] = pa.array(np.ascontiguousarray(column), pa.float64())
    meta = {"schema_version": SCHEMA_VERSION, "kind": "predictions", **table.meta}
    meta["classes"] = list(table.classes)
    _write(pa.table(arrays), meta, path)


def write_frame(frame: pd.DataFrame, path: str | os.PathLike[str], *, kind: str) -> None:
    """Write any other table (rejected recordings, a manifest) as Parquet, or CSV where the name says so."""
    if str(path).endswith(".csv"):
        files.write_bytes(path, frame.to_csv(index=False).encode())
        return
    arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    _write(arrow, {"schema_version": SCHEMA_VERSION, "kind": kind}, path)


def _write(arrow: pa.Table, meta: dict[str, Any], path: str | os.PathLike[str]) -> None:
    arrow = arrow.replace_schema_metadata({META_KEY: canonical_json(meta).encode()})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, **_parquet_options(arrow.schema))
    files.write_bytes(path, buffer.getvalue())


def _parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Dictionaries and compression pay for text; floats take neither, and pages of them read faster."""
    texts = [name for name in schema.names if schema.field(name).type == pa.string()]
    return {
        "compression": {name: "zstd" if name in texts else "none" for name in schema.names},
        "use_dictionary": texts,
        "write_statistics": texts,
        "store_schema": True,
    }


def _key_arrays(keys: pd.DataFrame) -> list[pa.Array]:
    return [pa.array(keys[name], type=kind, from_pandas=True) for name, kind in KEY_TYPES.items()]


# --- reading ----------------------------------------------------------------------------------------------


def read_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The ``eavctl`` metadata of a Parquet file, without reading its rows; empty where it has none.

    Raises
    ------
    DataError : not a Parquet file.
    """
    return _meta(_open(path))


def read_feature_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """`read_meta` of a feature table.

    Raises
    ------
    DataError : as `read_features`.
    """
    return _meta_of_kind(_open(path), path, "features")


def read_keys(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The keys of a feature or prediction table, without its other columns."""
    return key_frame(_open(path).read(columns=list(KEYS)).to_pandas())


def read_features(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a feature table.

    Raises
    ------
    DataError : no such file, not Parquet, not a feature table, or of a schema of the future.
    """
    arrow, meta = _read(path, "features")
    names = [name for name in arrow.schema.names if name not in KEYS]
    if names == [TENSOR]:
        shape = tuple(arrow.schema.field(TENSOR).type.shape)
        x = arrow[TENSOR].combine_chunks()
        x = x.chunk(0) if isinstance(x, pa.ChunkedArray) else x
        values = x.storage.flatten().to_numpy(zero_copy_only=False).reshape(len(arrow), *shape)
        return FeatureTable(_read_keys(arrow), values, None, meta)
    values = np.empty((len(names), len(arrow)), np.float32)
    for row, name in zip(values, names, strict=True):
        row[:] = arrow[name].to_numpy()
    return FeatureTable(_read_keys(arrow), np.ascontiguousarray(values.T), tuple(names), meta)


def read_predictions(path: str | os.PathLike[str]) -> PredictionTable:
    """Read a prediction table.

    Raises
    ------
    DataError : as `read_features`; also probabilities that are not finite or do not sum to 1.
    """
    arrow, meta = _read(path, "predictions")
    classes = tuple(meta.get("classes", ()))
    missing = [name for name in classes if PROBA + name not in arrow.schema.names]
    if not classes or missing:
        raise DataError(f"{path}: the prediction table lacks columns for its classes {missing or ''}")
    proba = np.column_stack([arrow[PROBA + name].to_numpy().astype(np.float64) for name in classes])
    if not np.allclose(proba.sum(axis=1), 1.0, atol=1e-6) or (proba < 0).any():
        raise DataError(f"{path}: the probabilities of some rows are negative or do not sum to 1")
    return PredictionTable(_read_keys(arrow), proba, classes, meta)


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of any columns, Parquet or CSV, every CSV value as text.

    Raises
    ------
    DataError : no such file, or neither.
    """
    if os.fspath(path) != files.STDIO and not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    if str(path).endswith((".csv", ".tsv")):
        separator = "\t" if str(path).endswith(".tsv") else ","
        try:
            return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not a CSV table ({str(error).splitlines()[0]})") from error
    return _open(path).read().to_pandas()


def _read(path: str | os.PathLike[str], kind: str) -> tuple[pa.Table, dict[str, Any]]:
    source = _open(path)
    meta = _meta_of_kind(source, path, kind)
    missing = [name for name in KEYS if name not in source.schema_arrow.names]
    if missing:
        raise DataError(f"{path}: the table lacks the key columns {', '.join(missing)}")
    return source.read(), meta


def _meta_of_kind(source: pq.ParquetFile, path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    meta = _meta(source)
    if meta.get("kind") != kind:
        found = f"a table of {meta['kind']}" if "kind" in meta else "a Parquet file that eavctl did not write"
        raise DataError(f"{path}: {found}, where a table of {kind} is needed{_HINTS.get(kind, '')}")
    if meta.get("schema_version", 0) > SCHEMA_VERSION:
        raise DataError(f"{path}: written by a newer eavctl (schema {meta['schema_version']}); upgrade")
    return meta


_HINTS = {
    "features": "; make one with 'eavctl extract'",
    "predictions": "; make one with 'eavctl train-svm --predictions' or 'eavctl predict -o'",
}


def _open(path: str | os.PathLike[str]) -> pq.ParquetFile:
    try:
        if os.fspath(path) == files.STDIO:
            return pq.ParquetFile(io.BytesIO(sys.stdin.buffer.read()))
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file")
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet table ({str(error).splitlines()[0]})") from error


def _meta(source: pq.ParquetFile) -> dict[str, Any]:
    raw = (source.metadata.metadata or {}).get(META_KEY)
    if raw is None:
        return {}
    try:
        meta = json.loads(raw)
    except ValueError as error:
        raise DataError("the table's eavctl metadata is damaged") from error
    return meta if isinstance(meta, dict) else {}


def _read_keys(arrow: pa.Table) -> pd.DataFrame:
    return key_frame(arrow.select(list(KEYS)).to_pandas())
