"""Headers of recordings agree with the recordings read whole; clipping is found in analytic signals."""

import warnings

import numpy as np
import pytest
import soundfile

from eavctl.errors import RecordingWarning, SignalError, SilentError
from eavctl.signals import audio
from eavctl.signals.eeg import open_eeg
from eavctl.signals.headers import is_clipped, read_header
from eavctl.signals.video import open_video

RATE = 8000


def tone(seconds=1.0, peak=0.9, hz=200.0):
    return peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_lengths_rates_and_channels_of_audio(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([tone(2.5), tone(2.5)], axis=1), RATE)
    found = read_header(path, "audio")
    signal, rate = audio.read(path)
    assert found.seconds == pytest.approx(len(signal) / rate, abs=0.2 if ending == "mp3" else 1e-9)
    assert (found.rate, found.channels, found.n_trials) == (RATE, ("2",), None)


def test_a_sine_is_not_clipped_and_a_cut_one_is():
    for hz in (50.0, 200.0, 1000.0, 2000.0):
        assert not is_clipped(tone(hz=hz)[:, None].astype(np.float32)), hz
    assert is_clipped(np.clip(tone(), -0.7, 0.7)[:, None])
    assert is_clipped(np.clip(tone(), -2.0, 0.7)[:, None] / 0.7)
    assert not is_clipped(0.1 * np.clip(tone(), -0.7, 0.7)[:, None])  # quiet: of few bits, perhaps
    assert not is_clipped(np.full((100, 1), 0.9))
    assert not is_clipped(np.zeros((1, 1)))
    both = np.stack([tone(), np.clip(tone(), -0.7, 0.7) / 0.7], axis=1)
    assert is_clipped(both)


def test_clipped_files(tmp_path):
    for name, signal in (("clean", tone()), ("cut", np.clip(2 * tone(), -1, 1))):
        soundfile.write(tmp_path / f"{name}.wav", signal, RATE)
    assert not read_header(tmp_path / "clean.wav", "audio").is_clipped
    assert read_header(tmp_path / "cut.wav", "audio").is_clipped


def test_a_silent_beginning_is_no_silence(tmp_path):
    late = np.concatenate([np.zeros(11 * RATE), tone()])
    soundfile.write(tmp_path / "late.wav", late, RATE)
    assert read_header(tmp_path / "late.wav", "audio").seconds == pytest.approx(12.0)
    soundfile.write(tmp_path / "silent.wav", np.zeros(11 * RATE), RATE)
    with pytest.raises(SilentError):
        read_header(tmp_path / "silent.wav", "audio")


def outcome(function):
    """What a reader makes of a file: ``error``, or whether it warns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function()
        except SignalError:
            return "error"
    return [each.category for each in caught if each.category is RecordingWarning]


def test_hostile_audio_is_judged_as_by_reading_it_whole(shared_data):
    for path in sorted((shared_data / "hostile").glob("*.wav")):
        assert outcome(lambda path=path: read_header(path, "audio")) == outcome(
            lambda path=path: audio.read(path)
        ), path


def test_eeg_and_films_agree_with_their_readers(shared_data):
    for path in (*(shared_data / "eeg").glob("*.edf"), shared_data / "eeg/test.bdf"):
        with open_eeg(path) as file:
            expected = file.duration, file.sfreq, file.ch_names
        found = read_header(path, "eeg")
        assert (found.seconds, found.rate, found.channels) == expected
    for path in (shared_data / "video").glob("*.m*"):
        with open_video(path) as film:
            assert read_header(path, "video").seconds == pytest.approx(film.duration, abs=0.1)
        signal, rate = audio.read(path)
        found = read_header(path, "audio")
        assert found.rate == rate
        assert found.seconds == pytest.approx(len(signal) / rate, abs=0.1)


def test_a_film_that_was_cut_off_is_noticed(shared_data):
    whole, cut = shared_data / "ravdess-video/01-01-01-01-01-01-01.mp4", shared_data / "hostile/truncated.mp4"
    for modality in ("audio", "video"):
        assert outcome(lambda m=modality: read_header(whole, m)) == []
        assert outcome(lambda m=modality: read_header(cut, m)) == [RecordingWarning]
