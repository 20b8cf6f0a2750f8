"""Augmentations of EEG against what is known of them."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from augmented_rows import KINDS, alter, generator, rows
from torch import Tensor

from eavctl import registry

SFREQ = 100.0


def sine(hz: float, n_times: int = 400) -> Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(n_times) / SFREQ)


@pytest.mark.parametrize("n_times", [200, 201])
@pytest.mark.parametrize("share", [0.3, 1])
def test_surrogates_keep_amplitudes_and_cross_spectra(n_times: int, share: float) -> None:
    x = 5 + torch.randn((4, 3, n_times), generator=generator(1), dtype=torch.float32)
    found = alter("surrogate", "eeg", x, p=1, share=share)
    before, after = torch.fft.rfft(x.double()), torch.fft.rfft(found.double())
    torch.testing.assert_close(after.abs(), before.abs(), rtol=1e-3, atol=1e-3)
    cross = [torch.einsum("bif,bjf->bijf", each, each.conj()) for each in (before, after)]
    torch.testing.assert_close(cross[1], cross[0], rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(found.mean(dim=2), x.mean(dim=2))
    correlation = torch.corrcoef(torch.stack([found[0, 0], x[0, 0]]))[0, 1]
    assert abs(correlation) < 0.95
    turned = (after / before).angle()[:, 0, 1:-1] % (2 * math.pi)
    assert turned.max() <= 2 * math.pi * share + 1e-3
    assert turned.max() > 0.8 * 2 * math.pi * share


def test_a_surrogate_of_no_phases_is_the_row() -> None:
    x = rows("eeg")
    torch.testing.assert_close(alter("surrogate", "eeg", x, p=1, share=0), x, rtol=1e-4, atol=1e-3)


def test_band_stop_removes_a_sine_within_the_band_and_keeps_one_outside() -> None:
    narrow = dataclasses.replace(KINDS["eeg"], band=(10.0, 10.0))
    x = torch.stack([sine(10), sine(11.5), sine(14), sine(5) + 3]).repeat(2, 1, 1)
    band_stop = registry.get("augmentations", "band-stop")
    found = band_stop.build(x, generator(), narrow, width=4, p=1)
    assert found[:, :2].abs().max() < 1e-4
    torch.testing.assert_close(found[:, 2:], x[:, 2:], rtol=1e-4, atol=1e-4)


def test_stopped_bands_lie_anywhere_in_the_pass_band() -> None:
    x = torch.randn((300, 1, 400), generator=generator(1))
    found = torch.fft.rfft(alter("band-stop", "eeg", x, p=1, width=2)).abs()[:, 0]
    stopped = found < 1e-3
    frequencies = torch.fft.rfftfreq(400, 1 / SFREQ)
    centres = (stopped * frequencies).sum(dim=1) / stopped.sum(dim=1)
    assert centres.min() < 5
    assert 40 < centres.max() <= 46
    assert stopped.sum(dim=1).max() <= 9  # bins of 0.25 Hz


def test_time_masks_are_equal_for_all_channels_and_set_to_the_mean() -> None:
    x = rows("eeg", n=50) + 100
    found = alter("time-mask", "eeg", x, share=0.2)
    hidden = found != x
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    mean = x.mean(dim=2, keepdim=True).expand_as(x)
    torch.testing.assert_close(found[hidden], mean[hidden])
    share = hidden[:, 0].float().mean(dim=1)
    assert 0 < share.min()
    assert 0.2 < share.max() <= 0.4


def test_a_crop_keeps_a_window_in_its_order_of_time_and_sets_the_rest_to_the_mean() -> None:
    ramp = torch.arange(100.0).expand(300, 2, 100)
    found = alter("time-crop", "eeg", ramp, least=0.5)
    assert torch.equal(found[:, 0], found[:, 1])
    kept = found[:, 0] != 49.5
    lengths = kept.sum(dim=1)
    assert lengths.min() == 50
    assert lengths.max() == 100
    onsets, shifts = set(), set()
    for row, inside in zip(found[:, 0], kept, strict=True):
        times = inside.nonzero().flatten()
        window = row[inside]
        assert torch.equal(window, torch.arange(float(window[0]), float(window[0]) + len(window)))
        assert torch.equal(times, torch.arange(int(times[0]), int(times[0]) + len(times)))
        onsets.add(int(times[0]))
        shifts.add(int(window[0]) - int(times[0]))
    assert min(onsets) == 0
    assert max(onsets) > 35
    assert min(shifts) < -20
    assert max(shifts) > 20


def test_noise_has_a_share_of_each_channels_deviation() -> None:
    x = torch.randn((200, 2, 2000), generator=generator(1)) * torch.tensor([[1.0], [50.0]])
    added = alter("noise", "eeg", x, share=0.3) - x
    shares = added.std(dim=2) / x.std(dim=2)
    torch.testing.assert_close(shares[:, 0], shares[:, 1], rtol=0.15, atol=1e-3)
    assert shares.min() < 0.02
    assert 0.28 < shares.max() < 0.32
    correlation = torch.corrcoef(added[0])[0, 1]
    assert abs(correlation) < 0.1


def test_dropped_channels_are_flat_and_one_is_kept() -> None:
    x = rows("eeg", n=400) + 10
    found = alter("channel-dropout", "eeg", x, share=0.2)
    flat = found.std(dim=2) < 1e-3
    assert float(flat.float().mean()) == pytest.approx(0.2, abs=0.03)
    torch.testing.assert_close(found[~flat], x[~flat])
    torch.testing.assert_close(found.mean(dim=2), x.mean(dim=2), rtol=1e-4, atol=1e-3)
    few = alter("channel-dropout", "eeg", x[:, :2], share=0.9)
    assert ((few.std(dim=2) > 1e-3).sum(dim=1) >= 1).all()


def test_neither_time_nor_sign_is_reversed_by_any() -> None:
    """Of a channel whose course and sign are plain, what is left of it has the same."""
    x = (torch.linspace(0, 1, 200) ** 3).expand(100, 4, 200) * 50
    for name in registry.names("augmentations"):
        facts = registry.get("augmentations", name).facts
        if "eeg" not in facts["of"] or name == "surrogate":
            continue
        found = alter(name, "eeg", x)
        dot = ((found - found.mean(dim=2, keepdim=True)) * (x - x.mean(dim=2, keepdim=True))).sum(dim=2)
        assert (dot >= -1e-2).float().mean() > 0.95
