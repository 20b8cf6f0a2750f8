from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl import registry
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.evaluation.metrics import SMALLEST, indices, log_loss
from eavctl.evaluation.summary import compare, summarize
from eavctl.fusion import late
from eavctl.storage.tables import PredictionTable, key_frame

CLASSES = ("angry", "calm", "sad")
METHODS = ("max", "mean", "product", "stacking", "vote", "weighted")
LEARNED = ("stacking", "weighted")
PROTOCOL = {"name": "group-kfold", "group": "subject", "folds": 4, "shares": False, "warnings": ["a note"]}


def corpus_keys(n_subjects: int = 8, per_class: int = 4) -> pd.DataFrame:
    rows = [
        {
            "sample_id": f"s{s}-{label}-{i}",
            "clip_id": f"s{s}-{label}-{i}",
            "subject": f"s{s}",
            "label": label,
            "fold": s % 4 + 1,
        }
        for s in range(n_subjects)
        for label in CLASSES
        for i in range(per_class)
    ]
    return key_frame(pd.DataFrame(rows).sort_values("sample_id"))


def model(
    seed: int, skill: float = 1.5, name: str = "svm", keys: pd.DataFrame | None = None
) -> PredictionTable:
    """Out-of-fold predictions of a made-up model, the better the higher its skill."""
    keys = corpus_keys() if keys is None else keys
    truth = indices(keys["label"], CLASSES)
    scores = skill * np.eye(3)[truth] + np.random.default_rng(seed).normal(size=(len(keys), 3))
    proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    meta = {
        "name": name,
        "modalities": ["audio"],
        "model_hashes": [name],
        "protocol": PROTOCOL,
        "out_of_fold": True,
    }
    return PredictionTable(keys, proba, CLASSES, meta)


def pair() -> list[PredictionTable]:
    return [model(0, name="svm"), model(1, skill=1.0, name="dnn")]


def shuffled(table: PredictionTable, seed: int) -> PredictionTable:
    """The same table with rows and classes in another order."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(table)), rng.permutation(len(table.classes))
    return replace(
        table,
        keys=table.keys.iloc[rows].reset_index(drop=True),
        proba=table.proba[rows][:, columns],
        classes=tuple(table.classes[c] for c in columns),
        pred=table.pred[rows],
    )


def test_all_methods_are_registered() -> None:
    assert set(METHODS) <= set(registry.names("fusers"))


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=4, deadline=None)
def test_order_of_rows_and_classes_changes_nothing(method: str, seed: int) -> None:
    a, b = pair()
    straight = late.fuse([a, b], method).predictions
    mixed = late.fuse([a, shuffled(b, seed)], method).predictions
    np.testing.assert_allclose(mixed.proba, straight.proba, atol=1e-6)
    pd.testing.assert_frame_equal(mixed.keys, straight.keys)
    np.testing.assert_allclose(straight.proba.sum(axis=1), 1)
    assert straight.keys["sample_id"].is_monotonic_increasing


@pytest.mark.parametrize("method", ["mean", "product", "max", "weighted"])
def test_a_table_fused_with_itself_is_itself(method: str) -> None:
    a = model(0)
    fused = late.fuse([a, a], method).predictions
    np.testing.assert_allclose(fused.proba, a.proba, atol=1e-12)
    assert fused.classes == a.classes


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_a_fold_do_not_touch_its_answers(method: str) -> None:
    """All the rows under test are said to be sad: whoever counted them would answer it more seldom."""
    tables = pair()
    tested = (tables[0].keys["fold"] == 2).to_numpy(dtype=bool)
    lied = [replace(t, keys=t.keys.assign(label=t.keys["label"].where(~tested, "sad"))) for t in tables]
    honest, other = (late.fuse(t, method) for t in (tables, lied))
    assert honest.predictions.pred[tested].tolist() == other.predictions.pred[tested].tolist()
    np.testing.assert_array_equal(honest.predictions.proba[tested], other.predictions.proba[tested])
    assert (honest.predictions.pred[~tested] != other.predictions.pred[~tested]).any()
    assert honest.fuser.priors == pytest.approx([1 / 3] * 3)
    assert other.fuser.priors == pytest.approx([0.25, 0.25, 0.5])


def unequal() -> list[PredictionTable]:
    """Calibrated predictions of two models that know little; 72 % of all clips are angry."""
    labels = {"angry": 18, "calm": 4, "sad": 3}
    rows = [
        {"sample_id": f"{s:02}-{label}-{i:02}", "clip_id": f"{s}-{label}-{i}", "subject": f"s{s}"}
        | {"label": label, "fold": s % 4 + 1}
        for s in range(8)
        for label, n in labels.items()
        for i in range(n)
    ]
    keys = key_frame(pd.DataFrame(rows).sort_values("sample_id"))
    tables = [model(seed, 1.5, name, keys) for seed, name in ((0, "svm"), (1, "dnn"))]
    shares = np.array([*labels.values()]) / sum(labels.values())
    weighed = [t.proba * shares for t in tables]
    return [
        replace(t, proba=p / p.sum(axis=1, keepdims=True), pred=t.pred)
        for t, p in zip(tables, weighed, strict=True)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_fused_answers_serve_the_mean_recall(method: str) -> None:
    """Probabilities that heed the classes' frequencies seldom name a rare class; answers do."""
    fused = late.fuse(unequal(), method)
    found, likeliest = fused.predictions, replace(fused.predictions, pred=None)
    answered = summarize(found)["uar"]["value"]
    assert answered > max(summarize(t)["uar"]["value"] for t in unequal()) - 0.02
    if method != "vote":  # whose shares of votes are for answers already
        assert answered > summarize(likeliest)["uar"]["value"] + 0.05
        shares = pd.Series(found.keys["label"]).value_counts(normalize=True)[list(CLASSES)].to_numpy()
        expected = np.array(CLASSES)[(found.proba / shares).argmax(axis=1)]
        assert found.pred.tolist() == expected.tolist()  # all folds have the same shares


