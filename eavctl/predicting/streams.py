"""The inputs of a model: one stream, or several, each with the recipe of its features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eavctl.errors import DataError, UsageError
from eavctl.extraction.interfaces import Whose
from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import Recipe
from eavctl.signals.eeg_reference import PAIRS, named
from eavctl.storage.metadata import FeatureMeta, ModelMeta
from eavctl.storage.remote import local

if TYPE_CHECKING:
    from eavctl.datasets.events import Epochs  # with Arrow, which judging a recording does not need

NOISE_SIDE, NOISE_RATE, NOISE_CHANNELS = 64, 16000, ("C3", "C4")  # pixels, Hz


class StreamInput(NamedTuple):
    """One input of a model.

    Parameters
    ----------
    name : its modality, unless other streams have the same; used in outputs.
    recipe : how recordings become its features.
    meta : its metadata in the model file.
    shape : of one segment's features; None where the model checks that itself.
    """

    name: str
    recipe: Recipe
    meta: FeatureMeta
    shape: tuple[int, ...] | None = None

    @property
    def dtype(self) -> str:
        """Of the features: float32, or uint8 for pictures."""
        return str(self.recipe.entry.facts.get("dtype", "float32"))


def stream_inputs(
    meta: ModelMeta, segment: float | None = None, hop: float | None = None
) -> list[StreamInput]:
    """Read a model's streams, or its only one, from its metadata.

    Parameters
    ----------
    segment, hop : cut recordings into segments of this length and hop, in seconds, instead of those of the
        training.

    Raises
    ------
    UsageError : a hop without a segment, or one of them is out of range.
    """
    if meta.features is not None:
        return [StreamInput(meta.features.modality, _recipe(meta.features, segment, hop), meta.features)]
    return [
        StreamInput(name, _recipe(features, segment, hop), features, tuple(features.shape))
        for name, features, *_ in meta.streams
    ]


def with_segment(streams: Sequence[StreamInput], seconds: float) -> list[StreamInput]:
    """The streams with recordings cut into adjoining segments of this length."""
    return [each._replace(recipe=replace(each.recipe, segment=seconds, hop=seconds)) for each in streams]


def at_events(streams: Sequence[StreamInput], epochs: Epochs, model: str | os.PathLike[str]) -> Epochs:
    """The epochs to judge, with the ends of the training's where they have none of their own.

    Parameters
    ----------
    model : the model file, for errors.

    Raises
    ------
    UsageError : a stream cannot take them.
    """
    trained = next((stream.recipe.epoch for stream in streams if stream.recipe.epoch), None)
    if trained is None:
        return epochs
    tmin, tmax = epochs.span(trained[0], trained[1])
    for stream in streams:
        own = stream.recipe.cutting.row_s
        recipe = replace(stream.recipe, epoch=(tmin, tmax))  # checks that its baseline is in them
        is_fixed = recipe.columns is None and recipe.segment is None
        if is_fixed and stream.recipe.epoch and recipe.cutting.row_s != own:
            raise UsageError(
                f"{model} takes epochs of {own:g} s, not of {recipe.cutting.row_s:g}: leave --tmin and "
                f"--tmax out, for those of its training, {trained[0]:g} to {trained[1]:g} s"
            )
    return replace(epochs, tmin=tmin, tmax=tmax)


def noise_for(recipe: Recipe, seconds: float) -> Signal:
    """A window of noise, as a source would give it to the recipe."""
    rng = np.random.default_rng(0)
    if recipe.modality == "video":
        return Signal(rng.integers(0, 256, (2, NOISE_SIDE, NOISE_SIDE, 3), np.uint8), 2 / seconds)
    if recipe.modality == "audio":
        rate = recipe.rate or NOISE_RATE
        return Signal(rng.normal(scale=0.1, size=round(seconds * rate)).astype(np.float32), rate)
    settings = recipe.base.settings
    channels = list(settings["channels"] or NOISE_CHANNELS)
    if reference := settings.get("reference"):
        channels += [name for name in named(reference) or PAIRS[0] if name not in channels]
    rate = 2.5 * settings["high"]
    return Signal(rng.normal(scale=20.0, size=(len(channels), round(seconds * rate))), rate, channels)


def with_weights(
    streams: Sequence[StreamInput],
    folders: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
) -> list[StreamInput]:
    """Give the streams that need weights of pretrained encoders those that are in the folders.

    Parameters
    ----------
    model : the model file, for errors.

    Raises
    ------
    DataError : a stream's weights are nowhere, or no stream needs those of a folder.
    UsageError : no stream needs any.
    """
    needing = [each for each in streams if each.recipe.needs_weights]
    if not needing:
        raise UsageError(f"{model}: its features need no --weights, which name {folders[0]}")
    found = [
        each._replace(recipe=each.recipe.with_weights(*folders)) if each in needing else each
        for each in streams
    ]
    used = {each.recipe.weights.path for each in found if each.recipe.weights}
    for folder in folders:
        if Path(local(folder)).absolute() not in used:
            ours = Recipe(needing[0].recipe.features).with_weights(folder).settings["weights"]
            wanted = ", ".join(each.recipe.settings["weights"] for each in needing)
            raise DataError(f"{folder}: has the weights {ours}; {model} needs {wanted}")
    return found


def with_who(streams: Sequence[StreamInput], who: Whose, model: str | os.PathLike[str]) -> list[StreamInput]:
    """Give the streams that follow a face whose it is.

    Parameters
    ----------
    model : the model file, for errors.

    Raises
    ------
    UsageError : no stream follows one.
    """
    if not any(each.recipe.follows_a_face for each in streams):
        raise UsageError(
            f"{model} follows no face: --who {who.phrase!r} is for models of faces or face-stats"
        )
    return [
        each._replace(recipe=replace(each.recipe, who=who)) if each.recipe.follows_a_face else each
        for each in streams
    ]


def _recipe(meta: FeatureMeta, segment: float | None, hop: float | None) -> Recipe:
    recipe = Recipe.from_meta(meta)
    if segment is None and hop is None:
        return recipe
    return replace(recipe, segment=segment, hop=hop)
