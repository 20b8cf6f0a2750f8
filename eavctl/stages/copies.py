"""Recordings that an extraction met twice, under two names: found by their content."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from eavctl.datasets.manifest import Manifest

SHOWN = 3


class Copies:
    """Remembers what each row is of, in sixteen bytes, and names those that are of the same part."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._of_row, self._content = array("q"), array("q")
        self._at = 0

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Count rows, which come in the order of the manifest."""
        names = self._manifest.table["clip_id"]
        for row in rows:
            while names[self._at].as_py() != row["clip_id"]:
                self._at += 1
            if row["recording"]:
                self._of_row.append(self._at)
                self._content.append(hash((row["recording"], row["start"], row["end"])))

    def notes(self) -> list[str]:
        """A sentence on copies, and one on those of them whose labels contradict each other."""
        content = np.array(self._content)
        order = np.argsort(content, kind="stable")
        same = content[order][1:] == content[order][:-1]
        pairs = {
            (self._of_row[a], self._of_row[b])
            for (a, b), is_copy in zip(itertools.pairwise(order), same, strict=True)
            if is_copy
        }
        clips, labels = (self._manifest.table[name] for name in ("clip_id", "label"))
        copies, contradicting = [], []
        for a, b in sorted(pair for pair in pairs if pair[0] != pair[1]):
            one, other = (labels[i].as_py() for i in (a, b))
            if one != other:
                contradicting.append(f"{clips[a].as_py()} ({one}) and {clips[b].as_py()} ({other})")
            else:
                copies.append(f"{clips[a].as_py()} and {clips[b].as_py()}")
        return [
            *_sentence(copies, "are the same recording under two names; no split divides them"),
            *_sentence(
                contradicting, "are the same recording with contradicting labels; correct or leave out one"
            ),
        ]


def _sentence(pairs: list[str], what: str) -> list[str]:
    if not pairs:
        return []
    more = f" (and {len(pairs) - SHOWN} more pairs)" if len(pairs) > SHOWN else ""
    return [f"{'; '.join(pairs[:SHOWN])} {what}{more}"]
