"""What a recipe can be given besides its settings: pretrained weights, and whose face is followed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from eavctl.signals.faces import Chooser


class Weights(Protocol):
    """A pretrained encoder that a feature set computes by, wherever its files are; it can be pickled.

    `eavctl.features.speech_encoders.weights.Weights` and `eavctl.features.embedding.EncoderFile` are some.
    Their ``segment`` and ``trained_on`` are optional.
    """

    @property
    def path(self) -> Path:
        """Where it was found."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the feature set that it determines, its identity among them."""
        ...

    def load(self) -> Any:
        """The encoder, as the feature set takes it."""
        ...


class Whose(Protocol):
    """Whose face is followed in films that show several: the one that a phrase means.

    It can be pickled, for workers get it with the recipe. `eavctl.grounding.whose.Whose` is one.
    """

    def __hash__(self) -> int:
        """By its values, for what it loads is kept."""
        ...

    @property
    def phrase(self) -> str:
        """Such as "the woman on the left"."""
        ...

    @property
    def model(self) -> Path:
        """The file of the grounding model."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What tables keep, JSON-able: the phrase, and the hash of the grounding model."""
        ...

    def load(self) -> Chooser:
        """How well each face of a picture fits the phrase; called once a process."""
        ...
