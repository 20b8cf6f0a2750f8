"""Groups of rows: identities of subjects, trials and clips that are unique in the whole table."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

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
Links = tuple[np.ndarray, np.ndarray]  # row indices, and values; rows with equal values are connected
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


def rows_of(keys: pd.DataFrame, mask: np.ndarray) -> pd.DataFrame:
    """The rows of a mask (n_rows,), numbered from 0; where these are all, the keys themselves, not a copy."""
    return keys if mask.all() else keys[mask].reset_index(drop=True)


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
    numbers, names = numbered(keys, name)
    return np.asarray(np.array([*names, None], dtype=object)[numbers])


def identity_numbers(keys: pd.DataFrame, name: str) -> np.ndarray:
    """Numbers from 0 of the identities that `identify` gives, -1 where it gives None, shape (n_rows,)."""
    if name not in keys or name == RECORDING:
        return np.asarray(pd.factorize(identify(keys, name))[0])
    return _joint_numbers(keys, name)[0]


def n_identities(keys: pd.DataFrame, name: str) -> int:
    """Number of the different identities that `identify` gives."""
    return int(identity_numbers(keys, name).max(initial=-1)) + 1


def numbered(keys: pd.DataFrame, name: str) -> tuple[np.ndarray, list[str]]:
    """The identities that `identify` gives, each once, and the number of each row's.

    Parameters
    ----------
    keys : key table, one row per sample, which has the column.
    name : a key column but ``recording``.

    Returns
    -------
    numbers : int64 array, shape (n_rows,): the place of each row's identity in ``names``; -1 for rows without
        the key.
    names : in the order of their first rows.
    """
    joint, columns = _joint_numbers(keys, name)
    first = np.empty(int(joint.max(initial=-1)) + 1, np.int64)
    known = np.flatnonzero(joint >= 0)[::-1]
    first[joint[known]] = known
    texts = [values[numbers[first]] for numbers, values in columns]
    return joint, functools.reduce(lambda left, right: left + BETWEEN + right, texts).tolist()


def _joint_numbers(keys: pd.DataFrame, name: str) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """The numbers that `numbered` gives, and those of the columns that an identity is made of."""
    names = [part for part in (*UNIQUE_WITHIN.get(name, ()), name) if part in keys]
    columns = [_numbered(keys[part]) for part in names]
    joint = np.zeros(len(keys), np.int64)
    for numbers, texts in columns:  # renumbered at each step, so that products stay small
        joint = pd.factorize(joint * len(texts) + numbers)[0]
    has_none = columns[-1][0] == 0
    if has_none.any():
        joint[has_none] = -1
        joint[~has_none] = pd.factorize(joint[~has_none])[0]
    return joint, columns


def _numbered(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The values as text, each once, of which the first is "" for none, and the number of each row's."""
    numbers, values = pd.factorize(column)
    texts = np.array(["", *map(str, values)], dtype=object)
    if all(isinstance(value, str) and value for value in values):
        return numbers + 1, texts
    again, texts = pd.factorize(texts)  # 1 and "1", or an empty text
    return again[numbers + 1], texts


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
    is_trial = (trials != None) & (subjects != None)  # noqa: E711  (elementwise)
    own = np.where(is_trial, trials, np.where(clips == None, identify(keys, "sample_id"), clips))  # noqa: E711
    return connected(own, *_unit_links(keys))


def unit_numbers(keys: pd.DataFrame) -> np.ndarray:
    """The number of each row's unit (see `units`) from 0, in any order, shape (n_rows,)."""
    return _components(len(keys), _unit_links(keys))


def _unit_links(keys: pd.DataFrame) -> Iterator[Links]:
    """What rows of one unit share: trials of a known subject, clips, and runs of rows that overlap."""
    yield overlaps(keys)
    rows = np.arange(len(keys))
    subjects = identity_numbers(keys, SUBJECT)
    for name, known in (("trial", subjects >= 0), (CLIP, True)):
        numbers = identity_numbers(keys, name)
        has = (numbers >= 0) & known
        yield rows[has], numbers[has]


