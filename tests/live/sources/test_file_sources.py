"""Files played as live sources: every sample and frame, at its time, and sound and picture together."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import soundfile

from eavctl.errors import RecordingWarning, SignalError, UsageError
from eavctl.live.sources.uri import open_source
from eavctl.signals import audio
from eavctl.signals.eeg import open_eeg
from eavctl.signals.video import open_video

BEGIN = 100.0


def played(source, clock, begin=BEGIN):
    """All chunks, each with the clock's time when it came."""
    return [(chunk, clock.now()) for chunk in source.chunks(clock, begin)]


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "mic:x.wav", rng.normal(scale=0.1, size=22051), 22050)
    return tmp_path / "mic:x.wav"


@pytest.mark.parametrize("rate", [None, 16000])
def test_audio_comes_as_the_reader_gives_it_each_chunk_when_its_last_sample_is_captured(wav, clock, rate):
    source = open_source(str(wav), "audio", rate)
    found = played(source, clock)
    expected, found_rate = audio.read(wav, rate)
    assert (source.modality, source.rate, source.is_recorded) == ("audio", found_rate, True)
    assert np.array_equal(np.concatenate([chunk.data for chunk, _ in found]), expected)
    first = 0
    for chunk, came in found:
        assert chunk.captured == pytest.approx(BEGIN + first / found_rate, abs=1e-9)
        assert chunk.stamp == pytest.approx(first / found_rate, abs=1e-9)
        first += len(chunk.data)
        assert came == pytest.approx(BEGIN + first / found_rate, abs=1e-9)
    assert max(len(chunk.data) for chunk, _ in found) / found_rate <= 0.02


def test_a_session_that_is_late_gets_what_is_due_at_once(wav, clock):
    clock.time = BEGIN + 0.5
    came = [time for _, time in played(open_source(str(wav), "audio"), clock)]
    assert sum(time == BEGIN + 0.5 for time in came) == 25


