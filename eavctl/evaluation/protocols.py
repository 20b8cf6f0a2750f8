"""Protocols: who is tested on whom, as splits of the rows of a key table."""

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
    epochs_share_recordings,
    identify,
    in_order,
    named,
    short,
    units,
)
from eavctl.evaluation.names import check_spelling

SHOWN = 3  # names in a message
RANDOM_PARTS = 5  # one part of five is tested: 80/20
TEST_SPLIT = "test"
CLIP = "clip_id"
SUBJECT = "subject"
GROUPS = (SUBJECT, "session", RECORDING, "trial", CLIP, "task", "dataset", BLOCK)

SHARED_SPEAKERS = "speakers may stand on both sides of the split: the score does not speak for new speakers"
NO_SUBJECTS = "the table names no subjects, so one speaker may stand on both sides of the split"
SAME_SUBJECT = "each subject is tested by a model of that subject: the score does not speak for new people"
ONE_SUBJECT = "the table names one subject, who stands on both sides: the score speaks for this person only"
SHARED_RECORDINGS = (
    "epochs of one recording may stand on both sides of the split, and those near in time are dependent: "
    "the score does not speak for other recordings"
)


@dataclass(frozen=True)
class Split:
    """One fold.

    Parameters
    ----------
    fold : its number, from 1 (for ``given``, the table's own).
    train, test : indices of rows, int, ascending; no row is in both.
    """

    fold: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A protocol made real on one table.

    Parameters
    ----------
    name : the protocol.
    group : key column whose values are never divided between training and test.
    folds : the splits, by fold number.
    warnings : what every output made by this plan must say.
    shares : the protocol allows, by its name, a subject on both sides.
    groups : shape (n_rows,), str: what inner splits keep whole where there are two or more; the group, or
        the unit of a row without one.
    units : shape (n_rows,), str: what is never divided (see `eavctl.evaluation.groups.units`).
    """

    name: str
    group: str
    folds: tuple[Split, ...]
    warnings: tuple[str, ...] = field(default=())
    shares: bool = False
    groups: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    units: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))

    @property
    def allow(self) -> tuple[str, ...]:
        """What `eavctl.evaluation.leakage.check` may find on both sides."""
        return (SUBJECT,) if self.shares else ()

    def describe(self) -> str:
        """One line for people."""
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
) -> Plan:
    """Split the rows of a key table by a protocol.

    The same rows in another order are split alike.

    Parameters
    ----------
    keys : one row a sample, with the key columns; every row has a label.
    protocol : ``auto`` (``group-kfold`` where the table names two groups or more, else ``stratified``; where
        no two subjects are named and clips are epochs of one recording, the groups are the sessions or,
        where no two are named, the recordings),
        ``group-kfold``, ``loso`` (leave one group out), ``stratified`` (k folds of whole clips),
        ``random`` (one split of whole clips, 80/20), ``eav-70-30`` and ``eav-50-50`` (each subject apart:
        trained on the first trials of every class, tested on the rest) or ``given`` (the table's own
        ``split`` or ``fold``).
    folds : number of folds of ``group-kfold`` and ``stratified``.
    group : key column whose values are kept together, or ``block`` (see `eavctl.evaluation.groups.blocks`);
        by default ``subject``. Any other lets a subject stand on both sides.
    seed : of the order in which groups or clips of equal size are dealt out.
    distinct_names : labels and subjects that differ in case or spacing alone are different ones.

    Raises
    ------
    UsageError : no such protocol or group, a group for a protocol that has its own, or more folds than
        groups.
    DataError : labels or groups are missing, some fold could not be trained or tested, or names differ in
        case or spacing alone.
    """
    if protocol not in _PROTOCOLS and protocol != "auto":
        raise UsageError(f"no protocol {protocol!r}: choose from auto, {', '.join(_PROTOCOLS)}")
    if folds < 2:
        raise UsageError(f"--folds {folds}: at least 2 are needed")
    _check_group(protocol, group)
    labels = _labels(keys)
    if not distinct_names:
        check_spelling(labels, identify(keys, SUBJECT))
    request = _Request(keys, labels, folds, group or SUBJECT, seed, units(keys))
    if protocol == "auto":
        protocol, request = _choose(request, is_asked=group is not None)
    plan = _verified(_PROTOCOLS[protocol](request), request.labels)
    groups = identify(keys, plan.group)
    whole = np.where(groups == None, request.units, groups)  # noqa: E711  (elementwise)
    whole = connected(whole, (np.arange(len(keys)), whole), (np.arange(len(keys)), request.units))
    return replace(plan, groups=whole.astype(str), units=request.units.astype(str))


def _check_group(protocol: str, group: str | None) -> None:
    if group is None:
        return
    if group not in GROUPS:
        raise UsageError(f"--group {group}: no such key; known: {', '.join(GROUPS)}")
    if protocol not in ("auto", "group-kfold", "loso", "given"):
        raise UsageError(f"--group is for group-kfold, loso and given: {protocol} has units of its own")


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

    def noting(self, *notes: str) -> _Request:
        return replace(self, notes=(*self.notes, *notes))

    def n_groups(self, group: str) -> int:
        """How many groups there are, those that share units counted as one."""
        return len(named(_whole(identify(self.keys, group), self.units)))


def _choose(request: _Request, *, is_asked: bool) -> tuple[str, _Request]:
    """Group k-fold where there are groups, with as many folds as there are groups at most."""
    if request.n_groups(request.group) < 2 and not is_asked:
        if not epochs_share_recordings(request.keys):
            return "stratified", request
        found = [group for group in ("session", RECORDING) if request.n_groups(group) > 1]
        if not found:
            return "stratified", request
        note = f"epochs of one recording are dependent: whole {found[0]}s are kept apart (--group {found[0]})"
        request = replace(request, group=found[0]).noting(note)
    n_groups = request.n_groups(request.group)
    if n_groups >= request.folds or n_groups < 2:
        return "group-kfold", request
    note = (
        f"{n_groups} folds in place of {request.folds}: the table names {n_groups} groups ({request.group})"
    )
    return "group-kfold", replace(request, folds=n_groups).noting(note)


def _group_kfold(request: _Request) -> Plan:
    groups, request = _whole_groups(request)
    n_groups = len(named(groups))
    if n_groups < request.folds:
        raise UsageError(
            f"--folds {request.folds}: the table names only {n_groups} groups ({request.group}); "
            f"use --folds {n_groups} or fewer, or --protocol loso"
        )
    of_row = _deal(groups, request.labels, request.folds, request.seed)
    return _grouped_plan("group-kfold", request, _by_fold(of_row))


def _loso(request: _Request) -> Plan:
    groups, request = _whole_groups(request)
    number = {name: i + 1 for i, name in enumerate(named(groups))}
    return _grouped_plan("loso", request, _by_fold(np.array([number[name] for name in groups])))


def _stratified(request: _Request) -> Plan:
    n_units = _several(request.units)
    if n_units < request.folds:
        raise UsageError(f"--folds {request.folds}: {_only(n_units)}; use fewer folds, or more recordings")
    of_row = _deal(request.units, request.labels, request.folds, request.seed)
    return Plan("stratified", CLIP, _by_fold(of_row), (*request.notes, *_sharing(request.keys)), shares=True)


def _random(request: _Request) -> Plan:
    _several(request.units)
    parts = _deal(request.units, request.labels, RANDOM_PARTS, request.seed)
    rows = np.arange(len(parts))
    classes = set(request.labels)
    trainable = [p for p in range(1, RANDOM_PARTS + 1) if set(request.labels[parts != p]) == classes]
    tested = parts == (trainable or [1])[0]  # a class of one clip is trained, not tested
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
        notes += [f"{unnamed} rows name no split and were trained on"] if unnamed else []
        rows = np.arange(len(keys))
        parts: tuple[Split, ...] = (Split(1, rows[~tested], rows[tested]),)
    elif any(fold is not None for fold in folds):
        of_row = np.array([-1 if fold is None else int(fold) for fold in folds])
        always = int((of_row < 0).sum())
        notes += (
            [f"{always} rows name no fold: they are trained on in every fold, never tested"] if always else []
        )
        parts = _by_fold(of_row)
    elif any(name is not None for name in names):
        found = ", ".join(sorted({name for name in names if name is not None})[:5])
        raise DataError(f"no row of the column 'split' says 'test' (found: {found}), and there is no 'fold'")
    else:
        raise DataError(
            "--protocol given needs a column 'split' (train, test) or 'fold'; the table has neither"
        )
    if not named(identify(keys, request.group)):
        if request.group != SUBJECT:
            raise DataError(
                f"the column {request.group!r} names no groups to be kept apart; use another --group"
            )
        notes.append(NO_SUBJECTS)
    return _grouped_plan("given", request, parts, *notes)


def _within_subjects(request: _Request, name: str, share: float) -> Plan:
    """Each subject apart, the first share of every class's trials against the rest, in order of the trials.

    Of the 20 trials a class and task of EAV, 0.7 are the 14 that hold the first 56 of its 80 segments.

    Reference: Lee et al., EAV: EEG-Audio-Video dataset for emotion recognition in conversational contexts,
    Scientific Data 11, 2024.
    """
    keys, labels = request.keys, request.labels
    subjects, trials = (identify(keys, column) for column in (SUBJECT, "trial"))
    if any(each is None for each in (*subjects, *trials)):
        raise DataError(f"--protocol {name} needs a subject and a trial for every row; this table lacks some")
    tasks = identify(keys, "task")
    trained = np.zeros(len(keys), bool)
    uneven = 0
    for person, task, label in set(zip(subjects, tasks, labels, strict=True)):
        mine = (subjects == person) & (tasks == task) & (labels == label)
        order = in_order(set(trials[mine]))
        first = round(share * len(order))
        uneven += not math.isclose(first, share * len(order), abs_tol=1e-9)
        trained |= np.isin(trials, order[:first]) & mine
    rows = np.arange(len(keys))
    parts = tuple(
        Split(number, rows[trained & (subjects == person)], rows[~trained & (subjects == person)])
        for number, person in enumerate(named(subjects), start=1)
    )
    notes = [f"{name}: {share:.0%} is no whole number of trials in {uneven} cases; it was rounded"]
    return Plan(name, "trial", parts, (*(notes if uneven else ()), SAME_SUBJECT), shares=True)


_PROTOCOLS: dict[str, Callable[[_Request], Plan]] = {
    "group-kfold": _group_kfold,
    "loso": _loso,
    "stratified": _stratified,
    "random": _random,
    "eav-70-30": functools.partial(_within_subjects, name="eav-70-30", share=0.7),
    "eav-50-50": functools.partial(_within_subjects, name="eav-50-50", share=0.5),
    "given": _given,
}
NAMES = ("auto", *_PROTOCOLS)


# --- parts ------------------------------------------------------------------------------------------------


def _deal(units: np.ndarray, labels: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Deal whole units out to folds so that classes and sizes come out even; folds of the rows, from 1.

    Greedy: the largest unit first, each to the fold where it adds least to the sum of squares of the
    folds' shares of each class and of all rows. An empty fold always adds least, so none stays empty.
    Units of equal size come in an order drawn from the seed, not by name: names often carry a pattern
    (odd numbers for men), which folds must not inherit.
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
        added = np.round(filled @ shares[unit], 12)  # equal costs must not be told apart by rounding
        fold = int(np.lexsort((filled[:, -1], added))[0])
        filled[fold] += shares[unit]
        fold_of_unit[unit] = fold + 1
    return fold_of_unit[unit_of_row]


def _whole_groups(request: _Request) -> tuple[np.ndarray, _Request]:
    """The group of each row; every row must have one, and there must be two to be kept apart.

    Groups that share a clip, or overlap in a recording, are one; the request notes it.
    """
    groups = identify(request.keys, request.group)
    found = named(groups)
    if len(found) < 2:
        one = f"names one group only ({short(found[0])})" if found else "names no groups"
        raise DataError(f"the column {request.group!r} {one}; use --protocol stratified, or another --group")
    missing = np.flatnonzero([name is None for name in groups])
    if len(missing):
        first = request.keys["sample_id"].iloc[missing[0]]
        raise DataError(
            f"{len(missing)} rows have no {request.group} (the first is {first}); "
            "name it, leave the rows out, or use --protocol stratified"
        )
    whole = _whole(groups, request.units)
    if len(named(whole)) == len(found):
        return groups, request
    merged = sorted({name for name, kept in zip(groups, whole, strict=True) if name != kept})
    if len(named(whole)) < 2:
        raise DataError(
            f"every {request.group} shares recordings or clips with the next, so none can be kept apart; "
            "use fewer or shorter epochs, or more recordings"
        )
    return whole, request.noting(
        f"{len(merged)} groups ({request.group}) share recordings or clips with others and are kept "
        f"together with them: {', '.join(map(short, merged[:SHOWN]))}{', ...' if len(merged) > SHOWN else ''}"
    )


def _whole(groups: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Groups, of which those that share a unit are one; None where a row has no group."""
    rows = np.flatnonzero([group is not None for group in groups])
    found = np.full(len(groups), None, dtype=object)
    mine = groups[rows]
    found[rows] = connected(mine, (np.arange(len(rows)), mine), (np.arange(len(rows)), units[rows]))
    return found


