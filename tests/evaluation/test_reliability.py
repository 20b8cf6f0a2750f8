"""How often answers are right: by class and confidence, with an interval, or not at all."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from eavctl.evaluation.reliability import (
    FEWEST,
    fits,
    is_cross_corpus,
    look_up,
    measured_on,
    reliability,
)
from eavctl.storage.tables import PredictionTable, key_frame


def table(
    n: int, right: float, *, n_people: int = 8, seconds: float = 4.0, named: str = "a"
) -> PredictionTable:
    """Rows that are all called one class, with rising confidence, of which a share is right."""
    rng = np.random.default_rng(0)
    confidence = np.linspace(0.4, 0.9, n)
    others = (1 - confidence) / 2
    proba = np.column_stack([confidence if name == named else others for name in "abc"])
    is_right = rng.permutation(np.arange(n) < round(right * n))
    keys = key_frame(
        pd.DataFrame(
            {
                "sample_id": [f"s{i:04d}" for i in range(n)],
                "clip_id": [f"s{i:04d}" for i in range(n)],
                "subject": [f"p{i % n_people}" for i in range(n)],
                "label": np.where(is_right, named, "c"),
                "start": 0.0,
                "end": seconds,
            }
        )
    )
    return PredictionTable(keys, proba, ("a", "b", "c"))


def test_each_part_says_its_share_its_count_and_its_interval() -> None:
    found = reliability(table(200, 0.75))
    json.dumps(found, allow_nan=False)
    parts = found["classes"]["a"]
    assert [part["n_rows"] for part in parts] == [40] * 5
    assert np.mean([part["right"] for part in parts]) == pytest.approx(0.75)
    assert all(part["low"] < part["right"] < part["high"] for part in parts)
    assert look_up(found, "a", 0.41) == parts[0]
    assert look_up(found, "a", 0.99) == parts[-1]


def test_a_class_named_too_seldom_has_no_figure() -> None:
    """Two answers of 100 % said "100 % right" of a class that was never named rightly."""
    assert reliability(table(FEWEST - 1, 1.0))["classes"] == {}
    few = reliability(table(FEWEST, 0.0))
    assert look_up(few, "a", 0.9)["right"] == 0
    assert look_up(few, "b", 0.9) is None


def test_a_figure_for_one_class_says_nothing_of_another() -> None:
    one, other = table(100, 1.0), table(100, 0.1, named="b")
    keys = pd.concat(
        [one.keys, other.keys.assign(sample_id=lambda k: "z" + k["sample_id"])], ignore_index=True
    )
    both = reliability(PredictionTable(keys, np.concatenate([one.proba, other.proba]), one.classes))
    assert look_up(both, "a", 0.9)["right"] > 0.9
    assert look_up(both, "b", 0.9)["right"] < 0.3


def test_too_few_people_have_no_figure() -> None:
    assert reliability(table(200, 0.75, n_people=2))["classes"] == {}


def test_rows_without_a_label_do_not_count() -> None:
    bare = table(200, 0.75)
    keys = bare.keys.assign(label=[None if i % 2 else label for i, label in enumerate(bare.keys["label"])])
    assert (
        sum(p["n_rows"] for p in reliability(PredictionTable(keys, bare.proba, bare.classes))["classes"]["a"])
        == 100
    )


def test_lengths_that_were_not_measured_do_not_fit() -> None:
    level = reliability(table(100, 0.75))
    assert [fits(level, seconds) for seconds in (125.0, 4.0, 4.9, 3.3, 1.0)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert fits(reliability(table(100, 0.75, seconds=np.nan)), 125.0)


@pytest.mark.parametrize(
    ("group", "names", "is_cross"),
    [
        ("dataset", ["one", "two"], True),
        ("dataset", ["one"], False),
        ("subject", ["one", "two"], False),
        ("subject", ["one"], False),
        ("subject", [], False),
    ],
)
def test_it_says_on_which_recordings_it_was_measured(group: str, names: list[str], is_cross: bool) -> None:
    bare = table(200, 0.75)
    datasets = [names[i % len(names)] if names else None for i in range(200)]
    meta = {"protocol": {"name": "lodo", "group": group}}
    found = reliability(PredictionTable(bare.keys.assign(dataset=datasets), bare.proba, bare.classes, meta))
    measured = json.loads(json.dumps(found))["measured_on"]
    assert measured == {"held_out": group, "datasets": names}
    assert is_cross_corpus(measured) is is_cross
    assert all(name in measured_on(measured) for name in names) is not is_cross
    assert ("speakers" in measured_on(measured)) is (group == "subject")


def test_of_files_of_older_versions_it_is_not_known_on_which() -> None:
    assert not is_cross_corpus({})
    assert measured_on({})
