"""Whose face is followed: the one that a phrase means, by a grounding model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.errors import DataError
from eavctl.storage.provenance import hash_file

if TYPE_CHECKING:
    from eavctl.signals.faces import Chooser


@dataclass(frozen=True)
class Whose:
    """The person whom a phrase means; see `eavctl.extraction.recipe.Whose`.

    Parameters
    ----------
    phrase : such as "the woman on the left".
    model : file of a grounding model; None for the packaged one.
    """

    phrase: str
    model: Path | None = None

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """The phrase, and the hash of the grounding model."""
        return {"phrase": self.phrase, "model": None if self.model is None else hash_file(self.model)}

    def load(self) -> Chooser:
        """How well each face of a picture fits the phrase.

        Raises
        ------
        DataError : the model cannot be read.
        """
        raise DataError(f"{self.model or 'packaged model'}: no grounding model that reads phrases yet")
