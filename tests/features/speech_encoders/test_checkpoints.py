"""Reading checkpoints: formats and precisions, and files that are damaged or lie."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from eavctl.errors import DataError
from eavctl.features.speech_encoders.base import KINDS, load_encoder
from eavctl.features.speech_encoders.checkpoint import read_checkpoint
from eavctl.features.speech_encoders.tensor_files import safetensors
from eavctl.features.speech_encoders.weights import identify


def written(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def about(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8"])
def test_safetensors_are_read_in_float32(dtype, tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "a": (50 * rng.random((3, 4))).astype(dtype),
        "b": np.ones((), dtype),
        "empty": np.ones((0, 2), dtype),
    }
    save_file(tensors, tmp_path / "x")
    found = safetensors(tmp_path / "x")
    assert found.keys() == tensors.keys()
    for name, tensor in found.items():
        assert tensor.shape == tensors[name].shape
        assert np.array_equal(tensor.read(), tensors[name].astype(np.float32))
        assert tensor.read().dtype == np.float32


def test_bfloat16_is_read_as_by_torch(tmp_path):
    import torch
    from safetensors.torch import save_file as save

    wanted = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    save({"a": wanted}, tmp_path / "x")
    assert np.array_equal(safetensors(tmp_path / "x")["a"].read(), wanted.float().numpy())


@pytest.mark.parametrize("padding", range(8))
def test_data_at_any_address_are_read(padding, tmp_path):
    header = json.dumps(about()).encode() + b" " * padding
    path = written(tmp_path / "x", header, np.array([1, 2], "<f4").tobytes())
    assert safetensors(path)["a"].read().tolist() == [1, 2]


DATA = bytes(8)


@pytest.mark.parametrize(
    ("header", "data", "length"),
    [
        (b"not json", DATA, None),
        (b"[]", DATA, None),
        (b"\xff\xfe", DATA, None),
        (b"[" * 100_000, DATA, None),
        (about(), DATA, 2**63),
        (about(), DATA, 10_000),
        (about(), b"", None),
        (about(offsets=(0, 4)), DATA, None),
        (about(offsets=(4, 12)), DATA, None),
        (about(offsets=(-8, 0)), DATA, None),
        (about(offsets=(8, 0)), DATA, None),
        (about(offsets=("0", "8")), DATA, None),
        (about(shape=(-2,)), DATA, None),
        (about(shape=(-1, -2)), DATA, None),
        (about(shape=(2**62, 4)), DATA, None),
        (about(shape=(2**70,)), DATA, None),
        (about(shape=(None,)), DATA, None),
        (about(dtype="F8"), DATA, None),
        ({"a": {"dtype": "F32"}}, DATA, None),
        ({"a": 5}, DATA, None),
    ],
)
def test_a_header_that_lies_is_an_error_that_names_the_file(header, data, length, tmp_path):
    path = written(tmp_path / "model.safetensors", header, data, length)
    with pytest.raises(DataError, match=r"model\.safetensors"):
        safetensors(path)


def test_a_file_cut_anywhere_is_an_error(tmp_path):
    save_file({"a": np.ones(3, np.float32)}, tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(DataError, match="cut"):
            safetensors(tmp_path / "cut")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_random_bytes_are_an_error_or_tensors(tmp_path_factory, content, length):
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(length.to_bytes(8, "little") + content)
    with contextlib.suppress(DataError):
        assert all(tensor.read().dtype == np.float32 for tensor in safetensors(path).values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error(bad, write_whisper, tmp_path):
    folder = write_whisper(tmp_path)
    values = np.zeros((50, 16), np.float32)
    values[7, 3] = bad
    save_file({"embed_positions.weight": values}, folder / "model.safetensors")
    with pytest.raises(DataError, match=r"model\.safetensors: embed_positions\.weight"):
        read_checkpoint(folder).tensors["embed_positions.weight"]


@pytest.mark.parametrize("is_archive", [True, False])  # as torch saves since 1.6, and as before
def test_a_pickled_checkpoint_is_the_same(is_archive, write_whisper, tmp_path):
    import torch

    folder = write_whisper(tmp_path)
    kept = read_checkpoint(folder).tensors
    precisions = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
    state = {name: torch.tensor(kept[name]).to(precisions[i % 4]) for i, name in enumerate(kept)}
    path = folder / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=is_archive)
    (folder / "model.safetensors").unlink()
    found = read_checkpoint(folder).tensors
    assert found.keys() == kept.keys()
    for name, wanted in state.items():
        assert found.shape(name) == wanted.shape
        assert np.array_equal(found[name], wanted.float().numpy())


class Harmful:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_that_would_run_code_is_refused(write_whisper, tmp_path, capsys):
    import torch

    (write_whisper(tmp_path) / "model.safetensors").unlink()
    torch.save({"conv1.weight": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model\.bin"):
        load_encoder(tmp_path)
    assert "must not run" not in capsys.readouterr().out


def test_folders_that_hold_no_checkpoint_are_named(write_whisper, tmp_path):
    with pytest.raises(DataError, match=r"absent.*config\.json"):
        read_checkpoint(tmp_path / "absent")
    (write_whisper(tmp_path / "bare") / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"bare.*model\.safetensors"):
        read_checkpoint(tmp_path / "bare")
    for content in ("[1]", "{", "\udcff", "[" * 100_000):
        (tmp_path / "bare" / "config.json").write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(DataError, match=r"bare.*config\.json"):
            read_checkpoint(tmp_path / "bare")


def test_the_preprocessor_is_read_from_either_of_its_files(write_whisper, tmp_path):
    facts = {"do_normalize": True, "sampling_rate": 16000}
    older = identify(read_checkpoint(write_whisper(tmp_path / "older", preprocessor=facts)))
    newer = write_whisper(tmp_path / "newer")
    assert identify(read_checkpoint(newer)) != older
    (newer / "processor_config.json").write_text(json.dumps({"processor_class": "WhisperProcessor"}))
    assert read_checkpoint(newer).preprocessor == {}
    (newer / "processor_config.json").write_text(json.dumps({"feature_extractor": facts}))
    assert identify(read_checkpoint(newer)) == older


@pytest.mark.parametrize("content", [[1], {"feature_extractor": [1]}, {"feature_extractor": {"n_fft": 5}}])
def test_a_processor_that_does_not_fit_is_named(content, write_whisper, tmp_path):
    (write_whisper(tmp_path) / "processor_config.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"/processor_config\.json"):
        load_encoder(tmp_path)


def test_an_unknown_kind_names_the_known_ones(write_whisper, tmp_path):
    with pytest.raises(DataError, match="bert") as caught:
        load_encoder(write_whisper(tmp_path, model_type="bert"))
    assert all(kind in str(caught.value) for kind in KINDS)
