"""How often answers given with some probability are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from eavctl.tables import PredictionTable

PARTS = 5


def reliability(table: PredictionTable) -> list[dict[str, Any]]:
    """Share of right answers by how high the highest probability was, in parts of equal size.

    Parameters
    ----------
    table : out-of-fold predictions; rows without a label do not count.

    Returns
    -------
    Up to five parts in rising order, each with ``up_to`` (the highest probability in it; 1 in the last),
    ``right`` (share of right answers) and ``n_rows``. Empty where no row has a label.
    """
    known = table.keys["label"].notna().to_numpy()
    top = table.proba.max(axis=1)[known]
    right = (table.pred == table.keys["label"].to_numpy(dtype=object))[known]
    parts = [part for part in np.array_split(np.argsort(top, kind="stable"), PARTS) if len(part)]
    result = [
        {"up_to": float(top[part].max()), "right": float(right[part].mean()), "n_rows": len(part)}
        for part in parts
    ]
    if result:
        result[-1]["up_to"] = 1.0
    return result
