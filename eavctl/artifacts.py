"""Model files, and the only place that loads or saves them.

A ``.joblib`` file is a pickle of ``{"meta": JSON-able, "arrays": {name: numpy array}}``, which
``joblib.load`` reads too; a ``.pt`` file is torch's archive of ``{"meta", "state_dict"}``. Both are read
by loaders that can build arrays, texts and numbers and nothing else, so a stranger's file runs no code.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eavctl import files
from eavctl.errors import DataError, SettingsError, UsageError

FORMAT = "eavctl model"
FORMAT_VERSION = 1
ARCHIVE = b"PK\x03\x04"  # first bytes of torch's files

# Classes that rebuild themselves from the parts in a file, by the kind that the file names.
PREDICTORS = {
    "svm": "eavctl.classifiers.svm:SvmModel",
    "dnn": "eavctl.classifiers.dnn:DnnModel",
    "fuse": "eavctl.fusion.late:LateFuser",
    "fusion": "eavctl.fusion.networks.model:FusionModel",
}
TORCH_KINDS = {"dnn", "fusion"}


@dataclass(frozen=True)
class Model:
    """A model read from a file: what it is, and what it does.

    ``meta`` holds kind, modality, feature set with settings and hash, classes, seed, protocol, the
    subjects it was trained on, out-of-fold scores, versions and input hashes.
    """

    meta: dict[str, Any]
    predictor: Any

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


def check_name(path: str | os.PathLike[str], kind: str) -> None:
    """Raise UsageError if the name's ending is not the one for models of this kind."""
    ending = ".pt" if kind in TORCH_KINDS else ".joblib"
    if os.fspath(path) != files.STDIO and Path(path).suffix != ending:
        raise UsageError(f"{path}: a model of kind {kind!r} is kept in a {ending} file; name it so")


def save(
    path: str | os.PathLike[str], predictor: Any, meta: dict[str, Any], folds: Sequence[Model] = ()
) -> None:
    """Write a model file, whole or absent; the name's ending must fit the kind of model.

    Parameters
    ----------
    folds : predictors of the training's folds that a ``.pt`` file keeps too, for `load_folds`.

    Raises
    ------
    UsageError : the ending is not the one for this model.
    """
    check_name(path, meta["kind"])
    full = _plain({**meta, **({"kept_folds": len(folds)} if folds else {})}, predictor)
    if meta["kind"] not in TORCH_KINDS:
        arrays = {name: np.asarray(array, order="C") for name, array in predictor.to_arrays().items()}
        content = pickle.dumps({"meta": full, "arrays": arrays}, protocol=5)
    else:
        import torch

        buffer = io.BytesIO()
        parts = {"meta": full, "state_dict": predictor.state_dict()}
        if folds:
            parts["folds"] = [
                {"meta": _plain(fold.meta, fold.predictor), "state_dict": fold.predictor.state_dict()}
                for fold in folds
            ]
        torch.save(parts, buffer)
        content = buffer.getvalue()
    files.write_bytes(path, content)


def _plain(meta: dict[str, Any], predictor: Any) -> dict[str, Any]:
    """A file's meta: values of one kind, so that the bytes are too."""
    full = {"format": FORMAT, "format_version": FORMAT_VERSION, **meta, "model": predictor.to_meta()}
    plain: dict[str, Any] = json.loads(json.dumps(full, allow_nan=False))
    return plain


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model file of any kind, safely.

    Raises
    ------
    DataError : no such file, not an eavctl model, damaged, or holding anything but data.
    """
    parts = _read(Path(path))
    return _rebuilt(path, parts["meta"]["kind"], parts)


def load_folds(path: str | os.PathLike[str]) -> list[Model]:
    """The models of the training's folds that a file keeps, each trained on a part of the rows.

    Their meta has ``fold``, and the ``subjects`` and ``clips`` that the fold was trained on. A file that
    keeps none gives an empty list.

    Raises
    ------
    DataError : see `load`.
    """
    parts = _read(Path(path))
    return [_rebuilt(path, parts["meta"]["kind"], fold) for fold in parts.get("folds", [])]


def _rebuilt(path: str | os.PathLike[str], kind: str, parts: dict[str, Any]) -> Model:
    meta = parts["meta"]
    if kind not in PREDICTORS:
        raise DataError(f"{path}: a model of unknown kind {kind!r}; upgrade eavctl")
    module, name = PREDICTORS[kind].split(":")
    predictor = getattr(importlib.import_module(module), name)
    try:
        rebuilt = predictor.from_parts(parts.get("arrays", parts.get("state_dict")), meta["model"])
    except UsageError as error:  # not the user's: the file asks for what this eavctl does not have
        raise DataError(f"{path}: this eavctl cannot build the model: {error}") from error
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise DataError(f"{path}: the model is damaged ({str(error).splitlines()[0]})") from error
    return Model(meta, rebuilt)


def read_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model file says of itself, as `Model.meta`."""
    meta: dict[str, Any] = _read(Path(path))["meta"]
    return meta


