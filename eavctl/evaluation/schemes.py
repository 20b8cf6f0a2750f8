"""The protocols themselves: each assigns the rows of a key table to training and test parts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import (
    CLIP,
    DATASET,
    RECORDING,
    SUBJECT,
    connected,
    epochs_share_recordings,
    identify,
    n_identities,
    named,
    short,
    sorted_trials,
)
from eavctl.evaluation.plan import Plan, Split

SHOWN = 3  # names in a message
RANDOM_PARTS = 5  # one of five is the test part: 80/20
TEST_SPLIT = "test"
LODO = "lodo"  # the protocol, leave one data set out

SHARED_SPEAKERS = "speakers may be on both sides of the split: the score does not generalise to new speakers"
NO_SUBJECTS = "the table has no subjects, so a speaker may be on both sides of the split (EAV030)"
SAME_SUBJECT = "each subject is tested by its own model: the score does not generalise to new people"
ONE_SUBJECT = (
    "the table has one subject, who is on both sides of the split: the score does not generalise to others "
    "(EAV035)"
)
SHARED_RECORDINGS = (
    "epochs of one recording may be on both sides of the split, and those close in time are dependent: "
    "the score does not generalise to other recordings"
)


@dataclass(frozen=True)
class Request:
    """What a protocol splits.

    Parameters
    ----------
    keys : key table, one row per sample.
    labels : shape (n_rows,), str in an object array.
    folds, group, seed : as `eavctl.evaluation.protocols.splits` takes them.
    units : of each row (see `eavctl.evaluation.groups.units`), shape (n_rows,).
    notes : warnings that the plan must carry.
    """

    keys: pd.DataFrame
    labels: np.ndarray
    folds: int
    group: str
    seed: int
    units: np.ndarray
    notes: tuple[str, ...] = ()

    def with_notes(self, *notes: str) -> Request:
        """The request with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def n_groups(self, group: str) -> int:
        """Number of groups; groups that share units count as one."""
        return len(named(_whole(identify(self.keys, group), self.units)))


def _group_kfold(request: Request) -> Plan:
    groups, request = _whole_groups(request)
    n_groups = len(named(groups))
    if n_groups < request.folds:
        raise UsageError(
            f"--folds {request.folds}: the table has only {n_groups} groups ({request.group}); "
            f"use --folds {n_groups} or fewer, or --protocol loso"
        )
    of_row = _assign_folds(groups, request.labels, request.folds, request.seed)
    return _grouped_plan("group-kfold", request, _by_fold(of_row))


def _loso(request: Request) -> Plan:
    groups, request = _whole_groups(request)
    return _grouped_plan("loso", request, _one_each(groups))


def _lodo(request: Request) -> Plan:
    """Leave one data set out: people of different data sets are different people."""
    groups, request = _whole_groups(replace(request, group=DATASET))
    return Plan(LODO, DATASET, _one_each(groups), request.notes)


def _stratified(request: Request) -> Plan:
    n_units = _count_units(request.units)
    if n_units < request.folds:
        raise UsageError(
            f"--folds {request.folds}: there are only {n_units} units (clips, or parts of recordings that do "
            "not overlap); use fewer folds, or more recordings"
        )
    of_row = _assign_folds(request.units, request.labels, request.folds, request.seed)
    return Plan("stratified", CLIP, _by_fold(of_row), (*request.notes, *_sharing(request.keys)), shares=True)


def _random(request: Request) -> Plan:
    _count_units(request.units)
    parts = _assign_folds(request.units, request.labels, RANDOM_PARTS, request.seed)
    rows = np.arange(len(parts))
    classes = set(request.labels)
    trainable = [p for p in range(1, RANDOM_PARTS + 1) if set(request.labels[parts != p]) == classes]
    tested = parts == (trainable or [1])[0]  # a class with a single clip belongs to the training part
    split = Split(1, rows[~tested], rows[tested])
    return Plan("random", CLIP, (split,), _sharing(request.keys), shares=True)


