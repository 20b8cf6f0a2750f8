"""Model files, and the only place that loads or saves them.

A ``.joblib`` file is a pickle of ``{"meta": JSON-able, "arrays": {name: numpy array}}``, which
``joblib.load`` reads too, for some kinds compressed by zlib; a ``.pt`` file is torch's archive of
``{"meta", "state_dict"}``. Both are read by loaders that build arrays, texts and numbers only, so a
downloaded file runs no code. A checksum of the whole content detects damage. An ``.onnx`` file is one of them
exported (`eavctl.storage.onnx_files`): it is read here and judges, and trains nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.errors import DataError, SettingsError, UsageError
from eavctl.storage import files, onnx_files, pickled, remote
from eavctl.storage.metadata import FeatureMeta, ModelMeta
from eavctl.storage.ownership import ARCHIVE, HEAD_BYTES, ONNX, ONNX_AT, PICKLE, ZLIB, describe
from eavctl.storage.provenance import canonical_json

FORMAT = "eavctl model"
FORMAT_VERSION = 2  # 1 had no checksum

# Classes with `from_parts`, which rebuilds them from the parts in a file, by the kind that the file names.
PREDICTORS = {
    "svm": "eavctl.classifiers.svm:SvmModel",
    "linear": "eavctl.classifiers.linear:LinearModel",
    "dnn": "eavctl.classifiers.dnn:DnnModel",
    "fuse": "eavctl.fusion.late:LateFuser",
    "fusion": "eavctl.fusion.pooled:PooledFusion",
    "encoder": "eavctl.pretraining.encoder_model:EncoderModel",
    "grounding": "eavctl.grounding.model:GroundModel",
}
TORCH_KINDS = {"dnn", "fusion", "encoder", "grounding"}
# Kinds that are no classifiers, which `load` refuses: `load_encoder` and `load_grounding` read them.
ENCODER, GROUNDING = "encoder", "grounding"
NO_CLASSIFIERS = {
    ENCODER: "a pretrained encoder, which names no classes.\nTrain a classifier from it with 'eavctl "
    "train-dnn --init {path}', or score it with 'eavctl probe'.",
    GROUNDING: "a model that finds phrases in pictures, and names no emotions.\nUse it with 'eavctl ground', "
    "or to choose a face by --who and --who-model.",
}
MAKERS = {ENCODER: "eavctl pretrain", GROUNDING: "eavctl train-ground"}
PROJECTED = "eavctl.classifiers.projection:Projected"  # around one of them, where the file names a step
EXPORTED = "eavctl.classifiers.onnx_model:OnnxModel"  # of an .onnx file, in place of any of them but "fuse"
NOVELTY, NOVELTY_ARRAYS = "eavctl.classifiers.novelty:Novelty", "novelty_"  # the latter before their names
COMPRESSED_KINDS = {"linear"}  # names of columns and clips are more than half of such a file


class StoredModel:
    """A classifier of a model file.

    Parameters
    ----------
    predictor : an instance of one of `PREDICTORS`.
    trained_on : subjects, clips and recordings, as `eavctl.evaluation.trained_on` writes them.
    """

    def __init__(self, predictor: Any, trained_on: Mapping[str, Any]) -> None:
        self.predictor, self.trained_on = predictor, trained_on

    @property
    def classes_(self) -> np.ndarray:
        """Names of the classes, in the order of the probabilities."""
        return np.asarray(self.predictor.classes_)

    @property
    def priors(self) -> np.ndarray:
        """Shares of the classes among the training rows, shape (n_classes,)."""
        return np.asarray(self.predictor.priors)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), of float32 features (n_rows, *shape)."""
        return np.asarray(self.predictor.predict_proba(x))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """The answers to probabilities (n_rows, n_classes), class numbers, shape (n_rows,).

        An answer is the class whose probability is highest relative to its share of the training rows.
        """
        return np.asarray(self.predictor.decide(proba))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The answer for each row, a class name, shape (n_rows,)."""
        answers: np.ndarray = self.classes_[self.decide(self.predict_proba(x))]
        return answers


class Model(StoredModel):
    """The classifier of all training rows, and what the file says of it.

    Parameters
    ----------
    novelty : a `eavctl.classifiers.novelty.Novelty`; None where the training measured none.
    """

    def __init__(self, meta: ModelMeta, predictor: Any, novelty: Any = None) -> None:
        super().__init__(predictor, meta.trained_on)
        self.meta, self.novelty = meta, novelty


class FoldModel(StoredModel):
    """The classifier of one fold of the training, by its number."""

    def __init__(self, fold: int, trained_on: Mapping[str, Any], predictor: Any) -> None:
        super().__init__(predictor, trained_on)
        self.fold = fold


def check_name(path: str | os.PathLike[str], kind: str) -> None:
    """Raise UsageError if the name's ending is not the one for models of this kind."""
    ending = ".pt" if kind in TORCH_KINDS else ".joblib"
    if os.fspath(path) != files.STDIO and Path(path).suffix != ending:
        raise UsageError(f"{path}: a model of kind {kind!r} is kept in a {ending} file; name it so")


