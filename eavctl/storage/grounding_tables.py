"""Tables of phrases on pictures: keys, phrase, box, mask, and the picture, one row a phrase.

The rows of a picture follow each other and repeat it; the file holds it once a row group.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eavctl.errors import DataError
from eavctl.storage import parquet, tables
from eavctl.storage.feature_columns import empty
from eavctl.storage.tables import TENSOR

if TYPE_CHECKING:
    import pandas as pd

KIND = "grounding"
BITS = 8  # pixels of a mask in a byte
BEFORE_NUMBER = "#"  # between a picture's name and a phrase's number in a sample_id
# Named as Parquet names the values of a list: else the type that is read back is another one.
BOX = pa.list_(pa.field("element", pa.float32()), 4)


def extra_columns(side: int) -> list[pa.Field]:
    """The columns between keys and picture, of pictures of that many pixels a side.

    ``phrase``; its ``kind``; whether it fits something, ``there``; ``box``, cx, cy, width and height as
    shares of the picture; and ``mask``, eight pixels a byte along the width. The last two are null where
    nothing is there, or no mask is known.
    """
    return [
        pa.field("phrase", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("there", pa.bool_(), nullable=False),
        pa.field("box", BOX),
        pa.field("mask", pa.binary(side * side // BITS)),
    ]


@dataclass(frozen=True)
class GroundingTable:
    """Phrases on pictures.

    Parameters
    ----------
    keys : the columns `eavctl.storage.keys.KEYS`, one row a phrase; ``clip_id`` is the picture.
    phrases, kinds : one a row.
    there : bool, shape (n_rows,), whether the phrase fits something.
    boxes : float32, shape (n_rows, 4): cx, cy, width and height as shares of the picture; NaN where nothing
        is there.
    masks : uint8, shape (n_rows, side, side / 8), eight pixels a byte, the first in the highest bit.
    has_mask : bool, shape (n_rows,), where a mask is known.
    pictures : uint8, shape (n_pictures, side, side, 3).
    picture_of : the picture of each row, int, shape (n_rows,).
    meta : as of a feature table.
    """

    keys: pd.DataFrame
    phrases: tuple[str, ...]
    kinds: tuple[str, ...]
    there: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray
    pictures: np.ndarray
    picture_of: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.phrases)


def read_grounding(path: str | os.PathLike[str]) -> GroundingTable:
    """Read a table of phrases on pictures.

    Raises
    ------
    DataError : no such file, damaged, not such a table, or of a newer schema version.
    """
    with tables.opened(path, KIND) as source:
        meta, keys = parquet.meta_of(source), tables.keys_of(source)
        side = _side(source, path)
        arrow = source.read(columns=["phrase", "kind", "there", "box", "mask"])
        lacking = [name for name in ("phrase", "kind", "there") if arrow[name].null_count]
        if not len(keys) or lacking or keys["clip_id"].isna().any():
            raise DataError(
                f"{path}: damaged, create it again (a row lacks {', '.join(lacking) or 'a picture'})"
            )
        there = arrow["there"].to_numpy()
        boxes = _boxes(arrow["box"])
        masks, has_mask = _masks(arrow["mask"], side)
        _check_answers(path, there, boxes, masks, has_mask)
        pictures, picture_of = _pictures(source, keys, side)
        return GroundingTable(
            keys,
            tuple(arrow["phrase"].to_pylist()),
            tuple(arrow["kind"].to_pylist()),
            there,
            boxes,
            masks,
            has_mask,
            pictures,
            picture_of,
            meta,
        )


def read_counts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a table of phrases on pictures holds, without its pictures: counts, JSON-able.

    Returns
    -------
    ``phrases``, ``pictures``, ``absent`` (phrases that fit nothing) and ``masks``, and the phrases of each
    name in ``kinds``, ``splits`` and ``tasks``.

    Raises
    ------
    DataError : as `read_grounding`.
    """
    with tables.opened(path, KIND) as source:
        _side(source, path)
        keys = tables.keys_of(source)
        rows = source.read(columns=["kind", "there"])
        groups = (source.read_row_group(n, columns=["mask"]) for n in range(source.num_row_groups))
        named = {"kinds": rows["kind"].to_pylist(), "splits": keys["split"], "tasks": keys["task"]}
        counts = {name: Counter(value for value in values if value) for name, values in named.items()}
        return {
            "phrases": len(keys),
            "pictures": int(keys["clip_id"].nunique()),
            "absent": rows["there"].to_pylist().count(False),
            "masks": sum(len(group) - group["mask"].null_count for group in groups),
            **{name: dict(sorted(found.items())) for name, found in counts.items()},
        }


def _check_answers(
    path: str | os.PathLike[str],
    there: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray,
    has_mask: np.ndarray,
) -> None:
    """Raise DataError unless what is there has a box, and nothing else has a box or a mask."""
    is_box = ((boxes >= 0) & (boxes <= 1)).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)  # False for NaN
    odd = np.where(there, ~is_box, ~np.isnan(boxes).all(axis=1))
    odd |= has_mask & ~(there & masks.any(axis=(1, 2)))
    if odd.any():
        row = int(np.flatnonzero(odd)[0]) + 1
        raise DataError(f"{path}: damaged, create it again (box or mask of phrase {row} cannot be)")


def _side(source: pq.ParquetFile, path: str | os.PathLike[str]) -> int:
    schema = source.schema_arrow
    wanted = {each.name: each.type for each in extra_columns(BITS)}
    odd = [
        name
        for name, kind in wanted.items()
        if name not in schema.names or not _alike(schema.field(name).type, kind)
    ]
    shape = empty(source, [TENSOR], 0).shape[1:] if TENSOR in schema.names else ()
    if odd or len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or shape[0] % BITS:
        raise DataError(f"{path}: the table lacks {', '.join(odd) or 'square pictures'}; extract it again")
    return int(shape[0])


def _alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    both = (found, wanted)
    return found == wanted or all(isinstance(each, pa.FixedSizeBinaryType) for each in both)


def _boxes(column: pa.ChunkedArray) -> np.ndarray:
    rows = column.to_pylist()
    return np.array([row or [np.nan] * 4 for row in rows], np.float32).reshape(len(rows), 4)


def _masks(column: pa.ChunkedArray, side: int) -> tuple[np.ndarray, np.ndarray]:
    rows = column.to_pylist()
    masks = np.zeros((len(rows), side, side // BITS), np.uint8)
    for number, row in enumerate(rows):
        if row is not None:
            masks[number] = np.frombuffer(row, np.uint8).reshape(masks.shape[1:])
    return masks, np.array([row is not None for row in rows], bool)


def _pictures(source: pq.ParquetFile, keys: pd.DataFrame, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures, each once, and the picture of each row."""
    clips = keys["clip_id"].to_numpy(str)
    is_first = np.concatenate([[True], clips[1:] != clips[:-1]])
    picture_of = np.cumsum(is_first) - 1
    pictures = np.empty((int(is_first.sum()), side, side, 3), np.uint8)
    end = 0
    for number in range(source.num_row_groups):
        column = source.read_row_group(number, columns=[TENSOR])[TENSOR]
        for chunk in column.chunks:
            start, end = end, end + len(chunk)
            for row in np.flatnonzero(is_first[start:end]):
                values = np.frombuffer(chunk[int(row)].as_buffer(), np.uint8)
                pictures[picture_of[start + row]] = values.reshape(side, side, 3)
    return pictures, picture_of
