"""State dicts with names of torchvision, timm and efficientnet_pytorch: what they compute, and which fit.

The forward passes here are written apart from `transformers`, by the files' names and the papers' layers.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl import registry
from eavctl.classifiers.dnn import DnnModel, TrainSettings, fit
from eavctl.encoders.choice import settings_of_weights
from eavctl.encoders.public_names import HALF, IMAGENET_MEAN, IMAGENET_STD
from eavctl.encoders.state_dicts import hash_weights
from eavctl.errors import DataError, UsageError
from eavctl.training.dnn_fitter import DnnFitter

State = dict[str, Tensor]
SHAPE = (2, 64, 64, 3)


class Drawn(dict[str, Tensor]):
    """A state dict whose tensors are drawn as they are named."""

    def __init__(self) -> None:
        super().__init__()
        self.random = torch.Generator().manual_seed(5)

    def normal(self, name: str, *shape: int, std: float = 0.1) -> None:
        self[name] = std * torch.randn(*shape, generator=self.random)

    def conv(self, name: str, out: int, per_group: int, kernel: int, *, bias: bool = False) -> None:
        self.normal(f"{name}.weight", out, per_group, kernel, kernel, std=(2 / per_group) ** 0.5 / kernel)
        if bias:
            self.normal(f"{name}.bias", out)

    def norm(self, name: str, n: int, *, batch: bool = True) -> None:
        self[f"{name}.weight"] = 0.5 + torch.rand(n, generator=self.random)
        self.normal(f"{name}.bias", n)
        if batch:
            self.normal(f"{name}.running_mean", n)
            self[f"{name}.running_var"] = 0.01 + torch.rand(n, generator=self.random)
            self[f"{name}.num_batches_tracked"] = torch.tensor(3)


def normed(s: State, name: str, x: Tensor, eps: float) -> Tensor:
    mean, var, weight, bias = (
        s[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


# EfficientNet: kernel, stride, expansion and channels of each stage (table 1 of the paper), names of parts

STAGES = [
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (5, 2, 6, 40),
    (3, 2, 6, 80),
    (5, 1, 6, 112),
    (5, 2, 6, 192),
    (3, 1, 6, 320),
]
ENDS = {
    "timm": ("conv_stem", "bn1", "conv_head", "bn2", "classifier"),
    "torchvision": ("features.0.0", "features.0.1", "features.8.0", "features.8.1", "classifier.1"),
    "efficientnet_pytorch": ("_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc"),
}


def block_names(library: str, stage: int) -> tuple[str, ...]:
    """Expansion and norm, depthwise and norm, reduction and expansion of the squeeze, projection and norm."""
    if library == "timm":
        b, se = f"blocks.{stage}.0.", ("se.conv_reduce", "se.conv_expand")
        parts: tuple[str, ...] = ("conv_pw", "bn1", "conv_dw", "bn2", *se, "conv_pwl", "bn3")
        if stage == 0:
            parts = ("", "", "conv_dw", "bn1", *se, "conv_pw", "bn2")
    elif library == "torchvision":
        b, first = f"features.{stage + 1}.0.block.", 0 if stage == 0 else 1
        deep, se, project = (f"{first + part}" for part in range(3))
        parts = (
            "0.0",
            "0.1",
            f"{deep}.0",
            f"{deep}.1",
            f"{se}.fc1",
            f"{se}.fc2",
            f"{project}.0",
            f"{project}.1",
        )
    else:
        b = f"_blocks.{stage}._"
        parts = (
            "expand_conv", "bn0", "depthwise_conv", "bn1", "se_reduce", "se_expand", "project_conv", "bn2"
        )  # fmt: skip
    return tuple(b + part for part in parts)


def channels(wide: int) -> int:
    """A quarter of the channels, in multiples of 8, no less than 90 % of it."""
    found = max(8, int(wide / 4 + 4) // 8 * 8)
    return found + 8 if found < 0.9 * wide / 4 else found


def efficientnet_state(library: str) -> Drawn:
    s, ends, n_in = Drawn(), ENDS[library], channels(32)
    s.conv(ends[0], n_in, 3, 3)
    s.norm(ends[1], n_in)
    for stage, (kernel, _, expansion, wide) in enumerate(STAGES):
        expand, norm0, deep, norm1, reduce, widen, project, norm2 = block_names(library, stage)
        inner, n_out, squeezed = expansion * n_in, channels(wide), max(1, n_in // 4)
        if expansion != 1:
            s.conv(expand, inner, n_in, 1)
            s.norm(norm0, inner)
        s.conv(deep, inner, 1, kernel)
        s.norm(norm1, inner)
        s.conv(reduce, squeezed, inner, 1, bias=True)
        s.conv(widen, inner, squeezed, 1, bias=True)
        s.conv(project, n_out, inner, 1)
        s.norm(norm2, n_out)
        n_in = n_out
    s.conv(ends[2], 320, n_in, 1)
    s.norm(ends[3], 320)
    s.normal(f"{ends[4]}.weight", 8, 320)
    s.normal(f"{ends[4]}.bias", 8)
    return s


def padded(x: Tensor, kernel: int, stride: int, *, symmetric: bool) -> Tensor:
    """Padding of half a kernel, or TensorFlow's "same", which has the odd pixel below and on the right."""
    if symmetric:
        return F.pad(x, (kernel // 2,) * 4)
    total = max((math.ceil(x.shape[2] / stride) - 1) * stride + kernel - x.shape[2], 0)
    before = total // 2
    return F.pad(x, (before, total - before, before, total - before))


def efficientnet(library: str, s: State, x: Tensor, *, symmetric: bool) -> Tensor:
    eps, ends = 1e-5 if symmetric else 1e-3, ENDS[library]
    x = F.conv2d(padded(x, 3, 2, symmetric=symmetric), s[f"{ends[0]}.weight"], stride=2)
    x = F.silu(normed(s, ends[1], x, eps))
    for stage, (kernel, stride, expansion, _) in enumerate(STAGES):
        expand, norm0, deep, norm1, reduce, widen, project, norm2 = block_names(library, stage)
        if expansion != 1:
            x = F.silu(normed(s, norm0, F.conv2d(x, s[f"{expand}.weight"]), eps))
        x = padded(x, kernel, stride, symmetric=symmetric)
        x = F.silu(normed(s, norm1, F.conv2d(x, s[f"{deep}.weight"], stride=stride, groups=x.shape[1]), eps))
        weights = F.silu(F.conv2d(x.mean((2, 3), keepdim=True), s[f"{reduce}.weight"], s[f"{reduce}.bias"]))
        x = x * torch.sigmoid(F.conv2d(weights, s[f"{widen}.weight"], s[f"{widen}.bias"]))
        x = normed(s, norm2, F.conv2d(x, s[f"{project}.weight"]), eps)
    return F.silu(normed(s, ends[3], F.conv2d(x, s[f"{ends[2]}.weight"]), eps))


# ResNet with the stride in the 3x3 convolution


def resnet_state() -> Drawn:
    s, n_in = Drawn(), 16
    s.conv("conv1", 16, 3, 7)
    s.norm("bn1", 16)
    for stage, n_out in enumerate((32, 64, 96, 128), start=1):
        block, inner = f"layer{stage}.0", n_out // 4
        for part, (a, b, kernel) in enumerate(
            [(inner, n_in, 1), (inner, inner, 3), (n_out, inner, 1)], start=1
        ):
            s.conv(f"{block}.conv{part}", a, b, kernel)
            s.norm(f"{block}.bn{part}", a)
        s.conv(f"{block}.downsample.0", n_out, n_in, 1)
        s.norm(f"{block}.downsample.1", n_out)
        n_in = n_out
    s.normal("fc.weight", 8, 128)
    s.normal("fc.bias", 8)
    return s


def resnet(s: State, x: Tensor) -> Tensor:
    x = F.relu(normed(s, "bn1", F.conv2d(x, s["conv1.weight"], stride=2, padding=3), 1e-5))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        b, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        y = F.relu(normed(s, f"{b}.bn1", F.conv2d(x, s[f"{b}.conv1.weight"]), 1e-5))
        y = F.conv2d(y, s[f"{b}.conv2.weight"], stride=stride, padding=1)
        y = F.relu(normed(s, f"{b}.bn2", y, 1e-5))
        y = normed(s, f"{b}.bn3", F.conv2d(y, s[f"{b}.conv3.weight"]), 1e-5)
        short = F.conv2d(x, s[f"{b}.downsample.0.weight"], stride=stride)
        x = F.relu(y + normed(s, f"{b}.downsample.1", short, 1e-5))
    return x


# ViT of 3 layers, 4 heads, 64 values, patches of 8 x 8

VIT: dict[str, dict[str, str]] = {
    "timm": {
        "class": "cls_token", "places": "pos_embed", "patches": "patch_embed.proj", "last": "norm",
        "block": "blocks.{}.", "norm1": "norm1", "in": "attn.qkv.", "out": "attn.proj", "norm2": "norm2",
        "fc1": "mlp.fc1", "fc2": "mlp.fc2", "head": "head",
    },
    "torchvision": {
        "class": "class_token", "places": "encoder.pos_embedding", "patches": "conv_proj",
        "last": "encoder.ln",
        "block": "encoder.layers.encoder_layer_{}.", "norm1": "ln_1", "in": "self_attention.in_proj_",
        "out": "self_attention.out_proj", "norm2": "ln_2", "fc1": "mlp.0", "fc2": "mlp.3",
        "head": "heads.head",
    },
}  # fmt: skip
VIT["torchvision 0.11"] = {**VIT["torchvision"], "fc1": "mlp.linear_1", "fc2": "mlp.linear_2"}


def vit_state(library: str, side: int = 7) -> Drawn:
    s, n = Drawn(), VIT[library]
    s.normal(n["class"], 1, 1, 64)
    s.normal(n["places"], 1, side**2 + 1, 64)
    s.conv(n["patches"], 64, 3, 8, bias=True)
    for key in s:  # so small that the epsilon of the first norm counts
        s[key] *= 0.005
    for number in range(3):
        b = n["block"].format(number)
        s.norm(b + n["norm1"], 64, batch=False)
        s.norm(b + n["norm2"], 64, batch=False)
        s.normal(f"{b}{n['in']}weight", 192, 64)
        s.normal(f"{b}{n['in']}bias", 192)
        for part, shape in (("out", (64, 64)), ("fc1", (128, 64)), ("fc2", (64, 128))):
            s.normal(f"{b}{n[part]}.weight", *shape)
            s.normal(f"{b}{n[part]}.bias", shape[0])
    s.norm(n["last"], 64, batch=False)
    s.normal(f"{n['head']}.weight", 8, 64)
    s.normal(f"{n['head']}.bias", 8)
    return s


def vit(library: str, s: State, x: Tensor) -> Tensor:
    n = VIT[library]

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (64,), s[f"{name}.weight"], s[f"{name}.bias"], eps=1e-6)

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, s[f"{name}.weight"], s[f"{name}.bias"])

    x = F.conv2d(x, s[f"{n['patches']}.weight"], s[f"{n['patches']}.bias"], stride=8).flatten(2).mT
    x = torch.cat([s[n["class"]].expand(len(x), -1, -1), x], dim=1) + s[n["places"]]
    for number in range(3):
        b = n["block"].format(number)
        y = layer_norm(b + n["norm1"], x)
        y = F.linear(y, s[f"{b}{n['in']}weight"], s[f"{b}{n['in']}bias"])
        q, k, v = y.reshape(*y.shape[:2], 3, 4, 16).permute(2, 0, 3, 1, 4)
        attended = (q @ k.mT / 4).softmax(-1) @ v
        x = x + linear(b + n["out"], attended.transpose(1, 2).flatten(2))
        x = x + linear(b + n["fc2"], F.gelu(linear(b + n["fc1"], layer_norm(b + n["norm2"], x))))
    return layer_norm(n["last"], x)


