"""How a phrase changes the blocks of the backbone: by a law, by scale and shift, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn

from eavctl.encoders.law import Law
from eavctl.errors import UsageError
from eavctl.grounding.backbone import BlockChange, Shape

Fusion = Literal["law", "film", "late", "none"]


class LawChanges(nn.Module):
    """Low-rank changes of the queries, keys and values of each block: `eavctl.encoders.law.Law`."""

    def __init__(self, shape: Shape, token_width: int) -> None:
        super().__init__()
        self.law = Law(shape.width, shape.n_blocks, token_width, rank=shape.rank)

    def forward(self, tokens: Tensor, mask: Tensor) -> list[BlockChange]:
        """The change of each block by tokens (batch, n_tokens, token_width), bool mask (batch, n_tokens)."""
        cores = self.law(tokens, mask).unbind(dim=1)
        return [BlockChange(project=partial(self.law.change, core=core)) for core in cores]


class FilmChanges(nn.Module):
    """Scale and shift of each block's output, from the first token [1]_; none at the start.

    References
    ----------
    .. [1] Perez et al.: FiLM, visual reasoning with a general conditioning layer, AAAI 2018.
    """

    def __init__(self, shape: Shape, token_width: int) -> None:
        super().__init__()
        self.n_blocks = shape.n_blocks
        self.made = nn.Linear(token_width, shape.n_blocks * 2 * shape.width)
        nn.init.zeros_(self.made.weight)
        nn.init.zeros_(self.made.bias)

    def forward(self, tokens: Tensor, mask: Tensor) -> list[BlockChange]:
        """See `LawChanges`."""
        blocks = self.made(tokens[:, 0]).reshape(len(tokens), self.n_blocks, 2, 1, -1).unbind(dim=1)
        return [BlockChange(output=partial(_film, scale=block[:, 0], shift=block[:, 1])) for block in blocks]


class NoChanges(nn.Module):
    """Blocks that no phrase changes."""

    def __init__(self, shape: Shape, token_width: int) -> None:
        super().__init__()
        self.n_blocks = shape.n_blocks

    def forward(self, tokens: Tensor, mask: Tensor) -> list[BlockChange]:
        """See `LawChanges`."""
        return [BlockChange()] * self.n_blocks


CHANGES: dict[str, Callable[[Shape, int], nn.Module]] = {
    "law": LawChanges,
    "film": FilmChanges,
    "late": NoChanges,
    "none": NoChanges,
}


def changes_for(fusion: str, shape: Shape, token_width: int) -> nn.Module:
    """The module that makes the changes of the blocks.

    Raises
    ------
    UsageError : no such fusion.
    """
    if fusion not in CHANGES:
        raise UsageError(f"fusion must be {', '.join(map(repr, CHANGES))}, not {fusion!r}")
    return CHANGES[fusion](shape, token_width)


def _film(states: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return states * (1 + scale) + shift
