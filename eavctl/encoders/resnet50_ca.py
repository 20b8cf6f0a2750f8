"""``resnet50-ca``: ResNet-50 with channel attention on each frame of a face clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.encoders.face_clips import FaceClipEncoder, NFrames
from eavctl.encoders.pretrained import Size, named_sizes, public, sized
from eavctl.encoders.public_names import RESNET50
from eavctl.registry import register

SIZES: dict[str, dict[str, Any]] = {
    "base": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]},
    "tiny": {"embedding_size": 16, "hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 1, 1]},
}
SIDES = {"base": 224, "tiny": 56}
REDUCTION = 8


@register(
    "encoders",
    "resnet50-ca",
    modality="video",
    features=("faces", "images"),
    sizes=named_sizes(SIZES),
    example_shape=(6, 32, 32, 3),
    example_settings={"size": "tiny"},
    example_dtype="uint8",
)
class ResNet50Ca(FaceClipEncoder):
    """The last feature map of a ResNet with channel attention, averaged over pixels and frames.

    Parameters
    ----------
    shape : see `FaceClipEncoder`.
    size : "base" is ResNet-50 at 224 pixels, for public weights; "tiny" is for training from scratch on CPUs.
    frames : number of frames to use, evenly spaced; None: all for size "base", 5 for "tiny".

    References
    ----------
    .. [1] He et al.: Deep residual learning for image recognition, CVPR 2016.
    .. [2] Woo et al.: CBAM: Convolutional block attention module, ECCV 2018 (its channel part).
    """

    name = "resnet50-ca"
    architecture = (
        "embedding_size",
        "hidden_sizes",
        "depths",
        "layer_type",
        "num_channels",
        "hidden_act",
        "downsample_in_first_stage",
        "downsample_in_bottleneck",
    )
    namings = RESNET50
    parts = (
        "embedder.embedder.convolution",
        "embedder.embedder.normalization",
        "encoder.stages.0.layers.0.shortcut.convolution",
        "encoder.stages.0.layers.0.layer.0.convolution",
        "encoder.stages.0.layers.0.layer.0.normalization",
    )

    def __init__(self, shape: Sequence[int], *, size: Size = "base", frames: NFrames | None = None) -> None:
        make_config, make_body = public("ResNetConfig", "ResNetModel")
        config = make_config(layer_type="bottleneck", **sized(SIZES, size))
        channels = config.hidden_sizes[-1]
        super().__init__(
            shape,
            frames=frames,
            side=SIDES[size],
            size=size,
            body=make_body(config).to(memory_format=torch.channels_last),
            embedding_dim=channels,
        )
        self.attention = ChannelAttention(channels)

    def describe(self, pictures: Tensor) -> Tensor:
        """Attended features (n, channels) of standardised pictures (n, 3, side, side)."""
        attended: Tensor = self.attention(self.body(pixel_values=pictures).last_hidden_state)
        return attended.mean(dim=(2, 3))


class ChannelAttention(nn.Module):
    """Weigh the channels of a map by what their means and their maxima say: (n, channels, height, width).

    ``map * sigmoid(mlp(mean(map)) + mlp(max(map)))``: the attended map, of the map's own shape, not the
    weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION), nn.ReLU(), nn.Linear(channels // REDUCTION, channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Scale each channel of (n, channels, height, width) by its weight between 0 and 1."""
        scores = self.mlp(maps.mean(dim=(2, 3))) + self.mlp(maps.amax(dim=(2, 3)))
        return maps * torch.sigmoid(scores)[:, :, None, None]
