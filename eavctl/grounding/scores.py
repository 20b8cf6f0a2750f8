"""Scores of a grounding network with their intervals over pictures: of all phrases, by part and by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eavctl.evaluation.intervals import clusters_of, score_intervals
from eavctl.evaluation.row_means import mean_interval
from eavctl.grounding.metrics import HIT, Fits

ALL = "all"


@dataclass(frozen=True)
class Scored:
    """How well each phrase was answered.

    Parameters
    ----------
    keys : one row a phrase.
    kinds : of the phrases, such as ``place``, shape (n,).
    there : bool, shape (n,), whether the phrase fits something.
    is_right : bool, shape (n,), whether the answer agrees with it.
    boxes, masks : overlap with the true box and the true mask, 0 to 1, shape (n,); NaN where there is none.
    """

    keys: pd.DataFrame
    kinds: np.ndarray
    there: np.ndarray
    is_right: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray

    @classmethod
    def of(cls, fits: Fits, has_mask: np.ndarray, keys: pd.DataFrame, kinds: Sequence[str]) -> Scored:
        """The scores of rows in the order of their keys."""
        there = fits.there.numpy()
        boxes, masks = (np.full(len(there), np.nan) for _ in range(2))
        boxes[there], masks[has_mask] = fits.boxes.numpy(), fits.masks.numpy()
        return cls(keys, np.asarray(kinds, object), there, fits.scores.numpy(), boxes, masks)

    def __len__(self) -> int:
        return len(self.there)

    def taking(self, rows: np.ndarray) -> Scored:
        """Some rows, by their numbers."""
        keys = self.keys.iloc[rows].reset_index(drop=True)
        parts = (self.kinds, self.there, self.is_right, self.boxes, self.masks)
        return Scored(keys, *(part[rows] for part in parts))

    @property
    def hits(self) -> np.ndarray:
        """Whether each box counts as found, 0 or 1; NaN where there is none."""
        return np.where(np.isnan(self.boxes), np.nan, self.boxes >= HIT)

    def summary(self) -> dict[str, Any]:
        """JSON-able: the scores of all phrases, of each part (task) of the data, and of each kind."""
        tasks = self.keys["task"].fillna("").to_numpy(str)
        parts = {ALL: np.arange(len(self))}
        if len(names := np.unique(tasks)) > 1:
            parts |= {str(name): np.flatnonzero(tasks == name) for name in names}
        kinds = {str(kind): np.flatnonzero(self.kinds == kind) for kind in sorted(set(self.kinds))}
        return {
            "parts": {name: self.taking(rows)._scores() for name, rows in parts.items()},
            "kinds": {name: self.taking(rows)._scores() for name, rows in kinds.items()},
        }

    def _scores(self) -> dict[str, Any]:
        clusters = clusters_of(self.keys)
        found: dict[str, Any] = {"n_phrases": len(self), "n_pictures": clusters.n}
        for name, values in (("P@0.5", self.hits), ("mIoU", self.masks)):
            known = np.flatnonzero(~np.isnan(values))
            if len(known):
                some = clusters_of(self.keys.iloc[known].reset_index(drop=True))
                found[name] = mean_interval(some, values[known]).to_json()
        if self.there.any() and not self.there.all():
            truth = self.there.astype(int)
            answers = np.where(self.is_right, truth, 1 - truth)
            found["there"] = score_intervals(clusters, truth, answers, 2)["uar"].to_json()
        return found


def words(summary: Mapping[str, Any]) -> list[str]:
    """The summary in lines for people."""
    from eavctl.evaluation import formatting

    lines = []
    for what in ("parts", "kinds"):
        for name, each in summary.get(what, {}).items():
            found = {metric: each[metric] for metric in ("P@0.5", "mIoU", "there") if metric in each}
            shown = ", ".join(f"{metric} {formatting.score(entry)}" for metric, entry in found.items())
            few = any(entry["low"] is None for entry in found.values())
            counts = f"{each['n_phrases']} phrases, {each['n_pictures']} pictures"
            note = f"({counts}{', too few for an interval' * few})"
            lines.append(f"{name}: {shown or 'no score, as none fits anything'} {note}")
    return lines
