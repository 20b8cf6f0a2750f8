from __future__ import annotations

import pytest

from eavctl.errors import UsageError
from eavctl.evaluation.thresholds import Threshold, failures


def model(name: str, uar: float, low: float | None = None) -> dict[str, object]:
    other = {"value": 0.9, "low": None, "high": None}
    return {
        "name": name,
        "uar": {"value": uar, "low": low, "high": 1.0},
        "macro_f1": other,
        "accuracy": other,
        "level": 0.95,
        "n_clusters": 2,
        "over": "subjects",
    }


MODELS = [model("svm", 0.6, 0.5), model("c=n:n", 0.7)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("uar=0.6", []),  # equal is enough
        ("uar=0.65", ["svm"]),
        ("uar=0.71", ["svm", "c=n:n"]),
        ("svm:uar=0.9", ["svm"]),
        ("c=n:n:uar=0.9", ["c=n:n"]),
        ("svm:uar_low=0.5", []),
        ("uar_low=0.4", ["c=n:n"]),  # which has no interval
        ("accuracy=0.9", []),
        ("macro_f1=1", ["svm", "c=n:n"]),
        ("uar=0", []),
    ],
)
def test_each_score_below_its_least_is_named(text: str, named: list[str]) -> None:
    found = failures(MODELS, [Threshold.parse(text)])
    assert all(sentence.startswith(f"{name}: ") for name, sentence in zip(named, found, strict=True))


@pytest.mark.parametrize(
    "text", ["uar", "uar=", "=0.5", "uar=60", "uar=nan", "uar=-0.1", "uar=x", "f1=0.5", "uar_high=0.5", ""]
)
def test_what_is_no_least_score_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="fail-under"):
        Threshold.parse(text)


def test_a_least_score_of_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="dnn"):
        failures(MODELS, [Threshold.parse("dnn:uar=0.5")])
