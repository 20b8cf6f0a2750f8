"""Trainings by torchrun in two and three processes beside those of one, and what a killed rank leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ranks_job

from eavctl.extraction.recipe import Recipe
from eavctl.storage.tables import FeatureTable, key_frame, read_predictions, write_features

JOB = Path(ranks_job.__file__)


def started(n_ranks: int, *words: str) -> subprocess.Popen[str]:
    """A Python program in so many ranks, on a free port."""
    alone = [sys.executable]
    several = [*alone, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_ranks)]
    return subprocess.Popen(
        (alone if n_ranks == 1 else several) + list(words),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=240)[0]
    assert not process.returncode, said
    return said


def ran(folder: Path, n_ranks: int, *names: str) -> dict[str, Any]:
    """What the job finds with so many ranks, by its cases."""
    out = folder / f"{n_ranks}.json"
    finished(started(n_ranks, str(JOB), str(out), *names))
    return json.loads(out.read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What the job finds of a few cases with each number of ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    return {n_ranks: ran(folder, n_ranks, *ranks_job.FEW) for n_ranks in (1, 2, 3)}


def assert_same_losses(one: dict[str, Any], several: dict[str, Any], rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(several["losses"], one["losses"], rtol=rtol)
    np.testing.assert_allclose(several.get("proba", 0), one.get("proba", 0), atol=10 * rtol)


@pytest.mark.parametrize("n_ranks", [2, 3])
@pytest.mark.parametrize("name", ranks_job.FEW)
def test_losses_are_those_of_one_rank(found: dict[int, dict[str, Any]], name: str, n_ranks: int) -> None:
    assert_same_losses(found[1][name], found[n_ranks][name])


@pytest.mark.slow
def test_losses_of_every_kind_of_training_are_those_of_one_rank(tmp_path: Path) -> None:
    one, two = ran(tmp_path, 1), ran(tmp_path, 2)
    for name in ranks_job.CASES:  # pictures are computed in float32
        assert_same_losses(one[name], two[name], 2e-5 if name in ranks_job.OF_PICTURES else 1e-6)


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_every_row_is_evaluated_once(found: dict[int, dict[str, Any]], n_ranks: int) -> None:
    for n_rows, rows in found[n_ranks]["evaluated"].items():
        assert rows == list(range(int(n_rows)))


# --- the command line -------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ninety rows of three classes and nine people."""
    numbers = np.arange(90)
    classes = ("happy", "neutral", "sad")
    names = [f"c{number:03d}" for number in numbers]
    keys = {"sample_id": names, "clip_id": names, "dataset": "made", "label": np.array(classes)[numbers % 3]}
    keys["subject"] = [f"s{number % 9}" for number in numbers]
    x = np.random.default_rng(0).normal(size=(90, 20)) + (numbers % 3)[:, None]
    meta = {**Recipe("seed33").meta(), "classes": list(classes), "shape": [20], "speech": True}
    path = tmp_path / "made.parquet"
    columns = tuple(f"f{number}" for number in range(20))
    write_features(FeatureTable(key_frame(pd.DataFrame(keys)), x.astype(np.float32), columns, meta), path)
    return path


def training(table: Path, out: Path) -> list[str]:
    words = ["-m", "eavctl", "train-dnn", str(table), "-o", str(out), "--encoder", "mlp", "--folds", "2"]
    return [*words, "--predictions", str(out.with_suffix(".parquet")), "--device", "cpu", "--epochs", "60"]


def probabilities(out: Path) -> np.ndarray:
    return read_predictions(out.with_suffix(".parquet")).proba


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up as Linux has them")
def test_a_killed_rank_ends_the_training_which_another_number_of_ranks_resumes(
    table: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole.pt", tmp_path / "killed.pt"
    finished(started(1, *training(table, whole)))
    process = started(2, *training(table, killed))
    os.kill(rank_after_a_checkpoint(killed, process), signal.SIGKILL)
    said = process.communicate(timeout=120)[0]
    assert process.returncode
    assert not killed.exists(), said
    assert list(tmp_path.glob(".killed.pt.parts/*fold*"))
    said = finished(started(3, *training(table, killed)))
    assert said.count("out-of-fold rows ->") == 1  # rank 0 alone prints
    np.testing.assert_allclose(probabilities(killed), probabilities(whole), atol=2e-3)
    assert not list(tmp_path.glob(".*"))  # neither parts nor temporary files


def rank_after_a_checkpoint(out: Path, process: subprocess.Popen[str]) -> int:
    """The process of rank 1, once the training has a checkpoint."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if list(out.parent.glob(f".{out.name}.parts/*fold*")):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    environment = (folder / "environ").read_bytes().split(b"\0")
                    parent = (folder / "stat").read_text().split()[3]
                except OSError:
                    continue
                if b"RANK=1" in environment and parent == str(process.pid):
                    return int(folder.name)
        time.sleep(0.01)
    raise AssertionError("no checkpoint was written")


def test_other_commands_refuse_several_ranks(table: Path, tmp_path: Path) -> None:
    process = started(2, "-m", "eavctl", "train-svm", str(table), "-o", str(tmp_path / "svm.joblib"))
    said = process.communicate(timeout=120)[0]
    assert process.returncode
    assert "torchrun" in said
    assert not (tmp_path / "svm.joblib").exists()
