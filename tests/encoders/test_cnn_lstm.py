"""``cnn-lstm``: time reaches the LSTM, padding does not count, the input is standardised as fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch.nn import functional

from eavctl.encoders.cnn_lstm import NOISE_DB, SHIFT_BANDS, SHIFT_TIME, STRETCH, CnnLstm, _move, unpadded
from eavctl.errors import DataError

SHAPE = (64, 300)
FLOOR = -80.0


def encoder(**settings: Any) -> CnnLstm:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CnnLstm(SHAPE, **settings).eval()


def speech(n: int = 4, n_frames: int = 300) -> torch.Tensor:
    """Log-mel-like noise of ``n_frames``, padded with the floor to 300 frames."""
    x = -40 + 12 * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(3))
    x[:, :, n_frames:] = FLOOR
    return x


def fitted(x: torch.Tensor) -> CnnLstm:
    network = encoder()
    with torch.no_grad():
        network.fit_input(x)
    return network


def test_the_lstm_sees_time_as_a_sequence() -> None:
    network, seen = encoder(), []
    network.lstm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    network(speech())
    batch, steps, features = seen[0]
    assert batch == 4
    assert steps >= 40  # at least one step in 75 ms
    assert features == network.lstm.input_size


def test_the_order_of_time_matters() -> None:
    x = speech()
    network = fitted(x)
    with torch.inference_mode():
        forwards, backwards = network(x), network(x.flip(2))
        halves = network(torch.cat([x[:, :, 150:], x[:, :, :150]], dim=2))
    assert not torch.allclose(forwards, backwards, atol=1e-3)
    assert not torch.allclose(forwards, halves, atol=1e-3)


def test_late_frames_reach_the_embedding_through_both_directions() -> None:
    x = speech()
    changed = x.clone()
    changed[:, :, 200:] += 10
    network = fitted(x)
    with torch.inference_mode():
        difference = (network(x) - network(changed)).abs().mean(dim=0)
    assert (difference > 0).all()


def test_embedding_is_both_directions_of_the_lstm() -> None:
    assert encoder().embedding_dim == 256
    assert encoder(lstm_units=16)(speech()).shape == (4, 32)


@pytest.mark.parametrize("n_frames", [1, 37, 299])
def test_unpadded_frames_end_where_padding_starts(n_frames: int) -> None:
    assert unpadded(speech(n_frames=n_frames)).sum(dim=1).tolist() == [n_frames] * 4


def test_padding_is_found_after_a_change_of_scale_by_band() -> None:
    scale = torch.linspace(0.5, 2, 64)[:, None]
    assert unpadded(speech(n_frames=120) * scale + scale).sum(dim=1).tolist() == [120] * 4


def test_silence_amid_speech_is_no_padding() -> None:
    x = speech()
    x[:, :, 100:200] = FLOOR
    assert unpadded(x)[:, :299].all()


def test_the_value_of_the_padding_does_not_matter() -> None:
    x = speech(n_frames=180)
    louder = x.clone()
    louder[:, :, 180:] = -20
    network = fitted(x)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network(louder))


def test_a_silent_clip_has_a_finite_embedding() -> None:
    assert torch.isfinite(encoder()(torch.full((2, *SHAPE), FLOOR))).all()


def test_statistics_are_those_of_the_unpadded_frames() -> None:
    x = speech(n_frames=100)
    network = fitted(x)
    heard = x[:, :, :100].transpose(0, 1).flatten(1)
    torch.testing.assert_close(network.mean[:, 0], heard.mean(dim=1))
    torch.testing.assert_close(network.std[:, 0], heard.std(dim=1, correction=0))


def test_the_embedding_ignores_a_gain_that_the_statistics_know() -> None:
    x = speech()
    with torch.inference_mode():
        torch.testing.assert_close(fitted(x)(x), fitted(2 * x + 5)(2 * x + 5), rtol=1e-3, atol=1e-4)


def test_a_constant_band_divides_by_no_zero() -> None:
    x = speech()
    x[:, 7] = FLOOR
    assert torch.isfinite(fitted(x)(x)).all()


def test_augmentation_varies_every_sample_apart() -> None:
    x = speech(1).repeat(4, 1, 1)
    varied = fitted(x).augment(x, torch.Generator().manual_seed(0))
    assert all(not torch.equal(varied[i], varied[j]) for i in range(4) for j in range(i))


def test_augmentation_stays_within_the_range_of_the_input() -> None:
    x = speech()
    varied = fitted(x).augment(x, torch.Generator().manual_seed(0))
    assert varied.min() >= x.min() - 1e-3
    assert varied.max() <= x.max() + 1e-3


def test_moving_is_an_affine_map_of_the_picture() -> None:
    """The yardstick is torch's affine grid; positions differ by rounding, in slopes of up to 60 dB a cell."""
    x = speech()
    stretch, onset, bands = (2 * torch.rand(3, 4, generator=torch.Generator().manual_seed(5)) - 1).unbind()
    affine = torch.zeros(4, 2, 3)
    affine[:, 0, 0], affine[:, 0, 2] = 1 + STRETCH * stretch, 2 * SHIFT_TIME * onset
    affine[:, 1, 1], affine[:, 1, 2] = 1, 2 * SHIFT_BANDS / 64 * bands
    grid = functional.affine_grid(affine, [4, 1, *SHAPE], align_corners=False)
    there = functional.grid_sample(x[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    torch.testing.assert_close(_move(x, torch.Generator().manual_seed(5)), there, atol=0.01, rtol=0)


def test_noise_fills_the_gaps_and_hardly_touches_the_loud() -> None:
    """Cells 70 dB below the peak rise towards the noise, which lies some 36 dB below it; the peak stays."""
    x = torch.full((8, *SHAPE), -70.0)
    x[:, :32] = 0.0
    x[:, :, 299] = FLOOR
    network = encoder(noisy=1.0)
    with torch.no_grad():
        network.fit_input(x)
    varied = network.augment(x, torch.Generator().manual_seed(0))
    filled = varied[:, 40:, :280].median(dim=2).values.median(dim=1).values
    assert (filled < NOISE_DB + 3).all()
    assert filled.max() > NOISE_DB - 10
    assert varied.max() < 0.1


def test_noise_has_the_level_of_a_twentieth_of_the_peak() -> None:
    """The yardstick adds noise to a waveform, 0.05 of its peak, and takes its mel power with librosa."""
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    glottis = np.zeros(32000)
    glottis[::130] = 1  # 123 Hz
    signal = lfilter([1], np.poly([0.97 * np.exp(1j * f) for f in (0.25, -0.25, 0.6, -0.6)]).real, glottis)
    mel = {"sr": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 64}
    loudest = librosa.feature.melspectrogram(y=signal, **mel).max()
    noise = librosa.feature.melspectrogram(y=0.05 * abs(signal).max() * rng.standard_normal(32000), **mel)
    assert 10 * np.log10(noise.mean() / loudest) == pytest.approx(NOISE_DB, abs=6)


def test_augmentation_leaves_padding_alone() -> None:
    x = speech(n_frames=100)
    varied = fitted(x).augment(x, torch.Generator().manual_seed(0))
    lengths = unpadded(varied).sum(dim=1)
    assert (lengths < 160).all()
    torch.testing.assert_close(varied[:, :, 180:], x[:, :, 180:])


@pytest.mark.parametrize("shape", [(64,), (3, 64, 300), (8, 300), (64, 4)])
def test_other_shapes_are_refused_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="--features logmel"):
        CnnLstm(shape)
