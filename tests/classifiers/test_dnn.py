"""The training loop: learns, stops and calibrates on other speakers, goes on after a kill, repeats itself."""

from __future__ import annotations

import json
import math
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eavctl.augmentations.kind import Kind
from eavctl.augmentations.pipeline import pipeline
from eavctl.classifiers.dnn import DnnModel, Epoch, TrainSettings, fit
from eavctl.classifiers.inner_folds import Fold, InnerRows
from eavctl.classifiers.network import CPU, Network, build_network
from eavctl.classifiers.objective import Classification
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import Training
from eavctl.encoders.cnn_lstm import CnnLstm
from eavctl.errors import DataError, TrainingWarning, UsageError
from eavctl.evaluation.metrics import classwise_calibration_error
from eavctl.storage import artifacts

SHAPE = (16, 36)
SMALL = {"channels": [4, 8], "lstm_units": 8, "dropout": 0.0}
META = {"encoder": "cnn-lstm", "encoder_settings": SMALL, "shape": SHAPE, "classes": ["a", "b"], "dropout": 0}
QUICK = TrainSettings(epochs=7, batch=16, lr=5e-3, dropout=0.1, members=1, device="cpu", patience=7)


def toy(n: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips that grow louder or softer: classes that differ in the order of time alone; 6 speakers."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    slope = np.where(y == 0, 1, -1)[:, None, None] * np.linspace(-12, 12, SHAPE[1])
    x = (-40 + slope + 3 * rng.standard_normal((n, *SHAPE))).astype(np.float32)
    return x, np.array(["louder", "softer"])[y], np.array([f"s{i}" for i in (np.arange(n) // 2) % 6])


def trained(settings: TrainSettings = QUICK, **options: Any) -> DnnModel:
    x, labels, groups = toy()
    return fit(x, labels, groups=groups, encoder_settings=SMALL, settings=settings, **options)


def same_weights(one: DnnModel, other: DnnModel) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(v, w) for (a, v), (b, w) in pairs)


@pytest.fixture(scope="module")
def model() -> DnnModel:
    return trained(replace(QUICK, epochs=20, patience=20))


def test_learns_what_only_the_order_of_time_tells(model: DnnModel) -> None:
    x, labels, _ = toy(seed=1)
    assert (model.predict(x) == labels).mean() > 0.95
    assert (model.predict(x[:, :, ::-1]) == labels).mean() < 0.05


def test_probabilities_are_rows_of_the_ordered_classes(model: DnnModel) -> None:
    x, _, _ = toy()
    proba = model.predict_proba(x)
    assert model.classes_.tolist() == ["louder", "softer"]
    assert proba.shape == (len(x), 2)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_prediction_does_not_depend_on_the_other_rows(model: DnnModel) -> None:
    x, _, _ = toy()
    np.testing.assert_allclose(model.predict_proba(x)[5:6], model.predict_proba(x[5:6]), rtol=1e-4)


def test_embedding_has_the_encoders_width(model: DnnModel) -> None:
    assert model.embed(toy()[0]).shape == (96, 16)


def test_rows_of_another_shape_are_refused(model: DnnModel) -> None:
    with pytest.raises(DataError, match="16x36, not 16x35: .*--segment"):
        model.predict_proba(np.zeros((2, 16, 35), np.float32))


def test_round_trip_through_parts_and_json(model: DnnModel) -> None:
    x, _, _ = toy(seed=2)
    again = DnnModel.from_parts(model.state_dict(), json.loads(json.dumps(model.to_meta())))
    np.testing.assert_array_equal(model.predict_proba(x), again.predict_proba(x))


def test_round_trip_through_a_model_file(model: DnnModel, tmp_path: Path, model_meta: Any) -> None:
    artifacts.save(tmp_path / "dnn.pt", model, model_meta("dnn"))
    x, _, _ = toy(seed=2)
    again = artifacts.load(tmp_path / "dnn.pt")
    np.testing.assert_array_equal(model.predict_proba(x), again.predict_proba(x))


def test_same_seed_same_weights_and_global_state_untouched() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = trained(replace(QUICK, epochs=2))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same_weights(one, trained(replace(QUICK, epochs=2)))
    assert not same_weights(one, trained(replace(QUICK, epochs=2, seed=1)))


def test_a_memory_map_gives_the_same_weights(tmp_path: Path) -> None:
    x, labels, groups = toy()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    settings = replace(QUICK, epochs=2)
    there = fit(mapped, labels, groups=groups, encoder_settings=SMALL, settings=settings)
    assert same_weights(trained(settings), there)


def test_augmentations_replace_those_of_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any) -> None:
        raise AssertionError

    settings = replace(QUICK, epochs=1)
    own = trained(settings)
    monkeypatch.setattr(CnnLstm, "augment", forbidden)
    found = trained(settings, augment=pipeline(Kind("spectrograms"), ["time-mask"]))
    assert not same_weights(found, trained(settings, augment=pipeline(None, ["none"])))
    assert found.to_meta()["training"]["augment"] == ["time-mask:share=0.1"]
    assert "augment" not in own.to_meta()["training"]


class KilledError(Exception):
    """Stands for the signal that ends a training."""


def kill_after(member: int, epoch: int) -> Any:
    def on_epoch(done: Epoch) -> None:
        if (done.member, done.epoch) == (member, epoch):
            raise KilledError

    return on_epoch


@pytest.mark.parametrize("moment", [(0, 3), (0, 6), (1, 2), (1, 7)])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, moment: tuple[int, int]) -> None:
    settings, checkpoint = replace(QUICK, members=2), tmp_path / "training.ckpt"
    whole = trained(settings)
    with pytest.raises(KilledError):
        trained(settings, checkpoint=checkpoint, on_epoch=kill_after(*moment))
    epochs: list[tuple[int, int]] = []
    resumed = trained(
        settings, checkpoint=checkpoint, on_epoch=lambda done: epochs.append((done.member, done.epoch))
    )
    assert same_weights(whole, resumed)
    assert whole.to_meta() == resumed.to_meta()
    # the state is written every 5 epochs and after each member
    expected_first = {(0, 3): (0, 1), (0, 6): (0, 6), (1, 2): (1, 1), (1, 7): (1, 6)}
    assert epochs[0] == expected_first[moment]


def test_a_finished_checkpoint_trains_no_more(tmp_path: Path) -> None:
    settings, checkpoint = replace(QUICK, epochs=2), tmp_path / "training.ckpt"
    first = trained(settings, checkpoint=checkpoint)
    assert same_weights(first, trained(settings, checkpoint=checkpoint, on_epoch=kill_after(0, 1)))


@pytest.mark.parametrize("change", ["settings", "labels", "rows", "groups", "augment"])
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, change: str) -> None:
    settings, checkpoint = replace(QUICK, epochs=1), tmp_path / "training.ckpt"
    trained(settings, checkpoint=checkpoint)
    x, labels, groups = toy()
    if change == "settings":
        settings = replace(settings, lr=1e-4)
    elif change == "labels":
        labels[:2] = labels[1::-1]
    elif change == "rows":
        x[5, 3, 2] += 1
    elif change == "groups":
        groups[0] = "s5"
    augment = pipeline(Kind("spectrograms"), ["tempo"]) if change == "augment" else None
    with pytest.raises(UsageError, match="other data or settings"):
        fit(
            x,
            labels,
            groups=groups,
            encoder_settings=SMALL,
            settings=settings,
            checkpoint=checkpoint,
            augment=augment,
        )