def _several(units: np.ndarray) -> int:
    """How many units there are; one cannot be split."""
    n_units = len(set(units))
    if n_units < 2:
        raise DataError(
            "all rows are of one clip, or overlap in one recording, so none can be tested apart from the "
            "others; extract without overlap, or from more recordings"
        )
    return n_units


def _only(n_units: int) -> str:
    return f"only {n_units} units can be kept apart (clips, or parts of recordings that do not overlap)"


def _grouped_plan(name: str, request: _Request, parts: tuple[Split, ...], *notes: str) -> Plan:
    """A plan that keeps the request's group apart, and says so where that lets subjects be shared."""
    shares = request.group != SUBJECT
    warnings = _sharing(request.keys, request.group) if shares else ()
    return Plan(name, request.group, parts, (*request.notes, *notes, *warnings), shares=shares)


def _sharing(keys: pd.DataFrame, group: str = CLIP) -> tuple[str, ...]:
    """What may stand on both sides of a split that keeps only these groups apart."""
    n_subjects = len(named(identify(keys, SUBJECT)))
    people = (NO_SUBJECTS, ONE_SUBJECT)[n_subjects] if n_subjects < 2 else SHARED_SPEAKERS
    is_divided = group not in ("session", RECORDING, "dataset") and epochs_share_recordings(keys)
    return (people, SHARED_RECORDINGS) if is_divided else (people,)


def _by_fold(of_row: np.ndarray) -> tuple[Split, ...]:
    """One split for each fold number; rows of a negative number are never tested."""
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
    """Refuse a plan with a fold that cannot be trained or tested; note classes that a fold never saw."""
    if not plan.folds:
        raise DataError(f"the protocol {plan.name!r} tests no row")
    classes = set(labels)
    seen: set[str] = set()
    lacking = []
    for split in plan.folds:
        trained = set(labels[split.train])
        if not len(split.test) or not len(split.train):
            raise DataError(f"fold {split.fold} has no rows to {'train on' if len(split.test) else 'test'}")
        if len(trained) < 2:
            raise DataError(f"fold {split.fold} would be trained on the class {_listed(trained)} alone")
        seen |= trained
        if trained != classes:
            lacking.append(f"fold {split.fold} is trained without {_listed(classes - trained)}")
    if seen != classes:
        raise DataError(
            f"no training part has the class {_listed(classes - seen)}: it could never be predicted"
        )
    return replace(plan, warnings=(*plan.warnings, *lacking))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