@pytest.mark.parametrize(
    ("name", "picture", "sound", "starts"),
    [
        ("plain.mp4", "h264", "aac", {}),
        ("sound-late.mp4", "h264", "aac", {"sound_s": 0.3}),
        ("picture-late.mp4", "mpeg4", "aac", {"picture_s": 0.3}),
        ("fragments.mp4", "mpeg4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("late.mkv", "mpeg4", "pcm_s16le", {"sound_s": 0.2, "picture_s": 0.5}),
        ("broadcast.ts", "mpeg4", "aac", {"sound_s": 0.1}),
    ],
)
def test_flash_and_beep_of_a_film_are_as_far_apart_as_in_the_file(film, clock, name, picture, sound, starts):
    path = str(film(name, picture, sound, **starts))
    apart = starts.get("sound_s", 0.0) - starts.get("picture_s", 0.0)
    beep = next(
        chunk.captured + np.argmax(np.abs(chunk.data) > 0.1) / 44100
        for chunk, _ in played(open_source(path, "audio"), clock)
        if (np.abs(chunk.data) > 0.1).any()
    )
    clock.time = BEGIN
    flash = next(
        came for chunk, came in played(open_source(path, "video"), clock) if chunk.data(None).mean() > 120
    )
    assert beep - flash == pytest.approx(apart, abs=0.02)
    assert min(beep, flash) == pytest.approx(BEGIN + 1.0, abs=0.03)


def test_frames_of_a_film_are_those_that_are_shown_at_their_times(film, clock):
    path = film("exact.mp4", "h264", "aac")
    frames = played(open_source(str(path), "video"), clock)
    with open_video(path) as file:
        expected = list(file.frames(0, file.duration, 50))
        assert clock.now() == pytest.approx(BEGIN + file.duration)  # the last frame is shown to its end
    assert [came for _, came in frames] == pytest.approx(BEGIN + np.arange(50) / 25)
    assert [chunk.captured for chunk, _ in frames] == pytest.approx(BEGIN + np.arange(50) / 25)
    pictures = [chunk.data(None) for chunk, _ in reversed(frames)][::-1]  # long after they were decoded
    assert all(np.array_equal(*pair) for pair in zip(pictures, expected, strict=True))


def test_a_picture_is_made_smaller_never_larger(film, clock):
    source = open_source(str(film("small.mp4", "mpeg4", "aac")), "video")
    picture = next(iter(source.chunks(clock, BEGIN))).data
    shapes = [picture(side).shape for side in (None, 32, 640, 1)]
    assert shapes == [(48, 64, 3), (24, 32, 3), (48, 64, 3), (1, 1, 3)]


@pytest.mark.filterwarnings("error")  # in a thread, a warning would not reach the user as one
def test_frames_of_a_film_that_cannot_be_decoded_are_counted(shared_data, tmp_path, clock):
    content = bytearray((shared_data / "ravdess-video/01-01-01-01-01-01-01.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = np.random.default_rng(0).bytes(20_000)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    source = open_source(str(path), "video")
    n_played = len(list(played(source, clock)))
    assert source.lost > 0
    assert n_played + source.lost == 98


def test_eeg_keeps_bad_channels_as_recorded(shared_data, clock):
    path = shared_data / "eeg" / "S001R03.edf"
    source = open_source(str(path), "eeg", 100)
    chunks = [chunk for chunk, _ in itertools.islice(zip(source.chunks(clock, BEGIN), itertools.count()), 50)]
    with open_eeg(path) as file:
        raw = file.read_raw()
        assert (list(source.ch_names), source.rate) == (list(file.ch_names), 160.0)
    together = np.concatenate([chunk.data for chunk in chunks], axis=1)
    assert np.array_equal(together, raw[:, : together.shape[1]])
    assert together.shape[1] / 160 == pytest.approx(50 * 0.04, abs=0.2)


def test_one_trial_of_a_file_of_trials(tmp_path, clock):
    trials = np.random.default_rng(0).normal(scale=20, size=(500, 30, 3))
    scipy.io.savemat(tmp_path / "eeg.mat", {"seg": trials})
    path = str(tmp_path / "eeg.mat")
    found = played(open_source(f"{path}?trial=2", "eeg"), clock)
    assert np.allclose(np.concatenate([chunk.data for chunk, _ in found], axis=1), trials[:, :, 1].T)
    with pytest.raises(SignalError, match="3 trials"):
        open_source(path, "eeg")
    with pytest.raises(UsageError, match="trial"):
        open_source(f"{tmp_path / 'a.wav'}?trial=1", "audio")
    with pytest.raises(SignalError, match="no trial 4"):
        open_source(f"{path}?trial=4", "eeg")


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_close_ends_a_source_that_waits(film, modality):
    source = open_source(str(film("close.mp4", "mpeg4", "aac")), modality)
    came = threading.Event()

    class Stuck:
        """A clock on which a session's stop has no effect, and time stands still."""

        def now(self) -> float:
            return 0.0

        def wait(self, seconds: float) -> None:
            assert seconds < 0.5
            came.set()

    thread = threading.Thread(target=lambda: list(source.chunks(Stuck(), 1000.0)))
    thread.start()
    assert came.wait(5)
    source.close()
    source.close()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("no.wav", "audio"),
        ("no.edf", "eeg"),
        ("no.mp4", "video"),
    ],
)
def test_a_missing_file_is_named(name, modality):
    with pytest.raises(SignalError, match=f"{name}: no such file"):
        open_source(name, modality)


def test_a_sound_file_has_no_picture(wav):
    with pytest.raises(SignalError, match="no picture"):
        open_source(str(wav), "video")


def test_samples_that_bridge_a_gap_of_the_recording_are_not_played(tmp_path, clock):
    """So that a window in the gap has no answer, as `predict --segment` gives none."""
    rows = [
        (f"{i / 256:.6f}", *values)
        for i, values in enumerate(np.random.default_rng(0).normal(0, 20, (2560, 2)).round(3))
        if not 768 <= i < 1024
    ]
    lines = ["time,C3,C4", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "gap.csv").write_text("\n".join(lines))
    with pytest.warns(RecordingWarning, match="1 gap"):
        source = open_source(str(tmp_path / "gap.csv"), "eeg")
    found = [chunk for chunk, _ in played(source, clock)]
    assert sum(chunk.data.shape[1] for chunk in found) == 2560 - 256
    ends = [chunk.stamp + chunk.data.shape[1] / 256 for chunk in found]
    (jump,) = [i for i in range(1, len(found)) if found[i].stamp - ends[i - 1] > 1e-6]
    assert (ends[jump - 1], found[jump].stamp) == (3.0, 4.0)
    assert found[jump].captured == BEGIN + 4.0
