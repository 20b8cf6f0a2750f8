"""The encoders of face clips: frames averaged, resized, taken in chunks; attention; augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eavctl import registry
from eavctl.encoders import face_clips
from eavctl.encoders.augmentation import reframed
from eavctl.encoders.resnet50_ca import ChannelAttention
from eavctl.errors import DataError, UsageError

VIDEO = ("vit", "resnet50-ca", "efficientnet-b0")


def build(name: str, shape: tuple[int, ...] = (6, 56, 56, 3), **settings: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = registry.get("encoders", name).thing(shape, size="tiny", **settings)
    return encoder.eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(n: int = 2, shape: tuple[int, ...] = (6, 56, 56, 3)) -> Tensor:
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=generator(1))


@pytest.mark.parametrize("name", VIDEO)
def test_the_embedding_is_the_mean_of_the_frames(name: str) -> None:
    x, encoder, single = clips(), build(name, frames=6), build(name, (1, 56, 56, 3))
    with torch.inference_mode():
        frames = torch.stack([single(x[:, i : i + 1]) for i in range(6)]).mean(dim=0)
        torch.testing.assert_close(encoder(x), frames, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(encoder(x), encoder(x.float()))


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize("n_colours", [1, 3])
def test_a_picture_is_a_clip_of_one_frame_and_grey_is_repeated(name: str, n_colours: int) -> None:
    x = clips(3, (56, 56, n_colours))
    picture, clip = build(name, (56, 56, n_colours)), build(name, (1, 56, 56, 3))
    as_clip = x[:, None].expand(-1, -1, -1, -1, 3)
    with torch.inference_mode():
        assert torch.equal(picture(x), clip(as_clip))
    varied = picture.augment(x, generator())
    assert varied.shape == x.shape
    assert torch.allclose(varied[:, None].expand_as(as_clip), clip.augment(as_clip, generator()), atol=1e-3)


@pytest.mark.parametrize("side", [32, 96])
def test_frames_are_resized_as_pillow_does(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    x = clips(1, (1, side, side, 3))
    encoder, seen = build("vit", (1, side, side, 3)), []
    monkeypatch.setattr(encoder, "describe", lambda pictures: seen.append(pictures) or pictures.flatten(1))
    encoder(x)
    expected = np.asarray(image.fromarray(x[0, 0].numpy()).resize((56, 56), image.Resampling.BILINEAR))
    shown = ((seen[0][0] * 0.5 + 0.5) * 255).permute(1, 2, 0).numpy()
    assert np.abs(shown - expected).max() < 1.5


def gradients(encoder: Any, x: Tensor) -> list[Tensor]:
    weights = torch.randn(len(x), encoder.embedding_dim, generator=generator(3))
    return list(torch.autograd.grad((encoder(x) * weights).sum(), list(encoder.parameters())))


@pytest.mark.parametrize("name", VIDEO)
def test_chunks_change_neither_output_nor_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, x = build(name, frames=6).double(), clips()
    outputs, slopes = encoder(x), gradients(encoder, x)
    monkeypatch.setitem(face_clips.CHUNK, "tiny", 4)
    torch.testing.assert_close(encoder(x), outputs)
    for ours, theirs in zip(gradients(encoder, x), slopes, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_chunks_save_memory_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes kept for the gradient: those of the clips alone, not those of every layer."""
    encoder, x = build("vit", frames=6), clips()

    def kept() -> int:
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            encoder(x)
        return sum(sizes.values())

    whole = kept()
    monkeypatch.setitem(face_clips.CHUNK, "tiny", 4)
    assert kept() < whole / 10


def test_batch_norms_see_each_chunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(face_clips.CHUNK, "tiny", 4)
    once, twice, x = build("resnet50-ca").train(), build("resnet50-ca").train(), clips()
    with torch.no_grad():
        once(x)
    twice(x).sum().backward()
    for (key, value), other in zip(once.named_buffers(), twice.buffers(), strict=True):
        assert key.endswith("tracked") or torch.equal(value, other), key


def test_a_body_held_fixed_keeps_its_statistics() -> None:
    encoder = build("resnet50-ca").train()
    encoder.body.eval().requires_grad_(False)
    before = [value.clone() for value in encoder.buffers()]
    encoder(clips()).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(encoder.buffers(), before, strict=True))
    assert all(parameter.grad is not None for parameter in encoder.attention.parameters())


