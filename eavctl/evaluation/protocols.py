"""Evaluation protocols: splits of the rows of a key table into training and test rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import (
    BLOCK,
    RECORDING,
    connected,
    copies,
    epochs_share_recordings,
    identify,
    named,
    short,
    sorted_trials,
    units,
)
from eavctl.evaluation.names import check_spelling
from eavctl.evaluation.untested import follows

SHOWN = 3  # names in a message
RANDOM_PARTS = 5  # one of five is the test part: 80/20
TEST_SPLIT = "test"
CLIP = "clip_id"
SUBJECT = "subject"
DATASET = "dataset"
LODO = "lodo"  # the protocol, leave one data set out
GROUPS = (SUBJECT, "session", RECORDING, "trial", CLIP, "task", DATASET, BLOCK)

SHARED_SPEAKERS = "speakers may be on both sides of the split: the score does not generalise to new speakers"
NO_SUBJECTS = "the table has no subjects, so a speaker may be on both sides of the split"
SAME_SUBJECT = "each subject is tested by its own model: the score does not generalise to new people"
ONE_SUBJECT = (
    "the table has one subject, who is on both sides of the split: the score does not generalise to others"
)
SHARED_RECORDINGS = (
    "epochs of one recording may be on both sides of the split, and those close in time are dependent: "
    "the score does not generalise to other recordings"
)


@dataclass(frozen=True)
class Split:
    """One fold.

    Parameters
    ----------
    fold : number of the fold, from 1; for ``given``, the number in the table.
    train, test : indices of rows, int, ascending; disjoint.
    """

    fold: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A protocol applied to one table.

    Parameters
    ----------
    name : name of the protocol.
    group : key column whose values are never divided between training and test rows.
    folds : splits by fold number.
    warnings : warnings that every output of this plan must carry.
    shares : whether the protocol, by its name, allows a subject on both sides of a split.
    groups : shape (n_rows,), str: groups that inner splits keep whole if there are at least two; the unit for
        rows without a group.
    units : shape (n_rows,), str: units, which are never divided (see `eavctl.evaluation.groups.units`).
    people : shape (n_rows,), str: of ``lodo``, whose groups are data sets, the subjects; else None.
    """

    name: str
    group: str
    folds: tuple[Split, ...]
    warnings: tuple[str, ...] = field(default=())
    shares: bool = False
    groups: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    units: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    people: np.ndarray | None = None

    @property
    def allow(self) -> tuple[str, ...]:
        """Keys that `eavctl.evaluation.leakage.check` accepts on both sides."""
        return (SUBJECT,) if self.shares else ()

    def describe(self) -> str:
        """Summary of the plan in one line of text."""
        n_test = sum(len(split.test) for split in self.folds)
        folds = f"{len(self.folds)} folds" if len(self.folds) > 1 else "one split"
        return f"{self.name} by {self.group}, {folds}, {n_test} rows tested"


