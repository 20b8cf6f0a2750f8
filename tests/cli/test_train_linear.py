"""``train-linear``: a table to a small model that every other command takes."""

import contextlib
import json
import shutil
import subprocess
import sys

import joblib
import numpy as np
import pytest

from eavctl.cli import start
from eavctl.storage import artifacts, ownership, tables

LINE = ("--folds", 2, "--predictions", "linear_preds.parquet")


@pytest.fixture(scope="module")
def linear(made, tmp_path_factory):
    """Folder with ``linear.joblib`` and ``linear_preds.parquet``, trained on ``feats.parquet``."""
    folder = tmp_path_factory.mktemp("linear")
    with contextlib.chdir(folder):
        words = ("train-linear", made / "feats.parquet", "-o", "linear.joblib", *LINE)
        assert start.run([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def trained(run, linear, tmp_path):
    shutil.copytree(linear, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_the_model_predicts_as_its_file_does(run, made, trained):
    clip = made / "dataset/sad/sad_sample_1.wav"
    found = json.loads(run("predict", clip, "--model", "linear.joblib", "--json").out)
    model, table = artifacts.load(trained / "linear.joblib"), tables.read_features(made / "feats.parquet")
    row = table.keys.index[table.keys["sample_id"] == "sad/sad_sample_1"]
    expected = model.predict_proba(table.x[row])[0]
    assert list(found["predictions"][0]["proba"].values()) == pytest.approx(expected.tolist(), abs=1e-9)


def test_other_commands_take_its_files(run, made, trained):
    shown = json.loads(run("show", "linear.joblib", "--json").out)
    assert shown["kind"] == "model: linear"
    assert shown["model"]["chosen"]["penalty"] > 0
    shutil.copy(made / "preds.parquet", trained)
    assert run("report", "linear_preds.parquet", "preds.parquet", "-o", "r.html").code == 0
    assert run("fuse", "preds.parquet", "linear_preds.parquet", "-o", "f.parquet").code == 0
    assert run("predict", made / "feats.parquet", "--model", "linear.joblib", "-o", "p.parquet").code == 0


def test_same_seed_same_bytes_whatever_the_jobs(run, made, trained):
    assert run("train-linear", made / "feats.parquet", "-o", "again.joblib", "--folds", 2, "-j", 2).code == 0
    assert (trained / "again.joblib").read_bytes() == (trained / "linear.joblib").read_bytes()
    again = run("train-linear", made / "feats.parquet", "-o", "linear.joblib", *LINE)
    assert "up to date" in again.err


def test_its_file_is_small_and_joblib_reads_it(made, trained):
    path = trained / "linear.joblib"
    assert path.stat().st_size < 150_000 < (made / "svm.joblib").stat().st_size
    assert ownership.kind_of(path) == "model"
    assert joblib.load(path)["arrays"]["coef"].dtype == np.float32


def test_tensors_are_for_networks(run, made):
    assert run("extract", made / "dataset", "--features", "logmel", "-o", "l.parquet").code == 0
    result = run("train-linear", "l.parquet", "-o", "m.joblib")
    assert result.code == 3
    assert "train-dnn" in result.err


def test_a_prediction_imports_nothing_that_it_does_not_need(made, trained):
    words = ["predict", str(made / "dataset/sad/sad_sample_1.wav"), "--model", str(trained / "linear.joblib")]
    needless = (
        "torch", "sklearn", "scipy.optimize", "scipy.linalg", "librosa", "pandas", "pyarrow", "joblib",
        "typer", "concurrent.futures", "eavctl.classifiers.logistic",
    )  # fmt: skip
    script = f"""
import sys
from eavctl.cli.start import run
assert run({words!r}) == 0
heavy = [name for name in {needless!r} if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
