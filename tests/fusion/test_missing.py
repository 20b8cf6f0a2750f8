"""Kept fusers where inputs are missing, wholly or for some rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gmean
from sklearn.linear_model import LogisticRegression

from eavctl.errors import DataError, UsageError
from eavctl.fusion import late
from eavctl.fusion.late_methods import STACKING_C
from eavctl.storage import artifacts
from eavctl.storage.tables import PredictionTable, key_frame

CLASSES = ("angry", "calm", "sad")
NAMES = ("eeg", "voice", "face")
METHODS = ("max", "mean", "product", "stacking", "vote", "weighted")
MASKS = np.array([[(i >> j) & 1 for j in range(3)] for i in range(1, 8)], dtype=bool)
MEANS = ("mean", "product", "weighted")


def table(name: str, seed: int, skill: float = 1.0, new: str = "", n_subjects: int = 8) -> PredictionTable:
    """Predictions of the model ``name``: out of fold, or of ``new`` recordings."""
    rows = [
        {"sample_id": f"{new}{s}-{label}-{i}", "clip_id": f"{new}{s}-{label}-{i}", "subject": f"{new}{s}"}
        | {"label": label, "fold": None if new else s % 4}
        for s in range(n_subjects)
        for label in CLASSES
        for i in range(3)
    ]
    keys = key_frame(pd.DataFrame(rows).sort_values("sample_id"))
    truth = np.array([CLASSES.index(label) for label in keys["label"]])
    scores = np.exp(skill * np.eye(3)[truth] + np.random.default_rng(seed).normal(size=(len(keys), 3)))
    protocol = {"name": "group-kfold", "group": "subject", "shares": False, "warnings": []}
    meta = {"name": name, "modalities": [name], "model_hashes": [f"hash of {name}"], "protocol": protocol}
    return PredictionTable(
        keys, scores / scores.sum(axis=1, keepdims=True), CLASSES, meta | {"out_of_fold": not new}
    )


def learned_from() -> list[PredictionTable]:
    return [table(name, seed, 0.6 + 0.5 * seed) for seed, name in enumerate(NAMES)]


def new_tables() -> list[PredictionTable]:
    return [table(name, 10 + seed, new="new") for seed, name in enumerate(NAMES)]


FUSERS = {method: late.new(method).fit(learned_from()) for method in METHODS}


def rows_of(t: PredictionTable, rows: Any) -> PredictionTable:
    return replace(t, keys=t.keys.iloc[rows].reset_index(drop=True), proba=t.proba[rows], pred=t.pred[rows])


def made_by(t: PredictionTable, *hashes: str) -> PredictionTable:
    return replace(t, meta=t.meta | {"model_hashes": list(hashes)})


def by_hand(method: str, given: Sequence[np.ndarray], which: Sequence[int]) -> np.ndarray:
    """One row fused by the textbook, from the probabilities of the inputs that are there."""
    if method == "mean":
        fused = sum(given) / len(given)
    elif method == "weighted":
        weights = FUSERS["weighted"].weights
        assert weights is not None
        fused = sum(weights[i] * p for i, p in zip(which, given, strict=True))
    elif method == "product":
        fused = gmean(np.stack(given), axis=0)
    elif method == "max":
        fused = np.array([max(p[c] for p in given) for c in range(3)])
    elif method == "vote":
        votes = Counter(int(p.argmax()) for p in given)
        fused = np.array([votes[c] + np.mean([p[c] for p in given]) for c in range(3)])
    else:
        tables = [learned_from()[i] for i in which]
        truth = [CLASSES.index(label) for label in tables[0].keys["label"]]
        model = LogisticRegression(C=STACKING_C, max_iter=1000)
        model.fit(np.hstack([centred(t.proba) for t in tables]), truth)
        return np.asarray(model.predict_proba(np.hstack([centred(p[None]) for p in given]))[0])
    return np.asarray(fused / np.sum(fused))


def centred(proba: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(proba) - np.log(proba).mean(axis=1, keepdims=True))


@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_fused_from_the_inputs_it_has(method: str) -> None:
    rng = np.random.default_rng(0)
    stack = rng.dirichlet(np.ones(3), (len(MASKS), 3))
    proba = FUSERS[method].predict_proba(stack, MASKS)
    for row, mask, fused in zip(stack, MASKS, proba, strict=True):
        which = np.flatnonzero(mask)
        np.testing.assert_allclose(fused, by_hand(method, [row[i] for i in which], which), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_what_stands_in_an_absent_place_does_not_matter(method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = MASKS[rng.integers(0, len(MASKS), 20)]
    stack = rng.dirichlet(np.ones(3), (20, 3))
    clean = FUSERS[method].predict_proba(stack, present)
    for trap in (np.nan, np.inf, -1.0, 0.0, 1e300):
        trapped = np.where(present[:, :, None], stack, trap)
        np.testing.assert_array_equal(FUSERS[method].predict_proba(trapped, present), clean)
    np.testing.assert_allclose(clean.sum(axis=1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_neither_zeros_nor_ignorance_stand_in(method: str) -> None:
    """A fusion of two must differ from one of three whose third says nothing."""
    stack = np.array([[[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [1 / 3, 1 / 3, 1 / 3]]])
    two = FUSERS[method].predict_proba(stack, np.array([[True, True, False]]))
    if method not in ("max", "vote"):
        assert np.abs(two - FUSERS[method].predict_proba(stack)).max() > 1e-3
    np.testing.assert_allclose(two[0], by_hand(method, [stack[0, 0], stack[0, 1]], [0, 1]), atol=1e-6)


@pytest.mark.parametrize("method", MEANS)
def test_one_input_alone_is_itself(method: str) -> None:
    for t in new_tables():
        fused = FUSERS[method].fuse([t])
        np.testing.assert_allclose(fused.proba, t.proba, rtol=0, atol=1e-14)
        assert fused.pred.tolist() == t.pred.tolist()


@given(mask=st.sampled_from(MASKS.tolist()), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_weights_of_those_present_sum_to_one(mask: list[bool], seed: int) -> None:
    """Inputs that agree are fused to what they agree on only by weights that sum to 1."""
    proba = np.random.default_rng(seed).dirichlet(np.ones(3))
    stack = np.tile(proba, (1, 3, 1))
    raw = FUSERS["weighted"]._combine(stack[:, np.flatnonzero(mask)], np.flatnonzero(mask))
    np.testing.assert_allclose(raw[0], proba)


def test_inputs_of_no_weight_count_alike_where_there_are_no_others() -> None:
    fuser = late.LateFuser.from_parts({"weights": np.array([1.0, 0, 0])}, FUSERS["weighted"].to_meta())
    stack = np.array([[[np.nan] * 3, [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]]])
    np.testing.assert_allclose(fuser.predict_proba(stack, ~np.isnan(stack[:, :, 0])), [[0.4, 0.4, 0.2]])


@pytest.mark.parametrize("method", METHODS)
def test_order_of_tables_changes_nothing(method: str) -> None:
    eeg, voice, face = new_tables()
    tables = [eeg, rows_of(voice, slice(9, None)), rows_of(face, slice(0, 20))]
    first = FUSERS[method].fuse(tables)
    for order in permutations(range(3)):
        other = FUSERS[method].fuse([tables[i] for i in order], [("x", "y", "z")[i] for i in order])
        np.testing.assert_array_equal(other.proba, first.proba)
        pd.testing.assert_frame_equal(other.keys, first.keys)
        assert other.meta == first.meta


@pytest.mark.parametrize("method", METHODS)
def test_some_of_the_tables_are_known_by_their_models(method: str) -> None:
    tables = new_tables()
    for which in (w for size in (1, 2) for w in combinations(range(3), size)):
        fused = FUSERS[method].fuse([tables[i] for i in reversed(which)])
        for row in (0, 7):
            expected = by_hand(method, [tables[i].proba[row] for i in which], which)
            np.testing.assert_allclose(fused.proba[row], expected, atol=1e-6)
        assert fused.meta["modalities"] == sorted(NAMES[i] for i in which)
        assert fused.meta["model_hashes"] == [f"hash of {NAMES[i]}" for i in which]


def test_rows_of_any_table_are_fused_and_counted() -> None:
    eeg, voice, face = new_tables()
    late_face = rows_of(face, slice(60, None))
    fused = FUSERS["mean"].fuse([late_face, rows_of(eeg, slice(0, 70)), rows_of(voice, slice(10, 50))])
    assert fused.keys["sample_id"].tolist() == eeg.keys["sample_id"].tolist()
    assert fused.keys["label"].tolist() == eeg.keys["label"].tolist()
    told = fused.meta["fusion"]
    assert told["used"] == {"eeg+voice": 40, "eeg+face": 10, "eeg": 20, "face": 2}
    assert next(iter(told["used"])) == "eeg+voice"
    assert told["absent"] == {"eeg": 2, "voice": 32, "face": 60}
    assert told["inputs"] == list(NAMES)
    assert told["weights"] == dict.fromkeys(NAMES, pytest.approx(1 / 3))
    assert "60 of 72 rows were fused without face" in fused.meta["protocol"]["warnings"]
    np.testing.assert_allclose(fused.proba[-1], face.proba[-1])
    np.testing.assert_allclose(fused.proba[65], (eeg.proba[65] + face.proba[65]) / 2)
    json.dumps(fused.meta)


def test_weights_told_are_those_of_the_full_set() -> None:
    fuser = FUSERS["weighted"]
    told = fuser.fuse(new_tables()[:1]).meta["fusion"]
    assert tuple(told["weights"].values()) == fuser.weights
    assert told["used"] == {"eeg": 72}


def test_keys_come_from_whichever_table_knows_them() -> None:
    eeg, voice, _ = new_tables()
    nameless = replace(eeg, keys=eeg.keys.assign(label=None, subject=None))
    fused = FUSERS["mean"].fuse([rows_of(nameless, slice(0, 50)), rows_of(voice, slice(20, None))])
    assert fused.keys["label"][:20].isna().all()
    assert fused.keys["label"][20:].tolist() == voice.keys["label"][20:].tolist()
    assert fused.keys["subject"][20:].tolist() == voice.keys["subject"][20:].tolist()
    lied = replace(voice, keys=voice.keys.assign(label=voice.keys["label"].to_numpy()[::-1]))
    with pytest.raises(DataError, match="eeg and voice contradict each other on the label"):
        FUSERS["mean"].fuse([lied, rows_of(eeg, slice(0, 5))])


def test_folds_are_kept_where_tables_agree_on_them() -> None:
    eeg, voice, _ = learned_from()
    part = rows_of(voice, slice(30, 50))
    fused = FUSERS["mean"].fuse([eeg, part])
    assert fused.keys["fold"].tolist() == eeg.keys["fold"].tolist()
    assert fused.meta["out_of_fold"] is True
    assert FUSERS["weighted"].fuse([eeg, part]).meta["out_of_fold"] is False
    renumbered = replace(part, keys=part.keys.assign(fold=10 - part.keys["fold"]))
    assert FUSERS["mean"].fuse([eeg, renumbered]).keys["fold"].isna().all()


def test_a_table_of_another_model_is_refused_by_name() -> None:
    eeg, voice, face = new_tables()
    other = made_by(voice, "hash of another")
    with pytest.raises(DataError, match="stranger was not made by a model of this fuser.*eeg, voice, face"):
        FUSERS["mean"].fuse([eeg, other], ["good", "stranger"])
    with pytest.raises(DataError, match="stranger was not made by"):
        FUSERS["mean"].fuse([eeg, other, face], ["good", "stranger", "face"])
    with pytest.raises(DataError, match="voice was not made by"):  # a fusion of the very models is neither
        FUSERS["mean"].fuse([made_by(voice, "hash of voice", "hash of face"), eeg])
    with pytest.raises(DataError, match="voice was not made by"):
        FUSERS["mean"].fuse([made_by(voice), eeg])


def test_models_trained_again_go_by_the_names_of_their_tables_and_it_is_said() -> None:
    eeg, voice, face = new_tables()
    tables = [face, made_by(eeg, "newer"), made_by(voice)]
    fused = FUSERS["weighted"].fuse(tables)
    np.testing.assert_array_equal(fused.proba, FUSERS["weighted"].fuse([eeg, voice, face]).proba)
    told = [text for text in fused.meta["protocol"]["warnings"] if "another model" in text]
    assert [text.split()[0] for text in told] == ["eeg", "voice"]
    with pytest.raises(DataError, match="face and eeg are both the fuser's input eeg"):
        FUSERS["mean"].fuse([made_by(face, "hash of eeg"), made_by(eeg, "newer"), voice])


def test_an_input_given_twice_is_refused() -> None:
    eeg, voice, _ = new_tables()
    with pytest.raises(DataError, match="a and c are both the fuser's input eeg"):
        FUSERS["mean"].fuse([eeg, voice, rows_of(eeg, slice(0, 5))], ["a", "b", "c"])
    with pytest.raises(DataError, match="4 tables, but this fuser was made for 3"):
        FUSERS["mean"].fuse([*new_tables(), eeg])
    with pytest.raises(UsageError, match="needs a prediction table"):
        FUSERS["mean"].fuse([])


def test_inputs_of_the_same_models_are_told_apart_by_name_or_not_at_all() -> None:
    a, b, _ = learned_from()
    twins = [made_by(a, "one", "two"), made_by(b, "two", "one")]
    fuser = late.new("weighted").fit(twins, ["sum", "product"])
    straight = fuser.fuse(twins, ["sum", "product"])
    np.testing.assert_array_equal(fuser.fuse(twins[::-1], ["product", "sum"]).proba, straight.proba)
    with pytest.raises(DataError, match="x could be any of these inputs: sum, product"):
        fuser.fuse(twins[:1], ["x"])


def test_classes_must_be_the_fusers() -> None:
    eeg, voice, _ = new_tables()
    with pytest.raises(DataError, match="the fuser and eeg have different classes: angry, calm, fear"):
        FUSERS["mean"].fuse([replace(eeg, classes=("fear", "joy", "rage"))])
    turned = replace(voice, classes=CLASSES[::-1], proba=voice.proba[:, ::-1])
    np.testing.assert_array_equal(
        FUSERS["stacking"].fuse([eeg, turned]).proba, FUSERS["stacking"].fuse([eeg, voice]).proba
    )


def test_a_row_without_any_input_is_refused() -> None:
    stack = np.full((3, 3, 3), 1 / 3)
    present = np.array([[True, False, False], [False] * 3, [True] * 3])
    with pytest.raises(DataError, match="row 1 has none of the inputs eeg, voice, face"):
        FUSERS["mean"].predict_proba(stack, present)
    empty = rows_of(new_tables()[0], slice(0, 0))
    with pytest.raises(DataError, match="eeg: no rows to fuse"):
        FUSERS["mean"].fuse([empty])
    kept = FUSERS["mean"].fuse([empty, new_tables()[1]])
    assert kept.meta["fusion"]["used"] == {"voice": 72}
    twice = rows_of(new_tables()[0], [0, 1, 1])
    with pytest.raises(DataError, match="eeg: the sample .* in more than one row"):
        FUSERS["mean"].fuse([twice])


@pytest.mark.parametrize("method", METHODS)
def test_a_kept_file_knows_its_inputs_again(method: str, tmp_path: Path, model_meta: Any) -> None:
    path = tmp_path / "fuse.joblib"
    artifacts.save(path, FUSERS[method], model_meta("fuse"))
    again = artifacts.load(path).predictor
    assert again.hashes == tuple((f"hash of {name}",) for name in NAMES)
    tables = new_tables()[1:]
    np.testing.assert_array_equal(again.fuse(tables).proba, FUSERS[method].fuse(tables).proba)


@pytest.mark.parametrize("method", METHODS)
def test_files_of_older_versions_take_their_tables_in_order(method: str) -> None:
    """They know no models, and of stacking the regression on all inputs alone."""
    meta = {key: value for key, value in FUSERS[method].to_meta().items() if key != "hashes"}
    arrays = {name: a for name, a in FUSERS[method].to_arrays().items() if "_" not in name}
    old = late.LateFuser.from_parts(arrays, meta)
    tables = [made_by(t, "whatever") for t in new_tables()]
    fused = old.fuse(tables, ["x", "y", "z"])
    np.testing.assert_array_equal(fused.proba, FUSERS[method].fuse(new_tables()).proba)
    assert fused.meta["protocol"]["warnings"] == []
    with pytest.raises(DataError, match="2 tables, but this fuser was made for 3"):
        old.fuse(tables[:2])
    gap = [tables[0], tables[1], rows_of(tables[2], slice(5, None))]
    if method == "stacking":
        with pytest.raises(DataError, match="no stacking of eeg \\+ voice alone"):
            old.fuse(gap)
    else:
        assert old.fuse(gap).meta["fusion"]["used"] == {"eeg+voice+face": 67, "eeg+voice": 5}


def test_damaged_files_are_told() -> None:
    parts = FUSERS["stacking"].to_arrays(), FUSERS["stacking"].to_meta()
    with pytest.raises(ValueError, match="matmul"):
        late.LateFuser.from_parts(parts[0] | {"coef_1": np.zeros((3, 5))}, parts[1])
    with pytest.raises(ValueError, match="hashes of 1 inputs for 3"):
        late.LateFuser.from_parts(parts[0], parts[1] | {"hashes": [["a"]]})
    with pytest.raises(KeyError):
        late.LateFuser.from_parts({"coef_0": parts[0]["coef_0"]}, parts[1])


def test_stacking_of_many_inputs_has_learned_the_full_set_one_out_and_one_alone() -> None:
    names = [f"m{i}" for i in range(6)]
    tables = [table(name, seed) for seed, name in enumerate(names)]
    fuser = late.new("stacking").fit(tables)
    assert len(fuser.to_arrays()) == 2 * (1 + 6 + 6)
    for some in (tables, tables[1:], tables[:1]):
        np.testing.assert_allclose(fuser.fuse(some).proba.sum(axis=1), 1)
    with pytest.raises(DataError, match=r"no stacking of m0 \+ m1 alone.*\n.*more than 5 inputs"):
        fuser.fuse(tables[:2])


def test_a_lost_input_costs_what_it_knew() -> None:
    """Of inputs that know as much as each other, three are better than two, and two better than one."""
    tables = [table(name, 20 + s, 1.0, new="new", n_subjects=60) for s, name in enumerate(NAMES)]
    truth = tables[0].keys["label"]
    right = [(FUSERS["product"].fuse(tables[:n]).pred == truth).mean() for n in (1, 2, 3)]
    assert right[0] + 0.05 < right[1] < right[2] - 0.02
