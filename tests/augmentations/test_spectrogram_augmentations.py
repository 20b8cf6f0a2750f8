"""Augmentations of spectrograms against what is known of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from augmented_rows import KINDS, N_PADDED, PADDING, alter, generator, rows

from eavctl.augmentations.in_time import content
from eavctl.augmentations.kind import Kind
from eavctl.augmentations.pipeline import pipeline
from eavctl.encoders.augmentation import unpadded

KIND = KINDS["spectrograms"]


def test_content_ends_where_the_padding_begins() -> None:
    x = rows("spectrograms")
    lengths = content(x, KIND).sum(dim=1)
    assert lengths.tolist() == [50 - N_PADDED, 50] * 3
    silent = torch.full_like(x[:1], PADDING)
    assert content(silent, KIND).sum() == 1


@pytest.mark.parametrize("snr", [0.0, 10.0])
def test_background_is_another_clip_at_the_stated_level(snr: float) -> None:
    x = rows("spectrograms", n=4)
    found = alter("background", "spectrograms", x, snr=snr, p=1)
    powers = 10 ** (x.double() / 10)
    inside = content(x, KIND)
    for i, row in enumerate(found):
        added = 10 ** (row.double() / 10) - powers[i]
        ratio = 10 * math.log10(powers[i][:, inside[i]].mean() / added[:, : 50 - N_PADDED].mean())
        assert snr - 1.5 <= ratio <= snr + 21.5
        gains = [added[:, 20] / powers[j][:, 20] for j in range(4)]
        spreads = [float(gain.std() / gain.mean()) for gain in gains]
        assert int(np.argmin(spreads)) != i
        assert min(spreads) < 1e-2 * 10 ** (snr / 10)  # a constant factor, within what float32 tells


def test_background_of_a_clip_is_as_loud_as_asked_for() -> None:
    """Of a flat spectrum, so that the sum of powers is known."""
    x = torch.stack([torch.full((8, 20), -10.0), torch.full((8, 20), -50.0)])
    x[:, 0, 0] += 1  # not constant
    found = alter("background", "spectrograms", x.repeat(200, 1, 1)[:400], snr=5, p=1)
    loud = found[::2, 4, 10] + 10
    snr = -10 * torch.log10(10 ** (loud.double() / 10) - 1)
    assert 5 - 0.2 <= snr.min() < 6
    assert 24 < snr.max() <= 25.5


def test_padding_of_the_other_clip_is_no_background() -> None:
    """The padding of `fbank` is louder than speech."""
    x = torch.full((2, 8, 20), -60.0)
    x[:, :, 0] = -59
    x[1, :, 5:] = 0.0
    kind = Kind("spectrograms", padding=0.0, decibels=1.0)
    found = pipeline(kind, ["background:snr=0:p=1"])(x, generator())
    torch.testing.assert_close(found[0, :, 5:], x[0, :, 5:])
    assert (found[0, :, :5] > x[0, :, :5]).all()


def test_no_change_of_tempo_pitch_or_level_is_none() -> None:
    x = rows("spectrograms")
    assert torch.equal(alter("tempo", "spectrograms", x, share=0), x)
    assert torch.equal(alter("mel-shift", "spectrograms", x, share=0), x)
    assert torch.equal(alter("gain", "spectrograms", x, db=0), x)
    assert torch.equal(alter("time-crop", "spectrograms", x, least=1), x)


def test_tempo_stretches_a_ramp_and_its_padding() -> None:
    x = torch.full((300, 4, 60), PADDING)
    x[:, :, :40] = torch.arange(40.0) - 60
    found = alter("tempo", "spectrograms", x, share=0.25)
    slope = found[:, 0, 10] - found[:, 0, 9]
    assert 1 / 1.25 - 1e-3 <= slope.min() < 0.83
    assert 1.2 < slope.max() <= 1.25 + 1e-3
    lengths = content(found, KIND).sum(dim=1)
    expected = (39 / slope.double() + 1e-4).floor() + 1
    assert ((lengths - expected).abs() <= 1).all()
    assert torch.equal(unpadded(found), content(found, KIND))
    torch.testing.assert_close(found[:, 0, 0], x[:, 0, 0])


def test_a_crop_is_a_part_of_the_clip_from_its_beginning() -> None:
    x = torch.full((300, 4, 60), PADDING)
    x[:, :, :40] = torch.arange(40.0) - 60
    found = alter("time-crop", "spectrograms", x, least=0.5)
    lengths = content(found, KIND).sum(dim=1)
    assert lengths.min() == 20
    assert lengths.max() == 40
    starts = found[:, 0, 0] + 60
    assert starts.min() == 0
    assert starts.max() >= 15
    for row, start, length in zip(found, starts.long(), lengths, strict=True):
        assert torch.equal(row[:, :length], x[0, :, start : start + length])
        assert (row[:, length:] == PADDING).all()


def test_a_mel_shift_moves_a_peak_by_its_share_at_most() -> None:
    bands = torch.arange(64.0)
    x = (-((bands - 30) ** 2) / 50)[None, :, None].expand(300, 64, 5)
    found = alter("mel-shift", "spectrograms", x, share=0.05)
    weights = 10 ** (found[:, :, 0] / 2)
    moved = (weights * bands).sum(dim=1) / weights.sum(dim=1) - 30
    assert -3.3 < moved.min() < -2.8
    assert 2.8 < moved.max() < 3.3


def test_gain_is_one_number_a_clip_and_leaves_padding() -> None:
    x = rows("spectrograms", n=200)
    change = alter("gain", "spectrograms", x, db=3) - x
    level = change[:, :1, :1]
    torch.testing.assert_close(change[:, :, : 50 - N_PADDED], level.expand(-1, 24, 50 - N_PADDED))
    assert (change[::2, :, -N_PADDED:] == 0).all()
    assert -3 <= level.min() < -2.8
    assert 2.8 < level.max() <= 3


@pytest.mark.parametrize(("name", "axis"), [("time-mask", 2), ("band-mask", 1)])
def test_masks_are_whole_stripes_set_to_the_mean_of_each_band(name: str, axis: int) -> None:
    x = rows("spectrograms", n=100)
    found = alter(name, "spectrograms", x, share=0.3)
    inside = content(x, KIND)[:, None]
    mean = torch.stack([row[:, keep[0]].mean(dim=1) for row, keep in zip(x, inside, strict=True)])
    hidden = found != x
    torch.testing.assert_close(found[hidden], mean[:, :, None].expand_as(x)[hidden])
    other = 3 - axis
    stripes = hidden.any(dim=other, keepdim=True)
    assert torch.equal(hidden, (stripes & inside).expand_as(hidden))
    share = stripes[1::2].squeeze(other).float().mean(dim=1)
    assert 0 < share.mean() < 0.4
    assert share.max() <= 2 * 0.3 + 0.05


@pytest.mark.parametrize("name", ["time-mask", "band-mask"])
def test_masks_of_no_width_hide_nothing(name: str) -> None:
    x = rows("spectrograms")
    assert torch.equal(alter(name, "spectrograms", x, share=0), x)
