"""``ast``, ``vit``, ``resnet50-ca``, ``efficientnet-b0``: public checkpoints fit and give the public outputs.

The checkpoints are written by transformers itself, of random weights; its own models are the yardstick.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eavctl import registry
from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.encoders import face_clips
from eavctl.encoders.ast import AUDIOSET_MEAN, AUDIOSET_STD, POSITIONS
from eavctl.encoders.pretrained import TESTED
from eavctl.errors import DataError, UsageError

VIDEO = ("vit", "resnet50-ca", "efficientnet-b0")
ENCODERS = ("ast", *VIDEO)
PUBLIC = {
    "ast": "ASTForAudioClassification",
    "vit": "ViTForImageClassification",
    "resnet50-ca": "ResNetForImageClassification",
    "efficientnet-b0": "EfficientNetForImageClassification",
}
SHAPES = {"ast": (96, 32)} | dict.fromkeys(VIDEO, (6, 56, 56, 3))


def build(name: str, shape: tuple[int, ...] | None = None, seed: int = 0, **settings: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = registry.get("encoders", name).thing(shape or SHAPES[name], **{"size": "tiny"} | settings)
    return encoder.eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(n: int = 2, shape: tuple[int, ...] = (6, 56, 56, 3)) -> Tensor:
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=generator(1))


def sounds(n: int = 2, shape: tuple[int, ...] = (96, 32)) -> Tensor:
    return -4 + 4 * torch.randn(n, *shape, generator=generator(1))


def public_model(name: str) -> Any:
    """transformers' own classifier of our tiny configuration, its weights and statistics all random."""
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = getattr(transformers, PUBLIC[name])(build(name).body.config).eval()
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                spread = (
                    torch.rand(value.shape) + 0.5 if key.endswith("var") else 0.2 * torch.randn(value.shape)
                )
                value.copy_(spread)
    return model


def body_of(model: Any) -> Any:
    return getattr(model, model.base_model_prefix)


@pytest.fixture(autouse=True)
def quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


# The public sizes


@pytest.mark.parametrize(
    ("name", "n_parameters", "embedding_dim"),
    [
        ("ast", 86_187_264, 768),
        ("vit", 85_798_656, 768),
        ("resnet50-ca", 23_508_032, 2048),
        ("efficientnet-b0", 4_007_548, 1280),
    ],
)
def test_base_is_the_public_network(name: str, n_parameters: int, embedding_dim: int) -> None:
    shape = (1024, 128) if name == "ast" else (25, 56, 56, 3)
    with torch.device("meta"):
        encoder = build(name, shape, size="base")
    assert sum(parameter.numel() for parameter in encoder.body.parameters()) == n_parameters
    assert encoder.embedding_dim == embedding_dim


def test_base_has_the_published_patches() -> None:
    with torch.device("meta"):
        audio, video = build("ast", (1024, 128), size="base"), build("vit", size="base")
    assert audio.body.embeddings.position_embeddings.shape == (1, 1212 + 2, 768)
    assert video.body.embeddings.position_embeddings.shape == (1, 196 + 1, 768)


def test_base_uses_every_frame_and_tiny_five_of_them() -> None:
    with torch.device("meta"):
        assert build("vit", (25, 56, 56, 3), size="base").sampled_frames == list(range(25))
    assert build("vit", (25, 56, 56, 3)).sampled_frames == [2, 7, 12, 17, 22]
    assert build("vit", (25, 56, 56, 3), frames=1).sampled_frames == [12]


@pytest.mark.parametrize("name", ENCODERS)
def test_an_unknown_size_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="'base' or 'tiny', not 'huge'"):
        build(name, size="huge")


# Versions of transformers


@pytest.mark.parametrize("name", ENCODERS)
def test_a_renamed_part_of_transformers_names_the_versions_that_fit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    inside = f"{PUBLIC[name].partition('For')[0]}Model"
    network, top = getattr(transformers, inside), build(name).parts[-1].partition(".")[0]

    class Renamed(network):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.renamed = getattr(self, top)
            delattr(self, top)

    monkeypatch.setattr(transformers, inside, Renamed)
    with pytest.raises(UsageError) as caught:
        build(name)
    assert transformers.__version__ in str(caught.value)
    assert TESTED in str(caught.value)


