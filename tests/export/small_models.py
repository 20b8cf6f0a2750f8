"""Small models as files give them, with random weights where a training would take long."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import torch

from eavctl import registry
from eavctl.classifiers import linear, novelty, svm
from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.network import build_network
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign
from eavctl.fusion.pool import Pool
from eavctl.fusion.pooled import PooledFusion, SingleModel, network_design
from eavctl.storage.artifacts import Model
from eavctl.storage.metadata import ModelMeta

CLASSES = ["calm", "happy", "sad"]
FEATURES = {"audio": "logmel", "eeg": "eeg-epochs", "video": "faces", None: "functionals"}
SMALLER = {"cnn-lstm": {"channels": [2, 4], "lstm_units": 4}}  # than the registry's example settings
CALIBRATION = {"temperatures": [1.5, 0.4], "biases": [[0.0, 0.1, -0.2], [0.3, 0.0, 0.0]]}


def model(kind: str, predictor: Any, novel: Any = None, **about: Any) -> Model:
    meta = {"kind": kind, "training_hash": "ff", "versions": {}, "protocol": {"name": "loso"}, **about}
    meta["model"] = predictor.to_meta()
    if novel is not None:
        meta["novelty"] = novel.to_meta()
    return Model(ModelMeta.from_json(json.loads(json.dumps(meta)), "model"), predictor, novel)


def features(modality: str | None, shape: Any, **facts: Any) -> dict[str, Any]:
    name = FEATURES[modality]
    known = {"modality": modality or "audio", "features": name, "features_version": 1, "settings": {}}
    return {**known, "features_hash": f"{name} {list(shape)}", "shape": list(shape), **facts}


def columns(n_rows: int = 120, n_columns: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Rows of columns with means of many deviations, and labels that some of them tell."""
    rng = np.random.default_rng(0)
    labels = np.array(CLASSES)[rng.integers(3, size=n_rows)]
    x = rng.normal(size=(n_rows, n_columns))
    x[:, :5] += 2 * (labels == "sad")[:, None]
    return (x * rng.lognormal(0, 3, n_columns) + rng.normal(0, 1e5, n_columns)).astype(np.float32), labels


def of_columns(kind: str) -> Model:
    """A fitted machine of columns, with the distance from its rows."""
    x, labels = columns()
    novel = novelty.fit(x, np.array(["set"] * 120), [(np.arange(10), np.arange(10, 120))], "subjects")
    assert novel is not None
    fitted = {"svm": svm, "linear": linear}[kind].fit(x, labels)
    about = features(None, x.shape[1:], columns=[f"c{i}" for i in range(x.shape[1])])
    return model(kind, fitted, novel, **about)


def example_settings(encoder: str) -> dict[str, Any]:
    """Settings of a small encoder."""
    return {**registry.get("encoders", encoder).facts.get("example_settings", {}), **SMALLER.get(encoder, {})}


def network(encoder: str, members: int = 1, shape: Any = None, **settings: Any) -> Model:
    """A network with random weights, whose input statistics are fitted on made-up rows."""
    facts = registry.get("encoders", encoder).facts
    shape = list(shape or facts["example_shape"])
    meta = {
        "encoder": encoder,
        "encoder_settings": {**example_settings(encoder), **settings},
        "shape": shape,
        "classes": CLASSES,
        "dropout": 0.3,
        **{key: values[:members] for key, values in CALIBRATION.items()},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = [build_network(meta) for _ in range(members)]
        for each in networks:
            warm(each.encoder, shape, facts)
    return model("dnn", DnnModel(networks, meta), **features(facts["modality"], shape))


def fusion(method: str, encoders: dict[str, str], **settings: Any) -> Model:
    """A fusion network with random weights; streams are encoders by name."""
    designs, streams = [], []
    for name, encoder in encoders.items():
        facts = registry.get("encoders", encoder).facts
        shape = tuple(facts["example_shape"])
        designs.append(StreamDesign(name, encoder, example_settings(encoder), shape))
        streams.append({"name": name, "encoder": encoder, **features(facts["modality"], shape)})
    design = Design(method, tuple(designs), settings)
    meta = {"design": design.to_meta(), "classes": CLASSES}
    meta |= {key: values[:1] for key, values in CALIBRATION.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = design.build(len(CLASSES))
        for encoder, each in zip(made.encoders, designs, strict=True):
            warm(encoder, each.shape, registry.get("encoders", each.encoder).facts)
    return model("fusion", FusionModel([made], meta), streams=streams, method=method)


def pooled() -> Model:
    """A pooled fusion of an SVM of columns, a trained network, and a stream without a single model."""
    machine, alone = of_columns("svm"), network("eegnet")
    meta = alone.predictor.to_meta()
    encoders = [
        ("audio", "svm", {}, (30,)),
        ("eeg", "eegnet", meta["encoder_settings"], tuple(meta["shape"])),
    ]
    design = Design(
        "attention", tuple(StreamDesign(*each) for each in [*encoders, ("more", "mlp", {}, (8,))])
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        of_network = network_design(design, len(CLASSES))
        made = of_network.build(len(CLASSES)).eval()
    known = {"design": of_network.to_meta(), "classes": CLASSES}
    known |= {key: values[:1] for key, values in CALIBRATION.items()}
    about = {"classes": CLASSES, "priors": [0.2, 0.3, 0.5], "design": design.to_meta()}
    about["pool"] = Pool(np.array([1.3, 0.7, 0.0]), 0.8, 1.5).to_meta()
    singles = [SingleModel("svm", machine.predictor), SingleModel("dnn", alone.predictor), None]
    modalities = {"audio": None, "eeg": "eeg", "more": None}
    streams = [
        {"name": each.name, "encoder": each.encoder, **features(modalities[each.name], each.shape)}
        for each in design.streams
    ]
    fused = PooledFusion(singles, FusionModel([made], known), about)
    return model("fusion", fused, streams=streams, method="attention")


def warm(encoder: Any, shape: Any, facts: dict[str, Any]) -> None:
    """Fit the input statistics, and move those of batch norms away from 0 and 1."""
    x = torch.from_numpy(values(shape, facts, 32, 9))
    encoder.fit_input(x)
    with torch.no_grad():
        encoder.train()
        encoder(x)
        encoder.eval()


def values(shape: Any, facts: dict[str, Any], n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if facts.get("example_dtype") == "uint8":
        return rng.integers(256, size=(n, *shape), dtype=np.uint8)
    return (3 + 2 * rng.standard_normal((n, *shape))).astype(np.float32)


def deciding(model: Model, priors: np.ndarray) -> Model:
    """The model, deciding by other priors."""
    return Model(model.meta, dataclasses.replace(model.predictor, priors=priors), model.novelty)
