"""Losses and metrics against loops over numbers and pixels."""

import math

import pytest
import torch

from eavctl.grounding.boxes import overlap
from eavctl.grounding.losses import (
    WEIGHTS,
    Answers,
    Truth,
    box_l1,
    dice_loss,
    focal_loss,
    giou_loss,
    row_losses,
    weighted_sum,
)
from eavctl.grounding.metrics import Fits, box_iou, mask_iou, share_found

N, SIDE = 6, 5


def drawn(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    answers = Answers(rand(N, 4) * 0.6 + 0.1, 6 * rand(N, SIDE, SIDE) - 3, 4 * rand(N) - 2)
    there = torch.tensor([True, True, False, True, False, True])
    has_mask = torch.tensor([True, False, False, True, False, True])
    truth = Truth(rand(N, 4) * 0.6 + 0.1, there, (rand(N, SIDE, SIDE) > 0.6).to(torch.uint8), has_mask)
    return answers, truth


def slow_overlap(a, b):
    left, top, right, bottom = a[0] - a[2] / 2, a[1] - a[3] / 2, a[0] + a[2] / 2, a[1] + a[3] / 2
    l2, t2, r2, b2 = b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2
    wide, high = min(right, r2) - max(left, l2), min(bottom, b2) - max(top, t2)
    both = wide * high if wide > 0 and high > 0 else 0.0
    union = a[2] * a[3] + b[2] * b[3] - both
    hull = (max(right, r2) - min(left, l2)) * (max(bottom, b2) - min(top, t2))
    return both / union, both / union - (hull - union) / hull


def test_overlap_equals_a_loop():
    answers, truth = drawn()
    iou, giou = overlap(answers.boxes, truth.boxes)
    pairs = [slow_overlap(a, b) for a, b in zip(answers.boxes.tolist(), truth.boxes.tolist(), strict=True)]
    torch.testing.assert_close(torch.stack([iou, giou], 1), torch.tensor(pairs, dtype=torch.float64))


def test_overlaps_that_can_be_told_by_hand():
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2]], dtype=torch.float64)
    assert overlap(box, box)[1].item() == pytest.approx(1)
    half = torch.tensor([[0.6, 0.5, 0.2, 0.2]], dtype=torch.float64)
    assert box_iou(box, half).item() == pytest.approx(1 / 3)
    apart = torch.tensor([[0.9, 0.5, 0.2, 0.2]], dtype=torch.float64)
    assert overlap(box, apart)[0].item() == 0
    assert giou_loss(box, apart).item() == pytest.approx(1 + 1 / 3)  # a gap as wide as a box, of three


def test_a_box_without_a_size_has_finite_losses_and_gradients():
    box = torch.tensor([[0.5, 0.5, 0.0, 0.0]], requires_grad=True)
    giou_loss(box, torch.tensor([[0.5, 0.5, 0.0, 0.0]])).sum().backward()
    assert box.grad.isfinite().all()


def test_losses_equal_loops_over_pixels():
    answers, truth = drawn()
    masks = truth.masks.double()
    for row in range(N):
        focal, both, of_p, of_t = 0.0, 0.0, 0.0, 0.0
        for z, t in zip(answers.masks[row].flatten().tolist(), masks[row].flatten().tolist(), strict=True):
            p = 1 / (1 + math.exp(-z))
            focal += -0.25 * (1 - p) ** 2 * math.log(p) if t else -0.75 * p**2 * math.log(1 - p)
            both, of_p, of_t = both + p * t, of_p + p, of_t + t
        assert focal_loss(answers.masks, masks)[row].item() == pytest.approx(focal / SIDE**2)
        assert dice_loss(answers.masks, masks)[row].item() == pytest.approx(
            1 - (2 * both + 1) / (of_p + of_t + 1)
        )
        pair = zip(answers.boxes[row].tolist(), truth.boxes[row].tolist(), strict=True)
        assert box_l1(answers.boxes, truth.boxes)[row].item() == pytest.approx(
            sum(abs(a - b) for a, b in pair)
        )


