"""What the scores of a training are over, told by the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eavctl.storage.tables import PredictionTable, key_frame
from eavctl.training.cross_validation import Evaluation, Targets, Witness, train_rows
from eavctl.training.rows import TrainingTable
from eavctl.training.svm_fitter import SvmFitter


class Comparer(Witness):
    """Needs the protocol, as a fusion does that compares itself with others."""

    def account(self, predictions: PredictionTable) -> dict[str, Any]:
        """The key that is kept apart."""
        return {"told": predictions.meta["protocol"]["group"]}


def test_sessions_of_one_person_are_what_scores_are_over(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{s}-{i}" for s in range(4) for i in range(10)]
    labels = np.array(["calm", "sad"] * 20)
    keys = {"sample_id": names, "clip_id": names, "session": [name[0] for name in names], "label": labels}
    x = rng.normal(size=(40, 8)) + (labels == "sad")[:, None]
    table = TrainingTable(
        key_frame(pd.DataFrame(keys).assign(subject="only")), x.astype(np.float32), "numbers", ("audio",),
        {"columns": [f"x{i}" for i in range(8)]}, ("calm", "sad"), "hash",
    )  # fmt: skip
    targets, evaluation = Targets(None, tmp_path / "p.parquet"), Evaluation(folds=4, group="session")
    trained = train_rows(table, targets, SvmFitter(), evaluation, witness=Comparer())
    scores = trained.meta["out_of_fold"]
    assert (scores["over"], scores["n_clusters"]) == ("sessions", 4)
    assert trained.meta["told"] == "session"
