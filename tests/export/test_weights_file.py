"""The safetensors file of a network: the safetensors library reads it, and it makes the network again."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.network import build_network
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError, UsageError
from eavctl.export.weights_file import write_safetensors
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign
from eavctl.storage import artifacts, ownership
from eavctl.storage.ownership import Output

SHAPE = (64, 32)
CALIBRATED = {"classes": ["a", "b"], "temperatures": [0.5, 2.0], "biases": [[0.1, -0.1], [0.0, 0.3]]}
NETWORK = {"encoder": "cnn-lstm", "encoder_settings": {"channels": [4, 8], "lstm_units": 8}, "shape": SHAPE}


@pytest.fixture
def network(tmp_path, model_meta):
    """The file of a network of two members."""
    torch.manual_seed(0)
    meta = {**NETWORK, "dropout": 0.1, **CALIBRATED}
    model = DnnModel([build_network(meta) for _ in CALIBRATED["temperatures"]], meta)
    path = tmp_path / "m.pt"
    fold = artifacts.FoldModel(1, {}, model)
    artifacts.save(path, model, model_meta("dnn", shape=list(SHAPE)), folds=[fold])
    return path


@pytest.fixture
def fusion(tmp_path, model_meta):
    """The file of a fusion network of two streams."""
    torch.manual_seed(0)
    streams = tuple(StreamDesign(name, "mlp", {"units": 12}, (6,)) for name in ("one", "other"))
    design = Design("attention", streams)
    networks = [design.build(2) for _ in CALIBRATED["temperatures"]]
    model = FusionModel(networks, {"design": design.to_meta(), **CALIBRATED})
    path = tmp_path / "fusion.pt"
    artifacts.save(path, model, model_meta("fusion"))
    return path


def rebuilt(path, kind):
    with safe_open(path, "pt") as handle:
        (content,) = handle.metadata().values()
    meta = json.loads(content)
    assert "kept_folds" not in meta
    return kind.from_parts(load_file(path), meta["model"])


def test_a_network_comes_back_with_equal_probabilities(network, tmp_path):
    model, path = artifacts.load(network), tmp_path / "m.safetensors"
    write_safetensors(model, path)
    x = np.random.default_rng(0).normal(-40, 10, (5, *SHAPE)).astype(np.float32)
    assert np.array_equal(rebuilt(path, DnnModel).predict_proba(x), model.predict_proba(x))
    first = path.read_bytes()
    write_safetensors(artifacts.load(network), path)
    assert path.read_bytes() == first


def test_a_fusion_network_comes_back_with_equal_probabilities(fusion, tmp_path):
    model, path = artifacts.load(fusion), tmp_path / "fusion.safetensors"
    write_safetensors(model, path)
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    rows = Streams(tuple(x), np.array([[1, 1], [0, 1], [1, 0], [1, 1], [0, 1]], bool))
    assert np.array_equal(rebuilt(path, FusionModel).predict_proba(rows), model.predictor.predict_proba(rows))


def test_the_file_is_known_and_is_no_model(network, tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(artifacts.load(network), path)
    assert ownership.kind_of(path) == "weights"
    ownership.guard([Output(path, "weights")])
    with pytest.raises(DataError, match=r"m\.safetensors.*weights"):
        artifacts.load(path)


def test_what_is_no_network_is_refused(tmp_path, model_meta):
    from eavctl.classifiers import linear

    rng = np.random.default_rng(0)
    artifacts.save(
        tmp_path / "m.joblib",
        linear.fit(rng.normal(size=(40, 3)), np.array(["a", "b"] * 20)),
        model_meta("linear", shape=[3]),
    )
    path = tmp_path / "m.safetensors"
    with pytest.raises(UsageError, match="linear"):
        write_safetensors(artifacts.load(tmp_path / "m.joblib"), path)
    assert not path.exists()


def test_without_safetensors_the_error_says_what_to_install(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(DataError, match=r"eavctl\[export\]"):
        write_safetensors(artifacts.load(network), tmp_path / "m.safetensors")
