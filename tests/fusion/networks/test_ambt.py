"""AMBT as specified: a learned bottleneck, each stream by its own maps, and an exchange that is one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import ALL, AMBT, AUDIO, CRITERION, EEG, VIDEO, batch, changed, network
from torch import Tensor

from eavctl.classifiers.network import StreamBatch
from eavctl.errors import UsageError

Y = torch.tensor([0, 1, 2, 1])
MIXED = [[True, True, True], [True, False, False], [False, True, True], [False, False, True]]


def resized(part: Any, x: Tensor) -> Tensor:
    """A linear map and a ReLU, by hand."""
    return (x @ part[0].weight.T + part[0].bias).clamp(min=0)


def plain(model: Any, x: StreamBatch, concat: bool) -> list[dict[int, Tensor]]:
    """Each row's logits by stream, row by row and stream by stream, as the specification says it."""
    return [
        plain_row(model, [tensor[row : row + 1] for tensor in x.tensors], x.present[row].tolist(), concat)
        for row in range(len(x))
    ]


def plain_row(model: Any, tensors: list[Tensor], present: list[bool], concat: bool) -> dict[int, Tensor]:
    here = [stream for stream, there in enumerate(present) if there]
    bottleneck = {stream: model.bottleneck[stream] for stream in here}
    states, below = {}, {}
    for stream in here:
        encoder = model.encoders[stream]
        states[stream] = encoder.tokens(tensors[stream])
        for layer in range(encoder.n_layers - model.n_fused):
            states[stream], _ = encoder.layer(layer, states[stream])
    for number in range(model.n_fused):
        if concat:
            scale = len(present) / len(here)
            side_by_side = [
                scale * bottleneck[stream] if stream in here else torch.zeros(2, 256, dtype=torch.float64)
                for stream in range(len(present))
            ]
            joined = torch.cat(side_by_side, dim=1)
        else:
            joined = sum(bottleneck.values()) / len(here)  # type: ignore[assignment]
        following = {}
        for stream in here:
            guests = resized(model.up[number][stream], joined)
            if concat and stream in below:
                guests = guests + below[stream]
            encoder = model.encoders[stream]
            layer = encoder.n_layers - model.n_fused + number
            states[stream], came_out = encoder.layer(layer, states[stream], guests[None])
            if number < model.n_fused - 1:
                below[stream] = came_out[0]
                following[stream] = resized(model.down[number][stream], came_out[0])
        bottleneck = following
    return {
        stream: F.linear(
            model.encoders[stream].pooled(states[stream])[0],
            model.heads[stream][1].weight,
            model.heads[stream][1].bias,
        )
        for stream in here
    }


def slopes(model: Any, loss: Tensor) -> list[Tensor]:
    return list(
        torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
    )


