"""The service as its clients meet it: a real process, real requests."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eavctl.extraction.recipe import Recipe
from eavctl.predicting.predictor import Predictor
from eavctl.serving.app import routes
from eavctl.serving.openapi import describe

PARQUET, FAULTY = "application/vnd.apache.parquet", "faulty_worker.py"


def predict(folder, *words):
    """What ``eavctl predict`` prints in a folder."""
    command = [sys.executable, "-m", "eavctl", "predict", "--model", "speech-small", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout


# --- one answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "options"), [("", []), ("&segment=0.8&hop=0.4", ["--segment", "0.8", "--hop", "0.4"])]
)
def test_an_answer_is_that_of_predict_byte_for_byte(service, clip, tmp_path, query, options):
    (tmp_path / "my clip.flac").write_bytes(clip)
    printed = json.loads(predict(tmp_path, "my clip.flac", "--json", *options))
    answer = service.infer(clip, f"?name=my%20clip.flac&id=seven{query}").json
    assert len(printed["predictions"]) == len(answer["predictions"]) > len(options) // 2
    for key in ("model", "recordings", "classes", "predictions", "rejected"):
        assert json.dumps(answer[key]) == json.dumps(printed[key])
    assert (answer["model_name"], answer["id"]) == ("speech-small", "seven")


def test_the_table_is_that_of_predict_byte_for_byte(service, clip, tmp_path):
    (tmp_path / "a.flac").write_bytes(clip)
    predict(tmp_path, "a.flac", "-o", "preds.parquet")
    answer = service.infer(clip, "?name=a.flac", Accept=PARQUET)
    assert answer.headers["content-type"] == PARQUET
    assert answer.body == (tmp_path / "preds.parquet").read_bytes()


@pytest.mark.parametrize("field", ["file", "audio"])
def test_a_form_is_answered_as_bytes_are(service, clip, field):
    answer = service.infer_form({field: ("a.flac", clip)}).json
    assert answer["predictions"] == service.infer(clip, "?name=a.flac").json["predictions"]


def test_features_give_the_probabilities_of_their_recording(service, clip, tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(clip)
    recipe: Recipe = Predictor.load("speech-small").streams[0].recipe
    with recipe.open(path) as stretch_of:
        (sample,) = recipe.describe(stretch_of())
    rows = np.stack([sample.x, sample.x * 0])
    tensor = {"name": "audio", "shape": [*rows.shape], "datatype": "FP32", "data": rows.ravel().tolist()}
    outputs = {each["name"]: each for each in service.features({"inputs": [tensor]}).json["outputs"]}
    (expected,) = service.infer(clip).json["predictions"]
    assert outputs["proba"]["shape"] == [2, len(expected["proba"])]
    got = outputs["proba"]["data"][: len(expected["proba"])]
    assert got == pytest.approx([*expected["proba"].values()], abs=1e-6)  # threads differ: so do last bits
    assert outputs["class"]["data"][0] == expected["pred"]
    assert outputs["unsure"]["data"][0] == ""
    assert outputs["unsure"]["data"][1] != ""  # no recording has these features


def test_a_picture_of_the_sound(service, clip):
    answer = service.ask("POST", f"{service.model}/analysis?name=a.flac", clip)
    assert answer.headers["content-type"] == "image/png"
    assert answer.body.startswith(b"\x89PNG")


def test_what_the_model_is(service):
    assert service.get("/v2/models").json == {"models": [{"name": "speech-small"}]}
    about = service.get(service.model).json
    assert about["modalities"] == ["audio"]
    assert about["inputs"][0]["shape"] == [-1, 2341]
    assert about["card"]["licence"]
    assert about["window_s"] > 0
    assert service.get(f"{service.model}/ready").status == 200
    assert service.get("/v2/health/live").status == service.get("/v2/health/ready").status == 200


# --- refusals ---------------------------------------------------------------------------------------------


def tensor(**other):
    return {"name": "audio", "shape": [1, 2341], "datatype": "FP32", "data": [0.0] * 2341, **other}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"inputs": "audio"},
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": [tensor(), tensor()]},
        {"inputs": [tensor(name="eeg")]},
        {"inputs": [tensor(datatype="BYTES")]},
        {"inputs": [tensor(shape=[2341])]},
        {"inputs": [tensor(shape=[0, 2341], data=[])]},
        {"inputs": [tensor(data=["0"] * 2341)]},
        {"inputs": [tensor(data=[True] * 2341)]},
        {"inputs": [tensor()], "id": float("nan")},
        {"inputs": [tensor(shape=[-1, 2341])]},
        {"inputs": [tensor(shape=[2, 2341])]},
        {"inputs": [tensor(data=[float("nan")] * 2341)]},
        {"inputs": [tensor(data=[1e39] * 2341)]},
        {"inputs": [tensor(data=["a"] * 2341)]},
        {"inputs": [tensor(data={"a": 1})]},
    ],
)
def test_malformed_features_are_refused(service, content):
    answer = service.features(content)
    assert (answer.status, [*answer.json]) == (400, ["error"])


def test_an_id_that_is_no_text_in_utf_8_is_answered(service):
    assert service.features({"inputs": [tensor()], "id": "a\ud800"}).json["id"] == "a?"


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 10**5, b"\xff\xfe"])
def test_what_is_not_json_is_refused(service, body):
    assert service.infer(body, Content_Type="application/json").status == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [("?segment=x", 400), ("?hop=1", 400), ("?segment=-1", 400), ("?segment=nan", 400), ("?name=a.csv", 415)],
)
def test_malformed_queries_are_refused(service, clip, query, status):
    assert service.infer(clip, query).status == status


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"other": ("a.wav", b"1")},
        {"file": ("a.wav", b"")},
        {"file": ("a.wav", b"1"), "audio": ("b.wav", b"1")},
        {"video": ("a.mp4", b"1")},
    ],
)
def test_malformed_forms_are_refused(service, fields):
    assert service.infer_form(fields).status == 400


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../etc/passwd", "..%5C..%5Cetc%5Cpasswd", "-", "..", "%00", "~", "preds.parquet/x"],
)
def test_a_name_is_a_label_and_never_a_path(service, clip, name):
    answer = service.infer(clip, f"?name={name}")
    (prediction,) = answer.json["predictions"]
    assert answer.status == 200
    assert prediction["recording"] in ("passwd", "recording", "x", "_")


def test_recordings_that_cannot_be_used_are_refused_with_the_reason(service, shared_data, clip):
    for path in sorted((shared_data / "hostile").iterdir()):
        answer = service.infer(path.read_bytes(), f"?name={path.name}")
        assert answer.status in (200, 400, 415, 422), f"{path.name}: {answer.body!r}"
        assert str(service.scratch) not in answer.body.decode()
    assert service.infer(clip).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/..%2Fspeech/infer", 404),
        ("DELETE", "/v2/models", 405),
        ("GET", "/v2/models/speech-small/infer", 405),
        ("GET", "/page/..%2Fapp.py", 404),
        ("GET", "/page/app.py", 404),
        ("GET", "/page/../app.py", 404),
    ],
)
def test_what_does_not_exist_is_refused(service, method, path, status):
    answer = service.ask(method, path)
    assert (answer.status, [*answer.json]) == (status, ["error"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "LOCALHOST:8080"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(service, clip, headers, status):
    assert service.infer(clip, **headers).status == status


def test_every_answer_forbids_foreign_content(service):
    for path in ("/", "/v2", "/nothing"):
        headers = service.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_the_description_has_the_routes_and_their_methods(service):
    described = service.get("/openapi.json").json
    assert described == json.loads(json.dumps(describe()))
    documented = {
        (path, method.upper())
        for path, item in described["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert documented == {
        (r.path, m) for r in routes() if hasattr(r, "methods") for m in r.methods - {"HEAD"}
    }
    text = json.dumps(described)
    for name in described["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    assert text.count("#/components/schemas/") >= len(described["components"]["schemas"])


# --- many clients -----------------------------------------------------------------------------------------


def test_twenty_clients_at_once_get_their_own_answers(service, clip):
    def ask(number):
        return service.infer(clip, f"?name=clip{number}.flac")

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(ask, range(40)))
    assert {answer.status for answer in answers} == {200}
    named = [answer.json["predictions"][0]["recording"] for answer in answers]
    assert named == [f"clip{number}.flac" for number in range(40)]


# --- bounds -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bounded(start):
    return start(FAULTY, body_bytes=1 << 20, held_bytes=3 << 20, request_s=1.5, clients=4, waiting=1)


def test_a_decoder_that_crashes_or_hangs_takes_down_no_other_request(bounded, clip):
    assert bounded.infer(clip, "?name=crash.flac").status == 422
    assert _answered(bounded, clip)
    assert bounded.infer(clip, "?name=hang.flac").status == 503
    assert _answered(bounded, clip)


def _answered(service, clip):
    """Whether a request is answered once there is a new worker."""
    return any(service.infer(clip).status == 200 for _ in range(20))


def test_large_bodies_are_refused_before_they_are_read(bounded):
    connection = bounded.connect()
    connection.putrequest("POST", f"{bounded.model}/infer")
    connection.putheader("Content-Length", str(2 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413

    def parts():
        while True:
            yield bytes(1 << 16)

    connection = bounded.connect()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.request("POST", f"{bounded.model}/infer", parts(), encode_chunked=True)
    assert bounded.get("/v2/health/live").status == 200


def test_more_clients_than_there_is_room_for_are_told_to_come_again(bounded, clip):
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: bounded.infer(clip, "?name=slow.flac"), range(8)))
    statuses = [answer.status for answer in answers]
    assert 200 in statuses
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert set(statuses) <= {200, 429, 503}
    assert all(int(answer.headers["retry-after"]) > 0 and answer.json["error"] for answer in refused)


@pytest.mark.parametrize("sent", [b"", b"GET /v2 HTTP/1.1\r\nHost: local"])
def test_a_connection_whose_request_does_not_come_is_closed(bounded, sent):
    with socket.create_connection(bounded.address.split(":"), timeout=10) as line:
        line.sendall(sent)
        assert line.recv(100) == b""


def test_a_client_that_sends_nothing_does_not_stay(bounded):
    with socket.create_connection(bounded.address.split(":"), timeout=10) as line:
        line.sendall(
            f"POST {bounded.model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n".encode()
        )
        assert line.recv(100).startswith(b"HTTP/1.1 503")


def test_a_decoder_that_hangs_does_not_keep_the_service_from_ending(start, clip):
    service = start(FAULTY, drain_s=0.3)
    connection = service.connect()
    connection.request("POST", f"{service.model}/infer?name=hang.flac", clip)
    time.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0
    assert list(service.scratch.iterdir()) == []


def test_what_has_begun_is_answered_before_the_service_ends(start, clip):
    service = start(FAULTY, drain_s=5.0)
    held = service.connect()  # a connection from before
    held.request("GET", "/v2/health/ready")
    assert held.getresponse().read()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(service.infer(clip, "?name=slow.flac")))
    asking.start()
    time.sleep(0.2)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    held.request("GET", "/v2/health/ready")
    ready = held.getresponse()
    ready.read()
    refused = service.infer(clip)
    asking.join()
    assert (ready.status, refused.status, answers[0].status) == (503, 503, 200)
    assert service.process.wait(10) == 0
    assert list(service.scratch.iterdir()) == []
