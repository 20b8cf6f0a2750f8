"""Fusion networks as classifiers: `fit` trains one, `FusionModel` predicts from any subset of its streams."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from eavctl import registry
from eavctl.classifiers.calibration import Calibration, decide, members_of, priors_of
from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.fitting import Keeping, calibrations_meta, fit_members, joint_state, training_meta
from eavctl.classifiers.inner_folds import Fold
from eavctl.classifiers.network import forward
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, TrainingWarning
from eavctl.fusion.networks.attention import AttentionFusion
from eavctl.fusion.networks.base import FusionNetwork
from eavctl.storage.provenance import hash_bytes

SHOWN = 3  # groups in a warning


@dataclass(frozen=True)
class StreamDesign:
    """One input of a fusion network.

    Parameters
    ----------
    name : the modality or, of several streams of one modality, the encoder or the table.
    encoder, encoder_settings : name in the registry, and keywords of its class.
    shape : of one sample.
    """

    name: str
    encoder: str
    encoder_settings: Mapping[str, Any]
    shape: tuple[int, ...]

    def build(self) -> Any:
        """A new encoder."""
        return registry.get("encoders", self.encoder).build(tuple(self.shape), **self.encoder_settings)


StreamStart = DnnModel | Mapping[str, Tensor]
"""A trained model, of which a stream takes encoder and head, or the state of a pretrained encoder alone."""


@dataclass(frozen=True)
class Design:
    """A fusion network without its weights.

    Parameters
    ----------
    method : name among the registered fusion networks.
    streams : its inputs, in order.
    settings : keywords of the network's class.
    """

    method: str
    streams: tuple[StreamDesign, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(self, n_classes: int, started: Sequence[bool] = ()) -> FusionNetwork:
        """A new network.

        Parameters
        ----------
        n_classes : of the logits.
        started : see `FusionNetwork`; by default all True, for weights that are loaded afterwards.

        Raises
        ------
        UsageError : no such method, encoder or setting.
        """
        encoders = [stream.build() for stream in self.streams]
        entry = registry.get("fusion networks", self.method)
        network: FusionNetwork = entry.build(
            encoders, started or [True] * len(encoders), n_classes, **self.settings
        )
        return network

    def to_meta(self) -> dict[str, Any]:
        """JSON-able, the keywords of `from_meta`."""
        return asdict(self)

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Design:
        """Rebuild it from `to_meta`."""
        streams = tuple(StreamDesign(**{**each, "shape": tuple(each["shape"])}) for each in meta["streams"])
        return cls(meta["method"], streams, dict(meta["settings"]))


class FusionModel:
    """Trained fusion networks, whose calibrated probabilities are averaged.

    Parameters
    ----------
    networks : the members, all of one design.
    meta : JSON-able: ``design``, ``classes``, ``temperatures`` and ``biases`` (of each member), ``priors``
        (shares of the classes among the training rows), and ``training``.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,).
    priors : shape (n_classes,).
    """

    def __init__(self, networks: Sequence[FusionNetwork], meta: Mapping[str, Any]) -> None:
        self._networks = list(networks)
        self._all = nn.ModuleList(networks).eval()
        self._meta = dict(meta)
        self._design = Design.from_meta(meta["design"])
        self.classes_ = np.array(meta["classes"])
        self.priors = priors_of(meta)
        self._calibrations = members_of(meta)

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(stream.name for stream in self._design.streams)

    @property
    def members(self) -> tuple[list[FusionNetwork], list[Calibration]]:
        """The networks, in evaluation mode, and their calibrations."""
        return list(self._networks), list(self._calibrations)

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
        """Weights of the streams, float64 (n_rows, n_streams): rows sum to 1, a missing stream has 0."""
        return self.proba_and_weights(x)[1]

    def proba_and_weights(self, x: Streams) -> tuple[np.ndarray, np.ndarray]:
        """What `predict_proba` and `weights` give, at the cost of one of them."""
        check_streams(x, self._design)
        outputs = [forward(network.logits_and_weights, x) for network in self._networks]
        logits, weights = np.split(np.array(outputs), [len(self.classes_)], axis=2)  # members first
        proba = [calibrate(each) for each, calibrate in zip(logits, self._calibrations, strict=True)]
        return np.mean(proba, axis=0), np.mean(weights, axis=0)

    def joint(self, x: Streams) -> np.ndarray:
        """Joint embeddings of the streams, float32 (n_rows, n_members * 256); for method ``attention``."""
        check_streams(x, self._design)
        joint = [forward(cast(AttentionFusion, network).joint, x) for network in self._networks]
        return np.concatenate(joint, axis=1).astype(np.float32)

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers of all members, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self._all.state_dict().items()}

    def to_meta(self) -> dict[str, Any]:
        """Everything but the weights, JSON-able: see the class."""
        return dict(self._meta)

    @classmethod
    def from_parts(cls, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> FusionModel:
        """Build the networks of the design and load their weights.

        Raises
        ------
        UsageError : this version of eavctl has no such method or encoder.
        KeyError, RuntimeError, TypeError, ValueError : the parts do not fit each other.
        """
        design = Design.from_meta(meta["design"])
        with torch.random.fork_rng(devices=[]):  # initial weights are replaced; the caller's state stays
            model = cls([design.build(len(meta["classes"])) for _ in meta["temperatures"]], meta)
        model._all.load_state_dict(dict(state_dict))
        return model


def fit(
    x: Streams,
    labels: Sequence[str] | np.ndarray,
    design: Design,
    *,
    row_weights: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    units: Sequence[str] | np.ndarray | None = None,
    copies: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    starts: Sequence[StreamStart | None] = (),
    folds: Sequence[Fold] = (),
    features: Sequence[Streams] = (),
    settings: TrainSettings | None = None,
    keeping: Keeping | None = None,
) -> FusionModel:
    """Train a fusion network with the loop of `eavctl.classifiers.dnn.fit`.

    Groups that a start was trained on are no validation set for early stopping and calibration. So each
    member is validated on groups that its starts were validated on; if there are none, a
    `eavctl.errors.TrainingWarning` names groups that a start was trained on.

    Parameters
    ----------
    x : rows; each needs one stream or more.
    labels, row_weights, groups, units, copies : shape (n_rows,), as in `eavctl.classifiers.dnn.fit`.
    design : method, streams and settings.
    classes : ordered names; by default the labels, sorted.
    starts : for each stream the trained model from which its encoder starts, and its head if the method has
        heads; or the state of a pretrained encoder; None to train from scratch.
    folds, features : for each member the rows to train on and to validate on, and the features of all rows;
        see `eavctl.classifiers.fitting.fit_members`.
    settings : of the training; ``freeze_epochs`` freezes all encoders for the first epochs.
    keeping : checkpoint, TensorBoard folder and callback.

    Returns
    -------
    The model, on the CPU.

    Raises
    ------
    DataError, UsageError : as `eavctl.classifiers.dnn.fit`; also rows of other shapes than the design's, or
        without any stream.
    """
    settings = settings or TrainSettings()
    settings = replace(settings, epochs=settings.most_epochs)
    starts = starts or [None] * len(design.streams)
    check_streams(x, design)
    rows = Rows.of(x, labels, groups, classes, units=units, weights=row_weights, copies=copies)
    validate_on = validated(starts, settings.members) if settings.validation else ()
    meta = {"design": design.to_meta(), "classes": list(rows.classes)}

    def build(member: int) -> FusionNetwork:
        network = design.build(len(rows.classes), [start is not None for start in starts])
        for stream, start in enumerate(starts):
            if start is not None:
                _start(network, stream, start, member, rows.classes)
        return network

    origins = [None if start is None else _hash(start) for start in starts]
    facts = {**meta, "starts": origins}
    keeping = keeping or Keeping()
    results = fit_members(
        build, rows, settings, facts, keeping, validate_on=validate_on, folds=folds, features=features
    )
    _warn_of_starts(design, starts, [result["validation_groups"] for result in results])
    training = {"settings": asdict(settings), "starts": origins, **training_meta(rows, results)}
    parts = {**meta, **calibrations_meta(rows, results), "training": training}
    return FusionModel.from_parts(joint_state(results), parts)


def validated(starts: Sequence[StreamStart | None], n_members: int) -> tuple[frozenset[str], ...]:
    """For each member the groups that its starts were validated on, and that no start was trained on."""
    members, models = [], [start for start in starts if isinstance(start, DnnModel)]
    for member in range(n_members):
        known = [groups for model in models if (groups := model.groups(member))]
        trained = frozenset[str]().union(*(groups for groups, _ in known))
        validated = frozenset[str]().union(*(groups for _, groups in known))
        members.append(validated - trained)
    return tuple(members)


def _warn_of_starts(
    design: Design, starts: Sequence[StreamStart | None], validated: Sequence[Sequence[str]]
) -> None:
    """Warn of starts that were trained, or may have been, on groups that a member was validated on."""
    for stream, start in zip(design.streams, starts, strict=True):
        if isinstance(start, DnnModel) and any(validated) and (fault := _fault(start, validated)):
            text = f"early stopping and calibration are optimistic: the start of {stream.name} {fault}"
            warnings.warn(text, TrainingWarning, stacklevel=3)


def _fault(start: DnnModel, validated: Sequence[Sequence[str]]) -> str:
    """Why a start must not be validated on these groups, one sequence a member; empty if it can be."""
    from eavctl.evaluation.groups import short  # imports pandas, which prediction does not need

    overlap: set[str] = set()
    for member, names in enumerate(validated):
        groups = start.groups(member)
        if groups is None:
            return "does not say which groups it was validated on; train it again"
        overlap |= groups[0].intersection(names)
    if not overlap:
        return ""
    shown = ", ".join(short(name) for name in sorted(overlap)[:SHOWN])
    more = f" and {len(overlap) - SHOWN} more" if len(overlap) > SHOWN else ""
    return f"was trained on groups that the fusion was validated on ({shown}{more})"


def check_streams(x: Streams, design: Design) -> None:
    """Check that rows have the shapes of a design, and at least one stream each.

    Raises
    ------
    DataError : they do not.
    """
    wanted = tuple(stream.shape for stream in design.streams)
    if x.shapes != wanted:
        raise DataError(f"the model takes streams of shapes {wanted}, not {x.shapes}")
    if not x.present.any(axis=1).all():
        raise DataError("a row without any of the model's streams cannot be predicted")


def _start(
    network: FusionNetwork, stream: int, model: StreamStart, member: int, classes: tuple[str, ...]
) -> None:
    """Load the encoder of a trained model into a stream, and its head if both have the same classes.

    The head's logits are calibrated for classes of equal frequency, as those of a fusion are in training. A
    pretrained encoder has no head.
    """
    if not isinstance(model, DnnModel):
        network.encoders[stream].load_state_dict(dict(model))
        return
    started, calibration = model.member(member)
    network.encoders[stream].load_state_dict(started.encoder.state_dict())  # type: ignore[attr-defined]
    heads: Any = getattr(network, "heads", None)
    if heads is None or set(classes) != set(model.classes_):
        return
    order = [model.classes_.tolist().index(name) for name in classes]
    target, source = heads[stream][-1], cast(nn.Linear, started.head[-1])
    shift = torch.from_numpy(calibration.balanced_bias(model.priors))
    with torch.no_grad():
        target.weight.copy_(source.weight[order] * calibration.scale)
        target.bias.copy_((source.bias * calibration.scale + shift)[order])


def _hash(start: StreamStart) -> str:
    """Hash of the weights that a stream starts from."""
    state = start.state_dict() if isinstance(start, DnnModel) else start
    return hash_bytes(tensor.numpy().tobytes() for _, tensor in sorted(state.items()))
