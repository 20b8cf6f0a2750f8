"""Reading sound: every format, rate and channel count, and every broken file with its reason."""

import io
import os
import tracemalloc
import warnings

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.errors import RecordingWarning, SignalError
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
    "header-only.wav": "damaged, no audio can be decoded",
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
    with pytest.warns(RecordingWarning, match=f"{name}: the end of the recording is missing"):
        signal, rate = audio.read(shared_data / "hostile" / name)
    assert len(signal) / rate == pytest.approx(seconds, abs=0.01)


def test_sound_hidden_by_a_wrong_size_in_the_header_is_found(shared_data):
    """The file is a RAVDESS recording, one part of whose header claims four gigabytes."""
    with pytest.warns(RecordingWarning, match=r"lying-size.wav: the sizes in its header are wrong"):
        signal, rate = audio.read(shared_data / "hostile/lying-size.wav")
    whole, _ = audio.read(shared_data / "ravdess-native/03-01-01-01-01-01-01.wav")
    assert rate == 48000
    assert np.array_equal(signal, whole)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_streamed_wavs_of_unknown_size_are_read_without_a_warning(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    content = (tmp_path / "a.wav").read_bytes()
    at = content.index(b"data") + 4
    written = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content[:4] + written + content[8:at] + written + content[at + 4 :])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(audio.read(tmp_path / "a.wav")[0]) == len(TONE)


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "aiff", "m4a"])
def test_a_cut_recording_is_never_used_silently(tmp_path, ending):
    path = tmp_path / f"cut.{ending}"
    if ending == "m4a":
        write_with_ffmpeg(path, "aac")
    else:
        soundfile.write(path, TONE, RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if ending == "m4a":  # its table of contents stands at its end
        with pytest.raises(SignalError, match="damaged, no audio can be decoded"):
            audio.read(path)
        return
    with pytest.warns(RecordingWarning, match=r"missing|damaged"):
        signal, rate = audio.read(path)
    assert 0.3 < len(signal) / rate < 0.6
    assert loudest_hz(signal, rate) == pytest.approx(HZ, abs=3)


@pytest.mark.parametrize(
    "playlist", ["ffconcat version 1.0\nfile private.m4a\n", "#EXTM3U\n#EXTINF:1.0,\nprivate.m4a\n"]
)
@pytest.mark.parametrize("name", ["a.wav", "a.m3u8"])
def test_a_playlist_makes_nothing_open_other_files(tmp_path, playlist, name):
    write_with_ffmpeg(tmp_path / "private.m4a", "aac")
    (tmp_path / name).write_text(playlist)
    with pytest.raises(SignalError, match="not a sound file"):
        audio.read(tmp_path / name)


def test_a_name_that_looks_like_an_address_is_a_name(tmp_path, monkeypatch):
    write_with_ffmpeg(tmp_path / "a.m4a", "aac")
    (tmp_path / "a.m4a").rename(tmp_path / "concat:a.m4a")
    monkeypatch.chdir(tmp_path)
    assert audio.read("concat:a.m4a")[1] == RATE


def test_a_video_without_sound_says_so(tmp_path):
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8)).reformat(format="yuv420p")
        container.mux(picture.encode(frame))
        container.mux(picture.encode())
    with pytest.raises(SignalError, match=r"mute.mp4: has no sound"):
        audio.read(tmp_path / "mute.mp4")


def test_a_codec_that_nothing_knows_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[20:22] = b"\x34\x12"  # the format tag of the header
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(SignalError, match=r"a.wav: (no decoder|damaged)"):
        audio.read(tmp_path / "a.wav")


def test_a_pipe_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE[:2000], RATE)
    reader, writer = os.pipe()
    os.write(writer, (tmp_path / "a.wav").read_bytes())
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert len(audio.read(pipe)[0]) == 2000
    with pytest.raises(SignalError, match="stream: the file is empty"):
        audio.read(io.BytesIO())


@pytest.mark.parametrize("level", [1e25, -1e12])
def test_levels_that_no_recording_has_are_refused(tmp_path, level):
    soundfile.write(tmp_path / "a.wav", level * TONE, RATE, subtype="FLOAT")
    with pytest.raises(SignalError, match="times full scale"):
        audio.read(tmp_path / "a.wav")


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "LONGEST_S", 0.5)
    monkeypatch.setattr(audio, "BLOCK", 4096)
    for ending in ("flac", "m4a"):
        path = tmp_path / f"a.{ending}"
        if ending == "m4a":
            write_with_ffmpeg(path, "aac")
        else:
            soundfile.write(path, TONE, RATE)
        with pytest.raises(SignalError, match="longer than"):
            audio.read(path)


