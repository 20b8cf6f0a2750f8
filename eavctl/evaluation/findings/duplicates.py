"""Findings on recordings that are there twice, and on segments that overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from eavctl.evaluation.findings.codes import SHOWN, Finding, some
from eavctl.evaluation.groups import overlaps
from eavctl.evaluation.schemes import texts

TWICE, TWO_LABELS, TWO_PEOPLE = "EAV050", "EAV051", "EAV052"


class Named(NamedTuple):
    """A recording, or a segment of one: the name of its clip, its label, and who is recorded."""

    clip: str
    label: str | None
    subject: str | None


def duplicate_findings(pairs: Iterable[tuple[Named, Named]]) -> Iterator[Finding]:
    """Findings on pairs of different clips with the same content.

    A pair is a contradiction of labels first, else of subjects where both are known.
    """
    found: dict[str, list[str]] = {TWICE: [], TWO_LABELS: [], TWO_PEOPLE: []}
    for a, b in pairs:
        if a.label != b.label:
            found[TWO_LABELS].append(f"{a.clip} ({a.label}) and {b.clip} ({b.label})")
        elif a.subject and b.subject and a.subject != b.subject:
            found[TWO_PEOPLE].append(f"{a.clip} and {b.clip}")
        else:
            found[TWICE].append(f"{a.clip} and {b.clip}")
    for code, what in (
        (TWICE, "are the same recording under two names"),
        (TWO_LABELS, "are the same recording with contradicting labels"),
        (TWO_PEOPLE, "are the same recording under two subjects"),
    ):
        if names := found[code]:
            more = f" (and {len(names) - SHOWN} more pairs)" if len(names) > SHOWN else ""
            yield Finding(code, f"{'; '.join(names[:SHOWN])} {what}{more}", tuple(names))


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
