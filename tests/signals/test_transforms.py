"""Transforms: scipy's to the bit, whether or not its kernel can be loaded by itself."""

import numpy as np
import pytest
from scipy import fft

from eavctl.signals import transforms


@pytest.fixture(params=["kernel", "scipy.fft"])
def _loaded(request, monkeypatch):
    if request.param == "scipy.fft":
        monkeypatch.setattr(transforms, "_kernel", lambda: None)
    else:
        assert transforms._kernel() is not None


@pytest.mark.usefixtures("_loaded")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_fft", [500, 512, 1125])
def test_transforms_are_scipys(dtype, n_fft):
    signals = np.random.default_rng(0).normal(size=(2, 3, 500)).astype(dtype)
    spectra = transforms.rfft(signals, n_fft)
    expected = fft.rfft(signals, n_fft, axis=-1)
    assert spectra.dtype == expected.dtype
    assert np.array_equal(spectra, expected)
    assert np.array_equal(transforms.irfft(spectra, n_fft), fft.irfft(expected, n_fft, axis=-1))


def test_fast_lengths_are_scipys():
    lengths = range(1, 3000)
    assert [transforms.fast_length(n) for n in lengths] == [fft.next_fast_len(n, real=True) for n in lengths]


def test_the_cosine_transform_is_scipys():
    x = np.random.default_rng(0).normal(size=(128, 9))
    assert np.allclose(transforms.dct_matrix(13, 128) @ x, fft.dct(x, axis=0, norm="ortho")[:13], atol=1e-12)
