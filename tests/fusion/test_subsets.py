from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError
from eavctl.evaluation.summary import compare, summarize
from eavctl.fusion import late
from eavctl.fusion.subsets import lines, subsets_of, table_of, warnings_of
from eavctl.report.subsets import subset_table
from eavctl.storage.tables import PredictionTable, key_frame

CLASSES = ("angry", "calm", "sad")
METHODS = ("max", "mean", "product", "stacking", "vote", "weighted")


def keys(n_subjects: int = 12, per_class: int = 4) -> pd.DataFrame:
    rows = [
        {"sample_id": f"{s:02}-{label}-{i}", "clip_id": f"{s:02}-{label}-{i}", "subject": f"s{s}"}
        | {"label": label, "fold": s % 4}
        for s in range(n_subjects)
        for label in CLASSES
        for i in range(per_class)
    ]
    return key_frame(pd.DataFrame(rows).sort_values("sample_id"))


def predicted(
    right: np.ndarray, sure: float, name: str, frame: pd.DataFrame | None = None
) -> PredictionTable:
    """Rows judged rightly or, towards the next class, wrongly, with the probability ``sure``."""
    frame = keys() if frame is None else frame
    truth = np.array([CLASSES.index(label) for label in frame["label"]])
    said = np.where(right, truth, (truth + 1) % 3)
    proba = np.full((len(frame), 3), (1 - sure) / 2)
    proba[np.arange(len(frame)), said] = sure
    protocol = {"name": "group-kfold", "group": "subject", "shares": False, "warnings": []}
    meta = {"name": name, "model_hashes": [name], "protocol": protocol, "out_of_fold": True}
    return PredictionTable(frame, proba, CLASSES, meta)


def model(name: str, seed: int, accuracy: float, sure: float = 0.7) -> PredictionTable:
    return predicted(np.random.default_rng(seed).random(144) < accuracy, sure, name)


def trio() -> list[PredictionTable]:
    return [model("eeg", 0, 0.5, 0.6), model("voice", 1, 0.8), model("face", 2, 0.7)]


def by_inputs(entries: list[dict]) -> dict[str, dict]:
    return {"+".join(entry["inputs"]): entry for entry in entries}


def test_all_subsets_come_full_first_by_falling_size_in_the_order_of_names() -> None:
    abc = [("a", "b", "c"), ("a", "b"), ("a", "c"), ("b", "c"), ("a",), ("b",), ("c",)]
    assert subsets_of(["a", "b", "c"]) == abc
    assert subsets_of(["b", "a"]) == [("b", "a"), ("b",), ("a",)]
    assert subsets_of(["a"]) == [("a",)]
    assert subsets_of([]) == []
    assert len(set(subsets_of("abcde"))) == 31


def test_of_many_names_only_the_full_set_one_out_and_one_alone() -> None:
    many = subsets_of("abcdef")
    assert [len(subset) for subset in many] == [6] + [5] * 6 + [1] * 6
    assert {next(iter(set("abcdef") - set(subset))) for subset in many[1:7]} == set("abcdef")
    assert [subset[0] for subset in many[7:]] == list("abcdef")


@pytest.mark.parametrize("method", METHODS)
def test_late_fusion_gives_the_table_of_its_subsets(method: str) -> None:
    tables = trio()
    fused = late.fuse(tables, method)
    assert fused.subsets is not None
    assert [tuple(e["inputs"]) for e in fused.subsets] == subsets_of(["eeg", "voice", "face"])
    json.dumps(fused.subsets, allow_nan=False)
    full = fused.subsets[0]
    assert full["uar"] == summarize(fused.predictions)["uar"]
    versus = compare(fused.predictions, tables[1])
    assert (full["best"], full["best_uar"]) == ("voice", versus["second"])
    assert full["difference"] == versus["difference"]
    assert full["p_value"] >= versus["p_value"]
    assert full["n_compared"] == 3 + 3 * 2 + 3  # the best of three, of two three times, and each alone
    assert full["over"] == "subjects"
    assert full["n_rows"] == 144
    best = {"eeg+voice": "voice", "eeg+face": "face", "voice+face": "voice", "eeg": "eeg"}
    entries = by_inputs(fused.subsets)
    assert {name: entries[name]["best"] for name in best} == best


@pytest.mark.parametrize("method", ["mean", "product", "weighted"])
def test_one_input_alone_scores_as_its_own_model(method: str) -> None:
    tables = trio()
    entries = by_inputs(late.fuse(tables, method).subsets or [])
    for table in tables:
        entry = entries[table.meta["name"]]
        assert entry["uar"] == summarize(table)["uar"]
        assert entry["difference"] == {"value": 0, "low": 0, "high": 0}
        assert entry["worse"] is False


