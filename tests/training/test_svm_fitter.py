"""A support vector machine that takes long says so first; one that does not fit in memory is not begun."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers import svm_cost
from eavctl.classifiers.rows import Rows
from eavctl.errors import CostWarning, DataError
from eavctl.evaluation.plan import Plan, Split
from eavctl.storage.tables import key_frame
from eavctl.training import svm_fitter
from eavctl.training.cross_validation import Evaluation, cross_validate
from eavctl.training.svm_fitter import SvmFitter


def rows(n_rows: int, n_columns: int = 3) -> Rows:
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b"])[np.arange(n_rows) % 2]
    keys = {"sample_id": [f"c{i}" for i in range(n_rows)], "clip_id": [f"c{i}" for i in range(n_rows)]}
    x = rng.normal(size=(n_rows, n_columns)).astype(np.float32) + (labels == "b")[:, None]
    found = Rows.of(x, labels)
    return replace(found, keys=key_frame(pd.DataFrame({**keys, "label": labels})))


def test_long_fits_are_announced_before_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm_fitter, "LONG_S", 0.0)
    begun: list[str] = []
    monkeypatch.setattr(SvmFitter, "fit", lambda self, rows, fit: begun.append(fit.name))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CostWarning)
        with pytest.raises(CostWarning, match="40 rows of 3 columns"):
            cross_validate(rows(40), SvmFitter(), Evaluation("stratified", 2))
    assert begun == []


def test_short_fits_are_not_announced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CostWarning)
        cross_validate(rows(40), SvmFitter(), Evaluation("stratified", 2))


def test_rows_that_do_not_fit_are_refused_with_the_number_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm_fitter, "total_memory", lambda: 1e9)
    most = svm_cost.most_rows(3, 1, 1e9)
    with pytest.raises(DataError, match=f"at most {most} rows"):
        SvmFitter().check(rows(2 * most), plan(2 * most))
    SvmFitter().check(rows(most), plan(most))


def plan(n_rows: int) -> Plan:
    half = np.arange(n_rows // 2)
    return Plan("given", "subject", (Split(1, half, half + n_rows // 2),))


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_the_largest_number_of_rows_is_the_last_that_fits(jobs: int) -> None:
    for memory in (2e9, 8e9):
        most = svm_cost.most_rows(100, jobs, memory)
        assert svm_cost.cost([most], 100, jobs).memory <= memory
        assert svm_cost.cost([most + 100], 100, jobs).memory > memory
