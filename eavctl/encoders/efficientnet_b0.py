"""``efficientnet-b0``: EfficientNet-B0 without its classifier on each frame of a face clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from eavctl.encoders.face_clips import FaceClipEncoder, NFrames
from eavctl.encoders.pretrained import Size, named_sizes, public, sized
from eavctl.encoders.public_names import EFFICIENTNET_B0
from eavctl.registry import register

# transformers' batch_norm_momentum of 0.99 is TensorFlow's, the share kept; torch's is the share replaced.
SIZES: dict[str, dict[str, Any]] = {
    "base": {
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "hidden_dim": 1280,
        "image_size": 224,
        "batch_norm_momentum": 0.1,
    },
    "tiny": {
        "width_coefficient": 0.25,
        "depth_coefficient": 0.25,
        "hidden_dim": 320,
        "image_size": 56,
        "batch_norm_momentum": 0.2,  # training has few steps: the statistics must follow the weights
    },
}
N_BLOCKS = {"base": 16, "tiny": 7}
Origin = Literal["tensorflow", "torch"]
EPS = {"tensorflow": 1e-3, "torch": 1e-5}  # of the batch norms


@register(
    "encoders",
    "efficientnet-b0",
    modality="video",
    features=("faces", "images"),
    sizes=named_sizes(SIZES),
    example_shape=(6, 32, 32, 3),
    example_settings={"size": "tiny"},
    example_dtype="uint8",
)
class EfficientNetB0(FaceClipEncoder):
    """The last feature map of an EfficientNet, averaged over pixels and frames: 1280 values for "base".

    Parameters
    ----------
    shape : see `FaceClipEncoder`.
    size : "base" is EfficientNet-B0 at 224 pixels, for public weights; "tiny" has a quarter of its width and
        depth, for training from scratch on a CPU.
    frames : number of frames to use, evenly spaced; None: all for size "base", 5 for "tiny".
    origin : library that the public weights are from, by its padding of convolutions with stride 2 and the
        epsilon of its batch norms: "tensorflow", as published, pads below and to the right, with 1e-3;
        "torch" pads all sides, with 1e-5. Weights of a state dict choose it.

    References
    ----------
    .. [1] Tan, Le: EfficientNet: Rethinking model scaling for convolutional neural networks, ICML 2019.
    """

    name = "efficientnet-b0"
    architecture = (
        "width_coefficient",
        "depth_coefficient",
        "hidden_dim",
        "depth_divisor",
        "num_channels",
        "in_channels",
        "out_channels",
        "kernel_sizes",
        "strides",
        "depthwise_padding",
        "num_block_repeats",
        "expand_ratios",
        "squeeze_expansion_ratio",
        "hidden_act",
        "batch_norm_eps",
    )
    namings = EFFICIENTNET_B0
    parts = (
        "embeddings.padding",
        "embeddings.convolution",
        "embeddings.batchnorm",
        "encoder.blocks.0.depthwise_conv.depthwise_conv",
        "encoder.blocks.0.squeeze_excite.reduce",
        "encoder.blocks.0.projection.project_conv",
        "encoder.blocks.1.expansion.expand_conv",
        "encoder.top_bn",
    )

    def __init__(
        self,
        shape: Sequence[int],
        *,
        size: Size = "base",
        frames: NFrames | None = None,
        origin: Origin = "tensorflow",
    ) -> None:
        make_config, make_body = public("EfficientNetConfig", "EfficientNetModel")
        config = make_config(batch_norm_eps=EPS[origin], **sized(SIZES, size))
        if origin == "torch":
            config.depthwise_padding = list(range(N_BLOCKS[size]))  # blocks that pad all sides
        body = make_body(config).to(memory_format=torch.channels_last)
        if origin == "torch":
            body.embeddings.padding = nn.ZeroPad2d(1)
        body.apply(_draw)
        super().__init__(
            shape,
            frames=frames,
            side=config.image_size,
            size=size,
            body=body,
            embedding_dim=config.hidden_dim,
        )
        self.origin = origin

    def describe(self, pictures: Tensor) -> Tensor:
        """Features (n, hidden_dim) of standardised pictures (n, 3, side, side)."""
        maps: Tensor = self.body(pixel_values=pictures).last_hidden_state
        return maps.mean(dim=(2, 3))


def _draw(part: nn.Module) -> None:
    """Initialise as He et al.; transformers draws even scales of norms around 0, which blocks training."""
    if isinstance(part, nn.Conv2d):
        nn.init.kaiming_normal_(part.weight)
    elif isinstance(part, nn.BatchNorm2d):
        nn.init.ones_(part.weight)
