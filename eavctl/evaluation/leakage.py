"""Checks for leaks: no group that a protocol keeps whole may be in both training and test rows."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError, LeakError
from eavctl.evaluation.groups import identify, identity_numbers, overlaps, short

SHOWN = 3  # names in a message
PROBES = 64  # values per row that are compared before whole rows
PIECE_ROWS = 512  # looked at together
MIN_VALUES = 8  # rows of fewer values may be equal by chance

_ALWAYS = ("sample_id", "clip_id", "trial", "subject")
_WORDS = {"sample_id": "samples", "clip_id": "clips", "trial": "trials", "subject": "subjects"}
_ADVICE = {
    "subject": "Split by subject (--protocol group-kfold or loso), or allow it by name (--protocol random).",
    "content": "Leave one of the two out.",
    "recording": "Keep recordings whole (--group recording), or extract without overlap.",
}


class LeakCheck:
    """Checks that training and test rows share no sample, clip, trial, subject or time of a recording.

    The names of a table are compared by their numbers, which are the same for all of its splits.

    Parameters
    ----------
    keys : key table, one row per sample.
    allow : keys that training and test rows may share, because the protocol says so by name, such as
        ``("subject",)``. They may never overlap in time in one recording.
    group : one more key column to check, which the protocol keeps whole.
    """

    def __init__(self, keys: pd.DataFrame, *, allow: Collection[str] = (), group: str = "subject") -> None:
        self._keys = keys
        self._numbers = {
            name: _numbers_of(keys, name) for name in dict.fromkeys((*_ALWAYS, group)) if name not in allow
        }

    def check(self, train: np.ndarray, test: np.ndarray) -> None:
        """Check the split into ``train`` and ``test``, indices of rows.

        Raises
        ------
        LeakError : a shared key or an overlap; the message gives their number and the first names.
        """
        for name, numbers in self._numbers.items():
            if len(shared := _in_both(numbers[train], numbers[test])):
                identities = identify(self._keys, name)[np.isin(numbers, shared)]
                raise LeakError(_message(name, sorted(set(identities))))
        self._check_overlaps(train, test)

    @functools.cached_property
    def _overlaps(self) -> tuple[np.ndarray, np.ndarray]:
        return overlaps(self._keys)

    def _check_overlaps(self, train: np.ndarray, test: np.ndarray) -> None:
        """Check that no training row overlaps in time with a test row of the same recording.

        If a run of overlapping rows has rows on both sides, two of them that overlap directly are on
        different sides, unless a row between them is on neither: so the runs are of the split's rows alone.
        """
        is_test, is_used = np.zeros((2, len(self._keys)), bool)
        is_test[test] = is_used[test] = is_used[train] = True
        if is_used.all():
            found, runs = self._overlaps
        else:
            used = np.flatnonzero(is_used)
            places, runs = overlaps(self._keys.iloc[used])
            found = used[places]
        is_late = is_test[found]
        both = _in_both(runs[~is_late], runs[is_late])
        if not len(both):
            return
        late = found[np.isin(runs, both) & is_late]
        offenders = sorted({str(name) for name in self._keys["sample_id"].iloc[late]})
        shown = ", ".join(offenders[:SHOWN]) + (", ..." if len(offenders) > SHOWN else "")
        raise LeakError(
            f"leak: {len(offenders)} rows overlap in time with rows of the same recording on the other side "
            f"of the split: {shown}.\n{_ADVICE['recording']}"
        )


class ContentCheck:
    """Checks that no training and test row have identical features: the same recording under two names.

    Identical rows of a table are found once, for all of its splits.

    Parameters
    ----------
    x : features, shape (n_rows, *shape), an array or what gives one for some rows; rows of fewer than 8
        values are not compared.
    keys : key table, one row per sample.
    rows : indices of the rows to compare; None for all.
    """

    def __init__(self, x: Any, keys: pd.DataFrame, rows: np.ndarray | None = None) -> None:
        self._keys = keys
        self._twins = np.full(len(keys), -1)  # the number of the content of each row that is not alone
        n_values = math.prod(x.shape[1:])
        if n_values < MIN_VALUES:
            return
        rows = np.arange(len(x)) if rows is None else rows
        step = max(1, n_values // PROBES)
        # Hashes of some values leave few rows, whose whole content is then compared.
        hashes = np.fromiter((hash(row[::step].tobytes()) for row in _flat(x, rows)), np.int64, len(rows))
        _, places, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        several = rows[counts[places] > 1]
        numbers: dict[bytes, int] = {}
        for i, row in zip(several, _flat(x, several), strict=True):
            content = hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
            self._twins[i] = numbers.setdefault(content, len(numbers))

    def check(self, train: np.ndarray, test: np.ndarray) -> None:
        """Check the split into ``train`` and ``test``, indices of rows.

        Raises
        ------
        LeakError : identical rows; the message gives the first pair and the number of pairs.
        """
        trained = {self._twins[i]: i for i in train[self._twins[train] >= 0]}
        pairs = [(trained[self._twins[i]], i) for i in test if self._twins[i] in trained]
        if pairs:
            a, b = (self._keys["sample_id"].iloc[i] for i in pairs[0])
            more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
            raise LeakError(
                f"leak: {a} and {b} have identical features but are on different sides of the split{more}.\n"
                + _ADVICE["content"]
            )


def _flat(x: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the values of each of these rows, (n_values,); few rows are in memory at a time."""
    for start in range(0, len(rows), PIECE_ROWS):
        piece = x[rows[start : start + PIECE_ROWS]]
        yield from piece.reshape(len(piece), -1)


def _in_both(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The numbers, from 0, that two arrays share, in linear time; those below 0 stand for nothing."""
    sides = []
    for numbers in (some, others):
        has = np.zeros(max(some.max(initial=-1), others.max(initial=-1)) + 1, bool)
        has[numbers[numbers >= 0]] = True
        sides.append(has)
    return np.flatnonzero(sides[0] & sides[1])


def _numbers_of(keys: pd.DataFrame, name: str) -> np.ndarray:
    """Numbers of the rows' identities, -1 for rows without one: the names of a million take much more."""
    numbers = identity_numbers(keys, name)
    if name == "trial":  # without a subject, equal numbers are not the same trial; the clip identifies it
        return np.where(identity_numbers(keys, "subject") < 0, -1, numbers)
    return numbers


def assert_out_of_fold(keys: pd.DataFrame, meta: dict[str, object], name: str) -> None:
    """Check that predictions are out of fold, before anything is fitted to them.

    Parameters
    ----------
    keys, meta : keys and metadata of the prediction table.
    name : name of the table, for errors.

    Raises
    ------
    DataError : the predictions are not out of fold, or some rows have no fold.
    """
    if meta.get("out_of_fold") is not True:
        raise DataError(
            f"{name}: not out-of-fold predictions, so no fuser may be fitted to them.\n"
            "Train with --predictions to get some, or fuse by mean, product, max or vote."
        )
    if "fold" not in keys or keys["fold"].isna().any():
        raise DataError(f"{name}: some rows have no test fold; train again")


def _message(name: str, shared: list[str]) -> str:
    shown = ", ".join(short(identity) for identity in shared[:SHOWN])
    more = ", ..." if len(shared) > SHOWN else ""
    what = _WORDS.get(name, f"groups ({name})")
    what = what[:-1] if len(shared) == 1 and what.endswith("s") else what
    verb = "is" if len(shared) == 1 else "are"
    advice = "\n" + _ADVICE[name] if name in _ADVICE else ""
    return f"leak: {len(shared)} {what} {verb} on both sides of the split: {shown}{more}.{advice}"
