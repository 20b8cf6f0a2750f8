"""Find copies of recordings under other names in an extraction, by their content."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eavctl.datasets.manifest import Manifest
from eavctl.evaluation.findings.codes import Finding
from eavctl.evaluation.findings.duplicates import Named, duplicate_findings
from eavctl.evaluation.names import BETWEEN


class Copies:
    """Finds rows that are the same part of the same recording, in sixteen bytes of memory a row."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._of_row, self._content = array("q"), array("q")
        self._at = 0

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows, in the order of the manifest."""
        names = self._manifest.table["clip_id"]
        for row in rows:
            while names[self._at].as_py() != row["clip_id"]:
                self._at += 1
            if row["recording"]:
                self._of_row.append(self._at)
                self._content.append(hash((row["recording"], row["start"], row["end"])))

    def findings(self) -> Iterator[Finding]:
        """Findings on copies of the same label and subject, and on those that contradict each other."""
        if not len(self._content):
            return
        content, of_row = (np.frombuffer(each, np.int64) for each in (self._content, self._of_row))
        order = np.argsort(content, kind="stable")
        ordered = content[order]
        first = np.flatnonzero(ordered[1:] == ordered[:-1])
        pairs = of_row[np.stack([order[first], order[first + 1]], axis=1)]
        different = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        yield from duplicate_findings((self._named(int(a)), self._named(int(b))) for a, b in different)

    def _named(self, row: int) -> Named:
        clip, label, dataset, subject = (
            self._manifest.table[name][row].as_py() for name in ("clip_id", "label", "dataset", "subject")
        )
        return Named(clip, label, subject and f"{dataset or ''}{BETWEEN}{subject}")
