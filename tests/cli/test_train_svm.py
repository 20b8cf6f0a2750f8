"""``train-svm``: long fits are announced before they begin, on every way of calling it."""

import json

import pytest

from eavctl.training import svm_fitter


@pytest.mark.parametrize("flags", [["-n"], []])
def test_a_long_training_is_announced_once(run, made, monkeypatch, flags):
    monkeypatch.setattr(svm_fitter, "LONG_S", 0.0)
    result = run("train-svm", made / "seed33.parquet", "-o", "m.joblib", "--folds", 2, "--json", *flags)
    assert result.code == 0
    told = [text for text in json.loads(result.out)["warnings"] if "train-linear" in text]
    assert len(told) == 1
    assert result.err.index(told[0]) < result.err.index("no subjects")


@pytest.mark.parametrize("flags", [["-n"], []])
def test_a_table_that_does_not_fit_in_memory_is_refused(run, made, monkeypatch, tmp_path, flags):
    monkeypatch.setattr(svm_fitter, "total_memory", lambda: 4.001e8)
    result = run("train-svm", made / "feats.parquet", "-o", "m.joblib", "--folds", 2, *flags)
    assert result.code == 3
    assert "train-linear" in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "m.joblib").exists()
