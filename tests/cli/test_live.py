"""``eavctl live``: files through the threads of a session, to JSON lines, a table, and a summary."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eavctl.cli import listening
from eavctl.storage import tables

ANSWER = ("recording", "start", "end", "pred", "proba", "unsure", "right_out_of_fold")
LIVE = ("t_start", "t_end", "latency_ms", "used", "absent", "gaps", "quality")
RATE = 16000


@pytest.fixture(scope="module")
def talk(made, tmp_path_factory):
    """A recording of six seconds, at the rate of the model."""
    clips = sorted((made / "dataset/angry").iterdir()) + sorted((made / "dataset/sad").iterdir())
    signals = [soundfile.read(clip, dtype="float32")[0] for clip in clips]
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, np.concatenate(signals)[: 6 * RATE], RATE)
    return path


def lines(result):
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_a_recording_gets_the_object_of_predict_byte_for_byte(run, made, talk):
    """As one window, and cut into windows that are the segments of predict."""
    clip, model = made / "dataset/happy/happy_sample_2.wav", made / "svm.joblib"
    for source, live, predict in (
        (clip, ("--window", 30), ()),
        (talk, ("--window", 1.5, "--hop", 0.5), ("--segment", 1.5, "--hop", 0.5)),
    ):
        answers = lines(run("live", "--audio", source, "--model", model, "--speed", 10, *live))
        found = json.loads(run("predict", source, "--model", model, "--json", *predict).out)["predictions"]
        ours = [json.dumps({key: each[key] for key in ANSWER}) for each in answers]
        assert ours == [json.dumps(each) for each in found]
        assert all(tuple(each) == (*ANSWER, *LIVE) for each in answers)


def test_what_a_session_adds_to_an_answer(run, made, talk):
    answers = lines(
        run("live", "--audio", talk, "--model", made / "svm.joblib", "--window", 2, "--hop", 1, "--speed", 5)
    )
    assert [(each["start"], each["end"]) for each in answers] == [(i, i + 2.0) for i in range(5)]
    begin = answers[0]["t_start"]
    assert [each["t_start"] - begin for each in answers] == pytest.approx(range(5))
    assert [each["t_end"] - each["t_start"] for each in answers] == pytest.approx([2.0] * 5)
    for each in answers:
        assert each["used"] == ["audio"]
        assert (each["absent"], each["gaps"]) == ([], {})
        assert 0 < each["latency_ms"] < 60_000


def test_the_table_holds_the_answers(run, made, talk):
    words = ("live", "--audio", talk, "--model", made / "svm.joblib", "--window", 2, "--speed", 10)
    answers = lines(run(*words, "--record", "live.parquet"))
    table = tables.read_predictions("live.parquet")
    assert list(table.pred) == [each["pred"] for each in answers]
    assert np.array_equal(table.proba, [list(each["proba"].values()) for each in answers])
    assert list(table.keys["start"]) == [each["start"] for each in answers]
    assert run("report", "live.parquet", "--json").code == 3  # no labels
    assert run("show", "live.parquet").code == 0
    Path("mine.parquet").write_text("my diary")
    refused = run(*words, "--record", "mine.parquet")
    assert (refused.code, Path("mine.parquet").read_text()) == (2, "my diary")


def test_raw_samples_on_stdin_are_a_source(run, made, talk, tmp_path):
    samples, _ = soundfile.read(talk, dtype="int16")
    words = ("live", "--audio", "-", "--model", made / "svm.joblib", "--window", 1)
    done = subprocess.run(
        [sys.executable, "-m", "eavctl", *map(str, words)],
        input=samples[: 2 * RATE].tobytes(),
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    expected = lines(run("live", "--audio", talk, *words[3:], "--speed", 10))
    assert [each["proba"] for each in answers] == [each["proba"] for each in expected[: len(answers)]]
    assert len(answers) == 2


def test_smoothing_is_said_and_makes_the_course_calmer(run, made, talk):
    words = (
        "live",
        "--audio",
        talk,
        "--model",
        made / "svm.joblib",
        "--window",
        1,
        "--hop",
        0.5,
        "--speed",
        10,
    )
    plain = lines(run(*words))
    result = run(*words, "--smooth", 3)
    smooth = lines(result)
    assert "warning: " in result.err
    course = [np.array([list(each["proba"].values()) for each in found]) for found in (plain, smooth)]
    steps = [np.abs(np.diff(each, axis=0)).sum() for each in course]
    assert steps[1] < 0.6 * steps[0]
    assert course[1].sum(axis=1) == pytest.approx(1.0)
    assert np.array_equal(course[0][0], course[1][0])


def test_windows_without_speech_have_no_answer_and_a_reason(run, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noise.wav", rng.normal(scale=0.05, size=4 * RATE), RATE)
    answers = lines(
        run("live", "--audio", "noise.wav", "--model", "speech-small", "--window", 2, "--speed", 10)
    )
    assert len(answers) == 3
    for each in answers:
        assert (each["pred"], each["proba"], each["used"]) == (None, None, [])
        assert each["unsure"][0]
        assert tuple(each) == (*ANSWER, *LIVE)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("", 2),
        ("--audio mic", 3),
        ("--audio camera:0", 2),
        ("--audio phone:0", 2),
        ("--video {talk}", 2),
        ("--audio gone.wav", 3),
        ("--audio {talk} --speed 2000", 2),
        ("--audio {talk} --speed 0", 2),
        ("--audio {talk} --quality best", 2),
        ("--audio {talk} --window 0.001", 2),
        ("--audio {talk} --model gone.joblib", 3),
        ("--audio {talk} --record live.txt", 2),
    ],
)
def test_what_cannot_be_judged_is_refused_at_once(run, made, talk, words, code):
    line = words.format(talk=talk).split()
    model = [] if "--model" in line else ["--model", made / "svm.joblib"]
    result = run("live", *line, *model)
    assert (result.code, result.out) == (code, "")
    assert 1 <= len(result.err.splitlines()) <= 2


def test_a_session_without_a_window_is_an_error_and_writes_no_table(run, made):
    soundfile.write("short.wav", np.ones(800) * 0.1, RATE)
    result = run("live", "--audio", "short.wav", "--model", made / "svm.joblib", "--record", "live.parquet")
    assert (result.code, result.out) == (3, "")
    assert "short.wav" in result.err.splitlines()[-1]
    assert not Path("live.parquet").exists()


@pytest.mark.parametrize(("terminal", "is_drawn"), [("xterm", True), ("dumb", False), ("", True)])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, terminal, is_drawn):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", terminal)
    assert listening._can_draw() is is_drawn


def test_a_dry_run_opens_the_sources_and_judges_nothing(run, made, talk):
    words = ("live", "--audio", talk, "--model", made / "svm.joblib", "--record", "live.parquet", "-n")
    result = run(*words, "--json")
    assert result.code == 0
    assert json.loads(result.out)["out"] == "live.parquet"
    assert not Path("live.parquet").exists()
    assert run("live", "--audio", "gone.wav", "--model", made / "svm.joblib", "-n").code == 3


def _started(words, folder, **pipes):
    return subprocess.Popen([sys.executable, "-m", "eavctl", *map(str, words)], cwd=folder, **pipes)


def test_an_interrupt_ends_with_130_a_summary_and_the_whole_table(made, talk, tmp_path):
    words = (
        "live",
        "--audio",
        talk,
        "--model",
        made / "svm.joblib",
        "--window",
        1,
        "--record",
        "live.parquet",
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with _started(words, tmp_path, **pipes) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    assert process.returncode == 130
    table = tables.read_predictions(tmp_path / "live.parquet")
    assert len(table.pred) == 1 + len(rest.splitlines())
    assert table.pred[0] == first["pred"]
    assert len(said.splitlines()) >= 4


def test_a_reader_that_has_enough_ends_it_with_0_and_the_table(made, talk, tmp_path):
    model = ("--model", made / "svm.joblib", "--window", 1, "--hop", 0.1, "--speed", 5)
    words = ("live", "--audio", talk, *model, "--record", "live.parquet")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with _started(words, tmp_path, **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, "Traceback" in said) == (0, False)
    assert 1 <= len(tables.read_predictions(tmp_path / "live.parquet").pred) < 50


def test_a_terminal_shows_bars_and_the_summary_remains(made, talk, tmp_path):
    words = ("live", "--audio", talk, "--model", made / "svm.joblib", "--window", 1, "--speed", 4)
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    with _started(words, tmp_path, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                part = os.read(leader, 1 << 16)
            except OSError:  # the process has closed its end
                break
            shown += part
        os.close(leader)
    assert process.returncode == 0
    text = shown.decode()
    for name in ("angry", "happy", "neutral", "sad", "█", "p95"):
        assert name in text
    assert "{" not in text.split("\x1b[?1049l")[-1]  # the screen is left before the summary


def test_eeg_that_is_played_over_lsl_is_judged(eav, lsl, tmp_path):
    name = f"eavctl-test-{os.getpid()}"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    played = _started(("play", eav / "epochs.parquet", "--lsl", name), tmp_path, **pipes)
    words = ("live", "--eeg", f"lsl:{name}", "--model", eav / "epochs.pt", "--hop", 0.5)
    with played, _started(words, tmp_path, **pipes) as live:
        answers = [json.loads(live.stdout.readline()) for _ in range(3)]
        live.send_signal(signal.SIGINT)
        played.send_signal(signal.SIGINT)
        live.communicate(timeout=60)
        played.communicate(timeout=60)
    assert (live.returncode, played.returncode) == (130, 130)
    for each in answers:
        assert each["used"] == ["eeg"]
        assert sum(each["proba"].values()) == pytest.approx(1.0)
        assert each["latency_ms"] > 0
    assert len({each["proba"][each["pred"]] for each in answers}) == 3


def test_three_modalities_meet_and_one_that_is_not_given_is_absent(run, eav):
    folder = eav / "twin/subject1"
    audio = sorted((folder / "Audio").iterdir())[0]
    number = audio.name[:3]
    (video,) = (folder / "Video").glob(f"{number}*")
    sources = {
        "eeg": f"{folder}/EEG/subject1_eeg.mat?trial={int(number)}",
        "audio": audio,
        "video": video,
    }
    line = "--size tiny --epochs 1 --folds 2 --protocol eav-70-30 --jobs 1 -o three.pt"
    tables_of = [eav / f"{name}.parquet" for name in ("speech", "faces", "bands")]
    assert run("train-fusion", *tables_of, *line.split()).code == 0
    words = [word for name, source in sources.items() for word in (f"--{name}", source)]
    answers = lines(run("live", *words, "--model", "three.pt", "--speed", 2))
    expected = json.loads(
        run("predict", *words[2:], "--eeg", sources["eeg"].partition("?")[0], "--trial", int(number),
            "--model", "three.pt", "--segment", 2, "--hop", 1, "--json").out
    )["predictions"]  # fmt: skip
    assert [each["used"] for each in answers] == [["audio", "video", "eeg"]] * 3
    for ours, theirs in zip(answers, expected, strict=True):
        assert ours["start"] == theirs["start"]
        assert ours["end"] == theirs["end"]
    hop = ("--hop", 1)  # a whole number of steps from picture to picture, so that both show the same ones
    without = lines(run("live", *words[2:], "--model", "three.pt", "--speed", 2, *hop))
    found = run("predict", *words[2:], "--model", "three.pt", "--segment", 2, *hop, "--json")
    expected = json.loads(found.out)["predictions"]
    assert [each["proba"] for each in without] == [each["proba"] for each in expected]
    assert [each["used"] for each in without] == [["audio", "video"]] * 3
    assert [[s["name"] for s in each["absent"]] for each in without] == [["eeg"]] * 3
