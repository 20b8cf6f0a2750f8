"""Nested tuning: what it finds, what it is worth, and that it never sees the rows that it is scored on."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers import svm_cost
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.errors import CostWarning, DataError
from eavctl.storage import artifacts
from eavctl.storage.tables import key_frame, read_predictions
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Evaluation, cross_validate, plan_folds
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.rows import TableFacts, labelled
from eavctl.training.svm_fitter import SvmFitter, SvmSettings
from eavctl.training.train import Targets, train, validated
from eavctl.training.tuning.findings import TuningFindings
from eavctl.training.tuning.fitter import TuningFitter
from eavctl.training.tuning.method import Method, svm_method
from eavctl.training.tuning.networks import dnn_method
from eavctl.training.tuning.ranges import Choice, Fixed, Real, Whole

N_PEOPLE, N_EACH = 8, 8


def data(x, labels, n_people=N_PEOPLE):
    """Rows of people in turn, as a training takes them."""
    names = [f"r{i:03d}" for i in range(len(x))]
    people = [f"p{i % n_people}" for i in range(len(x))]
    frame = pd.DataFrame({"sample_id": names, "clip_id": names, "subject": people, "label": labels})
    features = {
        "modality": "audio",
        "features": "numbers",
        "features_version": 1,
        "settings": {},
        "features_hash": "aa",
        "shape": [x.shape[1]],
        "columns": [f"x{i}" for i in range(x.shape[1])],
    }
    facts = TableFacts("numbers", ("audio",), features, "hash")
    return labelled(key_frame(frame), x.astype(np.float32), tuple(np.unique(labels)), facts)


def noise(seed=0, n_columns=2):
    """Labels that have nothing to do with the features."""
    rng = np.random.default_rng(seed)
    n = N_PEOPLE * N_EACH
    return data(rng.normal(size=(n, n_columns)), rng.permutation(np.repeat(["calm", "sad"], n // 2)))


def apart(seed=0):
    """Two classes that the first of two columns tells apart."""
    rng = np.random.default_rng(seed)
    labels = np.array(["calm", "sad"])[np.arange(N_PEOPLE * N_EACH) // N_PEOPLE % 2]
    shift = np.where(labels == "sad", 1.5, -1.5)[:, None] * np.array([1, 0])
    return data(rng.normal(size=(len(labels), 2)) * np.array([1, 3]) + shift, labels)


@dataclass(frozen=True)
class Projected:
    """Tells two classes apart by the side of a threshold on which a projection of two columns lies."""

    direction: np.ndarray
    middle: float
    classes_: np.ndarray

    def predict_proba(self, x):
        p = 1 / (1 + np.exp(self.middle - x @ self.direction))
        return np.column_stack([1 - p, p])

    def decide(self, proba):
        return proba.argmax(axis=1)


@dataclass(frozen=True)
class Projection(ColumnFitter):
    """Fits the threshold of a projection at an angle, which is tuned; keeps the rows that it was given."""

    angle: float = 0.0
    given: list[tuple[str, frozenset[str], frozenset[str]]] = field(default_factory=list)
    kind = "svm"
    name = "projection"

    def fit(self, rows, fit):
        people = frozenset(rows.key_frame["subject"])
        self.given.append((fit.name, people, frozenset(fit.test_keys["subject"])))
        direction = np.array([np.cos(self.angle), np.sin(self.angle)])
        means = [(rows.array[rows.labels == name] @ direction).mean() for name in ("calm", "sad")]
        return Projected(direction, float(np.mean(means)), np.array(["calm", "sad"]))


def projection(default=0.0):
    base = Projection(angle=default)
    space = {"angle": Real(0, 6.283)}
    return Method("projection", base, {"angle": float}, space, lambda values: replace(base, **values))


def tuning(method, storage, trials=8, **space):
    return TuningFitter(method, {**method.space, **space}, trials, 42, str(storage / "s.study"), "id")


def tuned(found, fitter, targets, folds=4):
    """The metadata of a tuned model."""
    evaluation = Evaluation(folds=folds)
    defaults = validated(found, fitter.method.default, plan_folds(found.rows, evaluation)).predictions
    return train(found, targets, fitter, evaluation, observers=[TuningFindings(fitter, defaults)]).meta


def test_with_noise_the_outer_interval_holds_chance_and_the_inner_best_lies_above_it(tmp_path):
    targets = Targets(None, tmp_path / "p.parquet")
    found = tuned(noise(), tuning(projection(), tmp_path, trials=8), targets)["tuning"]
    assert found["outer"]["low"] < 0.5 < found["outer"]["high"]
    assert found["inner"] > 0.55
    assert found["optimism"] == pytest.approx(found["inner"] - found["outer"]["value"])
    assert found["optimism"] > 0
    assert not found["versus"]["better"]
    assert found["versus"]["first"] == pytest.approx(found["outer"]["value"])
    assert found["versus"]["second"] == pytest.approx(found["defaults"]["value"])
    assert [each["fold"] for each in found["folds"]] == [1, 2, 3, 4]
    assert all(each["n_trials"] == 8 for each in found["folds"])


def test_the_inner_score_weights_folds_by_the_rows_that_they_test(tmp_path):
    rng = np.random.default_rng(3)
    found = data(rng.normal(size=(40, 2)), np.array(["calm", "sad"])[np.arange(40) // 5 % 2], n_people=5)
    targets = Targets(None, tmp_path / "p.parquet")
    tuning_meta = tuned(found, tuning(projection(), tmp_path, trials=2), targets, folds=2)["tuning"]
    tested = Counter(read_predictions(tmp_path / "p.parquet").keys["fold"])
    assert len(set(tested.values())) == 2  # two people, and three
    inner = [each["inner"] for each in tuning_meta["folds"]]
    weights = [tested[each["fold"]] for each in tuning_meta["folds"]]
    assert tuning_meta["inner"] == pytest.approx(np.average(inner, weights=weights))
    assert tuning_meta["optimism"] == pytest.approx(tuning_meta["inner"] - tuning_meta["outer"]["value"])


def test_many_fits_are_announced_with_their_number_and_the_least_time(tmp_path):
    found = noise(n_columns=3)
    plan = plan_folds(found.rows, Evaluation(folds=5))
    method = svm_method(SvmFitter())
    for seconds, minutes in ((0.01, ""), (1.0, "20 ")):
        slow = replace(method, seconds=lambda n_rows, n_columns, each=seconds: each)
        with pytest.warns(CostWarning, match=f"1,200.*{minutes}"):
            tuning(slow, tmp_path, trials=50).announce(found.rows, plan)
    assert svm_cost.least_seconds(2000, 10) > svm_cost.least_seconds(1000, 10) > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuning(method, tmp_path, trials=2).announce(found.rows, plan)


def test_settings_are_found_where_the_defaults_are_bad(tmp_path):
    targets = Targets(None, tmp_path / "p.parquet")
    found = tuned(apart(), tuning(projection(np.pi / 2), tmp_path, trials=8), targets)["tuning"]
    assert found["versus"]["better"]
    assert found["outer"]["value"] > 0.8 > 0.7 > found["defaults"]["value"]
    assert all(abs(np.cos(each["chosen"]["angle"])) > 0.7 for each in found["folds"])


def test_the_model_of_all_rows_has_the_settings_of_its_own_study(tmp_path):
    method = svm_method(SvmFitter(settings=SvmSettings(C=1e-6, gamma=1e-6)))
    fitter = tuning(method, tmp_path, trials=2)
    meta = tuned(apart(), fitter, Targets(tmp_path / "m.joblib"), folds=2)
    chosen = meta["tuning"]["all_rows"]["chosen"]
    model = artifacts.load(tmp_path / "m.joblib").meta.json
    assert model["model"]["chosen"]["C"] == chosen["C"] == fitter.found["all rows"].values["C"]
    assert model["fitter"]["C"] == 1e-6
    assert model["tuning"] == meta["tuning"]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    files = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        targets = Targets(folder / "m.joblib", folder / "p.parquet")
        tuned(apart(), tuning(svm_method(SvmFitter()), folder, trials=2), targets, folds=2)
        files.append([Path(each).read_bytes() for each in targets.files])
    assert files[0] == files[1]


def test_a_network_reports_its_epochs_and_bad_settings_end_a_trial_alone(tmp_path):
    settings = TrainSettings(epochs=4, batch=32)
    method = dnn_method(DnnFitter("mlp", {"units": 8}, settings))
    space = {"lr": Choice((1e-2, 5.0)), "clip": Fixed(1e9), "units": Fixed(8), "encoder.dropout": Fixed(0.1)}
    fitter = tuning(method, tmp_path, trials=3, **space)
    found = apart()
    predictions = cross_validate(found.rows, fitter, Evaluation(folds=2)).predictions
    assert np.isfinite(predictions.proba).all()
    assert set(fitter.found) == {"fold 1", "fold 2"}
    steps = reported(tmp_path / "s.study")
    assert max(steps) < 4 * fitter.stride
    assert len({step % fitter.stride for step in steps}) >= 3  # some epochs, and the folds


def test_epochs_beyond_the_default_number_are_no_steps_of_the_next_inner_fold(tmp_path):
    method = replace(svm_method(SvmFitter()), with_values=lambda values: Lengthy(), epochs=40)
    fitter = tuning(method, tmp_path, trials=1)
    cross_validate(apart().rows, fitter, Evaluation(folds=2))
    steps = reported(tmp_path / "s.study")
    assert {step % 41 for step in steps} == set(range(10, 41))  # after the warm-up; 40 is the fold's score


class Lengthy(Projection):
    """Trains for more epochs than a fit has by default."""

    def fit(self, rows, fit):
        for epoch in range(1, 121):
            fit.epoch_ended(Epoch(0, epoch, 0.1, 1.0, 1.0, {"UAR": 0.5}))
        return super().fit(rows, fit)


def reported(path):
    """Steps that trials reported to a journal."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    studies = [optuna.load_study(study_name=name, storage=storage) for name in names_of(storage)]
    return {step for study in studies for trial in study.trials for step in trial.intermediate_values}


def names_of(storage):
    return [each.study_name for each in storage.get_all_studies()]


def test_settings_that_can_never_be_fitted_are_an_error_that_says_why(tmp_path):
    method = svm_method(SvmFitter())
    method = replace(method, with_values=lambda values: Failing())
    with pytest.raises(DataError, match="too hot"):
        cross_validate(noise().rows, tuning(method, tmp_path, trials=2), Evaluation(folds=2))


class Failing(Projection):
    def fit(self, rows, fit):
        raise DataError("too hot")


def test_ranges_whose_end_is_best_are_named(tmp_path):
    targets = Targets(None, tmp_path / "p.parquet")
    space = {"angle": Whole(1, 2)}  # every value is an end
    found = tuned(apart(), tuning(projection(), tmp_path, trials=3, **space), targets, folds=2)["tuning"]
    ends = Counter(each["chosen"]["angle"] for each in found["folds"])
    assert len(found["warnings"]) == len(ends)
    for end, n in ends.items():
        assert [each for each in found["warnings"] if f"end {end} " in each and f"{n} of 2" in each]
