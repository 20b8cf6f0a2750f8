"""A trained grounding network as a model file holds it, which finds phrases in pictures of any size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from eavctl.classifiers.network import INFERENCE_BATCH
from eavctl.errors import DataError
from eavctl.grounding.losses import Answers
from eavctl.grounding.metrics import MASK_LOGIT
from eavctl.grounding.network import GroundNet, build_network
from eavctl.grounding.vocabulary import PAD_NUMBER
from eavctl.signals.pictures import Letterbox

THERE = 0.5  # probability from which on a phrase is said to fit something


class Found(NamedTuple):
    """What a phrase describes in a picture.

    Parameters
    ----------
    score : probability that the phrase fits something, 0 to 1.
    box : left, top, right and bottom in pixels, inside the picture, shape (4,).
    mask : bool, shape (height, width), where the object is.
    """

    score: float
    box: np.ndarray
    mask: np.ndarray

    @property
    def is_there(self) -> bool:
        """Whether the phrase is said to fit something; box and mask mean nothing where it does not."""
        return self.score >= THERE


class GroundModel:
    """A grounding network on the CPU, in evaluation mode, and how it was trained.

    Parameters
    ----------
    facts : JSON-able: what `build_network` takes, settings, hashes of the public weights, number of epochs,
        and the scores of the validation.
    """

    def __init__(self, network: GroundNet, facts: Mapping[str, Any]) -> None:
        self.network, self.facts = network.eval(), dict(facts)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GroundModel:
        """Read the model of a file of ``eavctl train-ground``.

        Raises
        ------
        DataError : no such file, a model of another kind, or a damaged one.
        """
        from eavctl.storage import artifacts

        model: GroundModel = artifacts.load_grounding(path)[1]
        return model

    @property
    def side(self) -> int:
        """Of the pictures that the network takes, in pixels."""
        return self.network.visual.side

    def find(self, pictures: Sequence[np.ndarray], phrase: str) -> Iterator[Found]:
        """Find a phrase in each of several pictures, such as the frames of a film.

        Parameters
        ----------
        pictures : uint8 RGB, shape (height, width, 3).

        Raises
        ------
        DataError : the phrase has no word that the training had.
        """
        self.check_phrase(phrase)
        for start in range(0, len(pictures), INFERENCE_BATCH):
            some = pictures[start : start + INFERENCE_BATCH]
            fitted = [Letterbox(each.shape[0], each.shape[1], self.side) for each in some]
            squares = np.stack([fit.picture(each) for fit, each in zip(fitted, some, strict=True)])
            answers = self.answer(squares, [phrase] * len(squares))
            for row, fit in enumerate(fitted):
                yield Found(
                    float(answers.scores[row].sigmoid()),
                    fit.box_outside(answers.boxes[row].numpy()),
                    fit.mask_outside((answers.masks[row] > MASK_LOGIT).numpy()),
                )

    def answer(self, squares: np.ndarray, phrases: Sequence[str]) -> Answers:
        """The network's answers to phrases on pictures of its own size.

        Parameters
        ----------
        squares : uint8, shape (n, side, side, 3).
        phrases : n of them.

        Raises
        ------
        DataError : answers that are not finite.
        """
        tokens = torch.from_numpy(self.network.vocabulary.encode(phrases))
        with torch.inference_mode():
            answers: Answers = self.network(torch.from_numpy(squares), tokens, tokens != PAD_NUMBER)
        if not all(bool(part.isfinite().all()) for part in answers):
            raise DataError("the answer is not finite; train the model again with a lower --lr")
        return answers

    def check_phrase(self, phrase: str) -> None:
        """Raise DataError if the model knows no word of a phrase."""
        if not self.network.vocabulary.knows(phrase):
            raise DataError(
                f"{phrase!r}: the model knows no word of it; its training had words such as "
                f"{', '.join(self.network.vocabulary.usual)}"
            )

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}

    def to_meta(self) -> dict[str, Any]:
        """Everything but the weights, JSON-able."""
        return self.facts

    @classmethod
    def from_parts(cls, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> GroundModel:
        """Build the network by its description, and load its weights.

        Raises
        ------
        UsageError : this eavctl has no such size or fusion.
        KeyError, RuntimeError, TypeError, ValueError : the parts do not fit each other.
        """
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            try:
                network = build_network(meta)
            except DataError as error:  # such as of a vocabulary
                raise ValueError(str(error)) from error
        network.load_state_dict(dict(state_dict))
        return cls(network, meta)
