"""The file of an encoder: written, read, and refused where a classifier is wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eavctl.encoders.mlp import Mlp
from eavctl.errors import DataError, UsageError
from eavctl.pretraining.encoder_model import EncoderModel, StreamEncoder
from eavctl.storage import artifacts

FEATURES = {"modality": "audio", "features": "seed33", "features_version": 1, "features_hash": "aa"}
AUDIO = {**FEATURES, "settings": {}, "shape": [5]}
META = {
    "kind": "encoder",
    "training_hash": "ff",
    "protocol": {"name": "self-supervised"},
    "versions": {},
    "pretraining": {"method": "simclr", "collapsed": False},
}


def stream(name: str, n: int) -> StreamEncoder:
    return StreamEncoder(name, "mlp", {"units": 8, "dropout": 0.0}, (n,), ("mean", "std"))


def model(*streams: StreamEncoder) -> EncoderModel:
    encoders = [Mlp(each.shape, units=8, dropout=0.0) for each in streams]
    for number, encoder in enumerate(encoders):
        encoder.fit_input(torch.full((9, *streams[number].shape), 3.0 + number))
    return EncoderModel(streams, encoders)


@pytest.fixture
def single(tmp_path):
    path, made = tmp_path / "encoder.pt", model(stream("", 5))
    artifacts.save(path, made, {**META, **AUDIO})
    return path, made


def test_what_is_written_is_read(single):
    path, made = single
    found = EncoderModel.load(path)
    x = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    assert found.streams == ()
    assert (found.encoder_name(), found.shape()) == ("mlp", (5,))
    assert found.encoder_settings() == {"units": 8, "dropout": 0}
    assert found.features().features == "seed33"
    assert found.facts == META["pretraining"]
    assert found.meta.kind == "encoder"
    assert found.embed(x).dtype == np.float32
    assert np.array_equal(found.embed(x), made.embed(x))
    assert torch.equal(found.state()["mean"], torch.full((5,), 3.0))
    assert not found.encoder().training


def test_several_streams_are_named(tmp_path):
    path, made = tmp_path / "clip.pt", model(stream("eeg", 4), stream("audio", 5))
    inputs = [{**AUDIO, "name": "eeg", "modality": "eeg", "shape": [4]}, {**AUDIO, "name": "audio"}]
    artifacts.save(path, made, {**META, "streams": inputs})
    found = EncoderModel.load(path)
    assert found.streams == ("eeg", "audio")
    assert (found.shape("eeg"), found.features("eeg").modality) == ((4,), "eeg")
    assert torch.equal(found.state("audio")["mean"], torch.full((5,), 4.0))
    for name in (None, "video"):
        with pytest.raises(UsageError, match="eeg, audio"):
            found.embed(np.zeros((2, 4), np.float32), name)


def test_rows_of_another_shape_are_refused(single):
    with pytest.raises(DataError, match=r"\(5,\)"):
        EncoderModel.load(single[0]).embed(np.zeros((2, 4), np.float32))


def test_an_encoder_is_no_classifier_and_a_classifier_no_encoder(single, tmp_path, model_meta):
    with pytest.raises(DataError, match="encoder.pt.*\n.*train-dnn --init"):
        artifacts.load(single[0])

    class Nothing:
        def to_meta(self):
            return {}

        def state_dict(self):
            return {"w": torch.zeros(1)}

    artifacts.save(tmp_path / "dnn.pt", Nothing(), model_meta("dnn"))
    with pytest.raises(DataError, match="dnn.pt.*'dnn'.*eavctl pretrain"):
        EncoderModel.load(tmp_path / "dnn.pt")


def test_a_damaged_file_is_refused(single):
    path = single[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="encoder.pt"):
        EncoderModel.load(path)


def test_it_needs_the_ending_of_networks(single, tmp_path):
    with pytest.raises(UsageError, match=r"\.pt"):
        artifacts.save(tmp_path / "encoder.joblib", single[1], {**META, **AUDIO})
