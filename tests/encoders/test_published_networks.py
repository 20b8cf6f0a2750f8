"""Bodies loaded from state dicts compute what the networks of torchvision, timm and others compute.

Those libraries are no dependencies: these tests are skipped where they are not installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from eavctl.classifiers.network import Network, build_network
from eavctl.encoders.choice import settings_of_weights

NETWORKS = [
    ("efficientnet-b0", "torchvision", "efficientnet_b0"),
    ("efficientnet-b0", "timm", "efficientnet_b0"),
    ("efficientnet-b0", "timm", "tf_efficientnet_b0"),
    ("efficientnet-b0", "efficientnet_pytorch", "efficientnet-b0"),
    ("resnet50-ca", "torchvision", "resnet50"),
    ("resnet50-ca", "timm", "resnet50"),
    ("vit", "torchvision", "vit_b_16"),
    ("vit", "timm", "vit_base_patch16_224"),
    ("vit", "timm", "vit_base_patch16_384"),
]


def published(library: str, network: str) -> Any:
    """A network of a library, its weights and its running statistics random."""
    module: Any = pytest.importorskip(library)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if library == "torchvision":
            model = getattr(module.models, network)()
        elif library == "timm":
            model = module.create_model(network)
        else:
            model = module.EfficientNet.from_name(network)
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0
        with torch.no_grad():
            model(torch.randn(2, 3, 224, 224) if network[-3:] != "384" else torch.randn(2, 3, 384, 384))
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.mul_(torch.rand(value.shape) + 0.5)
            elif value.is_floating_point() and value.ndim == 1:
                value.add_(0.1 * torch.randn(value.shape))
    return model.eval()


def features(library: str, model: Any, pictures: Tensor) -> Tensor:
    """Its features before its head: maps, or the class token."""
    if library == "timm":
        found = model.forward_features(pictures)
        return found[:, 0] if found.ndim == 3 else found
    if library == "efficientnet_pytorch":
        return model.extract_features(pictures)
    if hasattr(model, "features"):
        return model.features(pictures)
    if hasattr(model, "heads"):
        model.heads = torch.nn.Identity()
        return model(pictures)
    stages = (
        model.conv1,
        model.bn1,
        model.relu,
        model.maxpool,
        *(getattr(model, f"layer{i}") for i in range(1, 5)),
    )
    return torch.nn.Sequential(*stages)(pictures)


@pytest.mark.parametrize(("encoder", "library", "network"), NETWORKS)
def test_the_body_computes_what_the_published_network_computes(
    encoder: str, library: str, network: str, tmp_path: Path
) -> None:
    model = published(library, network)
    file = tmp_path / f"{network}-01234567.pth"
    torch.save(model.state_dict(), file)
    settings = settings_of_weights(encoder, file, {})
    meta = {
        "encoder": encoder, "encoder_settings": settings, "shape": [2, 224, 224, 3], "classes": ["a", "b"],
        "dropout": 0.0,
    }  # fmt: skip
    ours: Any = build_network(meta).encoder
    ours.load_weights(file)
    rebuilt: Any = build_network(meta)  # as prediction builds it
    rebuilt.load_state_dict(Network(ours, 2, 0.0).state_dict(), strict=False)
    side = 384 if network.endswith("384") else 224
    pictures = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        if side != 224:
            assert rebuilt.encoder.body.embeddings.position_embeddings.shape == (1, 197, 768)
            resized = pytest.importorskip("timm.layers").resample_abs_pos_embed(
                model.pos_embed, [14, 14], num_prefix_tokens=1
            )
            torch.testing.assert_close(ours.body.embeddings.position_embeddings, resized)
            return
        expected = features(library, model.double(), pictures)
        for built in (ours, rebuilt.eval().encoder):
            found = built.double().eval().body(pixel_values=pictures).last_hidden_state
            found = found[:, 0] if encoder == "vit" else found
            scale = expected.abs().max()
            torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
        assert expected.std() > 1e-3 * scale
