"""Commands killed at any moment leave old, new or no outputs and go on to the same bytes; see `make soak`."""

import random
import shutil
import signal
import sys
import time

import pytest

from benchmarks import soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
BY_NAME = {job.name: job for job in soak.JOBS}


@pytest.fixture
def base(made, tmp_path):
    """Inputs of the jobs, one recording of which is broken."""
    shutil.copytree(made, tmp_path / "base", ignore=shutil.ignore_patterns("*_[5-8].wav"))
    (tmp_path / "base/dataset/sad/broken.wav").write_text("this is not sound")
    return tmp_path / "base"


@pytest.mark.parametrize(("name", "n_kills"), [("extract -j 2", 2), ("predict", 2)])
def test_killed_commands_keep_old_outputs_and_end_with_the_same_bytes(name, n_kills, base, tmp_path):
    soaked = soak.Soak(BY_NAME[name], base, tmp_path / "work")
    assert soaked.new
    assert soaked.old != soaked.new
    assert soaked.kill(n_kills, random.Random(name)) == []


class Planted(soak.Job):
    """Python that, where it is asked to, does a deed, says so, and waits to be killed."""

    def start(self, line, base, folder):
        process = super().start(line, base, folder)
        while (base / "wait").exists() and not (base / "done").exists():
            time.sleep(0.01)
        return process


SCRIPT = """
import os, signal, subprocess, sys, time
if os.path.exists("{base}/wait"):
    {}
    open("{base}/done", "w")
    time.sleep(20)
open("out", "w").write("new")
"""


@pytest.mark.parametrize(
    ("deed", "fault"),
    [
        ("open('out', 'w').write('half')", "out is neither old nor new"),
        ("open('.out.tmp', 'w')", "it left .out.tmp"),
        ("os.path.exists('out') and os.remove('out')", "out is gone"),
        ("subprocess.Popen(['sleep', '20'], stderr=subprocess.DEVNULL)", "still running"),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))", "ended with 1"),
        ("open('.out.parts', 'w')", ""),
    ],
)
def test_what_is_a_fault(deed, fault, tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "ENDING_S", 0.1)
    (tmp_path / "it.py").write_text(SCRIPT.format(deed, base=tmp_path))
    job = Planted("planted", "", program=(sys.executable, str(tmp_path / "it.py")))
    soaked = soak.Soak(job, tmp_path, tmp_path / "work")
    (tmp_path / "wait").touch()
    (tmp_path / "work/out").write_bytes(b"old")
    found = list(soaked._killed(tmp_path / "work", signal.SIGTERM, 0.0, {"out": b"old"}))
    assert len(found) == bool(fault)
    assert all(fault in each for each in found)
