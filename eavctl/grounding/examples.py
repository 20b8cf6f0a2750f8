"""Pictures, phrases and what these describe, as rows of the training loop; and batches of them mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eavctl.classifiers.network import StreamBatch
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import RowsOf, Streams, Table
from eavctl.errors import DataError
from eavctl.grounding.losses import Truth
from eavctl.grounding.vocabulary import PAD_NUMBER, Vocabulary

PICTURE, TOKENS, BOX, MASK = range(4)  # streams of a row; those without an object or a mask lack the last
BITS = 8  # pixels of a mask in a byte, along its width; the first is the highest bit


@dataclass(frozen=True)
class Examples:
    """Phrases on pictures, and what they describe.

    Parameters
    ----------
    pictures : uint8, shape (n, side, side, 3), one a phrase; those of several phrases are held once as
        `RowsOf`.
    phrases : n of them.
    boxes : cx, cy, width, height as shares of the picture, shape (n, 4), never read where nothing is there.
    there : bool, shape (n,), whether the phrase fits something in the picture.
    masks : uint8, shape (n, side, side / 8), eight pixels a byte, as `np.packbits` packs them along the
        width; None: no mask is known.
    has_mask : bool, shape (n,), whose mask is known; None: of all that are there, where there are masks.
    clips : shape (n,), names of the pictures, which no split divides; None takes each row by itself.
    """

    pictures: Table
    phrases: Sequence[str]
    boxes: np.ndarray
    there: np.ndarray
    masks: np.ndarray | None = None
    has_mask: np.ndarray | None = None
    clips: np.ndarray | None = None

    def rows(self, vocabulary: Vocabulary) -> Rows:
        """Rows without labels, whose features are the streams picture, tokens, box and mask.

        Raises
        ------
        DataError : the parts do not fit each other, or a box or mask that is none.
        """
        n, side = len(self.phrases), self.side
        there = np.asarray(self.there, bool)
        if self.boxes.shape != (n, 4) or there.shape != (n,):
            raise DataError(f"{n} phrases need as many boxes (cx, cy, width, height) and flags of presence")
        if side % BITS:
            raise DataError(f"pictures must have a multiple of {BITS} pixels a side, not {side}")
        _check_boxes(self.boxes, there)
        masks, has_mask = self._masks((n, side, side // BITS), there)
        tokens = vocabulary.encode(self.phrases).astype(np.float32)  # exact: numbers below 2 ** 24
        always = np.ones(n, bool)
        present = np.stack([always, always, there, has_mask], axis=1)
        arrays: tuple[Any, ...] = (self.pictures, tokens, self.boxes.astype(np.float32), masks)
        return Rows.of(Streams(arrays, present), None, units=self.clips)

    @property
    def side(self) -> int:
        """Of the pictures, in pixels.

        Raises
        ------
        DataError : they are not square pictures of bytes, one a phrase.
        """
        shape, n = self.pictures.shape, len(self.phrases)
        base = self.pictures.base if isinstance(self.pictures, RowsOf) else self.pictures
        if base.dtype != np.uint8 or len(shape) != 4 or shape != (n, shape[1], shape[1], 3):
            raise DataError(f"pictures must be bytes of shape ({n}, side, side, 3), one a phrase and square")
        return int(shape[1])

    def _masks(self, shape: tuple[int, ...], there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Packed masks, and which rows have one."""
        if self.masks is None:
            return np.broadcast_to(np.uint8(0), shape), np.zeros(len(there), bool)
        has_mask = there if self.has_mask is None else np.asarray(self.has_mask, bool)
        if self.masks.dtype != np.uint8 or self.masks.shape != shape or has_mask.shape != there.shape:
            raise DataError(f"masks must be packed bits of shape {shape}, with one flag each")
        for row in np.flatnonzero(has_mask):
            if not there[row] or not self.masks[row].any():
                raise DataError(f"phrase {row} has a mask, and nothing is there")
        return self.masks, has_mask


def _check_boxes(boxes: np.ndarray, there: np.ndarray) -> None:
    """Raise for the first box of an object that is not finite, has no size, or has its centre elsewhere."""
    inside = (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    wrong = np.flatnonzero(there & ~inside)
    if len(wrong):
        raise DataError(
            f"phrase {wrong[0]}: {boxes[wrong[0]].tolist()} is no box: cx, cy, width and height are shares "
            "of the picture, from 0 to 1"
        )


def question(x: StreamBatch) -> tuple[Tensor, Tensor, Tensor]:
    """What a `eavctl.grounding.network.GroundNet` takes: pictures, tokens, and the mask of the tokens."""
    tokens = x.tensors[TOKENS].long()
    return x.tensors[PICTURE], tokens, tokens != PAD_NUMBER


def truth(x: StreamBatch) -> Truth:
    """What it should answer."""
    return Truth(x.tensors[BOX], x.present[:, BOX], _unpacked(x.tensors[MASK]), x.present[:, MASK])


def _unpacked(masks: Tensor) -> Tensor:
    """Packed masks (batch, side, side / 8) pixel by pixel, uint8 (batch, side, side), 0 or 1."""
    return (masks[..., None] >> _places(masks) & 1).flatten(2)


def _mirrored(masks: Tensor) -> Tensor:
    """Packed masks, left to right: the bytes of each row, and the bits of each byte."""
    bits = masks.flip(2)[..., None] >> _places(masks) & 1
    return (bits << _places(masks).flip(0)).sum(dim=3, dtype=torch.uint8)


def _places(masks: Tensor) -> Tensor:
    """How far each pixel of a byte is shifted, the first one farthest."""
    return torch.arange(BITS - 1, -1, -1, dtype=torch.uint8, device=masks.device)


def flipped(x: StreamBatch, chosen: Tensor, mirror: Tensor) -> StreamBatch:
    """Mirror some rows of a batch, left to right: picture, box, mask, and the words for left and right.

    Parameters
    ----------
    chosen : bool, shape (batch,).
    mirror : the token in place of each, int64, shape (n_words,); see `Vocabulary.mirror`.
    """
    pictures, tokens, boxes, masks = x.tensors
    both = (
        (pictures, pictures.flip(2)),
        (tokens, mirror[tokens.long()].to(tokens.dtype)),
        (boxes, torch.cat([1 - boxes[:, :1], boxes[:, 1:]], dim=1)),
        (masks, _mirrored(masks)),
    )
    flags = [chosen.reshape(-1, *(1,) * (own.ndim - 1)) for own, _ in both]
    tensors = (torch.where(flag, other, own) for flag, (own, other) in zip(flags, both, strict=True))
    return StreamBatch(tuple(tensors), x.present)
