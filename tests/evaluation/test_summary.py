from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eavctl.cli.facts import lines
from eavctl.cli.scores import score_line, verdict
from eavctl.evaluation import formatting
from eavctl.evaluation.intervals import holm
from eavctl.evaluation.summary import compare, corrected, summarize
from eavctl.storage.tables import PredictionTable, key_frame

CLASSES = ("calm", "sad")


def predictions(right: np.ndarray, group: str = "subject", **columns: object) -> PredictionTable:
    """Rows of n people, shape (n_people, n_each), judged rightly where it says so; classes take turns."""
    n_people, n_each = right.shape
    ids = [f"{i:04}" for i in range(right.size)]
    labels = np.tile(CLASSES, right.size // 2)
    subjects = np.repeat([f"p{i}" for i in range(n_people)], n_each)
    frame = {"sample_id": ids, "clip_id": ids, "label": labels, "subject": subjects} | columns
    truth = (labels == "sad").astype(int)
    proba = np.eye(2)[np.where(right.ravel(), truth, 1 - truth)]
    meta = {"protocol": {"name": "group-kfold", "group": group, "warnings": []}, "out_of_fold": True}
    return PredictionTable(key_frame(pd.DataFrame(frame)), proba, CLASSES, meta)


def shown(**facts: object) -> str:
    """What `eavctl show` prints of a table of predictions."""
    return "\n".join(lines({"file": "p.parquet", "kind": "table of predictions", **facts}))


def people(n: int, n_each: int, n_right: int) -> np.ndarray:
    return np.tile(np.arange(n_each) < n_right, (n, 1))


def test_two_subjects_have_scores_but_no_intervals() -> None:
    found = summarize(predictions(people(2, 20, 14)))
    assert (found["over"], found["n_clusters"]) == ("subjects", 2)
    for name in ("uar", "macro_f1", "accuracy"):
        assert (found[name]["low"], found[name]["high"]) == (None, None)
        assert found[name]["value"] == pytest.approx(0.7, abs=0.01)
    assert '"low": null' in json.dumps(found, allow_nan=False)
    for text in (score_line(found), shown(scores=found)):
        assert "no interval: 2 subjects are too few" in text
        assert "0.700" in text
        assert "None" not in text


def test_sessions_of_one_person_are_the_clusters_where_the_protocol_keeps_them_apart() -> None:
    """Clips of a session are alike, so they would seem more certain than they are."""
    right = np.random.default_rng(0).random((6, 40)) < np.linspace(0.2, 1, 6)[:, None]
    sessions = np.repeat([f"s{i}" for i in range(6)], 40)
    by_session, by_clip = (
        predictions(right, group, subject="only", session=sessions) for group in ("session", "clip_id")
    )
    wide, narrow = summarize(by_session), summarize(by_clip)
    assert (wide["over"], wide["n_clusters"]) == ("sessions", 6)
    assert (narrow["over"], narrow["n_clusters"]) == ("clips", 240)
    assert wide["uar"]["high"] - wide["uar"]["low"] > 2 * (narrow["uar"]["high"] - narrow["uar"]["low"])
    none = predictions(~right, "session", subject="only", session=sessions)
    assert compare(none, by_session)["over"] == compare(by_clip, by_session)["over"] == "sessions"


def test_better_needs_the_test_and_not_the_interval_alone() -> None:
    """Of five people all do better by about as much: an interval far above 0, and p = 2 / 2^5."""
    first, second = predictions(people(5, 40, 30)), predictions(people(5, 40, 20))
    found = compare(first, second)
    assert found["difference"]["low"] > 0.02
    assert found["p_value"] == 0.0625
    assert (found["better"], found["worse"]) == (False, False)
    assert "is better than" not in verdict({"name": "svm", **found})
    for more in (compare(*(predictions(people(8, 40, n)) for n in (30, 20))), found | {"p_value": 0.01}):
        assert corrected([more])[0]["better"] is True
        assert "is better than the best of its inputs, svm" in verdict({"name": "svm", **more})
    assert compare(*(predictions(people(8, 40, n)) for n in (20, 30)))["worse"] is True


def test_better_needs_the_interval_and_not_the_test_alone() -> None:
    some = {"difference": {"value": 0.1, "low": -0.01, "high": 0.2}, "p_value": 0.01}
    assert corrected([some])[0]["better"] is False
    none = {"difference": {"value": 0.1, "low": None, "high": None}, "p_value": 0.01}
    assert (corrected([none])[0]["better"], corrected([none])[0]["worse"]) == (False, False)


def test_comparisons_that_are_shown_together_are_corrected() -> None:
    up = {"value": 0.1, "low": 0.05, "high": 0.15}
    some = [{"difference": up, "p_value": p} for p in (0.03, 0.01, 0.04)]
    found = corrected(some)
    assert [each["p_value"] for each in found] == pytest.approx(holm([0.03, 0.01, 0.04]))
    assert [each["better"] for each in found] == [False, True, False]
    assert {each["n_compared"] for each in found} == {3}
    assert some[0]["p_value"] == 0.03
    picked = corrected(some, [2, 6, 1])
    assert [each["p_value"] for each in picked] == pytest.approx(holm([0.06, 0.06, 0.04]))
    assert not any(each["better"] for each in picked)
    assert {each["n_compared"] for each in picked} == {9}
    assert "9 comparisons" in formatting.p_value(picked[0])
    assert "comparison" not in formatting.p_value(corrected(some[:1])[0])
    assert corrected([]) == []


def test_two_subjects_are_compared_without_an_interval() -> None:
    found = compare(*(predictions(people(2, 40, n)) for n in (30, 20)))
    assert (found["difference"]["low"], found["better"]) == (None, False)
    versus = {"name": "svm", **found}
    for text in (verdict(versus), shown(fusion={"versus": [versus]})):
        assert "no interval: 2 subjects are too few" in text
        assert "None" not in text


def test_what_rounds_to_zero_has_no_minus() -> None:
    tiny = {"value": -1e-9, "low": -0.0, "high": 1e-9}
    assert formatting.difference(tiny) == "+0.000 [+0.000, +0.000]"
    assert formatting.score(tiny) == "0.000 [0.000, 0.000]"
    perfect = predictions(people(4, 8, 8))
    found = compare(perfect, replace(perfect, proba=perfect.proba * 1.0))
    assert "difference +0.000 [+0.000, +0.000]" in verdict({"name": "svm", **found})
    assert "-0" not in shown(scores=summarize(perfect), fusion={"versus": [{"name": "svm", **found}]})
