"""What model files and feature tables say of themselves, typed.

Each class reads its part of a file's JSON by `from_json`, which names the file where a key is missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from eavctl.errors import DataError

NOT_EXPORTED = ("kept_folds",)  # keys of a model's meta that speak of the .pt file, not of the model

ENCODER_TRAINED_ON = "encoder_trained_on"  # key of tables and models: whom their encoder was pretrained on

NUMBER, LIST = (int, float), (list, tuple)
MOST_ENTRIES = 6  # of a list in an error
# Types of the values of a `FeatureMeta`, and of what they hold.
FEATURE_TYPES: Mapping[str, tuple[Any, Any]] = {
    "modality": (str, object),
    "features": (str, object),
    "features_version": (int, object),
    "settings": (Mapping, object),
    "features_hash": (str, object),
    "rate": (NUMBER, object),
    "units": (str, object),
    "segment": (Mapping, NUMBER),
    "epoch": (LIST, NUMBER),
    "shape": (LIST, int),
    "columns": (LIST, str),
    "normalized": (Mapping, object),
    "speech": (bool, object),
}

# Named tuples, not dataclasses: a prediction reads these at its start, and a dataclass takes a millisecond to
# define.


def _values(
    fields: type[NamedTuple], content: Mapping[str, Any], path: str | os.PathLike[str]
) -> dict[str, Any]:
    """The values of the fields in a file's JSON; other keys are ignored.

    Raises
    ------
    DataError : a key is missing that has no default.
    """
    known: Any = fields
    missing = [name for name in known._fields if name not in content and name not in known._field_defaults]
    if missing:
        raise DataError(f"{path}: its metadata lack {', '.join(missing)}: damaged, or of another eavctl")
    return {name: content[name] for name in known._fields if name in content}


def _has_type(value: Any, own: Any, inner: Any) -> bool:
    """Whether a value of a file's JSON has a type, and what it holds another."""
    if not isinstance(value, own):
        return False
    held = value.values() if isinstance(value, Mapping) else value if isinstance(value, LIST) else ()
    return all(isinstance(each, inner) for each in held)


class FeatureMeta(NamedTuple):
    """How features were extracted.

    Parameters
    ----------
    modality : ``eeg``, ``audio`` or ``video``.
    features, features_version, settings : name, version and settings of the feature set.
    features_hash : of all by which features differ; rows of equal hashes can meet.
    rate, units : samples a second that the set takes, and units of its values.
    segment : ``{"seconds", "hop"}``; None of whole recordings.
    epoch : start and end of the rows relative to the events that they were cut at, in seconds; None where
        they were not cut at events.
    shape : of one row.
    columns : names of the features; None of tensors.
    normalized : the bands that a training standardised, or the name of its alignment as ``align``; None where
        it did neither.
    speech : the recordings of the table held speech, so that a model judges no others (see
        `eavctl.features.speech_activity`); None where that is not known.
    """

    modality: str
    features: str
    features_version: int
    settings: Mapping[str, Any]
    features_hash: str
    rate: float | None = None
    units: str | None = None
    segment: Mapping[str, float] | None = None
    epoch: Sequence[float] | None = None
    shape: Sequence[int] = ()
    columns: Sequence[str] | None = None
    normalized: Mapping[str, Any] | None = None
    speech: bool | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: str | os.PathLike[str]) -> Self:
        """Read the values out of a file's JSON.

        Raises
        ------
        DataError : a key is missing, or its value is of another type.
        """
        values = _values(cls, content, path)
        optional = {name for name, default in cls._field_defaults.items() if default is None}
        wrong = [
            name
            for name, value in values.items()
            if not (value is None and name in optional) and not _has_type(value, *FEATURE_TYPES[name])
        ]
        if "epoch" not in wrong and len(values.get("epoch") or (0, 1)) != 2:
            wrong.append("epoch")
        if wrong:
            raise DataError(f"{path}: its metadata are damaged: {', '.join(wrong)} of a wrong type")
        return cls(**values)

    @property
    def cut(self) -> str:
        """How recordings were cut, in words."""
        parts = []
        if self.epoch:
            parts.append(f"epochs from {self.epoch[0]:g} to {self.epoch[-1]:g} s")
        if self.segment:
            parts.append(f"segments of {self.segment['seconds']:g} s every {self.segment['hop']:g} s")
        return ", ".join(parts) or "whole recordings"

    @property
    def words(self) -> str:
        """Feature set, rate and settings, for an error."""
        known = {key: value for key, value in self.settings.items() if not isinstance(value, Mapping)}
        return self._words({key: str(value) for key, value in known.items()})

    def _words(self, settings: Mapping[str, str]) -> str:
        told = ", ".join(f"{key}={value}" for key, value in sorted(settings.items()))
        rate = f" of {self.rate} Hz" if self.rate else ""
        return f"features {self.features!r}{rate}{f' ({told})' if told else ''}"

    def words_beside(self, other: FeatureMeta) -> tuple[str, str]:
        """`words` of two that differ: of one feature set, only the settings that differ.

        Long lists, such as the channels, are shown from the first entry that differs.
        """
        ours, theirs = ({k: v for k, v in each.settings.items() if v is not None} for each in (self, other))
        differ = [key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)]
        if self.features != other.features or not differ:
            return self.words, other.words
        pairs = {key: _beside(ours.get(key, "default"), theirs.get(key, "default")) for key in differ}
        mine, others = ({key: pair[i] for key, pair in pairs.items()} for i in range(2))
        return self._words(mine), other._words(others)


