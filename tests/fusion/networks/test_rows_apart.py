"""Nothing passes between the rows of a batch, and nothing comes out of a stream that a row lacks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_networks import (
    AMBT,
    AUDIO,
    CRITERION,
    EEG,
    METHODS,
    VIDEO,
    batch,
    changed,
    network,
    rows_of,
)

from eavctl.classifiers.network import StreamBatch

MIXED = [[True, True, True], [True, False, False], [False, True, True], [False, False, True]]
Y = torch.tensor([0, 1, 2, 1])


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("stream", range(3))
@pytest.mark.parametrize("method", METHODS)
def test_changing_a_row_changes_no_other_rows_answer(method: str, stream: int) -> None:
    model, x = network(method), batch(n=3)
    with torch.no_grad():
        before, after = model(x), model(changed(x, stream, 1))
    close(after[[0, 2]], before[[0, 2]])
    assert (after[1] - before[1]).abs().max() > 1e-6


@pytest.mark.parametrize("method", AMBT)
def test_the_length_of_a_recording_is_no_matter_of_the_others(method: str) -> None:
    """The longest sound of a batch decides how many patches are computed, and guests come after them."""
    model, x = network(method), batch(n=3)
    short = StreamBatch(tuple(tensor.clone() for tensor in x.tensors), x.present)
    short.tensors[1][:, 30:] = 0
    mixed = StreamBatch(tuple(tensor.clone() for tensor in short.tensors), x.present)
    mixed.tensors[1][1] = x.tensors[1][1]
    with torch.no_grad():
        close(model(mixed)[[0, 2]], model(short)[[0, 2]])
        close(model(mixed)[1], model(x)[1])


@pytest.mark.parametrize("method", AMBT)
def test_no_gradient_crosses_rows_in_training(method: str) -> None:
    names = (AUDIO, VIDEO)
    model, x = network(method, names).train(), batch(names, n=3)
    inputs = [tensor.requires_grad_() for tensor in x.tensors]
    logits = model(x)
    for row in range(3):
        for slope in torch.autograd.grad(logits[row].square().sum(), inputs, retain_graph=True):
            moved = slope.abs().flatten(1).sum(dim=1)
            assert moved[row] > 0
            assert (moved[[other for other in range(3) if other != row]] == 0).all()


def learned(model: Any, x: StreamBatch) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Logits and all that a training step leaves behind: gradients, and buffers such as batch norms'."""
    torch.manual_seed(0)
    logits = model.fuse(x).logits.detach()
    torch.manual_seed(0)
    model.loss(x, Y, CRITERION).backward()
    slopes = {name: p.grad for name, p in model.named_parameters()}
    return logits, slopes, {name: b.clone() for name, b in model.named_buffers()}


@pytest.mark.parametrize("stand_in", [torch.nan, torch.inf])
@pytest.mark.parametrize("method", METHODS)
def test_what_stands_in_an_absent_row_reaches_nothing(method: str, stand_in: float) -> None:
    found = []
    for value in (0.0, stand_in):
        x = batch(present=MIXED)
        for stream, tensor in enumerate(x.tensors):
            tensor[~x.present[:, stream]] = value
        found.append(learned(network(method, contrastive=0.5).train(), x))
    (logits, slopes, buffers), (other_logits, other_slopes, other_buffers) = found
    assert torch.equal(logits, other_logits)
    for name, slope in slopes.items():
        assert slope is not None, name
        assert slope.isfinite().all(), name
        assert torch.equal(slope, other_slopes[name]), name
    for name, buffer in buffers.items():
        assert torch.equal(buffer, other_buffers[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_a_row_gets_in_mixed_company_what_it_gets_alone(method: str) -> None:
    model, x = network(method), batch(present=MIXED)
    with torch.no_grad():
        logits, weights = model(x), model.fuse(x).weights
        for row, present in enumerate(MIXED):
            alone = rows_of(x, [row])
            close(model(alone)[0], logits[row])
            close(model.fuse(alone).weights[0], weights[row])
            assert (weights[row] > 0).tolist() == present
    close(weights.sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert weights[3].tolist() == [0, 0, 1]


@pytest.mark.parametrize("method", METHODS)
def test_streams_that_are_absent_are_as_if_they_had_never_been_computed(method: str) -> None:
    model, x = network(method), batch(present=[[True, False, False]] * 4)
    called: list[int] = []
    for number, encoder in enumerate(model.encoders):
        for part in encoder.modules():
            part.register_forward_hook(lambda *_, number=number: called.append(number))
    model(x)
    assert set(called) == {0}


@pytest.mark.parametrize("absent", range(3))
@pytest.mark.parametrize("method", METHODS)
def test_a_stream_absent_from_a_whole_batch_learns_nothing(method: str, absent: int) -> None:
    present = [[stream != absent for stream in range(3)]] * 4
    model = network(method, contrastive=0.5).train()
    _, slopes, _ = learned(model, batch(present=present))
    for name, slope in slopes.items():
        own = name.startswith(f"encoders.{absent}.")
        assert slope is None or slope.isfinite().all(), name
        assert not own or slope is None or (slope == 0).all(), name
        assert own or not name.startswith("encoders.") or slope is not None, name


@pytest.mark.parametrize("stream", range(3))
@pytest.mark.parametrize("method", AMBT)
def test_a_stream_alone_is_judged_by_its_own_head(method: str, stream: int) -> None:
    model = network(method)
    output = model.fuse(batch(present=[[each == stream for each in range(3)]] * 4))
    close(output.logits, output.heads[stream].values)
    close(output.logits, model.heads[stream](output.embeddings[stream].values))
    assert (output.weights[:, stream] == 1).all()


@pytest.mark.parametrize("names", [("mlp", "mlp"), (EEG, "mlp")])
@pytest.mark.parametrize("method", METHODS[:2])
def test_one_row_alone_can_have_a_stream_in_training(method: str, names: tuple[str, str]) -> None:
    """Batch norm has no deviation of a single row."""
    model = network(method, names).train()
    before = {name: buffer.clone() for name, buffer in model.encoders[1].named_buffers()}
    x = batch(names, present=[[True, False], [True, True], [True, False], [True, False]])
    loss = model.loss(x, Y, CRITERION)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.encoders[1].named_buffers())
    assert all(part.training for part in model.modules())
