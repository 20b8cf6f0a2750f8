"""How often answers of some confidence were right, by the class named, on out-of-fold rows.

The confidence of an answer is the probability of the class named. A figure stands on `FEWEST` answers or
more and has an interval; where there are fewer, there is no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eavctl.storage.tables import PredictionTable  # judging a clip needs no tables

PARTS, FEWEST = 5, 20
LENGTH_RATIO = 1.25  # lengths beyond those of the test by more than this are other material


def reliability(table: PredictionTable) -> dict[str, Any]:
    """Measure how often answers were right, in parts of equal size by confidence.

    Parameters
    ----------
    table : out-of-fold predictions; rows without a label do not count.

    Returns
    -------
    JSON-able: ``seconds``, the shortest and the longest row, None where times are not known; ``classes``, for
    each class named often enough its parts in rising order of confidence: ``up_to`` (the highest in it; 1 in
    the last), ``right`` (share of right answers) with ``low`` and ``high``, ``n_rows`` and what the interval
    is ``over``.
    """
    import numpy as np

    from eavctl.evaluation.intervals import clusters_of, score_intervals

    known = table.keys["label"].notna().to_numpy()
    keys, answers = table.keys[known].reset_index(drop=True), table.pred[known]
    places = np.array([table.classes.index(name) for name in answers], int)
    confidence = table.proba[known][np.arange(len(places)), places]
    wrong = (answers != keys["label"].to_numpy(object)).astype(int)

    def part(rows: np.ndarray) -> dict[str, Any] | None:
        """What is known of these answers; None where too few people gave them."""
        mine = keys.iloc[rows].reset_index(drop=True)
        clusters = clusters_of(mine, (table.meta.get("protocol") or {}).get("group"))
        share = score_intervals(clusters, np.zeros(len(rows), int), wrong[rows], 2)["accuracy"]
        if share.low is None:
            return None
        return {
            "up_to": float(confidence[rows].max()),
            "right": share.value,
            "low": share.low,
            "high": share.high,
            "n_rows": len(rows),
            "over": clusters.over,
        }

    classes = {}
    for name in table.classes:
        rows = np.flatnonzero(answers == name)
        if len(rows) < FEWEST:
            continue
        rows = rows[np.argsort(confidence[rows], kind="stable")]
        parts = [part(each) for each in np.array_split(rows, min(PARTS, len(rows) // FEWEST))]
        found = [each for each in parts if each]
        if len(found) == len(parts):
            found[-1]["up_to"] = 1.0
            classes[name] = found
    return {"seconds": _lengths(keys["start"], keys["end"]), "classes": classes}


def _lengths(start: Any, end: Any) -> list[float] | None:
    seconds = (end - start).to_numpy(float)
    return [float(seconds.min()), float(seconds.max())] if len(seconds) and (seconds > 0).all() else None


def fits(level: Mapping[str, Any], seconds: float) -> bool:
    """Whether something of this length is like what was measured."""
    if level["seconds"] is None:
        return True
    shortest, longest = level["seconds"]
    return bool(shortest / LENGTH_RATIO <= seconds <= longest * LENGTH_RATIO)


def look_up(level: Mapping[str, Any], answer: str, confidence: float) -> dict[str, Any] | None:
    """The part that an answer falls into; None where too few such answers were seen.

    Parameters
    ----------
    level : as `reliability` gives it.
    """
    parts: Sequence[dict[str, Any]] = level["classes"].get(answer, ())
    return next((part for part in parts if confidence <= part["up_to"]), None)