@pytest.mark.parametrize("method", ["stacking", "weighted"])
def test_subsets_are_judged_by_fusers_of_the_other_folds(method: str) -> None:
    tables = trio()
    folds = tables[0].keys["fold"].to_numpy(dtype=int)
    present = np.array([True, False, True])
    right = np.zeros(144, dtype=bool)
    for fold in range(4):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        parts = [
            replace(t, keys=t.keys.iloc[train].reset_index(drop=True), proba=t.proba[train], pred=None)
            for t in tables
        ]
        stack = np.stack([t.proba[test] for t in tables], axis=1)
        proba = late.new(method).fit(parts).predict_proba(stack, np.tile(present, (len(test), 1)))
        said = np.array(CLASSES)[proba.argmax(axis=1)]
        right[test] = said == tables[0].keys["label"].to_numpy()[test]
    entry = by_inputs(late.fuse(tables, method).subsets or [])["eeg+face"]
    assert entry["uar"]["value"] == pytest.approx(right.mean())  # as many rows of each class


def test_losing_the_input_that_knows_costs_its_score() -> None:
    knows, guesses = model("knows", 0, 1.0, 0.9), model("guesses", 1, 1 / 3, 0.5)
    entries = by_inputs(late.fuse([knows, guesses], "mean").subsets or [])
    assert entries["knows+guesses"]["uar"]["value"] == 1
    assert entries["guesses"]["uar"]["value"] < 0.5
    assert not any(entry["worse"] for entry in entries.values())
    assert entries["knows+guesses"]["best_uar"] == 1


def test_a_fusion_below_the_best_of_those_left_is_told() -> None:
    """A loud model that is mostly wrong drowns a modest one that is right, until a third outvotes it."""
    modest = predicted(np.ones(144, dtype=bool), 0.5, "modest")
    loud = model("loud", 3, 0.3, 0.99)
    second = predicted(np.ones(144, dtype=bool), 0.995, "second")
    subsets = late.fuse([modest, loud, second], "mean").subsets or []
    entries = by_inputs(subsets)
    drowned = entries["modest+loud"]
    assert drowned["worse"]
    assert drowned["best"] == "modest"
    assert drowned["uar"] == entries["loud"]["uar"]
    assert drowned["difference"]["value"] == pytest.approx(entries["loud"]["uar"]["value"] - 1)
    assert drowned["difference"]["high"] < 0
    assert not entries["modest+loud+second"]["worse"]
    told = warnings_of(subsets)
    assert len(told) == 1
    assert told[0].startswith("without second the fusion is worse than modest alone: difference -0.")


def test_a_difference_that_may_be_chance_is_not_called_worse() -> None:
    row, odd = np.arange(144) % 12, np.arange(144) // 12 % 2 == 1
    better = predicted(odd | (row >= 3), 0.7, "better")  # misses 3 of 12 for every other subject,
    fused = predicted(~odd | (row >= 4), 0.7, "fused")  # and this one 4 for those between
    (only,) = table_of(lambda subset: fused, {"better": better}, ["better"])
    assert only["difference"]["low"] < only["difference"]["value"] < 0 < only["difference"]["high"]
    assert only["worse"] is False
    assert warnings_of([only]) == []


def test_all_of_five_people_below_the_best_are_too_few_to_call_the_fusion_worse() -> None:
    """The interval lies below 0, yet five people give no p value below 2 / 2^5."""
    row = np.arange(60) % 12
    better, fused = (predicted(row < n_right, 0.7, "m", keys(n_subjects=5)) for n_right in (10, 4))
    (only,) = table_of(lambda subset: fused, {"better": better}, ["better"])
    assert only["difference"]["high"] < 0
    assert only["p_value"] == 2 / 2**5
    assert only["worse"] is False


def entry(inputs: list[str], worse: bool = False, best: str | None = "a") -> dict:
    score = {"value": 0.5, "low": 0.4321, "high": 0.6}
    return {
        "inputs": inputs,
        "uar": score,
        "over": "subjects",
        "n_rows": 10,
        "best": best,
        "best_uar": best and 0.55,
        "difference": best and {"value": -0.05, "low": -0.1, "high": -0.01},
        "p_value": best and 0.012,
        "n_compared": best and 7,
        "worse": worse,
    }


def test_the_text_is_aligned_and_says_what_is_worse() -> None:
    entries = [entry(["a", "bcd", "e"], True), entry(["a"], True), entry(["bcd"], best=None)]
    assert lines(entries) == [
        "inputs       UAR                   best single  difference",
        "a + bcd + e  0.500 [0.432, 0.600]  a 0.550      -0.050 [-0.100, -0.010]",
        "a            0.500 [0.432, 0.600]  a 0.550      -0.050 [-0.100, -0.010]",
        "bcd          0.500 [0.432, 0.600]  -            -",
    ]
    difference = "difference -0.050 [-0.100, -0.010], p = 0.012, corrected for 7 comparisons"
    assert warnings_of(entries) == [
        f"the fusion is worse than a alone: {difference}",
        f"without bcd and e the fusion is worse than a alone: {difference}",
    ]
    assert warnings_of([entry(["a", "b", "c", "d"]), entry(["b"], True)])[0].startswith("without a, c and d ")
    assert warnings_of([]) == []


