"""The fitter of a model file, with its settings, to fit the folds of its training again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from eavctl.errors import DataError
from eavctl.storage.metadata import ModelMeta
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.svm_fitter import SvmFitter, SvmSettings
from eavctl.training.train import TableFitter

KEEP = "train it again with --keep-folds, or give a table of people whom it was not trained on"


def fitter_of(meta: ModelMeta, jobs: int = 1) -> TableFitter:
    """The fitter that a model was trained by; a tuned model's with the settings that the model has.

    Parameters
    ----------
    jobs : threads.

    Raises
    ------
    DataError : the file does not say all that the training took, such as the weights of a checkpoint, or it
        is of an older version.
    """
    about = meta.json.get("fitter")
    if about is None or meta.kind not in _FITTERS or meta.features is None:
        raise DataError(f"a model of kind {meta.kind!r} does not say how it was fitted")
    try:
        return _FITTERS[meta.kind](meta, about, jobs)
    except (KeyError, TypeError) as error:
        raise DataError(f"the model does not say how it was fitted ({error}); train it again") from error


def _tuned(meta: ModelMeta) -> dict[str, Any]:
    """The settings that a tuning chose for the model; none of a model that was not tuned."""
    found = (meta.json.get("tuning") or {}).get("all_rows") or {}
    return {name: value for name, value in found.get("chosen", {}).items() if "." not in name}


def _svm(meta: ModelMeta, about: Mapping[str, Any], jobs: int) -> TableFitter:
    known = {each.name for each in fields(SvmSettings)}
    settings = {name: value for name, value in {**about, **_tuned(meta)}.items() if name in known}
    return SvmFitter(about["seed"], jobs, SvmSettings(**settings), **_step(about))


def _linear(meta: ModelMeta, about: Mapping[str, Any], jobs: int) -> TableFitter:
    given = {**about, **_tuned(meta)}
    return LinearFitter(about["seed"], jobs, bool(given.get("centred")), given.get("penalty"), **_step(about))


def _step(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is made of covariances."""
    return {name: about.get(name) for name in ("step", "n_matrices")}


def _dnn(meta: ModelMeta, about: Mapping[str, Any], jobs: int) -> TableFitter:
    from eavctl.augmentations.kind import Kind
    from eavctl.augmentations.pipeline import pipeline
    from eavctl.classifiers.training_loop import TrainSettings
    from eavctl.training.dnn_fitter import DnnFitter

    for key, what in (("weights", "a checkpoint"), ("init", "a pretrained encoder")):
        if about.get(key):
            raise DataError(f"the network was trained from {what}, which its file does not hold: {KEEP}")
    if _tuned(meta):
        raise DataError(f"the network was tuned: {KEEP}")
    augment = pipeline(Kind.of(meta.json), about["augment"]) if "augment" in about else None
    settings = TrainSettings(**about["training"])
    return DnnFitter(about["encoder"], about["encoder_settings"], settings, augment=augment)


_FITTERS: Mapping[str, Callable[[ModelMeta, Mapping[str, Any], int], TableFitter]] = {
    "svm": _svm,
    "linear": _linear,
    "dnn": _dnn,
}