def _given(request: Request) -> Plan:
    keys = request.keys
    names = texts(keys, "split")
    folds = texts(keys, "fold")
    notes: list[str] = []
    if any(name is not None and name.lower() == TEST_SPLIT for name in names):
        tested = np.array([name is not None and name.lower() == TEST_SPLIT for name in names])
        unnamed = sum(name is None for name in names)
        notes += [f"{unnamed} rows without a split were used for training"] if unnamed else []
        rows = np.arange(len(keys))
        parts: tuple[Split, ...] = (Split(1, rows[~tested], rows[tested]),)
    elif any(fold is not None for fold in folds):
        of_row = np.array([-1 if fold is None else int(fold) for fold in folds])
        always = int((of_row < 0).sum())
        notes += (
            [f"{always} rows without a fold were used for training in every fold, never tested"]
            if always
            else []
        )
        parts = _by_fold(of_row)
    elif any(name is not None for name in names):
        found = ", ".join(sorted({name for name in names if name is not None})[:5])
        raise DataError(f"no row has 'test' in the column 'split' (found: {found}), and there is no 'fold'")
    else:
        raise DataError(
            "--protocol given needs a column 'split' (train, test) or 'fold'; the table has neither"
        )
    if not named(identify(keys, request.group)):
        if request.group != SUBJECT:
            raise DataError(f"the column {request.group!r} has no groups; use another --group")
        notes.append(NO_SUBJECTS)
    return _grouped_plan("given", request, parts, *notes)


def _within_subjects(request: Request, name: str, share: float) -> Plan:
    """Within each subject, class and task, train on the first share of the trials and test on the rest.

    EAV has 20 trials per class and task; a share of 0.7 is 14 trials, which hold the first 56 of 80 segments.

    Reference: Lee et al., EAV: EEG-Audio-Video dataset for emotion recognition in conversational contexts,
    Scientific Data 11, 2024.
    """
    keys, labels = request.keys, request.labels
    subjects, trials = (identify(keys, column) for column in (SUBJECT, "trial"))
    if any(each is None for each in (*subjects, *trials)):
        raise DataError(f"--protocol {name} needs a subject and a trial for every row; some are missing")
    tasks = identify(keys, "task")
    trained = np.zeros(len(keys), bool)
    uneven = 0
    for person, task, label in set(zip(subjects, tasks, labels, strict=True)):
        mine = (subjects == person) & (tasks == task) & (labels == label)
        order = sorted_trials(set(trials[mine]))
        first = round(share * len(order))
        uneven += not math.isclose(first, share * len(order), abs_tol=1e-9)
        trained |= np.isin(trials, order[:first]) & mine
    rows = np.arange(len(keys))
    parts = tuple(
        Split(number, rows[trained & (subjects == person)], rows[~trained & (subjects == person)])
        for number, person in enumerate(named(subjects), start=1)
    )
    notes = [f"{name}: {share:.0%} is not a whole number of trials in {uneven} cases and was rounded"]
    return Plan(name, "trial", parts, (*(notes if uneven else ()), SAME_SUBJECT), shares=True)


PROTOCOLS: dict[str, Callable[[Request], Plan]] = {
    "group-kfold": _group_kfold,
    "loso": _loso,
    LODO: _lodo,
    "stratified": _stratified,
    "random": _random,
    "eav-70-30": functools.partial(_within_subjects, name="eav-70-30", share=0.7),
    "eav-50-50": functools.partial(_within_subjects, name="eav-50-50", share=0.5),
    "given": _given,
}


