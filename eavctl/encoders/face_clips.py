"""Base class of the encoders of face clips and pictures: an image network on each frame, averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from eavctl import ranks
from eavctl.encoders.augmentation import BRIGHTEST, reframed, relit
from eavctl.encoders.pretrained import Pretrained
from eavctl.encoders.public_names import IMAGENET_MEAN, IMAGENET_STD
from eavctl.errors import DataError, UsageError
from eavctl.settings import Within

NFrames = Annotated[int, Within(1, 1000)]  # frames of a clip

JITTER = 0.2
MOST_SCALED, MOST_SHIFTED = 0.03, 0.02  # shares of the side
MOST_TURNED = math.radians(3)
MIN_SIDE = 16
TINY_FRAMES = 5
N_COLOURS = 3
PICTURES_NDIM = 4  # of a batch of single pictures
# Pictures per forward pass of the body, which bounds the memory of training.
CHUNK = {"base": 32, "tiny": 256}


class Resized(nn.Module):
    """Pictures (n, 3, height, width) resized to squares, bilinearly and without aliasing.

    Parameters
    ----------
    shape : height and width of the pictures, in pixels.
    side : of the squares, in pixels.
    """

    def __init__(self, shape: Sequence[int], side: int) -> None:
        super().__init__()
        self.shape, self.side = tuple(shape), side

    def forward(self, pictures: Tensor) -> Tensor:
        """Squares (n, 3, side, side)."""
        size = (self.side, self.side)
        if pictures.shape[2:] == size:
            return pictures
        found: Tensor = F.interpolate(pictures, size, mode="bilinear", align_corners=False, antialias=True)
        return found


class FaceClipEncoder(Pretrained):
    """An image network on each frame of a clip; the embedding of the clip is the mean over its frames.

    With a linear head this is the mean of the frames' logits. Frames are resized bilinearly to the input size
    of the network. They are processed in chunks of the same frame numbers of all clips; in training, the
    activations of a chunk are recomputed for the gradient (checkpointing), so that all frames of a clip need
    no more memory than one chunk.

    Parameters
    ----------
    shape : (n_frames, height, width, 3) of one clip, RGB from 0 to 255; at least 16 x 16. A single picture,
        (height, width, 3) or grey (height, width, 1), is a clip of one frame.
    frames : number of frames to use, evenly spaced; None: all for size "base", 5 for "tiny".
    side : side of the network's input, pixels.
    size, body, embedding_dim : see `Pretrained`.
    mean, std : mean and standard deviation of each colour on a scale from 0 to 1.
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
        self.resized = Resized(shape[1:3], side)
        self.sampled_frames = _spaced(_n_frames(shape, self.name), frames, size)

    def fit_input(self, x: Tensor) -> None:
        """Do nothing: pictures are standardised with the constants of the public checkpoints."""

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, *shape), bytes or floats from 0 to 255, as (batch, embedding_dim)."""
        clips = self.used_frames(x)
        if torch.compiler.is_exporting():  # the chunks would depend on the batch
            return self._embed(clips) / len(self.sampled_frames)
        at_once = max(1, CHUNK[self.size] // max(1, len(clips)))
        chunks = torch.split(clips, at_once, dim=1)
        saving = len(chunks) > 1 and torch.is_grad_enabled() and self._body_learns()
        embed = self._embed_checkpointed if saving else self._embed
        total: Tensor = torch.stack([embed(chunk) for chunk in chunks]).sum(dim=0)
        return total / len(self.sampled_frames)

    def used_frames(self, x: Tensor) -> Tensor:
        """The frames to use of rows (batch, *shape), as RGB: (batch, n_used, height, width, 3)."""
        frames = _as_clips(x)[:, self.sampled_frames]
        return frames if frames.shape[4] == N_COLOURS else frames.expand(-1, -1, -1, -1, N_COLOURS)

    def pictures(self, clips: Tensor) -> Tensor:
        """Standardise clips to pictures (batch * n_frames, 3, side, side), clip by clip.

        Parameters
        ----------
        clips : (batch, n_frames, height, width, 3), as `used_frames` gives them.
        """
        pictures = clips.flatten(0, 1).permute(0, 3, 1, 2).to(self.mean.dtype) / BRIGHTEST
        resized: Tensor = self.resized(pictures)
        return (resized - self.mean) / self.std

    def describe(self, pictures: Tensor) -> Tensor:
        """Embed standardised pictures (n, 3, side, side) as (n, embedding_dim)."""
        raise NotImplementedError

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the frames of each clip anew, and mirror, shift, scale, rotate and light it.

        Each frame is drawn from its part of the clip [1]_. Half of the clips are mirrored. Each is enlarged
        or reduced by up to 3 %, shifted by up to 2 % of its side and rotated by up to 3 degrees, since a
        detector does not place all faces alike, and its brightness and contrast change by up to 20 %; all of
        its frames alike.

        Parameters
        ----------
        x : shape (batch, *shape), bytes or floats from 0 to 255.
        generator : random generator on the device of ``x``.

        Returns
        -------
        float32, of the shape of ``x``. Frames that the encoder does not use are black.

        References
        ----------
        .. [1] Wang et al.: Temporal segment networks, ECCV 2016.
        """
        clips = _as_clips(x)
        n_used = len(self.sampled_frames)
        drawn = torch.rand(7 + n_used, len(x), generator=generator, device=x.device)
        mirrored, balanced = drawn[0] < 0.5, 2 * drawn[1:7] - 1
        brightness, contrast = 1 + JITTER * balanced[:2]
        scale, angle, shift = 1 + MOST_SCALED * balanced[2], MOST_TURNED * balanced[3], balanced[4:]
        rows = torch.arange(len(x), device=x.device)[:, None]
        used = clips[rows, _drawn(drawn[7:].T, clips.shape[1])].to(torch.float32)
        result = torch.zeros(clips.shape, device=x.device)
        varied = reframed(used, mirrored, angle, scale, MOST_SHIFTED * shift)
        result[:, self.sampled_frames] = relit(varied, brightness, contrast)
        return result.reshape(x.shape)

    def _embed(self, clips: Tensor) -> Tensor:
        """Sum of the embeddings of frames: (batch, n_frames, height, width, 3) to (batch, embedding_dim)."""
        return self.describe(self.pictures(clips)).reshape(*clips.shape[:2], -1).sum(dim=1)

    def _embed_checkpointed(self, clips: Tensor) -> Tensor:
        """`_embed` with activations recomputed for the gradient."""
        embedded: Tensor = checkpoint(self._embed, clips, use_reentrant=False, context_fn=self._contexts)
        return embedded

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _second_pass(self.body, ranks.current())

    def _body_learns(self) -> bool:
        return any(parameter.requires_grad for parameter in self.body.parameters())


