"""Weights are identified by what they compute, and found in folders or in an installed package."""

import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from eavctl.errors import DataError
from eavctl.features.speech_encoders import packaged, weights
from eavctl.features.speech_encoders.base import load_encoder
from eavctl.features.speech_encoders.checkpoint import read_checkpoint
from eavctl.features.speech_encoders.weights import find, identify, size_of

TENSORS = "model.safetensors"


@pytest.fixture
def checkpoint(write_whisper, tmp_path):
    return write_whisper(tmp_path / "checkpoint")


@pytest.fixture
def _no_package(monkeypatch):
    monkeypatch.setattr(packaged, "FILE", packaged.FILE._replace(folder="no_package_of_this_name"))


def identity(folder):
    return identify(read_checkpoint(folder))


def rewrite(folder, make):
    save_file(make({k: np.array(v) for k, v in load_file(folder / TENSORS).items()}), folder / TENSORS)


# --- identity ---------------------------------------------------------------------------------------------


def test_the_identity_names_kind_and_size(checkpoint):
    name = identity(checkpoint)
    assert name.startswith("whisper-3x16-")
    assert size_of(name) == (3, 16)
    with pytest.raises(ValueError, match="checkpoint"):
        size_of(str(checkpoint))


def test_another_place_precision_or_head_changes_nothing(checkpoint, write_whisper, tmp_path):
    rewrite(checkpoint, lambda tensors: {k: v.astype(np.float16) for k, v in tensors.items()})
    half = identity(checkpoint)
    rewrite(checkpoint, lambda tensors: {k: v.astype(np.float32) for k, v in tensors.items()})
    assert identity(checkpoint) == half
    for prefix in ("encoder.", "model.encoder."):
        other = write_whisper(tmp_path / "other")
        (other / TENSORS).write_bytes((checkpoint / TENSORS).read_bytes())
        head = {"proj_out.weight": np.ones((3, 16), np.float32)}
        rewrite(other, lambda tensors, p=prefix, h=head: {f"{p}{k}": v for k, v in tensors.items()} | h)
        assert identity(other) == half
        signal = np.random.default_rng(0).normal(size=8000).astype(np.float32)
        one, two = (load_encoder(each).hidden_states([signal], [3])[0] for each in (checkpoint, other))
        assert np.array_equal(one, two)


def test_other_values_or_another_config_change_it(checkpoint, write_whisper, tmp_path):
    kept = identity(checkpoint)
    assert identity(write_whisper(tmp_path / "seed", seed=1)) != kept
    assert identity(write_whisper(tmp_path / "normal", preprocessor={"do_normalize": True})) != kept
    assert identity(write_whisper(tmp_path / "heads", encoder_attention_heads=4)) != kept
    assert identity(write_whisper(tmp_path / "named", architectures=["X"], dropout=0.5)) == kept

    def swapped(tensors):
        first, second = "layers.0.fc1.bias", "layers.1.fc1.bias"
        return {**tensors, first: tensors[second], second: tensors[first]}

    rewrite(checkpoint, swapped)
    assert identity(checkpoint) != kept


def test_a_value_that_is_not_finite_is_found(checkpoint):
    rewrite(checkpoint, lambda tensors: tensors | {"layers.2.fc2.bias": np.full(16, np.nan, np.float32)})
    with pytest.raises(DataError, match=r"checkpoint.*layers\.2\.fc2\.bias"):
        identity(checkpoint)


# --- finding ----------------------------------------------------------------------------------------------


def test_the_folder_with_the_wanted_weights_is_found(checkpoint, write_whisper, tmp_path):
    other = write_whisper(tmp_path / "other", seed=1)
    wanted = identity(checkpoint)
    assert find([checkpoint]).identity == wanted
    assert find([other, checkpoint], wanted).path == checkpoint
    with pytest.raises(DataError) as caught:
        find([other], wanted)
    assert wanted in str(caught.value)
    assert identity(other) in str(caught.value)
    assert str(other) in str(caught.value)
    with pytest.raises(DataError, match=wanted):
        find([], wanted)


@pytest.mark.usefixtures("_no_package")
@pytest.mark.parametrize("wanted", [None, packaged.IDENTITY])
def test_an_absent_package_says_how_to_install_it(wanted):
    with pytest.raises(DataError) as caught:
        find([], wanted)
    assert packaged.FILE.install in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_change_after_they_are_found_are_not_used(checkpoint):
    found = find([checkpoint])
    rewrite(checkpoint, lambda tensors: {k: 2 * v for k, v in tensors.items()})
    os.utime(checkpoint / TENSORS, (1, 1))
    with pytest.raises(DataError, match="checkpoint"):
        found.load()


def test_an_encoder_is_loaded_once_a_process(checkpoint):
    found = pickle.loads(pickle.dumps(find([checkpoint])))
    assert found.load() is find([checkpoint]).load()


# --- the package ------------------------------------------------------------------------------------------


@pytest.fixture
def package():
    path = packaged.FILE.find()
    if path is None:
        pytest.skip(f"pipecat-ai is not installed: {packaged.FILE.install}")
    return path


def test_the_packaged_weights_are_those_of_the_published_checkpoint(package, shared_data):
    folder = shared_data / "speech-encoder" / "whisper-tiny-8s"
    ours, theirs = packaged.read(package), read_checkpoint(folder)
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in theirs.tensors)
    assert identify(ours) == identify(theirs) == packaged.IDENTITY


def test_the_packaged_weights_have_the_identity_that_is_written_down(package):
    assert identify(packaged.read(package)) == packaged.IDENTITY
    found = find()
    assert found == find([], packaged.IDENTITY)
    assert found.path == package
    encoder = found.load()
    assert (encoder.n_blocks, encoder.width, encoder.longest_s) == (4, 384, 8.0)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "zeros"])
def test_a_damaged_package_is_an_error(damage, package, tmp_path):
    content = bytearray(package.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    elif damage == "zeros":
        content[4096:8192] = bytes(4096)
    else:
        content = content[: len(content) // 2 if damage == "cut" else 0]
    (tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.onnx.*pipecat-ai"):
        packaged.read(tmp_path / "damaged.onnx")
    found = weights.Weights(tmp_path / "damaged.onnx", packaged.IDENTITY, weights.find().stamp)
    with pytest.raises(DataError, match=r"damaged\.onnx"):
        found.load()


def test_the_metadata_hold_no_path(checkpoint):
    assert str(checkpoint.parent) not in json.dumps(find([checkpoint]).identity)
