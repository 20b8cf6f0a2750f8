"""Streams of the service: windows of what a client sends, and a table at the end."""

import io
import json
import socket
import struct
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from eavctl.signals import audio
from eavctl.storage.tables import read_predictions

RATE, BLOCK_S, HOP = 16000, 0.02, 0.5
AUDIO, VIDEO = 1, 2


@pytest.fixture(scope="module")
def speech(shared_data):
    """Seconds of speech, float32 at 16 kHz."""
    paths = sorted((shared_data / "emodb").glob("*.flac"))[:4]
    return np.concatenate([audio.read(path, RATE)[0] for path in paths])


def opened(service, **headers):
    url = f"{service.url.replace('http', 'ws')}{service.model}/stream"
    return connect(url, additional_headers=headers, max_size=1 << 24)


def hello(line, **other):
    line.send(json.dumps({"modalities": ["audio"], "rate": RATE, "hop": HOP, **other}))
    return json.loads(line.recv(10))


def block(kind, stamp, payload):
    return struct.pack("<Bd", kind, stamp) + payload


def play(line, samples, begin=1000.0):
    """Send audio at its own speed, as a client whose clock has another zero."""
    n = round(BLOCK_S * RATE)
    started = time.monotonic()
    for i in range(0, len(samples) - n, n):
        time.sleep(max(0.0, started + (i + n) / RATE - time.monotonic()))
        line.send(block(AUDIO, begin + i / RATE, samples[i : i + n].astype("<f4").tobytes()))


def rest(line):
    """The remaining answers, and the table."""
    answers = []
    for message in line:
        if isinstance(message, bytes):
            return answers, message
        answers.append(json.loads(message))
    raise AssertionError(answers)


def test_each_window_is_answered_and_a_table_follows(service, speech, tmp_path):
    with opened(service) as line:
        ready = hello(line)
        window_s = ready["window_s"]
        play(line, speech[: round((window_s + 1.2) * RATE)])
        line.send(json.dumps({"end": True}))
        answers, table = rest(line)
        with pytest.raises(ConnectionClosed) as closed:
            line.recv(5)
    assert closed.value.rcvd.code == 1000
    assert len(answers) == 3
    assert [a["t_end"] - a["t_start"] for a in answers] == pytest.approx([window_s] * 3)
    assert np.diff([a["t_start"] for a in answers]) == pytest.approx(HOP)
    for each in answers:
        assert (each["used"], each["absent"], each["gaps"], each["dropped"]) == (["audio"], [], {}, 0)
        assert sum(each["proba"].values()) == pytest.approx(1)
        assert 0 < each["latency_ms"] < 5000
    (tmp_path / "t.parquet").write_bytes(table)
    rows = read_predictions(tmp_path / "t.parquet")
    assert rows.proba.tolist() == [[*each["proba"].values()] for each in answers]
    assert rows.pred.tolist() == [each["pred"] for each in answers]
    assert rows.keys["start"].tolist() == [each["start"] for each in answers]


def test_a_window_of_a_stream_is_judged_as_the_same_samples_in_a_file_are(service, speech):
    import soundfile

    with opened(service) as line:
        n = round(hello(line)["window_s"] * RATE)
        samples = speech[:n].astype(np.float32)
        play(line, np.pad(samples, (0, RATE // 2)))
        line.send(json.dumps({"end": True}))
        answers, _ = rest(line)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    (expected,) = service.infer(file.getvalue(), "?name=a.wav").json["predictions"]
    assert answers[0]["proba"] == expected["proba"]


def test_a_stream_without_speech_has_windows_without_an_answer(service):
    with opened(service) as line:
        seconds = hello(line)["window_s"] + 0.3
        play(line, np.random.default_rng(0).normal(scale=0.01, size=round(seconds * RATE)))
        line.send(json.dumps({"end": True}))
        answer, *_, error = [json.loads(message) for message in line]
    assert error["error"]
    assert answer["pred"] is None
    assert answer["unsure"][0]


@pytest.mark.parametrize(
    "first",
    [
        "x",
        "[]",
        "{}",
        '{"modalities": []}',
        '{"modalities": ["audio", "audio"]}',
        '{"modalities": ["video"]}',
        '{"modalities": [{}]}',
        '{"modalities": ["audio"], "rate": 1}',
        '{"modalities": ["audio"], "rate": NaN}',
        '{"modalities": ["audio"], "rate": true}',
        '{"modalities": ["audio"], "hop": 0}',
        b"\x00",
    ],
)
def test_a_malformed_first_message_is_refused_in_a_sentence(service, first):
    with opened(service) as line:
        line.send(first)
        assert json.loads(line.recv(5))["error"]
        with pytest.raises(ConnectionClosed):
            line.recv(5)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        block(AUDIO, 0.0, b""),
        block(AUDIO, 0.0, b"123"),
        block(AUDIO, float("nan"), bytes(4)),
        block(AUDIO, 1e300, bytes(4)),
        block(AUDIO, 0.0, np.full(4, np.inf, "<f4").tobytes()),
        block(VIDEO, 0.0, b"\xff\xd8"),
        block(9, 0.0, bytes(4)),
        "pause",
        '{"end": false}',
    ],
)
def test_a_malformed_message_ends_the_stream_in_a_sentence(service, message):
    with opened(service) as line:
        hello(line)
        line.send(message)
        assert json.loads(line.recv(5))["error"]


def test_too_large_a_message_ends_the_stream(service):
    with opened(service) as line:
        hello(line)
        with pytest.raises(ConnectionClosed) as closed:
            line.send(block(AUDIO, 0.0, bytes(2 << 20)))
            line.recv(5)
    assert closed.value.rcvd.code == 1009


def test_a_stream_of_another_site_is_refused(service):
    with pytest.raises(InvalidStatus) as refused:
        opened(service, Origin="http://evil.example")
    assert refused.value.response.status_code == 403


def test_clients_that_vanish_leave_no_place_taken(start_bounded):
    service = start_bounded(clients=2)
    for _ in range(5):
        with opened(service) as line:
            hello(line)
            line.socket.shutdown(socket.SHUT_RDWR)
        time.sleep(0.1)
    assert service.get("/v2").status == 200


def test_a_stream_is_finished_before_the_service_ends(start_bounded, speech):
    service = start_bounded(drain_s=8.0)
    with opened(service) as line:
        play(line, speech[: round((hello(line)["window_s"] + 0.2) * RATE)])
        service.process.terminate()
        answers, table = rest(line)
        with pytest.raises(ConnectionClosed) as closed:
            line.recv(5)
    assert len(answers) >= 1
    assert table.startswith(b"PAR1")
    assert closed.value.rcvd.code == 1012
    assert service.process.wait(10) == 0
