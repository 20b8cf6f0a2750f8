"""Trainings that start from a pretrained encoder: its weights, its statistics, and whom it has met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eavctl.classifiers import dnn
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import LeakError, SettingsError, UsageError
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.stages.train_dnn import EncoderChoice, plan, train_dnn
from eavctl.storage import artifacts
from eavctl.training.cross_validation import Evaluation
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.rows import read_training_set
from tests.training.probing import planted

ONCE = TrainSettings(epochs=1, device="cpu")
TWO = Evaluation("group-kfold", 2)


@pytest.fixture
def table(tmp_path):
    return planted.write_table(tmp_path / "table.parquet")


def fit(start, **settings):
    about = planted.frame()
    design = {"encoder": "mlp", "encoder_settings": {"units": 16}}
    settings = TrainSettings(**{"epochs": 2, "device": "cpu", **settings})
    x = planted.x_of(about) + 5
    return dnn.fit(x, about["label"].to_numpy(), **design, settings=settings, start=start)


def encoder_of(model):
    return {
        name.removeprefix("0.encoder."): value
        for name, value in model.state_dict().items()
        if name.startswith("0.encoder.")
    }


def test_statistics_of_the_pretraining_stay_and_weights_start_there(tmp_path):
    start = planted.start_of(planted.write_encoder(tmp_path / "e.pt")).state
    tuned, scratch = (encoder_of(fit(each)) for each in (start, None))
    for name in ("mean", "std"):
        torch.testing.assert_close(tuned[name], start[name], rtol=0, atol=0)
        assert not torch.equal(scratch[name], start[name])
    moved = (tuned["hidden.1.weight"] - start["hidden.1.weight"]).abs().max()
    assert 0 < moved < (scratch["hidden.1.weight"] - start["hidden.1.weight"]).abs().max()


def test_a_frozen_encoder_does_not_change_while_its_head_learns(tmp_path):
    start = planted.start_of(planted.write_encoder(tmp_path / "e.pt")).state
    frozen = encoder_of(fit(start, freeze_epochs=2))
    for name, value in start.items():
        torch.testing.assert_close(frozen[name], value, rtol=0, atol=1e-6)


def test_a_model_says_whom_its_encoder_has_met(table, tmp_path):
    met = planted.frame(1, dataset="elsewhere")
    path = planted.write_encoder(tmp_path / "e.pt", met=met)
    out = tmp_path / "m.pt"
    choice = EncoderChoice(init=path)
    trained = train_dnn(table, out, encoder=choice, settings=ONCE, evaluation=TWO)
    assert trained.meta["pretrained_on"]["subjects"] == {"elsewhere": ["p0"]}
    assert "elsewhere" not in trained.meta["trained_on"]["subjects"]
    model = artifacts.load(out)
    assert model.meta.json["model"]["encoder_settings"]["units"] == 16
    assert train_dnn(table, out, encoder=choice, settings=ONCE, evaluation=TWO).up_to_date
    other = planted.write_encoder(path, [0, 1], met=met)
    assert not plan(table, out, encoder=EncoderChoice(init=other), settings=ONCE, evaluation=TWO).up_to_date


def test_test_people_of_the_encoder_are_refused_unless_they_are_shared(table, tmp_path):
    path = planted.write_encoder(tmp_path / "e.pt", met=planted.frame(2))
    choice, out = EncoderChoice(init=path), tmp_path / "m.pt"
    for call in (plan, train_dnn):
        with pytest.raises(LeakError, match=r"e\.pt.*2 subjects"):
            call(table, out, encoder=choice, settings=ONCE, evaluation=TWO)
    assert not out.exists()
    shared = Evaluation("group-kfold", 2, shared=("p0", "p1"))
    trained = train_dnn(table, out, encoder=choice, settings=ONCE, evaluation=shared)
    assert any("p0" in text for text in trained.meta["protocol"]["warnings"])
    assert TrainedOn.from_meta(trained.meta["pretrained_on"]).subjects == {("one", "p0"), ("one", "p1")}


def test_an_encoder_of_other_features_or_with_other_options_is_refused(table, tmp_path):
    other = planted.write_encoder(tmp_path / "other.pt", features_hash="bb")
    with pytest.raises(SettingsError, match=r"other\.pt.*table\.parquet"):
        plan(table, tmp_path / "m.pt", encoder=EncoderChoice(init=other))
    path = planted.write_encoder(tmp_path / "e.pt")
    for wrong in ({"name": "mlp"}, {"size": "tiny"}, {"settings": {"units": 4}}, {"weights": tmp_path}):
        with pytest.raises(UsageError, match="leave --"):
            plan(table, tmp_path / "m.pt", encoder=EncoderChoice(init=path, **wrong))
    normalized = replace(read_training_set(table).facts, normalize="speaker")
    with pytest.raises(UsageError, match="--normalize"):
        DnnFitter("mlp", {"units": 16}, init=planted.start_of(path)).check_table(normalized)
    with pytest.raises(UsageError, match="also an input"):
        plan(table, path, encoder=EncoderChoice(init=path))


def test_trainings_without_an_encoder_are_what_they_were(table, tmp_path):
    out = tmp_path / "m.pt"
    trained = train_dnn(table, out, encoder="mlp", settings=ONCE, evaluation=TWO)
    assert "pretrained_on" not in trained.meta
    assert "init" not in trained.meta["fitter"]
    assert "start" not in artifacts.load(out).meta.json["model"]["training"]
    shared = Evaluation("group-kfold", 2, shared=())
    assert plan(table, out, encoder="mlp", settings=ONCE, evaluation=shared).up_to_date
    np.testing.assert_equal(trained.meta["protocol"]["warnings"], [])
