"""seed33 beside librosa, and what logmel promises."""

import librosa
import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.features import audio
from eavctl.signals.audio import read

RATE = 22050
TIME = np.arange(2 * RATE) / RATE


def with_librosa(y, rate):
    """The reference: one call of librosa for each matrix, in float64."""
    y = y.astype(np.float64)
    power = np.abs(librosa.stft(y)) ** 2
    return {
        "mfccs": librosa.feature.mfcc(y=y, sr=rate, n_mfcc=13),
        "chroma": librosa.feature.chroma_stft(S=power, sr=rate),
        "mel": librosa.feature.melspectrogram(y=y, sr=rate),
        "centroid": librosa.feature.spectral_centroid(y=y, sr=rate),
        "bandwidth": librosa.feature.spectral_bandwidth(y=y, sr=rate),
        "contrast": librosa.feature.spectral_contrast(y=y, sr=rate),
        "flatness": librosa.feature.spectral_flatness(y=y),
        "zcr": librosa.feature.zero_crossing_rate(y),
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
    assert_equal(audio.seed33_matrices(signal, rate), with_librosa(signal, rate))


def test_seed33_matrices_are_librosas_on_real_speech(shared_data):
    clips = [*sorted((shared_data / "ravdess-native").glob("*.wav")),
             *sorted((shared_data / "ravdess-speech/Actor_03").glob("*.flac"))[:6]]  # fmt: skip
    for clip in clips:
        signal, rate = read(clip)
        assert_equal(audio.seed33_matrices(signal, rate), with_librosa(signal, rate))


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
    found, quieter = (audio.logmel((gain * signal).astype(np.float32), 16000) for gain in (1.0, 0.1))
    assert np.abs(found - quieter).max() < 0.05
    assert (found.max(axis=0) > -30).sum() >= 195


@pytest.mark.parametrize("feature", [audio.seed33, audio.logmel])
@pytest.mark.parametrize("signal", [np.zeros(16000), np.full(16000, 0.3), np.ones(100)])
def test_what_cannot_be_described_is_refused(feature, signal):
    with pytest.raises(SignalError, match="too short|constant"):
        feature(signal.astype(np.float32), 16000)


@pytest.mark.parametrize("feature", [audio.seed33, audio.logmel])
def test_shortest_clips_and_clicks_give_finite_values(feature):
    click = np.zeros(1600, np.float32)
    click[800] = 1
    assert np.isfinite(feature(click, 16000)).all()
