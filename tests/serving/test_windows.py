"""Windows on their way to a worker."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from eavctl.extraction.open_recording import Signal
from eavctl.live.window import Window
from eavctl.serving.answers import Answers
from eavctl.serving.messages import Message, read
from eavctl.serving.windows import JpegPicture, from_message, to_message
from eavctl.signals import audio
from eavctl.signals.arrays import TimedFrames

RNG = np.random.default_rng(0)


def sent(window, n_frames=1):
    """A window as the worker has it, by the bytes of its message."""
    message = read(io.BytesIO(to_message(window, {"job": "window"}, n_frames).to_bytes()))
    assert message.header["job"] == "window"
    return from_message(message)


def jpeg(shade, width=32, height=24):
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def film(contents, times, seconds=1.0):
    pictures = [JpegPicture(each)(None) for each in contents]
    return Signal(TimedFrames("stream", times, pictures, seconds), 10.0, name="stream")


def test_samples_arrive_bit_for_bit():
    sound = Signal(RNG.normal(size=100).astype(np.float32), 100.0, name="stream")
    eeg = Signal(RNG.normal(size=(3, 200)), 100.0, ("Cz", "Pz", "Oz"), "stream", 1.0)
    window = Window(5.0, 6.0, {"eeg": eeg, "audio": sound}, {"video": "stalled"}, {"eeg": 0.01}, 6.5)
    found = sent(window)
    assert found._replace(signals={}) == window._replace(signals={})
    for modality, signal in window.signals.items():
        got = found.signals[modality]
        assert got.data.dtype == signal.data.dtype
        assert np.array_equal(got.data, signal.data)
        assert (got.rate, tuple(got.ch_names), got.margin) == (signal.rate, signal.ch_names, signal.margin)


@pytest.mark.parametrize("n_frames", [1, 4, 7])
def test_the_frames_that_the_model_takes_arrive(n_frames):
    contents = [jpeg(shade) for shade in range(10, 250, 20)]
    times = [i / len(contents) - 0.03 for i in range(len(contents))]
    signal = film(contents, times)
    found = sent(Window(0.0, 1.0, {"video": signal}, {}, {}, 1.0), n_frames).signals["video"].data
    shown = [contents[sum(t <= i / n_frames + 1e-9 for t in times) - 1] for i in range(n_frames)]
    expected = [np.asarray(Image.open(io.BytesIO(each))) for each in shown]
    assert all(map(np.array_equal, found.frames(0.0, 1.0, n_frames), expected))


@pytest.mark.parametrize(
    "content", [b"", b"not a JPEG", jpeg(0)[:60], jpeg(9, 5000, 5000), b"GIF89a" + bytes(20)]
)
def test_pictures_that_cannot_be_decoded_leave_the_other_modalities(content):
    sound = Signal(np.zeros(100, np.float32), 100.0, name="stream")
    window = Window(0.0, 1.0, {"video": film([content, jpeg(1)], [0.0, 0.5]), "audio": sound}, {}, {}, 1.0)
    found = sent(window, 2)
    assert [*found.signals] == ["audio"]
    assert found.absent["video"]
    assert np.array_equal(found.signals["audio"].data, sound.data)


def test_a_window_is_judged_as_a_file_of_its_samples(clip, tmp_path):
    (tmp_path / "a.flac").write_bytes(clip)
    samples, rate = audio.read(tmp_path / "a.flac")
    answers = Answers.load("speech-small")
    window = Window(9.0, 9.0 + len(samples) / rate, {"audio": Signal(samples, rate)}, {}, {}, 12.0)
    header = {"job": "window", "name": "stream", "begin": 8.0}
    answer = json.loads(answers.answer(to_message(window, header, 1)).blocks[0])
    (row,) = next(answers.predictor.judge(answers.predictor.find(tmp_path / "a.flac"))).rows
    assert [*answer["proba"].values()] == row.proba.tolist()
    assert (answer["start"], answer["t_start"], answer["used"]) == (1.0, 9.0, ["audio"])


def test_messages_end_where_they_end():
    message = Message({"a": [1, "é"]}, [b"", b"123"])
    stream = io.BytesIO(message.to_bytes() * 2)
    assert read(stream) == read(stream) == message
    assert read(stream) is None
    with pytest.raises(EOFError):
        read(io.BytesIO(message.to_bytes()[:-1]))
