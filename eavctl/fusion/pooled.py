"""Early fusion that starts as the late fusion: single models and a network of all their inputs, pooled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eavctl.classifiers.calibration import decide, priors_of
from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.linear import LinearModel
from eavctl.classifiers.projection import Projected
from eavctl.classifiers.streams import Streams, Table
from eavctl.classifiers.svm import SvmModel
from eavctl.fusion.networks.model import Design, FusionModel, check_streams
from eavctl.fusion.pool import Pool, doubted

COLUMN_MODELS: Mapping[str, Any] = {"svm": SvmModel, "linear": LinearModel}
"""Classifiers of columns that a stream can have in place of an encoder, by the names of `--encoder`."""

NETWORK = "network"  # its parts in a model file; those of stream i are under the name i
OF_STREAM = {"units": 64, "dropout": 0.2}  # of the encoder of a single model's answers


@dataclass(frozen=True)
class SingleModel:
    """A trained model of one stream.

    Parameters
    ----------
    kind : ``svm``, ``linear`` or ``dnn``.
    model : with ``classes_``, ``priors`` and ``predict_proba(x)``.
    """

    kind: str
    model: Any

    def said(self, x: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """`doubted` probabilities of rows, float64 (n_rows, n_classes); equal ones of rows without features.

        A class that the model cannot name has the probability of a class that it knows nothing of.
        """
        proba = doubted(self.model.predict_proba(x), self.model.priors)
        own = self.model.classes_.tolist()
        found = np.full((len(x), len(classes)), 1 / len(classes))
        for number, name in enumerate(classes):
            if name in own:
                found[:, number] = proba[:, own.index(name)]
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def state_dict(self) -> dict[str, Tensor]:
        """Its arrays as tensors, by name."""
        if isinstance(self.model, DnnModel):
            return self.model.state_dict()
        arrays = self.model.to_arrays().items()
        return {name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in arrays}

    def to_meta(self) -> dict[str, Any]:
        """JSON-able: the kind, and the meta of the model."""
        return {"kind": self.kind, "model": self.model.to_meta()}

    @classmethod
    def from_parts(cls, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> SingleModel:
        """Rebuild it from `state_dict` and `to_meta`.

        Raises
        ------
        KeyError, RuntimeError, TypeError, ValueError : the parts do not fit each other.
        """
        kind, about = str(meta["kind"]), meta["model"]
        if kind == "dnn":
            return cls(kind, DnnModel.from_parts(state, about))
        model, arrays = COLUMN_MODELS[kind], {name: tensor.numpy() for name, tensor in state.items()}
        if "step" in about:
            return cls(kind, Projected.from_parts(model, arrays, about))
        return cls(kind, model.from_parts(arrays, about))


def network_design(design: Design, n_classes: int) -> Design:
    """The design of the network of a fusion: streams of columns are the answers of their single models."""
    return replace(
        design,
        streams=tuple(
            replace(each, encoder="mlp", encoder_settings=OF_STREAM, shape=(n_classes,))
            if each.encoder in COLUMN_MODELS
            else each
            for each in design.streams
        ),
    )


def answered(
    design: Design, singles: Sequence[SingleModel | None], x: Streams, classes: Sequence[str]
) -> tuple[Streams, np.ndarray]:
    """What the network of a fusion takes, and what its single models say.

    Returns
    -------
    The streams, those of columns as `as_stream`; and the probabilities of the model of each stream, float64
    (n_streams, n_rows, n_classes), all equal where a row or a stream has none.
    """
    arrays = list(x.arrays)
    said = np.full((len(singles), len(x), len(classes)), 1 / len(classes))
    for stream, (single, each) in enumerate(zip(singles, design.streams, strict=True)):
        rows = np.flatnonzero(x.present[:, stream])
        if single is not None and len(rows):
            said[stream, rows] = single.said(_some(x.arrays[stream], rows), classes)
        if each.encoder in COLUMN_MODELS:
            arrays[stream] = as_stream(said[stream])
    return Streams(tuple(arrays), x.present), said


def as_stream(said: np.ndarray) -> np.ndarray:
    """Answers of a single model as features: logarithms of probabilities, float32 (n_rows, n_classes)."""
    logs = np.log(said)
    return np.asarray(logs - logs.mean(axis=1, keepdims=True), dtype=np.float32)


class PooledFusion:
    """A fusion network pooled with the single models of its streams; see `eavctl.fusion.pool`.

    Parameters
    ----------
    singles : one a stream, or None.
    network : of all streams.
    meta : JSON-able: ``design`` (of the tables that it takes), ``classes``, ``priors``, ``pool`` (see `Pool`)
        and ``training``.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,).
    priors : shape (n_classes,).
    """

    def __init__(
        self, singles: Sequence[SingleModel | None], network: FusionModel, meta: Mapping[str, Any]
    ) -> None:
        self.singles, self.network, self._meta = tuple(singles), network, dict(meta)
        self._design = Design.from_meta(meta["design"])
        self.classes_, self.priors = np.array(meta["classes"]), priors_of(meta)
        self.pool = Pool.from_meta(meta["pool"])
        if len(self.pool.singles) != len(self.singles):
            raise ValueError(f"{len(self.pool.singles)} weights for {len(self.singles)} streams")

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(stream.name for stream in self._design.streams)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders, or of the classifiers of columns, in order."""
        return tuple(stream.encoder for stream in self._design.streams)

    def predict_proba(self, x: Streams) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), of rows with one stream or more.

        Raises
        ------
        DataError : other shapes than in training, a row without any stream, or values that are not finite.
        """
        return self.proba_and_weights(x)[0]

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """Indices of the predicted classes: see `eavctl.classifiers.calibration.decide`."""
        return decide(proba, self.priors)

    def weights(self, x: Streams) -> np.ndarray:
        """Weights of the streams, float64 (n_rows, n_streams): rows sum to 1, a missing stream has 0.

        The share of each in the pool by the size of what it adds to the logarithms, the network's divided
        among its streams as its own weights say.
        """
        return self.proba_and_weights(x)[1]

    def proba_and_weights(self, x: Streams) -> tuple[np.ndarray, np.ndarray]:
        """What `predict_proba` and `weights` give, at the cost of one of them."""
        check_streams(x, self._design)
        inputs, said = answered(self._design, self.singles, x, self.classes_.tolist())
        judged = x.present & [single is not None for single in self.singles]
        answers = np.full((len(x), len(self.classes_)), 1 / len(self.classes_))
        shares = np.zeros(judged.shape)
        asked = np.arange(len(x)) if self.pool.network else np.flatnonzero(~judged.any(axis=1))
        if len(asked):
            some = inputs if len(asked) == len(x) else inputs[asked]
            proba, shares[asked] = self.network.proba_and_weights(some)
            answers[asked] = doubted(proba, self.priors)
        proba = self.pool(said, judged, answers, self.priors)
        sizes = self.pool.shares(judged) * _sizes(said).T
        weight = np.where(judged.any(axis=1), self.pool.network, 1.0)
        sizes += shares * (weight * _sizes(answers))[:, None]
        sizes += np.finfo(np.float64).tiny * x.present  # where nothing is said, all count alike
        return proba, sizes / sizes.sum(axis=1, keepdims=True)

    def state_dict(self) -> dict[str, Tensor]:
        """Weights, buffers and arrays of the network and of the single models, by name."""
        parts: dict[str, Any] = {str(i): each for i, each in enumerate(self.singles) if each}
        return {
            f"{part}.{name}": tensor
            for part, model in {NETWORK: self.network, **parts}.items()
            for name, tensor in model.state_dict().items()
        }

    def to_meta(self) -> dict[str, Any]:
        """Everything but the arrays, JSON-able: see the class."""
        singles = [each and each.to_meta() for each in self.singles]
        network = {name: each for name, each in self.network.to_meta().items() if name != "training"}
        return {**self._meta, "singles": singles, NETWORK: network}

    @staticmethod
    def from_parts(state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> PooledFusion | FusionModel:
        """Rebuild it from `state_dict` and `to_meta`; a network alone, where the meta names no pool.

        Raises
        ------
        UsageError : this version of eavctl has no such method or encoder.
        KeyError, RuntimeError, TypeError, ValueError : the parts do not fit each other.
        """
        if "pool" not in meta:
            return FusionModel.from_parts(state_dict, meta)
        about = dict(meta)
        singles, network = about.pop("singles"), about.pop(NETWORK)
        of: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in state_dict.items():
            part, own = name.split(".", 1)
            of[part][own] = tensor
        return PooledFusion(
            [each and SingleModel.from_parts(of[str(i)], each) for i, each in enumerate(singles)],
            FusionModel.from_parts(of[NETWORK], network),
            about,
        )


def _some(x: Table, rows: np.ndarray) -> np.ndarray:
    """Some rows, by their numbers in order; all of an array are the array itself, which may be large."""
    return x if isinstance(x, np.ndarray) and len(rows) == len(x) else np.asarray(x[rows])


def _sizes(proba: np.ndarray) -> np.ndarray:
    """How far from equal probabilities (..., n_classes) are: the norms of their centred logarithms."""
    logs = np.log(proba)
    return np.asarray(np.linalg.norm(logs - logs.mean(axis=-1, keepdims=True), axis=-1))
