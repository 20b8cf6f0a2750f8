"""What a prediction table tells of its training."""

from __future__ import annotations

import json

import pytest

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.training.cross_validation import Evaluation
from eavctl.training.told import assignments, command, training


def options(
    evaluation: Evaluation, network: TrainSettings | None = None, **others: object
) -> dict[str, object]:
    found = command(
        "train-dnn", ["/home/jane/secret/a.parquet", "b.parquet"], evaluation, network=network, **others
    )
    json.dumps(found)
    assert found["inputs"] == ["a.parquet", "b.parquet"]  # no folder of a machine
    return {**found["options"], "python": found["python_only"]}


def test_only_what_differs_from_the_defaults_is_told() -> None:
    assert options(Evaluation(), TrainSettings(), corpora="equal", keep_folds=False, set=[]) == {"python": []}
    found = options(
        Evaluation("loso", shared=("a", "b")),
        TrainSettings(epochs=3, dropout=0.0),
        labels={"anger": "angry", "calm": None},
        corpora="rows",
        keep_folds=True,
    )
    assert found == {
        "protocol": "loso",
        "shared": "a,b",
        "epochs": 3,
        "dropout": 0.0,
        "labels": "anger=angry,calm=",
        "corpora": "rows",
        "keep_folds": True,
        "python": [],
    }


@pytest.mark.parametrize(
    ("evaluation", "network", "told"),
    [(0, 0, {"seed": 0, "python": []}), (7, 7, {"seed": 7, "python": []}), (42, 42, {"python": []})],
)
def test_the_seed_is_one_for_the_splits_and_the_network(evaluation: int, network: int, told: object) -> None:
    assert options(Evaluation(seed=evaluation), TrainSettings(seed=network)) == told
    assert options(Evaluation(seed=evaluation), TrainSettings(seed=5))["python"] == ["seed"]


def test_settings_that_no_command_has_are_named() -> None:
    assert options(Evaluation(), TrainSettings(weight_decay=0.5, ema=0.1))["python"] == [
        "ema",
        "weight_decay",
    ]
    fusion = command("train-fusion", "a", None, network=TrainSettings(dropout=0.1))
    assert fusion["python_only"] == ["dropout"]


def test_settings_are_written_as_the_command_line_reads_them() -> None:
    from eavctl.cli.values import read_settings

    settings = {"n": 3, "rate": 0.1, "name": "x y", "flag": True, "many": [1, 2], "none": None}
    assert read_settings(assignments(settings)) == settings


def test_a_fitter_of_others_is_told_as_it_describes_itself(made_rows) -> None:
    rows, facts = made_rows
    described = {"training": "by hand", "streams": 3, "encoder_settings": 4, "seed": 42}
    found = training("theirs", described, rows, facts, None)
    assert found["settings"] == {"training": "by hand", "streams": 3, "encoder_settings": 4}
    assert found["command"] is None
    assert found["data"] == [{"dataset": "d", "rows": 4, "clips": 4, "people": 2}]


@pytest.fixture
def made_rows():
    import numpy as np
    import pandas as pd

    from eavctl.storage.tables import FeatureTable, key_frame
    from eavctl.training.rows import training_set_of

    ids = ["a", "b", "c", "d"]
    frame = {
        "sample_id": ids,
        "clip_id": ids,
        "dataset": "d",
        "subject": ["s", "s", "t", "t"],
        "label": ["x", "y"] * 2,
    }
    meta = {
        "features": "mine", "features_version": 1, "settings": {}, "modality": "audio", "rate": 1,
        "units": "", "features_hash": "h",
        "segment": None, "shape": [1], "content_hash": "c", "classes": ["x", "y"],
        "schema_version": 3,
    }  # fmt: skip
    data = training_set_of(
        FeatureTable(key_frame(pd.DataFrame(frame)), np.zeros((4, 1), np.float32), ("f",), meta)
    )
    return data.rows, data.facts
