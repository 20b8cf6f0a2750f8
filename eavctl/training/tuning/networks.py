"""The networks as methods to tune: settings of the training, of the encoder and of the fusion network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_type_hints

from eavctl import registry
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.fusion_fitter import FusionFitter
from eavctl.training.tuning.method import Method
from eavctl.training.tuning.ranges import Choice, Real, Space, Whole

CHOSEN_ELSEWHERE = ("seed", "device")  # settings of the training that have options of their own
TRAINING: Space = {"lr": Real(1e-5, 1e-2, log=True), "weight_decay": Real(1e-6, 0.1, log=True)}
DROPOUT = Real(0.1, 0.5)
OF_ENCODER: Mapping[str, Space] = {
    "cnn-lstm": {"lstm_units": Choice((64, 128, 256)), "encoder.dropout": DROPOUT},
    "eegnet": {"f1": Choice((4, 8, 16)), "encoder.dropout": Real(0.1, 0.6)},
    "mlp": {"units": Whole(32, 512, log=True), "encoder.dropout": Real(0.1, 0.7)},
    "scnn": {"encoder.dropout": Real(0.01, 0.4)},
    "shallow-transformer": {"encoder.dropout": Real(0.1, 0.6)},
}
OF_FUSION: Space = {"dropout": DROPOUT, "modality_dropout": Real(0, 0.6), "contrastive": Real(0, 0.5)}


def dnn_method(fitter: DnnFitter) -> Method:
    """An encoder and a head. A name that the training has too is the encoder's as ``encoder.NAME``."""
    own = _annotations("encoders", fitter.encoder)
    training = _training_annotations()
    names = _names("encoder", own, training)

    def with_values(values: Mapping[str, Any]) -> DnnFitter:
        changed = {names[name]: value for name, value in values.items() if name in names}
        settings = {name: value for name, value in values.items() if name not in names}
        return replace(
            fitter,
            settings=replace(fitter.settings, **settings),
            encoder_settings={**fitter.encoder_settings, **changed},
        )

    return Method(
        fitter.encoder,
        fitter,
        {**training, **{name: own[setting] for name, setting in names.items()}},
        {**TRAINING, "dropout": DROPOUT, **OF_ENCODER.get(fitter.encoder, {})},
        with_values,
        fitter.settings.most_epochs,
    )


def fusion_method(fitter: FusionFitter) -> Method:
    """A fusion network. The setting of a stream's encoder is called ``STREAM.NAME``, as ``audio.dropout``."""
    design = fitter.design
    own = _annotations("fusion networks", design.method)
    training = _training_annotations()
    del training["dropout"]  # fusion networks have their own
    names = _names("network", own, training)
    of_stream = {
        f"{stream.name}.{name}": annotation
        for stream in design.streams
        for name, annotation in _annotations("encoders", stream.encoder).items()
    }

    def with_values(values: Mapping[str, Any]) -> FusionFitter:
        network = {names[name]: value for name, value in values.items() if name in names}
        settings = {name: value for name, value in values.items() if name in training}
        streams = []
        for stream in design.streams:
            chosen = {
                name.removeprefix(f"{stream.name}."): value
                for name, value in values.items()
                if name in of_stream and name.startswith(f"{stream.name}.")
            }
            entry = registry.get("encoders", stream.encoder)
            given = entry.with_defaults({**stream.encoder_settings, **chosen})
            streams.append(replace(stream, encoder_settings=given))
        entry = registry.get("fusion networks", design.method)
        changed = replace(
            design, streams=tuple(streams), settings=entry.with_defaults({**design.settings, **network})
        )
        return replace(fitter, settings=replace(fitter.settings, **settings), design=changed)

    return Method(
        design.method,
        fitter,
        {**training, **{name: own[setting] for name, setting in names.items()}, **of_stream},
        {**TRAINING, **{name: each for name, each in OF_FUSION.items() if name in names}},
        with_values,
        fitter.settings.most_epochs,
        lambda values, facts: replace(facts, features=with_values(values).described(facts.features)),
    )


def _training_annotations() -> dict[str, Any]:
    """Annotations of the settings of a training that can be tuned."""
    found = get_type_hints(TrainSettings, include_extras=True)
    return {name: each for name, each in found.items() if name not in CHOSEN_ELSEWHERE}


def _annotations(kind: str, name: str) -> dict[str, Any]:
    """Annotations of the settings of a registered class."""
    return {setting: each.annotation for setting, each in registry.get(kind, name).settings.items()}


def _names(owner: str, own: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, str]:
    """The setting that each name stands for: ``OWNER.NAME`` where the training has one of that name."""
    return {f"{owner}.{name}" if name in training else name: name for name in own}
