"""Who and what a row belongs to: names of subjects, trials and clips that are unique in the whole table."""

from __future__ import annotations

import numpy as np
import pandas as pd

# A name is unique only within what it is counted in: trial 3 of one person is not trial 3 of another.
COUNTED_IN: dict[str, tuple[str, ...]] = {
    "clip_id": ("dataset",),
    "subject": ("dataset",),
    "session": ("dataset", "subject"),
    "trial": ("dataset", "subject", "session"),
}
_BETWEEN = "\x1f"  # a separator that no name holds


def identify(keys: pd.DataFrame, name: str) -> np.ndarray:
    """Name the subject, session, trial, clip or other key of each row so that equal means the same.

    Parameters
    ----------
    keys : one row a sample; columns that are absent count as empty.
    name : a key column, such as ``subject``.

    Returns
    -------
    object array, shape (n_rows,): str, or None where the row has no such key.
    """
    if name not in keys:
        return np.full(len(keys), None, dtype=object)
    columns = [keys[part] for part in COUNTED_IN.get(name, ()) if part in keys] + [keys[name]]
    texts = [["" if pd.isna(value) else str(value) for value in column] for column in columns]
    joined = np.array([_BETWEEN.join(parts) for parts in zip(*texts, strict=True)], dtype=object)
    joined[[text == "" for text in texts[-1]]] = None
    return joined


def short(identity: str) -> str:
    """The name as the table has it, for messages and pictures."""
    return identity.rsplit(_BETWEEN, 1)[-1]


def full(identity: str) -> str:
    """The name with what it is counted in, such as data set and subject."""
    return " ".join(part for part in identity.split(_BETWEEN) if part)


def named(identities: np.ndarray) -> list[str]:
    """The different names among the identities of rows, sorted."""
    return sorted({identity for identity in identities if identity is not None})
