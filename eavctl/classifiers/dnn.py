"""Networks as classifiers: `fit` trains a registered encoder with a linear head, `DnnModel` predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eavctl.classifiers.calibration import LEAST_PROBABILITY, Calibration, decide, members_of, priors_of
from eavctl.classifiers.fine_tuning import fine_tuning
from eavctl.classifiers.fitting import Keeping, calibrations_meta, fit_members, joint_state, training_meta
from eavctl.classifiers.network import Augmentation, Network, build_network, forward
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import CUT_ALIKE, Table
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.encoders.choice import settings_of_weights
from eavctl.encoders.state_dicts import hash_weights
from eavctl.encoders.vector_rows import VectorRows
from eavctl.errors import DataError, UsageError
from eavctl.storage.provenance import hash_bytes

__all__ = ["DnnModel", "Epoch", "TrainSettings", "fit"]


class DnnModel:
    """Trained networks, whose calibrated probabilities are averaged.

    Parameters
    ----------
    networks : the members, all of one architecture.
    meta : JSON-able: encoder, encoder_settings, shape, classes, dropout, temperatures and biases (of each
        member), priors (shares of the classes among the training rows), and ``training``: settings, and of
        each member its best epoch, validation scores and validation groups.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,).
    priors : shape (n_classes,).
    """

    def __init__(self, networks: Sequence[Network], meta: Mapping[str, Any]) -> None:
        self._networks = list(networks)
        self._all = nn.ModuleList(networks).eval()
        self._meta = dict(meta)
        self.classes_ = np.array(meta["classes"])
        self.priors = priors_of(meta)
        self._calibrations = members_of(meta)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), of rows (n_rows, *shape) like the training's.

        Raises
        ------
        DataError : the rows have another shape than those of the training, or values that are not finite.
        """
        self._check(x)
        members = zip(self._networks, self._calibrations, strict=True)
        mean: np.ndarray = np.mean([calibrate(forward(net, x)) for net, calibrate in members], axis=0)
        return mean

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities relative to the priors, float64 (n_rows, n_classes).

        They are 0 for a class that was not trained. `calibration` takes them back to the probabilities.
        """
        proba = np.maximum(self.predict_proba(x), LEAST_PROBABILITY)
        return np.where(self.priors > 0, np.log(proba) - self.calibration.bias, 0)

    @property
    def calibration(self) -> Calibration:
        """From `decision_function` to probabilities: its scale is 1, as each member has one of its own."""
        return Calibration(1.0, np.log(np.maximum(self.priors, LEAST_PROBABILITY)))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """The class numbers that probabilities decide for: see `eavctl.classifiers.calibration.decide`."""
        return decide(proba, self.priors)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The answer for each row, a class name, shape (n_rows,)."""
        answers: np.ndarray = self.classes_[self.decide(self.predict_proba(x))]
        return answers

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Embeddings by all members, float32 (n_rows, n_members * embedding_dim)."""
        self._check(x)
        encoders = [network.encoder for network in self._networks]
        return np.concatenate([forward(encoder, x) for encoder in encoders], axis=1).astype(np.float32)

    @property
    def mean(self) -> np.ndarray:
        """Mean of each column in the training rows, shape (n_columns,), of an encoder of columns.

        Raises
        ------
        AttributeError : an encoder of tensors.
        """
        return self._of_columns("mean")

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of each column in the training rows, as `mean`; 1 of a constant column."""
        return self._of_columns("std")

    def _of_columns(self, name: str) -> np.ndarray:
        """A statistic of the columns, as a mean over the members, each of which has rows of its own."""
        encoders = [network.encoder for network in self._networks]
        if not all(isinstance(encoder, VectorRows) for encoder in encoders):
            raise AttributeError(f"{self._meta['encoder']} takes tensors: its input has no columns")
        means: np.ndarray = np.mean([getattr(each, name).double().numpy() for each in encoders], axis=0)
        return means

    @property
    def members(self) -> tuple[list[Network], list[Calibration]]:
        """The networks, in evaluation mode, and their calibrations."""
        return list(self._networks), list(self._calibrations)

    def member(self, number: int) -> tuple[Network, Calibration]:
        """A member, its number taken modulo their count, and its calibration."""
        number %= len(self._networks)
        return self._networks[number], self._calibrations[number]

    def alone(self, number: int) -> DnnModel:
        """A member, its number taken modulo their count, as a model by itself."""
        number %= len(self._networks)
        own = {
            name: [self._meta[name][number]] for name in ("temperatures", "biases") if self._meta.get(name)
        }
        return DnnModel([self._networks[number]], {**self._meta, **own})

    def groups(self, number: int) -> tuple[frozenset[str], frozenset[str]] | None:
        """Names of the groups that a member was trained on and validated on.

        The number is taken modulo the count of members. None of models of older versions, and of those fitted
        without groups.
        """
        training = self._meta.get("training") or {}
        if not training.get("groups"):
            return None
        validated = frozenset(training["members"][number % len(self._networks)]["validation_groups"])
        return frozenset(training["groups"]) - validated, validated

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers of all members, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self._all.state_dict().items()}

    def to_meta(self) -> dict[str, Any]:
        """Everything but the weights, JSON-able: see the class."""
        return dict(self._meta)

    @classmethod
    def from_parts(cls, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> DnnModel:
        """Build the networks from the registry by name and settings, and load their weights.

        Raises
        ------
        UsageError : this eavctl has no such encoder.
        KeyError, RuntimeError, TypeError, ValueError : the parts do not fit each other.
        """
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            model = cls([build_network(meta) for _ in meta["temperatures"]], meta)
        model._all.load_state_dict(dict(state_dict))
        return model

    def _check(self, x: np.ndarray) -> None:
        if tuple(x.shape[1:]) != tuple(self._meta["shape"]):
            wanted, given = ("x".join(map(str, shape)) for shape in (self._meta["shape"], x.shape[1:]))
            raise DataError(f"the model takes rows of shape {wanted}, not {given}: {CUT_ALIKE}")


def fit(
    x: Table,
    labels: Sequence[str] | np.ndarray,
    *,
    row_weights: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    units: Sequence[str] | np.ndarray | None = None,
    copies: np.ndarray | None = None,
    encoder: str = "cnn-lstm",
    encoder_settings: Mapping[str, Any] | None = None,
    settings: TrainSettings | None = None,
    weights: Path | None = None,
    augment: Augmentation | None = None,
    start: Mapping[str, Tensor] | None = None,
    classes: Sequence[str] | None = None,
    checkpoint: Path | None = None,
    log_dir: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> DnnModel:
    """Train an encoder and a linear head.

    AdamW, warm-up and cosine schedule, gradient norm clipped, cross entropy with balanced class weights.
    A part of the rows is kept for validation: on it probabilities are calibrated (see
    `eavctl.classifiers.calibration`), and the epoch with the lowest loss after calibration is kept. On a CPU
    the same data, settings and number of threads give the same weights.

    Parameters
    ----------
    x : float32 or, for pictures, uint8, shape (n_rows, *shape); may be a memory map, or stay on the disk.
    labels : shape (n_rows,).
    row_weights : shape (n_rows,), mean 1, how much each row counts; None where all count alike. Copies divide
        the weight of their unit.
    groups : shape (n_rows,), such as the speaker of each row; no group is on both sides of the validation
        split, or a `eavctl.errors.TrainingWarning` says why.
    units : shape (n_rows,), clips or trials, which are kept whole where groups cannot be.
    copies : bool, shape (n_rows,), rows of altered copies of others of their unit: they are trained on, and
        neither validated on nor counted.
    encoder, encoder_settings : name in the registry, and keywords of the encoder's class.
    weights : public weights that the encoder's body starts from, which also choose some of its settings: see
        `eavctl.encoders.pretrained.PublicBody.load_weights`.
    augment : replaces the encoder's own augmentation, as `eavctl.augmentations.pipeline.pipeline` makes it.
    start : state of a pretrained encoder to start from, with its statistics of the input, which are not
        fitted again. ``freeze_epochs`` of the settings then freeze the whole encoder.
    classes : ordered names; by default the labels, sorted.
    checkpoint : file that holds the state every few epochs. Where it exists and is of the same data and
        settings, training resumes from it and ends with the weights of an uninterrupted one. The caller
        removes it once the model is saved.
    log_dir : folder for TensorBoard scalars.
    on_epoch : called after each epoch.

    Returns
    -------
    The model, on the CPU.

    Raises
    ------
    DataError : rows, labels and groups of different numbers, fewer than two classes, values that are not
        finite, or a loss or weights that become not finite.
    UsageError : a checkpoint of another training; TensorBoard is asked for and not installed; weights or
        frozen epochs for an encoder without a pretrained body.
    """
    rows = Rows.of(x, labels, groups, classes, units, weights=row_weights, copies=copies)
    settings = (settings or TrainSettings()).for_rows(len(rows.inner.own))
    rule = fine_tuning(settings, has_weights=weights is not None)
    if rule:
        settings = rule.applied(settings, len(rows.inner.own))
    if weights:
        encoder_settings = settings_of_weights(encoder, weights, encoder_settings or {})
    meta: dict[str, Any] = {
        "encoder": encoder,
        "encoder_settings": dict(encoder_settings or {}),
        "shape": list(x.shape[1:]),
        "classes": list(rows.classes),
        "dropout": settings.dropout,
    }
    origin: dict[str, Any] = {"weights": hash_weights(weights) if weights else None}
    if rule:
        origin["fine_tuning"] = asdict(rule)
    if start is not None:
        origin["start"] = _hash(start)
    if augment is not None:
        origin["augment"] = augment.describe()

    def build(member: int) -> Network:
        network = build_network(meta)
        network.augmentation = augment
        if start is not None:
            network.start_from(start)
        if (weights or settings.freeze_epochs) and network.body is None:
            raise UsageError(f"encoder {encoder!r} has no pretrained body: no --weights, no --freeze-epochs")
        if weights:
            network.encoder.load_weights(weights)  # type: ignore[attr-defined]  # what has a body has it
        if rule:
            network.tune_body(rule.body_share)
        return network

    results = fit_members(build, rows, settings, {**meta, **origin}, Keeping(checkpoint, log_dir, on_epoch))
    training = {"settings": asdict(settings), **origin, **training_meta(rows, results)}
    return DnnModel.from_parts(
        joint_state(results), {**meta, **calibrations_meta(rows, results), "training": training}
    )


def _hash(state: Mapping[str, Tensor]) -> str:
    """Hash of the values of a state, in the order of their names."""
    return hash_bytes(state[name].cpu().contiguous().numpy().tobytes() for name in sorted(state))
