"""seed33 beside librosa, and what logmel promises."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.errors import SignalError
from eavctl.features import audio
from eavctl.features.chroma import tuning
from eavctl.signals.audio import read

RATE = 22050
TIME = np.arange(2 * RATE) / RATE


def with_librosa(y, rate):
    """The reference, in float64: librosa where it computes in numpy, and numpy where librosa compiles.

    Code that librosa compiles at run time has crashed on a fresh compile cache; so the tuning of
    chroma is given (it has tests of its own), and zero crossings are counted plainly.
    """
    y = y.astype(np.float64)
    magnitude = np.abs(librosa.stft(y))
    power = magnitude**2
    mel = librosa.feature.melspectrogram(S=power, sr=rate)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, 1024, mode="edge"), 2048)[::512]
    sign = np.signbit(np.where(np.abs(frames) <= 1e-10, 0, frames))
    return {
        "mfccs": librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=13),
        "chroma": librosa.feature.chroma_stft(S=power, sr=rate, tuning=tuning(power, rate, 2048)),
        "mel": mel,
        "centroid": librosa.feature.spectral_centroid(S=magnitude, sr=rate),
        "bandwidth": librosa.feature.spectral_bandwidth(S=magnitude, sr=rate),
        "contrast": librosa.feature.spectral_contrast(S=magnitude, sr=rate),
        "flatness": librosa.feature.spectral_flatness(S=magnitude),
        "zcr": (sign[:, 1:] != sign[:, :-1]).sum(axis=1)[None] / 2048,
        "energy": librosa.feature.rms(y=y),
    }


def assert_equal(found, expected):
    assert list(found) == list(expected)
    for name, matrix in expected.items():
        assert found[name].shape == matrix.shape, name
        assert np.abs(found[name] - matrix).max() <= 1e-4 * np.abs(matrix).max() + 1e-9, name


SIGNALS = {
    "tone": 0.5 * np.sin(2 * np.pi * 453 * TIME),
    "chord": 0.2 * sum(np.sin(2 * np.pi * hz * TIME) for hz in (262, 331, 395)),
    "noise": np.random.default_rng(0).normal(size=len(TIME)) * 0.1,
    "clicks": (np.arange(len(TIME)) % 4000 == 0).astype(float),
    "half silent": np.where(TIME < 1, np.sin(2 * np.pi * 300 * TIME), 0.0),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_seed33_matrices_are_librosas(name, rate):
    signal = SIGNALS[name].astype(np.float32)
    assert_equal(audio.seed33_matrices(signal.astype(np.float64), rate), with_librosa(signal, rate))


def test_seed33_matrices_are_librosas_on_real_speech(shared_data):
    clips = [*sorted((shared_data / "ravdess-native").glob("*.wav")),
             *sorted((shared_data / "ravdess-speech/Actor_03").glob("*.flac"))[:6]]  # fmt: skip
    for clip in clips:
        signal, rate = read(clip)
        assert_equal(audio.seed33_matrices(signal.astype(np.float64), rate), with_librosa(signal, rate))


def test_seed33_is_the_statistics_of_the_matrices_in_order():
    signal = SIGNALS["chord"].astype(np.float32)
    found = dict(zip(audio.SEED33_NAMES, audio.seed33(signal, RATE), strict=True))
    expected = with_librosa(signal, RATE)
    assert len(found) == 33
    assert list(found)[:5] == ["mfccs_mean", "mfccs_std", "mfccs_min", "mfccs_max", "chroma_mean"]
    assert list(found)[-2:] == ["zcr_max", "energy"]
    for name in audio.SEED33_MATRICES:
        for statistic in ("mean", "std", "min", "max"):
            value = getattr(expected[name], statistic)()
            assert found[f"{name}_{statistic}"] == pytest.approx(value, rel=1e-3, abs=1e-4)
    assert found["energy"] == pytest.approx(expected["energy"].mean(), rel=1e-5)


def test_seed33_of_a_tone_is_what_is_known_of_tones():
    hz, amplitude = 1000.0, 0.5
    signal = (amplitude * np.sin(2 * np.pi * hz * TIME)).astype(np.float32)
    matrices = {
        name: m[:, 4:-4] for name, m in audio.seed33_matrices(signal.astype(np.float64), RATE).items()
    }  # whole frames
    assert matrices["centroid"] == pytest.approx(hz, rel=0.01)
    assert matrices["bandwidth"].max() < 100
    assert matrices["zcr"] == pytest.approx(2 * hz / RATE, rel=0.02)
    assert matrices["energy"] == pytest.approx(amplitude / np.sqrt(2), rel=0.01)
    assert matrices["flatness"].max() < 1e-3
    assert (matrices["chroma"].argmax(axis=0) == 11).all()  # the nearest note is B, at 987.8 Hz


def test_seed33_of_white_noise_is_what_is_known_of_noise():
    matrices = audio.seed33_matrices(SIGNALS["noise"], RATE)
    assert matrices["centroid"].mean() == pytest.approx(RATE / 4, rel=0.02)
    assert matrices["bandwidth"].mean() == pytest.approx(RATE / 2 / np.sqrt(12), rel=0.02)
    assert matrices["zcr"].mean() == pytest.approx(0.5, rel=0.02)
    assert matrices["energy"][0, 3:-3].mean() == pytest.approx(0.1, rel=0.02)
    # of exponentially distributed powers: e to the mean of their logarithm, minus Euler's constant
    assert matrices["flatness"].mean() == pytest.approx(np.exp(-np.euler_gamma), rel=0.02)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 99))
def test_gain_changes_levels_alone(gain, seed):
    signal = np.random.default_rng(seed).normal(size=8000) * 0.1
    plain, loud = (audio.seed33_matrices(x, 16000) for x in (signal, gain * signal))
    for name in ("chroma", "centroid", "bandwidth", "flatness", "zcr"):
        assert loud[name] == pytest.approx(plain[name], rel=1e-6), name
    assert loud["energy"] == pytest.approx(gain * plain["energy"], rel=1e-9)
    assert loud["mel"] == pytest.approx(gain**2 * plain["mel"], rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([audio.seed33, audio.seed33_fast, audio.logmel]),
    st.integers(1600, 40000),
    st.integers(0, 99),
    st.sampled_from([1e-30, 1e-6, 1.0, 1e4, 1e9]),
)
def test_every_signal_that_is_not_constant_gives_finite_values(feature, n_samples, seed, level):
    signal = (level * np.random.default_rng(seed).normal(size=n_samples)).astype(np.float32)
    before = signal.copy()
    found = feature(signal, 16000)
    assert np.isfinite(found).all()
    assert found.dtype == np.float32
    assert found.shape == ((64, 300) if feature is audio.logmel else (33,))
    assert np.array_equal(found, feature(signal, 16000))
    assert np.array_equal(signal, before)


def test_seed33_fast_is_seed33_but_for_near_silence_and_ties_of_tuning(shared_data):
    for clip in sorted((shared_data / "ravdess-speech/Actor_03").glob("*.flac"))[:10]:
        signal, rate = read(clip)
        exact, fast = (audio.seed33_matrices(x, rate) for x in (signal.astype(np.float64), signal))
        exact.pop("chroma")
        for name, matrix in exact.items():
            tolerance = 5e-3 if name == "contrast" else 5e-5
            assert fast[name].shape == matrix.shape
            assert np.abs(fast[name] - matrix).max() <= tolerance * np.abs(matrix).max(), name


def test_seed33_refuses_low_rates_by_name():
    with pytest.raises(SignalError, match="12800"):
        audio.seed33(SIGNALS["noise"].astype(np.float32), 8000)


def test_logmel_is_librosas():
    signal = SIGNALS["noise"].astype(np.float32)[:32000]
    mel = librosa.feature.melspectrogram(
        y=signal, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=64
    )
    expected = librosa.power_to_db(mel, ref=np.max)
    found = audio.logmel(signal, 16000)
    assert found.shape == (64, 300)
    assert found.dtype == np.float32
    assert np.abs(found[:, : expected.shape[1]] - expected).max() < 0.01
    assert (found[:, expected.shape[1] :] == -80).all()


def test_logmel_of_a_long_clip_is_its_loudest_stretch_whatever_its_level():
    signal = np.random.default_rng(1).normal(size=16000 * 8) * 1e-3
    signal[16000 * 4 : 16000 * 6] *= 100
    found, quieter, faint = (audio.logmel((g * signal).astype(np.float32), 16000) for g in (1.0, 0.1, 1e-6))
    assert np.abs(found - quieter).max() < 0.01
    assert np.abs(found - faint).max() < 0.01
    assert (found.max(axis=0) > -30).sum() >= 195


def test_logmel_of_another_size_and_rate():
    signal = SIGNALS["noise"].astype(np.float32)[:16000]
    assert audio.logmel(signal, 16000, n_mels=40, n_frames=120).shape == (40, 120)
    with pytest.raises(ValueError, match="16000"):
        audio.logmel(signal, 22050)


def test_logmel_of_a_tone_peaks_in_the_band_of_its_frequency():
    hz = 1000.0
    found = audio.logmel(np.sin(2 * np.pi * hz * np.arange(48000) / 16000).astype(np.float32), 16000)
    centres = librosa.mel_frequencies(66, fmin=0, fmax=8000)[1:-1]
    assert (found[:, 5:-5].argmax(axis=0) == np.abs(centres - hz).argmin()).all()
    assert found.max() == pytest.approx(0, abs=1e-4)
    assert found.min() >= -80


@pytest.mark.parametrize("feature", [audio.seed33, audio.logmel])
@pytest.mark.parametrize("signal", [np.zeros(16000), np.full(16000, 0.3), np.ones(100)])
def test_what_cannot_be_described_is_refused(feature, signal):
    with pytest.raises(SignalError, match=r"too short|constant"):
        feature(signal.astype(np.float32), 16000)


@pytest.mark.parametrize("feature", [audio.seed33, audio.logmel])
def test_shortest_clips_and_clicks_give_finite_values(feature):
    click = np.zeros(1600, np.float32)
    click[800] = 1
    assert np.isfinite(feature(click, 16000)).all()
