"""``ast``: padding takes no part, positions fit other lengths, masks hide with the mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eavctl.encoders.ast import Ast, _fit_steps
from eavctl.errors import DataError


def build(shape: tuple[int, ...] = (96, 32)) -> Ast:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Ast(shape, size="tiny").eval()


def sounds(n: int) -> Tensor:
    return -4 + 4 * torch.randn(n, 96, 32, generator=torch.Generator().manual_seed(1))


def test_positions_for_fewer_frames_are_the_middle_and_for_more_are_stretched() -> None:
    grid = torch.arange(20.0).expand(3, 2, 20)
    assert _fit_steps(grid, 20)[0, 0].tolist() == list(range(20))
    assert _fit_steps(grid, 6)[2, 1].tolist() == [7, 8, 9, 10, 11, 12]
    stretched = _fit_steps(grid, 40)[1, 1]
    assert stretched.shape == (40,)
    assert (stretched.diff()[1:-1] == 0.5).all()


def test_the_input_is_standardised_by_its_unpadded_frames() -> None:
    encoder, x = build(), sounds(4)
    x[:, 40:] = 0
    encoder.fit_input(x)
    torch.testing.assert_close(encoder.mean, x[:, :40].mean())
    torch.testing.assert_close(encoder.std, x[:, :40].std(correction=0))


def test_padding_is_left_out_of_the_attention() -> None:
    """The yardstick is transformers' own model under an attention mask."""
    encoder, x = build(), sounds(3)
    x[1, 40:] = 0
    x[2, 33:] = 0
    mask = torch.ones(3, 2, 6)
    mask[1:, :, 3:] = 0  # three patches of 16 frames hold sound
    mask = torch.cat([torch.ones(3, 2), mask.flatten(1)], dim=1)
    with torch.inference_mode():
        expected = encoder.body((x - encoder.mean) / (2 * encoder.std), attention_mask=mask).pooler_output
        torch.testing.assert_close(encoder(x), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x[1:2]), expected[1:2], rtol=1e-4, atol=1e-5)


def test_cost_ends_with_the_longest_row() -> None:
    encoder, x, seen = build(), sounds(3), []
    encoder.body.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    x[:, 30:] = 0
    encoder(x)
    assert seen == [2 + 2 * 2]


def test_masks_leave_padding_alone_and_hide_with_the_mean() -> None:
    encoder, x = build(), sounds(8)
    x[:, 60:] = 0
    encoder.fit_input(x)
    varied = encoder.augment(x, torch.Generator().manual_seed(0))
    hidden = varied != x
    assert not hidden[:, 60:].any()
    assert (varied[hidden] == encoder.mean).all()
    assert (hidden.any(dim=(1, 2))).all()
    assert hidden[:, :60].float().mean() < 0.45


def test_rows_with_frames_last_are_the_same_rows_turned() -> None:
    x = sounds(4)
    x[1, 50:] = -9
    first, turned = build(), x.transpose(1, 2).contiguous()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        last = Ast((32, 96), size="tiny", frames_last=True).eval()
    with torch.no_grad():
        first.fit_input(x)
        last.fit_input(turned)
        assert last.state_dict().keys() == first.state_dict().keys()
        torch.testing.assert_close(last(turned), first(x))
    varied = last.augment(turned, torch.Generator().manual_seed(0))
    expected = first.augment(x, torch.Generator().manual_seed(0))
    torch.testing.assert_close(varied, expected.transpose(1, 2))
    assert torch.equal(varied[1, :, 50:], turned[1, :, 50:])


@pytest.mark.parametrize("shape", [(128,), (1024, 8), (10, 128), (1, 128, 1024)])
def test_ast_refuses_other_rows_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="--features fbank"):
        build(shape)
