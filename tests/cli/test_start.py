"""How command lines begin and end: signals, lost output, exit codes, the plainest prediction's short way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eavctl.cli import start
from eavctl.cli.settings_places import SETTINGS_PREFIX
from eavctl.errors import DataError

REPOSITORY = Path(start.__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """The tests' own variables begin like settings, and where settings count nothing is plain."""
    for name in [name for name in os.environ if name.startswith(SETTINGS_PREFIX)]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("predict a.wav", ("a.wav", None)),
        ("predict -", ("-", None)),
        ("predict a.wav --model m.joblib", ("a.wav", Path("m.joblib"))),
        ("predict --model m.joblib a.wav", ("a.wav", Path("m.joblib"))),
        ("predict", None),
        ("predict --help", None),
        ("predict a.wav b.wav", None),
        ("predict a.wav --json", None),
        ("predict a.wav --model --json", None),
        ("predict a.wav --plot a.png", None),
        ("extract a.wav", None),
        ("--help", None),
        ("", None),
    ],
)
def test_what_is_plain(line, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start.plain_prediction(line.split()) == expected


def test_nothing_is_plain_where_settings_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EAVCTL_PREDICT_JSON", "1")
    assert start.plain_prediction(["predict", "a.wav"]) is None
    monkeypatch.delenv("EAVCTL_PREDICT_JSON")
    assert start.plain_prediction(["predict", "a.wav"])
    (tmp_path / "eavctl.toml").write_text("[predict]\njson = true\n")
    assert start.plain_prediction(["predict", "a.wav"]) is None


@pytest.mark.parametrize("clip", ["dataset/sad/sad_sample_1.wav", "dataset", "absent.wav", "svm.joblib"])
@pytest.mark.parametrize("model", ["svm.joblib", "absent.joblib", "preds.parquet"])
def test_the_way_round_ends_where_the_long_way_does(run, made, clip, model):
    words = ["predict", made / clip, "--model", made / model]
    short = run(*words)
    long = run(*words, "--verbose")
    assert start.plain_prediction([str(word) for word in words])
    assert (short.code, short.out, short.err) == (long.code, long.out, long.err)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted by /proc")
def test_a_plain_prediction_starts_no_thread(made, tmp_path):
    words = ["predict", str(made / "dataset/sad/sad_sample_1.wav"), "--model", str(made / "seed33.joblib")]
    script = f"""
import os, sys
os.environ.pop("OPENBLAS_NUM_THREADS", None)
os.environ.pop("OMP_NUM_THREADS", None)
from eavctl.cli import start
code = start.run({words})
assert "numpy" in sys.modules
sys.stderr.write(f"{{len(os.listdir('/proc/self/task'))}} thread, code {{code}}")
"""
    assert process(script, cwd=tmp_path).stderr.splitlines()[-1] == "1 thread, code 0"


# --- the end of the process -------------------------------------------------------------------------------


def process(script, *, stdout=subprocess.PIPE, **options):
    """A process of its own, ended, that runs a script around `start`."""
    return subprocess.run(
        [sys.executable, "-c", script],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": ""},
        text=True,
        check=False,
        **options,
    )


HALF_WRITTEN = """
import os, signal, time
from eavctl.storage import files
from eavctl.cli import start

def dispatch(words):
    with files.atomic_write("out.bin") as handle:
        handle.write(b"half")
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.01)
    return 0

start._dispatch = dispatch
start.main([])
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_a_command_leaves_nothing_half_written(tmp_path, name):
    done = process(HALF_WRITTEN.format(name=name), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (start.INTERRUPTED, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_terminal_is_ignored_where_the_caller_ignores_it(tmp_path):
    def as_nohup_does():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    done = process(HALF_WRITTEN.format(name="SIGHUP"), cwd=tmp_path, preexec_fn=as_nohup_does)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.bin").read_bytes() == b"half"


WORDS = """
import sys
from eavctl.cli import start
from eavctl.cli.settings_places import SETTINGS_PREFIX
from eavctl.errors import DataError

def dispatch(words):
    sys.stdout.write("x" * {length})
    if {fails}:
        raise DataError("damaged")
    return 0

start._dispatch = dispatch
start.main({words})
"""
PLAIN, OTHER = ["predict", "a.wav"], ["show", "a.parquet"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", [PLAIN, OTHER], ids=["plain", "other"])
@pytest.mark.parametrize("length", [10, 100_000])
def test_output_that_a_full_disk_loses_is_told_in_one_line(tmp_path, words, length):
    with open("/dev/full", "w") as full:
        done = process(WORDS.format(length=length, fails=False, words=words), stdout=full, cwd=tmp_path)
    assert done.returncode == start.BAD_DATA
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_an_error_is_told_once_where_output_is_lost_too(tmp_path):
    with open("/dev/full", "w") as full:
        done = process(WORDS.format(length=10, fails=True, words=OTHER), stdout=full, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (start.BAD_DATA, "error: damaged\n")


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, length):
    reader, writer = os.pipe()
    os.close(reader)
    done = process(WORDS.format(length=length, fails=False, words=OTHER), stdout=writer, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stdout_that_is_closed_is_no_bug(tmp_path):
    def close():
        os.close(1)

    script = WORDS.format(length=10, fails=False, words=OTHER)
    done = process(script, stdout=None, cwd=tmp_path, preexec_fn=close)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("words", "ends_early"), [(PLAIN, True), (OTHER, False)], ids=["plain", "other"])
def test_only_the_plain_prediction_ends_without_taking_the_interpreter_apart(tmp_path, words, ends_early):
    script = f"""
import os
from eavctl.cli import start

class Module:
    def __init__(self):
        self.write = os.write

    def __del__(self):
        self.write(2, b"taken apart")

start.module = Module()
start._dispatch = lambda words: 0
start.main({words})
"""
    done = process(script, cwd=tmp_path)
    assert done.returncode == 0
    assert ("taken apart" in done.stderr) != ends_early


@pytest.mark.parametrize(
    "made_of_it",
    [ImportError("initialization failed"), DataError("m.pt: damaged"), BrokenPipeError("to a worker")],
)
def test_an_interrupt_is_one_whatever_a_library_makes_of_it(monkeypatch, made_of_it, run):
    """A compiled module that is interrupted while it is imported fails with an error of its own."""

    def dispatch(arguments):
        try:
            start._interrupt()
        except KeyboardInterrupt:
            raise made_of_it from None

    with monkeypatch.context() as patched:
        patched.setattr(start, "_dispatch", dispatch)
        assert run("show", "m.pt").code == 130
    assert run("show", "m.pt").code == 3
