"""The leak check: nothing that a protocol keeps apart may stand on both sides of a split."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from eavctl.errors import DataError, LeakError
from eavctl.evaluation.groups import identify, named, overlaps, short

SHOWN = 3  # offenders that a message names
PROBES = 64  # values of a row that are compared before whole rows are
MIN_VALUES = 8  # rows of fewer values may agree by chance

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
    """Refuse a split with a sample, clip, trial, subject, or the same time of a recording on both sides.

    Parameters
    ----------
    keys : one row a sample, with the key columns.
    train, test : indices of rows.
    allow : what may stand on both sides because the protocol says so by name, such as ``("subject",)``.
        Rows of one recording must never overlap in time across the sides.
    group : one more key column that the protocol keeps apart.

    Raises
    ------
    LeakError : names the first offenders and says how many there are.
    """
    for name in dict.fromkeys((*_ALWAYS, group)):
        if name in allow:
            continue
        identities = identify(keys, name)
        if name == "trial":  # without a person, equal numbers do not tell equal trials; the clip does
            identities[[subject is None for subject in identify(keys, "subject")]] = None
        shared = sorted(set(named(identities[train])) & set(named(identities[test])))
        if shared:
            raise LeakError(_message(name, shared))
    _check_overlaps(keys, train, test)


def content_check(x: np.ndarray, keys: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> None:
    """Refuse a split with the same features, bit for bit, on both sides: one recording under two names.

    Parameters
    ----------
    x : features, shape (n_rows, *shape); rows of fewer than 8 values are not judged.
    keys : one row a sample.
    train, test : indices of rows.

    Raises
    ------
    LeakError : names the samples of the first pair and says how many there are.
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
            f"leak: {a} and {b} have identical features but stand on different sides of the split{more}.\n"
            + _ADVICE["content"]
        )


def assert_out_of_fold(keys: pd.DataFrame, meta: dict[str, object], name: str) -> None:
    """Refuse predictions of rows that their model was trained on, where something is to be learned of them.

    Raises
    ------
    DataError : the table ``name`` is not out of fold, or does not say which fold each row was tested in.
    """
    if meta.get("out_of_fold") is not True:
        raise DataError(
            f"{name}: not out-of-fold predictions, so nothing may be learned from them.\n"
            "Train with --predictions to get some, or fuse by mean, product, max or vote."
        )
    if "fold" not in keys or keys["fold"].isna().any():
        raise DataError(f"{name}: some rows do not say in which fold they were tested; train again")


def _message(name: str, shared: list[str]) -> str:
    shown = ", ".join(short(identity) for identity in shared[:SHOWN])
    more = ", ..." if len(shared) > SHOWN else ""
    what = _WORDS.get(name, f"groups ({name})")
    what = what[:-1] if len(shared) == 1 and what.endswith("s") else what
    stand = "stands" if len(shared) == 1 else "stand"
    advice = "\n" + _ADVICE[name] if name in _ADVICE else ""
    return f"leak: {len(shared)} {what} {stand} on both sides of the split: {shown}{more}.{advice}"


def _check_overlaps(keys: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> None:
    """Refuse rows of one recording that overlap in time across the sides, whatever they are called.

    Of the rows that a run of overlaps connects two overlap directly that are on different sides, if any are.
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
