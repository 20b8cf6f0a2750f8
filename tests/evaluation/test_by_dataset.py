"""Scores of each data set, and their mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eavctl.evaluation.by_dataset import by_dataset
from eavctl.evaluation.summary import summarize
from eavctl.storage.tables import PredictionTable, key_frame


def table(right: dict[str, float], n_rows: int = 40) -> PredictionTable:
    """Predictions of data sets with two classes and ten speakers each, of which this share is right."""
    rows = [
        {"sample_id": f"{d}{i:03d}", "clip_id": f"{d}{i:03d}", "dataset": d, "subject": str(i % 10)}
        for d in right
        for i in range(n_rows)
    ]
    truth = np.tile(np.repeat([0, 1], n_rows // 2), len(right))
    pred = truth.copy()
    for number, share in enumerate(right.values()):
        for half in (0, n_rows // 2):
            start = number * n_rows + half
            wrong = slice(start + round(share * n_rows / 2), start + n_rows // 2)
            pred[wrong] = 1 - pred[wrong]
    keys = key_frame(pd.DataFrame(rows).assign(label=np.array(["a", "b"])[truth]))
    return PredictionTable(keys, np.eye(2)[pred] * 0.8 + 0.1, ("a", "b"), {"protocol": {"name": "lodo"}})


def test_each_data_set_has_its_score_and_their_mean_has_equal_weights() -> None:
    found = summarize(table({"one": 0.9, "two": 0.5, "three": 0.7}))
    assert {each["dataset"]: each["uar"]["value"] for each in found["per_dataset"]} == pytest.approx(
        {"one": 0.9, "two": 0.5, "three": 0.7}
    )
    assert all((each["over"], each["n_clusters"]) == ("subjects", 10) for each in found["per_dataset"])
    mean = found["over_datasets"]
    assert mean["uar"]["value"] == pytest.approx(0.7)
    assert mean["uar"]["low"] < 0.5 < 0.9 < mean["uar"]["high"]  # three data sets say little


def test_data_sets_that_agree_leave_the_uncertainty_of_their_clips() -> None:
    mean = summarize(table({"one": 0.8, "two": 0.8, "three": 0.8}))["over_datasets"]["uar"]
    assert mean["low"] < 0.8 < mean["high"]
    assert mean["high"] - mean["low"] > 0.1


def test_two_data_sets_have_a_mean_without_an_interval() -> None:
    mean = summarize(table({"one": 0.9, "two": 0.5}))["over_datasets"]
    assert mean["uar"] == {"value": pytest.approx(0.7), "low": None, "high": None}


def test_a_class_that_a_data_set_lacks_does_not_count_in_it() -> None:
    keys = pd.DataFrame({"dataset": ["one"] * 4 + ["two"] * 4, "clip_id": list("abcdefgh")})
    truth = np.array([0, 0, 1, 1, 0, 1, 2, 2])
    one, two = by_dataset(keys, truth, truth, 3, None)["per_dataset"]
    assert (one["chance"], two["chance"]) == (1 / 2, 1 / 3)
    assert one["uar"]["value"] == two["uar"]["value"] == 1


def test_one_data_set_has_no_such_scores() -> None:
    found = summarize(table({"one": 0.9}))
    assert (found["per_dataset"], found["over_datasets"]) == ([], None)
