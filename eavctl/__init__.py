"""Emotion recognition from EEG, audio and video: small commands over Parquet tables and model files.

Each command is a function here, imported when it is first used: ``import eavctl`` imports nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eavctl.version import __version__ as __version__

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings as TrainSettings
    from eavctl.datasets.choice import Choice as Choice
    from eavctl.datasets.events import Epochs as Epochs
    from eavctl.extraction.recipe import Recipe as Recipe
    from eavctl.grounding.model import GroundModel as GroundModel
    from eavctl.grounding.whose import Whose as Whose
    from eavctl.live.settings import LiveSettings as LiveSettings
    from eavctl.predicting.predictor import Predictor as Predictor
    from eavctl.pretraining.encoder_model import EncoderModel as EncoderModel
    from eavctl.stages.bench import bench as bench
    from eavctl.stages.check import check as check
    from eavctl.stages.convert import convert as convert
    from eavctl.stages.explain import explain as explain
    from eavctl.stages.export import export_model as export_model
    from eavctl.stages.extract import extract as extract
    from eavctl.stages.fuse import fuse as fuse
    from eavctl.stages.ground import ground as ground
    from eavctl.stages.list import catalogue as catalogue
    from eavctl.stages.live import open_live as open_live
    from eavctl.stages.predict import predict as predict
    from eavctl.stages.pretrain import PretrainingChoice as PretrainingChoice
    from eavctl.stages.pretrain import pretrain as pretrain
    from eavctl.stages.probe import ProbeChoice as ProbeChoice
    from eavctl.stages.probe import probe as probe
    from eavctl.stages.report import make_report as make_report
    from eavctl.stages.show import show as show
    from eavctl.stages.train_dnn import EncoderChoice as EncoderChoice
    from eavctl.stages.train_dnn import train_dnn as train_dnn
    from eavctl.stages.train_fusion import train_fusion as train_fusion
    from eavctl.stages.train_ground import GroundingChoice as GroundingChoice
    from eavctl.stages.train_ground import train_ground as train_ground
    from eavctl.stages.train_linear import train_linear as train_linear
    from eavctl.stages.train_svm import train_svm as train_svm
    from eavctl.stages.tune import TuningChoice as TuningChoice
    from eavctl.stages.tune import tune as tune
    from eavctl.stages.zero_shot import zero_shot as zero_shot
    from eavctl.storage.tables import read_features as read_features
    from eavctl.storage.tables import read_predictions as read_predictions
    from eavctl.training.cross_validation import Evaluation as Evaluation
    from eavctl.training.cross_validation import cross_validate as cross_validate
    from eavctl.training.dnn_fitter import DnnFitter as DnnFitter
    from eavctl.training.linear_fitter import LinearFitter as LinearFitter
    from eavctl.training.rows import read_training_set as read_training_set
    from eavctl.training.selection import Selection as Selection
    from eavctl.training.svm_fitter import SvmFitter as SvmFitter

_HOMES = {
    "Choice": "datasets.choice",
    "DnnFitter": "training.dnn_fitter",
    "EncoderChoice": "stages.train_dnn",
    "EncoderModel": "pretraining.encoder_model",
    "Epochs": "datasets.events",
    "Evaluation": "training.cross_validation",
    "GroundModel": "grounding.model",
    "GroundingChoice": "stages.train_ground",
    "LinearFitter": "training.linear_fitter",
    "LiveSettings": "live.settings",
    "Predictor": "predicting.predictor",
    "ProbeChoice": "stages.probe",
    "PretrainingChoice": "stages.pretrain",
    "Recipe": "extraction.recipe",
    "Selection": "training.selection",
    "SvmFitter": "training.svm_fitter",
    "TrainSettings": "classifiers.training_loop",
    "TuningChoice": "stages.tune",
    "Whose": "grounding.whose",
    "bench": "stages.bench",
    "catalogue": "stages.list",
    "check": "stages.check",
    "convert": "stages.convert",
    "cross_validate": "training.cross_validation",
    "explain": "stages.explain",
    "export_model": "stages.export",
    "extract": "stages.extract",
    "fuse": "stages.fuse",
    "ground": "stages.ground",
    "make_report": "stages.report",
    "open_live": "stages.live",
    "predict": "stages.predict",
    "pretrain": "stages.pretrain",
    "probe": "stages.probe",
    "read_features": "storage.tables",
    "read_predictions": "storage.tables",
    "read_training_set": "training.rows",
    "show": "stages.show",
    "train_dnn": "stages.train_dnn",
    "train_fusion": "stages.train_fusion",
    "train_ground": "stages.train_ground",
    "train_linear": "stages.train_linear",
    "train_svm": "stages.train_svm",
    "tune": "stages.tune",
    "zero_shot": "stages.zero_shot",
}


def __getattr__(name: str) -> Any:
    """Import a name of the public interface when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'eavctl' has no attribute {name!r}")
    import importlib

    thing = getattr(importlib.import_module(f"eavctl.{_HOMES[name]}"), name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
