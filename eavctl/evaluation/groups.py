"""Groups of rows: identities of subjects, trials and clips that are unique in the whole table."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from eavctl.errors import DataError
from eavctl.evaluation.names import BETWEEN
from eavctl.evaluation.trained_on import JOINED
from eavctl.storage.keys import AUGMENT

# A name is unique only within these keys: trial 3 of one person is not trial 3 of another.
UNIQUE_WITHIN: dict[str, tuple[str, ...]] = {
    "sample_id": ("dataset",),
    "clip_id": ("dataset",),
    "subject": ("dataset",),
    "session": ("dataset", "subject"),
    "trial": ("dataset", "subject", "session"),
}
SUBJECT, CLIP, DATASET, RECORDING = "subject", "clip_id", "dataset", "recording"  # keys
BLOCK = "block"
TOLERANCE_S = 1e-6  # seconds; a shorter overlap does not count


def labelled(keys: pd.DataFrame) -> np.ndarray:
    """Which rows of a prediction table have a label to score against, bool, shape (n_rows,).

    Raises
    ------
    DataError : none has.
    """
    known: np.ndarray = keys["label"].notna().to_numpy()
    if not known.any():
        raise DataError("no row of the predictions has a label to score against")
    return known


def copies(keys: pd.DataFrame) -> np.ndarray:
    """Mask of the rows of altered copies, which are trained on and never tested; bool, shape (n_rows,)."""
    if AUGMENT not in keys:
        return np.zeros(len(keys), bool)
    return np.asarray(keys[AUGMENT].notna(), bool)


def identify(keys: pd.DataFrame, name: str) -> np.ndarray:
    """Identify the subject, session, trial, clip or other key of each row across the whole table.

    Parameters
    ----------
    keys : key table, one row per sample; missing columns count as empty.
    name : a key column, such as ``subject``, or ``block`` (see `blocks`). For ``recording``, rows belong
        together if they share a file of any modality.

    Returns
    -------
    object array, shape (n_rows,): identities as str, equal for rows of the same subject (or other key); None
    for rows without the key.
    """
    if name == BLOCK and name not in keys:
        return blocks(keys)
    if name not in keys:
        return np.full(len(keys), None, dtype=object)
    if name == RECORDING:
        rows, files = _files(keys)
        return connected(_names(keys[RECORDING]), (rows, files))
    within = [_texts(keys[part]) for part in UNIQUE_WITHIN.get(name, ()) if part in keys]
    own = _texts(keys[name])
    joined = functools.reduce(lambda left, right: left + BETWEEN + right, (*within, own)).copy()
    joined[own == ""] = None
    return joined


def units(keys: pd.DataFrame) -> np.ndarray:
    """Identify the units, which no protocol may divide.

    Rows belong to the same unit if they share a clip or a trial of a subject, or if they overlap in time in
    one recording, whatever their names; and, by transitivity, if other rows connect them.

    Parameters
    ----------
    keys : key table, one row per sample.

    Returns
    -------
    object array, shape (n_rows,): the name of each row's unit, the smallest of the names in it.
    """
    clips, trials, subjects = (identify(keys, name) for name in ("clip_id", "trial", "subject"))
    is_trial = np.array([t is not None and s is not None for t, s in zip(trials, subjects, strict=True)])
    own = np.where(is_trial, trials, np.where(clips == None, identify(keys, "sample_id"), clips))  # noqa: E711
    rows = np.arange(len(keys))
    known = np.array([clip is not None for clip in clips], bool)
    return connected(own, (rows, own), (rows[known], clips[known]), overlaps(keys))


def overlaps(keys: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Find rows of one recording that overlap in time.

    A row without times covers its whole recording. If the recording of a row is not known, its clip counts
    as the recording.

    Returns
    -------
    rows : int array of row indices; a row of several modalities occurs once for each.
    runs : int array of the same length: the number of the run of overlapping rows.
    """
    rows, files = _files(keys)
    without_file = np.setdiff1d(np.arange(len(keys)), rows)
    clips = identify(keys.iloc[without_file], "clip_id")
    known = np.array([clip is not None for clip in clips], bool)
    rows = np.concatenate([rows, without_file[known]])
    files = np.concatenate([files, clips[known]])
    start = np.nan_to_num(_times(keys, "start")[rows], nan=0.0)
    end = np.nan_to_num(_times(keys, "end")[rows], nan=np.inf)
    numbers = pd.factorize(files)[0]
    order = np.lexsort((end, start, numbers))
    rows, numbers, start, end = rows[order], numbers[order], start[order], end[order]
    latest = pd.Series(end).groupby(numbers).cummax().to_numpy()
    is_first = np.diff(numbers, prepend=-1) > 0
    begins = is_first | (start > np.roll(latest, 1) - TOLERANCE_S)
    return rows, np.cumsum(begins)


