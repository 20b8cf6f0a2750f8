"""Streams of the service: windows of what a client sends, and a table at the end."""

import io
import json
import socket
import struct
import time

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from eavctl.storage.tables import read_predictions

WORKER, WINDOW_S, HOP, BLOCK_S = "three_modalities_worker.py", 1.0, 0.25, 0.05
AUDIO, VIDEO, EEG = 1, 2, 3
RATES = {AUDIO: 16000, EEG: 200}
CHANNELS = ["Fz", "Cz", "Pz"]
ALL = {
    "modalities": ["audio", "video", "eeg"],
    "rate": RATES[AUDIO],
    "sfreq": RATES[EEG],
    "ch_names": CHANNELS,
    "hop": HOP,
}
SOUND = {"modalities": ["audio"], "rate": RATES[AUDIO], "hop": HOP}
CLIENT_CLOCK = 1000.0  # it has another zero


@pytest.fixture(scope="module")
def live(start):
    return start(WORKER)


def opened(service, **headers):
    url = f"{service.url.replace('http', 'ws')}{service.model}/stream"
    return connect(url, additional_headers=headers, max_size=1 << 24)


def begin(line, hello=SOUND):
    line.send(json.dumps(hello))
    return json.loads(line.recv(10))


def block(kind, stamp, payload):
    return struct.pack("<Bd", kind, stamp) + payload


def jpeg(shade):
    file = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), shade, np.uint8)).save(file, "JPEG", quality=95)
    return file.getvalue()


def play(line, kinds, seconds, shade=128, start_s=0.0):
    """Send noise, and grey pictures, at their own speed."""
    rng, started = np.random.default_rng(0), time.monotonic()
    for i in range(round(seconds / BLOCK_S)):
        time.sleep(max(0.0, started + (i + 1) * BLOCK_S - time.monotonic()))
        stamp = CLIENT_CLOCK + start_s + i * BLOCK_S
        for kind in kinds:
            if kind == VIDEO:
                line.send(block(VIDEO, stamp, jpeg(shade)))
                continue
            n = round(BLOCK_S * RATES[kind]) * (len(CHANNELS) if kind == EEG else 1)
            samples = rng.normal(scale=20.0 if kind == EEG else 0.1, size=n).astype("<f4")
            line.send(block(kind, stamp, samples.tobytes()))


def end(line):
    """End a stream; its last answers, what follows them, and the code of its end."""
    line.send(json.dumps({"end": True}))
    return rest(line)


def rest(line):
    messages = []
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            messages.append(line.recv(10))
    answers = [json.loads(each) for each in messages if isinstance(each, str)]
    return answers, [each for each in messages if isinstance(each, bytes)], closed.value.rcvd.code


def test_each_window_is_answered_and_a_table_follows(live, tmp_path):
    with opened(live) as line:
        ready = begin(line, ALL)
        play(line, (AUDIO, VIDEO, EEG), 2.1, shade=200)
        answers, (table,), code = end(line)
    assert (ready["ready"], ready["window_s"], ready["classes"]) == (True, WINDOW_S, ["calm", "glad", "sad"])
    assert code == 1000
    assert len(answers) >= 4
    assert np.diff([each["t_start"] for each in answers]) == pytest.approx(HOP)
    assert answers[0]["start"] == 0
    for each in answers:
        assert each["t_end"] - each["t_start"] == pytest.approx(WINDOW_S)
        assert (sorted(each["used"]), each["absent"]) == (["audio", "eeg", "video"], [])
        assert each["proba"]["calm"] == pytest.approx(200 / 255 / 2, abs=0.01)
        assert each["dropped"] == 0
        assert each["latency_ms"] > 0
    (tmp_path / "t.parquet").write_bytes(table)
    rows = read_predictions(tmp_path / "t.parquet")
    assert rows.proba.tolist() == [[*each["proba"].values()] for each in answers]
    assert rows.pred.tolist() == [each["pred"] for each in answers]
    assert rows.keys["start"].tolist() == [each["start"] for each in answers]
    assert rows.meta["modalities"] == ["eeg", "audio", "video"]


