"""Who and what a row belongs to: names of subjects, trials and clips that are unique in the whole table."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

# A name is unique only within what it is counted in: trial 3 of one person is not trial 3 of another.
COUNTED_IN: dict[str, tuple[str, ...]] = {
    "clip_id": ("dataset",),
    "subject": ("dataset",),
    "session": ("dataset", "subject"),
    "trial": ("dataset", "subject", "session"),
}
BLOCK = "block"
_BETWEEN = "\x1f"  # a separator that no name holds


def identify(keys: pd.DataFrame, name: str) -> np.ndarray:
    """Name the subject, session, trial, clip or other key of each row so that equal means the same.

    Parameters
    ----------
    keys : one row a sample; columns that are absent count as empty.
    name : a key column, such as ``subject``; or ``block``, see `blocks`.

    Returns
    -------
    object array, shape (n_rows,): str, or None where the row has no such key.
    """
    if name == BLOCK and name not in keys:
        return blocks(keys)
    if name not in keys:
        return np.full(len(keys), None, dtype=object)
    columns = [keys[part] for part in COUNTED_IN.get(name, ()) if part in keys] + [keys[name]]
    texts = [["" if pd.isna(value) else str(value) for value in column] for column in columns]
    joined = np.array([_BETWEEN.join(parts) for parts in zip(*texts, strict=True)], dtype=object)
    joined[[text == "" for text in texts[-1]]] = None
    return joined


def blocks(keys: pd.DataFrame) -> np.ndarray:
    """Name the block of each row: a run of a person's trials that follow each other and share a label.

    What drifts slowly is alike within a run, and so can pass for its class. A class whose trials are all in
    one run is cut into as many parts as the classes of several runs have runs, or it could not be tested.

    Parameters
    ----------
    keys : one row a sample; trials count in the order of their names (of their numbers, where they are
        numbers).

    Returns
    -------
    object array, shape (n_rows,): str, or None where the row has no trial or no label.
    """
    trials, people = identify(keys, "trial"), identify(keys, "subject")
    labels = keys["label"].to_numpy() if "label" in keys else np.full(len(keys), None, dtype=object)
    usable = [t is not None and isinstance(label, str) for t, label in zip(trials, labels, strict=True)]
    result = np.full(len(keys), None, dtype=object)
    for person in set(people[usable]):
        rows = np.flatnonzero(usable & (people == person))
        label_of = dict(zip(trials[rows], labels[rows], strict=True))
        block_of = _runs(in_order(label_of), label_of)
        result[rows] = [f"{person or ''}{_BETWEEN}block {block_of[trials[row]]}" for row in rows]
    return result


def in_order(trials: Iterable[str]) -> list[str]:
    """Identities of trials in the order of their names: 9 before 10, whether or not they are padded."""

    def place(identity: str) -> tuple[str, float, str]:
        within, name = identity.rpartition(_BETWEEN)[::2]
        return within, float(name) if name.replace(".", "", 1).isdecimal() else 0.0, name

    return sorted(trials, key=place)


def _runs(trials: list[str], label_of: dict[str, str]) -> dict[str, int]:
    """Number of the run of each trial, from 1."""
    runs = [list(run) for _, run in itertools.groupby(trials, key=lambda trial: label_of[trial])]
    per_class = Counter(label_of[run[0]] for run in runs)
    several = [count for count in per_class.values() if count > 1]
    parts = round(float(np.median(several))) if several else 2
    pieces: list[list[str]] = []
    for run in runs:
        n_pieces = min(parts, len(run)) if per_class[label_of[run[0]]] == 1 else 1
        pieces += [list(piece) for piece in np.array_split(np.array(run, dtype=object), n_pieces)]
    return {trial: number for number, piece in enumerate(pieces, start=1) for trial in piece}


def short(identity: str) -> str:
    """The name as the table has it, for messages and pictures."""
    return identity.rsplit(_BETWEEN, 1)[-1]


def full(identity: str) -> str:
    """The name with what it is counted in, such as data set and subject."""
    return " ".join(part for part in identity.split(_BETWEEN) if part)


def named(identities: np.ndarray) -> list[str]:
    """The different names among the identities of rows, sorted."""
    return sorted({identity for identity in identities if identity is not None})
