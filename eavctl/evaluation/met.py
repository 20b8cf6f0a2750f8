"""Test rows that a pretrained encoder has met: a leak, unless they are named as shared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from eavctl.errors import LeakError
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.trained_on import ANY, JOINED, TrainedOn

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"  # stands for every name in ``shared``
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Pretrained:
    """An encoder that embedded the rows, or that a training starts from.

    Parameters
    ----------
    name : of its file, for messages.
    trained_on : the subjects, clips and recordings that it was pretrained on.
    """

    name: str
    trained_on: TrainedOn


def met(trained_on: TrainedOn, keys: pd.DataFrame, shared: Collection[str] = ()) -> TrainedOn:
    """The subjects, clips and recordings of some rows that an encoder was pretrained on.

    Parameters
    ----------
    trained_on : of the encoder.
    keys : key table of the rows.
    shared : names of data sets, subjects and clips that it may have met: their rows are left out; ``all``
        leaves out every row.
    """
    if ALL in shared:
        return TrainedOn()
    named = [name for name in ("dataset", "subject", "clip_id") if name in keys]
    rows = keys[~keys[named].isin(list(shared)).any(axis=1)] if shared else keys
    own = TrainedOn.of_keys(rows)
    return TrainedOn(
        _known(own.subjects, trained_on.subjects),
        _known(own.clips, trained_on.clips),
        own.recordings & trained_on.recordings,
    )


def met_rows(trained_on: TrainedOn, keys: pd.DataFrame) -> np.ndarray:
    """Which rows are of a subject, a clip or a recording that a model was trained on; bool, (n_rows,)."""
    columns = [
        keys[name].fillna("").astype(str) if name in keys else [""] * len(keys)
        for name in ("dataset", "subject", "clip_id", "recording")
    ]
    return np.array(
        [
            any(name and ((of, name) in known or (ANY, name) in known) for name, known in (
                (subject, trained_on.subjects), (clip, trained_on.clips),
            ))
            or not trained_on.recordings.isdisjoint(recording.split(JOINED))
            for of, subject, clip, recording in zip(*columns, strict=True)
        ],
        bool,
    )  # fmt: skip


def check(
    encoders: Sequence[Pretrained], keys: pd.DataFrame, plan: Plan, shared: Collection[str] = ()
) -> tuple[str, ...]:
    """Check that no fold tests what an encoder was pretrained on, but for what is named as shared.

    Where the protocol allows a subject on both sides of a split, its clips and recordings are checked alone.

    Parameters
    ----------
    encoders : all that the rows were embedded by, or that the training starts from.
    keys : key table of the rows that the plan splits.
    shared : as in `met`.

    Returns
    -------
    Warnings that every output must carry: what was met, and is named as shared.

    Raises
    ------
    LeakError : test rows that an encoder has met.
    """
    warnings = []
    for encoder in encoders:
        if doubt := encoder.trained_on.doubt:
            warnings.append(f"{encoder.name}: {doubt}")
        every, left = (_met_in_tests(encoder.trained_on, keys, plan, names) for names in ((), shared))
        if text := _words(left):
            raise LeakError(
                f"leak: {encoder.name} was pretrained on {text} of the test rows.\n"
                "Pretrain without them (pretrain --where or --without), or name them with --shared NAME,NAME "
                "or --shared all; then every output says so."
            )
        if text := _words(every):
            warnings.append(
                f"{encoder.name} was pretrained, without labels, on {text} of the test rows, which were "
                "named as shared: the scores do not generalise to others"
            )
    return tuple(warnings)


def _met_in_tests(
    trained_on: TrainedOn, keys: pd.DataFrame, plan: Plan, shared: Collection[str]
) -> TrainedOn:
    """What the encoder has met of the test rows of all folds."""
    if plan.shares:  # a subject is on both sides by the protocol's name
        trained_on = replace(trained_on, subjects=frozenset())
    found = TrainedOn()
    for split in plan.folds:
        decided = _of_known_clips(trained_on, keys.iloc[split.train])
        own = replace(trained_on, recordings=trained_on.recordings - decided)
        found |= met(own, keys.iloc[split.test], shared)
    return found


def _of_known_clips(trained_on: TrainedOn, keys: pd.DataFrame) -> frozenset[str]:
    """Recordings of training rows whose clips the encoder has met.

    Where a protocol divides a recording, the names of its clips tell which of them the encoder has met.
    """
    if not trained_on.recordings:
        return frozenset()
    clips = {name for _, name in _known(TrainedOn.of_keys(keys).clips, trained_on.clips)}
    return TrainedOn.of_keys(keys[keys["clip_id"].isin(clips)]).recordings


def _known(names: Iterable[tuple[str, str]], known: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The names, with their data sets, that are among the known ones."""
    return frozenset(
        (dataset, name) for dataset, name in names if (dataset, name) in known or (ANY, name) in known
    )


def _words(found: TrainedOn) -> str:
    """What was met, by the widest key that names it; empty for nothing."""
    for what, pairs in (("subject", found.subjects), ("clip", found.clips)):
        names = sorted({name for _, name in pairs})
        if names:
            shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
            return f"{_counted(len(names), what)} ({shown})"
    return _counted(len(found.recordings), "recording") if found.recordings else ""


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
