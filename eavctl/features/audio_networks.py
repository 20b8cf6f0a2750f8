"""Audio feature sets of published networks: ``means180`` for `scnn`, ``fbank`` for `ast`."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from eavctl.features.audio import HOP, N_FFT, N_MELS, Bands, Frames, check_signal
from eavctl.features.chroma import N_CHROMA, chroma
from eavctl.features.families import FAMILY, prefix
from eavctl.features.spectrum import decibels, mel_bands, short_time_spectrum
from eavctl.registry import register
from eavctl.signals.transforms import dct_matrix, rfft

MEANS_RATE, MEANS_MFCC = 22050, 40
MEANS_NAMES = tuple(
    f"{name}{i + 1}_mean"
    for name, n in (("mfcc", MEANS_MFCC), ("chroma", N_CHROMA), ("mel", N_MELS))
    for i in range(n)
)

# Kaldi's defaults at 16 kHz, except for the window, which the authors of the transformer changed.
FBANK_RATE, FBANK_WINDOW, FBANK_HOP, FBANK_FFT = 16000, 400, 160, 512
FBANK_LOWEST_HZ, PREEMPHASIS = 20.0, 0.97
FRAMES_AT_ONCE = 64  # so that the spectra stay in the CPU cache
LEAST_ENERGY = float(np.finfo(np.float32).eps)


@register(
    "features",
    "means180",
    modality="audio",
    version=1,
    rate=MEANS_RATE,
    columns=lambda: MEANS_NAMES,
    units="librosa's",
    families={FAMILY: prefix},
)
def means180(signal: np.ndarray, rate: int) -> np.ndarray:
    """Means over time of 40 MFCC, 12 chroma and 128 mel bands: 180 numbers.

    Parameters
    ----------
    signal : float32, shape (n_samples,), at least 0.1 s.
    rate : 22050.

    Returns
    -------
    float32, shape (180,), in the order of `MEANS_NAMES`; equal to librosa's values within 1e-4 of the maximum
    of each matrix.

    Raises
    ------
    SignalError : too short, or constant.

    References
    ----------
    .. [1] Lee et al.: EAV: EEG-audio-video dataset for emotion recognition in conversational contexts,
       Scientific Data 11, 2024.
    """
    if rate != MEANS_RATE:
        raise ValueError(f"means180 takes {MEANS_RATE} Hz, not {rate}")
    check_signal(signal, rate)
    # In float64: librosa's values near silence need it.
    power = short_time_spectrum(signal.astype(np.float64), N_FFT, HOP) ** 2
    mel = mel_bands(power, rate, N_FFT, N_MELS)
    mfcc = dct_matrix(MEANS_MFCC, N_MELS) @ decibels(mel)
    matrices = (mfcc, chroma(power, rate, N_FFT), mel)
    return np.concatenate([matrix.mean(axis=1) for matrix in matrices]).astype(np.float32)


@register(
    "features",
    "fbank",
    modality="audio",
    version=1,
    rate=FBANK_RATE,
    columns=None,
    units="log of energy",
    band_axis=1,
    padding=0.0,
    decibels=10 / math.log(10),
    frame_s=FBANK_HOP / FBANK_RATE,
)
def fbank(signal: np.ndarray, rate: int, *, n_mels: Bands = 128, n_frames: Frames = 1024) -> np.ndarray:
    """Kaldi's log mel filter bank [2]_, the input of the Audio Spectrogram Transformer [1]_, not normalised.

    Hann windows of 25 ms with a hop of 10 ms, mean removed, pre-emphasis of 0.97; triangular filters in mel
    from 20 Hz to 8 kHz; no dither. Only complete windows are used.

    Parameters
    ----------
    signal : float32, shape (n_samples,), within -1 to 1, at least 0.1 s.
    rate : 16000.
    n_mels, n_frames : size of the tensor; further frames are cut, missing ones are 0.

    Returns
    -------
    float32, shape (n_frames, n_mels), natural logarithm of energy, at least ``log(2 ** -23)``.

    Raises
    ------
    SignalError : too short, or constant.

    References
    ----------
    .. [1] Gong, Chung, Glass: AST: Audio Spectrogram Transformer, Interspeech 2021.
    .. [2] Povey et al.: The Kaldi speech recognition toolkit, ASRU 2011.
    """
    if rate != FBANK_RATE:
        raise ValueError(f"fbank takes {FBANK_RATE} Hz, not {rate}")
    check_signal(signal, rate)
    windows = np.lib.stride_tricks.sliding_window_view(signal, FBANK_WINDOW)[::FBANK_HOP][:n_frames]
    level = np.zeros((n_frames, n_mels), np.float32)
    for start in range(0, len(windows), FRAMES_AT_ONCE):
        part = windows[start : start + FRAMES_AT_ONCE]
        level[start : start + len(part)] = _log_energy(part, _kaldi_filters(n_mels))
    return level


def _log_energy(windows: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Logarithm of each window's energy in each filter, float64, (n_windows, n_mels)."""
    frames = windows.astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    emphasised = np.empty_like(frames)
    np.subtract(frames[:, 1:], PREEMPHASIS * frames[:, :-1], out=emphasised[:, 1:])
    emphasised[:, 0] = (1 - PREEMPHASIS) * frames[:, 0]  # the first sample is its own predecessor
    emphasised *= np.hanning(FBANK_WINDOW)
    spectrum = rfft(emphasised, FBANK_FFT)
    energy = (spectrum.real**2 + spectrum.imag**2) @ filters.T
    return np.asarray(np.log(np.maximum(energy, LEAST_ENERGY, out=energy)))


@cache
def _kaldi_filters(n_mels: int) -> np.ndarray:
    """Triangles of equal height and width on the mel scale, shape (n_mels, n_bins)."""
    edges = np.linspace(_mel(FBANK_LOWEST_HZ), _mel(FBANK_RATE / 2), n_mels + 2)
    mel = _mel(np.fft.rfftfreq(FBANK_FFT, 1 / FBANK_RATE))
    rising = (mel - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - mel) / np.diff(edges)[1:, None]
    return np.asarray(np.maximum(np.minimum(rising, falling), 0))


def _mel(hz: float | np.ndarray) -> np.ndarray:
    return np.asarray(1127 * np.log1p(np.asarray(hz) / 700))
