"""Reading sound: every format, rate and channel count, and every broken file with its reason."""

import io
import warnings

import av
import numpy as np
import pytest
import soundfile

from eavctl.errors import SignalError
from eavctl.signals import audio

RATE = 44100
TIME = np.arange(RATE) / RATE
HZ = 1000.0
TONE = (0.5 * np.sin(2 * np.pi * HZ * TIME)).astype(np.float32)


def write_with_ffmpeg(path, codec, video=False):
    with av.open(str(path), "w") as container:
        if video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        if video:
            for _ in range(10):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
                container.mux(picture.encode(frame.reformat(format="yuv420p")))
            container.mux(picture.encode())
        for start in range(0, len(TONE), 1024):
            part = np.stack([TONE[start : start + 1024]] * 2)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def loudest_hz(signal, rate):
    return np.argmax(np.abs(np.fft.rfft(signal * np.hanning(len(signal))))) * rate / len(signal)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff", "m4a", "mp4", "mkv"])
def test_every_format_gives_the_tone(tmp_path, ending):
    path = tmp_path / f"tone.{ending}"
    if ending in ("m4a", "mp4", "mkv"):
        write_with_ffmpeg(path, "aac", video=ending != "m4a")
    else:
        soundfile.write(path, TONE, RATE)
    signal, rate = audio.read(path)
    assert rate == RATE
    assert signal.dtype == np.float32
    assert len(signal) / rate == pytest.approx(1.0, abs=0.06)
    assert loudest_hz(signal, rate) == pytest.approx(HZ, abs=2)
    middle = signal[RATE // 4 : RATE // 2]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.03)
    with open(path, "rb") as handle:
        assert np.array_equal(audio.read(io.BytesIO(handle.read()))[0], signal)


def test_channels_are_averaged(tmp_path):
    left, right = TONE, np.random.default_rng(0).normal(scale=0.1, size=RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    assert audio.read(tmp_path / "a.wav")[0] == pytest.approx((left + right) / 2, abs=1e-6)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_resampling_keeps_pitch_level_and_length_and_lets_nothing_alias(tmp_path, rate):
    high = 0.5 * np.sin(2 * np.pi * 15000 * TIME)
    soundfile.write(tmp_path / "a.wav", TONE + high, RATE, subtype="FLOAT")
    signal, found = audio.read(tmp_path / "a.wav", rate)
    assert found == rate
    assert len(signal) == pytest.approx(rate, abs=2)
    spectrum = 4 * np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) / len(signal)
    hz = np.arange(len(spectrum)) * rate / len(signal)
    assert spectrum[np.abs(hz - HZ) < 3].max() == pytest.approx(0.5, rel=0.01)
    assert spectrum[(np.abs(hz - HZ) > 50) & (hz < 14000)].max() < 1e-3


HOSTILE = {
    "empty.wav": "empty",
    "header-only.wav": "not a sound file",
    "lying-size.wav": "not a sound file",
    "text.wav": "first bytes are b'this is not",
    "silent.wav": "silent",
    "nan.wav": "not finite",
    "inf.wav": "not finite",
    "random.mp4": "not a sound file",
    "random.mat": "not a sound file",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_broken_files_are_named_with_their_reason(shared_data, name):
    path = shared_data / "hostile" / name
    with pytest.raises(SignalError, match=HOSTILE[name]) as caught:
        audio.read(path, 16000)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("name", "seconds"), [("truncated.wav", 0.58), ("truncated.mp4", 0.34)])
def test_recordings_without_their_end_are_used_and_named(shared_data, name, seconds):
    with pytest.warns(audio.RecordingWarning, match=f"{name}: the end of the recording is missing"):
        signal, rate = audio.read(shared_data / "hostile" / name)
    assert len(signal) / rate == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(
    ("name", "n_samples"),
    [("six-channel-192k.wav", 1600), ("u8-8k.wav", 16000), ("one-sample.wav", 1), ("dc.wav", 16000)],
)
def test_odd_files_are_read_without_a_word(shared_data, name, n_samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal, rate = audio.read(shared_data / "hostile" / name, 16000)
    assert (len(signal), rate) == (n_samples, 16000)


def test_the_sound_of_a_video_is_its_recordings_sound(shared_data):
    """RAVDESS publishes this take as sound alone, too."""
    of_video, _ = audio.read(shared_data / "ravdess-video/01-01-01-01-01-01-01.mp4", 16000)
    alone, _ = audio.read(shared_data / "ravdess-native/03-01-01-01-01-01-01.wav", 16000)
    n = 1 << int(np.ceil(np.log2(len(of_video) + len(alone))))
    correlation = np.fft.irfft(np.fft.rfft(of_video, n) * np.conj(np.fft.rfft(alone, n)))
    assert correlation.max() / (np.linalg.norm(of_video) * np.linalg.norm(alone)) > 0.95


def test_what_is_no_recording_is_named(tmp_path, shared_data):
    for path, reason in ((tmp_path / "absent.wav", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(SignalError, match=reason):
            audio.read(path)
    with pytest.raises(SignalError, match="no sound"):
        audio.read(shared_data / "video/multi_face.jpg")


def test_a_header_that_claims_days_is_refused_or_read_without_its_memory(tmp_path):
    soundfile.write(tmp_path / "a.flac", TONE[:4096], RATE)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] |= 0x0F  # FLAC STREAMINFO: the top of the 36 bits of total samples
    (tmp_path / "lies.flac").write_bytes(content)
    try:
        signal, _ = audio.read(tmp_path / "lies.flac")
        assert len(signal) <= 4096
    except SignalError as error:
        assert "lies.flac" in str(error)  # noqa: PT017  # either end is right; neither allocates the claim


@pytest.mark.parametrize(
    ("seconds", "hop", "expected"),
    [(1.0, None, [(0, 1), (1, 2), (2, 3)]), (2.0, 1.0, [(0, 2), (1, 3)]), (5.0, 1.0, [(0, 3.5)])],
)
def test_segments_are_whole_and_a_short_recording_is_one(seconds, hop, expected):
    assert audio.segments(3500, 1000, seconds, hop) == expected