def save(
    path: str | os.PathLike[str],
    predictor: Any,
    meta: Mapping[str, Any],
    folds: Sequence[FoldModel] = (),
    novelty: Any = None,
) -> None:
    """Write a model file, whole or absent; the name's ending must fit the kind of model.

    Parameters
    ----------
    folds : predictors of the training's folds that a ``.pt`` file keeps too, for `load_folds`.
    novelty : a `eavctl.classifiers.novelty.Novelty` that a ``.joblib`` file keeps too.

    Raises
    ------
    UsageError : the ending is not the one for this model.
    """
    check_name(path, meta["kind"])
    extra: dict[str, Any] = {"kept_folds": len(folds)} if folds else {}
    if novelty is not None:
        extra["novelty"] = novelty.to_meta()
    full = _plain({**meta, **extra}, predictor)
    if meta["kind"] not in TORCH_KINDS:
        own = novelty.to_arrays() if novelty is not None else {}
        named = predictor.to_arrays() | {NOVELTY_ARRAYS + name: array for name, array in own.items()}
        arrays = {name: np.asarray(array, order="C") for name, array in named.items()}
        content = pickle.dumps(_checked({"meta": full, "arrays": arrays}), protocol=5)
        if meta["kind"] in COMPRESSED_KINDS:
            content = zlib.compress(content)
    else:
        import torch

        buffer = io.BytesIO()
        parts = _checked({"meta": full, "state_dict": predictor.state_dict()})
        if folds:
            parts["folds"] = [_fold_parts(fold) for fold in folds]
        torch.save(parts, buffer)
        content = buffer.getvalue()
    files.write_bytes(path, content)


def _checked(parts: dict[str, Any]) -> dict[str, Any]:
    return {**parts, "checksum": _checksum(parts)}


def _checksum(parts: Mapping[str, Any]) -> int:
    """CRC-32 of the meta, and of the name, type, shape and values of each array."""
    found = zlib.crc32(canonical_json(parts["meta"]).encode())
    for name, each in parts.get("arrays", parts.get("state_dict")).items():
        array = each if isinstance(each, np.ndarray) else each.detach().cpu().contiguous().numpy()
        found = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), found)
        found = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, found)
    return found


def _fold_parts(fold: FoldModel) -> dict[str, Any]:
    meta = _plain({"fold": fold.fold, **fold.trained_on}, fold.predictor)
    return _checked({"meta": meta, "state_dict": fold.predictor.state_dict()})


def _plain(meta: Mapping[str, Any], predictor: Any) -> dict[str, Any]:
    """A file's meta as JSON gives it back, so that equal values give equal bytes."""
    full = {"format": FORMAT, "format_version": FORMAT_VERSION, **meta, "model": predictor.to_meta()}
    plain: dict[str, Any] = json.loads(json.dumps(full, allow_nan=False))
    return plain