@pytest.mark.parametrize("module", [None, SimpleNamespace(__version__="9.0")], ids=["absent", "without"])
def test_a_missing_class_of_transformers_names_the_versions_that_fit(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", module)
    with pytest.raises(UsageError) as caught:
        registry.get("encoders", "vit").thing(SHAPES["vit"], size="tiny")
    assert TESTED in str(caught.value)
    assert "damaged" not in str(caught.value)


# Public checkpoints


def public_embedding(name: str, model: Any, encoder: Any, x: Tensor) -> Tensor:
    """What the public network makes of the rows, by its own classes."""
    body = body_of(model)
    if name == "ast":
        pooled: Tensor = body((x - AUDIOSET_MEAN) / (2 * AUDIOSET_STD)).pooler_output
        return pooled
    half, imagenet = (torch.full((3,), 0.5),) * 2, (face_clips.IMAGENET_MEAN, face_clips.IMAGENET_STD)
    mean, std = (torch.as_tensor(value) for value in (half if name == "vit" else imagenet))
    frames = [
        body(((x[:, i] / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()) for i in encoder.sampled_frames
    ]
    if name == "vit":
        return torch.stack([frame.last_hidden_state[:, 0] for frame in frames]).mean(dim=0)
    if name == "resnet50-ca":
        return torch.stack([encoder.attention(f.last_hidden_state).mean((2, 3)) for f in frames]).mean(dim=0)
    return torch.stack([frame.pooler_output for frame in frames]).mean(dim=0)


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("name", ENCODERS)
def test_a_public_checkpoint_gives_the_public_outputs(name: str, pickled: bool, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = public_model(name)
    model.save_pretrained(tmp_path)
    if pickled:
        stored = tmp_path / "model.safetensors"
        torch.save(load_file(stored), tmp_path / "pytorch_model.bin")
        stored.unlink()
    encoder = build(name)
    encoder.load_weights(tmp_path)
    x = sounds() if name == "ast" else clips()
    encoder.fit_input(x)
    with torch.inference_mode():
        expected = public_embedding(name, model, encoder, x)
        torch.testing.assert_close(encoder(x), expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 1e-2


def test_checkpoints_have_the_names_of_the_public_files(tmp_path: Path) -> None:
    """The names under which the public weights were released; newer transformers have others inside."""
    from safetensors.torch import load_file

    for name, key in {
        "ast": "audio_spectrogram_transformer.encoder.layer.0.attention.attention.query.weight",
        "vit": "vit.encoder.layer.0.attention.attention.query.weight",
        "resnet50-ca": "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight",
        "efficientnet-b0": "efficientnet.encoder.blocks.0.depthwise_conv.depthwise_conv.weight",
    }.items():
        public_model(name).save_pretrained(tmp_path / name)
        assert key in load_file(tmp_path / name / "model.safetensors")


@pytest.mark.parametrize("name", ["ast", "vit"])
def test_a_checkpoint_without_a_head_is_taken_too(name: str, tmp_path: Path) -> None:
    body = body_of(public_model(name))
    body.save_pretrained(tmp_path)
    encoder = build(name)
    encoder.load_weights(tmp_path)
    assert all(torch.equal(value, body.state_dict()[key]) for key, value in encoder.body.state_dict().items())


def test_the_checkpoint_says_how_pictures_are_standardised(tmp_path: Path) -> None:
    public_model("vit").save_pretrained(tmp_path)
    facts = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    encoder = build("vit")
    encoder.load_weights(tmp_path)
    torch.testing.assert_close(encoder.mean.flatten(), torch.tensor(facts["image_mean"]))
    torch.testing.assert_close(encoder.std.flatten(), torch.tensor(facts["image_std"]))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": ["a"]}))
    with pytest.raises(DataError, match="image_mean"):
        encoder.load_weights(tmp_path)


def with_config(folder: Path, **changes: Any) -> Path:
    public_model("vit").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def with_tensors(folder: Path, **changes: Tensor | None) -> Path:
    from safetensors.torch import load_file, save_file

    public_model("vit").save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors") | {f"vit.{k}": v for k, v in changes.items()}
    kept = {key: value for key, value in tensors.items() if value is not None}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


def refused(folder: Path) -> str:
    """The message with which `vit` refuses the folder; its weights are as before."""
    encoder = build("vit")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(DataError) as caught:
        encoder.load_weights(folder)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    message = str(caught.value)
    assert str(folder) in message
    return message


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    assert "'resnet'" in refused(with_config(tmp_path, model_type="resnet"))


def test_base_weights_do_not_fit_tiny(tmp_path: Path) -> None:
    message = refused(with_config(tmp_path, hidden_size=768))
    assert "hidden_size 768" in message
    assert "'tiny'" in message
    assert "64" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"layernorm.bias": None}, "layernorm.bias is missing"),
        ({"layernorm.extra": torch.ones(2)}, "layernorm.extra is not part of this network"),
        ({"layernorm.weight": torch.ones(3)}, "layernorm.weight has the shape (3,)"),
    ],
)
def test_weights_that_belie_their_config_are_refused(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert expected in refused(with_tensors(tmp_path, **changes))


def test_folders_without_weights_are_refused(tmp_path: Path) -> None:
    assert "config.json" in refused(tmp_path / "absent")
    folder = with_config(tmp_path / "no_weights")
    (folder / "model.safetensors").unlink()
    assert "no readable weights" in refused(folder)
    (folder / "model.safetensors").write_bytes(b"this is not")
    assert "no readable weights" in refused(folder)
    (folder / "config.json").write_text("[1]")
    assert "not a JSON object" in refused(folder)


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["EVIL_FOLDER"],)


def test_a_pickled_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL_FOLDER", str(tmp_path / "made"))
    folder = with_config(tmp_path / "weights")
    (folder / "model.safetensors").unlink()
    torch.save({"vit.layernorm.bias": Evil()}, folder / "pytorch_model.bin")
    assert "no readable weights" in refused(folder)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("n_frames", [64, 200])
def test_a_checkpoint_for_other_lengths_fits(n_frames: int, tmp_path: Path) -> None:
    model = public_model("ast")
    model.save_pretrained(tmp_path)
    encoder = build("ast", (n_frames, 32))
    encoder.load_weights(tmp_path)
    theirs, ours = body_of(model).state_dict()[POSITIONS], encoder.body.state_dict()[POSITIONS]
    assert torch.equal(ours[:, :2], theirs[:, :2])
    grid = theirs[0, 2:].reshape(2, 6, -1)  # bands, steps of time
    if n_frames == 64:
        assert torch.equal(ours[0, 2:].reshape(2, 4, -1), grid[:, 1:5])
    assert torch.isfinite(encoder(sounds(shape=(n_frames, 32)))).all()


# Learning


def faces(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips of noise, of any brightness, with a light bar above or below the middle."""
    rng = np.random.default_rng(seed)
    up = np.arange(n) % 2
    x = rng.uniform(40, 140, (n, 1, 1, 1, 1)) + rng.normal(0, 15, (n, 2, 32, 32, 3))
    for i in range(n):
        top, side = rng.integers(2, 6) + 16 * up[i], rng.integers(2, 10)
        x[i, :, top : top + 6, side : side + 18] += 60
    return x.clip(0, 255).astype(np.uint8), np.where(up, "up", "down")


def voices(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of any loudness and length, padded with 0; energy in low or in high bands for a while."""
    rng = np.random.default_rng(seed)
    high = np.arange(n) % 2
    x = rng.normal(-6, 2, (n, 96, 64)) + rng.normal(0, 1, (n, 1, 1))
    for i in range(n):
        start, band = rng.integers(0, 20), rng.integers(4, 12) + 30 * high[i]
        x[i, start : start + 24, band : band + 12] += 4
        x[i, rng.integers(50, 96) :] = 0
    return x.astype(np.float32), np.where(high, "high", "low")


@pytest.mark.parametrize(
    ("name", "epochs"), [("ast", 18), ("vit", 8), ("resnet50-ca", 8), ("efficientnet-b0", 8)]
)
def test_learns(name: str, epochs: int) -> None:
    made = voices if name == "ast" else faces
    settings = TrainSettings(epochs=epochs, batch=8, lr=2e-3, ema=0.9, dropout=0.1, device="cpu", patience=20)
    model = fit(*made(80, 0), encoder=name, encoder_settings={"size": "tiny"}, settings=settings)
    x, labels = made(100, 1)
    assert (model.predict(x) == labels).mean() >= 0.9


def test_staged_fine_tuning_starts_from_public_weights(tmp_path: Path) -> None:
    public = public_model("vit")
    public.save_pretrained(tmp_path)
    x, labels = faces(12, 0)
    settings = TrainSettings(epochs=2, freeze_epochs=1, lr=1e-9, ema=0.0, weight_decay=0.0, device="cpu")
    model = fit(
        x, labels, encoder="vit", encoder_settings={"size": "tiny"}, settings=settings, weights=tmp_path
    )
    expected = body_of(public).state_dict()
    prefix = "0.encoder.body."
    ours = {key.removeprefix(prefix): v for key, v in model.state_dict().items() if key.startswith(prefix)}
    assert ours.keys() == expected.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-6)


def test_bodies_are_modules_that_can_be_held_fixed() -> None:
    for name in ENCODERS:
        encoder = build(name)
        assert isinstance(encoder.body, nn.Module)
        assert sum(p.numel() for p in encoder.body.parameters()) > 0.5 * sum(
            p.numel() for p in encoder.parameters()
        )
