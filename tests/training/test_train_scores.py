"""What the scores of a training are over, told by the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eavctl.storage.tables import PredictionTable, key_frame
from eavctl.training.cross_validation import Evaluation, FoldResult
from eavctl.training.rows import TableFacts, labelled
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import Targets, train


class Comparer:
    """Needs the protocol, as a fusion does that is compared with others."""

    def __call__(self, fold: FoldResult) -> None:
        """Keep nothing."""

    def meta(self, predictions: PredictionTable) -> dict[str, Any]:
        """The key whose values are kept apart."""
        return {"found": predictions.meta["protocol"]["group"]}


def test_sessions_of_one_person_are_what_scores_are_over(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{s}-{i}" for s in range(4) for i in range(10)]
    labels = np.array(["calm", "sad"] * 20)
    keys = {"sample_id": names, "clip_id": names, "session": [name[0] for name in names], "label": labels}
    x = rng.normal(size=(40, 8)) + (labels == "sad")[:, None]
    frame = key_frame(pd.DataFrame(keys).assign(subject="only"))
    facts = TableFacts("numbers", ("audio",), {"columns": [f"x{i}" for i in range(8)]}, "hash")
    data = labelled(frame, x.astype(np.float32), ("calm", "sad"), facts)
    targets, evaluation = Targets(None, tmp_path / "p.parquet"), Evaluation(folds=4, group="session")
    trained = train(data, targets, SvmFitter(), evaluation, observers=[Comparer()])
    scores = trained.meta["out_of_fold"]
    assert (scores["over"], scores["n_clusters"]) == ("sessions", 4)
    assert trained.meta["found"] == "session"
