"""Low-rank changes of a transformer's projections, generated from the tokens of another source."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

LEAST_HIDDEN = 8  # values that are normalised together


class Law(nn.Module):
    """Language-adaptive weights [1]_: tokens make what is added to the projections of a transformer's blocks.

    A learned embedding of each block attends to the tokens, in groups; what it finds gives a small matrix
    ``core`` for the block, and the change of the block's weights is ``left @ core @ right.T``, with ``left``
    and ``right`` shared by all blocks. The change itself, (3 * width, width) for every row, is never made:
    `change` multiplies the states by the three factors in turn. Every core is zero at the start, so that the
    network begins as the one without a law.

    Parameters
    ----------
    width : of the states of the blocks.
    n_blocks : number of blocks.
    token_width : of the tokens that make the changes; a multiple of ``groups``.
    groups : of values of a token, each with attention weights of its own.
    reduction : of the width of what a block's embedding finds, before the core is made.
    rank : of the changes.

    References
    ----------
    .. [1] Su et al.: Language adaptive weight generation for multi-task visual grounding, CVPR 2023.
    """

    def __init__(
        self,
        width: int,
        n_blocks: int,
        token_width: int,
        *,
        groups: int = 12,
        reduction: int = 16,
        rank: int = 32,
    ) -> None:
        super().__init__()
        hidden = max(LEAST_HIDDEN, token_width // reduction)
        self.groups, self.rank = groups, rank
        self.blocks = nn.Parameter(torch.randn(n_blocks, token_width))
        self.reduce = nn.Linear(token_width, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.cores = nn.Parameter(torch.zeros(n_blocks, hidden, rank * rank))
        self.left = nn.Parameter(torch.randn(3 * width, rank) / math.sqrt(rank))
        self.right = nn.Parameter(torch.randn(width, rank) / math.sqrt(width))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """The cores of all blocks, (batch, n_blocks, rank, rank).

        Parameters
        ----------
        tokens : shape (batch, n_tokens, token_width).
        mask : bool, shape (batch, n_tokens), True for tokens to attend to; None: all. The cores of a row
            without such a token are zero, so that its blocks stay exactly as they are.
        """
        n_rows, n_tokens, _ = tokens.shape
        if mask is not None:
            tokens = tokens.masked_fill(~mask[:, :, None], 0)
        values = tokens.reshape(n_rows, n_tokens, self.groups, -1)
        keys = self.blocks.reshape(len(self.blocks), self.groups, -1)
        scores = torch.einsum("bgc,nlgc->nbgl", keys, values) / math.sqrt(values.shape[3])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
            is_present = mask.any(dim=1)
            scores = torch.where(is_present[:, None, None, None], scores, 0)
        found = torch.einsum("nbgl,nlgc->nbgc", scores.softmax(dim=3), values).flatten(2)
        hidden = self.norm(F.gelu(self.reduce(found)))
        cores = torch.einsum("nbh,bhr->nbr", hidden, self.cores)
        if mask is not None:
            cores = torch.where(is_present[:, None, None], cores, 0)
        return cores.reshape(n_rows, len(self.blocks), self.rank, self.rank)

    def change(self, states: Tensor, core: Tensor) -> Tensor:
        """What a law adds to the queries, keys and values of a block.

        Parameters
        ----------
        states : input of the projections, (batch, n, width).
        core : of the block, for each row, (batch, rank, rank).

        Returns
        -------
        Shape (batch, n, 3 * width): of the queries, then the keys, then the values.
        """
        inner = states @ self.right @ core.transpose(1, 2)
        return inner @ self.left.T