def test_extreme_logits_have_finite_losses():
    logits = torch.tensor([[[1e4, -1e4]]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([[[0.0, 1.0]]])) + dice_loss(logits, torch.tensor([[[0.0, 1.0]]]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()


def test_the_sum_is_that_of_a_loop_over_rows_that_have_each_loss():
    answers, truth = drawn()
    values = {name: [] for name in WEIGHTS}
    for row in range(N):
        p, t = torch.sigmoid(answers.scores[row]).item(), float(truth.there[row])
        values["score"].append(-math.log(p if t else 1 - p))
        if truth.there[row]:
            pair = answers.boxes[row : row + 1], truth.boxes[row : row + 1]
            values["l1"].append(box_l1(*pair).item())
            values["giou"].append(giou_loss(*pair).item())
        if truth.has_mask[row]:
            pair = answers.masks[row : row + 1], truth.masks[row : row + 1].double()
            values["focal"].append(focal_loss(*pair).item())
            values["dice"].append(dice_loss(*pair).item())
    expected = sum(WEIGHTS[name] * sum(each) / len(each) for name, each in values.items())
    assert weighted_sum(row_losses(answers, truth)).item() == pytest.approx(expected)


def test_what_is_not_there_is_never_read():
    answers, truth = drawn()
    boxes, masks = truth.boxes.clone(), truth.masks.clone()
    boxes[~truth.there] = torch.nan
    masks[~truth.has_mask] = 77
    other = Truth(boxes, truth.there, masks, truth.has_mask)
    assert torch.equal(weighted_sum(row_losses(answers, truth)), weighted_sum(row_losses(answers, other)))


def test_where_nothing_is_there_only_the_score_has_a_gradient():
    answers, truth = drawn()
    parts = [each.requires_grad_() for each in (answers.boxes, answers.masks, answers.scores)]
    none = torch.zeros(N, dtype=torch.bool)
    weighted_sum(row_losses(answers, Truth(truth.boxes, none, truth.masks, none))).backward()
    assert [each.grad is not None and bool(each.grad.any()) for each in parts] == [False, False, True]


def test_mask_iou_equals_a_loop():
    answers, truth = drawn()
    found, true = answers.masks > 0, truth.masks > 0
    for row, iou in enumerate(mask_iou(found, true)):
        pixels = list(zip(found[row].flatten().tolist(), true[row].flatten().tolist(), strict=True))
        assert iou.item() == pytest.approx(sum(a and b for a, b in pixels) / sum(a or b for a, b in pixels))
    empty = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    assert mask_iou(empty, empty).tolist() == [1]
    assert mask_iou(empty, ~empty).tolist() == [0]


def test_figures_of_perfect_and_of_wrong_answers():
    _, truth = drawn()
    sure = (truth.masks.double() - 0.5) * 20
    scores = truth.there.double() * 2 - 1
    assert Fits.of(Answers(truth.boxes, sure, scores), truth).figures == {"P@0.5": 1, "mIoU": 1, "there": 1}
    wrong = Fits.of(Answers(truth.boxes * 0.01, -sure, -scores), truth).figures
    assert wrong == {"P@0.5": 0, "mIoU": 0, "there": 0}
    assert share_found(torch.tensor([0.49, 0.5, 0.9])) == pytest.approx(2 / 3)


def test_figures_without_rows_are_left_out_and_batches_are_joined():
    answers, truth = drawn()
    parts = [_rows(answers, truth, slice(0, 2)), _rows(answers, truth, slice(2, N))]
    whole = Fits.of(answers, truth).figures
    assert Fits.joined([Fits.of(*part) for part in parts]).figures == pytest.approx(whole)
    none = torch.zeros(N, dtype=torch.bool)
    assert Fits.of(answers, Truth(truth.boxes, none, truth.masks, none)).figures == {}


def _rows(answers, truth, part):
    return (
        Answers(answers.boxes[part], answers.masks[part], answers.scores[part]),
        Truth(truth.boxes[part], truth.there[part], truth.masks[part], truth.has_mask[part]),
    )
