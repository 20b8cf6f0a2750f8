"""Confidence and accuracy in the bins of the expected calibration error, for a reliability diagram.

References
----------
.. [1] DeGroot, Fienberg: The comparison and evaluation of forecasters, The Statistician 32, 1983.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eavctl.evaluation.groups import labelled, rows_of
from eavctl.evaluation.intervals import clusters_of, score_intervals
from eavctl.evaluation.metrics import CALIBRATION_BINS, bin_of
from eavctl.storage.tables import PredictionTable


def calibration_curve(table: PredictionTable) -> list[dict[str, Any]]:
    """The curve of the most probable class, of the labelled rows of a prediction table.

    The expected calibration error is the mean of the absolute differences between ``confidence`` and the
    value of ``right``, each weighted by ``n_rows``.

    Returns
    -------
    JSON-able: for each bin with rows, in order, its ends ``low`` and ``high``; ``confidence``, the mean
    probability of the most probable class; ``right``, the accuracy (``value``, ``low``, ``high``; the ends
    are None for too few subjects or other clusters); and ``n_rows``.

    Raises
    ------
    DataError : no row has a label.
    """
    known = labelled(table.keys)
    keys, proba = rows_of(table.keys, known), table.proba[known]
    confidence = proba.max(axis=1)
    most_probable = np.array(table.classes, dtype=object)[proba.argmax(axis=1)]
    wrong = (most_probable != keys["label"].to_numpy(dtype=object)).astype(int)
    bins, found = bin_of(confidence), []
    for number in np.unique(bins).tolist():
        rows = np.flatnonzero(bins == number)
        clusters = clusters_of(keys.iloc[rows].reset_index(drop=True), table.about.protocol.group)
        right = score_intervals(clusters, np.zeros(len(rows), int), wrong[rows], 2)["accuracy"]
        found.append(
            {
                "low": number / CALIBRATION_BINS,
                "high": (number + 1) / CALIBRATION_BINS,
                "confidence": float(confidence[rows].mean()),
                "right": right.to_json(),
                "n_rows": len(rows),
            }
        )
    return found
