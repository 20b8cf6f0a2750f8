"""The packaged models: what their cards say, and which one judges where the user names none.

Each is a model file and a card, ``NAME.joblib`` and ``NAME.json`` in this folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from eavctl.errors import DataError

FOLDER = Path(__file__).parent
NAMES = ("speech", "speech-small")  # the better one first
GROUND = FOLDER / "ground.pt"  # finds phrases in pictures: see docs/grounding.md


class PackagedModel(NamedTuple):
    """A packaged model by its card. It is a path, that of its file, and shown by its name.

    Parameters
    ----------
    name : by which ``--model`` takes it.
    use : what it is for, one sentence.
    languages : of its training recordings.
    classes : names, in the model's order.
    licence, licence_reason : of its weights, and why it is this one.
    sources : the corpora, and the encoder if there is one, by name: ``licence`` and ``citation`` of each.
    weights : identity of the encoder's weights that its features need; None of features that need none.
    """

    name: str
    use: str
    languages: Sequence[str]
    classes: Sequence[str]
    licence: str
    licence_reason: str
    sources: Mapping[str, Mapping[str, str]]
    weights: str | None

    def __fspath__(self) -> str:
        return os.fspath(FOLDER / f"{self.name}.joblib")

    def __str__(self) -> str:
        return self.name

    @property
    def can_run(self) -> bool:
        """Whether the weights that its features need are installed."""
        if self.weights is None:
            return True
        from eavctl.features.speech_encoders import packaged

        return self.weights == packaged.IDENTITY and packaged.FILE.find() is not None

    @property
    def card(self) -> dict[str, Any]:
        """The card, JSON-able."""
        return self._asdict()


@cache
def packaged(name: str) -> PackagedModel:
    """The packaged model of a name in `NAMES`."""
    return PackagedModel(**json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def best(*, with_weights: bool = False) -> PackagedModel:
    """The better packaged model that can run.

    Parameters
    ----------
    with_weights : the user names a checkpoint, so that the model is one whose features need weights.
    """
    models = map(packaged, NAMES)
    return next(each for each in models if (each.weights is not None if with_weights else each.can_run))


def find(model: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The packaged model of this name, unless there is a file of the name; else the path itself.

    Raises
    ------
    DataError : a name without an ending, of neither a packaged model nor a file.
    """
    name = os.fspath(model)
    if name in NAMES:
        return model if os.path.isfile(name) else packaged(name)
    if name.replace("-", "").isidentifier() and not os.path.exists(name):
        raise DataError(f"{name}: no such file, nor a packaged model; these are {', '.join(NAMES)}")
    return model
