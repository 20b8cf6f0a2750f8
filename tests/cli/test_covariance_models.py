"""Models of covariances on real EEG, through the commands: whole runs are left out in turn."""

import json
import shutil

import numpy as np
import pytest

from eavctl.classifiers.projection import Projected
from eavctl.cli import start
from eavctl.storage import artifacts, tables

EXTRACT = "extract runs --features eeg-cov --events T1=left,T2=right --tmin 0 --tmax 4 -o cov.parquet"
TRAIN = "train-linear cov.parquet -o tangent.joblib --group session --predictions tangent.parquet"


@pytest.fixture(scope="module")
def folder(shared_data, tmp_path_factory):
    """A model of four runs of imagined movement of the left or the right hand."""
    made = tmp_path_factory.mktemp("covariances")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        (made / "runs").mkdir()
        for run in (3, 4, 7, 8):
            shutil.copy(shared_data / "eeg" / f"S001R0{run}.edf", "runs")
        for line in (EXTRACT, TRAIN):
            assert start.run(line.split()) == 0
    return made


def test_the_default_tells_left_from_right(folder):
    meta = artifacts.read_meta(folder / "tangent.joblib").json
    assert meta["protocol"]["group"] == "session"
    assert meta["protocol"]["folds"] == 4
    assert meta["out_of_fold"]["uar"]["value"] > 0.8
    assert meta["fitter"]["step"] == "tangent"


def test_the_file_gives_the_model_back(folder):
    model, table = artifacts.load(folder / "tangent.joblib"), tables.read_features(folder / "cov.parquet")
    assert isinstance(model.predictor, Projected)
    proba = model.predict_proba(table.x)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    labels = table.keys["label"].to_numpy()
    assert (model.predict(table.x) == labels).mean() > 0.9  # it was trained on them


def test_the_command_with_its_step_is_told(folder, monkeypatch, run):
    monkeypatch.chdir(folder)
    assert run(*TRAIN.replace("tangent", "csp").split(), "--step", "csp", "--force").code == 0
    told = tables.read_predictions(folder / "csp.parquet").meta["training"]
    assert json.dumps(told).count("csp") >= 1
    assert artifacts.load(folder / "csp.joblib").predictor.step.name == "csp"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("export tangent.joblib -o tangent.onnx", ("ONNX", "eigenvalues")),
        ("predict runs --model tangent.joblib --adapt --segment 4", ("--normalize subject",)),
        ("train-linear cov.parquet -o x.joblib --step laplace", ("tangent", "csp")),
    ],
)
def test_what_covariances_cannot_do_is_said(folder, monkeypatch, run, line, words):
    monkeypatch.chdir(folder)
    result = run(*line.split())
    assert result.code in (2, 3)
    assert all(word in result.err for word in words)
    assert "Traceback" not in result.err
