"""Chains of augmentations: names, settings, kinds of rows."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import torch
from augmented_rows import KINDS, generator, rows

from eavctl.augmentations.kind import Kind
from eavctl.augmentations.pipeline import known, pipeline
from eavctl.errors import UsageError
from eavctl.storage.metadata import FeatureMeta

SHAPES = {"images": (12, 10, 3), "spectrograms": (24, 50), "eeg": (5, 200)}


def table(features: str, shape: tuple[int, ...], modality: str, **facts: Any) -> FeatureMeta:
    return FeatureMeta(modality, features, 1, facts.pop("settings", {}), "aa", shape=shape, **facts)


def steps(kind: str, *names: str) -> list[str]:
    return [step.name for step in pipeline(KINDS[kind], names).steps]


@pytest.mark.parametrize("kind", KINDS)
def test_no_names_are_the_defaults_and_every_name_can_be_given(kind: str) -> None:
    assert steps(kind) == steps(kind, "default")
    assert set(steps(kind)) < {*known(KINDS[kind]), "?"}
    assert steps(kind, *reversed(known(KINDS[kind]))) == known(KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_is_its_steps_one_after_another(kind: str) -> None:
    x = torch.rand(4, *SHAPES[kind], generator=generator(1)) * 200
    kept = x.clone()
    whole = pipeline(KINDS[kind], known(KINDS[kind]))
    found = whole(x, generator())
    shared, expected = generator(), x
    for step in whole.steps:
        expected = pipeline(KINDS[kind], [str(step)])(expected, shared)
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32
    assert torch.equal(x, kept)


def test_the_level_is_altered_only_where_named() -> None:
    assert "gain" not in steps("spectrograms")
    assert steps("spectrograms", "default", "gain") == [
        name for name in known(KINDS["spectrograms"]) if name in (*steps("spectrograms"), "gain")
    ]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("jitter:0.2", {"strength": 0.2, "p": 1}),
        ("jitter:p=0.5", {"strength": 0.8, "p": 0.5}),
        (" jitter : 0.2 : p = 0.5 ", {"strength": 0.2, "p": 0.5}),
    ],
)
def test_settings_stand_behind_a_name(text: str, settings: dict[str, float]) -> None:
    (step,) = pipeline(KINDS["images"], [text]).steps
    assert step.settings == settings


def test_the_last_settings_of_a_name_count() -> None:
    found = pipeline(KINDS["images"], ["default", "jitter:0.1"])
    assert [step.name for step in found.steps] == steps("images")
    assert {step.name: step.settings for step in found.steps}["jitter"]["strength"] == 0.1


@pytest.mark.parametrize("names", [[], ["none"], ["default", "erase:0.3"], ["crop:scale=0.3:ratio=1.5"]])
def test_a_description_makes_the_same_chain(names: list[str]) -> None:
    found = pipeline(KINDS["images"], names)
    told = json.loads(json.dumps(found.describe()))
    assert pipeline(KINDS["images"], told) == found
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("images", ["flop"], "'flip'"),
        ("images", ["time-mask"], "crop"),
        ("eeg", ["mel-shift"], "surrogate"),
        ("images", ["jitter:power=2"], "power"),
        ("images", ["jitter:2"], "strength"),
        ("images", ["jitter:much"], "much"),
        ("images", ["jitter:nan"], "strength"),
        ("images", ["flip", "none"], "none"),
        ("images", ["flip:0.1:0.2:p=x"], "x"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: str, names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pipeline(KINDS[kind], names)


def test_what_rows_lack_is_left_out_of_the_defaults_and_refused_by_name() -> None:
    standardised = Kind("spectrograms")
    assert "background" not in [step.name for step in pipeline(standardised).steps]
    with pytest.raises(UsageError, match="dB"):
        pipeline(standardised, ["gain"])
    with pytest.raises(UsageError, match="rate"):
        pipeline(Kind("eeg"), ["band-stop"])


def test_no_augmentation_is_known_for_columns_but_none() -> None:
    x = rows("eeg")
    assert torch.equal(pipeline(None, ["none"])(x, generator()), x)
    assert pipeline(None, ["none"]).describe() == ["none"]
    with pytest.raises(UsageError):
        pipeline(None)


@pytest.mark.parametrize("shape", [(4, 9, 8, 3), (4, 9, 8, 1), (4, 5, 9, 8, 3)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_pictures_and_clips_of_bytes_come_out_as_floats_of_their_shape(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x = torch.randint(256, shape, generator=generator(1)).to(dtype)
    found = pipeline(Kind("images"), ["flip:1"])(x, generator())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, x.flip(len(shape) - 2).float())
    assert pipeline(Kind("images"))(x, generator()).shape == shape


def test_spectrograms_with_frames_first_are_augmented_as_others() -> None:
    x = rows("spectrograms")
    first = Kind("spectrograms", frames_first=True, padding=-80.0, decibels=1.0)
    found = pipeline(first)(x.transpose(1, 2), generator())
    torch.testing.assert_close(found.transpose(1, 2), pipeline(KINDS["spectrograms"])(x, generator()))


def test_the_kind_of_a_table_follows_from_its_metadata() -> None:
    logmel = table("logmel", (64, 300), "audio")
    assert Kind.of(logmel) == Kind("spectrograms", False, -80.0, 1.0)
    assert Kind.of(logmel._asdict()) == Kind.of(logmel)
    assert Kind.of(logmel._replace(normalized={"axis": 0})) == Kind("spectrograms")
    fbank = Kind.of(table("fbank", (1024, 128), "audio"))
    assert fbank is not None
    assert fbank.frames_first
    assert fbank.decibels == pytest.approx(4.343, abs=1e-3)
    filtering = {"rate": 128, "low": 1.0, "high": 40.0}
    epochs = table("eeg-epochs", (30, 500), "eeg", settings=filtering)
    assert Kind.of(epochs) == Kind("eeg", band=(1.0, 40.0), sfreq=128)
    assert Kind.of(table("faces", (25, 56, 56, 3), "video")) == Kind("images")
    assert Kind.of(table("faces", (56, 56, 1), "video")) == Kind("images")


@pytest.mark.parametrize(
    ("features", "shape", "modality"),
    [("functionals", (3,), "audio"), ("eeg-bands", (3,), "eeg"), ("face-stats", (3,), "video")],
)
def test_columns_are_of_no_kind(features: str, shape: tuple[int, ...], modality: str) -> None:
    assert Kind.of(table(features, shape, modality, columns=["a", "b", "c"])) is None