def test_a_modality_that_stalls_is_absent_with_a_reason_and_comes_back(live):
    with opened(live) as line:
        begin(line, {**ALL, "modalities": ["audio", "video"]})
        play(line, (AUDIO, VIDEO), 1.3)
        play(line, (AUDIO,), 1.0, start_s=1.3)
        play(line, (AUDIO, VIDEO), 1.7, start_s=2.3)
        answers, _, _ = end(line)
    used = ["+".join(sorted(each["used"])) for each in answers]
    assert used[0] == used[-1] == "audio+video"
    assert "audio" in used
    (without, *_) = (each for each in answers if each["used"] == ["audio"])
    reasons = {each["name"]: each["reason"] for each in without["absent"]}
    assert reasons["video"]


def test_pictures_that_cannot_be_decoded_are_an_absent_modality(live):
    with opened(live) as line:
        begin(line, {**ALL, "modalities": ["video"]})
        for i in range(16):
            line.send(block(VIDEO, CLIENT_CLOCK + i / 10, b"no JPEG"))
            time.sleep(0.1)
        (first, *_, last), tables, code = end(line)
    assert first["pred"] is None
    assert "video" in first["unsure"][0]
    assert (last.keys(), tables, code) == ({"error"}, [], 1000)  # there is nothing to make a table of


@pytest.mark.parametrize(
    "first",
    [
        "x",
        "[]",
        "{}",
        '{"modalities": []}',
        '{"modalities": ["audio", "audio"]}',
        '{"modalities": ["touch"]}',
        '{"modalities": [{}]}',
        '{"modalities": ["audio"], "rate": 1}',
        '{"modalities": ["audio"], "rate": NaN}',
        '{"modalities": ["audio"], "rate": true}',
        '{"modalities": ["audio"], "hop": 0}',
        '{"modalities": ["eeg"], "sfreq": 200}',
        '{"modalities": ["eeg"], "sfreq": 200, "ch_names": []}',
        '{"modalities": ["eeg"], "sfreq": 200, "ch_names": [1]}',
        '{"modalities": ["eeg"], "ch_names": ["Cz"]}',
        json.dumps({"modalities": ["eeg"], "sfreq": 1000, "ch_names": ["Cz"] * 500}),
        b"\x00",
    ],
)
def test_a_malformed_first_message_is_refused_in_a_sentence(live, first):
    with opened(live) as line:
        line.send(first)
        (refusal,), tables, code = rest(line)
    assert (refusal.keys(), tables, code) == ({"error"}, [], 1008)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        block(AUDIO, 0.0, b""),
        block(AUDIO, 0.0, b"123"),
        block(EEG, 0.0, bytes(4)),
        block(AUDIO, float("nan"), bytes(4)),
        block(AUDIO, 1e300, bytes(4)),
        block(AUDIO, 0.0, np.full(4, np.inf, "<f4").tobytes()),
        block(9, 0.0, bytes(4)),
        "pause",
        '{"end": false}',
    ],
)
def test_a_malformed_message_ends_the_stream_in_a_sentence(live, message):
    with opened(live) as line:
        begin(line, ALL)
        line.send(message)
        (refusal,), tables, code = rest(line)
    assert (refusal.keys(), tables, code) == ({"error"}, [], 1008)


def test_a_modality_that_was_not_announced_ends_the_stream(live):
    with opened(live) as line:
        begin(line)
        line.send(block(VIDEO, 0.0, jpeg(1)))
        assert rest(line)[2] == 1008


def test_too_large_a_message_ends_the_stream(live):
    with opened(live) as line:
        begin(line)
        with pytest.raises(ConnectionClosed) as closed:
            line.send(block(AUDIO, 0.0, bytes(2 << 20)))
            line.recv(5)
    received = closed.value.rcvd  # none where the line was closed while the message was sent
    assert received is None or received.code == 1009
    assert live.get("/v2/health/ready").status == 200


def test_a_stream_of_another_site_is_refused(live):
    with pytest.raises(InvalidStatus) as refused, opened(live, Origin="http://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_clients_that_vanish_leave_no_place_taken_and_the_last_is_served_to_its_end(start):
    service = start(WORKER, clients=2, drain_s=8.0)
    for _ in range(5):
        with opened(service) as line:
            begin(line)
            line.socket.shutdown(socket.SHUT_RDWR)
        time.sleep(0.1)
    with opened(service) as line:
        begin(line)
        play(line, (AUDIO,), 1.2)
        service.process.terminate()
        answers, tables, code = rest(line)
    assert len(answers) >= 1
    assert len(tables) == 1
    assert code == 1012
    assert service.process.wait(10) == 0
