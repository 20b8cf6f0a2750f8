"""Fusion networks as classifiers: they learn, repeat themselves, start from models, come back."""

from __future__ import annotations

import functools
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import AMBT, EEG, METHODS, SETTINGS, SHAPES, VIDEO, toy

from eavctl.classifiers import dnn
from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.inner_folds import InnerRows
from eavctl.classifiers.network import forward
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.errors import DataError, TrainingWarning, UsageError
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign, fit
from eavctl.storage import artifacts

QUICK = TrainSettings(epochs=6, batch=16, lr=5e-3, dropout=0.1, device="cpu", patience=9)
STILL = replace(QUICK, epochs=1, freeze_epochs=1, freeze_lr=1e-30)


def kinds_for(method: str) -> tuple[str, str]:
    return (EEG, EEG) if method in (*AMBT, "law") else ("mlp", EEG)


def design(method: str, kinds: tuple[str, ...] | None = None, **settings: Any) -> Design:
    kinds = kinds or kinds_for(method)
    return Design(
        method, tuple(StreamDesign(f"s{i}", k, SETTINGS[k], SHAPES[k]) for i, k in enumerate(kinds)), settings
    )


def trained(method: str, settings: TrainSettings = QUICK, **options: Any) -> FusionModel:
    x, labels = toy(n=options.pop("n", 32), kinds=kinds_for(method))
    return fit(x, labels, design(method), settings=settings, **options)


@functools.cache
def model_of(method: str) -> FusionModel:
    return trained(method, replace(QUICK, epochs=8, ema=0.7, lr=8e-3), n=64)


@functools.cache
def start(kind: str, reverse: bool = False, members: int = 1) -> DnnModel:
    x, labels = toy(seed=3, kinds=(kind,))
    settings = replace(QUICK, epochs=3, members=members)
    classes = ["yes", "no"] if reverse else ["no", "yes"]
    return dnn.fit(
        x.arrays[0], labels, encoder=kind, encoder_settings=SETTINGS[kind], settings=settings, classes=classes
    )


def same_weights(one: FusionModel, other: FusionModel) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(v, w) for (a, v), (b, w) in pairs)


