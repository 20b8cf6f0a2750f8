"""Damaged files of every kind end a command well; and the fuzzer sees what does not.

Here each kind has one damaged file or two; `make fuzz` damages 2,000.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from benchmarks import fuzz, fuzz_files, mutations

REPOSITORY = Path(__file__).resolve().parent.parent
CASES = 80
KIND = fuzz_files.Kind("sound", "a.wav", ("predict {}",))
SETTINGS = fuzz_files.Kind("settings", "eavctl.toml", ("show {}",), may_be_wrong_usage=True)


@pytest.fixture(scope="module")
def tallies(recordings):
    """What became of some damaged files of each kind; from a process of its own, which may fork."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--cases", str(CASES), "--json"]
    environment = os.environ | {"EAVCTL_TEST_DATA": str(recordings)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_no_damaged_file_ends_a_command_badly(tallies):
    assert sum(tally["cases"] for tally in tallies) == CASES
    failures = {tally["kind"]: tally["failures"] for tally in tallies if tally["failures"]}
    assert not failures


def test_damage_of_tables_and_models_changes_no_answer(tallies):
    assert sum(tally["is_checked"] for tally in tallies) == 9
    assert [tally["kind"] for tally in tallies if tally["changed"]] == []


def test_damage_is_neither_all_refused_nor_all_accepted(tallies):
    """Else the fuzzer would stop at the first look at a file, or damage nothing."""
    for outcome in ("accepted", "refused"):
        assert sum(tally[outcome] for tally in tallies) > CASES / 8


@pytest.mark.parametrize(
    ("kind", "code", "text", "left", "fault"),
    [
        (KIND, 0, "sad 0.5", set(), ""),
        (KIND, 3, "error: a.wav: the file is empty", set(), ""),
        (SETTINGS, 2, "error: eavctl.toml: no command is named so", set(), ""),
        (KIND, 2, "error: no such option", set(), "no such option"),
        (KIND, 1, "warning: x\nbug: ValueError: y", set(), "bug: ValueError: y"),
        (KIND, 0, "Traceback (most recent call last):\n  File\nKeyError: 1", set(), "KeyError: 1"),
        (KIND, -signal.SIGSEGV, "", set(), "SIGSEGV"),
        (KIND, -signal.SIGXCPU, "", set(), "takes more than"),
        (KIND, 3, "error: x", {"out/.f.parquet.0.tmp"}, "f.parquet.0.tmp"),
    ],
)
def test_what_is_a_fault(kind, code, text, left, fault):
    found = fuzz._fault(kind, code, is_late=False, text=text, left=left)
    assert fault in found
    assert bool(found) == bool(fault)


@pytest.mark.parametrize("kinds", [mutations.BYTES, mutations.TEXT, mutations.TOML])
@pytest.mark.parametrize("content", [b"", b"a", b"path,label\nx.wav,sad\n", bytes(range(256)) * 20])
def test_damage_is_that_of_its_seed_and_always_some(content, kinds):
    found = []
    for seed in range(40):
        one, two = (mutations.mutated(content, np.random.default_rng(seed), kinds) for _ in range(2))
        assert one == two != content
        found.append(one)
    assert len(set(found)) > 10


def test_files_are_packed_as_they_were(tmp_path):
    """Where nothing is damaged under a checksum, the whole file comes back."""
    fuzz_files._write_sounds(tmp_path)
    for name in ("ogg", "opus"):
        content = (tmp_path / f"sad/sound.{name}").read_bytes()
        assert fuzz_files.with_ogg_checksums(content) == content
        damaged = content[:-10] + bytes(10)
        assert fuzz_files.with_ogg_checksums(damaged) not in (damaged, content)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    assert fuzz_files.with_png_checksums(content) == content
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(1000)}, do_compression=True)
    content = (tmp_path / "a.mat").read_bytes()
    unpack, pack = fuzz_files.ZLIB
    assert len(unpack(content)) > 4000
    (tmp_path / "b.mat").write_bytes(pack(unpack(content)))
    assert np.array_equal(
        scipy.io.loadmat(tmp_path / "b.mat")["x"], scipy.io.loadmat(tmp_path / "a.mat")["x"]
    )
    unpack, pack = fuzz_files.GZIP
    assert unpack(pack(unpack(gzip.compress(b"a")))) == b"a"
