"""A model's fitter, read from its file: the fits again give the training's very predictions."""

import pytest

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError
from eavctl.explaining.fitters import fitter_of
from eavctl.stages.explain import explain
from eavctl.stages.train_dnn import EncoderChoice, train_dnn
from eavctl.stages.train_linear import train_linear
from eavctl.stages.train_svm import train_svm
from eavctl.storage import artifacts
from eavctl.training.cross_validation import Evaluation
from tests.explaining.made_tables import keys_of, vectors, write


@pytest.fixture(autouse=True)
def _few_settings(few_settings):
    with few_settings():
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("table") / "t.parquet", keys_of(4, 4), vectors(keys_of(4, 4)))


@pytest.mark.parametrize("train", [train_svm, train_linear])
@pytest.mark.parametrize(
    "evaluation",
    [Evaluation(), Evaluation("loso", seed=7), Evaluation("stratified", folds=3), Evaluation("random")],
)
def test_settings_and_folds_are_those_of_the_training(tmp_path, table, train, evaluation):
    trained = train(table, tmp_path / "m.joblib", evaluation=evaluation)
    meta = artifacts.read_meta(tmp_path / "m.joblib")
    assert fitter_of(meta).describe() == trained.meta["fitter"]
    assert explain(tmp_path / "m.joblib", table)["uar"] == trained.meta["out_of_fold"]["uar"]


def test_a_network_without_kept_folds_is_fitted_again(tmp_path, table):
    trained = train_dnn(
        table,
        tmp_path / "m.pt",
        encoder=EncoderChoice("mlp", settings={"units": 8}),
        settings=TrainSettings(epochs=6, device="cpu"),
        evaluation=Evaluation(folds=2),
    )
    found = explain(tmp_path / "m.pt", table)
    assert found["judged_by"] == "refitted folds"
    assert found["uar"] == trained.meta["out_of_fold"]["uar"]
    (family,) = (view["parts"] for view in found["views"])
    assert max(family, key=lambda part: part["probability"]["value"])["name"] == "mfcc"


def changed(meta, **facts):
    return meta._replace(json={**meta.json, **facts})


def test_settings_that_were_tuned_are_those_of_the_model(tmp_path, table):
    train_svm(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=2))
    meta = artifacts.read_meta(tmp_path / "m.joblib")
    chosen = {"C": 3.0, "gamma": 0.2, "shrinkage": 2.0, "features.low": 1.0}
    tuned = fitter_of(changed(meta, tuning={"all_rows": {"inner": 0.5, "chosen": chosen}}))
    assert (tuned.settings.C, tuned.settings.gamma, tuned.settings.shrinkage) == (3.0, 0.2, 2.0)


@pytest.mark.parametrize(
    "fitter",
    [
        None,
        {},
        {"encoder": "mlp", "encoder_settings": {}, "training": {}, "weights": "ab" * 32},
        {"encoder": "mlp", "encoder_settings": {}, "training": {}, "init": "ab" * 32},
        {"encoder": "mlp", "encoder_settings": {}, "training": {"unheard_of": 3}},
    ],
)
def test_a_file_that_does_not_say_how_is_refused(tmp_path, table, fitter):
    train_linear(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=2))
    meta = artifacts.read_meta(tmp_path / "m.joblib")._replace(kind="dnn")
    with pytest.raises(DataError):
        fitter_of(changed(meta, fitter=fitter))
