"""eavctl as a library: imported or called by another program, it leaves that program's process as it was."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from eavctl.classifiers import dnn
from eavctl.cli import start
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.synthetic.tones import synth_speech

# What a process has: everything that the library could have changed.
STATE = """
import ctypes, importlib, multiprocessing, os, pkgutil, signal, sys, warnings
import numpy, pyarrow, torch

def state():
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "signals": {each: signal.getsignal(each) for each in signal.valid_signals()},
        "start method": multiprocessing.get_start_method(allow_none=True),
        "hooks": (sys.excepthook, warnings.showwarning),
        "numpy": (numpy.geterr(), numpy.random.get_state()[1].tolist()),
        "arrow": pyarrow.default_memory_pool().backend_name,
        "torch": (torch.get_num_threads(), torch.get_default_dtype(), torch.initial_seed()),
    }
"""


def python(script: str, **variables: str) -> str:
    """What a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_every_module_changes_nothing_of_the_process():
    script = f"""{STATE}
asked = []

class Library(ctypes.CDLL):
    def __getattr__(self, name):
        asked.append(name)
        return super().__getattr__(name)

ctypes.CDLL, before = Library, state()
import eavctl
for module in pkgutil.walk_packages(eavctl.__path__, "eavctl."):
    if module.name != "eavctl.__main__":
        importlib.import_module(module.name)
after = state()
assert before == after, [name for name in before if before[name] != after[name]]
assert "mallopt" not in asked and "prctl" not in asked
"""
    python(script)


@pytest.fixture
def never_forked(monkeypatch):
    """A process in which a fork is an error."""

    def fork():
        raise AssertionError("the host program was forked")

    monkeypatch.setattr(os, "fork", fork)


@pytest.fixture
def mallopt(monkeypatch):
    """What the C library's mallopt is asked for; it is not called."""
    calls = []

    class Library(ctypes.CDLL):
        def mallopt(self, *option):
            calls.append(option)

    monkeypatch.setattr(ctypes, "CDLL", Library)
    return calls


@pytest.mark.usefixtures("never_forked")
def test_extract_from_python_starts_new_processes_and_no_forks(tmp_path):
    synth_speech(tmp_path / "dataset", per_class=5, seed=0)
    tables = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for jobs, table in enumerate(tables, start=1):
        assert extract(tmp_path / "dataset", table, Recipe("seed33"), jobs=jobs).n_rows == 20
    assert tables[0].read_bytes() == tables[1].read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux alone")
def test_the_command_line_forks(tmp_path):
    """In a process of its own: in that of the tests, threads of other libraries forbid forks."""
    synth_speech(tmp_path / "dataset", per_class=5, seed=0)
    script = """
import os, sys
from eavctl.cli import start
forks, fork = [], os.fork
os.fork = lambda: forks.append(1) or fork()
assert start.run(["extract", "dataset", "--features", "seed33", "-o", "x.parquet", "-j", "2"]) == 0
assert len(forks) == 2, forks
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_only_the_command_that_trains_keeps_freed_memory(tmp_path, monkeypatch, mallopt):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(24, 8)).astype(np.float32), np.tile(["a", "b"], 12)
    dnn.fit(x, labels, encoder="mlp", settings=dnn.TrainSettings(epochs=1, members=1, device="cpu"))
    assert not mallopt
    monkeypatch.setattr("eavctl.cli.train_dnn.run_training", lambda *args, **options: None)
    words = ["train-dnn", tmp_path / "x.parquet", "-o", tmp_path / "x.pt", "--encoder", "mlp"]
    assert start.run([str(word) for word in words]) == 0
    assert mallopt


def test_the_command_line_has_arrow_use_the_systems_memory():
    script = """
from eavctl.cli import start

def dispatch(words):
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name)
    return 0

start._dispatch = dispatch
start.main([])
"""
    assert python(script).split() == ["system"]
    assert python(script, ARROW_DEFAULT_MEMORY_POOL="mimalloc").split() == ["mimalloc"]  # as the user wishes