def require_fit(model: Model, name: str | os.PathLike[str], meta: dict[str, Any], source: str) -> None:
    """Check that features were computed with the settings that the model was trained on.

    Parameters
    ----------
    model, name : the model and the file it came from.
    meta, source : metadata of the feature table and its file.

    Raises
    ------
    SettingsError : they differ; the message names both.
    """
    if model.meta["features_hash"] == meta.get("features_hash"):
        return
    ours, theirs = (_describe_features(m) for m in (model.meta, meta))
    raise SettingsError(
        f"{name} was trained on {ours}; {source} has {theirs}.\n"
        f"Extract again with --features {model.meta.get('features')} and the model's settings."
    )


def _describe_features(meta: dict[str, Any]) -> str:
    settings = ", ".join(f"{k}={v}" for k, v in sorted(meta.get("settings", {}).items()))
    rate = f" of {meta['rate']} Hz" if meta.get("rate") else ""
    return f"features {meta.get('features')!r}{rate}{f' ({settings})' if settings else ''}"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with open(path, "rb") as handle:
        is_archive = handle.read(len(ARCHIVE)) == ARCHIVE
    try:
        parts = _read_torch(path) if is_archive else _read_pickle(path)
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise DataError(f"{path}: not a model file, or damaged ({type(error).__name__})") from error
    meta = parts.get("meta") if isinstance(parts, dict) else None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise DataError(f"{path}: not an eavctl model; train one with 'eavctl train-svm' or 'train-dnn'")
    if meta["format_version"] > FORMAT_VERSION:
        raise DataError(f"{path}: written by a newer eavctl; upgrade")
    return {str(key): value for key, value in parts.items()}


class _Dtype:
    """Stands in for ``numpy.dtype`` while unpickling, so that no state from a file reaches numpy."""

    def __init__(self, code: str, *_: Any):
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biufU":
            raise DataError(f"refused: an array of type {code!r} in a model")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _array(content: bytes, kind: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    flat = np.frombuffer(content, dtype=kind.dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C").copy()


# All that a pickle of contiguous arrays asks for (numpy 1 and 2 have it under two names), and what it gets.
STAND_INS = {
    ("numpy", "dtype"): _Dtype,
    ("numpy._core.numeric", "_frombuffer"): _array,
    ("numpy.core.numeric", "_frombuffer"): _array,
}


class _DataUnpickler(pickle.Unpickler):
    """Builds arrays and plain values with code of this module alone; any other name ends the reading."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in STAND_INS:
            return STAND_INS[module, name]
        raise DataError(
            f"refused: the file asks to run {module}.{name}, and a model is data only.\n"
            "Do not open it with joblib or pickle either, unless you trust who made it."
        )


def _read_pickle(path: Path) -> Any:
    with open(path, "rb") as handle:
        try:
            return _DataUnpickler(handle).load()
        except DataError as error:
            raise DataError(f"{path}: {error}") from None


def _read_torch(path: Path) -> Any:
    import torch

    try:
        # Mapped, not read: of what a file keeps beside the model, nothing is loaded until it is used.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: refused: the file holds more than weights and plain values") from error
