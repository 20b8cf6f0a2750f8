from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError
from eavctl.evaluation.calibration_curve import calibration_curve
from eavctl.evaluation.summary import summarize
from eavctl.storage.tables import PredictionTable, key_frame

CLASSES = ("a", "b")


def table(confidence: np.ndarray, is_right: np.ndarray, n_subjects: int = 10) -> PredictionTable:
    """Rows that all answer ``a`` with this confidence, of labels that make the answer right or wrong."""
    n = len(confidence)
    keys = key_frame(
        pd.DataFrame(
            {
                "sample_id": [f"{i:05}" for i in range(n)],
                "clip_id": [f"{i:05}" for i in range(n)],
                "subject": [f"s{i % n_subjects}" for i in range(n)],
                "label": np.where(is_right, "a", "b"),
            }
        )
    )
    return PredictionTable(keys, np.column_stack([confidence, 1 - confidence]), CLASSES)


def test_the_weighted_gaps_of_the_curve_are_the_expected_calibration_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 700)
    found = table(confidence, rng.random(700) < confidence**2)
    curve = calibration_curve(found)
    gaps = sum(each["n_rows"] * abs(each["right"]["value"] - each["confidence"]) for each in curve) / 700
    assert gaps == pytest.approx(summarize(found)["calibration_error"]["value"], abs=1e-12)
    assert sum(each["n_rows"] for each in curve) == 700
    for each in curve:
        assert each["low"] <= each["confidence"] <= each["high"]
        assert each["right"]["low"] <= each["right"]["value"] <= each["right"]["high"]


def test_a_calibrated_model_lies_on_the_diagonal_within_its_intervals() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 4000)
    curve = calibration_curve(table(confidence, rng.random(4000) < confidence, 20))
    covered = [each["right"]["low"] <= each["confidence"] <= each["right"]["high"] for each in curve]
    assert np.mean(covered) >= 0.85


def test_two_people_give_no_interval_and_rows_without_labels_have_no_part() -> None:
    found = table(np.full(40, 0.9), np.arange(40) % 4 > 0, 2)
    (only,) = calibration_curve(found)
    assert (only["right"]["value"], only["right"]["low"], only["n_rows"]) == (0.75, None, 40)
    unlabelled = PredictionTable(found.keys.assign(label=None), found.proba, CLASSES)
    with pytest.raises(DataError):
        calibration_curve(unlabelled)