# What they compute

Published = tuple[str, str, Callable[[], Drawn], Callable[[State, Tensor], Tensor], tuple[Any, Any]]
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)
PUBLISHED: list[Published] = [
    *(
        (
            "efficientnet-b0",
            file,
            lambda library=library: efficientnet_state(library),
            lambda s, x, library=library, symmetric=symmetric: efficientnet(
                library, s, x, symmetric=symmetric
            ),
            IMAGENET,
        )
        for file, library, symmetric in [
            ("efficientnet_b0_rwightman-7f5810bc", "torchvision", True),
            ("efficientnet_b0_ra-3dd342df", "timm", True),
            ("tf_efficientnet_b0_ns-c0e6a31c", "timm", False),
            ("enet", "efficientnet_pytorch", False),
        ]
    ),
    ("resnet50-ca", "resnet50", resnet_state, resnet, IMAGENET),
    *(
        (
            "vit",
            "vit_b_16",
            lambda library=library: vit_state(library),
            lambda s, x, library=library: vit(library, s, x),
            (HALF, HALF) if library == "timm" else IMAGENET,
        )
        for library in VIT
    ),
]  # type: ignore[misc]


def saved(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


def build(name: str, settings: dict[str, Any] | None = None) -> Any:
    return registry.get("encoders", name).build(SHAPE, **{"size": "tiny", **(settings or {})}).eval()


def loaded(name: str, file: Path, **given: Any) -> Any:
    encoder = build(name, settings_of_weights(name, file, given))
    encoder.load_weights(file)
    return encoder


def outputs(encoder: Any, x: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = encoder.body(pixel_values=x).last_hidden_state
        return found


def assert_same(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-5 of the largest value: rounding, through all layers, is a third of that."""
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
    assert expected.std() > 0.01 * scale


@pytest.mark.parametrize(("name", "file", "state", "forward", "colours"), PUBLISHED)
def test_the_body_computes_the_published_network(
    name: str, file: str, state: Any, forward: Any, colours: Any, tmp_path: Path
) -> None:
    drawn = state()
    encoder = loaded(name, saved(dict(drawn), tmp_path / f"{file}.pth"))
    side = 56 if name == "vit" else 64
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = forward(drawn, x)
    assert_same(outputs(encoder, x), expected)
    for buffer, value in zip((encoder.mean, encoder.std), colours, strict=True):
        torch.testing.assert_close(buffer.flatten(), torch.tensor(value))


def test_origins_differ(tmp_path: Path) -> None:
    """The padding and the epsilon change what EfficientNet computes, so that they are no detail."""
    file = saved(dict(efficientnet_state("timm")), tmp_path / "state.pth")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    one, other = (
        outputs(loaded("efficientnet-b0", file, origin=each), x) for each in ("torch", "tensorflow")
    )
    assert (one - other).abs().max() > 0.05 * one.abs().max()


@pytest.mark.parametrize(
    ("name", "n_tensors", "known"),
    [  # counts of the published files, without heads and counters
        (
            "efficientnet-b0",
            [309] * 3,
            ["features.7.0.block.3.1.bias", "blocks.6.0.bn3.bias", "_blocks.15._bn2.bias"],
        ),
        ("resnet50-ca", [265], ["layer4.2.bn3.running_var"]),
        (
            "vit",
            [150] * 3,
            ["blocks.11.attn.qkv.bias", "encoder.layers.encoder_layer_11.mlp.3.bias", "encoder.ln.bias"],
        ),
    ],
)
def test_every_tensor_of_the_base_size_has_a_name(name: str, n_tensors: list[int], known: list[str]) -> None:
    from eavctl.encoders.state_dicts import COUNTERS, _named

    with torch.device("meta"):
        encoder = registry.get("encoders", name).thing(SHAPE)
    keys = [key for key in encoder.body.state_dict() if not key.endswith(COUNTERS)]
    for naming, count, one in zip(encoder.namings, n_tensors, known, strict=True):
        names = {_named(key, naming.names(encoder.body.config)) for key in keys}
        assert len(names) == count
        assert {one, naming.mark} <= names


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


WRAPPED: dict[str, Callable[[State], Any]] = {
    "a checkpoint": lambda s: {"state_dict": s, "epoch": 3},
    "of parallel training": lambda s: {"model": under("module.", s), "optimizer": {0: {"m": torch.ones(2)}}},
    "in a larger network": lambda s: {**under("backbone.", s), "arcface.weight": torch.ones(2, 2)},
    "of half precision": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    "without a head": lambda s: {
        k: v for k, v in s.items() if not k.startswith("fc.") and "batches" not in k
    },
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_files_are_the_same_network(wrap: Any, tmp_path: Path) -> None:
    state = resnet_state()
    plain = loaded("resnet50-ca", saved(dict(state), tmp_path / "plain.pth"))
    wrapped = loaded("resnet50-ca", saved(wrap(dict(state)), tmp_path / "wrapped.pt"))
    for key, value in plain.body.state_dict().items():
        if "num_batches" not in key:
            torch.testing.assert_close(wrapped.body.state_dict()[key], value, rtol=1e-3, atol=1e-3)


def test_safetensors_and_a_folder_of_timm(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = dict(efficientnet_state("timm"))
    save_file(state, tmp_path / "model.safetensors")
    about = {
        "architecture": "tf_efficientnet_b0",
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]},
    }
    (tmp_path / "config.json").write_text(json.dumps(about))
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        encoder = loaded("efficientnet-b0", weights)
        assert encoder.origin == "tensorflow"
        torch.testing.assert_close(encoder.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    before = hash_weights(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**about, "architecture": "efficientnet_b0"}))
    assert loaded("efficientnet-b0", tmp_path).origin == "torch"
    assert hash_weights(tmp_path / "model.safetensors") != before
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.4] * 3}))
    encoder = loaded("efficientnet-b0", tmp_path)
    assert [round(float(each.flatten()[0]), 3) for each in (encoder.mean, encoder.std)] == [0.4, 1.0]
    (tmp_path / "config.json").write_text(json.dumps({**about, "pretrained_cfg": {"mean": "grey"}}))
    with pytest.raises(DataError, match=r"config\.json"):
        loaded("efficientnet-b0", tmp_path)


def test_positions_of_larger_pictures_are_interpolated(tmp_path: Path) -> None:
    """A linear function of the place stays one: the patches of 7 x 7 lie evenly among those of 14 x 14."""
    state = vit_state("timm", side=14)
    middles = (torch.arange(14) + 0.5) / 14
    across = middles.expand(14, 14).reshape(1, -1, 1).expand(-1, -1, 64)
    own = state["pos_embed"][:, :1]
    places = torch.cat([own, across], dim=1)
    encoder = loaded("vit", saved({**state, "pos_embed": places}, tmp_path / "vit_base_patch16_384.pth"))
    found = encoder.body.embeddings.position_embeddings
    assert torch.equal(found[:, :1], own)
    grid = found[0, 1:, 0].reshape(7, 7)
    torch.testing.assert_close(grid[:, 2:-2], ((torch.arange(7) + 0.5) / 7).expand(7, 7)[:, 2:-2])


# Files that do not fit


def refused(name: str, file: Path, **given: Any) -> str:
    with pytest.raises(DataError) as caught:
        loaded(name, file, **given)
    message = str(caught.value)
    assert str(file) in message
    assert "\n" not in message
    return message


def test_names_that_two_networks_share_must_be_told_apart(tmp_path: Path) -> None:
    file = saved(dict(efficientnet_state("timm")), tmp_path / "enet_b0_8_best_vgaf.pt")
    message = refused("efficientnet-b0", file)
    assert "--set origin=tensorflow" in message
    assert "--set origin=torch" in message
    assert loaded("efficientnet-b0", file, origin="tensorflow").origin == "tensorflow"


def test_settings_that_belie_the_names_are_refused(tmp_path: Path) -> None:
    file = saved(dict(efficientnet_state("torchvision")), tmp_path / "state.pth")
    assert "origin=torch" in refused("efficientnet-b0", file, origin="tensorflow")
    with pytest.raises(DataError, match="norm_eps"):
        build("vit").load_weights(saved(dict(vit_state("timm")), tmp_path / "vit.pth"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bn1.bias": None, "layer1.0.bn2.bias": None}, ["bn1.bias is missing", "1 more"]),
        ({"layer2.0.conv1.weight": torch.ones(3)}, ["layer2.0.conv1.weight has the shape (3,)"]),
        ({"layer3.1.conv1.weight": torch.ones(3)}, ["layer3.1.conv1.weight is not part"]),
        ({"bn1.weight": torch.full((16,), math.nan)}, ["bn1.weight", "finite"]),
    ],
)
def test_tensors_that_do_not_fit_are_named(changes: Any, expected: list[str], tmp_path: Path) -> None:
    state = {key: value for key, value in {**resnet_state(), **changes}.items() if value is not None}
    encoder = build("resnet50-ca")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    file = saved(state, tmp_path / "resnet.pth")
    with pytest.raises(DataError) as caught:
        encoder.load_weights(file)
    assert all(part in str(caught.value) for part in [*expected, str(file)])
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_files_of_other_networks_and_of_several_are_refused(tmp_path: Path) -> None:
    state = dict(resnet_state())
    assert "resnet50" not in refused("vit", saved(state, tmp_path / "resnet.pth"))
    assert "holds several" in refused(
        "resnet50-ca", saved({"teacher": state, "student": state}, tmp_path / "two.pth")
    )
    assert refused("resnet50-ca", saved({}, tmp_path / "empty.pth"))
    (tmp_path / "text.pth").write_text("this is not")
    (tmp_path / "text.safetensors").write_text("this is not")
    for name in ("text.pth", "text.safetensors", "absent.pth"):
        refused("resnet50-ca", tmp_path / name)
    assert "save_pretrained" in refused_by_ast(saved(state, tmp_path / "ast.pth"))


def refused_by_ast(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        settings_of_weights("ast", file, {})
    return str(caught.value)


def test_an_encoder_without_a_body_takes_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="convnet"):
        settings_of_weights("convnet", saved(dict(resnet_state()), tmp_path / "resnet.pth"), {})


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["EVIL_FOLDER"],)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickled_network_is_refused_and_runs_no_code(
    old_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIL_FOLDER", str(tmp_path / "made"))
    for content in (torch.nn.Linear(2, 2), {"state_dict": dict(resnet_state()), "args": Evil()}):
        file = tmp_path / "whole.pt"
        torch.save(content, file, _use_new_zipfile_serialization=not old_format)
        assert ".state_dict()" in refused("resnet50-ca", file)
    assert not (tmp_path / "made").exists()


# Training


def clips(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(n, *SHAPE), dtype=np.uint8), np.where(np.arange(n) % 2, "up", "down")


def test_a_trained_model_computes_with_the_settings_of_its_weights(tmp_path: Path) -> None:
    state = efficientnet_state("torchvision")
    file = saved(dict(state), tmp_path / "state.pth")
    x, labels = clips(8)
    settings = TrainSettings(epochs=1, freeze_epochs=1, ema=0.0, device="cpu", validation=0)
    given = {"size": "tiny"}
    model = fit(x, labels, encoder="efficientnet-b0", encoder_settings=given, settings=settings, weights=file)
    assert model.to_meta()["encoder_settings"]["origin"] == "torch"
    again = DnnModel.from_parts(model.state_dict(), json.loads(json.dumps(model.to_meta())))
    encoder: Any = again.members[0][0].encoder
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = efficientnet("torchvision", state, pictures, symmetric=True)
    assert_same(outputs(encoder, pictures), expected)
    fitter = DnnFitter("efficientnet-b0", given, settings, file)
    assert fitter.encoder_settings["origin"] == "torch"
    assert fitter.with_checkpoints(tmp_path / "part").encoder_settings == fitter.encoder_settings
    assert fitter.describe() != DnnFitter("efficientnet-b0", fitter.encoder_settings, settings).describe()