@pytest.mark.parametrize("present", [[[True] * 3] * 4, MIXED], ids=["whole", "mixed"])
@pytest.mark.parametrize("method", AMBT)
def test_logits_and_gradients_are_those_of_plain_loops(method: str, present: Any) -> None:
    model, x = network(method), batch(present=present)
    with torch.no_grad():
        model.bottleneck.mul_(50)  # so that what is exchanged weighs something
    expected = plain(model, x, method == "ambt-concat")
    output = model.fuse(x)
    mean = torch.stack([torch.stack(list(row.values())).mean(dim=0) for row in expected])
    torch.testing.assert_close(output.logits, mean, rtol=1e-8, atol=1e-10)
    probe = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ours, theirs = slopes(model, (output.logits * probe).sum()), slopes(model, (mean * probe).sum())
    for name, one, other in zip([n for n, _ in model.named_parameters()], ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.parametrize("method", AMBT)
def test_answer_is_the_mean_of_the_heads_and_loss_the_mean_of_their_losses(method: str) -> None:
    model, x = network(method), batch(present=MIXED)
    alone = plain(model, x, method == "ambt-concat")
    terms = []
    for stream in range(3):
        rows = [row for row in range(4) if MIXED[row][stream]]
        logits = torch.stack([alone[row][stream] for row in rows])
        terms.append(F.cross_entropy(logits, Y[rows], CRITERION.class_weights, label_smoothing=0.1))
    torch.testing.assert_close(model.loss(x, Y, CRITERION), sum(terms) / 3)
    lengths = torch.zeros(4, 3, dtype=torch.float64)
    for row, heads in enumerate(alone):
        for stream, logits in heads.items():
            lengths[row, stream] = (logits - logits.mean()).norm()
    torch.testing.assert_close(model.fuse(x).weights, lengths / lengths.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("method", AMBT)
def test_the_bottleneck_is_learned(method: str) -> None:
    model = network(method).train()
    assert isinstance(model.bottleneck, torch.nn.Parameter)
    assert model.bottleneck.shape == (3, 2, 256)
    assert 0.018 < float(model.bottleneck.detach().std()) < 0.022
    assert abs(float(model.bottleneck.detach().mean())) < 0.002
    before = model.bottleneck.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.loss(batch(), Y, CRITERION).backward()
    assert (model.bottleneck.grad.abs().flatten(1).sum(dim=1) > 0).all()
    optimizer.step()
    assert ((model.bottleneck - before).abs().amax(dim=(1, 2)) > 0).all()


@pytest.mark.parametrize("contrastive", [0.0, 0.5])
@pytest.mark.parametrize("method", AMBT)
def test_nothing_is_built_or_computed_that_no_answer_reads(method: str, contrastive: float) -> None:
    model = network(method, contrastive=contrastive).train()
    assert (len(model.up), len(model.down)) == (2, 1)
    model.loss(batch(), Y, CRITERION).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert ("k_proj.bias" in name) or (parameter.grad != 0).any(), name


@pytest.mark.parametrize("method", AMBT)
def test_the_order_of_the_streams_is_no_matter(method: str) -> None:
    """Streams and their parts change places: each is served by its own maps, and not by what came before."""
    model, x, order = network(method), batch(present=MIXED), [2, 0, 1]
    with torch.no_grad():
        model.bottleneck.mul_(50)
    other = network(method, tuple(ALL[i] for i in order), seed=5)
    other.encoders = torch.nn.ModuleList(copy.deepcopy(model.encoders[i]) for i in order)
    other.heads = torch.nn.ModuleList(copy.deepcopy(model.heads[i]) for i in order)
    for mine, theirs in ((model.up, other.up), (model.down, other.down)):
        for number, level in enumerate(mine):
            theirs[number] = torch.nn.ModuleList(copy.deepcopy(level[i]) for i in order)
    with torch.no_grad():
        other.bottleneck.copy_(model.bottleneck[order])
        if method == "ambt-concat":
            for up in (up for level in other.up for up in level):
                blocks = up[0].weight.reshape(-1, 3, 256)[:, order]
                up[0].weight.copy_(blocks.reshape(up[0].weight.shape))
    moved = StreamBatch(tuple(x.tensors[i] for i in order), x.present[:, order])
    torch.testing.assert_close(other(moved), model(x), rtol=1e-9, atol=1e-11)
    weights = model.fuse(x).weights[:, order]
    torch.testing.assert_close(other.fuse(moved).weights, weights, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", AMBT)
def test_what_one_stream_sees_reaches_the_others_heads_from_two_fused_layers_on(method: str) -> None:
    names = (AUDIO, VIDEO)
    x = batch(names)
    other = changed(x, 1, 2)
    for layers, reaches in ((1, False), (2, True), (3, True)):
        model = network(method, names, fusion_layers=max(layers, 2))
        model.n_fused = layers
        with torch.no_grad():
            before, after = (model.fuse(each).heads[0].values for each in (x, other))
        assert bool((after[2] - before[2]).abs().max() > 1e-9) == reaches
        torch.testing.assert_close(after[[0, 1, 3]], before[[0, 1, 3]], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", AMBT)
def test_of_the_last_layer_only_what_the_heads_read_is_computed(method: str) -> None:
    model, queries = network(method, (AUDIO, VIDEO)), []
    for encoder in model.encoders:
        for layer in encoder.body.layers:
            layer.attention.q_proj.register_forward_pre_hook(lambda _, x: queries.append(x[0].shape[1]))
    model(batch((AUDIO, VIDEO)))
    own = [model.encoders[i].tokens(t).states.shape[1] for i, t in enumerate(batch((AUDIO, VIDEO)).tensors)]
    lone = [own[0], own[1]] if model.n_fused < 3 else []
    fused = [n + 2 for n in own] * (model.n_fused - 1)
    assert queries == [*lone, *fused, 2, 1]


def test_what_cannot_exchange_is_refused() -> None:
    with pytest.raises(UsageError, match="layer by layer"):
        network("ambt-mean", (EEG, "mlp"))
    for method in AMBT:
        with pytest.raises(UsageError, match="2 layers"):
            network(method, fusion_layers=1)
        with pytest.raises(UsageError, match="bottleneck_tokens"):
            network(method, bottleneck_tokens=0)


def test_the_upper_layers_of_each_encoder_take_part() -> None:
    model = network("ambt-mean")
    assert [encoder.n_layers for encoder in model.encoders] == [2, 3, 3]
    assert model.n_fused == 2
    taken: list[tuple[int, int, bool]] = []
    for number, encoder in enumerate(model.encoders):
        run = encoder.layer

        def told(layer: int, tokens: Any, guests: Any = None, *, last: bool = False, _=(number, run)) -> Any:
            taken.append((_[0], layer, guests is not None))
            return _[1](layer, tokens, guests, last=last)

        encoder.layer = told
    model(batch())
    assert sorted(taken) == [
        *[(0, 0, True), (0, 1, True)],
        *[(1, 0, False), (1, 1, True), (1, 2, True)],
        *[(2, 0, False), (2, 1, True), (2, 2, True)],
    ]