def splits(
    keys: pd.DataFrame,
    protocol: str = "auto",
    *,
    folds: int = 5,
    group: str | None = None,
    seed: int = 42,
    distinct_names: bool = False,
    untested: np.ndarray | None = None,
) -> Plan:
    """Split the rows of a key table by a protocol.

    The split does not depend on the order of the rows, nor on altered copies: these are training rows in the
    folds in which their clip is one, and tested in none.

    Parameters
    ----------
    keys : key table, one row per sample; every row has a label.
    protocol : one of

        - ``group-kfold``: k folds of whole groups;
        - ``loso``: leave one group out;
        - ``lodo``: leave one data set out;
        - ``stratified``: k folds of whole clips;
        - ``random``: one split of whole clips, 80/20;
        - ``eav-70-30``, ``eav-50-50``: within each subject, train on the first trials of every class and test
          on the rest;
        - ``given``: the column ``split`` or ``fold`` of the table;
        - ``auto``: ``lodo`` if the table has at least two data sets and no group is given; else
          ``group-kfold`` if it has at least two groups, else ``stratified``. If it has fewer than two
          subjects and clips are epochs of one recording, the groups are sessions, or recordings if there are
          fewer than two sessions.
    folds : number of folds of ``group-kfold`` and ``stratified``.
    group : key column whose values are kept whole, or ``block`` (see `eavctl.evaluation.groups.blocks`); by
        default ``subject``. Any other allows a subject on both sides.
    seed : seed of the order in which groups or clips of equal size are assigned to folds.
    distinct_names : accept labels and subjects that differ only in case or spacing as different ones.
    untested : bool, shape (n_rows,), rows that are training rows only, as altered copies always are: in folds
        that test no row of their unit or group.

    Raises
    ------
    UsageError : unknown protocol or group, a group for a protocol that has its own, or more folds than
        groups.
    DataError : labels or groups are missing, a fold cannot be trained or tested, or names differ only in case
        or spacing.
    """
    if protocol not in _PROTOCOLS and protocol != "auto":
        raise UsageError(f"unknown protocol {protocol!r}; known: auto, {', '.join(_PROTOCOLS)}")
    if folds < 2:
        raise UsageError(f"--folds {folds}: at least 2 are needed")
    _check_group(protocol, group)
    untested = copies(keys) if untested is None else untested | copies(keys)
    if untested.any():
        plan = splits(
            keys[~untested].reset_index(drop=True), protocol, folds=folds, group=group, seed=seed,
            distinct_names=distinct_names,
        )  # fmt: skip
        return _with_untested(plan, keys, untested)
    labels = _labels(keys)
    if not distinct_names:
        check_spelling(labels, identify(keys, SUBJECT))
    request = _Request(keys, labels, folds, group or SUBJECT, seed, units(keys))
    if protocol == "auto":
        protocol, request = _choose(request, is_asked=group is not None)
    return _with_names(_verified(_PROTOCOLS[protocol](request), request.labels), keys, request.units)


def _with_names(plan: Plan, keys: pd.DataFrame, units_of: np.ndarray) -> Plan:
    """The plan with the groups, units and people of all rows of a key table."""
    people = _kept_whole(keys, SUBJECT, units_of) if plan.name == LODO else None
    groups = _kept_whole(keys, plan.group, units_of)
    return replace(plan, groups=groups, units=units_of.astype(str), people=people)


def _kept_whole(keys: pd.DataFrame, group: str, units_of: np.ndarray) -> np.ndarray:
    """The group of each row, str; the unit of a row without a group; merged where groups share units."""
    groups = identify(keys, group)
    whole = np.where(groups == None, units_of, groups)  # noqa: E711  (elementwise)
    rows = np.arange(len(whole))
    return connected(whole, (rows, whole), (rows, units_of)).astype(str)


def _with_untested(plan: Plan, keys: pd.DataFrame, untested: np.ndarray) -> Plan:
    """A plan of the tested rows, with the others, such as altered copies, added to the training rows."""
    own, others = np.flatnonzero(~untested), np.flatnonzero(untested)
    complete = _with_names(plan, keys, units(keys))
    groups = np.zeros(len(keys), int) if plan.shares else complete.groups  # no group can be kept apart
    folds = []
    for split in plan.folds:
        train, test = own[split.train], own[split.test]
        joins = follows(others, train, test, complete.units, groups)
        folds.append(Split(split.fold, np.sort(np.concatenate([train, others[joins]])), test))
    return replace(complete, folds=tuple(folds))


def _check_group(protocol: str, group: str | None) -> None:
    if group is None:
        return
    if group not in GROUPS:
        raise UsageError(f"--group {group}: no such key; known: {', '.join(GROUPS)}")
    if protocol not in ("auto", "group-kfold", "loso", "given"):
        raise UsageError(f"--group applies to group-kfold, loso and given; {protocol} has its own units")


# --- the protocols ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Request:
    keys: pd.DataFrame
    labels: np.ndarray
    folds: int
    group: str
    seed: int
    units: np.ndarray
    notes: tuple[str, ...] = ()

    def with_notes(self, *notes: str) -> _Request:
        return replace(self, notes=(*self.notes, *notes))

    def n_groups(self, group: str) -> int:
        """Number of groups; groups that share units count as one."""
        return len(named(_whole(identify(self.keys, group), self.units)))