def test_many_channels_do_not_multiply_the_memory(tmp_path):
    channels = np.tile(np.arange(2000, dtype=np.int16)[:, None], (1, 256))
    soundfile.write(tmp_path / "a.wav", channels, RATE)
    tracemalloc.start()
    signal, _ = audio.read(tmp_path / "a.wav")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert signal == pytest.approx(np.arange(2000) / 32768)
    assert (
        peak < 12 * audio.BLOCK
    )  # one block in float32, and its mean; a block a channel would be a gigabyte


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    for ending in ("wav", "flac", "ogg", "mp3", "aiff"):
        soundfile.write(folder / f"a.{ending}", TONE[:4000], RATE)
    write_with_ffmpeg(folder / "a.m4a", "aac")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=50, deadline=None)  # `make fuzz` tries many more
@given(data=st.data())
@pytest.mark.filterwarnings(
    "ignore::eavctl.errors.RecordingWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
def test_damage_anywhere_gives_a_signal_or_a_named_error(small_files, data):
    content = bytearray(small_files[data.draw(st.sampled_from(sorted(small_files)))])
    places = st.one_of(st.integers(0, 63), st.integers(0, len(content) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        content[place] = value
    file = io.BytesIO(content[: data.draw(st.integers(1, len(content)))])
    file.name = "damaged"
    try:
        signal, rate = audio.read(file)
    except SignalError as error:
        assert str(error).startswith("damaged: ")  # noqa: PT017  # it may be read as well
    else:
        assert rate > 0
        assert signal.dtype == np.float32
        assert np.isfinite(signal).all()


def test_a_decoder_that_counts_itself_beyond_the_end_reads_no_further(tmp_path, monkeypatch):
    """As libsndfile does in Opus files in which a few bytes are damaged."""
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    tell = soundfile.SoundFile.tell
    monkeypatch.setattr(soundfile.SoundFile, "tell", lambda file: tell(file) and tell(file) + 648)
    with open(tmp_path / "a.wav", "rb") as handle, pytest.warns(RecordingWarning, match="a.wav: damaged"):
        signal, rate = audio._read_sndfile(handle, handle.name)
    assert rate == RATE
    assert signal == pytest.approx(TONE, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "n_samples"),
    [("six-channel-192k.wav", 1600), ("u8-8k.wav", 16000), ("one-sample.wav", 1), ("dc.wav", 16000)],
)
def test_unusual_files_are_read_without_a_warning(shared_data, name, n_samples):
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


def test_a_header_that_claims_days_is_read_as_far_as_it_goes(tmp_path):
    soundfile.write(tmp_path / "a.flac", TONE[:4096], RATE)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] |= 0x0F  # FLAC STREAMINFO: the top of the 36 bits of total samples
    (tmp_path / "lies.flac").write_bytes(content)
    with pytest.warns(RecordingWarning, match=r"lies.flac: the end of the recording is missing"):
        signal, _ = audio.read(tmp_path / "lies.flac")
    assert len(signal) == 4096


@pytest.mark.parametrize("n_chans", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_wav_files_are_read_as_libsndfile_reads_them(tmp_path, n_chans, subtype):
    samples = np.random.default_rng(0).uniform(-1, 1, size=(801, n_chans))
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 8000, n_chans, subtype) as file:
        file.title = "a part of its own, of odd length"
        file.write(samples)
    assert (audio._read_wave(path) is not None) == (subtype == "PCM_16")
    expected, rate = soundfile.read(path, dtype="float32", always_2d=True)
    signal, found = audio.read(path)
    assert found == rate
    assert np.array_equal(signal, expected.mean(axis=1, dtype=np.float32) if n_chans > 1 else expected[:, 0])


def test_no_byte_of_a_wav_file_can_be_missing_or_added_unnoticed(tmp_path):
    """Whatever the header of a plain file says wrongly, the file is left to what warns of it."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 50), 8000, subtype="PCM_16")
    whole = path.read_bytes()
    assert audio._read_wave(io.BytesIO(whole)) is not None
    for place in range(44):
        for cut in (whole[:place] + whole[place + 1 :], whole[:place] + b"\x7b" + whole[place:]):
            assert audio._read_wave(io.BytesIO(cut)) is None
    for changed in (whole[:-1], whole + b"x", whole[:-2]):
        assert audio._read_wave(io.BytesIO(changed)) is None