@contextmanager
def _second_pass(module: nn.Module, part: ranks.Part | None) -> Iterator[None]:
    """Pass the same rows once more, in the ``part`` of the first pass: running statistics are frozen."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        with ranks.inside(part):
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _as_clips(x: Tensor) -> Tensor:
    """Clips of rows: single pictures (batch, height, width, channels) become clips of one frame."""
    return x[:, None] if x.ndim == PICTURES_NDIM else x


def _n_frames(shape: Sequence[int], name: str) -> int:
    is_picture = len(shape) == 3 and shape[2] in (1, N_COLOURS)
    is_clip = len(shape) == 4 and shape[0] >= 1 and shape[3] == N_COLOURS
    if not (is_picture or is_clip) or min(shape[-3:-1]) < MIN_SIDE:
        raise DataError(
            f"encoder {name!r} takes clips (n_frames, height, width, 3) or pictures (height, width, 1 or 3), "
            f"at least {MIN_SIDE} pixels wide and high, not rows of shape {tuple(shape)}; extract with "
            "--features faces or images"
        )
    return 1 if is_picture else shape[0]


def _drawn(shares: Tensor, n_frames: int) -> Tensor:
    """Indices of frames, (batch, n_used): one in each equal part of a clip, at a share of the part."""
    n_used = shares.shape[1]
    parts = torch.arange(n_used, device=shares.device) + shares
    return (parts * n_frames / n_used).long().clamp_(max=n_frames - 1)


def _spaced(n_frames: int, frames: int | None, size: str) -> list[int]:
    """Indices of the frames to use: the middles of equal parts of the clip."""
    if frames is None:
        frames = min(TINY_FRAMES, n_frames) if size == "tiny" else n_frames
    if not 1 <= frames <= n_frames:
        raise UsageError(f"frames must be between 1 and the {n_frames} of a clip, not {frames}")
    return [int((i + 0.5) * n_frames / frames) for i in range(frames)]