def overlaps(keys: pd.DataFrame) -> Links:
    """Find rows of one recording that overlap in time.

    A row without times covers its whole recording. If the recording of a row is not known, its clip counts
    as the recording.

    Returns
    -------
    rows : int array of row indices; a row of several modalities occurs once for each.
    runs : int array of the same length: the number of the run of overlapping rows.
    """
    rows, numbers = _file_numbers(keys)
    has_file = np.zeros(len(keys), bool)
    has_file[rows] = True
    if not has_file.all() and CLIP in keys:
        without_file = np.flatnonzero(~has_file)
        clips = _joint_numbers(keys.iloc[without_file], CLIP)[0]
        known = clips >= 0
        rows = np.concatenate([rows, without_file[known]])
        numbers = np.concatenate([numbers, clips[known] + numbers.max(initial=-1) + 1])
    if _are_distinct(numbers):
        return rows, np.arange(1, len(rows) + 1)
    start = np.nan_to_num(_times(keys, "start")[rows], nan=0.0)
    end = np.nan_to_num(_times(keys, "end")[rows], nan=np.inf)
    order = np.lexsort((end, start, numbers))
    rows, numbers, start, end = rows[order], numbers[order], start[order], end[order]
    latest = pd.Series(end).groupby(numbers).cummax().to_numpy()
    is_first = np.diff(numbers, prepend=-1) > 0
    begins = is_first | (start > np.roll(latest, 1) - TOLERANCE_S)
    return rows, np.cumsum(begins)


def _are_distinct(numbers: np.ndarray) -> bool:
    """Whether no number, of those from 0 and without gaps, comes twice."""
    return bool(numbers.max(initial=-1) + 1 == len(numbers))


def _times(keys: pd.DataFrame, name: str) -> np.ndarray:
    return keys[name].to_numpy(float) if name in keys else np.full(len(keys), np.nan)


def connected(names: np.ndarray, *links: Links) -> np.ndarray:
    """Rename connected rows by the smallest of their names.

    Parameters
    ----------
    names : shape (n_rows,), str, or None for rows that remain without a name.
    links : pairs of arrays of equal length, row indices and values; rows with equal values are connected.

    Returns
    -------
    object array, shape (n_rows,).
    """
    if not links:
        return names
    component = _components(len(names), links)
    places, distinct = pd.factorize(names, sort=True)
    is_named = places >= 0
    least = np.full(component.max(initial=-1) + 1, len(distinct))
    np.minimum.at(least, component[is_named], places[is_named])
    found = np.full(len(names), None, dtype=object)
    found[is_named] = distinct[least[component[is_named]]]
    return found


def _components(n_rows: int, links: Iterable[Links]) -> np.ndarray:
    """The number of each row's component, from 0; see `connected`."""
    ends, offset = [], n_rows
    for rows, values in links:
        numbers = pd.factorize(values, use_na_sentinel=False)[0]
        if _are_distinct(numbers):
            continue  # nothing is shared
        ends.append(np.stack([rows, numbers + offset]))
        offset += int(numbers.max(initial=-1)) + 1
    if not ends:
        return np.arange(n_rows)
    pairs = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(offset, offset))
    component: np.ndarray = connected_components(graph, directed=False)[1][:n_rows]
    return component


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
    rows, numbers, names = _recordings(keys)
    return rows, np.array(names, dtype=object)[numbers]


def _file_numbers(keys: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """As `_files`, with numbers for the recordings."""
    return _recordings(keys)[:2]


def _recordings(keys: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Row indices, the number of the recording of each, and the names of the recordings."""
    if RECORDING not in keys:
        return np.array([], dtype=int), np.array([], dtype=int), []
    numbers, names = numbered(keys, RECORDING)
    rows = np.flatnonzero(numbers >= 0)
    if not any(JOINED in name for name in names):
        return rows, numbers[rows], names
    files_of = [name.split(JOINED) for name in names]
    n_files = np.array([len(files) for files in files_of], int)
    of_file, files = pd.factorize(np.array([file for files in files_of for file in files], dtype=object))
    begins = np.cumsum(n_files) - n_files
    mine = numbers[rows]
    within = np.arange(n_files[mine].sum()) - np.repeat(
        np.cumsum(n_files[mine]) - n_files[mine], n_files[mine]
    )
    held = of_file[np.repeat(begins[mine], n_files[mine]) + within]
    return np.repeat(rows, n_files[mine]), held, list(files)


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
