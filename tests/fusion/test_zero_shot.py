"""Zero-shot recognition: the class held out reaches no weight, and is named above chance all the same."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from eavctl import registry
from eavctl.classifiers.network import Criterion, StreamBatch
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.datasets.affect import coordinates
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.evaluation import metrics
from eavctl.evaluation.intervals import clusters_of
from eavctl.evaluation.protocols import splits
from eavctl.evaluation.zero_shot import failures, harmonic_mean, lines, measures, score
from eavctl.fusion.networks.alignment import (
    Aligned,
    AlignmentNetwork,
    AlignmentSettings,
    QueryNetwork,
    affect_loss,
    class_means,
)
from eavctl.stages.zero_shot import ZeroShot, zero_shot
from eavctl.storage.tables import FeatureTable, key_frame, read_features, read_predictions, write_features
from eavctl.training.cross_validation import Evaluation
from eavctl.training.fusion_setup import FusionSetup
from eavctl.training.joined_tables import join_features
from eavctl.training.zero_shot_fitter import centroids_of, fit_without

CLASSES = ("Anger", "Calmness", "Happiness", "Sadness")
MODALITIES = ("eeg", "audio", "video")
TRAINING = TrainSettings(epochs=4, batch=32, lr=5e-3, dropout=0.1, device="cpu")
QUICK = AlignmentSettings(TRAINING, epochs=4)
EVALUATION = Evaluation("group-kfold", folds=2)
WIDTH = 12


def tables(
    folder: Path,
    *,
    noise: float = 0.4,
    n_subjects: int = 6,
    n_each: int = 4,
    classes: tuple[str, ...] = CLASSES,
    shared: bool = True,
) -> list[Path]:
    """Three modalities that see each sample's place on the plane of affect, each through its own mixture.

    Where they share nothing, each has classes in places of its own.
    """
    rng = np.random.default_rng(0)
    rows = [
        {"sample_id": f"{s}-{label}-{i}", "clip_id": f"{s}-{label}-{i}", "subject": f"p{s}", "label": label}
        for s in range(n_subjects)
        for label in classes
        for i in range(n_each)
    ]
    keys = key_frame(pd.DataFrame(rows).sort_values("sample_id"))
    known = np.nan_to_num(coordinates(keys["label"].tolist()))
    latent = known + noise * rng.normal(size=(len(keys), 2))
    own = [dict(zip(classes, rng.normal(size=(len(classes), 2)), strict=True)) for _ in MODALITIES]
    paths = []
    for modality, places in zip(MODALITIES, own, strict=True):
        if not shared:
            latent = np.stack([places[label] for label in keys["label"]])
            latent += noise * rng.normal(size=(len(keys), 2))
        x = latent @ rng.normal(size=(2, WIDTH)) + 0.1 * rng.normal(size=(len(keys), WIDTH))
        x[:, 0] = np.arange(len(keys))  # tells rows apart wherever they turn up
        meta = {"modality": modality, "features": "functionals", "features_version": 1, "settings": {}}
        meta |= {"rate": None, "units": None, "features_hash": modality, "segment": None, "shape": [WIDTH]}
        table = FeatureTable(
            keys, x.astype(np.float32), tuple(f"f{i}" for i in range(WIDTH)), meta | {"classes": classes}
        )
        paths.append(folder / f"{modality}.parquet")
        write_features(table, paths[-1])
    return paths


class Spy(nn.Module):
    """A linear encoder that notes which rows teach it: those met with gradients, or for statistics."""

    taught: ClassVar[defaultdict[Any, set[int]]] = defaultdict(set)
    met: ClassVar[defaultdict[Any, set[int]]] = defaultdict(set)
    during: ClassVar[Any] = None

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding_dim = 8
        self.map = nn.Linear(shape[0] - 1, 8)

    def fit_input(self, x: Tensor) -> None:
        self.taught[self.during] |= set(x[:, 0].int().tolist())

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        seen = self.taught if torch.is_grad_enabled() else self.met
        seen[self.during] |= set(x[:, 0].int().tolist())
        embedded: Tensor = torch.tanh(self.map(x[:, 1:]))
        return embedded


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> type[Spy]:
    registry.names("encoders")
    facts = {"modality": None, "features": ()}
    monkeypatch.setitem(registry._entries["encoders"], "spy", registry.Entry("encoders", "spy", Spy, facts))
    monkeypatch.setattr(Spy, "taught", defaultdict(set))
    monkeypatch.setattr(Spy, "met", defaultdict(set))
    return Spy


def recognize(
    paths: list[Path], out: Path, held_out: str, settings: AlignmentSettings = QUICK, **choices: Any
) -> ZeroShot:
    choices = {"encoders": ["mlp"] * len(paths), "evaluation": EVALUATION} | choices
    return zero_shot(paths, out, held_out, settings=settings, **choices)


# --- the class held out ----------------------------------------------------------------------------------


def parts(paths: list[Path], train: np.ndarray, held_out: str) -> tuple[Aligned, np.ndarray]:
    setup = FusionSetup(paths, encoders=["mlp"] * len(paths))
    joined = setup.join()
    design = setup.design(joined)
    rows = joined.data.rows
    plan = splits(rows.key_frame, "loso")
    rows = replace(rows, groups=plan.groups, units=plan.units).taking(train)
    aligned = fit_without(rows, [held_out], design, QUICK)
    return aligned, centroids_of(aligned, rows, CLASSES)


@pytest.mark.parametrize("held_out", ["Anger", "Sadness"])
def test_garbage_in_the_class_held_out_moves_no_weight_only_its_centroid(
    tmp_path: Path, held_out: str
) -> None:
    paths = tables(tmp_path)
    keys = read_features(paths[0]).keys
    train = np.flatnonzero(keys["subject"].isin(["p0", "p1", "p2", "p3"]))
    garbled = train[(keys["label"].to_numpy()[train] == held_out)]
    before, centroids = parts(paths, train, held_out)
    rng = np.random.default_rng(7)
    for path in paths:
        table = read_features(path)
        table.x[garbled] = 1e3 * rng.standard_cauchy((len(garbled), WIDTH))
        write_features(table, path)
    after, moved = parts(paths, train, held_out)

    one, other = before.state_dict(), after.state_dict()
    assert one.keys() == other.keys()
    assert {name.split(".")[0] for name in one} == {"space", "query"}
    assert any("encoder.mean" in name for name in one)  # the statistics of inputs are among them
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    assert before.temperatures == after.temperatures
    column = CLASSES.index(held_out)
    np.testing.assert_array_equal(np.delete(centroids, column, 0), np.delete(moved, column, 0))
    assert np.abs(centroids[column] - moved[column]).max() > 0.1
    tested = read_features(paths[0]).x[np.flatnonzero(~keys["subject"].isin(["p0", "p1", "p2", "p3"]))]
    assert np.abs(before.predict_proba(tested, centroids) - after.predict_proba(tested, moved)).max() > 1e-3


@pytest.mark.parametrize("held_out", ["Anger", "Sadness"])
def test_garbage_in_the_class_held_out_does_not_move_the_constant(tmp_path: Path, held_out: str) -> None:
    paths = tables(tmp_path)
    labels = read_features(paths[0]).keys["label"].to_numpy()
    before = recognize(paths, tmp_path / "before.parquet", held_out).scores["constants"]
    assert [len(each) for each in before.values()] == [2]
    rng = np.random.default_rng(7)
    for path in paths:
        table = read_features(path)
        table.x[labels == held_out] = 1e3 * rng.standard_cauchy(((labels == held_out).sum(), WIDTH))
        write_features(table, path)
    assert recognize(paths, tmp_path / "after.parquet", held_out).scores["constants"] == before
    other = "Calmness"
    table = read_features(paths[0])
    table.x[labels == other, 1:] += 1
    write_features(table, paths[0])
    assert recognize(paths, tmp_path / "other.parquet", held_out).scores["constants"] != before


def test_garbage_in_another_class_does_move_weights(tmp_path: Path) -> None:
    """So the test above could fail."""
    paths = tables(tmp_path)
    labels = read_features(paths[0]).keys["label"].to_numpy()
    everything = np.arange(len(labels))
    before, _ = parts(paths, everything, "Anger")
    table = read_features(paths[1])
    table.x[labels == "Sadness", 1] += 1
    write_features(table, paths[1])
    after, _ = parts(paths, everything, "Anger")
    changed = {
        name.split(".")[0]
        for name, tensor in before.state_dict().items()
        if not torch.equal(tensor, after.state_dict()[name])
    }
    assert changed == {"space", "query"}


@pytest.mark.parametrize("validation", [0.0, 0.4])
def test_neither_the_class_held_out_nor_a_test_row_teaches_anything(
    tmp_path: Path, spy: type[Spy], validation: float
) -> None:
    paths = tables(tmp_path)
    keys = read_features(paths[0]).keys
    settings = AlignmentSettings(replace(TRAINING, epochs=2, validation=validation), epochs=2)

    def on_fold(done: int, total: int, note: str) -> None:
        spy.during = (int(note.split()[1].strip(",")), note.split()[-1]) if note else None

    out = tmp_path / "out.parquet"
    result = recognize(paths, out, "all", settings, encoders=["spy"] * 3, on_fold=on_fold)
    labels, subjects = (keys[name].to_numpy() for name in ("label", "subject"))
    fold = result.predictions.keys["fold"].astype(int).to_numpy()
    assert sorted(spy.taught) == [(number, name) for number in (1, 2) for name in CLASSES]
    for (number, held_out), rows in spy.taught.items():
        allowed = set(np.flatnonzero((labels != held_out) & (fold != number)))
        assert rows == allowed if not validation else rows < allowed
        assert set(labels[list(rows)]) == set(CLASSES) - {held_out}
        assert not set(subjects[list(rows)]) & set(subjects[fold == number])
        assert held_out in labels[list(spy.met[number, held_out])]  # forward only: the centroid, and tests


# --- losses ----------------------------------------------------------------------------------------------


def numpy_softmax_loss(logits: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([np.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, y, strict=True)]))


def unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.sqrt((x**2).sum(axis=1, keepdims=True)))


def small_query(n_classes: int = 3) -> QueryNetwork:
    torch.manual_seed(0)
    encoder = registry.get("encoders", "mlp").thing((5,), units=7)
    affect = np.array([[0.5, -0.5], [np.nan, np.nan], [1.0, 0.0]])[:n_classes]
    return QueryNetwork(encoder, 6, affect, 0.0).eval()


def plain(n_classes: int) -> Criterion:
    return Criterion(torch.ones(n_classes), 0.0)


def test_alignment_loss_is_infonce_and_cross_entropy_and_the_pull_to_centroids() -> None:
    rng = np.random.default_rng(1)
    x, points, y = rng.normal(size=(8, 5)), rng.normal(size=(8, 6)), rng.integers(0, 3, 8)
    network = AlignmentNetwork(small_query(), rng.normal(size=(3, 6))).eval()
    tensors = tuple(torch.tensor(each, dtype=torch.float32) for each in (x, points))
    batch = StreamBatch(tensors, torch.ones(8, 2, dtype=torch.bool))
    with torch.no_grad():
        loss = float(network.loss(batch, torch.tensor(y), plain(3)))
        embedded = network.query.embed(tensors[0]).double().numpy()
        head = network.query.head(network.query.embed(tensors[0])).double().numpy()
        named = network(batch).numpy()
    pairs = unit(embedded) @ unit(points).T / 0.07
    partner = np.arange(8)
    nce = (numpy_softmax_loss(pairs, partner) + numpy_softmax_loss(pairs.T, partner)) / 2
    to_centroids = unit(embedded) @ unit(network.centroids.double().numpy()).T / 0.07
    expected = nce + numpy_softmax_loss(head, y) + numpy_softmax_loss(to_centroids, y)
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(named, to_centroids, rtol=1e-4, atol=1e-4)


def test_query_loss_adds_a_fifth_of_the_errors_of_valence_and_arousal() -> None:
    rng = np.random.default_rng(2)
    network, y = small_query(), np.array([0, 1, 2, 0, 1])
    x = torch.tensor(rng.normal(size=(5, 5)), dtype=torch.float32)
    with torch.no_grad():
        loss = float(network.loss(x, torch.tensor(y), plain(3)))
        logits = network(x).double().numpy()
        felt = network.affect_head(network.embed(x)).double().numpy()
    known = y != 1
    errors = ((felt - network.affect.numpy()[y]) ** 2)[known].mean(axis=0)
    assert loss == pytest.approx(numpy_softmax_loss(logits, y) + 0.2 * (errors[0] + errors[1]), rel=1e-5)


def test_a_batch_of_unknown_affect_has_none_and_gives_no_gradient() -> None:
    felt = torch.randn(4, 2, requires_grad=True)
    loss = affect_loss(felt, torch.full((4, 2), torch.nan))
    loss.backward()
    assert loss.item() == 0
    assert felt.grad is not None
    assert not felt.grad.any()


def test_class_means_weigh_points_alike_whatever_their_length() -> None:
    points = np.array([[2.0, 0], [0, 5], [3, 3], [0, 0]])
    means = class_means(points, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(means, [[0.5, 0.5], [0.5**0.5 / 2] * 2], rtol=1e-6)


# --- scores ----------------------------------------------------------------------------------------------


def test_harmonic_mean_by_hand() -> None:
    values = harmonic_mean(np.array([0.5, 0.6, 0.0, 0.0, 1.0]), np.array([0.5, 0.3, 0.7, 0.0, 1.0]))
    np.testing.assert_allclose(values, [0.5, 0.4, 0.0, 0.0, 1.0])


def test_measures_by_hand() -> None:
    confusion = np.array([[6, 2, 2], [0, 5, 5], [3, 4, 1]])
    found = measures(confusion, 2)
    assert float(found["seen"]) == pytest.approx((0.6 + 0.5) / 2)
    assert float(found["unseen"]) == pytest.approx(1 / 8)
    assert float(found["harmonic"]) == pytest.approx(2 * 0.55 * 0.125 / 0.675)
    assert float(found["false_alarms"]) == pytest.approx((0.2 + 0.5) / 2)
    assert float(found["informedness"]) == pytest.approx(1 / 8 - 0.35)
    absent = measures(np.array([[6, 2, 2], [0, 0, 0], [3, 4, 1]]), 2)
    assert float(absent["false_alarms"]) == pytest.approx(0.2)
    np.testing.assert_allclose(measures(np.stack([confusion, np.eye(3, dtype=int)]), 2)["seen"], [0.55, 1])


def test_rows_given_to_the_held_out_class_at_random_are_no_recognition() -> None:
    """Though the harmonic mean is far above chance, and the recall of the held-out class too."""
    rng = np.random.default_rng(5)
    truth = np.repeat(np.arange(5), 4000)
    guess = np.where(rng.random(len(truth)) < 0.45, 0, np.where(truth == 0, 1, truth))
    found = measures(metrics.confusion_matrix(truth, guess, 5), 0)
    assert found["harmonic"] > 0.45
    assert found["unseen"] > 0.4
    assert abs(found["informedness"]) < 0.03


def test_intervals_are_over_subjects_and_cover_what_they_are_of() -> None:
    rng = np.random.default_rng(3)
    subjects = np.repeat([f"p{i}" for i in range(10)], 30)
    clips = [f"c{i}" for i in range(300)]
    keys = pd.DataFrame({"sample_id": clips, "clip_id": clips, "subject": subjects})
    truth = np.tile([0, 1, 2], 100)
    predicted = {c: np.where(rng.random(300) < 0.5, truth, rng.integers(0, 3, 300)) for c in range(3)}
    found = score(clusters_of(keys), truth, predicted, "abc")
    json.dumps(found)
    assert found["over"] == "subjects"
    assert found["chance"] == pytest.approx(1 / 3)
    for c, each in enumerate(found["classes"]):
        assert each["unseen"]["value"] == pytest.approx((predicted[c][truth == c] == c).mean())
    for name in ("seen", "unseen", "harmonic", "false_alarms", "informedness"):
        values = [each[name]["value"] for each in found["classes"]]
        assert found["mean"][name]["value"] == pytest.approx(np.mean(values))
        for each in (*found["classes"], found["mean"]):
            assert each[name]["low"] < each[name]["value"] < each[name]["high"]
    width = {n: found["mean"][n]["high"] - found["mean"][n]["low"] for n in ("seen", "unseen")}
    assert width["unseen"] < max(e["unseen"]["high"] - e["unseen"]["low"] for e in found["classes"])
    older = {**found, "mean": {name: found["mean"][name] for name in ("seen", "unseen", "harmonic")}}
    assert len(lines(older)) == 5
    said = lines(found)
    assert len(said) == 5
    assert said[-1] == "chance 0.333 for each (95% intervals over subjects)"
    assert score(clusters_of(keys.assign(subject=None)), truth, predicted, "abc")["over"] == "clips"


def test_two_subjects_have_no_zero_shot_intervals_and_the_text_says_so() -> None:
    clips = [f"c{i}" for i in range(60)]
    keys = pd.DataFrame({"sample_id": clips, "clip_id": clips, "subject": ["p", "q"] * 30})
    truth = np.tile([0, 0, 1, 1, 2, 2], 10)
    found = score(clusters_of(keys), truth, {0: truth, 2: truth}, "abc")
    assert found["n_clusters"] == 2
    for each in (*found["classes"], found["mean"]):
        assert [each[name]["low"] for name in ("seen", "unseen", "harmonic")] == [None] * 3
        assert each["harmonic"]["value"] == 1
    said = lines(found)
    assert "2 subjects are too few" in said[-1]
    assert not any("None" in line or "[" in line for line in said)


# --- affect ----------------------------------------------------------------------------------------------


def test_class_names_find_their_place_whatever_their_form() -> None:
    eav = coordinates(["Neutral", "Sadness", "Anger", "Happiness", "Calmness"])
    ravdess = coordinates(["neutral", "sad", "ANGRY", " happy", "calm"])
    np.testing.assert_array_equal(eav, ravdess)
    assert np.isfinite(coordinates(["fearful", "disgust", "surprised", "Fear", "surprise"])).all()
    assert np.isnan(coordinates(["class 7"])).all()
    assert coordinates([]).shape == (0, 2)


def test_places_are_where_raters_put_the_words() -> None:
    names = ("happy", "angry", "afraid", "disgust", "sad", "bored", "calm", "neutral")
    places = dict(zip(names, coordinates(names), strict=True))
    assert (np.abs(list(places.values())) <= 1).all()
    pleasant = {name for name in names if places[name][0] > places["neutral"][0]}
    roused = {name for name in names if places[name][1] > places["neutral"][1]}
    assert pleasant == {"happy", "calm"}
    assert roused >= {"happy", "angry", "afraid", "disgust"}
    assert not roused & {"calm"}
    np.testing.assert_allclose(coordinates(["happy"]), [[(8.47 - 5) / 4, (6.05 - 5) / 4]])


# --- the whole -------------------------------------------------------------------------------------------


def test_an_unseen_class_is_named_above_chance_where_modalities_share_what_tells_it(tmp_path: Path) -> None:
    paths = tables(tmp_path, noise=0.15)
    out = tmp_path / "out.parquet"
    settings = AlignmentSettings(replace(TRAINING, epochs=8, batch=16, ema=0.8), epochs=12)
    result = recognize(paths, out, "all", settings)
    scores = result.scores
    assert scores["mean"]["unseen"]["low"] > scores["chance"]
    assert scores["mean"]["seen"]["low"] > 0.5
    assert scores["mean"]["informedness"]["low"] > 0.2
    assert scores["told_apart"]["low"] > 0.5
    assert failures(scores) == []
    assert scores["mean"]["harmonic"]["value"] > scores["uncorrected"]["mean"]["harmonic"]["value"]
    assert [each["class"] for each in scores["classes"]] == list(CLASSES)

    kept = read_predictions(out)
    assert kept.classes == CLASSES
    assert len(kept) == len(read_features(paths[0]))
    recall = [(kept.pred[kept.keys["label"] == name] == name).mean() for name in CLASSES]
    unseen = [each["unseen"]["value"] for each in scores["classes"]]
    np.testing.assert_allclose(recall, unseen)  # each row as judged when its own class was held out
    assert kept.meta["name"].endswith("each row with its own class held out")
    assert kept.meta["modalities"] == sorted(MODALITIES)
    assert kept.meta["zero_shot"] == json.loads(json.dumps(scores))
    assert (scores["query"], scores["space"]) == ("eeg", ["audio", "video"])


def test_where_modalities_share_nothing_it_says_that_held_out_classes_were_not_recognised(
    tmp_path: Path,
) -> None:
    paths = tables(tmp_path, noise=0.15, shared=False, classes=(*CLASSES, "Neutral"))
    result = recognize(paths, tmp_path / "out.parquet", "all")
    told = result.scores["told_apart"]
    assert told["low"] < 0.5
    assert set(failures(result.scores)) <= set(result.warnings)
    assert failures(result.scores)


def test_with_three_classes_the_bias_is_not_corrected_and_a_warning_says_so(tmp_path: Path) -> None:
    paths = tables(tmp_path, classes=CLASSES[:3])
    result = recognize(paths, tmp_path / "out.parquet", "Anger")
    assert result.scores["constants"] is None
    assert result.scores["uncorrected"] is None
    assert set(failures(result.scores)) <= set(result.warnings)
    informed = result.scores["mean"]["informedness"]
    assert len(failures(result.scores)) == 1 + (informed["low"] <= 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0),
        ({"told_apart": {"value": 0.55, "low": 0.45, "high": 0.65}}, 1),
        ({"told_apart": {"value": 0.9, "low": None, "high": None}}, 1),  # too few people
        ({"constants": {"Anger": [0.1]}}, 1),  # of two folds
        ({"constants": None, "told_apart": None}, 1),
        (
            {
                "constants": None,
                "told_apart": None,
                "mean": {"informedness": {"value": 0, "low": -0.1, "high": 0.1}},
            },
            2,
        ),
    ],
)
def test_every_way_in_which_recognition_is_not_shown_is_told(change: dict[str, Any], expected: int) -> None:
    sure = {"value": 0.6, "low": 0.55, "high": 0.65}
    scores = {
        "n_folds": 2,
        "constants": {"Anger": [0.1, 0.2]},
        "told_apart": sure,
        "mean": {"informedness": sure},
    }
    assert len(failures({**scores, **change})) == expected


def test_a_fit_without_two_classes_is_the_same_whichever_of_them_is_held_out(tmp_path: Path) -> None:
    paths = tables(tmp_path)
    together = recognize(paths, tmp_path / "all.parquet", "all").scores["constants"]
    for name in ("Anger", "Sadness"):
        alone = recognize(paths, tmp_path / f"{name}.parquet", name).scores["constants"]
        assert alone[name] == together[name]


def test_one_class_held_out_of_two_tables_and_not_again_where_nothing_changed(tmp_path: Path) -> None:
    paths = tables(tmp_path)[:2]
    out = tmp_path / "out.parquet"
    first = recognize(paths, out, "Sadness")
    assert first.scores["space"] == ["audio"]
    assert first.predictions.meta["out_of_fold"] is True
    assert first.predictions.meta["name"].startswith("zero-shot, eeg")
    assert first.predictions.meta["name"].endswith("Sadness held out")
    assert all(text in failures(first.scores) for text in first.warnings)
    content = out.read_bytes()
    again = recognize(paths, out, "Sadness")
    assert again.up_to_date
    assert again.scores == json.loads(json.dumps(first.scores))
    forced = recognize(paths, out, "Sadness", force=True)
    assert not forced.up_to_date
    assert out.read_bytes() == content
    assert not recognize(paths, out, "Anger").up_to_date


def test_classes_without_a_place_are_told_and_learned_without(tmp_path: Path) -> None:
    paths = tables(tmp_path, classes=("Anger", "boo", "Sadness"))
    result = recognize(paths, tmp_path / "out.parquet", "Anger")
    assert [text for text in result.warnings if text.startswith("boo: ") and "valence" in text]


def test_what_cannot_be_asked_for_is_refused(tmp_path: Path) -> None:
    paths, out = tables(tmp_path), tmp_path / "out.parquet"

    with pytest.raises(UsageError, match="no class 'Fear'.*Anger, Calmness, Happiness, Sadness, or all"):
        recognize(paths, out, "Fear")
    with pytest.raises(UsageError, match="--contrastive needs two tables"):
        recognize(paths[:2], out, "Anger", network_settings={"contrastive": 0.5})
    with pytest.raises(UsageError, match="two tables or more"):
        recognize(paths[:1], out, "Anger")
    with pytest.raises(UsageError, match="freeze_epochs"):
        AlignmentSettings(replace(TRAINING, freeze_epochs=1))
    with pytest.raises(DataError, match="one class of three or more; the tables have Anger and Sadness"):
        recognize(tables(tmp_path, classes=("Anger", "Sadness")), out, "Anger")
    assert not out.exists()


def test_a_recording_under_two_names_is_a_leak(tmp_path: Path) -> None:
    paths = tables(tmp_path)
    for path in paths:
        table = read_features(path)
        table.x[:] = table.x[0]
        write_features(table, path)
    with pytest.raises(LeakError):
        recognize(paths, tmp_path / "out.parquet", "Anger")


def test_a_fold_that_never_met_the_class_cannot_place_it(tmp_path: Path) -> None:
    paths = tables(tmp_path)
    for path in paths:
        table = read_features(path)
        kept = (table.keys["label"] != "Anger") | (table.keys["subject"] == "p0")
        rows = np.flatnonzero(kept)
        write_features(
            replace(table, keys=table.keys.iloc[rows].reset_index(drop=True), x=table.x[rows]), path
        )
    assert len(join_features(paths, ["mlp"] * 3).data.rows)
    with pytest.raises(DataError, match="no training row of the class 'Anger'"):
        recognize(paths, tmp_path / "out.parquet", "Anger")
