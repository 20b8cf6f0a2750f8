"""Checks for leaks: no group that a protocol keeps whole may be in both training and test rows."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from eavctl.errors import DataError, LeakError
from eavctl.evaluation.groups import identify, named, overlaps, short

SHOWN = 3  # names in a message
PROBES = 64  # values per row that are compared before whole rows
MIN_VALUES = 8  # rows of fewer values may be equal by chance

_ALWAYS = ("sample_id", "clip_id", "trial", "subject")
_WORDS = {"sample_id": "samples", "clip_id": "clips", "trial": "trials", "subject": "subjects"}
_ADVICE = {
    "subject": "Split by subject (--protocol group-kfold or loso), or allow it by name (--protocol random).",
    "content": "Leave one of the two out.",
    "recording": "Keep recordings whole (--group recording), or extract without overlap.",
}


def check(
    keys: pd.DataFrame,
    train: np.ndarray,
    test: np.ndarray,
    *,
    allow: Collection[str] = (),
    group: str = "subject",
) -> None:
    """Check that training and test rows share no sample, clip, trial, subject or time of a recording.

    Parameters
    ----------
    keys : key table, one row per sample.
    train, test : indices of rows.
    allow : keys that training and test rows may share, because the protocol says so by name, such as
        ``("subject",)``. They may never overlap in time in one recording.
    group : one more key column to check, which the protocol keeps whole.

    Raises
    ------
    LeakError : a shared key or an overlap; the message gives their number and the first names.
    """
    for name in dict.fromkeys((*_ALWAYS, group)):
        if name in allow:
            continue
        identities = identify(keys, name)
        if name == "trial":  # without a subject, equal numbers are not the same trial; the clip identifies it
            identities[[subject is None for subject in identify(keys, "subject")]] = None
        shared = sorted(set(named(identities[train])) & set(named(identities[test])))
        if shared:
            raise LeakError(_message(name, shared))
    _check_overlaps(keys, train, test)


def content_check(x: np.ndarray, keys: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> None:
    """Check that no training and test row have identical features: the same recording under two names.

    Parameters
    ----------
    x : features, shape (n_rows, *shape); rows of fewer than 8 values are not checked.
    keys : key table, one row per sample.
    train, test : indices of rows.

    Raises
    ------
    LeakError : identical rows; the message gives the first pair and the number of pairs.
    """
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    if flat.shape[1] < MIN_VALUES:
        return
    step = max(1, flat.shape[1] // PROBES)
    probes = np.ascontiguousarray(flat[:, ::step])
    suspects = {row.tobytes() for row in probes[test]} & {row.tobytes() for row in probes[train]}
    if not suspects:
        return
    trained = {flat[i].tobytes(): i for i in train if probes[i].tobytes() in suspects}
    pairs = [(trained[content], i) for i in test if (content := flat[i].tobytes()) in trained]
    if pairs:
        a, b = (keys["sample_id"].iloc[i] for i in pairs[0])
        more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
        raise LeakError(
            f"leak: {a} and {b} have identical features but are on different sides of the split{more}.\n"
            + _ADVICE["content"]
        )


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


def _check_overlaps(keys: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> None:
    """Check that no training row overlaps in time with a test row of the same recording.

    If a run of overlapping rows has rows on both sides, two of them that overlap directly are on different
    sides.
    """
    rows = np.concatenate([train, test])
    found, runs = overlaps(keys.iloc[rows])
    is_test = found >= len(train)
    both = np.intersect1d(runs[is_test], runs[~is_test])
    if not len(both):
        return
    offenders = sorted({str(keys["sample_id"].iloc[rows[i]]) for i in found[np.isin(runs, both) & is_test]})
    shown = ", ".join(offenders[:SHOWN]) + (", ..." if len(offenders) > SHOWN else "")
    raise LeakError(
        f"leak: {len(offenders)} rows overlap in time with rows of the same recording on the other side of "
        f"the split: {shown}.\n{_ADVICE['recording']}"
    )
