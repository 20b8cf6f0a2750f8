"""What each protocol would leave of a data set, and findings on its splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eavctl.errors import EavctlError
from eavctl.evaluation.findings.codes import Finding, some
from eavctl.evaluation.groups import SUBJECT, identify, named, short, units
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.protocols import splits
from eavctl.evaluation.schemes import PROTOCOLS, texts

GIVEN = "given"


@dataclass(frozen=True)
class Outlook:
    """What a protocol would leave of the labelled rows of a data set.

    Parameters
    ----------
    name : of the protocol.
    group : key whose values it keeps whole.
    n_groups, n_folds : how many of them, and of folds.
    n_tested, n_trained : rows that are tested in any fold, and the fewest that a fold is trained on.
    shares : a subject may be on both sides.
    is_default : trainings choose it without ``--protocol``.
    reason : why it cannot be used; None where it can. The numbers are then 0.
    """

    name: str
    group: str = ""
    n_groups: int = 0
    n_folds: int = 0
    n_tested: int = 0
    n_trained: int = 0
    shares: bool = False
    is_default: bool = False
    reason: str | None = None


def outlooks(keys: pd.DataFrame, *, folds: int = 5, seed: int = 42) -> tuple[list[Outlook], list[Finding]]:
    """What each protocol would leave, the default first, and findings on the splits.

    Parameters
    ----------
    keys : key table of labelled rows; names that look alike count as different.
    folds, seed : as `eavctl.evaluation.protocols.splits` takes them.
    """
    findings: list[Finding] = []
    has_given = any(value is not None for key in ("split", "fold") for value in texts(keys, key))
    plans: dict[str, Plan | str] = {}
    for name in ("auto", *PROTOCOLS):
        try:
            plans[name] = splits(keys, name, folds=folds, seed=seed, distinct_names=True)
        except EavctlError as error:
            plans[name] = str(error).splitlines()[0]
    default, given = plans.pop("auto"), plans[GIVEN]
    if isinstance(default, Plan):
        plans[default.name] = default
        findings += _untrained(keys, default)
    elif len(set(texts(keys, "label"))) > 1:
        findings.append(Finding("EAV063", f"no protocol can be used by default: {default}"))
    if isinstance(given, Plan):
        findings += _both_sides(keys, given)
    elif has_given:
        findings.append(Finding("EAV062", f"the given split cannot be used: {given}"))
    chosen = default.name if isinstance(default, Plan) else None
    found = [_outlook(name, plan, is_default=name == chosen) for name, plan in plans.items()]
    return sorted(found, key=lambda each: (not each.is_default, each.reason is not None)), findings


def _outlook(name: str, plan: Plan | str, *, is_default: bool) -> Outlook:
    if isinstance(plan, str):
        return Outlook(name, reason=plan)
    tested = np.unique(np.concatenate([split.test for split in plan.folds]))
    n_trained = min(len(split.train) for split in plan.folds)
    return Outlook(
        name,
        plan.group,
        n_groups=len(set(plan.groups)),
        n_folds=len(plan.folds),
        n_tested=len(tested),
        n_trained=n_trained,
        shares=plan.shares,
        is_default=is_default,
    )


def _untrained(keys: pd.DataFrame, plan: Plan) -> Iterator[Finding]:
    """The folds of the default protocol whose training rows lack a class."""
    labels = np.array(texts(keys, "label"), dtype=object)
    lacking = {split.fold: sorted(set(labels) - set(labels[split.train])) for split in plan.folds}
    lacking = {fold: names for fold, names in lacking.items() if names}
    if lacking:
        shown = some([f"fold {fold} without {', '.join(names)}" for fold, names in lacking.items()])
        classes = tuple(sorted({name for names in lacking.values() for name in names}))
        yield Finding("EAV064", f"folds of {plan.name} are trained without a class: {shown}", classes)


def _both_sides(keys: pd.DataFrame, plan: Plan) -> Iterator[Finding]:
    """Subjects and units that the given split has on both sides."""
    for code, what, identities in (
        ("EAV060", "subjects", identify(keys, SUBJECT)),
        ("EAV061", "recordings, or trials of one person", units(keys)),
    ):
        shared = set[str]()
        for split in plan.folds:
            shared |= set(named(identities[split.train])) & set(named(identities[split.test]))
        if shared:
            names = tuple(sorted(map(short, shared)))
            yield Finding(code, f"the given split has {what} on both sides: {some(names)}", names)
