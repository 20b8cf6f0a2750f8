"""Pictures, phrases and what these describe, as rows of the training loop; and batches of them mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eavctl.classifiers.network import StreamBatch
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError
from eavctl.grounding.losses import Truth
from eavctl.grounding.vocabulary import PAD_NUMBER, Vocabulary

PICTURE, TOKENS, BOX, MASK = range(4)  # streams of a row; those without an object or a mask lack the last


@dataclass(frozen=True)
class Examples:
    """Phrases on pictures, and what they describe.

    Parameters
    ----------
    pictures : uint8, shape (n, side, side, 3), one a phrase.
    phrases : n of them.
    boxes : cx, cy, width, height as shares of the picture, shape (n, 4), never read where nothing is there.
    there : bool, shape (n,), whether the phrase fits something in the picture.
    masks : bool or uint8, shape (n, side, side), 0 where the object is not; None: no mask is known.
    has_mask : bool, shape (n,), whose mask is known; None: of all that are there, where there are masks.
    clips : shape (n,), names of the pictures, which no split divides; None takes each row by itself.
    """

    pictures: np.ndarray
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
        n, shape = len(self.phrases), self.pictures.shape[:3]
        there = np.asarray(self.there, bool)
        is_square = self.pictures.ndim == 4 and self.pictures.shape == (n, shape[1], shape[1], 3)
        if self.pictures.dtype != np.uint8 or not is_square:
            raise DataError(f"pictures must be bytes of shape ({n}, side, side, 3), one a phrase and square")
        if there.shape != (n,) or self.boxes.shape != (n, 4):
            raise DataError(f"{n} phrases need as many boxes (cx, cy, width, height) and flags of presence")
        _check_boxes(self.boxes, there)
        masks, has_mask = self._masks(shape, there)
        tokens = vocabulary.encode(self.phrases).astype(np.float32)  # exact: numbers below 2 ** 24
        always = np.ones(n, bool)
        present = np.stack([always, always, there, has_mask], axis=1)
        boxes = self.boxes.astype(np.float32)
        return Rows.of(Streams((self.pictures, tokens, boxes, masks), present), None, units=self.clips)

    def _masks(self, shape: tuple[int, ...], there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Masks as bytes 0 and 1, and which rows have one."""
        if self.masks is None:
            return np.broadcast_to(np.uint8(0), shape), np.zeros(len(there), bool)
        has_mask = there if self.has_mask is None else np.asarray(self.has_mask, bool)
        if self.masks.shape != shape or has_mask.shape != there.shape:
            raise DataError(f"masks must have the pictures' shape {shape}, and one flag each")
        flat = self.masks.reshape(len(there), -1)
        for row in np.flatnonzero(has_mask):
            if not there[row] or not flat[row].any():
                raise DataError(f"phrase {row} has a mask, and nothing is there")
        return np.asarray(self.masks, bool).view(np.uint8), has_mask


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
    return Truth(x.tensors[BOX], x.present[:, BOX], x.tensors[MASK], x.present[:, MASK])


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
        (masks, masks.flip(2)),
    )
    flags = [chosen.reshape(-1, *(1,) * (own.ndim - 1)) for own, _ in both]
    tensors = (torch.where(flag, other, own) for flag, (own, other) in zip(flags, both, strict=True))
    return StreamBatch(tuple(tensors), x.present)