def test_without_folds_or_labels_the_answer_is_the_likeliest_class() -> None:
    a, b = unequal()
    nowhere = [replace(t, keys=t.keys.assign(fold=pd.array([None] * len(t), "Int64"))) for t in (a, b)]
    unknown = [replace(t, keys=t.keys.assign(label=None)) for t in (a, b)]
    for tables in (nowhere, unknown):
        found = late.fuse(tables, "mean").predictions
        assert found.pred.tolist() == replace(found, pred=None).pred.tolist()
    assert late.fuse(nowhere, "mean").fuser.priors == pytest.approx([0.72, 0.16, 0.12])


@pytest.mark.parametrize("method", METHODS)
def test_a_kept_fuser_answers_by_the_priors_of_all_its_rows(method: str) -> None:
    fuser = late.fuse(unequal(), method).fuser
    again = late.LateFuser.from_parts(fuser.to_arrays(), json.loads(json.dumps(fuser.to_meta())))
    assert again.priors == pytest.approx([0.72, 0.16, 0.12])
    fused = again.fuse(unequal())
    assert fused.pred.tolist() == np.array(CLASSES)[again.decide(fused.proba)].tolist()
    assert summarize(fused)["uar"]["value"] > 0.6
    old = {key: value for key, value in fuser.to_meta().items() if key != "priors"}
    assert late.LateFuser.from_parts(fuser.to_arrays(), old).priors == pytest.approx([1 / 3] * 3)
    with pytest.raises(ValueError, match="priors"):
        late.LateFuser.from_parts(fuser.to_arrays(), {**fuser.to_meta(), "priors": [1.0]})


@pytest.mark.parametrize("method", LEARNED)
def test_labels_of_a_fold_do_not_touch_how_it_is_fused(method: str) -> None:
    """Whoever learned on the rows under test would be moved by their labels."""
    tables = pair()
    tested = (tables[0].keys["fold"] == 2).to_numpy(dtype=bool)
    keys = tables[0].keys.copy()
    keys.loc[tested, "label"] = np.random.default_rng(0).permutation(keys.loc[tested, "label"].to_numpy())
    lied = [replace(table, keys=keys) for table in tables]
    honest, other = (late.fuse(t, method).predictions.proba for t in (tables, lied))
    np.testing.assert_array_equal(honest[tested], other[tested])
    assert np.abs(honest[~tested] - other[~tested]).max() > 1e-6


