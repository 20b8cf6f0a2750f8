"""Who and what a row belongs to: names of subjects, trials and clips that are unique in the whole table."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from eavctl.evaluation.names import BETWEEN
from eavctl.evaluation.trained_on import JOINED

# A name is unique only within what it is counted in: trial 3 of one person is not trial 3 of another.
COUNTED_IN: dict[str, tuple[str, ...]] = {
    "clip_id": ("dataset",),
    "subject": ("dataset",),
    "session": ("dataset", "subject"),
    "trial": ("dataset", "subject", "session"),
}
BLOCK = "block"
RECORDING = "recording"
TOLERANCE_S = 1e-6  # rows that share less time do not overlap


def identify(keys: pd.DataFrame, name: str) -> np.ndarray:
    """Name the subject, session, trial, clip or other key of each row so that equal means the same.

    Parameters
    ----------
    keys : one row a sample; columns that are absent count as empty.
    name : a key column, such as ``subject``; or ``block``, see `blocks`. Rows of ``recording`` are of one
        where they have the file of any modality in common.

    Returns
    -------
    object array, shape (n_rows,): str, or None where the row has no such key.
    """
    if name == BLOCK and name not in keys:
        return blocks(keys)
    if name not in keys:
        return np.full(len(keys), None, dtype=object)
    if name == RECORDING:
        rows, files = _files(keys)
        return connected(_names(keys[RECORDING]), (rows, files))
    columns = [keys[part] for part in COUNTED_IN.get(name, ()) if part in keys] + [keys[name]]
    texts = [["" if pd.isna(value) else str(value) for value in column] for column in columns]
    joined = np.array([BETWEEN.join(parts) for parts in zip(*texts, strict=True)], dtype=object)
    joined[[text == "" for text in texts[-1]]] = None
    return joined


def units(keys: pd.DataFrame) -> np.ndarray:
    """Name what no protocol may ever divide.

    One unit are the rows of a clip, those of a person's trial, and rows of one recording that overlap in
    time, whatever they are called; and all rows that such bonds connect.

    Parameters
    ----------
    keys : one row a sample.

    Returns
    -------
    object array, shape (n_rows,): a name for each row, the least of its unit's.
    """
    clips, trials, subjects = (identify(keys, name) for name in ("clip_id", "trial", "subject"))
    is_trial = np.array([t is not None and s is not None for t, s in zip(trials, subjects, strict=True)])
    own = np.where(is_trial, trials, np.where(clips == None, identify(keys, "sample_id"), clips))  # noqa: E711
    rows = np.arange(len(keys))
    known = np.array([clip is not None for clip in clips], bool)
    return connected(own, (rows, own), (rows[known], clips[known]), overlaps(keys))


def overlaps(keys: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Find rows of one recording that overlap in time; rows without times are of all of it.

    Where the table does not say which recording a row is of, the clip stands for it.

    Returns
    -------
    rows : int, row numbers; a row of several modalities stands there once for each.
    runs : int, of the same length: the number of the run of overlapping rows that it is in.
    """
    rows, files = _files(keys)
    bare = np.setdiff1d(np.arange(len(keys)), rows)
    clips = identify(keys.iloc[bare], "clip_id")
    known = np.array([clip is not None for clip in clips], bool)
    rows = np.concatenate([rows, bare[known]])
    files = np.concatenate([files, clips[known]])
    start = np.nan_to_num(_times(keys, "start")[rows], nan=0.0)
    end = np.nan_to_num(_times(keys, "end")[rows], nan=np.inf)
    numbers = np.unique(files.astype(str), return_inverse=True)[1]
    order = np.lexsort((end, start, numbers))
    rows, numbers, start, end = rows[order], numbers[order], start[order], end[order]
    latest, begins = -np.inf, np.ones(len(rows), bool)
    for i in range(len(rows)):
        is_same = i > 0 and numbers[i] == numbers[i - 1]
        begins[i] = not is_same or start[i] > latest - TOLERANCE_S
        latest = max(latest, end[i]) if is_same else end[i]
    return rows, np.cumsum(begins)


def _times(keys: pd.DataFrame, name: str) -> np.ndarray:
    return keys[name].to_numpy(float) if name in keys else np.full(len(keys), np.nan)


def connected(names: np.ndarray, *bonds: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Give one name, the first of theirs in order, to rows that are connected.

    Parameters
    ----------
    names : shape (n_rows,), str, or None for rows that stay without a name.
    bonds : pairs of arrays of equal length: row numbers, and what these rows have; equal things connect.

    Returns
    -------
    object array, shape (n_rows,).
    """
    n_rows, ends, offset = len(names), [], len(names)
    for rows, things in bonds:
        numbers = np.unique(things.astype(str), return_inverse=True)[1]
        ends.append(np.stack([rows, numbers + offset]))
        offset += int(numbers.max(initial=-1)) + 1
    if not ends:
        return names
    pairs = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][:n_rows]
    least: dict[int, str] = {}
    for name, number in zip(names, component, strict=True):
        if name is not None and (number not in least or name < least[number]):
            least[number] = name
    found = np.full(n_rows, None, dtype=object)
    is_named = np.array([name is not None for name in names], bool)
    found[is_named] = [least[number] for number in component[is_named]]
    return found


def epochs_share_recordings(keys: pd.DataFrame) -> bool:
    """Whether clips are different parts of one recording, as epochs of continuous EEG are."""
    rows, files = _files(keys)
    parts = pd.DataFrame({
        "file": files,
        "clip": identify(keys, "clip_id")[rows],
        "start": np.nan_to_num(_times(keys, "start")[rows], nan=0.0),
    })  # fmt: skip
    begins = parts.groupby(["file", "clip"], as_index=False)["start"].min()  # equal ones are of copies
    return bool(len(begins.drop_duplicates(["file", "start"])) > parts["file"].nunique())


def _files(keys: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows and the recordings that they are of: pairs, several for a row of several modalities."""
    if RECORDING not in keys:
        return np.array([], dtype=int), np.array([], dtype=object)
    pairs = [
        (row, file)
        for row, name in enumerate(_names(keys[RECORDING]))
        if name is not None
        for file in name.split(JOINED)
    ]
    rows, files = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(rows, dtype=int), np.array(files, dtype=object)


def _names(column: pd.Series) -> np.ndarray:
    names = [None if pd.isna(value) or value == "" else str(value) for value in column]
    return np.array(names, dtype=object)


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
        result[rows] = [f"{person or ''}{BETWEEN}block {block_of[trials[row]]}" for row in rows]
    return result


def in_order(trials: Iterable[str]) -> list[str]:
    """Identities of trials in the order of their names: 9 before 10, whether or not they are padded."""

    def place(identity: str) -> tuple[str, float, str]:
        within, name = identity.rpartition(BETWEEN)[::2]
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
    return identity.rsplit(BETWEEN, 1)[-1]


def full(identity: str) -> str:
    """The name with what it is counted in, such as data set and subject."""
    return " ".join(part for part in identity.split(BETWEEN) if part)


def named(identities: np.ndarray) -> list[str]:
    """The different names among the identities of rows, sorted."""
    return sorted({identity for identity in identities if identity is not None})
