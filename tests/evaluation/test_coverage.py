"""Coverage against accuracy, and the interval of the calibration error."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError
from eavctl.evaluation.calibration_error import calibration_interval
from eavctl.evaluation.coverage import coverage
from eavctl.evaluation.intervals import clusters_of
from eavctl.evaluation.metrics import calibration_error
from eavctl.evaluation.summary import summarize
from eavctl.storage.tables import PredictionTable, key_frame, read_predictions, write_predictions

CLASSES = ("a", "b", "c")


def table(n: int, *, n_people: int = 20, honest: bool = True, seed: int = 0) -> PredictionTable:
    """Rows whose labels are drawn from their probabilities, or, if not honest, from half as certain ones."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(3, 0.7), n)
    drawn_from = proba if honest else (proba + 1 / 3) / 2
    labels = [CLASSES[rng.choice(3, p=each)] for each in drawn_from]
    names = [f"s{i:05d}" for i in range(n)]
    people = [f"p{i % n_people}" for i in range(n)]
    keys = key_frame(pd.DataFrame({"sample_id": names, "clip_id": names, "subject": people, "label": labels}))
    return PredictionTable(keys, proba, CLASSES, {"out_of_fold": True})


def test_points_of_the_curve_are_scores_of_the_most_confident_rows() -> None:
    found = coverage(table(400))
    json.dumps(found, allow_nan=False)
    one = table(400)
    confidence, right = one.proba.max(axis=1), one.pred == one.keys["label"]
    for point in found["curve"]:
        answered = confidence >= point["confidence"]
        assert answered.mean() == pytest.approx(point["coverage"])
        assert right[answered].mean() == pytest.approx(point["accuracy"])
    assert found["curve"][-1]["coverage"] == 1
    assert found["at"][-1]["uar"] == summarize(one)["uar"]
    half = found["at"][1]
    assert (half["coverage"], half["n_rows"]) == (0.5, 200)
    assert half["accuracy"]["low"] < half["accuracy"]["value"] < half["accuracy"]["high"]


def test_confidence_that_says_nothing_gives_a_flat_curve_whatever_the_order_of_rows() -> None:
    flat = table(300)
    flat = replace(flat, proba=np.tile([0.5, 0.3, 0.2], (300, 1)), pred=None)
    flat.__post_init__()
    found = coverage(flat)
    accuracy = (flat.keys["label"] == "a").mean()
    assert [point["accuracy"] for point in found["curve"]] == pytest.approx([accuracy] * len(found["curve"]))
    assert found["area"]["accuracy"] == pytest.approx(accuracy)
    assert found["area"]["uar"] == pytest.approx(1 / 3)


def test_confidence_that_tells_right_from_wrong_has_the_largest_area() -> None:
    """With a share a of right rows, all before the wrong ones, the area is a - a ln a."""
    n, share = 2000, 0.6
    right = np.arange(n) < share * n
    p = np.linspace(0.99, 0.5, n)
    keys = key_frame(
        pd.DataFrame(
            {"sample_id": [f"s{i:04d}" for i in range(n)], "label": np.where(right, "a", "b"), "clip_id": "x"}
        )
    )
    found = coverage(PredictionTable(keys, np.column_stack([p, 1 - p]), ("a", "b")))
    assert found["area"]["accuracy"] == pytest.approx(share - share * np.log(share), abs=1e-3)


def test_unsure_rows_are_counted_and_the_others_scored(tmp_path) -> None:
    one = table(200)
    right = (one.pred == one.keys["label"]).to_numpy()
    doubted = replace(one, unsure=[None if each else "unlike the training data" for each in right])
    found = coverage(doubted)
    assert found["n_unsure"] == (~right).sum()
    assert (found["sure"]["accuracy"]["value"], found["sure"]["n_rows"]) == (1.0, right.sum())
    assert coverage(one)["n_unsure"] is None
    meta = {"modalities": ["audio"], "model_hashes": [], "protocol": {"name": "predict"}}
    for each in (doubted, one):
        write_predictions(replace(each, meta=meta), tmp_path / "p.parquet")
        assert list(read_predictions(tmp_path / "p.parquet").unsure) == list(each.unsure)


def test_rows_without_labels_are_not_scored() -> None:
    bare = table(30)
    bare = replace(bare, keys=bare.keys.assign(label=None))
    with pytest.raises(DataError, match="label"):
        coverage(bare)


def test_the_interval_of_the_calibration_error_is_around_it_and_shrinks_with_people() -> None:
    lengths = []
    for n_people in (5, 40):
        one = table(40 * n_people, n_people=n_people, honest=False)
        truth = np.array([CLASSES.index(label) for label in one.keys["label"]])
        found = calibration_interval(clusters_of(one.keys), truth, one.proba)
        assert found.value == pytest.approx(calibration_error(truth, one.proba))
        assert found.low < found.value < found.high
        assert summarize(one)["calibration_error"] == found.to_json()
        lengths.append(found.high - found.low)
    assert lengths[1] < lengths[0] / 2


def test_intervals_hold_the_error_of_ten_times_the_people() -> None:
    """Of 40 intervals at 95 %, from small samples, few miss the error of a large sample."""
    large = table(40_000, n_people=1000, honest=False, seed=99)
    truth = np.array([CLASSES.index(label) for label in large.keys["label"]])
    error = calibration_error(truth, large.proba)
    found = [summarize(table(600, honest=False, seed=seed))["calibration_error"] for seed in range(40)]
    assert sum(not each["low"] <= error <= each["high"] for each in found) <= 5


def test_too_few_people_have_no_interval() -> None:
    assert summarize(table(100, n_people=2))["calibration_error"]["low"] is None


def test_errors_of_two_data_sets_that_cancel_out_over_all_rows_are_shown_for_each() -> None:
    """On one data set the model is right 8 times in 10 at a confidence of 0.6, on the other 4 times."""
    n = 400
    right = np.concatenate([np.arange(n) % 10 < 8, np.arange(n) % 10 < 4])
    names = [f"s{i:04d}" for i in range(2 * n)]
    keys = key_frame(
        pd.DataFrame(
            {
                "sample_id": names,
                "clip_id": names,
                "subject": [f"p{i % 20}" for i in range(2 * n)],
                "dataset": np.repeat(["one", "two"], n),
                "label": np.where(right, "a", "b"),
            }
        )
    )
    scores = summarize(PredictionTable(keys, np.tile([0.6, 0.4], (2 * n, 1)), ("a", "b")))
    assert scores["calibration_error"]["value"] == pytest.approx(0, abs=1e-6)
    each = scores["calibration_error_by_dataset"]
    assert {name: entry["value"] for name, entry in each.items()} == pytest.approx({"one": 0.2, "two": 0.2})
    assert summarize(table(60))["calibration_error_by_dataset"] == {}
