"""A batch of rows, and the part file that keeps it until the table is complete."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from eavctl.storage import files
from eavctl.storage.keys import AUGMENT

Record = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """A few recordings' rows.

    Parameters
    ----------
    n_recordings : including those rejected.
    rows : keys of each row, JSON-able.
    x : features, shape (n_rows, *shape).
    accounts : what the feature set reports of each row that is not of an altered copy, if it does.
    rejected : recordings and segments that cannot be used, each with its ``reason``.
    notes : what is odd about the recordings.
    speech : whether there is speech, of each recording with the key `CHECKED`.
    """

    n_recordings: int
    rows: list[Record] = field(default_factory=list)
    x: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    accounts: list[Record] = field(default_factory=list)
    rejected: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    speech: list[bool] = field(default_factory=list)

    def with_features(self, found: list[np.ndarray]) -> Batch:
        """The batch with its rows' features; rows of another shape than the first are rejected."""
        if not found:
            return self
        shape = found[0].shape
        fits = [each.shape == shape for each in found]
        pairs = zip(self.rows, found, strict=True)
        bad = [_misfit(row, each.shape, shape) for row, each in pairs if each.shape != shape and _is_own(row)]
        rows = list(itertools.compress(self.rows, fits))
        fits_of_own = [fit for row, fit in zip(self.rows, fits, strict=True) if _is_own(row)]
        accounts = list(itertools.compress(self.accounts, fits_of_own))
        x = list(itertools.compress(found, fits))
        return replace(self, rows=rows, accounts=accounts, x=np.stack(x), rejected=self.rejected + bad)

    def fitting(self, shape: tuple[int, ...]) -> Batch:
        """The batch with all its rows rejected if they are of another shape than the table's."""
        if not self.rows or self.x.shape[1:] == shape:
            return self
        bad = [_misfit(row, self.x.shape[1:], shape) for row in self.rows if _is_own(row)]
        return Batch(self.n_recordings, rejected=self.rejected + bad, notes=self.notes, speech=self.speech)


def _is_own(row: Record) -> bool:
    """Whether a row is of a recording itself, not of an altered copy."""
    return AUGMENT not in row


def _misfit(row: Record, shape: tuple[int, ...], expected: tuple[int, ...]) -> Record:
    sizes = ["x".join(map(str, each)) for each in (shape, expected)]
    reason = f"gives {sizes[0]} values where the first recording gives {sizes[1]}; cut alike with --segment"
    return {"clip_id": row["clip_id"], "path": row["clip_id"], "start": row["start"], "reason": reason}


def write_part(part: Path, batch: Batch) -> None:
    """Write a batch, whole or not at all."""
    info = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "x"}
    with files.atomic_write(part, sync=False) as handle:  # a part torn by a power cut fails its checksum
        np.savez(handle, x=batch.x, info=np.frombuffer(json.dumps(info).encode(), np.uint8))


def read_part(part: Path) -> Batch | None:
    """A finished batch of an earlier run; None where there is none or it is damaged."""
    try:
        with np.load(part, allow_pickle=False) as content:
            info = json.loads(content["info"].tobytes())
            return Batch(x=content["x"], **info)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):
        return None
