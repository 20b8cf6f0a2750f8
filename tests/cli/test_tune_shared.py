"""``eavctl tune`` where its studies are shared, interrupted or misplaced."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from eavctl.cli import start
from eavctl.stages import tune as imported_before_forks  # noqa: F401

pytest.importorskip("optuna")
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def line(made):
    """A command line that ends soon, without its output."""
    options = ("--method", "svm", "--folds", 2, "--trials", 2, "--jobs", 1, "-q")
    return [str(word) for word in ("tune", made / "seed33.parquet", *options)]


def started(line, out):
    process = FORK.Process(target=lambda: os._exit(start.run([*line, "-o", str(out)])))
    process.start()
    return process


def n_begun(journal):
    return journal.read_text().count('"op_code":4,') if journal.exists() else 0


def test_a_run_that_is_stopped_continues_to_the_same_bytes(run, line):
    assert run(*line, "-o", "straight.joblib").code == 0
    for n_trials, stop, code in ((2, signal.SIGKILL, -9), (4, signal.SIGINT, 130)):  # in different studies
        process = started(line, "m.joblib")
        while process.is_alive() and n_begun(Path("m.joblib.study")) < n_trials:
            time.sleep(0.002)
        os.kill(process.pid, stop)
        process.join()
        assert process.exitcode == code
        assert not Path("m.joblib").exists()
    assert run(*line, "-o", "m.joblib").code == 0
    assert Path("m.joblib").read_bytes() == Path("straight.joblib").read_bytes()


def test_two_that_are_started_at_once_share_the_trials_and_both_end_well(run, line):
    both = [started(line, "m.joblib") for _ in range(2)]
    for each in both:
        each.join()
        assert each.exitcode == 0
    journal = Path("m.joblib.study").read_text()
    assert len({pid for pid in (str(each.pid) for each in both) if f'"pid":{pid},' in journal}) == 2
    assert run(*line, "-o", "m.joblib", "--dry-run").code == 0
    assert Path("m.joblib.study").read_text() == journal


@pytest.mark.parametrize("is_dry", [False, True])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-o", "m.joblib", "--storage", "notes.txt"], 3),
        (["-o", "m.joblib", "--storage", "none/study"], 3),
        (["-o", "m.joblib", "--storage", "sqlite:///none/study.db"], 3),
        (["-o", "m.joblib", "--storage", "nosuch://host/studies"], 2),
        (["-o", "m.joblib", "--storage", "-"], 2),
        (["-o", "m.joblib", "--storage", "m.joblib"], 2),
        (["-o", "m.joblib", "--predictions", "p.parquet", "--storage", "./p.parquet"], 2),
        (["-o", "m.joblib", "--storage", "sqlite:///m.joblib"], 2),
        (["-o", "-"], 2),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused_before_any_work(run, line, words, code, is_dry):
    Path("notes.txt").write_text("not a study\n")
    result = run(*line, *words, *(["--dry-run"] if is_dry else []))
    assert result.code == code
    assert len(result.err.splitlines()) <= 2
    assert [path.name for path in Path().iterdir()] == ["notes.txt"]