def test_channel_attention_returns_attended_features() -> None:
    attention = ChannelAttention(16).eval()
    maps = torch.randn(3, 16, 4, 5, generator=generator())
    first, _, second = attention.mlp

    def score(descriptor: np.ndarray) -> np.ndarray:
        inner = np.maximum(descriptor @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
        outer: np.ndarray = inner @ second.weight.detach().numpy().T + second.bias.detach().numpy()
        return outer

    values = maps.numpy()
    weights = 1 / (1 + np.exp(-score(values.mean((2, 3))) - score(values.max((2, 3)))))
    expected = values * weights[:, :, None, None]
    np.testing.assert_allclose(attention(maps).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert first.out_features == 16 // 8


def test_augmentation_is_alike_in_all_frames_of_a_clip_and_differs_between_clips() -> None:
    frame = clips(1, (1, 56, 56, 3))
    x = frame.expand(16, 4, -1, -1, -1)
    varied = build("vit", (4, 56, 56, 3)).augment(x, generator())
    assert all(torch.equal(varied[:, 0], varied[:, i]) for i in range(4))
    assert len({tuple(clip.flatten()[:50].tolist()) for clip in varied}) == 16
    assert varied.min() >= 0
    assert varied.max() <= 255
    assert torch.equal(varied, build("vit", (4, 56, 56, 3)).augment(x, generator()))


def test_augmentation_mirrors_and_moves_brightness_and_contrast_by_a_fifth() -> None:
    grey = 100 + 10 * torch.randn(200, 2, 20, 20, 3, generator=generator())
    grey[:, :, :, :10] += 40
    varied = build("vit", (2, 20, 20, 3)).augment(grey, generator())
    # Columns near the middle and at the edge can change sides or be repeated.
    left, right = varied[:, :, :, 1:6].mean(dim=(1, 2, 3, 4)), varied[:, :, :, 14:19].mean(dim=(1, 2, 3, 4))
    assert 70 < int((left < right).sum()) < 130
    brightness = varied.mean(dim=(1, 2, 3, 4)) / grey.mean(dim=(1, 2, 3, 4))
    contrast = (left - right).abs() / 40 / brightness
    for factor in (brightness, contrast):
        assert factor.min() == pytest.approx(0.8, abs=0.06)
        assert factor.max() == pytest.approx(1.2, abs=0.06)


def test_augmentation_draws_a_frame_of_each_part_anew() -> None:
    encoder = build("vit", (25, 16, 16, 3))
    levels = torch.arange(25) * 4 + 80
    x = levels.to(torch.uint8).reshape(1, 25, 1, 1, 1).expand(400, 25, 16, 16, 3)
    varied = encoder.augment(x, generator())
    used = varied[:, encoder.sampled_frames, 8, 8, 0]
    others = [i for i in range(25) if i not in encoder.sampled_frames]
    assert not varied[:, others].any()
    # Light changes the levels of all frames of a clip by one line: the shares of steps tell the frames.
    steps = used.diff(dim=1)
    assert (steps > 0).all()
    shares = steps / steps.sum(dim=1, keepdim=True)
    assert shares.std(dim=0).min() > 0.05
    parts = face_clips._drawn(torch.rand(1000, 5, generator=generator()), 25)
    for i in range(5):
        assert parts[:, i].unique().tolist() == list(range(5 * i, 5 * i + 5))
    middles = face_clips._drawn(torch.full((1, 5), 0.5), 25)
    assert middles[0].tolist() == encoder.sampled_frames


def reframe(
    x: Tensor,
    mirrored: bool = False,
    angle: float = 0.0,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    one = torch.ones(len(x))
    shifts = torch.tensor(shift)[:, None].expand(2, len(x))
    return reframed(x, one.bool() & mirrored, angle * one, scale * one, shifts)


def test_reframing_mirrors_turns_and_cuts() -> None:
    x = torch.rand(2, 3, 16, 16, 3, generator=generator())
    torch.testing.assert_close(reframe(x), x)
    torch.testing.assert_close(reframe(x, mirrored=True), x.flip(3))
    quarter = torch.rot90(x, 1, dims=(2, 3))
    torch.testing.assert_close(reframe(x, angle=np.pi / 2), quarter, atol=1e-4, rtol=0)
    corner = reframe(x, scale=0.5, shift=(-0.25, 0.25))  # the lower left
    plain = x[:, :, 8:, :8].permute(0, 1, 4, 2, 3).flatten(0, 1)
    larger = torch.nn.functional.interpolate(plain, (16, 16), mode="bilinear")
    inner = corner.permute(0, 1, 4, 2, 3).flatten(0, 1)[..., 1:, :-1]  # the cut goes on beyond two edges
    torch.testing.assert_close(inner[..., 1:, 1:-1], larger[..., 2:, 1:-2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize(
    "shape", [(56, 56, 2), (8, 56, 3), (25, 56, 56), (25, 8, 56, 3), (25, 56, 56, 1), (25, 3, 56, 56)]
)
def test_other_rows_are_refused_with_what_to_do(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="--features faces"):
        build(name, shape)


@pytest.mark.parametrize("frames", [0, 7])
def test_frames_beyond_the_clip_are_refused(frames: int) -> None:
    with pytest.raises(UsageError, match="between 1 and the 6"):
        build("vit", frames=frames)
