"""``--dask``: where it may be set, which setting counts, and a command that starts its own workers."""

import os
import signal
import subprocess
import sys
import time

import pytest

from eavctl.cli import options
from eavctl.synthetic.tones import synth_speech

pytest.importorskip("distributed")

WORDS = ["extract", "dataset", "--features", "seed33", "-o"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    synth_speech(tmp_path / "dataset", per_class=6, seed=0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    return tmp_path


def test_the_option_counts_before_dasks_own_variable(monkeypatch):
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    assert options.executor_of(None) == "fork"
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://there:1")
    assert options.executor_of(None) == "dask:tcp://there:1"
    assert options.executor_of("local:2") == "dask:local:2"
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "")
    assert options.executor_of(None) == "fork"


def test_eavctls_own_variable_counts_before_dasks_too(folder, run, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "local:theirs")
    monkeypatch.setenv("EAVCTL_EXTRACT_DASK", "local:ours")
    result = run(*WORDS, folder / "x.parquet")
    assert result.code == 2
    assert "local:ours" in result.err


def test_a_settings_file_cannot_name_a_scheduler(folder, run):
    """It may have come with a downloaded folder, and whoever answers there is trusted with this process."""
    (folder / "eavctl.toml").write_text('dask = "tcp://elsewhere:8786"\n')
    result = run(*WORDS, folder / "x.parquet")
    assert result.code == 2
    assert "eavctl.toml" in result.err
    assert "dask" in result.err


def test_a_table_to_stdout_is_wrong_usage(folder, run):
    result = run(*WORDS, "-", "--dask", "local:2")
    assert (result.code, result.out) == (2, "")


def command(*words):
    return [sys.executable, "-m", "eavctl", *map(str, words)]


def test_a_command_starts_and_ends_its_own_workers(folder):
    subprocess.run(command(*WORDS, "one.parquet"), check=True, capture_output=True)
    done = subprocess.run(
        command(*WORDS, "two.parquet", "--dask", "local:2"), check=True, capture_output=True
    )
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()
    assert done.stdout == b""
    assert b"distributed" not in done.stderr  # no log lines of Dask
    assert sorted(os.listdir(folder)) == ["dataset", "one.parquet", "two.parquet"]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up as Linux has them")
def test_ctrl_c_at_a_terminal_ends_workers_without_a_word_of_theirs(folder):
    """The terminal sends the signal to all processes of its group; Dask's would print tracebacks."""
    many = command("extract", "dataset", "--features", "functionals", "-o", "x.parquet", "--dask", "local:2")
    process = subprocess.Popen(
        many, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and len(members(process.pid)) < 3:
        time.sleep(0.05)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode != 0:  # it was not done already
        assert (process.returncode, out) == (130, "")
        assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    until = time.monotonic() + 20
    while members(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not members(process.pid)


def members(session):
    """The running processes of a session."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, _, _, of = file.read().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(name))
    return found