def _choose(request: _Request, *, is_asked: bool) -> tuple[str, _Request]:
    """Choose lodo of several data sets, else group k-fold, one fold a group at most, else stratified."""
    if not is_asked and request.n_groups(DATASET) > 1 and None not in identify(request.keys, DATASET):
        return LODO, request
    if request.n_groups(request.group) < 2 and not is_asked:
        if not epochs_share_recordings(request.keys):
            return "stratified", request
        found = [group for group in ("session", RECORDING) if request.n_groups(group) > 1]
        if not found:
            return "stratified", request
        note = f"epochs of one recording are dependent: {found[0]}s are kept whole (--group {found[0]})"
        request = replace(request, group=found[0]).with_notes(note)
    n_groups = request.n_groups(request.group)
    if n_groups >= request.folds or n_groups < 2:
        return "group-kfold", request
    note = f"{n_groups} folds instead of {request.folds}: the table has {n_groups} groups ({request.group})"
    return "group-kfold", replace(request, folds=n_groups).with_notes(note)


def _group_kfold(request: _Request) -> Plan:
    groups, request = _whole_groups(request)
    n_groups = len(named(groups))
    if n_groups < request.folds:
        raise UsageError(
            f"--folds {request.folds}: the table has only {n_groups} groups ({request.group}); "
            f"use --folds {n_groups} or fewer, or --protocol loso"
        )
    of_row = _assign_folds(groups, request.labels, request.folds, request.seed)
    return _grouped_plan("group-kfold", request, _by_fold(of_row))


def _loso(request: _Request) -> Plan:
    groups, request = _whole_groups(request)
    number = {name: i + 1 for i, name in enumerate(named(groups))}
    return _grouped_plan("loso", request, _by_fold(np.array([number[name] for name in groups])))


def _lodo(request: _Request) -> Plan:
    """Leave one data set out: people of different data sets are different people."""
    groups, request = _whole_groups(replace(request, group=DATASET))
    number = {name: i + 1 for i, name in enumerate(named(groups))}
    parts = _by_fold(np.array([number[name] for name in groups]))
    return Plan(LODO, DATASET, parts, request.notes)


def _stratified(request: _Request) -> Plan:
    n_units = _count_units(request.units)
    if n_units < request.folds:
        raise UsageError(
            f"--folds {request.folds}: there are only {n_units} units (clips, or parts of recordings that do "
            "not overlap); use fewer folds, or more recordings"
        )
    of_row = _assign_folds(request.units, request.labels, request.folds, request.seed)
    return Plan("stratified", CLIP, _by_fold(of_row), (*request.notes, *_sharing(request.keys)), shares=True)


def _random(request: _Request) -> Plan:
    _count_units(request.units)
    parts = _assign_folds(request.units, request.labels, RANDOM_PARTS, request.seed)
    rows = np.arange(len(parts))
    classes = set(request.labels)
    trainable = [p for p in range(1, RANDOM_PARTS + 1) if set(request.labels[parts != p]) == classes]
    tested = parts == (trainable or [1])[0]  # a class with a single clip belongs to the training part
    split = Split(1, rows[~tested], rows[tested])
    return Plan("random", CLIP, (split,), _sharing(request.keys), shares=True)


def _given(request: _Request) -> Plan:
    keys = request.keys
    names = _column(keys, "split")
    folds = _column(keys, "fold")
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


def _within_subjects(request: _Request, name: str, share: float) -> Plan:
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


_PROTOCOLS: dict[str, Callable[[_Request], Plan]] = {
    "group-kfold": _group_kfold,
    "loso": _loso,
    LODO: _lodo,
    "stratified": _stratified,
    "random": _random,
    "eav-70-30": functools.partial(_within_subjects, name="eav-70-30", share=0.7),
    "eav-50-50": functools.partial(_within_subjects, name="eav-50-50", share=0.5),
    "given": _given,
}
NAMES = ("auto", *_PROTOCOLS)


