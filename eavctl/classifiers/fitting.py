"""Fit the members of a model, whatever network they are: checks, checkpoints and what is told on the way."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eavctl.classifiers.checkpoints import Checkpoint
from eavctl.classifiers.inner_folds import Fold, InnerRows, Names
from eavctl.classifiers.streams import Rows, held
from eavctl.classifiers.training_loop import Epoch, Samples, Training, TrainSettings
from eavctl.errors import DataError, UsageError

PIECE = 256  # rows that are looked at at once


@dataclass(frozen=True)
class Labelled:
    """Rows to learn from.

    Parameters
    ----------
    x : rows, an array (n_rows, *shape) or `Streams`.
    y : class numbers, int64 (n_rows,).
    classes : names of the classes.
    groups, units : shape (n_rows,), what the validation cut keeps whole, as `InnerRows` takes them.
    validate_on : for each member the names of the groups to validate it on, where the rows allow it; by
        default they are chosen.
    """

    x: Rows
    y: np.ndarray
    classes: tuple[str, ...]
    groups: Names | None = None
    units: Names | None = None
    validate_on: tuple[frozenset[str], ...] = ()

    @property
    def inner(self) -> InnerRows:
        """What is cut for validation."""
        return InnerRows(self.y, self.classes, self.groups, self.units)

    def calibrated(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What a model's meta says of probabilities and answers, of the results of its members."""
        counts = np.bincount(self.y, minlength=len(self.classes))
        return {
            "temperatures": [result["temperature"] for result in results],
            "biases": [result["bias"] for result in results],
            "priors": (counts / counts.sum()).tolist(),
        }

    def account(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What is kept of the trainings beside weights: all groups, and how each member came about."""
        groups = [] if self.groups is None else sorted({str(name) for name in self.groups})
        members = [{key: value for key, value in each.items() if key != "weights"} for each in results]
        return {"groups": groups, "members": members}


@dataclass(frozen=True)
class Keeping:
    """Where a training keeps its state and what it tells.

    Parameters
    ----------
    checkpoint : file that holds the state every few epochs. Where it exists and is of the very same data
        and settings, training goes on from there, to the weights an uninterrupted one has. It is left
        behind: the caller removes it once the model is safe.
    log_dir : folder for TensorBoard scalars.
    on_epoch : called after each epoch.
    """

    checkpoint: Path | None = None
    log_dir: Path | None = None
    on_epoch: Callable[[Epoch], None] | None = None


def labelled(
    x: Rows,
    labels: Sequence[str] | np.ndarray,
    groups: Names | None = None,
    classes: Sequence[str] | None = None,
    units: Names | None = None,
) -> Labelled:
    """Bring rows and the names of their classes together.

    Raises
    ------
    DataError : rows, labels and groups do not fit each other, fewer than two classes, or values that are
        not finite.
    """
    labels = np.asarray(labels).astype(str)
    for name, given in (("labels", labels), ("groups", groups), ("units", units)):
        if given is not None and len(given) != len(x):
            raise DataError(f"{len(x)} rows, {len(given)} {name}: these must be equally many")
    known = [str(name) for name in (np.unique(labels) if classes is None else classes)]
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise DataError(f"labels that are not among the classes: {', '.join(unknown)}")
    if len(np.unique(labels)) < 2:
        raise DataError("a network needs rows of two classes at least")
    if not all(np.isfinite(piece).all() for piece in _pieces(x)):
        raise DataError("features that are not finite; extract them again")
    number = {name: i for i, name in enumerate(known)}
    return Labelled(x, np.array([number[label] for label in labels], np.int64), tuple(known), groups, units)


def fit_members(
    build: Callable[[int], nn.Module],
    rows: Labelled,
    settings: TrainSettings,
    facts: Mapping[str, Any],
    keeping: Keeping,
) -> list[dict[str, Any]]:
    """Train the members of a model, each validated on another part of the rows.

    Parameters
    ----------
    build : the network of a member, by its number; a `eavctl.classifiers.network.Trainable`.
    facts : JSON-able: all that the weights depend on beside rows and settings.

    Returns
    -------
    What `Training.result` says of each member, and ``validation_groups``, the names of the groups none of
    whose rows it was trained on.

    Raises
    ------
    DataError : a loss or weights that stop being finite.
    UsageError : a checkpoint of another training; TensorBoard asked for but not installed.
    """
    fingerprint = _fingerprint(rows, {**facts, "settings": asdict(settings)}) if keeping.checkpoint else ""
    store = Checkpoint(keeping.checkpoint, fingerprint)
    parts = _parts(rows, settings)
    with _reporting(keeping) as report:
        for member in range(len(store.finished), settings.members):
            samples = Samples(rows.x, rows.y, *parts[member])
            run = Training(functools.partial(build, member), settings, member, samples, len(rows.classes))
            store.resume(run)
            while not run.ended:
                report(run.run_epoch())
                store.save(run)
            store.finish(run)
    inner = rows.inner
    return [
        {**result, "validation_groups": inner.groups_tested(part)}
        for result, part in zip(store.finished, parts, strict=True)
    ]


def _parts(rows: Labelled, settings: TrainSettings) -> list[Fold]:
    """Training and validation rows of each member: as asked for, or the next of the disjoint cuts."""
    inner, asked = rows.inner, rows.validate_on or (frozenset[str](),) * settings.members
    held = [inner.holding(names) for names in asked]
    cuts = [] if all(held) else inner.validation(settings.validation, settings.seed)
    return [part or cuts[member % len(cuts)] for member, part in enumerate(held)]


def joint_state(results: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """The weights of all members under the names that a list of their networks gives them."""
    members = enumerate(result["weights"] for result in results)
    return {f"{i}.{name}": tensor for i, weights in members for name, tensor in weights.items()}


def _fingerprint(rows: Labelled, facts: Mapping[str, Any]) -> str:
    """One hash of all that fixes the weights."""
    kept = [None if names is None else [str(name) for name in names] for names in (rows.groups, rows.units)]
    asked = [sorted(names) for names in rows.validate_on]
    cut = {"y": rows.y.tolist(), "kept": kept, "validate_on": asked}
    known = {**facts, "torch": torch.__version__, **cut}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for _, numbers in held(rows.x):
        digest.update(numbers.data)
    for piece in _pieces(rows.x):
        digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def _pieces(x: Rows) -> Iterator[np.ndarray]:
    """All that rows hold, a few of them at once; what stands in for an absent stream is no part of it."""
    for array, rows in held(x):
        for start in range(0, len(rows), PIECE):
            yield array[rows[start : start + PIECE]]


@contextmanager
def _reporting(keeping: Keeping) -> Iterator[Callable[[Epoch], None]]:
    """Yield what tells an epoch to the caller and, where asked for, to TensorBoard."""
    writer = _tensorboard(keeping.log_dir) if keeping.log_dir else None

    def report(epoch: Epoch) -> None:
        if writer:
            for name in ("loss", "validation_loss", "validation_uar", "lr"):
                writer.add_scalar(f"member{epoch.member}/{name}", getattr(epoch, name), epoch.epoch)
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
