"""Networks as classifiers: `fit` trains any registered encoder with a linear head, `DnnModel` predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eavctl.classifiers.calibration import softmax
from eavctl.classifiers.fitting import Keeping, account_of, fit_members, joint_state, labelled
from eavctl.classifiers.network import Network, build_network
from eavctl.classifiers.training import Epoch, TrainSettings, forward
from eavctl.errors import DataError, UsageError
from eavctl.provenance import hash_folder

__all__ = ["DnnModel", "Epoch", "TrainSettings", "fit"]


class DnnModel:
    """Trained networks, whose calibrated probabilities are averaged.

    Parameters
    ----------
    networks : the members, all of one architecture.
    meta : JSON-able: encoder, encoder_settings, shape, classes, dropout, temperatures (one a member),
        and ``training``: settings, and of each member its best epoch and validation scores.
    """

    def __init__(self, networks: Sequence[Network], meta: Mapping[str, Any]) -> None:
        self._networks = list(networks)
        self._all = nn.ModuleList(networks).eval()
        self._meta = dict(meta)
        self.classes_ = np.array(meta["classes"])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), of rows (n_rows, *shape) like the training's.

        Raises
        ------
        DataError : the rows have another shape than those of the training.
        """
        self._check(x)
        logits = [forward(network, x) for network in self._networks]
        members = zip(logits, self._meta["temperatures"], strict=True)
        mean: np.ndarray = np.mean([softmax(values / temperature) for values, temperature in members], axis=0)
        return mean

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The likeliest class of each row, shape (n_rows,)."""
        likeliest: np.ndarray = self.classes_[self.predict_proba(x).argmax(axis=1)]
        return likeliest

    def embed(self, x: np.ndarray) -> np.ndarray:
        """What the encoders make of each row, float32 (n_rows, n_members * embedding_dim)."""
        self._check(x)
        encoders = [network.encoder for network in self._networks]
        return np.concatenate([forward(encoder, x) for encoder in encoders], axis=1).astype(np.float32)

    def member(self, number: int) -> tuple[Network, float]:
        """A member, counted round and round, and its temperature."""
        number %= len(self._networks)
        return self._networks[number], self._meta["temperatures"][number]

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers of all members, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self._all.state_dict().items()}

    def to_meta(self) -> dict[str, Any]:
        """All but the weights, JSON-able: see the class."""
        return dict(self._meta)

    @classmethod
    def from_parts(cls, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> DnnModel:
        """Build the networks from the registry by name and settings, and give them their weights.

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
            raise DataError(f"the model takes rows of shape {tuple(self._meta['shape'])}, not {x.shape[1:]}")


def fit(
    x: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    encoder: str = "cnn-lstm",
    encoder_settings: Mapping[str, Any] | None = None,
    settings: TrainSettings | None = None,
    weights: Path | None = None,
    classes: Sequence[str] | None = None,
    checkpoint: Path | None = None,
    log_dir: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> DnnModel:
    """Train an encoder and a head to tell classes apart.

    AdamW, warm-up and cosine schedule, gradient norm clipped, cross entropy with balanced class weights.
    A part of the rows is kept for validation. There probabilities are calibrated by one temperature [1]_,
    and the epoch kept is the one whose calibrated probabilities have the lowest loss. On a CPU the same
    data, settings and number of threads give the same weights.

    Parameters
    ----------
    x : float32 or, for pictures, uint8, shape (n_rows, *shape); may be a memory map.
    labels : shape (n_rows,).
    groups : shape (n_rows,), the speaker of each row, say; no group stands on both sides of the validation
        cut. Without groups, or with a single one, the cut is stratified by class.
    encoder, encoder_settings : name in the registry, and keywords of the encoder's class.
    weights : folder of a public checkpoint that the encoder's body starts from.
    classes : ordered names; by default the labels, sorted.
    checkpoint : file that holds the state every few epochs. Where it exists and is of the very same data
        and settings, training goes on from there, to the weights an uninterrupted one has. It is left
        behind: the caller removes it once the model is safe.
    log_dir : folder for TensorBoard scalars.
    on_epoch : called after each epoch.

    Returns
    -------
    The model, on the CPU.

    Raises
    ------
    DataError : rows, labels and groups do not fit each other, fewer than two classes, a class without
        rows, values that are not finite, or a loss that stops being a number.
    UsageError : a checkpoint of another training; TensorBoard asked for but not installed; weights or frozen
        epochs for an encoder that has no pretrained body.

    References
    ----------
    .. [1] Guo et al.: On calibration of modern neural networks, ICML 2017.
    """
    settings = settings or TrainSettings()
    rows = labelled(x, labels, groups, classes)
    meta: dict[str, Any] = {
        "encoder": encoder,
        "encoder_settings": dict(encoder_settings or {}),
        "shape": list(x.shape[1:]),
        "classes": list(rows.classes),
        "dropout": settings.dropout,
    }
    origin = hash_folder(weights) if weights else None

    def build(member: int) -> Network:
        network = build_network(meta)
        if (weights or settings.freeze_epochs) and network.body is None:
            raise UsageError(f"encoder {encoder!r} has no pretrained body: no --weights, no --freeze-epochs")
        if weights:
            network.encoder.load_weights(weights)  # type: ignore[attr-defined]  # what has a body has it
        return network

    results = fit_members(
        build, rows, settings, {**meta, "weights": origin}, Keeping(checkpoint, log_dir, on_epoch)
    )
    training = {"settings": asdict(settings), "weights": origin, "members": account_of(results)}
    temperatures = [result["temperature"] for result in results]
    return DnnModel.from_parts(
        joint_state(results), {**meta, "temperatures": temperatures, "training": training}
    )