# --- parts ------------------------------------------------------------------------------------------------


def _assign_folds(units: np.ndarray, labels: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Assign whole units to folds of about equal size and class distribution; the fold of each row, from 1.

    The algorithm is greedy: the largest unit first, each to the fold where it adds least to the sum over
    folds of the squared shares of each class and of all rows. An empty fold always has the lowest cost, so
    no fold stays empty. The seed orders units of equal size, not their names: names often have a pattern
    (odd numbers for men) that folds must not follow.
    """
    names, unit_of_row = np.unique(units.astype(str), return_inverse=True)
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
    return fold_of_unit[unit_of_row]


def _whole_groups(request: _Request) -> tuple[np.ndarray, _Request]:
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
        raise DataError(f"the column {request.group!r} {one}; use --protocol stratified, or another --group")
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


def _grouped_plan(name: str, request: _Request, parts: tuple[Split, ...], *notes: str) -> Plan:
    """A plan that keeps groups whole, with warnings if subjects may be on both sides."""
    shares = request.group != SUBJECT
    warnings = _sharing(request.keys, request.group) if shares else ()
    return Plan(name, request.group, parts, (*request.notes, *notes, *warnings), shares=shares)


def _sharing(keys: pd.DataFrame, group: str = CLIP) -> tuple[str, ...]:
    """Warnings about what may be on both sides of a split that keeps only these groups whole."""
    n_subjects = len(named(identify(keys, SUBJECT)))
    people = (NO_SUBJECTS, ONE_SUBJECT)[n_subjects] if n_subjects < 2 else SHARED_SPEAKERS
    is_divided = group not in ("session", RECORDING, DATASET) and epochs_share_recordings(keys)
    return (people, SHARED_RECORDINGS) if is_divided else (people,)


def _by_fold(of_row: np.ndarray) -> tuple[Split, ...]:
    """One split per fold number; rows with a negative number are never tested."""
    rows = np.arange(len(of_row))
    numbers = sorted({int(number) for number in of_row if number >= 0})
    return tuple(Split(n, rows[of_row != n], rows[of_row == n]) for n in numbers)


def _column(keys: pd.DataFrame, name: str) -> list[str | None]:
    if name not in keys:
        return [None] * len(keys)
    return [None if pd.isna(value) or value == "" else str(value) for value in keys[name]]


def _labels(keys: pd.DataFrame) -> np.ndarray:
    labels = _column(keys, "label")
    missing = [i for i, label in enumerate(labels) if label is None]
    if not labels:
        raise DataError("the table has no rows to split")
    if missing:
        first = keys["sample_id"].iloc[missing[0]]
        raise DataError(f"{len(missing)} of {len(labels)} rows have no label (the first is {first})")
    if len(set(labels)) < 2:
        raise DataError(f"every row has the label {labels[0]!r}: at least two classes are needed")
    return np.array(labels, dtype=object)


def _verified(plan: Plan, labels: np.ndarray) -> Plan:
    """Check that every fold can be trained and tested; warn about classes missing in training rows."""
    if not plan.folds:
        raise DataError(f"the protocol {plan.name!r} tests no row")
    classes = set(labels)
    in_training: set[str] = set()
    warnings = []
    for split in plan.folds:
        trained = set(labels[split.train])
        if not len(split.test) or not len(split.train):
            raise DataError(f"fold {split.fold} has no rows to {'train on' if len(split.test) else 'test'}")
        if len(trained) < 2:
            raise DataError(f"fold {split.fold} has only the class {_listed(trained)} to train on")
        in_training |= trained
        if trained != classes:
            warnings.append(f"fold {split.fold} is trained without {_listed(classes - trained)}")
    if in_training != classes:
        raise DataError(f"no fold has training rows of the class {_listed(classes - in_training)}")
    return replace(plan, warnings=(*plan.warnings, *warnings))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