def _times(keys: pd.DataFrame, name: str) -> np.ndarray:
    return keys[name].to_numpy(float) if name in keys else np.full(len(keys), np.nan)


def connected(names: np.ndarray, *links: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Rename connected rows by the smallest of their names.

    Parameters
    ----------
    names : shape (n_rows,), str, or None for rows that remain without a name.
    links : pairs of arrays of equal length, row indices and values; rows with equal values are connected.

    Returns
    -------
    object array, shape (n_rows,).
    """
    n_rows, ends, offset = len(names), [], len(names)
    for rows, values in links:
        numbers = pd.factorize(values, use_na_sentinel=False)[0]
        ends.append(np.stack([rows, numbers + offset]))
        offset += int(numbers.max(initial=-1)) + 1
    if not ends:
        return names
    pairs = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][:n_rows]
    places, distinct = pd.factorize(names, sort=True)
    is_named = places >= 0
    least = np.full(component.max(initial=-1) + 1, len(distinct))
    np.minimum.at(least, component[is_named], places[is_named])
    found = np.full(n_rows, None, dtype=object)
    found[is_named] = distinct[least[component[is_named]]]
    return found


def epochs_share_recordings(keys: pd.DataFrame) -> bool:
    """Whether several clips are parts of one recording, as epochs of continuous EEG are."""
    rows, files = _files(keys)
    parts = pd.DataFrame({
        "file": files,
        "clip": identify(keys, "clip_id")[rows],
        "start": np.nan_to_num(_times(keys, "start")[rows], nan=0.0),
    })  # fmt: skip
    begins = parts.groupby(["file", "clip"], as_index=False)["start"].min()  # equal starts: copies of a file
    return bool(len(begins.drop_duplicates(["file", "start"])) > parts["file"].nunique())


def _files(keys: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Row indices and their recordings; a row of several modalities has several recordings."""
    if RECORDING not in keys:
        return np.array([], dtype=int), np.array([], dtype=object)
    numbers, names = pd.factorize(_names(keys[RECORDING]))
    rows = np.flatnonzero(numbers >= 0)
    files_of = [name.split(JOINED) for name in names]
    n_files = np.array([len(files) for files in files_of], int)[numbers[rows]]
    files = np.array([file for number in numbers[rows] for file in files_of[number]], dtype=object)
    return np.repeat(rows, n_files), files


def _names(column: pd.Series) -> np.ndarray:
    names = _texts(column)
    names[names == ""] = None
    return names


def _texts(column: pd.Series) -> np.ndarray:
    """The values as text, "" where there is none, object (n_rows,); few values may stand in many rows."""
    numbers, values = pd.factorize(column)
    texts = np.array([*map(str, values), ""], dtype=object)
    return np.asarray(texts[numbers])


def blocks(keys: pd.DataFrame) -> np.ndarray:
    """Identify the block of each row: a run of consecutive trials of a subject with the same label.

    Slow drifts are similar within a run, so a classifier can mistake them for the class. A class whose trials
    form a single run is divided into as many blocks as other classes have runs (the median), so that it can
    be tested.

    Parameters
    ----------
    keys : key table, one row per sample; trials are ordered by number, or by name if they have no number.

    Returns
    -------
    object array, shape (n_rows,): identities as str; None for rows without a trial or a label.
    """
    trials, people = identify(keys, "trial"), identify(keys, "subject")
    labels = keys["label"].to_numpy() if "label" in keys else np.full(len(keys), None, dtype=object)
    usable = [t is not None and isinstance(label, str) for t, label in zip(trials, labels, strict=True)]
    result = np.full(len(keys), None, dtype=object)
    for person in set(people[usable]):
        rows = np.flatnonzero(usable & (people == person))
        label_of = dict(zip(trials[rows], labels[rows], strict=True))
        block_of = _runs(sorted_trials(label_of), label_of)
        result[rows] = [f"{person or ''}{BETWEEN}block {block_of[trials[row]]}" for row in rows]
    return result


def sorted_trials(trials: Iterable[str]) -> list[str]:
    """Sort identities of trials by number, else by name: 9 before 10, with or without leading zeros."""

    def order(identity: str) -> tuple[str, float, str]:
        within, name = identity.rpartition(BETWEEN)[::2]
        return within, float(name) if name.replace(".", "", 1).isdecimal() else 0.0, name

    return sorted(trials, key=order)


def _runs(trials: list[str], label_of: dict[str, str]) -> dict[str, int]:
    """Number of each trial's block, from 1."""
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
    """The name in the table, for messages and figures."""
    return identity.rsplit(BETWEEN, 1)[-1]


def full(identity: str) -> str:
    """The name together with the keys within which it is unique, such as data set and subject."""
    return " ".join(part for part in identity.split(BETWEEN) if part)


def named(identities: np.ndarray) -> list[str]:
    """The distinct identities of rows, sorted, without None."""
    return sorted({identity for identity in identities if identity is not None})