@pytest.mark.parametrize("method", METHODS)
def test_learns_from_either_stream_and_from_both(method: str) -> None:
    model = model_of(method)
    x, labels = toy(seed=9, kinds=kinds_for(method))
    for seen in (x, x.only([0]), x.only([1])):
        proba = model.predict_proba(seen)
        right = (model.classes_[proba.argmax(axis=1)] == labels).mean()
        assert right > (0.95 if seen is x else 0.8)
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
        assert proba.dtype == np.float64
        weights = model.weights(seen)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
        assert ((weights > 0) == seen.present).all()
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.streams == ("s0", "s1")


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_and_weights_come_from_one_pass(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit those of passes for either alone, for any number of rows and with a stream missing."""
    model, (x, _) = model_of(method), toy(n=70, seed=4, kinds=kinds_for(method))
    for seen in (x, x[:1], x[:1].only([1])):
        proba, weights = model.proba_and_weights(seen)
        members = list(zip(model._networks, model._calibrations, strict=True))
        alone = [calibrate(forward(network, seen)) for network, calibrate in members]
        np.testing.assert_array_equal(proba, np.mean(alone, axis=0))
        alone = [forward(lambda x, fuse=network.fuse: fuse(x).weights, seen) for network, _ in members]
        np.testing.assert_array_equal(weights, np.mean(alone, axis=0))
    passes: list[int] = []
    for network in model._networks:
        monkeypatch.setattr(network, "fuse", lambda x, fuse=network.fuse: passes.append(len(x)) or fuse(x))
    model.proba_and_weights(x[:1])
    assert passes == [1] * len(model._networks)


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_weights(method: str) -> None:
    settings = replace(QUICK, epochs=1)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = trained(method, settings)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same_weights(one, trained(method, settings))
    assert not same_weights(one, trained(method, replace(settings, seed=1)))


class KilledError(Exception):
    """Stands for the signal that ends a training."""


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    method, checkpoint = "ambt-concat", tmp_path / "c"
    settings = replace(QUICK, members=2, validation=0.3, freeze_epochs=2)

    def kill(done: Epoch) -> None:
        if (done.member, done.epoch) == (1, 6):
            raise KilledError

    with pytest.raises(KilledError):
        trained(method, settings, keeping=Keeping(checkpoint, on_epoch=kill))
    went_on: list[Epoch] = []
    resumed = trained(method, settings, keeping=Keeping(checkpoint, on_epoch=went_on.append))
    assert [(epoch.member, epoch.epoch) for epoch in went_on] == [(1, 6)]
    whole = trained(method, settings)
    assert same_weights(whole, resumed)
    assert whole.to_meta() == resumed.to_meta()


@pytest.mark.parametrize("change", ["present", "method", "starts", "rows"])
def test_a_checkpoint_of_another_training_is_refused(change: str, tmp_path: Path) -> None:
    keeping, settings = Keeping(tmp_path / "c"), replace(QUICK, epochs=1)
    trained("attention", settings, keeping=keeping)
    x, labels = toy(n=32, kinds=kinds_for("attention"))
    if change == "present":
        x.present[3, 0] = False
    if change == "rows":
        x.arrays[1][5, 0, 0] += 1
    method = "channel-attention" if change == "method" else "attention"
    starts = [start("mlp"), None] if change == "starts" else []
    with pytest.raises(UsageError, match="other data or settings"):
        fit(x, labels, design(method), starts=starts, settings=settings, keeping=keeping)


def test_what_stands_in_absent_rows_is_no_part_of_the_training(tmp_path: Path) -> None:
    x, labels = toy(n=30, kinds=("mlp", EEG))
    x.present[::5, 0] = x.present[1::5, 1] = False
    settings, keeping = replace(QUICK, epochs=2), Keeping(tmp_path / "c")
    clean = fit(x, labels, design("attention"), settings=settings, keeping=keeping)
    for stream, array in enumerate(x.arrays):
        array[~x.present[:, stream]] = np.nan
    assert same_weights(clean, fit(x, labels, design("attention"), settings=settings))
    assert same_weights(clean, fit(x, labels, design("attention"), settings=settings, keeping=keeping))
    x.arrays[0][1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        fit(x, labels, design("attention"), settings=settings)


@pytest.mark.parametrize("method", ["attention", "ambt-mean"])
def test_validation_rows_never_train(method: str) -> None:
    """Whatever stands in the validation rows, an epoch on the others leads to the same weights."""
    x, labels = toy(kinds=kinds_for(method))
    groups = np.array([f"p{i // 16}" for i in range(64)])
    settings = replace(QUICK, epochs=1, validation=0.25)
    found = []
    inner = InnerRows((labels == "yes").astype(int), ("no", "yes"), groups)
    _, validation = inner.validation(settings.validation, settings.seed)[0]
    for factor in (1.0, 3.0):
        changed = Streams(tuple(array.copy() for array in x.arrays), x.present)
        for array in changed.arrays:
            array[validation] *= factor
        found.append(fit(changed, labels, design(method), groups=groups, settings=settings))
    assert same_weights(*found)
    assert [m.to_meta()["training"]["members"][0]["n_validation"] for m in found] == [16, 16]


@pytest.mark.parametrize("method", METHODS)
def test_frozen_encoders_stay_as_the_models_left_them(method: str) -> None:
    kinds = kinds_for(method)
    starts = [start(kind) for kind in kinds]
    settings = replace(QUICK, epochs=2, freeze_epochs=2)
    model = trained(method, settings, starts=starts)
    state = model.state_dict()
    for stream, model_before in enumerate(starts):
        for name, tensor in model_before.state_dict().items():
            if name.startswith("0.encoder."):
                now = state[f"0.encoders.{stream}.{name.removeprefix('0.encoder.')}"]
                assert torch.equal(now, tensor), name
    assert all(len(each) == 32 for each in model.to_meta()["training"]["starts"])
    untrained = trained(method, STILL, starts=starts).state_dict()
    for name, tensor in state.items():
        if name.startswith(("0.bottleneck", "0.up", "0.down", "0.heads", "0.projections", "0.firsts")):
            assert not torch.equal(tensor, untrained[name]), name


@pytest.mark.parametrize("reverse", [False, True])
def test_heads_start_from_the_models_heads_calibrated(reverse: bool) -> None:
    before = start(EEG, reverse)
    model = trained("ambt-mean", STILL, starts=[before, None])
    state, old = model.state_dict(), before.state_dict()
    _, calibration = before.member(0)
    order = [before.classes_.tolist().index(name) for name in model.classes_]
    assert order == ([1, 0] if reverse else [0, 1])
    scale, bias = calibration.scale, torch.from_numpy(calibration.bias).float()
    torch.testing.assert_close(state["0.heads.0.1.weight"], old["0.head.1.weight"][order] * scale)
    torch.testing.assert_close(  # its classes are equally frequent
        state["0.heads.0.1.bias"], (old["0.head.1.bias"] * scale + bias)[order], rtol=1e-4, atol=1e-5
    )
    assert not torch.equal(state["0.heads.1.1.weight"], state["0.heads.0.1.weight"])
    assert scale != 1.0


def test_a_start_of_other_classes_gives_its_encoder_and_not_its_head() -> None:
    x, labels = toy(kinds=(EEG, EEG))
    others = np.where(labels == "no", "never", "yes")
    model = fit(x, others, design("ambt-mean"), starts=[start(EEG), None], settings=STILL)
    state, old = model.state_dict(), start(EEG).state_dict()
    assert torch.equal(state["0.encoders.0.positions"], old["0.encoder.positions"])
    assert not torch.allclose(state["0.heads.0.1.weight"], old["0.head.1.weight"], atol=1e-3)


def test_each_member_starts_from_the_member_of_its_number() -> None:
    before = start("mlp", members=2)
    model = trained("attention", replace(STILL, members=2, validation=0.5), starts=[before, None])
    state, old = model.state_dict(), before.state_dict()
    name = "hidden.1.weight"
    for member in range(2):
        assert torch.equal(state[f"{member}.encoders.0.{name}"], old[f"{member}.encoder.{name}"])
    assert not torch.equal(old[f"0.encoder.{name}"], old[f"1.encoder.{name}"])


PEOPLE = np.array([f"set\x1fp{i // 16}" for i in range(64)])


@functools.cache
def start_with_people(seed: int, first: int = 0, members: int = 1) -> DnnModel:
    """A model of people from a number on, each member validated on one of them, whom the seed chooses."""
    x, labels = toy(seed=3, kinds=("mlp",))
    settings = replace(QUICK, epochs=1, members=members, validation=0.25, seed=seed)
    rows = np.flatnonzero(PEOPLE >= f"set\x1fp{first}")
    return dnn.fit(
        x.arrays[0][rows],
        labels[rows],
        groups=PEOPLE[rows],
        encoder="mlp",
        encoder_settings=SETTINGS["mlp"],
        settings=settings,
    )


def validated_on(model: DnnModel | FusionModel) -> list[list[str]]:
    return [member["validation_groups"] for member in model.to_meta()["training"]["members"]]


def fused_from(starts: list[DnnModel | None], members: int = 1) -> FusionModel:
    x, labels = toy(kinds=("mlp", "mlp"))
    settings = replace(QUICK, epochs=1, members=members, validation=0.25)
    return fit(
        x, labels, design("attention", ("mlp", "mlp")), groups=PEOPLE, starts=starts, settings=settings
    )


def other_seeds() -> tuple[int, int]:
    """Two seeds whose starts were validated on other people than a fusion would choose, and each other."""
    chosen = validated_on(fused_from([None, None]))
    seeds = [seed for seed in range(12) if validated_on(start_with_people(seed)) != chosen]
    one = seeds[0]
    return one, next(
        s for s in seeds if validated_on(start_with_people(s)) != validated_on(start_with_people(one))
    )


def test_a_fusion_is_validated_on_the_people_that_its_starts_were_validated_on() -> None:
    """Whoever trained a start cannot tell when its fusion is to stop."""
    one, _ = other_seeds()
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        start = start_with_people(one)
        assert validated_on(fused_from([start, None])) == validated_on(start)
        assert validated_on(fused_from([start, start])) == validated_on(start)
        several = start_with_people(one, members=3)
        assert validated_on(fused_from([several, None], members=3)) == validated_on(several)


def test_people_that_a_start_was_trained_on_are_named_where_they_must_validate() -> None:
    one, other = (start_with_people(seed) for seed in other_seeds())
    with pytest.warns(TrainingWarning) as said:
        fused = fused_from([one, other])
    ((mine,),) = validated_on(fused)
    texts = [str(each.message) for each in said]
    assert len(texts) == 2
    for text, stream in zip(texts, ("s0", "s1"), strict=True):
        assert f"the start of {stream} was trained on groups" in text
        assert f"({mine.removeprefix('set' + chr(31))})" in text


def test_a_start_that_does_not_say_on_whom_it_was_validated_is_told() -> None:
    with pytest.warns(TrainingWarning, match="s1 does not say which groups it was validated on"):
        fused_from([None, start("mlp")])


def test_people_whom_a_start_has_not_met_may_validate() -> None:
    """Its own validation part is not among the rows of the fusion, and those it has are strangers to it."""
    later = start_with_people(0, first=2)
    x, labels = toy(kinds=("mlp", "mlp"))
    rows = np.arange(32)
    settings = replace(QUICK, epochs=1, validation=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        fused = fit(
            x[rows],
            labels[rows],
            design("attention", ("mlp", "mlp")),
            groups=PEOPLE[rows],
            starts=[later, None],
            settings=settings,
        )
    assert set(validated_on(fused)[0]) < set(PEOPLE[rows])


@pytest.mark.parametrize("method", METHODS)
def test_round_trip_through_a_model_file(method: str, tmp_path: Path, model_meta: Any) -> None:
    model = model_of(method)
    artifacts.save(tmp_path / "f.pt", model, model_meta("fusion"))
    again = artifacts.load(tmp_path / "f.pt").predictor
    x, _ = toy(seed=4, kinds=kinds_for(method))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(again.weights(x.only([1])), model.weights(x.only([1])))
    assert again.to_meta() == json.loads(json.dumps(model.to_meta()))
    assert again.streams == model.streams


def test_a_file_whose_parts_do_not_fit_is_damaged(tmp_path: Path, model_meta: Any) -> None:
    meta, state = model_of("attention").to_meta(), model_of("attention").state_dict()
    state.pop("0.scores.0.bias")

    class Broken:
        to_meta, state_dict = staticmethod(lambda: meta), staticmethod(lambda: state)

    artifacts.save(tmp_path / "f.pt", Broken(), model_meta("fusion"))
    with pytest.raises(DataError, match=r"f\.pt: the model is damaged"):
        artifacts.load(tmp_path / "f.pt")


def test_the_joint_space_is_the_members_side_by_side() -> None:
    x, _ = toy(n=6, kinds=kinds_for("attention"))
    joint = model_of("attention").joint(x)
    assert (joint.shape, joint.dtype) == ((6, 256), np.float32)
    assert len(np.unique(joint.round(4), axis=0)) == 6


def test_rows_that_cannot_be_judged_are_refused() -> None:
    model = model_of("attention")
    x, labels = toy(n=8, kinds=("mlp", EEG))
    swapped = Streams(x.arrays[::-1], x.present)
    for call in (model.predict_proba, model.weights):
        with pytest.raises(DataError, match=r"\(\(6,\), \(4, 64\)\), not \(\(4, 64\), \(6,\)\)"):
            call(swapped)
        with pytest.raises(DataError, match="without any"):
            call(x.only([]))
    with pytest.raises(DataError, match="without any"):
        fit(x.only([]), labels, design("attention"), settings=QUICK)
    with pytest.raises(DataError, match="shapes"):
        fit(swapped, labels, design("attention"), settings=QUICK)


def test_rows_are_judged_one_by_one() -> None:
    """More rows than go through at once, some with gaps."""
    x, _ = toy(n=150, seed=5, kinds=("mlp", EEG))
    x.present[::3, 0] = x.present[1::3, 1] = False
    proba = model_of("attention").predict_proba(x)
    picked = np.array([149, 0, 70])
    np.testing.assert_allclose(model_of("attention").predict_proba(x[picked]), proba[picked], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_contrast_and_gaps_can_be_trained_on(method: str) -> None:
    x, labels = toy(n=32, kinds=kinds_for(method))
    x.present[::3, 0] = x.present[1::3, 1] = False
    settings = replace(QUICK, epochs=2, batch=4)
    model = fit(x, labels, design(method, contrastive=0.2, modality_dropout=0.5), settings=settings)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_pictures_stay_bytes_beside_other_streams() -> None:
    x, labels = toy(n=12, kinds=(EEG,))
    shade = np.where(labels == "yes", 200, 40)[:, None, None, None, None]
    pictures = np.broadcast_to(shade, (12, *SHAPES[VIDEO])).astype(np.uint8)
    present = np.ones((12, 2), bool)
    present[::4, 1] = present[1::4, 0] = False
    both = Streams((x.arrays[0], pictures), present)
    model = fit(both, labels, design("ambt-concat", (EEG, VIDEO)), settings=replace(QUICK, epochs=1))
    floats = Streams((x.arrays[0], pictures.astype(np.float32)), present)
    np.testing.assert_allclose(model.predict_proba(floats), model.predict_proba(both), rtol=1e-6)


def test_probabilities_are_the_mean_of_the_members_calibrated_ones() -> None:
    """A softmax of logits / T + b is the 1/T-th power of the plain one times e^b, made to sum to 1."""
    x, labels = toy(n=32, kinds=("mlp", EEG))
    settings = replace(QUICK, epochs=1, members=2, validation=0.5)
    model = fit(x, labels, design("attention"), settings=settings)
    state, meta = model.state_dict(), model.to_meta()
    calibrations = {"temperatures": [0.5, 3.0], "biases": [[0.3, -0.3], [-1.0, 1.0]]}
    alone = []
    for member, (temperature, bias) in enumerate(zip(*calibrations.values(), strict=True)):
        own = {f"0.{name[2:]}": value for name, value in state.items() if name.startswith(f"{member}.")}
        plain = FusionModel.from_parts(own, {**meta, "temperatures": [1.0], "biases": [[0.0, 0.0]]})
        powers = plain.predict_proba(x) ** (1 / temperature) * np.exp(bias)
        alone.append(powers / powers.sum(axis=1, keepdims=True))
    both = FusionModel.from_parts(state, {**meta, **calibrations})
    np.testing.assert_allclose(both.predict_proba(x), np.mean(alone, axis=0), rtol=1e-9)
