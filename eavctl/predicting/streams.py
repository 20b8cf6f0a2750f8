"""The inputs of a model: one stream, or several, each with the recipe of its features."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from eavctl.extraction.recipe import Recipe
from eavctl.storage.metadata import FeatureMeta, ModelMeta


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


def _recipe(meta: FeatureMeta, segment: float | None, hop: float | None) -> Recipe:
    recipe = Recipe.from_meta(meta)
    if segment is None and hop is None:
        return recipe
    return replace(recipe, segment=segment, hop=hop)
