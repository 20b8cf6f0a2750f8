"""Between a data set with phrases, its table, and the examples that a network is trained on."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from eavctl.classifiers.streams import RowsOf
from eavctl.datasets import refs
from eavctl.datasets.manifest import Manifest
from eavctl.datasets.refs import Phrase
from eavctl.errors import SignalError
from eavctl.signals import masks
from eavctl.signals.pictures import Letterbox
from eavctl.signals.still import kind_of
from eavctl.storage.grounding_tables import BEFORE_NUMBER, KIND, GroundingTable, extra_columns
from eavctl.storage.tables import FeatureWriter

if TYPE_CHECKING:  # an extraction needs no torch
    from eavctl.grounding.examples import Examples

ROWS = 16  # of a picture that are written together, each with the picture: 50 MB at most


def examples_of(table: GroundingTable) -> Examples:
    """The rows of a table as examples to train on."""
    from eavctl.grounding.examples import Examples

    return Examples(
        RowsOf(table.pictures, table.picture_of),
        table.phrases,
        table.boxes,
        table.there,
        table.masks,
        table.has_mask,
        table.keys["clip_id"].to_numpy(str),
    )


class PhraseWriter:
    """Writes each picture that it gets as the rows of its phrases, in place of a `FeatureWriter`.

    Parameters
    ----------
    path, shape, dtype : as of `FeatureWriter`; the pictures are those of the feature set ``scenes``.
    manifest : of the data set.

    Attributes
    ----------
    rejected : phrases whose box or mask cannot be used, each with its ``reason``.
    """

    copies, extra = False, ()

    def __init__(
        self, path: str | os.PathLike[str], shape: Sequence[int], dtype: DTypeLike, manifest: Manifest
    ) -> None:
        self._side = shape[0]
        self._writer = FeatureWriter(path, None, shape, dtype, kind=KIND, fields=extra_columns(shape[0]))
        self._phrases: Mapping[str, Sequence[Phrase]] = refs.phrases_of(manifest.root)
        names = (manifest.table[name].to_pylist() for name in ("clip_id", "video_path"))
        self._root, self._places = manifest.root, dict(zip(*names, strict=True))
        self.rejected: list[dict[str, Any]] = []

    @property
    def n_rows(self) -> int:
        """Phrases written."""
        return self._writer.n_rows

    def __enter__(self) -> PhraseWriter:
        self._writer.__enter__()
        return self

    def write(self, keys: pa.Table, x: np.ndarray) -> None:
        """Append the phrases of pictures.

        Parameters
        ----------
        keys : key columns, one row a picture.
        x : uint8, shape (n_pictures, side, side, 3).
        """
        for key, picture in zip(keys.to_pylist(), x, strict=True):
            stream = self._rows(key)
            while rows := list(itertools.islice(stream, ROWS)):
                pictures = np.broadcast_to(picture, (len(rows), *picture.shape))
                self._writer.write(pa.Table.from_pylist(rows, schema=self._key_schema), pictures)

    @property
    def _key_schema(self) -> pa.Schema:
        return pa.schema(list(self._writer.schema)[:-1])

    def _rows(self, key: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a picture's phrases that can be used, sorted by ``sample_id``."""
        place = self._places[key["clip_id"]]
        size = kind_of(self._root / place)
        fit = Letterbox(size.height, size.width, self._side)
        numbered = ((f"{n:04d}", phrase) for n, phrase in enumerate(self._phrases[key["clip_id"]], start=1))
        for number, phrase in sorted(numbered, key=lambda pair: pair[0]):  # as text: 10000 before 1001
            try:
                answer = _answer(phrase, fit)
            except SignalError as error:
                bad = {"clip_id": key["clip_id"], "path": place, "start": None}
                self.rejected.append({**bad, "reason": f"phrase {phrase.text!r:.60}: {error}"})
                continue
            named = {"phrase": phrase.text, "kind": phrase.kind, "task": phrase.task}
            yield {**key, **named, **answer, "sample_id": f"{key['sample_id']}{BEFORE_NUMBER}{number}"}

    def close(self, meta: dict[str, Any]) -> None:
        """See `FeatureWriter.close`."""
        self._writer.close(meta)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def _answer(phrase: Phrase, fit: Letterbox) -> dict[str, Any]:
    """Box and mask of a phrase in the square of its picture.

    Raises
    ------
    SignalError : a box outside of the picture, or a mask that cannot be read.
    """
    if phrase.box is None:
        return {"there": False, "box": None, "mask": None}
    limits = np.array([fit.width, fit.height] * 2)
    box = fit.box(np.clip(phrase.box, 0, limits)).astype(np.float32)
    if not (box[2:] > 0).all():
        raise SignalError(f"its box {list(phrase.box)} is empty, or lies outside of the picture")
    mask = masks.decode(phrase.segmentation, fit.height, fit.width)
    square = None if mask is None else fit.mask(mask)
    packed = np.packbits(square, axis=1).tobytes() if square is not None and square.any() else None
    return {"there": True, "box": box.tolist(), "mask": packed}
