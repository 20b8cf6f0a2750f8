"""``predict`` as a stream: JSON lines in order, lists of names, watched folders, interruptions."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "eavctl", "predict"]
WAIT_S = 60


@pytest.fixture
def start(made, tmp_path):
    """Starts ``predict`` in a folder of its own; it is killed at the end of the test."""
    running = []

    def begin(*words, **options):
        words = [*COMMAND, "--model", made / "svm.joblib", *words]
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen([str(word) for word in words], cwd=tmp_path, **given)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait(timeout=WAIT_S)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def clips(made):
    return sorted(map(str, (made / "dataset").rglob("*.wav")))


@pytest.mark.parametrize("cut", [[], ["--segment", "1", "--hop", "0.5"]])
def test_lines_are_the_objects_of_json_for_any_number_of_jobs(run, made, cut):
    words = ["predict", made / "dataset", "--model", made / "svm.joblib", "--abstain", "0.9", *cut]
    whole = json.loads(run(*words, "--json").out)
    lines = run(*words, "--jsonl")
    assert objects(lines.out) == whole["predictions"]
    assert [json.dumps(each) for each in objects(lines.out)] == [json.dumps(x) for x in whole["predictions"]]
    assert [line for line in lines.err.splitlines() if "warning" in line] == [
        f"warning: {each}" for each in whole["warnings"]
    ]
    assert run(*words, "--jsonl", "-j", "2").out == lines.out


def test_a_feature_table_gives_lines_too(run, made):
    words = ["predict", made / "feats.parquet", "--model", made / "svm.joblib"]
    assert objects(run(*words, "--jsonl").out) == json.loads(run(*words, "--json").out)["predictions"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_cannot_be_used_has_its_reason_in_its_place(run, made, tmp_path, jobs):
    good = clips(made)[:4]
    (tmp_path / "bad.wav").write_text("no sound")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    names = [good[0], "bad.wav", good[1], "nowhere.wav", "", " ", good[2], "table.csv", good[3], good[0]]
    words = ["predict", "--files-from", "-", "--model", made / "svm.joblib", "--jsonl", "-j", jobs]
    result = run(*words, "--rejected", "bad.jsonl", stdin="\n".join(names).encode())
    assert result.code == 0, result.err
    found = objects(result.out)
    assert [each["recording"] for each in found] == [name for name in names if name.strip()]
    assert [each["recording"] for each in found if "rejected" in each] == [
        "bad.wav",
        "nowhere.wav",
        "table.csv",
    ]
    assert all(each["rejected"] for each in found if "rejected" in each)
    assert [each["path"] for each in objects((tmp_path / "bad.jsonl").read_text())] == [
        "bad.wav", "nowhere.wav", "table.csv",
    ]  # fmt: skip
    strict = run(*words, "--strict", stdin="\n".join(names).encode())
    assert (strict.code, strict.out) == (3, result.out)


def test_a_list_names_recordings_for_every_output(run, made, tmp_path):
    names = clips(made)[:3]
    (tmp_path / "names.txt").write_bytes(b"\0".join(name.encode() for name in names))
    words = ["predict", "--files-from", "names.txt", "--model", made / "svm.joblib"]
    assert [each["recording"] for each in json.loads(run(*words, "--json").out)["predictions"]] == names
    assert len(objects(run(*words, "--jsonl").out)) == 3
    assert json.loads(run(*words, "--jsonl", "-n", "--json").out)["recordings"] == 3
    assert run(*words, "-o", "p.csv").code == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_answer_comes_before_the_next_name(start, made, jobs):
    process = start("--files-from", "-", "--jsonl", "-j", jobs, text=True)
    for name in [*clips(made)[:3], "nowhere.wav"]:
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["recording"] == name
    process.stdin.close()
    assert process.stdout.read() == ""
    assert process.wait(timeout=WAIT_S) == 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupted_run_keeps_its_lines(start, made, tmp_path, jobs):
    """The list does not end, so only the signal ends the run."""
    with open(tmp_path / "lines", "wb") as lines:
        process = start("--files-from", "-", "--jsonl", "-j", jobs, stdout=lines)
        for name in clips(made)[:5]:
            process.stdin.write(f"{name}\n".encode())
        process.stdin.flush()
        while (tmp_path / "lines").read_bytes().count(b"\n") < 5:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WAIT_S) == 130
    assert [each["recording"] for each in objects((tmp_path / "lines").read_text())] == clips(made)[:5]
    assert process.stderr.read().decode().endswith("interrupted\n")


def test_an_interrupted_run_over_many_files_ends_with_whole_lines(start, made, tmp_path):
    for number in range(40):
        shutil.copytree(made / "dataset", tmp_path / "many" / str(number))
    process = start("many", "--jsonl", "-j", "2")
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out = process.stdout.read()  # `communicate` loses what `readline` has read ahead
    assert process.wait(timeout=WAIT_S) == 130
    found = objects((first + out).decode())
    assert 1 <= len(found) < 40 * len(clips(made))
    assert [each["recording"] for each in found] == sorted(each["recording"] for each in found)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_closed_pipe_ends_quietly(start, made, jobs):
    process = start(made / "dataset", "--jsonl", "-j", jobs, "-q")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=WAIT_S) == 0
    assert b"rror" not in process.stderr.read()


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals")
def test_a_bar_on_the_terminal_leaves_the_lines_alone(start, made):
    import pty

    reading, terminal = pty.openpty()
    process = start(made / "dataset", "--jsonl", "-j", "2", stderr=terminal)
    os.close(terminal)
    shown = b""
    out = process.stdout.read()
    while True:
        try:
            part = os.read(reading, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(reading)
    assert process.wait(timeout=WAIT_S) == 0
    assert len(objects(out.decode())) == len(clips(made))
    assert b"predict" in shown
    assert b'"recording"' not in shown


@pytest.mark.parametrize(
    "words",
    [
        ["dataset", "--jsonl", "--adapt"],
        ["dataset", "--jsonl", "--json"],
        ["dataset", "--jsonl", "-o", "p.parquet"],
        ["dataset", "--jsonl", "-o", "-"],
        ["dataset", "--jsonl", "--rejected", "-"],
        ["clip.wav", "--jsonl", "--plot", "p.png"],
        ["--jsonl"],
        ["--jsonl", "--audio", "a.wav", "--files-from", "x"],
        ["-", "--files-from", "-", "--jsonl"],
        ["dataset", "--watch", "."],
        ["--files-from", "x", "--watch", "."],
        ["--watch", ".", "--json"],
        ["--watch", ".", "--columns", "file=path"],
        ["--watch", ".", "--pattern", "{subject}_{label}"],
        ["--watch", ".", "--where", "task=speaking"],
    ],
)
def test_what_does_not_go_together_is_wrong_usage(run, made, words):
    result = run("predict", "--model", made / "svm.joblib", *words)
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) <= 2


def test_a_model_that_needs_all_recordings_says_so(run, made):
    line = ["train-svm", "feats.parquet", "--folds", "2", "--normalize", "dataset", "-o", "n.joblib"]
    Path("feats.parquet").symlink_to(made / "feats.parquet")
    assert run(*line).code == 0
    result = run("predict", made / "dataset", "--model", "n.joblib", "--jsonl")
    assert (result.code, result.out) == (2, "")
    assert "--normalize" in result.err


def test_lists_without_a_usable_recording_are_bad_data(run, made):
    words = ["predict", "--files-from", "-", "--model", made / "svm.joblib", "--jsonl"]
    assert run(*words).code == 3
    result = run(*words, stdin=b"nowhere.wav\n")
    assert result.code == 3
    assert [each["recording"] for each in objects(result.out)] == ["nowhere.wav"]
    assert run("predict", "--files-from", "nowhere.txt", "--model", made / "svm.joblib", "--jsonl").code == 3


def test_a_dry_run_watches_nothing(run, made, tmp_path):
    result = run("predict", "--watch", ".", "--model", made / "svm.joblib", "-n", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["dry_run"]


@pytest.mark.parametrize("form", ["--jsonl", "-q"])
def test_a_watched_folder_gives_lines_until_it_is_interrupted(start, made, tmp_path, form):
    pytest.importorskip("watchfiles")
    (tmp_path / "in").mkdir()
    process = start("--watch", "in", form, "-j", "2", "--rejected", "bad.csv", text=True)
    content = Path(clips(made)[0]).read_bytes()
    (tmp_path / "in" / "zero.wav").write_bytes(content)  # perhaps before it watches; named only if after
    line = None
    for number in range(100):  # until the first answer, it may not watch yet
        (tmp_path / "in" / f"first{number}.wav").write_bytes(content)
        import select

        if select.select([process.stdout], [], [], 0.5)[0]:
            line = process.stdout.readline()
            break
    assert "in/" in line
    with open(tmp_path / "in" / "slow.wav", "wb") as slow:
        slow.write(content[:2000])
        slow.flush()
        (tmp_path / "in" / "quick.wav").write_bytes(content)
        while "quick.wav" not in line:
            assert "slow.wav" not in line
            line = process.stdout.readline()
        slow.write(content[2000:])
    while "slow.wav" not in line:
        line = process.stdout.readline()
    (tmp_path / "in" / "bad.wav").write_text("no sound")
    (tmp_path / "in" / "last.wav").write_bytes(content)
    while "last.wav" not in line:
        line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=WAIT_S) == 130
    assert "bad.wav" in (tmp_path / "bad.csv").read_text()
    assert "Traceback" not in process.stderr.read()
