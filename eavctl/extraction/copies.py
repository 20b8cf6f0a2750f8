"""Find copies of recordings under other names in an extraction, by their content."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from eavctl.datasets.manifest import Manifest

SHOWN = 3


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

    def notes(self) -> list[str]:
        """A sentence on copies with the same label, and one on copies with contradicting labels."""
        content, of_row = np.array(self._content), np.array(self._of_row)
        order = np.argsort(content, kind="stable")
        is_copy = content[order][1:] == content[order][:-1]
        rows = of_row[order]
        pairs = np.stack([rows[:-1][is_copy], rows[1:][is_copy]], axis=1)
        copies = _Pairs("are the same recording under two names; no split separates them")
        contradicting = _Pairs("are the same recording with contradicting labels; correct or remove one")
        clips, labels = (self._manifest.table[name] for name in ("clip_id", "label"))
        for a, b in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0):
            one, other = ((clips[i].as_py(), labels[i].as_py()) for i in (int(a), int(b)))
            if one[1] == other[1]:
                copies.add(f"{one[0]} and {other[0]}")
            else:
                contradicting.add(f"{one[0]} ({one[1]}) and {other[0]} ({other[1]})")
        return [*copies.sentence(), *contradicting.sentence()]


class _Pairs:
    """A sentence on pairs of clips that names the first few and counts the rest."""

    def __init__(self, what: str) -> None:
        self._what, self._shown, self._n = what, list[str](), 0

    def add(self, pair: str) -> None:
        self._n += 1
        if self._n <= SHOWN:
            self._shown.append(pair)

    def sentence(self) -> list[str]:
        if not self._n:
            return []
        more = f" (and {self._n - SHOWN} more pairs)" if self._n > SHOWN else ""
        return [f"{'; '.join(self._shown)} {self._what}{more}"]
