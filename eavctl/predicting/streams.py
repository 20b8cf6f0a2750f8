"""The inputs of a model: one stream, or several, each with the recipe of its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from eavctl.extraction.recipe import Recipe


class StreamInput(NamedTuple):
    """One input of a model.

    Parameters
    ----------
    name : its modality, unless other streams have the same; used in outputs.
    recipe : how recordings become its features.
    meta : its metadata in the model file; all of the model's where it has only one stream.
    shape : of one segment's features; None where the model checks that itself.
    """

    name: str
    recipe: Recipe
    meta: Mapping[str, Any]
    shape: tuple[int, ...] | None = None

    @property
    def dtype(self) -> str:
        """Of the features: float32, or uint8 for pictures."""
        return str(self.recipe.entry.facts.get("dtype", "float32"))


def stream_inputs(
    meta: Mapping[str, Any], segment: float | None = None, hop: float | None = None
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
    if "streams" not in meta:
        return [StreamInput(meta["modality"], _recipe(meta, segment, hop), meta)]
    return [
        StreamInput(each["name"], _recipe(each, segment, hop), each, tuple(each["shape"]))
        for each in meta["streams"]
    ]


def _recipe(meta: Mapping[str, Any], segment: float | None, hop: float | None) -> Recipe:
    recipe = Recipe.from_meta(dict(meta))
    if segment is None and hop is None:
        return recipe
    return replace(recipe, segment=segment, hop=hop)