def load(path: str | os.PathLike[str]) -> Model:
    """Read the file of a classifier of any kind, safely.

    Raises
    ------
    DataError : no such file, not an eavctl model, a pretrained encoder, damaged, with anything but data in
        it, or in need of torch or onnxruntime, which is not installed.
    """
    parts = _read(path)
    if why := NO_CLASSIFIERS.get(str(parts["meta"].get("kind"))):
        raise DataError(f"{path}: {why.format(path=path)}")
    if "onnx" in parts:
        return _exported(path, parts)
    novelty = _novelty(path, parts) if "novelty" in parts["meta"] else None
    return Model(_meta(path, parts), _rebuilt(path, parts["meta"]["kind"], parts), novelty)


def _exported(path: str | os.PathLike[str], parts: Mapping[str, Any]) -> Model:
    """The model of an ``.onnx`` file."""
    meta = _meta(path, parts)
    if meta.kind not in PREDICTORS:
        raise _unknown_kind(path, meta.kind)
    with _blaming(path):
        predictor = _class_of(EXPORTED).from_bytes(parts["onnx"], parts["meta"])
        return Model(meta, predictor, predictor.novelty)


def load_encoder(path: str | os.PathLike[str]) -> tuple[ModelMeta, Any]:
    """Read the file of a pretrained encoder: its metadata, and the encoders.

    Raises
    ------
    DataError : as `load`; also a classifier.
    """
    return _load_other(path, ENCODER, "a pretrained encoder")


def load_grounding(path: str | os.PathLike[str]) -> tuple[ModelMeta, Any]:
    """Read the file of a model that finds phrases in pictures: its metadata, and the model.

    Raises
    ------
    DataError : as `load`; also a classifier.
    """
    return _load_other(path, GROUNDING, "one that finds phrases in pictures")


def _load_other(path: str | os.PathLike[str], wanted: str, name: str) -> tuple[ModelMeta, Any]:
    """Read a file of a kind that is no classifier."""
    parts = _read(path)
    if (kind := parts["meta"].get("kind")) != wanted:
        raise DataError(f"{path}: a model of kind {kind!r}, not {name}; make one with '{MAKERS[wanted]}'")
    return _meta(path, parts), _rebuilt(path, wanted, parts)


def load_folds(path: str | os.PathLike[str]) -> list[FoldModel]:
    """The models of the training's folds that a file keeps, each trained on a part of the rows; often none.

    Raises
    ------
    DataError : see `load`; also an exported model, which never has them.
    """
    parts = _read(path)
    if "onnx" in parts:
        raise DataError(f"{path}: an exported model has no models of folds; use the one it was exported from")
    folds = parts.get("folds", [])
    if not isinstance(folds, list) or len(folds) != parts["meta"].get("kept_folds", 0):
        raise DataError(f"{path}: the model is damaged (folds are missing); copy or train it again")
    return [_fold_model(path, parts["meta"]["kind"], _verified(path, fold)) for fold in folds]


def _fold_model(path: str | os.PathLike[str], kind: str, parts: dict[str, Any]) -> FoldModel:
    predictor = _rebuilt(path, kind, parts)
    meta = parts["meta"]
    if "fold" not in meta:
        raise DataError(f"{path}: the model is damaged (a fold has no number); copy or train it again")
    trained_on = {key: meta[key] for key in ("subjects", "clips", "recordings") if key in meta}
    return FoldModel(meta["fold"], trained_on, predictor)


def _rebuilt(path: str | os.PathLike[str], kind: str, parts: dict[str, Any]) -> Any:
    with _blaming(path):
        if kind not in PREDICTORS:
            raise _unknown_kind(path, kind)
        predictor = _class_of(PREDICTORS[kind])
        arrays = parts["arrays"] if "arrays" in parts else parts["state_dict"]
        own = {name: array for name, array in arrays.items() if not name.startswith(NOVELTY_ARRAYS)}
        meta = parts["meta"]["model"]
        if "step" in meta:
            return _class_of(PROJECTED).from_parts(predictor, own, meta)
        return predictor.from_parts(own, meta)


def _unknown_kind(path: str | os.PathLike[str], kind: str) -> DataError:
    return DataError(f"{path}: a model of unknown kind {kind!r}; upgrade eavctl")