@pytest.mark.parametrize("method", LEARNED)
def test_noise_against_labels_gains_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fusing models that know nothing must stay at chance: learning on the test rows would rise above it.

    The mean of 12 runs has a standard error of 0.014; stacking that has seen the rows comes to 0.46.
    """
    monkeypatch.setattr(late, "table_of", lambda *_: [])  # not looked at here, and slow
    uars = []
    for seed in range(12):
        tables = [model(10 * seed + i, skill=0.0, name=str(i)) for i in range(3)]
        uars.append(summarize(late.fuse(tables, method).predictions)["uar"]["value"])
    assert np.mean(uars) < 1 / 3 + 0.05


def test_weights_are_the_best_on_the_simplex() -> None:
    tables = [model(0, skill=2.5, name="good"), model(1, skill=0.3, name="poor")]
    fuser = late.new("weighted").fit(tables)
    assert fuser.weights is not None
    assert sum(fuser.weights) == pytest.approx(1)
    assert fuser.weights[0] > fuser.weights[1]
    truth = indices(tables[0].keys["label"], CLASSES)
    losses = [
        log_loss(truth, w * tables[0].proba + (1 - w) * tables[1].proba) for w in np.linspace(0, 1, 1001)
    ]
    assert fuser.weights[0] == pytest.approx(np.argmin(losses) / 1000, abs=2e-3)


def test_stacking_mends_a_model_that_swaps_two_classes() -> None:
    good = model(0, skill=3.0)
    swapped = replace(good, proba=good.proba[:, [1, 0, 2]], pred=None)
    fused = late.fuse([swapped, model(1, skill=0.0)], "stacking").predictions
    assert summarize(swapped)["uar"]["value"] < 0.5
    assert summarize(fused)["uar"]["value"] > 0.8


def test_majority_wins_and_the_mean_breaks_ties() -> None:
    keys = corpus_keys(1, 1)
    rows = {
        "a": [[0.5, 0.4, 0.1], [0.9, 0.1, 0.0], [0.4, 0.3, 0.3]],
        "b": [[0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.3, 0.4, 0.3]],
        "c": [[0.0, 1.0, 0.0], [0.1, 0.3, 0.6], [0.3, 0.3, 0.4]],
    }
    tables = [replace(model(0, name=n, keys=keys), proba=np.array(p), pred=None) for n, p in rows.items()]
    fused = late.fuse(tables, "vote").predictions
    assert fused.pred[0] == "angry"  # two votes to one, though the mean says calm
    assert fused.pred[1] == "angry"  # one vote each: the highest mean
    assert late.fuse(tables, "mean").predictions.pred[0] == "calm"


def test_product_is_the_geometric_mean_even_beside_zeros() -> None:
    a, b = pair()
    expected = np.sqrt(a.proba * b.proba)
    fused = late.fuse([a, b], "product").predictions
    np.testing.assert_allclose(fused.proba, expected / expected.sum(axis=1, keepdims=True))
    sure = replace(a, proba=np.eye(3)[np.zeros(len(a), int)], pred=None)
    opposed = replace(a, proba=np.eye(3)[np.ones(len(a), int)], pred=None)
    assert np.isfinite(late.fuse([sure, opposed], "product").predictions.proba).all()


@pytest.mark.parametrize("method", METHODS)
def test_parts_rebuild_the_fuser(method: str) -> None:
    tables = pair()
    fuser = late.fuse(tables, method).fuser
    meta = json.loads(json.dumps(fuser.to_meta()))
    again = late.LateFuser.from_parts(fuser.to_arrays(), meta)
    np.testing.assert_array_equal(again.fuse(tables).proba, fuser.fuse(tables).proba)
    assert again.weights == fuser.weights
    stack = np.stack([t.proba for t in tables], axis=1)
    np.testing.assert_array_equal(again.predict_proba(stack), fuser.fuse(tables).proba)


def test_parts_that_do_not_fit_are_refused() -> None:
    fuser = late.fuse(pair(), "weighted").fuser
    with pytest.raises(ValueError, match=r"."):
        late.LateFuser.from_parts({"weights": np.ones(5)}, fuser.to_meta())


@pytest.mark.parametrize("method", METHODS)
def test_a_kept_fuser_serves_new_recordings_and_says_they_are_not_out_of_fold(method: str) -> None:
    fuser = late.fuse(pair(), method).fuser
    keys = key_frame(pd.DataFrame({"sample_id": ["new"], "clip_id": ["new"]}))
    svm, dnn = ({"out_of_fold": False, "model_hashes": [name]} for name in ("svm", "dnn"))
    tables = [
        PredictionTable(keys, np.array([[0.1, 0.7, 0.2]]), CLASSES, svm),
        PredictionTable(keys, np.array([[0.2, 0.1, 0.7]]), ("sad", "angry", "calm"), dnn),
    ]
    fused = fuser.fuse(tables)
    assert fused.pred.tolist() == ["calm"]
    assert fused.meta["out_of_fold"] is False


def test_rows_of_one_table_only_are_left_out_and_counted() -> None:
    a, b = pair()
    short = replace(b, keys=b.keys.iloc[5:].reset_index(drop=True), proba=b.proba[5:], pred=None)
    fused = late.fuse([a, short], "mean").predictions
    assert len(fused) == len(a) - 5
    assert fused.meta["fusion"]["left_out"] == {"svm": 5, "dnn": 0}
    assert any("5 rows of svm were left out" in text for text in fused.meta["protocol"]["warnings"])


def test_meta_tells_where_the_rows_come_from() -> None:
    a, b = pair()
    b = replace(b, meta=b.meta | {"modalities": ["eeg"], "protocol": PROTOCOL | {"warnings": ["b note"]}})
    meta = late.fuse([a, b], "weighted").predictions.meta
    json.dumps(meta)
    assert meta["name"] == "weighted fusion"
    assert meta["fusion"]["inputs"] == ["svm", "dnn"]
    assert meta["fusion"]["used"] == {"svm+dnn": 96}
    assert meta["fusion"]["absent"] == {"svm": 0, "dnn": 0}
    assert meta["modalities"] == ["audio", "eeg"]
    assert meta["model_hashes"] == ["svm", "dnn"]
    assert meta["protocol"]["name"] == "group-kfold"
    assert meta["protocol"]["warnings"] == ["a note", "b note"]
    assert meta["out_of_fold"] is True
    assert sum(meta["fusion"]["weights"].values()) == pytest.approx(1)


@pytest.mark.parametrize("method", LEARNED)
def test_nothing_is_learned_from_rows_that_models_were_trained_on(method: str) -> None:
    a, b = pair()
    with pytest.raises(DataError, match="dnn: not out-of-fold"):
        late.fuse([a, replace(b, meta=b.meta | {"out_of_fold": False})], method)
    nowhere = replace(b, keys=b.keys.assign(fold=pd.array([None] * len(b), "Int64")))
    with pytest.raises(DataError, match="no test fold"):
        late.fuse([a, nowhere], method)


def test_learning_needs_the_same_folds_and_two_of_them() -> None:
    a, b = pair()
    other = replace(b, keys=b.keys.assign(fold=pd.array(np.roll(b.keys["fold"], 5), "Int64")))
    with pytest.raises(DataError, match="different folds"):
        late.fuse([a, other], "weighted")
    assert late.fuse([a, other], "mean").predictions.keys["fold"].isna().all()
    renumbered = replace(b, keys=b.keys.assign(fold=10 - b.keys["fold"]))
    late.fuse([a, renumbered], "weighted")
    single = [replace(t, keys=t.keys.assign(fold=pd.array([1] * len(t), "Int64"))) for t in (a, b)]
    with pytest.raises(DataError, match="one fold only"):
        late.fuse(single, "stacking")


def test_speakers_in_two_folds_are_refused_unless_the_protocol_says_so() -> None:
    a, b = pair()
    folds = pd.array(np.arange(len(a)) % 4 + 1, "Int64")
    torn = [replace(t, keys=t.keys.assign(fold=folds)) for t in (a, b)]
    with pytest.raises(LeakError, match="8 subjects"):
        late.fuse(torn, "weighted")
    named = [
        replace(t, meta=t.meta | {"protocol": PROTOCOL | {"shares": True, "group": "clip_id"}}) for t in torn
    ]
    late.fuse(named, "weighted")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda b: replace(b, classes=("angry", "calm", "fear")),
            "svm and dnn have different classes: fear, sad",
        ),
        (
            lambda b: replace(b, keys=b.keys.assign(label=b.keys["label"].iloc[::-1].to_numpy())),
            "on the label of",
        ),
        (lambda b: replace(b, keys=b.keys.assign(subject="someone")), "on the subject of 96 samples"),
        (
            lambda b: replace(b, keys=b.keys.assign(sample_id=b.keys["sample_id"] + "x")),
            "no sample_id in common",
        ),
        (
            lambda b: replace(b, keys=pd.concat([b.keys[:-1], b.keys[:1]])),
            "dnn: the sample .* in more than one row",
        ),
    ],
)
def test_tables_that_do_not_fit_are_named(change, text: str) -> None:
    a, b = pair()
    with pytest.raises(DataError, match=text):
        late.fuse([a, change(b)], "mean")


def test_wrong_use_is_told() -> None:
    with pytest.raises(UsageError, match="two prediction tables"):
        late.fuse([model(0)], "mean")
    with pytest.raises(UsageError, match="Did you mean 'stacking'"):
        late.fuse(pair(), "staking")
    with pytest.raises(DataError, match="made for 2"):
        late.new("mean").fit(pair()).fuse([model(i) for i in range(3)])
    unlabelled = [replace(t, keys=t.keys.assign(label=None)) for t in pair()]
    with pytest.raises(DataError, match="labels"):
        late.fuse(unlabelled, "weighted")


@pytest.mark.parametrize("method", ["weighted", "stacking"])
def test_labels_of_one_fold_alone_teach_nothing_about_it(method: str) -> None:
    labelled = [
        replace(table, keys=table.keys.assign(label=table.keys["label"].where(table.keys["fold"] == 1, None)))
        for table in pair()
    ]
    with pytest.raises(DataError, match="labels"):
        late.fuse(labelled, method)


def test_labels_missing_in_one_table_come_from_the_other() -> None:
    a, b = pair()
    blank = replace(a, keys=a.keys.assign(label=None))
    assert late.fuse([blank, b], "mean").predictions.keys["label"].tolist() == b.keys["label"].tolist()


def test_fusion_of_two_views_beats_the_better_one() -> None:
    keys = corpus_keys(16, 8)
    tables = [model(i, skill=1.2, name=str(i), keys=keys) for i in range(2)]
    fused = late.fuse(tables, "mean").predictions
    best = max(tables, key=lambda t: summarize(t)["uar"]["value"])
    verdict = compare(fused, best)
    assert verdict["better"]
    assert verdict["p_value"] < 0.05
    assert verdict["first"] - verdict["second"] == pytest.approx(verdict["difference"]["value"])


def test_a_class_that_training_rows_lack_gets_next_to_nothing() -> None:
    fuser = late.new("stacking")
    rng = np.random.default_rng(0)
    keys = corpus_keys()
    two = keys[keys["label"] != "sad"].reset_index(drop=True)
    tables = [
        replace(model(i, keys=two), proba=rng.dirichlet(np.ones(3), len(two)), pred=None) for i in range(2)
    ]
    proba = fuser.fit(tables).fuse(tables).proba
    assert proba[:, 2].max() < 1e-4
    assert proba.min() >= 0
    assert proba[:, :2].min() > SMALLEST
