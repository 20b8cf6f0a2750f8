"""Every benchmark runs in its smallest size, finds the same numbers on both sides, and no time is judged."""

import importlib
import pkgutil

import pytest
import torch

import benchmarks
import benchmarks.__main__ as bench
from benchmarks import fusion, measure

LONG = {"recordings", "loading", "pretraining", "fusion", "eeg", "live", "scale"}  # for `make test-bench`
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name in LONG else ())
    for name in (*bench.NAMES, *bench.BY_NAME_ONLY)
]


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_size_of_each_runs(name):
    with torch.random.fork_rng(devices=[]):
        results = bench.run(name, small=True)
    assert results
    for result in results:
        assert result.ours.seconds > 0
        assert result.theirs.seconds > 0
        assert "\n" not in result.note
        assert len(bench._cells(result)) == len(bench.TITLES)


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(benchmarks.__path__)])
def test_those_that_run_by_hand_find_what_they_import(name):
    importlib.import_module(f"benchmarks.{name}")


def test_a_process_is_measured_by_itself(tmp_path):
    """Its peak memory is its own, however large the process that measures it is."""
    ballast = bytearray(200 << 20)
    ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])
    empty = measure.command_once(["python", "-c", "pass"])
    large = measure.command_once(["python", "-c", "x = b'x' * (100 << 20)"])
    assert empty.peak_mb < 60
    assert 90 < large.peak_mb - empty.peak_mb < 110
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3:\nwhy"):
        measure.command_once(["python", "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


def test_a_run_that_does_not_count_comes_first_unless_it_is_all():
    calls = []
    ours, theirs = measure.calls(lambda: calls.append("ours"), lambda: calls.append("theirs"), 2)
    assert calls == ["ours", "theirs"] * 3
    assert min(ours.seconds, theirs.seconds) > 0
    calls.clear()
    measure.calls(lambda: calls.append("ours"), lambda: calls.append("theirs"), 0)
    assert calls == ["ours", "theirs"]


def test_all_three_modalities_are_in_the_batch_of_the_fusion_benchmark():
    x, y = fusion.rows()
    assert x.present.all()
    assert len(x.tensors) == len(fusion.STREAMS) == 3
    assert len(x) == len(y) == fusion.BATCH
