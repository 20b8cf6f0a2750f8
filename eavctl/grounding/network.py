"""The grounding network: a picture and a phrase to a box, a mask, and whether the phrase fits something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import StreamBatch
from eavctl.classifiers.training_loop import cosine
from eavctl.encoders.pretrained import Size
from eavctl.errors import UsageError
from eavctl.grounding.backbone import Backbone
from eavctl.grounding.conditioning import Fusion, changes_for
from eavctl.grounding.examples import flipped
from eavctl.grounding.heads import BoxHead, MaskHead, Pooling, ScoreHead
from eavctl.grounding.language import BertEncoder, language_for
from eavctl.grounding.losses import Answers
from eavctl.grounding.vocabulary import Vocabulary, from_meta

PUBLIC_SHARE = 0.1  # of the learning rate
TENTH, DROPS = 0.1, (10 / 90, 60 / 90)  # of the rate, from these shares of the steps on


class GroundNet(nn.Module):
    """A Vision Transformer whose weights the phrase changes, and heads for box, mask and score; after [1]_.

    It is a `eavctl.classifiers.network.Trainable` of the streams in `eavctl.grounding.examples`.

    Parameters
    ----------
    vocabulary : of the phrases; word pieces are encoded by BERT, words by a small transformer.
    size, side : of the backbone; see `Backbone`.
    fusion : "law": the phrase makes low-rank changes of the backbone's projections; "film": it scales and
        shifts the output of each block; "late": the heads alone see it; "none": nothing sees it, a control.

    Raises
    ------
    UsageError : no such size or fusion, or a side that patches or windows do not fill.

    References
    ----------
    .. [1] Su et al.: Language adaptive weight generation for multi-task visual grounding, CVPR 2023.
    """

    mirror: Tensor

    def __init__(
        self, vocabulary: Vocabulary, *, size: Size = "tiny", side: int | None = None, fusion: Fusion = "law"
    ) -> None:
        super().__init__()
        self.vocabulary, self.fusion = vocabulary, fusion
        self.language = language_for(vocabulary)
        self.visual = Backbone(size, side)
        width, phrase = self.visual.shape.width, self.language.width
        self.changes = changes_for(fusion, self.visual.shape, phrase)
        self.pooling = Pooling(width, phrase, self.visual.grid)
        self.box = BoxHead(width)
        self.score = ScoreHead(width, phrase)
        self.mask = MaskHead(width, phrase, self.visual.grid, self.visual.side)
        self.register_buffer("mirror", torch.from_numpy(vocabulary.mirror), persistent=False)
        self._loaded: list[nn.Module] = []

    def load_weights(self, visual: Path | None, language: Path | None) -> None:
        """Load backbone and BERT from folders of public weights; None leaves a part as it is.

        Raises
        ------
        DataError : weights of another architecture, or not readable.
        UsageError : weights of a language for a vocabulary of words.
        """
        if visual is not None:
            self.visual.load_weights(visual)
            self._loaded.append(self.visual)
        if language is not None:
            if not isinstance(self.language, BertEncoder):
                raise UsageError("a vocabulary of words has no public weights: read word pieces instead")
            self.language.load_weights(language)
            self._loaded.append(self.language)

    @property
    def body(self) -> nn.Module | None:
        """The parts with public weights, which can be frozen; None where there are none."""
        return nn.ModuleList(self._loaded) if self._loaded else None

    def forward(self, pictures: Tensor, tokens: Tensor, mask: Tensor) -> Answers:
        """Find what phrases describe.

        Parameters
        ----------
        pictures : uint8, shape (batch, side, side, 3).
        tokens : int64, shape (batch, n_tokens), as `Vocabulary.encode` gives them.
        mask : bool, shape (batch, n_tokens), False for padding.
        """
        if self.fusion == "none":
            words = self.visual.mean.new_zeros(*tokens.shape, self.language.width)
        else:
            words = self.language(tokens, mask)
        phrase = words[:, 0]
        places = self.visual(pictures, self.changes(words, mask))
        pooled = self.pooling(places, phrase)
        return Answers(self.box(pooled), self.mask(places, phrase), self.score(pooled, phrase))

    def augment(self, x: StreamBatch, generator: torch.Generator) -> StreamBatch:
        """Mirror half of the pictures of a training batch, with their phrases, boxes and masks."""
        chosen = torch.rand(len(x), generator=generator, device=generator.device) < 0.5
        return flipped(x, chosen, self.mirror)

    def after_step(self) -> None:
        """See `eavctl.classifiers.network.Trainable`."""

    def slower(self) -> Iterator[tuple[float, Iterable[nn.Parameter]]]:
        """Parts with public weights learn at a tenth of the rate [1]_; see `Trainable`."""
        if self.body is not None:
            yield PUBLIC_SHARE, self.body.parameters()

    def schedule(self, step: int, total: int) -> float:
        """With public weights a tenth from a ninth and from two thirds on, as VG-LAW [1]_; else a cosine."""
        if self.body is None:
            return cosine(step, total)
        return math.prod(TENTH for start in DROPS if step >= start * total)


def build_network(meta: Mapping[str, Any]) -> GroundNet:
    """A new network by ``size``, ``side``, ``fusion`` and ``vocabulary``, as a training's facts tell them.

    Raises
    ------
    DataError : no vocabulary.
    UsageError : no such size or fusion, or a side that does not fit.
    """
    vocabulary = from_meta(meta["vocabulary"])
    return GroundNet(vocabulary, size=meta["size"], side=meta["side"], fusion=meta["fusion"])