def test_the_p_value_counts_the_models_that_the_best_was_picked_from() -> None:
    rows = np.arange(144) % 12
    single, fused = predicted(rows < 9, 0.7, "a"), predicted(rows < 8, 0.7, "f")
    plain = compare(fused, single)["p_value"]
    one = table_of(lambda subset: fused, {"a": single}, ["a"])
    assert [each["p_value"] for each in one] == [plain]
    poor = predicted(rows < 2, 0.7, "b")
    two = by_inputs(table_of(lambda subset: fused, {"a": single, "b": poor}, ["a", "b"]))
    # Holm takes the smallest first: a+b has p doubled, a and b are plain, three entries in all
    assert two["b"]["p_value"] == pytest.approx(3 * compare(fused, poor)["p_value"])
    assert two["a+b"]["p_value"] == pytest.approx(max(2 * plain, 3 * plain))
    assert two["a+b"]["worse"] is True
    assert two["a"]["n_compared"] == 4


def test_two_subjects_have_no_intervals_and_the_text_says_so_once() -> None:
    table = predicted(np.arange(24) % 12 < 9, 0.7, "a", keys(n_subjects=2))
    entries = table_of(lambda subset: table, {"a": table, "b": table}, ["a", "b"])
    assert all(each["uar"]["low"] is None and each["worse"] is False for each in entries)
    text = "\n".join(lines(entries))
    assert text.count("no interval: 2 subjects are too few") == 1
    assert "None" not in text
    assert warnings_of(entries) == []


def test_groups_of_the_protocol_are_the_clusters_of_a_single_subject() -> None:
    frame = keys().assign(session=keys()["subject"], subject="only")
    table = predicted(np.arange(144) % 12 < 9, 0.7, "a", frame)
    table.meta["protocol"]["group"] = "session"
    (only,) = table_of(lambda subset: table, {}, ["a"])
    assert (only["over"], only["n_clusters"]) == ("sessions", 12)


def test_tables_of_older_versions_are_shown_and_their_untested_verdicts_are_not() -> None:
    old = {k: v for k, v in entry(["a"], True).items() if k not in ("p_value", "n_compared")}
    assert "0.500 [0.432, 0.600]" in lines([old])[1]
    assert warnings_of([old]) == []
    assert "worse" not in subset_table([old], 0.2)


def test_what_rounds_to_zero_has_no_minus() -> None:
    even = entry(["a"]) | {"difference": {"value": -1e-17, "low": -0.0, "high": 0.0}}
    assert lines([even])[1].endswith("+0.000 [+0.000, +0.000]")


def test_singles_may_be_missing_or_share_no_row() -> None:
    a, b, c = trio()
    elsewhere = replace(c, keys=c.keys.assign(sample_id="x" + c.keys["sample_id"]))
    singles: Mapping[str, PredictionTable | None] = {"voice": None, "face": elsewhere}
    entries = table_of(lambda subset: b, singles, ["eeg", "voice", "face"])
    assert all(e["best"] is None and e["difference"] is None and e["worse"] is False for e in entries)
    assert all(math.isclose(e["uar"]["value"], entries[0]["uar"]["value"]) for e in entries)
    some = by_inputs(table_of(lambda subset: b, {"eeg": a, "voice": None}, ["eeg", "voice"]))
    assert some["eeg+voice"]["best"] == "eeg"
    assert some["eeg+voice"]["best_uar"] == summarize(a)["uar"]["value"]
    assert some["voice"]["best"] is None


def test_the_best_is_picked_on_the_rows_of_the_comparison() -> None:
    """A model that is good elsewhere and bad here is not the best."""
    here = np.arange(144) < 72
    elsewhere_good = predicted(~here, 0.7, "elsewhere")
    fair = model("fair", 0, 0.6)
    fused = replace(fair, keys=fair.keys[here].reset_index(drop=True), proba=fair.proba[here], pred=None)
    (first, *_) = table_of(lambda subset: fused, {"e": elsewhere_good, "f": fair}, ["e", "f"])
    assert first["best"] == "f"
    assert first["n_rows"] == 72


def test_rows_without_labels_are_not_scored() -> None:
    tables = trio()
    frame = keys()
    frame["label"] = frame["label"].where(np.arange(144) >= 36)
    some = late.fuse([replace(t, keys=frame) for t in tables], "mean").subsets
    assert some is not None
    assert some[0]["n_rows"] == 108
    blank = [replace(t, keys=t.keys.assign(label=None)) for t in tables]
    assert late.fuse(blank, "mean").subsets is None
    with pytest.raises(DataError, match="no labelled rows"):
        table_of(lambda subset: blank[0], {}, ["eeg"])


def test_labels_that_no_model_knows_count_against_all() -> None:
    tables = [
        replace(t, keys=t.keys.assign(label=t.keys["label"].replace("sad", "fear")))
        for t in (model("eeg", 0, 1.0), model("voice", 1, 1.0))
    ]
    subsets = late.fuse(tables, "mean").subsets or []
    assert [round(e["uar"]["value"], 6) for e in subsets] == [round(2 / 3, 6)] * 3
    assert [e["worse"] for e in subsets] == [False] * 3
