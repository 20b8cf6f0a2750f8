"""The backbone against transformers' own ViT, materialised weights, and windows by a loop."""

import dataclasses
import json
from functools import partial

import pytest
import torch

from eavctl.encoders.law import Law
from eavctl.errors import DataError, UsageError
from eavctl.grounding import backbone
from eavctl.grounding.backbone import (
    Backbone,
    BlockChange,
    cut_windows,
    fit_positions,
    join_windows,
    run_block,
)

NOTHING = BlockChange()


@pytest.fixture
def windowed(monkeypatch):
    """The tiny size with windows of 2 x 2 patches in two of four blocks."""
    shape = dataclasses.replace(backbone.SIZES["tiny"], window=2, n_global=2)
    monkeypatch.setitem(backbone.SIZES, "tiny", shape)


def build(side=32):
    torch.manual_seed(0)
    return Backbone("tiny", side).eval()


def pictures(n=2, side=32):
    return torch.randint(
        256, (n, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def states(n=2):
    return torch.randn(n, 16, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def changing_law():
    law = Law(64, 4, 96, rank=16).double()
    torch.nn.init.normal_(law.cores)
    return law


def test_layers_without_windows_are_those_of_transformers():
    net = build()
    x = expected = torch.randn(2, 16, 64)
    for layer in net.body.layers:
        x, expected = run_block(layer, x, None, NOTHING), layer(expected)
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("windows", [None, (4, 2)])
def test_a_low_rank_change_equals_materialised_weights_in_a_whole_block(windows):
    net, law, x = build().double(), changing_law(), states(3)
    cores = law(torch.randn(3, 5, 96, dtype=torch.float64))[:, 1]
    layer = net.body.layers[1]
    found = run_block(layer, x, windows, BlockChange(partial(law.change, core=cores)))
    assert (found - run_block(layer, x, windows, NOTHING)).abs().max() > 1e-2
    own = {part: getattr(layer.attention, part).weight.clone() for part in ("q_proj", "k_proj", "v_proj")}
    for row in range(3):
        change = (law.left @ cores[row] @ law.right.T).chunk(3)
        with torch.no_grad():
            for (part, weight), added in zip(own.items(), change, strict=True):
                getattr(layer.attention, part).weight.copy_(weight + added)
        alone = run_block(layer, x[row : row + 1], windows, NOTHING)
        assert (alone - found[row : row + 1]).abs().max() < 1e-6


def test_windows_are_cut_as_a_loop_says_and_joined_again():
    x = torch.arange(2 * 36 * 3).reshape(2, 36, 3)
    cut = cut_windows(x, 6, 3)
    expected = [
        torch.stack([x[b, 6 * (3 * i + r) + 3 * j + c] for r in range(3) for c in range(3)])
        for b in range(2)
        for i in range(2)
        for j in range(2)
    ]
    assert torch.equal(cut, torch.stack(expected))
    assert torch.equal(join_windows(cut, 6, 3), x)


def test_windowed_attention_with_a_law_equals_masked_global_attention():
    net, law, x = build().double(), changing_law(), states()
    core = law(torch.randn(2, 3, 96, dtype=torch.float64))[:, 0]
    layer = net.body.layers[0]
    found = run_block(layer, x, (4, 2), BlockChange(partial(law.change, core=core)))
    attention, normed = layer.attention, layer.layernorm_before(x)
    parts = [attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)]
    added = law.change(normed, core).split(64, dim=2)
    query, key, value = (own + more for own, more in zip(parts, added, strict=True))
    joined = torch.zeros_like(x)

    def window_of(place):
        return place // 4 // 2, place % 4 // 2

    for place in range(16):
        same = [other for other in range(16) if window_of(other) == window_of(place)]
        for head in range(4):
            part = slice(16 * head, 16 * head + 16)
            scores = (query[:, place, None, part] * key[:, same, part]).sum(2) / 4
            joined[:, place, part] = (scores.softmax(1)[:, :, None] * value[:, same, part]).sum(1)
    expected = x + attention.o_proj(joined)
    expected = expected + layer.mlp(layer.layernorm_after(expected))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_windows_keep_far_places_apart_until_a_global_block(windowed):
    net, x = build().double(), states(1)
    assert net.shape.windows == [2, None, 2, None]
    other = x.clone()
    other[0, 15] += 1
    reached = []
    for window in ((4, 2), None):
        one, two = (run_block(net.body.layers[0], each, window, NOTHING) for each in (x, other))
        reached.append((one != two).any(dim=2)[0].nonzero().flatten().tolist())
    assert reached == [[10, 11, 14, 15], list(range(16))]


def test_the_public_size_has_windows_in_eight_of_twelve_blocks():
    shape = backbone.SIZES["base"]
    assert [number for number, window in enumerate(shape.windows) if window is None] == [2, 5, 8, 11]
    assert shape.grid(448) == 28
    for side in (0, 440, 10**9, -448):
        with pytest.raises(UsageError):
            shape.grid(side)


def test_positions_of_the_same_grid_are_kept_and_constants_stay_constants():
    positions = torch.randn(1, 17, 8)
    assert fit_positions(positions, 4) is positions
    constant = torch.ones(1, 17, 8) * torch.arange(8)
    torch.testing.assert_close(fit_positions(constant, 7), torch.ones(1, 50, 8) * torch.arange(8))
    assert torch.equal(fit_positions(positions, 7)[:, 0], positions[:, 0])


def test_positions_keep_their_orientation():
    rows = torch.arange(4.0).repeat_interleave(4)
    grid = fit_positions(torch.cat([torch.zeros(1), rows])[None, :, None], 8)[0, 1:, 0].reshape(8, 8)
    assert (grid.diff(dim=0).sum(dim=0) > 2).all()
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 8))


@pytest.fixture
def checkpoint(tmp_path):
    """transformers' own ViT of the tiny sizes for pictures of 24 pixels, all of its weights random."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(7)
    config = transformers.ViTConfig.from_dict(build().body.config.to_dict() | {"image_size": 24})
    model = transformers.ViTForImageClassification(config)
    for value in model.state_dict().values():
        value.copy_(0.2 * torch.randn(value.shape))
    model.save_pretrained(tmp_path)
    return tmp_path, model.vit.eval()


def test_public_weights_of_another_resolution_load(checkpoint):
    folder, public = checkpoint
    net = build()
    net.load_weights(folder)
    assert torch.equal(net.body.layers[2].mlp.fc1.weight, public.layers[2].mlp.fc1.weight)
    positions = fit_positions(public.embeddings.position_embeddings, 4)
    assert torch.equal(net.body.embeddings.position_embeddings, positions)
    same = build(24)
    same.load_weights(folder)
    values = pictures(side=24).permute(0, 3, 1, 2) / 255 * 2 - 1
    expected = public.embeddings(values)[:, 1:]
    for layer in public.layers:
        expected = layer(expected)
    found = same(pictures(side=24), [NOTHING] * 4)
    torch.testing.assert_close(found, public.layernorm(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [10**9, 0, "x", [24, 24], None])
def test_a_hostile_resolution_is_refused_before_memory_is_taken(checkpoint, side):
    folder, _ = checkpoint
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"image_size": side}))
    with pytest.raises(DataError):
        build().load_weights(folder)
