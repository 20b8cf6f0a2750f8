"""What the encoders of face clips share: frames through an image network, averaged; augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from eavctl.encoders.pretrained import Pretrained
from eavctl.errors import DataError, UsageError
from eavctl.settings import Within

LookedAt = Annotated[int, Within(1, 1000)]  # frames of a clip

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
JITTER = 0.2
BRIGHTEST = 255.0
MIN_SIDE = 16
TINY_FRAMES = 5
# Pictures that go through the body at once; memory in training is that of so many.
CHUNK = {"base": 32, "tiny": 256}


class FaceClipEncoder(Pretrained):
    """An image network on each frame of a clip; the clip's embedding is the mean of its frames'.

    With a linear head this is the mean of the frames' logits. Frames are resized bilinearly to the
    network's picture size. They go through it in chunks that hold the same moments of all clips; in
    training, what lies between the chunk's pictures and its embedding is computed again when the gradient
    needs it, so that 25 frames a clip take no more memory than a chunk.

    Parameters
    ----------
    shape : (n_frames, height, width, 3) of one sample, RGB from 0 to 255; at least 16 x 16.
    frames : so many of the frames, evenly spaced, are looked at; None: all of size "base", 5 of "tiny".
    side : of the network's pictures, pixels.
    size, body, embedding_dim : see `Pretrained`.
    mean, std : of each colour, where 255 is 1.
    """

    normalisation = ("image_mean", "image_std")

    def __init__(
        self,
        shape: Sequence[int],
        *,
        frames: int | None,
        side: int,
        size: str,
        body: nn.Module,
        embedding_dim: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        colours = [torch.tensor(values).reshape(3, 1, 1) for values in (mean, std)]
        super().__init__(size, body, embedding_dim, *colours)
        self.side = side
        self.looked_at = _spaced(_n_frames(shape, self.name), frames, size)

    def fit_input(self, x: Tensor) -> None:
        """Keep nothing: pictures are standardised as those of the public checkpoints are."""

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_frames, height, width, 3), bytes or floats to 255, as (batch, embedding_dim)."""
        clips = x[:, self.looked_at]
        at_once = max(1, CHUNK[self.size] // max(1, len(clips)))
        chunks = torch.split(clips, at_once, dim=1)
        saving = len(chunks) > 1 and torch.is_grad_enabled() and self._body_learns()
        embed = self._embed_again if saving else self._embed
        total: Tensor = torch.stack([embed(chunk) for chunk in chunks]).sum(dim=0)
        return total / len(self.looked_at)

    def pictures(self, clips: Tensor) -> Tensor:
        """Standardised pictures (batch * n_frames, 3, side, side), clip by clip, of clips as in `forward`."""
        pictures = clips.flatten(0, 1).permute(0, 3, 1, 2).to(self.mean.dtype) / BRIGHTEST
        if pictures.shape[2:] != (self.side, self.side):
            pictures = F.interpolate(
                pictures, (self.side, self.side), mode="bilinear", align_corners=False, antialias=True
            )
        return (pictures - self.mean) / self.std

    def describe(self, pictures: Tensor) -> Tensor:
        """Embed standardised pictures (n, 3, side, side) as (n, embedding_dim)."""
        raise NotImplementedError

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Mirror half of the clips; vary brightness and contrast by up to 0.2, alike in all frames of a clip.

        Parameters
        ----------
        x : shape (batch, n_frames, height, width, 3), bytes or floats from 0 to 255; the result is floats.
        generator : the only source of randomness, on the device of ``x``.
        """
        drawn = torch.rand(3, len(x), 1, 1, 1, 1, generator=generator, device=x.device)
        mirrored = torch.where(drawn[0] < 0.5, x.flip(3), x).to(torch.float32)
        brightness, contrast = 1 + JITTER * (2 * drawn[1:] - 1)
        mean = mirrored.mean(dim=(1, 2, 3, 4), keepdim=True) * brightness
        varied: Tensor = mirrored * (brightness * contrast) + mean * (1 - contrast)
        return varied.clamp_(0, BRIGHTEST)

    def _embed(self, clips: Tensor) -> Tensor:
        """Sum of the frames' embeddings: (batch, n_frames, height, width, 3) to (batch, embedding_dim)."""
        return self.describe(self.pictures(clips)).reshape(*clips.shape[:2], -1).sum(dim=1)

    def _embed_again(self, clips: Tensor) -> Tensor:
        """`_embed`, keeping nothing for the gradient but the clips."""
        embedded: Tensor = checkpoint(self._embed, clips, use_reentrant=False, context_fn=self._contexts)
        return embedded

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(self.body)

    def _body_learns(self) -> bool:
        return any(parameter.requires_grad for parameter in self.body.parameters())


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Hold the running statistics of batch norms: the same batch passes a second time."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _n_frames(shape: Sequence[int], name: str) -> int:
    if len(shape) != 4 or shape[0] < 1 or min(shape[1:3]) < MIN_SIDE or shape[3] != 3:
        raise DataError(
            f"encoder {name!r} takes clips of (n_frames, height, width, 3), at least {MIN_SIDE} pixels wide "
            f"and high, not rows of shape {tuple(shape)}; extract with --features faces"
        )
    return shape[0]


def _spaced(n_frames: int, frames: int | None, size: str) -> list[int]:
    """Numbers of the frames looked at: the middles of equal parts of the clip."""
    if frames is None:
        frames = min(TINY_FRAMES, n_frames) if size == "tiny" else n_frames
    if not 1 <= frames <= n_frames:
        raise UsageError(f"frames must lie between 1 and the {n_frames} of a clip, not {frames}")
    return [int((i + 0.5) * n_frames / frames) for i in range(frames)]
