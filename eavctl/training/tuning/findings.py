"""What a tuning found, beside what it is worth: inner scores, the outer score, and that of the defaults."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from eavctl.classifiers.calibration import uar
from eavctl.evaluation.summary import compare, summarize
from eavctl.storage.tables import PredictionTable
from eavctl.training.cross_validation import ALL_ROWS, FoldResult
from eavctl.training.tuning.fitter import TuningFitter
from eavctl.training.tuning.space import edge_of


class TuningFindings:
    """Keeps what the study of each fold found; a `eavctl.training.train.FoldObserver`.

    Parameters
    ----------
    defaults : out-of-fold predictions with default settings, on the same folds.
    """

    def __init__(self, tuning: TuningFitter, defaults: PredictionTable) -> None:
        self.tuning, self.defaults = tuning, defaults
        self._folds: list[dict[str, Any]] = []

    def __call__(self, fold: FoldResult) -> None:
        """Keep what a fold's study found, and the score of its test rows."""
        answers = fold.predictor.classes_[fold.predictor.decide(fold.proba)]
        score = uar(answers.astype(str), fold.test.labels)
        found = {"fold": fold.split.fold, "n_rows": len(fold.test), **self._study(fold.fit.name)}
        self._folds.append({**found, "uar": score})

    def meta(self, predictions: PredictionTable) -> dict[str, Any]:
        """Under ``tuning``: the space, each fold's study, and scores.

        ``inner`` is the mean of the studies' best inner scores, weighted by the number of test rows of their
        folds, and ``outer`` the UAR of the tuned classifier on all these test rows. ``defaults`` is that of
        the default settings on the same rows, ``optimism`` is ``inner`` minus ``outer``, and ``versus``
        compares the two classifiers (see `eavctl.evaluation.summary.compare`). ``all_rows`` is of the study
        whose settings the model has.
        """
        defaults = replace(self.defaults, meta=predictions.meta)
        n_rows = [each["n_rows"] for each in self._folds]
        inner = float(np.average([each["inner"] for each in self._folds], weights=n_rows))
        scores = summarize(predictions)
        final = self._study(ALL_ROWS) if ALL_ROWS in self.tuning.found else None
        return {
            "tuning": {
                "method": self.tuning.method.name,
                "trials": self.tuning.n_trials,
                "space": {name: str(each) for name, each in self.tuning.space.items()},
                "inner": inner,
                "outer": scores["uar"],
                "optimism": inner - scores["uar"]["value"],
                "defaults": summarize(defaults)["uar"],
                "versus": compare(predictions, defaults),
                "folds": self._folds,
                "all_rows": final,
                "warnings": self._edges(),
            }
        }

    def _study(self, name: str) -> dict[str, Any]:
        """The best of a study, JSON-able."""
        best = asdict(self.tuning.found[name])
        return {"inner": best.pop("score"), "chosen": best.pop("values"), **best}

    def _edges(self) -> list[str]:
        """A sentence on each setting whose best values lie at an end of its range."""
        found: dict[tuple[str, float], int] = defaultdict(int)
        studies = self.tuning.found.values()
        for best in studies:
            for name, value in best.values.items():
                end = edge_of(name, self.tuning.space[name], value, self.tuning.method.settings)
                if end is not None:
                    found[name, end] += 1
        return [
            f"the best {name} is at the end {end:g} of its range {self.tuning.space[name]} in {n} of "
            f"{len(studies)} studies: widen it with --space"
            for (name, end), n in found.items()
        ]
