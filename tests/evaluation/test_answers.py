"""Whatever scores a table scores its answers, and not its likeliest classes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.calibration import decide
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.evaluation.plan import Split
from eavctl.evaluation.summary import compare, summarize
from eavctl.fusion.pool import Pool
from eavctl.fusion.pooled import SingleModel
from eavctl.fusion.subsets import table_of
from eavctl.report.html import page
from eavctl.report.summary import summary
from eavctl.storage.tables import PredictionTable, key_frame
from eavctl.training.cross_validation import Fit, FoldResult
from eavctl.training.fusion_fitter import FusionScores

PRIORS = np.array([0.9, 0.1])
CLASSES = ("often", "rare")


def answered() -> PredictionTable:
    """All rows are answered rightly; of the rare ones the likeliest class is the other."""
    truth = np.arange(24) % 2
    names = [f"r{i:02}" for i in range(24)]
    keys = key_frame(
        pd.DataFrame(
            {
                "sample_id": names,
                "clip_id": names,
                "subject": [f"s{i // 4}" for i in range(24)],
                "label": np.array(CLASSES)[truth],
                "fold": np.arange(24) // 12,
            }
        )
    )
    proba = np.where(truth[:, None] == 0, [0.95, 0.05], [0.7, 0.3])
    pred = np.array(CLASSES, object)[decide(proba, PRIORS)]
    return PredictionTable(keys, proba, CLASSES, {"out_of_fold": True}, pred)


def test_scores_are_of_the_answers() -> None:
    table = answered()
    likeliest = replace(table, pred=None)
    scores = summarize(table)
    assert (scores["uar"]["value"], summarize(likeliest)["uar"]["value"]) == (1.0, 0.5)
    assert scores["confusion"] == [[12, 0], [0, 12]]
    assert {each["uar"] for each in scores["per_subject"]} == {1.0}
    assert [each["mean_proba"] for each in scores["per_class"]] == pytest.approx([0.825, 0.175])
    assert scores["classwise_calibration_error"] == pytest.approx(0.05 / 2 + 0.7 / 2)
    assert compare(table, likeliest)["difference"]["value"] == pytest.approx(0.5)


def test_subsets_and_single_models_are_scored_by_their_answers() -> None:
    table = answered()
    (entry,) = table_of(lambda subset: table, {"voice": table}, ["voice"])
    assert (entry["uar"]["value"], entry["best_uar"]) == (1.0, 1.0)


def test_the_report_tells_both_calibration_errors() -> None:
    table = answered()
    (model,) = summary([table])["models"]
    assert model["classwise_calibration_error"] == summarize(table)["classwise_calibration_error"]
    assert f"class-wise calibration error: {model['classwise_calibration_error']:.3f}" in page([table])


class Judge:
    """A predictor of unequal priors, of any streams, that reads its probabilities off the rows."""

    classes_, priors, pool = np.array(CLASSES), PRIORS, Pool.start(np.ones(2, dtype=bool))

    @property
    def singles(self) -> list[SingleModel]:
        return [SingleModel("dnn", self)] * 2

    def predict_proba(self, x: Any) -> np.ndarray:
        return np.asarray(x.arrays[0] if isinstance(x, Streams) else x, np.float64)

    def decide(self, proba: np.ndarray) -> np.ndarray:
        return decide(proba, self.priors)

    def weights(self, x: Streams) -> np.ndarray:
        return np.full((len(x), 2), 0.5)


def test_a_fusion_its_single_models_and_their_late_fusions_are_scored_by_their_answers() -> None:
    table, judge = answered(), Judge()
    fitter: Any = SimpleNamespace(design=SimpleNamespace(method="attention", streams=()))
    joined: Any = SimpleNamespace(names=("eeg", "voice"), left_out={})
    scores = FusionScores(fitter, joined)
    for fold in (0, 1):
        rows = np.flatnonzero(table.keys["fold"] == fold)
        x = Streams((table.proba[rows], table.proba[rows]), np.ones((len(rows), 2), bool))
        keys = table.keys.iloc[rows].reset_index(drop=True)
        test = Rows(x, np.zeros(len(rows), int), CLASSES, keys=keys)
        split, fit = Split(fold, rows[:0], rows), Fit(f"fold {fold}", keys, shares=False)
        scores(FoldResult(split, fit, judge, test, test, table.proba[rows]))
    fusion = scores.meta(table)["fusion"]
    assert {entry["uar"]["value"] for entry in fusion["subsets"]} == {1.0}
    assert {entry["best_uar"] for entry in fusion["subsets"]} == {1.0}
    single, *late = fusion["versus"]
    assert [each["late"] for each in late] == [True, True]
    assert [each["second"] for each in (single, *late)] == [1.0, 1.0, 1.0]
