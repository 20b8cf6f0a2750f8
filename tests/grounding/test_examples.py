"""Examples become rows, mirrored batches stay true, and what does not fit is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from square_scenes import scenes

from eavctl.classifiers.network import as_batch
from eavctl.classifiers.streams import RowsOf
from eavctl.errors import DataError
from eavctl.grounding.examples import Examples, flipped, question, truth
from eavctl.grounding.vocabulary import Vocabulary

DATA = scenes(40)
VOCABULARY = Vocabulary.of(DATA.phrases)
MIRROR = torch.from_numpy(VOCABULARY.mirror)
FIRST = int(np.flatnonzero(DATA.there)[0])
ABSENT = int(np.flatnonzero(~DATA.there)[0])


def batch(data=DATA):
    return as_batch(data.rows(VOCABULARY).streams, torch.device("cpu"))


def turned(x, chosen=None):
    return flipped(x, torch.ones(len(x), dtype=torch.bool) if chosen is None else chosen, MIRROR)


def test_rows_carry_what_the_examples_have():
    x = batch()
    pictures, tokens, mask = question(x)
    assert torch.equal(pictures, torch.from_numpy(DATA.pictures))
    assert torch.equal(tokens, torch.from_numpy(VOCABULARY.encode(DATA.phrases)))
    assert torch.equal(mask, tokens != 0)
    found = truth(x)
    assert found.there.tolist() == DATA.there.tolist() == found.has_mask.tolist()
    assert torch.equal(found.masks, torch.from_numpy(np.unpackbits(DATA.masks, axis=2)))


def test_a_mirrored_batch_is_one_of_mirrored_examples():
    swap = {"left": "right", "right": "left"}
    boxes = DATA.boxes.copy()
    boxes[:, 0] = 1 - boxes[:, 0]
    mirrored = Examples(
        np.ascontiguousarray(DATA.pictures[:, :, ::-1]),
        [" ".join(swap.get(word, word) for word in phrase.split()) for phrase in DATA.phrases],
        boxes,
        DATA.there,
        np.packbits(np.unpackbits(DATA.masks, axis=2)[:, :, ::-1], axis=2),
    )
    assert mirrored.phrases != list(DATA.phrases)
    for one, other in zip(turned(batch()).tensors, batch(mirrored).tensors, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


def test_boxes_and_masks_still_agree_after_a_flip():
    found = truth(turned(batch()))
    for box, mask in zip(found.boxes[found.there], found.masks[found.there], strict=True):
        rows, columns = mask.nonzero().T
        centre = torch.stack([columns.float().mean() + 0.5, rows.float().mean() + 0.5]) / 32
        torch.testing.assert_close(box[:2], centre)


def test_twice_mirrored_is_as_before_and_rows_not_chosen_stay():
    x = batch()
    for one, other in zip(turned(turned(x)).tensors, x.tensors, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)
    chosen = torch.arange(40) % 2 == 0
    some, all_ = turned(x, chosen), turned(x)
    for part, whole, own in zip(some.tensors, all_.tensors, x.tensors, strict=True):
        torch.testing.assert_close(part[chosen], whole[chosen], equal_nan=True)
        torch.testing.assert_close(part[~chosen], own[~chosen], equal_nan=True)


def test_without_masks_no_row_has_one():
    found = truth(batch(replace(DATA, masks=None)))
    assert not found.has_mask.any()
    assert found.there.any()


def test_pictures_of_several_phrases_are_held_once():
    once = RowsOf(np.ascontiguousarray(DATA.pictures[::4]), np.arange(40) // 4)
    for one, other in zip(batch(replace(DATA, pictures=once)).tensors, batch().tensors, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
@pytest.mark.parametrize("column", range(4))
def test_a_box_that_is_none_is_named(value, column):
    boxes = DATA.boxes.copy()
    boxes[FIRST, column] = value
    with pytest.raises(DataError, match=f"phrase {FIRST}"):
        replace(DATA, boxes=boxes).rows(VOCABULARY)


@pytest.mark.parametrize(
    "change",
    [
        {"pictures": DATA.pictures.astype(np.float32)},
        {"pictures": DATA.pictures[:, :-1]},
        {"pictures": DATA.pictures[:-1]},
        {"pictures": np.zeros(3, np.uint8)},
        {"boxes": DATA.boxes[:-1]},
        {"there": DATA.there[:-1]},
        {"masks": DATA.masks[:, :-1]},
        {"masks": np.zeros_like(DATA.masks)},
        {"masks": np.unpackbits(DATA.masks, axis=2)},
        {"has_mask": np.arange(40) == ABSENT},
        {"has_mask": DATA.there[:-1]},
        {"clips": np.arange(3)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_are_refused(change):
    with pytest.raises(DataError):
        replace(DATA, **change).rows(VOCABULARY)
