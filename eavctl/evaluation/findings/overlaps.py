"""Findings on segments that overlap in time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from eavctl.evaluation.findings.codes import Finding, some
from eavctl.evaluation.groups import overlaps
from eavctl.evaluation.schemes import texts


def overlap_findings(keys: pd.DataFrame) -> Iterator[Finding]:
    """Findings on rows of one recording that overlap in time; equal rows are duplicates, and no overlap.

    Parameters
    ----------
    keys : key table, one row per sample, with ``recording`` by content.
    """
    keys = keys.drop_duplicates(["recording", "start", "end"]).reset_index(drop=True)
    rows, runs = overlaps(keys)
    sizes = np.bincount(runs) if len(runs) else np.array([], int)
    together = sizes[runs] > 1 if len(runs) else np.array([], bool)
    if not together.any():
        return
    names, labels = keys["sample_id"].to_numpy(), texts(keys, "label")
    labels_of: dict[int, set[str]] = {}
    for row, run in zip(rows[together], runs[together], strict=True):
        labels_of.setdefault(int(run), set()).update(filter(None, [labels[row]]))
    mixed = {run for run, mine in labels_of.items() if len(mine) > 1}
    is_mixed = np.isin(runs, list(mixed)) & together
    for code, which, what in (
        ("EAV053", together & ~is_mixed, "overlap in time within a recording"),
        ("EAV054", is_mixed, "overlap in time within a recording, with different labels"),
    ):
        if which.any():
            found = tuple(sorted({str(names[row]) for row in rows[which]}))
            yield Finding(code, f"{len(found)} segments {what}: {some(found)}", found)
