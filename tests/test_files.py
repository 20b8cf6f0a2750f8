"""Outputs are whole or absent, and files of others are left alone."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from eavctl import files
from eavctl.errors import UsageError


def test_write_appears_whole(tmp_path):
    target = tmp_path / "a.bin"
    files.write_bytes(target, b"whole")
    assert target.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_failure_keeps_what_was_there(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="in the middle"), files.atomic_write(target) as handle:
        handle.write(b"half")
        raise RuntimeError("in the middle")
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_kill_leaves_no_half_target(tmp_path):
    script = textwrap.dedent(f"""
        import sys, time
        from eavctl import files
        with files.atomic_write({str(tmp_path / "a.bin")!r}) as handle:
            handle.write(b"half")
            handle.flush()
            print("written", flush=True)
            time.sleep(60)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.01)
    assert not (tmp_path / "a.bin").exists()


def test_guard_refuses_files_of_others(tmp_path):
    theirs = tmp_path / "thesis.html"
    theirs.write_text("<html>my thesis</html>")
    with pytest.raises(UsageError, match="--force"):
        files.guard(theirs, force=False)
    files.guard(theirs, force=True)
    files.guard(tmp_path / "new.html", force=False)


def test_guard_names_a_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        files.guard(tmp_path / "no" / "a.bin", force=False)


def test_guard_keeps_parquet_of_others_and_broken_parquet(tmp_path):
    import pandas as pd

    theirs = tmp_path / "theirs.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(theirs)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 eavctl and then nothing")
    for path in (theirs, broken):
        with pytest.raises(UsageError, match="not written by eavctl"):
            files.guard(path, force=False)
