"""Fit the members of a model, whatever their network and objective: folds, checkpoints and reports."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eavctl import ranks
from eavctl.classifiers.checkpoints import LAYOUT, Checkpoint
from eavctl.classifiers.inner_folds import Fold
from eavctl.classifiers.objective import Classification, Objective
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Features, pieces, present_rows
from eavctl.classifiers.training_loop import Epoch, Training, TrainSettings
from eavctl.errors import UsageError

MakeObjective = Callable[[Rows, np.ndarray], Objective]


@dataclass(frozen=True)
class Keeping:
    """Where a training keeps its state and reports its progress.

    Parameters
    ----------
    checkpoint : file that holds the state every few epochs. Where it exists and is of the same data and
        settings, training resumes from it and ends with the weights of an uninterrupted one. The caller
        removes it once the model is saved.
    log_dir : folder for TensorBoard scalars.
    on_epoch : called after each epoch.
    """

    checkpoint: Path | None = None
    log_dir: Path | None = None
    on_epoch: Callable[[Epoch], None] | None = None


def fit_members(
    build: Callable[[int], nn.Module],
    rows: Rows,
    settings: TrainSettings,
    facts: Mapping[str, Any],
    keeping: Keeping,
    *,
    validate_on: Sequence[frozenset[str]] = (),
    folds: Sequence[Fold] = (),
    features: Sequence[Features] = (),
    objective: MakeObjective | None = None,
) -> list[dict[str, Any]]:
    """Train the members of a model, each validated on another part of the rows.

    Parameters
    ----------
    build : the network of a member, by its number; a `eavctl.classifiers.network.Trainable`.
    facts : JSON-able, all that the weights depend on besides rows and settings.
    validate_on : for each member the names of the groups to validate it on, where the rows allow it; by
        default they are chosen.
    folds : for each member the rows to train on and to validate on, where these are not to be chosen.
    features : for each member the features of all rows, where members differ in them.
    objective : makes the objective of rows, of which those of some numbers are trained on; by default
        classification.

    Returns
    -------
    For each member what `Training.result` returns, and ``validation_groups``: the names of the groups none
    of whose rows it was trained on.

    Raises
    ------
    DataError : a loss or weights become not finite.
    UsageError : a checkpoint of another training; TensorBoard is asked for and not installed.
    """
    known = {**facts, "settings": asdict(settings), "validate_on": [sorted(names) for names in validate_on]}
    rows_of = [replace(rows, x=each) for each in features] or [rows] * settings.members
    store = Checkpoint(keeping.checkpoint, _fingerprint(rows_of, known) if keeping.checkpoint else "")
    folds = folds or member_folds(rows, settings, validate_on)
    with _reporting(keeping) as report:
        for member in range(len(store.finished), settings.members):
            rows, fold = rows_of[member], folds[member]
            if objective is None:
                device = settings.torch_device()
                aim: Objective = Classification.of(rows, fold[0], settings.label_smoothing, device)
            else:
                aim = objective(rows, fold[0])
            run = Training(functools.partial(build, member), aim, rows, fold, settings, member)
            store.resume(run)
            while not run.ended:
                report(run.run_epoch())
                store.save(run)
            store.finish(run)
    inner = rows.inner
    return [
        {**result, "validation_groups": inner.groups_tested(fold)}
        for result, fold in zip(store.finished, folds, strict=True)
    ]


def member_folds(
    rows: Rows, settings: TrainSettings, validate_on: Sequence[frozenset[str]] = ()
) -> list[Fold]:
    """Training and validation rows of each member: as asked for, or the next of the disjoint cuts.

    Parameters
    ----------
    validate_on : see `fit_members`.
    """
    inner = rows.inner
    asked = [inner.holding(names) for names in validate_on or (frozenset[str](),) * settings.members]
    cuts = [] if all(asked) else inner.validation(settings.validation, settings.seed)
    return [fold or cuts[member % len(cuts)] for member, fold in enumerate(asked)]


def calibrations_meta(rows: Rows, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Calibration of each member, and the shares of the classes, as a model's meta keeps them."""
    counts = rows.counts
    return {
        "temperatures": [result["temperature"] for result in results],
        "biases": [result["bias"] for result in results],
        "priors": (counts / counts.sum()).tolist(),
    }


def training_meta(rows: Rows, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All groups, and how each member was trained, as a model's meta keeps them."""
    groups = [] if rows.groups is None else sorted({str(name) for name in rows.groups})
    members = [{key: value for key, value in each.items() if key != "weights"} for each in results]
    return {"groups": groups, "members": members}


def joint_state(results: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """The weights of all members under the names that a list of their networks gives them."""
    members = enumerate(result["weights"] for result in results)
    return {f"{i}.{name}": tensor for i, weights in members for name, tensor in weights.items()}


def _fingerprint(rows_of: Sequence[Rows], facts: Mapping[str, Any]) -> str:
    """A hash of all that determines the weights; members have the same rows, or differ in their features."""
    rows = rows_of[0]
    known = {**facts, "torch": torch.__version__, "layout": LAYOUT}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for numbers in (rows.y, rows.copies, rows.weights):
        digest.update(b"none" if numbers is None else np.ascontiguousarray(numbers).data)
    for names in (rows.groups, rows.units):
        for name in ["none"] if names is None else names:
            digest.update(f"{len(str(name))} {name}".encode())
    for x in {id(each.x): each.x for each in rows_of}.values():
        for _, present in present_rows(x):
            digest.update(present.data)
        for piece in pieces(x):
            digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


@contextmanager
def _reporting(keeping: Keeping) -> Iterator[Callable[[Epoch], None]]:
    """Yield a function that reports an epoch to the caller and, where asked for, to TensorBoard."""
    writer = _tensorboard(keeping.log_dir) if keeping.log_dir and ranks.rank() == 0 else None

    def report(epoch: Epoch) -> None:
        if writer:
            scalars = {name: getattr(epoch, name) for name in ("loss", "validation_loss", "lr")}
            scalars |= {f"validation_{name.lower()}": value for name, value in epoch.scores.items()}
            scalars |= {name.lower(): value for name, value in epoch.monitored.items()}
            for name, value in scalars.items():
                writer.add_scalar(f"member{epoch.member}/{name}", value, epoch.epoch)
        if keeping.on_epoch:
            keeping.on_epoch(epoch)

    try:
        yield report
    finally:
        if writer:
            writer.close()


def _tensorboard(log_dir: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("TensorBoard is not installed: pip install eavctl[tensorboard]") from error
    return SummaryWriter(log_dir)
