"""Tables and encoders of which it is known what a probe must find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from eavctl.evaluation.trained_on import TrainedOn
from eavctl.pretraining.encoder_model import EncoderModel, StreamEncoder
from eavctl.storage import artifacts, tables
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.tables import key_frame
from eavctl.training.encoder_start import EncoderStart

CLASSES = ("calm", "happy", "sad")
N_PEOPLE, N_CLIPS, N_NOISE = 7, 9, 60
FEATURES = {
    "modality": "audio",
    "features": "numbers",
    "features_version": 1,
    "settings": {},
    "rate": 16000,
    "features_hash": "aa",
    "units": "",
    "segment": None,
}
N_COLUMNS = len(CLASSES) + N_PEOPLE + N_NOISE


def frame(n_people: int = N_PEOPLE, n_clips: int = N_CLIPS, dataset: str = "one") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "sample_id": f"{person} {clip}",
                "clip_id": f"{person} {clip}",
                "dataset": dataset,
                "subject": f"p{person}",
                "label": CLASSES[clip % 3],
                "recording": f"{dataset} {person} {clip}",
            }
            for person in range(n_people)
            for clip in range(n_clips)
        ]
    )


def x_of(about: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """One column a class, with some noise, then one a person, then noise alone."""
    rng = np.random.default_rng(seed)
    people = sorted(about["subject"].unique())
    x = rng.normal(size=(len(about), N_COLUMNS)).astype(np.float32)
    x[:, : len(CLASSES)] *= 0.2
    x[np.arange(len(about)), [CLASSES.index(label) for label in about["label"]]] += 1
    x[:, len(CLASSES) : len(CLASSES) + N_PEOPLE] *= 0.1
    x[np.arange(len(about)), [len(CLASSES) + people.index(name) for name in about["subject"]]] += 1
    return x


def write_table(path: Path, about: pd.DataFrame | None = None, seed: int = 0) -> Path:
    about = frame() if about is None else about
    columns = [f"c{i:03d}" for i in range(N_COLUMNS)]
    meta = {**FEATURES, "classes": list(CLASSES), "shape": [N_COLUMNS]}
    table = tables.FeatureTable(key_frame(about), x_of(about, seed), columns, meta)
    tables.write_features(table, path)
    return path


def write_encoder(
    path: Path,
    columns: Sequence[int] | None = range(len(CLASSES)),
    met: pd.DataFrame | None = None,
    seed: int = 42,
    features_hash: str = "aa",
    units: int = 16,
) -> Path:
    """An mlp whose embedding is some columns of its input; with random weights for None."""
    design = StreamEncoder("", "mlp", {"units": units, "dropout": 0.5}, (N_COLUMNS,), ("mean", "std"))
    torch.manual_seed(0)
    encoder = design.build()
    encoder.fit_input(torch.from_numpy(x_of(frame(), 1)))
    if columns is None:
        encoder = EncoderModel([design], [encoder]).random(seed)
    else:
        _, linear, _, _ = encoder.hidden
        with torch.no_grad():
            linear.weight.zero_()
            linear.bias.zero_()
            for unit, column in enumerate(columns):
                linear.weight[unit, column] = 1
    keys = key_frame(frame(2, 2, "elsewhere") if met is None else met)
    facts = {"method": "simclr", "epochs": 1, "collapsed": False}
    meta = {
        "kind": "encoder",
        **FEATURES,
        "features_hash": features_hash,
        "shape": [N_COLUMNS],
        "columns": [f"c{i:03d}" for i in range(N_COLUMNS)],
        "training_hash": "ff",
        "versions": {},
        "protocol": {"name": "", "warnings": []},
        "trained_on": TrainedOn.of_keys(keys).to_meta(),
        "pretraining": facts,
    }
    artifacts.save(path, EncoderModel([design], [encoder.eval()], facts), meta)
    return path


def start_of(path: Path) -> EncoderStart:
    features = {**FEATURES, "shape": [N_COLUMNS]}
    return EncoderStart.read(path, FeatureMeta.from_json(features, path), "table")
