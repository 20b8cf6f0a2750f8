"""Split the rows of a key table into training and test rows by a protocol, or by the one that suits it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import (
    BLOCK,
    CLIP,
    DATASET,
    RECORDING,
    SUBJECT,
    connected,
    copies,
    epochs_share_recordings,
    identify,
    units,
)
from eavctl.evaluation.names import check_spelling
from eavctl.evaluation.plan import Plan, Split
from eavctl.evaluation.schemes import LODO, PROTOCOLS, Request, texts
from eavctl.evaluation.untested import follows

GROUPS = (SUBJECT, "session", RECORDING, "trial", CLIP, "task", DATASET, BLOCK)
NAMES = ("auto", *PROTOCOLS)


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
    distinct_names : accept labels and subjects that look alike as different ones.
    untested : bool, shape (n_rows,), rows that are training rows only, as altered copies always are: in folds
        that test no row of their unit or group.

    Raises
    ------
    UsageError : unknown protocol or group, a group for a protocol that has its own, or more folds than
        groups.
    DataError : labels or groups are missing, a fold cannot be trained or tested, or names look alike.
    """
    if protocol not in PROTOCOLS and protocol != "auto":
        raise UsageError(f"unknown protocol {protocol!r}; known: auto, {', '.join(PROTOCOLS)}")
    if folds < 2:
        raise UsageError(f"--folds {folds}: at least 2 are needed")
    _check_group(protocol, group)
    untested = copies(keys) if untested is None else untested | copies(keys)
    if untested.any():
        tested = keys[~untested].reset_index(drop=True)
        plan = splits(tested, protocol, folds=folds, group=group, seed=seed, distinct_names=distinct_names)
        return _with_untested(plan, keys, untested)
    labels = _labels(keys)
    if not distinct_names:
        check_spelling(labels, identify(keys, SUBJECT))
    request = Request(keys, labels, folds, group or SUBJECT, seed, units(keys))
    if protocol == "auto":
        protocol, request = _choose(request, is_asked=group is not None)
    return _with_names(_verified(PROTOCOLS[protocol](request), request.labels), keys, request.units)


def _with_names(plan: Plan, keys: pd.DataFrame, units_of: np.ndarray) -> Plan:
    """The plan with the groups, units and people of all rows of a key table."""
    people = _kept_whole(keys, SUBJECT, units_of) if plan.name == LODO else None
    groups = _kept_whole(keys, plan.group, units_of)
    return replace(plan, groups=groups, units=pd.factorize(units_of, sort=True)[0], people=people)


def _kept_whole(keys: pd.DataFrame, group: str, units_of: np.ndarray) -> np.ndarray:
    """The group of each row; the unit of a row without a group; merged where groups share units."""
    groups = identify(keys, group)
    whole = np.where(groups == None, units_of, groups)  # noqa: E711  (elementwise)
    rows = np.arange(len(whole))
    return connected(whole, (rows, whole), (rows, units_of))


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


def _choose(request: Request, *, is_asked: bool) -> tuple[str, Request]:
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


def _labels(keys: pd.DataFrame) -> np.ndarray:
    labels = texts(keys, "label")
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
            warnings.append(f"fold {split.fold} is trained without {_listed(classes - trained)} (EAV064)")
    if in_training != classes:
        raise DataError(f"no fold has training rows of the class {_listed(classes - in_training)}")
    return replace(plan, warnings=(*plan.warnings, *warnings))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
