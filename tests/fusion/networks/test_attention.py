"""Both kinds of attention, against their formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_networks import CRITERION, EEG, batch, network, rows_of
from torch import Tensor, nn

from eavctl import registry
from eavctl.fusion.networks.attention import shares

NAMES = ("mlp", EEG)
MIXED = [[True, True], [True, False], [False, True], [True, True]]
Y = torch.tensor([0, 1, 2, 1])


def parts(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def linear(layer: Any, x: np.ndarray) -> np.ndarray:
    weight, bias = parts(layer)
    return x @ weight.T + bias


def normed(layer: Any, x: np.ndarray) -> np.ndarray:
    weight, bias = parts(layer)
    return weight * (x - x.mean()) / np.sqrt(x.var() + layer.eps) + bias


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def embedded(model: Any, x: Any, row: int) -> list[np.ndarray | None]:
    return [
        encoder(tensor[row : row + 1])[0].detach().numpy() if there else None
        for encoder, tensor, there in zip(model.encoders, x.tensors, x.present[row], strict=True)
    ]


def unusual(model: nn.Module) -> Any:
    """Weights that no initialisation leaves at 0 or 1."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.2 * noise)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
    return model


def test_attention_is_a_softmax_over_the_streams_present() -> None:
    model, x = unusual(network("attention", NAMES)), batch(NAMES, present=MIXED)
    output = model.fuse(x)
    for row in range(4):
        projected, scores = {}, {}
        for stream, values in enumerate(embedded(model, x, row)):
            if values is not None:
                norm, project = model.projections[stream]
                projected[stream] = linear(project, normed(norm, values))
                scores[stream] = float(linear(model.scores[stream], np.tanh(projected[stream]))[0])
        total = sum(np.exp(score) for score in scores.values())
        weights = {stream: np.exp(score) / total for stream, score in scores.items()}
        summed = sum(weights[stream] * projected[stream] for stream in weights)
        first, _, _, second = model.classifier
        logits = linear(second, relu(linear(first, summed)))
        np.testing.assert_allclose(output.logits[row].detach(), logits, rtol=1e-9)
        np.testing.assert_allclose(model.joint(x)[row].detach(), summed, rtol=1e-9)
        np.testing.assert_allclose(
            output.weights[row].detach(), [weights.get(0, 0), weights.get(1, 0)], rtol=1e-9
        )
    assert output.weights[1].tolist() == [1, 0]


def excited(gate: Any, x: np.ndarray) -> np.ndarray:
    """Squeeze and excitation of (n_channels, n_positions)."""
    first, _, second = gate.mlp
    said = [linear(second, relu(linear(first, squeezed))) for squeezed in (x.mean(axis=1), x.max(axis=1))]
    return x / (1 + np.exp(-(said[0] + said[1])))[:, None]


def test_channel_attention_is_squeeze_and_excitation() -> None:
    """An encoder that says how many channels its embedding has is weighed by those: of EEG, its filters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = network("attention", NAMES)
        encoders: list[Any] = list(base.encoders)
        entry = registry.get("fusion networks", "channel-attention")
        model = unusual(entry.thing(encoders, [False, False], 3).double().eval())
    x = batch(NAMES, present=MIXED)
    output = model.fuse(x)
    assert model.gates[0].mlp[0].out_features == max(1, 12 // 8)
    for row in range(4):
        found = embedded(model, x, row)
        added = np.zeros((2, 512))
        for stream, values in enumerate(found):
            if values is not None:
                n_channels = encoders[1].width if stream == 1 else len(values)
                assert len(values) % n_channels == 0
                maps = normed(model.norms[stream], values).reshape(n_channels, -1)
                weight = model.firsts[stream].weight.detach().numpy()
                added[stream] = excited(model.gates[stream], maps).reshape(-1) @ weight.T
        hidden = added.sum(axis=0) * 2 / sum(values is not None for values in found)
        norm, _, _, second = model.classifier
        weight, bias = parts(norm)
        scaled = (hidden - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
        logits = linear(second, relu(weight * scaled + bias))
        np.testing.assert_allclose(output.logits[row].detach(), logits, rtol=1e-8)
        lengths = np.linalg.norm(added, axis=1)
        np.testing.assert_allclose(output.weights[row].detach(), lengths / lengths.sum(), rtol=1e-8)


def test_the_first_layer_on_all_streams_is_one_on_their_embeddings_side_by_side() -> None:
    model, x = network("channel-attention", NAMES), batch(NAMES)
    side_by_side = torch.cat(
        [
            gate(norm(encoder(tensor)))
            for gate, norm, encoder, tensor in zip(
                model.gates, model.norms, model.encoders, x.tensors, strict=True
            )
        ],
        dim=1,
    )
    joint = torch.cat([first.weight for first in model.firsts], dim=1)
    torch.testing.assert_close(model(x), model.classifier(side_by_side @ joint.T))


@pytest.mark.parametrize("method", ["attention", "channel-attention"])
def test_the_loss_is_the_cross_entropy_of_the_fused_logits(method: str) -> None:
    model, x = network(method, NAMES), batch(NAMES, present=MIXED)
    log = model(x).log_softmax(dim=1)
    weights = CRITERION.class_weights
    target = 0.9 * nn.functional.one_hot(Y, 3) + 0.1 / 3
    expected = -(target * log * weights).sum() / weights[Y].sum()
    torch.testing.assert_close(model.loss(x, Y, CRITERION), expected)


@pytest.mark.parametrize("method", ["attention", "channel-attention"])
def test_every_parameter_learns(method: str) -> None:
    model = network(method, NAMES, contrastive=0.3).train()
    model.loss(batch(NAMES), Y, CRITERION).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_shares_are_lengths_and_equal_where_nothing_is_said() -> None:
    values = torch.tensor([[[3.0, 4.0], [0.0, 10.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [9.0, 9.0]]])
    present = torch.tensor([[True, True], [True, True], [True, False]])
    expected = torch.tensor([[1 / 3, 2 / 3], [0.5, 0.5], [1.0, 0.0]])
    torch.testing.assert_close(shares(values, present), expected)


def test_a_row_is_weighed_alike_in_any_batch() -> None:
    model, x = network("attention", NAMES), batch(NAMES, present=MIXED)
    whole: Tensor = model.fuse(x).weights
    torch.testing.assert_close(model.fuse(rows_of(x, [2, 0])).weights, whole[[2, 0]])
