"""How torchvision, timm and others name the tensors of the public networks: one table a network.

A table gives the names of a file's modules by those of the body of `transformers`. Names were read off the
networks of torchvision 0.28, timm 1.0 and efficientnet_pytorch 0.7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

Colours = tuple[float, float, float]
Names = Mapping[str, str]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
HEADS = ("fc.", "classifier.", "head.", "heads.", "last_linear.", "_fc.")  # parts that the encoders lack


@dataclass(frozen=True)
class Naming:
    """The names that a library gives to the tensors of a network.

    Parameters
    ----------
    library : that has them.
    networks : names of its networks with these names, each with the settings of the encoder with which the
        body computes what that network computes.
    mark : name of a tensor that no other naming of the encoder has.
    names : of a config of `transformers`, the file's names by those of the body. The name of a module holds
        for all of its tensors; one that ends in ``_`` precedes ``weight`` or ``bias`` without a dot. Parts of
        the body with the same name in the file are its equal parts along the first axis, in this order.
    mean, std : of each colour from 0 to 1, with which the network is usually trained.
    """

    library: str
    networks: Mapping[str, Mapping[str, Any]]
    mark: str
    names: Callable[[Any], Names]
    mean: Colours = IMAGENET_MEAN
    std: Colours = IMAGENET_STD

    @property
    def words(self) -> str:
        """Library and networks, for a sentence."""
        return f"{' or '.join(self.networks)} of {self.library}"


# EfficientNet-B0

_EXPANSION = ("expansion.expand_conv", "expansion.expand_bn")
_DEPTHWISE = ("depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm")
_SQUEEZE = ("squeeze_excite.reduce", "squeeze_excite.expand")
_PROJECTION = ("projection.project_conv", "projection.project_bn")
_ALONE, _EXPANDED = (
    (*_DEPTHWISE, *_SQUEEZE, *_PROJECTION),
    (*_EXPANSION, *_DEPTHWISE, *_SQUEEZE, *_PROJECTION),
)
_ENDS = ("embeddings.convolution", "embeddings.batchnorm", "encoder.top_conv", "encoder.top_bn")

# Of blocks without and with an expansion, the names of `_ALONE` and `_EXPANDED`.
_Blocks = tuple[tuple[str, ...], tuple[str, ...]]
_TIMM_BLOCKS: _Blocks = (
    ("conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"),
    ("conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3"),
)
_TORCHVISION_BLOCKS: _Blocks = (
    ("block.0.0", "block.0.1", "block.1.fc1", "block.1.fc2", "block.2.0", "block.2.1"),
    (
        "block.0.0",
        "block.0.1",
        "block.1.0",
        "block.1.1",
        "block.2.fc1",
        "block.2.fc2",
        "block.3.0",
        "block.3.1",
    ),
)
_FLAT_BLOCKS: _Blocks = (
    ("_depthwise_conv", "_bn1", "_se_reduce", "_se_expand", "_project_conv", "_bn2"),
    ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_se_reduce", "_se_expand", "_project_conv", "_bn2"),
)


def _efficientnet(config: Any, ends: tuple[str, ...], blocks: _Blocks, block: str) -> Names:
    """Names of an EfficientNet; ``block`` is a format of the numbers ``stage``, ``place`` and ``number``."""
    names = dict(zip(_ENDS, ends, strict=True))
    for number, (stage, place) in enumerate(_places(config)):
        is_expanded = config.expand_ratios[stage] != 1
        ours, theirs = (_ALONE, _EXPANDED)[is_expanded], blocks[is_expanded]
        prefix = block.format(stage=stage, next=stage + 1, place=place, number=number)
        names |= {f"encoder.blocks.{number}.{a}": f"{prefix}.{b}" for a, b in zip(ours, theirs, strict=True)}
    return names


def _places(config: Any) -> Iterator[tuple[int, int]]:
    """Stage and place in it of each block."""
    for stage, repeats in enumerate(config.num_block_repeats):
        for place in range(math.ceil(config.depth_coefficient * repeats)):
            yield stage, place


def _efficientnet_of_timm(config: Any) -> Names:
    ends = ("conv_stem", "bn1", "conv_head", "bn2")
    return _efficientnet(config, ends, _TIMM_BLOCKS, "blocks.{stage}.{place}")


def _efficientnet_of_torchvision(config: Any) -> Names:
    last = len(config.num_block_repeats) + 1
    ends = ("features.0.0", "features.0.1", f"features.{last}.0", f"features.{last}.1")
    return _efficientnet(config, ends, _TORCHVISION_BLOCKS, "features.{next}.{place}")


def _efficientnet_flat(config: Any) -> Names:
    ends = ("_conv_stem", "_bn0", "_conv_head", "_bn1")
    return _efficientnet(config, ends, _FLAT_BLOCKS, "_blocks.{number}")


EFFICIENTNET_B0 = (
    Naming(
        "torchvision",
        {"efficientnet_b0": {"origin": "torch"}},
        "features.1.0.block.1.fc1.weight",
        _efficientnet_of_torchvision,
    ),
    Naming(
        "timm",
        {"tf_efficientnet_b0": {"origin": "tensorflow"}, "efficientnet_b0": {"origin": "torch"}},
        "blocks.0.0.se.conv_reduce.weight",
        _efficientnet_of_timm,
    ),
    Naming(
        "efficientnet_pytorch",
        {"efficientnet-b0": {"origin": "tensorflow"}},
        "_blocks.0._se_reduce.weight",
        _efficientnet_flat,
    ),
)


# ResNet-50


def _resnet(config: Any) -> Names:
    names = {"embedder.embedder.convolution": "conv1", "embedder.embedder.normalization": "bn1"}
    for stage, depth in enumerate(config.depths):
        ours, theirs = f"encoder.stages.{stage}.layers", f"layer{stage + 1}"
        names[f"{ours}.0.shortcut.convolution"] = f"{theirs}.0.downsample.0"
        names[f"{ours}.0.shortcut.normalization"] = f"{theirs}.0.downsample.1"
        for place, part in product(range(depth), range(3)):
            names[f"{ours}.{place}.layer.{part}.convolution"] = f"{theirs}.{place}.conv{part + 1}"
            names[f"{ours}.{place}.layer.{part}.normalization"] = f"{theirs}.{place}.bn{part + 1}"
    return names


RESNET50 = (Naming("torchvision and timm", {"resnet50": {}}, "layer1.0.conv1.weight", _resnet),)


# ViT-B/16

_QKV = ("attention.q_proj", "attention.k_proj", "attention.v_proj")
_TIMM_LAYER = {
    "layernorm_before": "norm1",
    **dict.fromkeys(_QKV, "attn.qkv"),
    "attention.o_proj": "attn.proj",
    "layernorm_after": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_TORCHVISION_LAYER = {
    "layernorm_before": "ln_1",
    **dict.fromkeys(_QKV, "self_attention.in_proj_"),
    "attention.o_proj": "self_attention.out_proj",
    "layernorm_after": "ln_2",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.3",
}
_TORCHVISION_FILE = {"mlp.fc1": "mlp.linear_1", "mlp.fc2": "mlp.linear_2"}  # until torchvision 0.12


def _vit(config: Any, ends: Names, layer: Names, block: str) -> Names:
    numbers = range(config.num_hidden_layers)
    layers = {f"layers.{n}.{ours}": f"{block}{n}.{layer[ours]}" for n in numbers for ours in layer}
    return {**ends, **layers}


def _vit_of_timm(config: Any) -> Names:
    ends = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "layernorm": "norm",
    }
    return _vit(config, ends, _TIMM_LAYER, "blocks.")


def _vit_of_torchvision(config: Any, changed: Names | None = None) -> Names:
    ends = {
        "embeddings.cls_token": "class_token",
        "embeddings.position_embeddings": "encoder.pos_embedding",
        "embeddings.patch_embeddings.projection": "conv_proj",
        "layernorm": "encoder.ln",
    }
    return _vit(config, ends, {**_TORCHVISION_LAYER, **(changed or {})}, "encoder.layers.encoder_layer_")


def _vit_of_old_torchvision(config: Any) -> Names:
    return _vit_of_torchvision(config, _TORCHVISION_FILE)


_EPS = {"norm_eps": 1e-6}

VIT_B16 = (
    Naming(
        "timm", {"vit_base_patch16_224": _EPS}, "blocks.0.attn.qkv.weight", _vit_of_timm, mean=HALF, std=HALF
    ),
    Naming(
        "torchvision",
        {"vit_b_16": _EPS},
        "encoder.layers.encoder_layer_0.mlp.0.weight",
        _vit_of_torchvision,
    ),
    Naming(
        "torchvision",
        {"vit_b_16": _EPS},
        "encoder.layers.encoder_layer_0.mlp.linear_1.weight",
        _vit_of_old_torchvision,
    ),
)