def _assign_folds(units: np.ndarray, labels: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Assign whole units to folds of about equal size and class distribution; the fold of each row, from 1.

    The algorithm is greedy: the largest unit first, each to the fold where it adds least to the sum over
    folds of the squared shares of each class and of all rows. An empty fold always has the lowest cost, so
    no fold stays empty. The seed orders units of equal size, not their names: names often have a pattern
    (odd numbers for men) that folds must not follow.
    """
    unit_of_row, names = pd.factorize(units, sort=True)
    classes, class_of_row = np.unique(labels.astype(str), return_inverse=True)
    counts = np.zeros((len(names), len(classes) + 1))
    np.add.at(counts, (unit_of_row, class_of_row), 1)
    counts[:, -1] = counts.sum(axis=1)
    shares = counts / counts.sum(axis=0)

    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    filled = np.zeros((n_folds, len(classes) + 1))
    fold_of_unit = np.empty(len(names), dtype=int)
    for unit in order:
        added = np.round(filled @ shares[unit], 12)  # rounding errors must not break ties
        fold = int(np.lexsort((filled[:, -1], added))[0])
        filled[fold] += shares[unit]
        fold_of_unit[unit] = fold + 1
    return np.asarray(fold_of_unit[unit_of_row])


def _whole_groups(request: Request) -> tuple[np.ndarray, Request]:
    """The group of each row, with groups merged that share a clip or overlap in a recording.

    Merging adds a note to the request.

    Raises
    ------
    DataError : a row has no group, or there are fewer than two groups.
    """
    groups = identify(request.keys, request.group)
    found = named(groups)
    if len(found) < 2:
        one = f"has only one group ({short(found[0])})" if found else "has no groups"
        raise DataError(
            f"the column {request.group!r} {one}; fill it in the manifest and extract again, or use "
            "--protocol stratified, or another --group"
        )
    missing = np.flatnonzero([name is None for name in groups])
    if len(missing):
        first = request.keys["sample_id"].iloc[missing[0]]
        raise DataError(
            f"{len(missing)} rows have no {request.group} (the first is {first}); "
            "add it, remove these rows, or use --protocol stratified"
        )
    whole = _whole(groups, request.units)
    if len(named(whole)) == len(found):
        return groups, request
    merged = sorted({name for name, kept in zip(groups, whole, strict=True) if name != kept})
    if len(named(whole)) < 2:
        raise DataError(
            f"every {request.group} shares recordings or clips with another, so the rows cannot be split; "
            "use fewer or shorter epochs, or more recordings"
        )
    return whole, request.with_notes(
        f"{len(merged)} groups ({request.group}) share recordings or clips with others and were merged with "
        f"them: {', '.join(map(short, merged[:SHOWN]))}{', ...' if len(merged) > SHOWN else ''}"
    )


def _whole(groups: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Groups, merged if they share a unit; None for rows without a group."""
    rows = np.flatnonzero([group is not None for group in groups])
    found = np.full(len(groups), None, dtype=object)
    mine = groups[rows]
    found[rows] = connected(mine, (np.arange(len(rows)), mine), (np.arange(len(rows)), units[rows]))
    return found


def _count_units(units: np.ndarray) -> int:
    """Number of units; raises a DataError if there is only one."""
    n_units = len(set(units))
    if n_units < 2:
        raise DataError(
            "all rows belong to one clip or overlap in one recording, so they cannot be split; extract "
            "without overlap, or from more recordings"
        )
    return n_units


def _grouped_plan(name: str, request: Request, parts: tuple[Split, ...], *notes: str) -> Plan:
    """A plan that keeps groups whole, with warnings if subjects may be on both sides."""
    shares = request.group != SUBJECT
    warnings = _sharing(request.keys, request.group) if shares else ()
    return Plan(name, request.group, parts, (*request.notes, *notes, *warnings), shares=shares)


def _sharing(keys: pd.DataFrame, group: str = CLIP) -> tuple[str, ...]:
    """Warnings about what may be on both sides of a split that keeps only these groups whole."""
    n_subjects = n_identities(keys, SUBJECT)
    people = (NO_SUBJECTS, ONE_SUBJECT)[n_subjects] if n_subjects < 2 else SHARED_SPEAKERS
    is_divided = group not in ("session", RECORDING, DATASET) and epochs_share_recordings(keys)
    return (people, SHARED_RECORDINGS) if is_divided else (people,)


def _one_each(groups: np.ndarray) -> tuple[Split, ...]:
    """One split per group, which is its test part."""
    number = {name: i for i, name in enumerate(named(groups), start=1)}
    return _by_fold(np.array([number[name] for name in groups]))


def _by_fold(of_row: np.ndarray) -> tuple[Split, ...]:
    """One split per fold number; rows with a negative number are never tested."""
    rows = np.arange(len(of_row))
    numbers = sorted({int(number) for number in of_row if number >= 0})
    return tuple(Split(n, rows[of_row != n], rows[of_row == n]) for n in numbers)


def texts(keys: pd.DataFrame, name: str) -> list[str | None]:
    """The values of a key column as text; None where there is no column, or no value."""
    if name not in keys:
        return [None] * len(keys)
    return [None if pd.isna(value) or value == "" else str(value) for value in keys[name]]
