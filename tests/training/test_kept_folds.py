"""A model file that keeps its folds' networks, for a fusion to start from without a leak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from eavctl.classifiers.dnn import TrainSettings
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.protocols import splits
from eavctl.extraction.recipe import Recipe
from eavctl.stages.train_dnn import EncoderChoice, train_dnn
from eavctl.storage import artifacts, tables
from eavctl.training.cross_validation import Evaluation
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import Targets, Trained, guard

SHAPE = (16, 20)
SMALL = {"channels": [2, 4], "lstm_units": 4}
SETTINGS = TrainSettings(epochs=1, batch=16, device="cpu")
EVALUATION = Evaluation("group-kfold", folds=3)


def write(path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [(f"p{p}", f"c{c}", s) for p in range(6) for c in range(4) for s in range(2)]
    y = np.array([int(clip[1]) % 2 for _, clip, _ in rows])
    x = rng.normal(size=(len(rows), *SHAPE)) + 3 * y[:, None, None] * np.linspace(-1, 1, SHAPE[1])
    keys = {
        "sample_id": [f"{p}/{c}/{s}" for p, c, s in rows],
        "clip_id": [f"{p}/{c}" for p, c, _ in rows],
        "subject": [p for p, _, _ in rows],
        "start": [float(s) for _, _, s in rows],
        "end": [float(s + 1) for _, _, s in rows],
        "label": np.array(["glad", "sad"])[y],
    }
    meta = {**Recipe("logmel").meta(), "shape": list(SHAPE), "classes": ["glad", "sad"]}
    table = tables.FeatureTable(tables.key_frame(pd.DataFrame(keys)), x.astype(np.float32), None, meta)
    tables.write_features(table, path)
    return path


def run(folder: Path, keep: bool, table: Path, **options: Any) -> Trained:
    return train_dnn(
        table, folder / "m.pt", predictions=folder / "oof.parquet",
        encoder=EncoderChoice("cnn-lstm", settings=SMALL), settings=SETTINGS, evaluation=EVALUATION,
        keep_folds=keep, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a table, a model that keeps its folds, and its out-of-fold predictions."""
    folder = tmp_path_factory.mktemp("kept")
    run(folder, True, write(folder / "t.parquet"))
    return folder


def test_each_fold_has_met_none_of_the_clips_that_it_tests(made: Path) -> None:
    keys = tables.read_keys(made / "t.parquet")
    plan = splits(keys, "group-kfold", folds=3)
    folds = artifacts.load_folds(made / "m.pt")
    assert [model.fold for model in folds] == [split.fold for split in plan.folds] == [1, 2, 3]
    for model, split in zip(folds, plan.folds, strict=True):
        for column, known in (("clip_id", "clips"), ("subject", "subjects")):
            (names,) = model.trained_on[known].values()
            assert names == sorted(set(keys[column].iloc[split.train]))
            assert set(names).isdisjoint(keys[column].iloc[split.test])


def test_each_fold_says_of_its_test_rows_what_the_predictions_say(made: Path) -> None:
    table, told = tables.read_features(made / "t.parquet"), tables.read_predictions(made / "oof.parquet")
    assert told.keys["sample_id"].tolist() == table.keys["sample_id"].tolist()
    judged = 0
    for model in artifacts.load_folds(made / "m.pt"):
        rows = (told.keys["fold"] == model.fold).to_numpy()
        np.testing.assert_allclose(model.predict_proba(table.x[rows]), told.proba[rows], rtol=1e-6)
        assert model.classes_.tolist() == list(told.classes)
        judged += int(rows.sum())
    assert judged == len(table)


def test_the_model_is_the_one_without_folds(made: Path, tmp_path: Path) -> None:
    run(tmp_path, False, made / "t.parquet")
    kept, plain = artifacts.load(made / "m.pt"), artifacts.load(tmp_path / "m.pt")
    for name, tensor in kept.predictor.state_dict().items():
        assert torch.equal(tensor, plain.predictor.state_dict()[name]), name
    assert artifacts.load_folds(tmp_path / "m.pt") == []
    assert kept.meta.kept_folds == 3
    assert {**kept.meta.json, "kept_folds": None} == {**plain.meta.json, "kept_folds": None}
    assert "kept_folds" not in plain.meta.json
    assert (made / "oof.parquet").read_bytes() == (tmp_path / "oof.parquet").read_bytes()


def test_folds_are_trained_when_they_are_newly_asked_for(made: Path, tmp_path: Path) -> None:
    table = made / "t.parquet"
    run(tmp_path, False, table)
    assert run(tmp_path, False, table).up_to_date
    assert not run(tmp_path, True, table).up_to_date
    assert len(artifacts.load_folds(tmp_path / "m.pt")) == 3
    assert (tmp_path / "m.pt").read_bytes() == (made / "m.pt").read_bytes()
    for keep in (True, False):
        assert run(tmp_path, keep, table).up_to_date
    assert len(artifacts.load_folds(tmp_path / "m.pt")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pt", "oof.parquet"]


def test_prediction_needs_no_fold(made: Path, tmp_path: Path) -> None:
    parts = torch.load(made / "m.pt", weights_only=True)
    x = tables.read_features(made / "t.parquet").x
    expected = artifacts.load(made / "m.pt").predict_proba(x)
    del parts["folds"]
    torch.save(parts, tmp_path / "m.pt")
    np.testing.assert_array_equal(artifacts.load(tmp_path / "m.pt").predict_proba(x), expected)


def test_a_damaged_fold_is_named_when_it_is_used(made: Path, tmp_path: Path) -> None:
    parts = torch.load(made / "m.pt", weights_only=True)
    parts["folds"][1]["state_dict"].popitem()
    torch.save(parts, tmp_path / "m.pt")
    artifacts.load(tmp_path / "m.pt")
    with pytest.raises(DataError, match=r"m\.pt: the model is damaged"):
        artifacts.load_folds(tmp_path / "m.pt")


def test_the_files_may_be_written_anew_while_a_model_is_in_use(made: Path, tmp_path: Path) -> None:
    """Files are mapped, not read: a model must not change or fall when its file is replaced."""
    path = tmp_path / "m.pt"
    path.write_bytes((made / "m.pt").read_bytes())
    x = tables.read_features(made / "t.parquet").x
    model = artifacts.load(path)
    before = model.predict_proba(x)
    path.write_bytes(b"")
    np.testing.assert_array_equal(model.predict_proba(x), before)


def test_a_model_that_can_keep_no_folds_says_so_at_once(made: Path, tmp_path: Path) -> None:
    targets = Targets(tmp_path / "m.joblib", keep_folds=True)
    with pytest.raises(UsageError, match="'svm' cannot keep its folds"):
        guard(targets, SvmFitter(), [made / "t.parquet"], force=False)