class Attack:
    """A pickle that would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))]
)
def test_a_hostile_checkpoint_runs_no_code(tmp_path: Path, write: Any) -> None:
    checkpoint, mark = tmp_path / "training.ckpt", tmp_path / "mark"
    write({"fingerprint": "", "finished": Attack(mark), "running": None}, checkpoint)
    with pytest.raises(DataError, match="not a checkpoint"):
        trained(checkpoint=checkpoint)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "training.ckpt"
    checkpoint.write_bytes(content)
    with pytest.raises(DataError, match=r"training\.ckpt: not a checkpoint"):
        trained(checkpoint=checkpoint)


def member(build: Any, x: np.ndarray, y: np.ndarray, fold: Fold, settings: TrainSettings) -> Training:
    """One member of two classes in training."""
    rows = Rows(x, y, ("a", "b"))
    objective = Classification.of(rows, fold[0], settings.label_smoothing, CPU)
    return Training(build, objective, rows, fold, settings)


def test_validation_speakers_do_not_train() -> None:
    x, labels, groups = toy()
    y = (labels == "softer").astype(int)
    parts = InnerRows(y, ("louder", "softer"), groups).validation(0.3, seed=0)
    assert len(parts) == 3
    for train, validation in parts:
        assert set(groups[train]).isdisjoint(groups[validation])
        assert sorted([*train, *validation]) == list(range(len(x)))
    judged = np.concatenate([validation for _, validation in parts])
    assert len(judged) == len(set(judged)) == len(x)


def test_without_groups_validation_is_stratified() -> None:
    y = np.repeat([0, 1], [80, 20])
    for train, validation in InnerRows(y, ("louder", "softer")).validation(0.2, seed=0):
        assert np.bincount(y[validation]).tolist() == [16, 4]
        assert set(train).isdisjoint(validation)


def test_input_statistics_come_from_training_rows_alone() -> None:
    x, labels, _ = toy()
    y = (labels == "softer").astype(np.int64)
    train, validation = np.arange(60), np.arange(60, 96)
    x[validation] += 1000
    run = member(lambda: build_network(META), x, y, (train, validation), QUICK)
    mean = run.network.state_dict()["encoder.mean"][:, 0].numpy()
    # the last frame of a clip may count as padding
    np.testing.assert_allclose(mean, x[train].mean(axis=(0, 2)), atol=0.1)


def test_training_without_validation_keeps_the_last_epoch() -> None:
    """Its probabilities are not calibrated, but heed how frequent the classes are."""
    x, labels, _ = toy()
    kept = np.flatnonzero((labels == "louder") | (np.arange(96) % 6 == 1))
    settings = replace(QUICK, validation=0.0, epochs=2, patience=1)
    with pytest.warns(TrainingWarning, match="not calibrated"):
        model = fit(x[kept], labels[kept], encoder_settings=SMALL, settings=settings)
    (member,) = model.to_meta()["training"]["members"]
    assert (member["epochs"], member["best_epoch"], member["temperature"]) == (2, 2, 1.0)
    assert member["validation_loss"] is None
    assert np.diff(member["bias"]) == pytest.approx(np.log(16 / 48), abs=1e-4)
    assert model.priors == pytest.approx([48 / 64, 16 / 64])


def test_early_stopping_keeps_the_epoch_of_lowest_validation_loss() -> None:
    epochs: list[Epoch] = []
    x, _, groups = toy()
    noise = np.random.default_rng(0).permutation(np.array(["a", "b"] * 48))
    settings = replace(QUICK, epochs=40, patience=3, lr=2e-2)
    model = fit(x, noise, groups=groups, encoder_settings=SMALL, settings=settings, on_epoch=epochs.append)
    (member,) = model.to_meta()["training"]["members"]
    losses = [epoch.validation_loss for epoch in epochs]
    assert member["best_epoch"] == 1 + int(np.argmin(losses))
    assert member["epochs"] == len(epochs) == member["best_epoch"] + 3


def test_members_differ_and_their_probabilities_are_averaged() -> None:
    model = trained(replace(QUICK, members=2, epochs=3))
    x, _, _ = toy()
    meta, state = model.to_meta(), model.state_dict()
    apart = [
        DnnModel.from_parts(
            {f"0.{name[2:]}": value for name, value in state.items() if name.startswith(f"{i}.")},
            {**meta, **{name: meta[name][i : i + 1] for name in ("temperatures", "biases")}},
        ).predict_proba(x)
        for i in range(2)
    ]
    assert not np.allclose(apart[0], apart[1])
    np.testing.assert_allclose(model.predict_proba(x), (apart[0] + apart[1]) / 2)
    assert model.embed(x).shape == (96, 32)


def unequal(seed: int, n: int = 700) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of two classes that overlap, one of 15 %, by twenty people."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.15).astype(int)
    x = rng.normal(size=(n, 6)) + 0.9 * y[:, None] * (np.arange(6) < 2)
    return x.astype(np.float32), np.array(["often", "rare"])[y], np.array([f"s{i % 20}" for i in range(n)])


def test_a_rare_class_has_probabilities_of_its_frequency_and_is_not_given_up() -> None:
    x, labels, groups = unequal(0)
    settings = TrainSettings(epochs=15, device="cpu")
    model = fit(x, labels, groups=groups, encoder="mlp", settings=settings)
    new, truth, _ = unequal(1, 2000)
    proba, is_rare = model.predict_proba(new), truth == "rare"
    assert proba[:, 1].mean() == pytest.approx(0.15, abs=0.04)
    assert classwise_calibration_error(is_rare.astype(int), proba) < 0.05
    answers = model.predict(new)
    recalls = [(answers[is_rare] == "rare").mean(), (answers[~is_rare] == "often").mean()]
    assert min(recalls) > 0.6
    assert (proba[is_rare].argmax(axis=1) == 1).mean() < 0.4  # the likeliest class would give it up


@pytest.mark.parametrize("n_validation", [0, 36])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_overflow_in_the_last_step_is_an_error_that_names_the_epoch(
    n_validation: int, value: float
) -> None:
    x, labels, _ = toy()
    y = (labels == "softer").astype(np.int64)
    settings, steps = replace(QUICK, epochs=2), []

    def build() -> Network:
        network = build_network(META)

        def after_step() -> None:
            steps.append(len(steps))
            if len(steps) == 2 * math.ceil((96 - n_validation) / settings.batch):
                with torch.no_grad():
                    network.head[1].weight[0, 0] = value

        network.after_step = after_step  # type: ignore[method-assign]
        return network

    rows = np.arange(96)
    cut = (rows[: 96 - n_validation], rows[96 - n_validation :])
    run = member(build, x, y, cut, settings)
    run.run_epoch()
    with pytest.raises(DataError, match="weights are not finite in epoch 2.*--lr"):
        run.run_epoch()


def test_a_validation_loss_that_is_not_finite_is_no_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights can be finite, and the loss on training rows, where some validation row overflows."""
    x, labels, _ = toy()
    y = (labels == "softer").astype(np.int64)
    logits = np.zeros((36, 2))
    logits[5, 1] = np.inf
    monkeypatch.setattr("eavctl.classifiers.objective.forward", lambda *_: logits)
    run = member(lambda: build_network(META), x, y, (np.arange(60), np.arange(60, 96)), QUICK)
    with pytest.raises(DataError, match="validation loss is not finite in epoch 1"):
        run.run_epoch()