def _class_of(place: str) -> Any:
    """A class by ``module:name``: classes of upper floors are imported where a file needs them."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def _novelty(path: str | os.PathLike[str], parts: dict[str, Any]) -> Any:
    with _blaming(path):
        named = {name.removeprefix(NOVELTY_ARRAYS): array for name, array in parts["arrays"].items()}
        return _class_of(NOVELTY).from_parts(named, parts["meta"]["novelty"])


@contextlib.contextmanager
def _blaming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Parts of a file that cannot be put together become a DataError."""
    try:
        yield
    except UsageError as error:  # the file's fault, not the user's: this eavctl lacks what it names
        raise DataError(f"{path}: this eavctl cannot build the model: {error}") from error
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: the model is damaged ({reason}); train it again") from error


def read_meta(path: str | os.PathLike[str]) -> ModelMeta:
    """What a model file says of itself.

    Raises
    ------
    DataError : see `load`.
    """
    return _meta(path, _read(path))


def _meta(path: str | os.PathLike[str], parts: Mapping[str, Any]) -> ModelMeta:
    with _blaming(path):
        return ModelMeta.from_json(parts["meta"], path)


def require_fit(
    model: FeatureMeta, name: str | os.PathLike[str], table: FeatureMeta, source: str | os.PathLike[str]
) -> None:
    """Check that features were extracted with the settings that a model was trained on.

    Parameters
    ----------
    model, name : the model's features and its file.
    table, source : the table's features and its file.

    Raises
    ------
    SettingsError : they differ; the message names both.
    """
    if model.features_hash == table.features_hash:
        return
    ours, theirs = model.words_beside(table)
    raise SettingsError(
        f"{name} was trained on {ours}; {source} has {theirs}.\n"
        f"Extract again with --features {model.features} and the model's settings."
    )


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    with files.opened(path) as handle:
        head = handle.read(HEAD_BYTES)
    is_onnx = head.startswith(ONNX, ONNX_AT)
    if not is_onnx and not head.startswith((ARCHIVE, PICKLE, ZLIB)):
        raise DataError(f"{path}: this is {describe(path)}; a model (.joblib, .pt, .onnx) is wanted here")
    try:
        if is_onnx:
            found = onnx_files.read(path)
            parts: Any = {"meta": found.meta, "onnx": found.content}
        else:
            is_archive = head.startswith(ARCHIVE)
            parts = _read_torch(path) if is_archive else _read_pickle(path, head.startswith(ZLIB))
    except (DataError, ImportError):
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise DataError(f"{path}: not a model file, or damaged ({type(error).__name__})") from error
    meta = parts.get("meta") if isinstance(parts, dict) else None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise DataError(
            f"{path}: not an eavctl model; train one with 'eavctl train-linear', 'train-svm' or 'train-dnn'"
        )
    if not isinstance(version := meta.get("format_version"), int) or version > FORMAT_VERSION:
        raise DataError(f"{path}: written by a newer eavctl; upgrade")
    return _verified(path, {str(key): value for key, value in parts.items()})


def _verified(path: str | os.PathLike[str], parts: dict[str, Any]) -> dict[str, Any]:
    """The parts, checked against the checksum, which files of version 1 lack."""
    try:
        is_whole = "checksum" not in parts or parts["checksum"] == _checksum(parts)
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError):  # not even of their types
        is_whole = False
    if not is_whole:
        raise DataError(f"{path}: the model is damaged (its checksum does not fit); copy or train it again")
    return parts


def _read_pickle(path: str | os.PathLike[str], is_compressed: bool) -> Any:
    with files.opened(path) as handle:
        try:
            return pickled.loaded(handle, is_compressed=is_compressed)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None


def _read_torch(path: str | os.PathLike[str]) -> Any:
    try:
        import torch
    except ImportError as error:
        raise DataError(
            f"{path}: a network, which needs torch, and that cannot be imported ({error}).\n"
            "Install it: pip install torch"
        ) from error

    # Mapped into memory: networks of folds are not loaded until they are used.
    is_file = os.fspath(path) != files.STDIO
    source: Any = Path(remote.local(path)) if is_file else files.opened(path)
    try:
        return torch.load(source, map_location="cpu", weights_only=True, mmap=is_file)
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: refused: the file holds more than weights and plain values") from error
