"""means180 beside librosa, fbank beside transformers' extractor, and what is known of tones."""

import librosa
import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.features.audio_networks import MEANS_NAMES, fbank, means180
from eavctl.features.chroma import tuning
from eavctl.signals.audio import read

RATE = 22050
TIME = np.arange(2 * RATE) / RATE
NOISE = np.random.default_rng(0).normal(size=200000)
SIGNALS = {
    "tone": 0.5 * np.sin(2 * np.pi * 453 * TIME),
    "noise": 0.1 * NOISE[: len(TIME)],
    "clicks": (np.arange(len(TIME)) % 4000 == 0).astype(float),
    "half silent": np.where(TIME < 1, np.sin(2 * np.pi * 300 * TIME), 0.0),
}


def clips(shared_data):
    return [*sorted((shared_data / "ravdess-native").glob("*.wav"))[:4],
            *sorted((shared_data / "ravdess-speech/Actor_03").glob("*.flac"))[:4]]  # fmt: skip


def assert_librosas(signal):
    """In float64; the tuning of chroma is given, since librosa's own estimate is compiled at run time."""
    y = signal.astype(np.float64)
    power = np.abs(librosa.stft(y)) ** 2
    mfcc = librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=40)
    chroma = librosa.feature.chroma_stft(y=y, sr=RATE, tuning=tuning(power, RATE, 2048))
    mel = librosa.feature.melspectrogram(y=y, sr=RATE)
    found = means180(signal, RATE)
    for part, matrix in zip(np.split(found, [40, 52]), (mfcc, chroma, mel), strict=True):
        assert np.abs(part - matrix.mean(axis=1)).max() <= 1e-4 * np.abs(matrix).max()


@pytest.mark.parametrize("name", SIGNALS)
def test_means_are_librosas(name):
    assert_librosas(SIGNALS[name].astype(np.float32))


def test_means_are_librosas_on_real_speech(shared_data):
    for clip in clips(shared_data):
        assert_librosas(read(clip, RATE)[0])


def test_means_are_named_in_order():
    assert len(MEANS_NAMES) == len(set(MEANS_NAMES)) == 180
    assert MEANS_NAMES[0] == "mfcc1_mean"
    assert MEANS_NAMES[39:41] == ("mfcc40_mean", "chroma1_mean")
    assert MEANS_NAMES[51:53] == ("chroma12_mean", "mel1_mean")
    assert MEANS_NAMES[-1] == "mel128_mean"


def test_means_of_a_tone_peak_at_its_pitch_class_and_mel_band():
    found = dict(zip(MEANS_NAMES, means180(SIGNALS["tone"].astype(np.float32), RATE), strict=True))
    pitch_classes = [found[f"chroma{i + 1}_mean"] for i in range(12)]
    bands = [found[f"mel{i + 1}_mean"] for i in range(128)]
    assert np.argmax(pitch_classes) == 9  # 453 Hz is 50 cents above A, and the tuning follows
    centres = librosa.mel_frequencies(130, fmin=0, fmax=RATE / 2)[1:-1]
    assert np.argmax(bands) == np.abs(centres - 453).argmin()


def with_transformers(signal, **settings):
    transformers = pytest.importorskip("transformers")
    extractor = transformers.ASTFeatureExtractor(do_normalize=False, **settings)
    return extractor(signal, sampling_rate=16000, return_tensors="np")["input_values"][0]


@pytest.mark.filterwarnings("ignore:At least one mel filter")
@pytest.mark.parametrize("n_samples", [1600, 1601, 80000, 164000, 164400, 200000])
def test_fbank_is_that_of_transformers(n_samples):
    signal = (0.1 * NOISE[:n_samples]).astype(np.float32)
    expected = with_transformers(signal)
    found = fbank(signal, 16000)
    assert found.shape == expected.shape == (1024, 128)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.filterwarnings("ignore:At least one mel filter")
def test_fbank_is_that_of_transformers_on_real_speech_and_at_other_sizes(shared_data):
    for clip in clips(shared_data):
        signal, _ = read(clip, 16000)
        assert np.abs(fbank(signal, 16000) - with_transformers(signal)).max() < 1e-4
    expected = with_transformers(signal, num_mel_bins=40, max_length=100)
    assert np.abs(fbank(signal, 16000, n_mels=40, n_frames=100) - expected).max() < 1e-4


def test_fbank_of_a_tone_peaks_in_the_band_of_its_frequency():
    """Bands lie evenly on the scale 1127 log(1 + f / 700) from 20 Hz to 8 kHz."""
    hz = 2000.0
    found = fbank((0.5 * np.sin(2 * np.pi * hz * np.arange(48000) / 16000)).astype(np.float32), 16000)
    edges = np.linspace(np.log1p(20 / 700), np.log1p(8000 / 700), 130)
    expected = np.abs(edges[1:-1] - np.log1p(hz / 700)).argmin()
    assert (found[:298].argmax(axis=1) == expected).all()
    assert (found[298:] == 0).all()


def test_fbank_of_twice_the_amplitude_is_the_logarithm_of_four_more():
    signal = (0.1 * NOISE[:16000]).astype(np.float32)
    found, louder = fbank(signal, 16000)[:98], fbank(2 * signal, 16000)[:98]
    heard = found > -12  # some of the lowest bands lie between two bins and hold nothing
    assert heard.mean() > 0.9
    assert np.abs(louder - found - np.log(4))[heard].max() < 1e-4


def test_fbank_ignores_an_offset():
    signal = (0.1 * NOISE[:16000]).astype(np.float64)
    assert fbank(signal + 0.5, 16000) == pytest.approx(fbank(signal, 16000), abs=1e-5)


@pytest.mark.parametrize(("feature", "rate"), [(means180, 22050), (fbank, 16000)])
def test_another_rate_is_a_bug_of_the_caller(feature, rate):
    with pytest.raises(ValueError, match=str(rate)):
        feature(NOISE[:30000].astype(np.float32), 8000)


@pytest.mark.parametrize(("feature", "rate"), [(means180, 22050), (fbank, 16000)])
@pytest.mark.parametrize("signal", [np.zeros(30000), np.full(30000, 0.3), np.ones(100), NOISE[:1599]])
def test_what_cannot_be_described_is_refused(feature, rate, signal):
    with pytest.raises(SignalError, match=r"too short|constant"):
        feature(signal.astype(np.float32), rate)


@pytest.mark.parametrize(("feature", "rate"), [(means180, 22050), (fbank, 16000)])
@pytest.mark.parametrize("level", [1e-30, 1e-6, 1.0, 1e4, 1e9])
def test_every_level_gives_finite_values(feature, rate, level):
    assert np.isfinite(feature((level * NOISE[:8000]).astype(np.float32), rate)).all()