def test_rows_that_are_not_finite_have_no_probabilities(model: DnnModel) -> None:
    x, _, _ = toy()
    x[3, 2, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        model.predict_proba(x)


def test_classes_keep_the_callers_order_also_without_rows() -> None:
    model = trained(replace(QUICK, epochs=1), classes=["softer", "calm", "louder"])
    assert model.classes_.tolist() == ["softer", "calm", "louder"]
    assert model.predict_proba(toy()[0]).shape == (96, 3)


def test_bad_input_is_refused() -> None:
    x, labels, groups = toy()
    spoiled = x.copy()
    spoiled[3, 2, 1] = np.nan
    bad: list[tuple[str, Any, Any, dict[str, Any]]] = [
        ("not finite", spoiled, labels, {}),
        ("two classes", x, ["a"] * 96, {}),
        ("equally many", x, labels[:-1], {}),
        ("equally many", x, labels, {"groups": groups[:-1]}),
        ("not among the classes: softer", x, labels, {"classes": ["louder", "calm"]}),
    ]
    for message, rows, names, options in bad:
        with pytest.raises(DataError, match=message):
            fit(rows, names, encoder_settings=SMALL, settings=QUICK, **options)


def test_unknown_encoder_names_the_nearest() -> None:
    x, labels, _ = toy()
    with pytest.raises(UsageError, match="Did you mean 'cnn-lstm'"):
        fit(x, labels, encoder="cnn-lst", settings=QUICK)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": -1.0}, {"dropout": 0.95}, {"device": "tpu"}])
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainSettings(**wrong)


def test_tensorboard_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install eavctl\[tensorboard\]"):
        trained(replace(QUICK, epochs=1), log_dir=tmp_path)


def test_tensorboard_gets_scalars(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    trained(replace(QUICK, epochs=1), log_dir=tmp_path)
    assert [path.stat().st_size > 0 for path in tmp_path.glob("events*")] == [True]