def _beside(*values: Any) -> tuple[str, str]:
    """Two values of a setting as text."""
    ours, theirs = (list(each.items()) if isinstance(each, Mapping) else each for each in values)
    first = 0
    if isinstance(ours, LIST) and isinstance(theirs, LIST):
        differ = (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
        first = next(differ, min(len(ours), len(theirs)))
    return _part(ours, first), _part(theirs, first)


def _part(value: Any, first: int) -> str:
    """A value as text; of a long list, a few entries from the one of this index."""
    if not isinstance(value, LIST) or len(value) <= MOST_ENTRIES:
        return str(value)
    shown = ", ".join(map(str, value[first : first + MOST_ENTRIES]))
    before, after = ("..., " if first else ""), (", ..." if first + MOST_ENTRIES < len(value) else "")
    return f"[{before}{shown}{after}] ({len(value)} in all)"


class StreamMeta(NamedTuple):
    """One input of a fusion network: its name, its features, and its encoder."""

    name: str
    features: FeatureMeta
    encoder: str = ""
    encoder_settings: Mapping[str, Any] = {}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: str | os.PathLike[str]) -> Self:
        """Read a stream; its features stand beside its name in the file.

        Raises
        ------
        DataError : a key is missing.
        """
        return cls(**_values(cls, {**content, "features": FeatureMeta.from_json(content, path)}, path))


class ProtocolMeta(NamedTuple):
    """How rows were split, and what restricts the scores.

    Parameters
    ----------
    name : of the protocol.
    warnings : sentences.
    group : key column whose values were kept together.
    folds : how many.
    shares : a subject may be on both sides of a split, by the protocol's name.
    normalize : ``"speaker"``, ``"dataset"`` or ``"subject"`` where each one's features were normalised.
    """

    name: str
    warnings: Sequence[str] = ()
    group: str | None = None
    folds: int | None = None
    shares: bool = False
    normalize: str | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: str | os.PathLike[str]) -> Self:
        """Read the values out of a file's JSON.

        Raises
        ------
        DataError : a key is missing.
        """
        return cls(**_values(cls, content, path))


class PredictionMeta(NamedTuple):
    """What a prediction table says of itself.

    Parameters
    ----------
    name : of the model or fusion, for titles.
    modalities : that the predictions were made from.
    model_hashes : of the trainings of all models involved.
    protocol : how rows were split.
    out_of_fold : every row was predicted by a model that was not trained on it.
    fusion : weights, scores of the subsets and comparisons; None of a single model.
    """

    protocol: ProtocolMeta
    name: str = ""
    modalities: Sequence[str] = ()
    model_hashes: Sequence[str] = ()
    out_of_fold: bool = False
    fusion: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: str | os.PathLike[str]) -> Self:
        """Read a table's JSON; one in memory may have no protocol."""
        protocol = ProtocolMeta.from_json({"name": "", **(content.get("protocol") or {})}, path)
        return cls(**_values(cls, {**content, "protocol": protocol}, path))


class ModelMeta(NamedTuple):
    """What a model file says of itself.

    Parameters
    ----------
    kind : ``svm``, ``linear``, ``dnn``, ``fusion`` (a network), ``fuse`` (a fuser of predictions) or
        ``encoder`` (pretrained, no classifier).
    training_hash : of all that the training depended on.
    features : of a model of one table; None of a fusion.
    streams : the inputs of a fusion network.
    protocol : of the training.
    trained_on : its subjects, clips and recordings (see `eavctl.evaluation.trained_on`).
    out_of_fold : scores and reliability; None where rows had no labels.
    out_of_fold_adapted : the same of answers to adapted rows, and the scale of their decision values, by what
        these were standardised by, ``dataset`` or ``speaker``; empty where it was not measured.
    fusion : weights, scores of the subsets and comparisons.
    method : of a fusion.
    kept_folds : how many models of folds the file holds too.
    export : facts of the export, of an ``.onnx`` file; None of a model that a training wrote.
    json : the whole of it.
    """

    kind: str
    training_hash: str
    protocol: ProtocolMeta
    versions: Mapping[str, str]
    features: FeatureMeta | None = None
    streams: tuple[StreamMeta, ...] = ()
    trained_on: Mapping[str, Any] = {}
    out_of_fold: Mapping[str, Any] | None = None
    out_of_fold_adapted: Mapping[str, Any] = {}
    fusion: Mapping[str, Any] | None = None
    method: str = ""
    kept_folds: int = 0
    export: Mapping[str, Any] | None = None
    json: Mapping[str, Any] = {}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: str | os.PathLike[str]) -> Self:
        """Read a model file's JSON; the features of a single table stand beside its other keys.

        Raises
        ------
        DataError : a key is missing.
        """
        parts: dict[str, Any] = {**content, "json": content, "features": None}
        if "protocol" in content:
            parts["protocol"] = ProtocolMeta.from_json(content["protocol"], path)
        if "streams" in content:
            parts["streams"] = tuple(StreamMeta.from_json(each, path) for each in content["streams"])
        elif content.get("kind") != "fuse":
            parts["features"] = FeatureMeta.from_json(content, path)
        return cls(**_values(cls, parts, path))

    @property
    def inputs(self) -> tuple[FeatureMeta, ...]:
        """The features of each input, in order."""
        return tuple(stream.features for stream in self.streams) or (
            (self.features,) if self.features else ()
        )

    @property
    def adapted_scales(self) -> dict[str, float]:
        """Scales of the decision values of adapted rows, by what these were standardised by, where known."""
        scales = {by: each.get("scale") for by, each in self.out_of_fold_adapted.items()}
        return {by: float(scale) for by, scale in scales.items() if scale}
