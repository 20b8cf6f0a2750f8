"""A fusion network in Python: the parts of its setup, and the stage called as from a notebook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.extraction.recipe import Recipe
from eavctl.pretraining.encoder_model import EncoderModel
from eavctl.stages import train_fusion as stage
from eavctl.stages.train_dnn import train_dnn
from eavctl.stages.train_fusion import train_fusion
from eavctl.storage import artifacts, tables
from eavctl.training.cross_validation import Evaluation
from eavctl.training.fusion_setup import FusionSetup

RECIPES = {"eeg": Recipe("eeg-bands", {"channels": ["Fz", "Cz"]}), "audio": Recipe("seed33")}
QUICK = TrainSettings(epochs=2, batch=16, device="cpu")
EVALUATION = Evaluation("group-kfold", folds=2)
N_ROWS = 32
WriteEncoder = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a feature table of each modality, and a model of EEG that keeps its folds."""
    folder = tmp_path_factory.mktemp("fusion")
    names = [f"p{i % 4}/c{i:02d}" for i in range(N_ROWS)]
    y = np.arange(N_ROWS) // 4 % 2
    keys = {
        "sample_id": names,
        "clip_id": names,
        "subject": [name[:2] for name in names],
        "label": np.array(["glad", "sad"])[y],
    }
    rng = np.random.default_rng(0)
    for modality, recipe in RECIPES.items():
        columns = recipe.columns
        assert columns is not None
        x = (rng.normal(size=(N_ROWS, len(columns))) + y[:, None]).astype(np.float32)
        order = np.argsort(names)
        frame = tables.key_frame(pd.DataFrame(keys).iloc[order].reset_index(drop=True))
        meta = {**recipe.meta(), "shape": [len(columns)], "classes": ["glad", "sad"]}
        tables.write_features(
            tables.FeatureTable(frame, x[order], tuple(columns), meta), folder / f"{modality}.parquet"
        )
    train_dnn(
        folder / "eeg.parquet", folder / "eeg.pt", predictions=folder / "eeg_preds.parquet", encoder="mlp",
        settings=QUICK, evaluation=EVALUATION, keep_folds=True,
    )  # fmt: skip
    return folder


def inputs(folder: Path) -> list[Path]:
    return [folder / f"{modality}.parquet" for modality in RECIPES]


def test_a_network_is_trained_by_one_call(folder: Path, tmp_path: Path) -> None:
    out, predictions = tmp_path / "fusion.pt", tmp_path / "preds.parquet"
    choices = {"settings": QUICK, "evaluation": EVALUATION, "predictions": predictions}
    planned = stage.plan(inputs(folder), out, **choices)
    assert not list(tmp_path.iterdir())
    trained = train_fusion(inputs(folder), out, **choices)
    assert planned.n_rows == trained.meta["out_of_fold"]["n_rows"] == N_ROWS
    assert trained.meta["fusion"]["inputs"] == ["eeg", "audio"]
    assert [entry["inputs"] for entry in trained.meta["fusion"]["subsets"]] == [
        ["eeg", "audio"],
        ["eeg"],
        ["audio"],
    ]
    assert trained.predictions is not None
    written = tables.read_predictions(predictions)
    np.testing.assert_array_equal(written.proba, trained.predictions.proba)
    assert artifacts.read_meta(out).kind == "fusion"
    assert train_fusion(inputs(folder), out, **choices).up_to_date
    assert not train_fusion(inputs(folder), out, **choices, method="channel-attention").up_to_date


def test_without_settings_a_fusion_of_trained_models_is_trained_shortly(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "fusion.pt"
    trained = train_fusion(inputs(folder), out, init=[folder / "eeg.pt"], evaluation=EVALUATION)
    used = artifacts.read_meta(out).json["model"]["training"]["settings"]
    assert (used["epochs"], used["lr"]) == (stage.INIT_SETTINGS.epochs, stage.INIT_SETTINGS.lr)
    assert used["epochs"] < TrainSettings().most_epochs
    best, *late = trained.meta["fusion"]["versus"]
    assert best["name"] in ("eeg", "audio")
    assert [each["late"] for each in late] == [True, True]


def test_a_start_is_matched_to_its_table_wherever_that_stands(folder: Path) -> None:
    setup = FusionSetup(inputs(folder)[::-1], init=[folder / "eeg.pt"])
    other, start = setup.starts
    assert other is None
    assert start is not None
    assert start.path == str(folder / "eeg.pt")
    assert [name for name, _ in setup.stream_encoders] == ["mlp", "mlp"]
    with pytest.raises(DataError, match="remaining table"):
        _ = FusionSetup(inputs(folder), init=[folder / "eeg.pt"] * 2).starts


def test_what_does_not_belong_to_a_network_is_refused_with_a_way_out(folder: Path) -> None:
    with pytest.raises(UsageError, match="eavctl fuse"):
        FusionSetup(inputs(folder), method="stacking")
    with pytest.raises(UsageError, match="Did you mean 'attention'"):
        FusionSetup(inputs(folder), method="atention")
    with pytest.raises(DataError, match="eavctl fuse"):
        FusionSetup([folder / "eeg.parquet", folder / "eeg_preds.parquet"])
    with pytest.raises(UsageError, match="1 encoders for 2 tables"):
        _ = FusionSetup(inputs(folder), encoders=["mlp"]).stream_encoders
    with pytest.raises(UsageError, match="shallow-transformer"):
        _ = FusionSetup(inputs(folder), method="ambt-mean", encoders=["mlp", "mlp"]).stream_encoders


# --- starting from encoders of pretrain -------------------------------------------------------------------


def encoders(folder: Path, path: Path, write_encoder: WriteEncoder, **meta: Any) -> Path:
    """Writes one file with the encoders of both tables."""
    shapes = {name: (len(recipe.columns or ()),) for name, recipe in RECIPES.items()}
    return write_encoder(path, {name: (RECIPES[name], shapes[name]) for name in RECIPES}, **meta)


def test_streams_start_from_the_encoders_of_one_file(
    folder: Path, tmp_path: Path, write_encoder: WriteEncoder
) -> None:
    clip = encoders(folder, tmp_path / "clip.pt", write_encoder)
    setup = FusionSetup(inputs(folder), init=[clip])
    assert [each and each.encoder for each in setup.starts] == ["mlp", "mlp"]
    assert [settings["units"] for _, settings in setup.stream_encoders] == [6, 6]
    frozen = replace(QUICK, freeze_epochs=2)
    out = tmp_path / "fusion.pt"
    train_fusion(inputs(folder), out, init=[clip], settings=frozen, evaluation=EVALUATION)
    networks, _ = artifacts.load(out).predictor.members
    for stream, name in enumerate(RECIPES):
        wanted = EncoderModel.load(clip).state(name)
        found = networks[0].encoders[stream].state_dict()
        assert wanted.keys() == found.keys()
        for key in ("mean", "std", "hidden.1.weight"):  # the statistics of the pretraining, and weights
            assert torch.equal(found[key], wanted[key])
    assert train_fusion(inputs(folder), out, init=[clip], settings=frozen, evaluation=EVALUATION).up_to_date
    other = encoders(folder, tmp_path / "other.pt", write_encoder, seed=1)
    assert not stage.plan(
        inputs(folder), out, init=[other], settings=frozen, evaluation=EVALUATION
    ).up_to_date


def test_an_encoder_and_a_model_of_train_dnn_start_one_fusion(
    folder: Path, tmp_path: Path, write_encoder: WriteEncoder
) -> None:
    audio = write_encoder(tmp_path / "audio.pt", {"": (RECIPES["audio"], (33,))})
    starts = [audio, folder / "eeg.pt"]
    trained = train_fusion(
        inputs(folder), tmp_path / "fusion.pt", init=starts, settings=QUICK, evaluation=EVALUATION
    )
    assert [each["name"] for each in trained.meta["fusion"]["versus"]] == [
        "eeg"
    ]  # an encoder answers nothing


def test_encoders_that_have_met_test_rows_are_refused(
    folder: Path, tmp_path: Path, write_encoder: WriteEncoder
) -> None:
    keys = tables.read_keys(folder / "eeg.parquet")
    met = TrainedOn.of_keys(keys[keys["subject"] == "p1"]).to_meta()
    clip = encoders(folder, tmp_path / "clip.pt", write_encoder, trained_on=met)
    choices = {"init": [clip], "settings": QUICK}
    with pytest.raises(LeakError, match="p1"):
        stage.plan(inputs(folder), tmp_path / "f.pt", **choices, evaluation=EVALUATION)
    shared = replace(EVALUATION, shared=("p1",))
    planned = stage.plan(inputs(folder), tmp_path / "f.pt", **choices, evaluation=shared)
    assert any("clip.pt" in text for text in planned.warnings)


def test_encoders_of_other_features_are_refused(
    folder: Path, tmp_path: Path, write_encoder: WriteEncoder
) -> None:
    other = write_encoder(tmp_path / "other.pt", {"": (Recipe("means180"), (180,))})
    with pytest.raises(DataError, match="means180"):
        FusionSetup(inputs(folder), init=[other]).starts  # noqa: B018


def test_columns_are_taken_by_a_classifier_where_single_models_are_wanted(folder: Path) -> None:
    def encoders_of(**choices: Any) -> list[str]:
        return [name for name, _ in FusionSetup(inputs(folder), **choices).stream_encoders]

    assert encoders_of() == ["mlp", "mlp"]
    assert encoders_of(single_models=True) == ["svm", "svm"]
    assert encoders_of(single_models=True, encoders=["mlp", "linear"]) == ["mlp", "linear"]
    setup = FusionSetup(inputs(folder), single_models=True, encoders=["mlp", "linear"])
    assert [(stream, fitter.kind) for stream, fitter in setup.columns.items()] == [(1, "linear")]
    with pytest.raises(UsageError, match="transformer"):
        encoders_of(single_models=True, method="ambt-mean", encoders=["svm", "svm"])
    with pytest.raises(UsageError, match="svm"):
        encoders_of(encoders=["svm", "mlp"])  # zero-shot: a classifier names seen classes alone


def test_a_classifier_of_columns_refuses_tensors(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "logmel.parquet"
    keys = tables.read_keys(folder / "audio.parquet")
    recipe = Recipe("logmel")
    x = np.zeros((len(keys), 64, 300), np.float32)
    meta = {**recipe.meta(), "shape": [64, 300], "classes": ["glad", "sad"]}
    tables.write_features(tables.FeatureTable(keys, x, None, meta), path)
    setup = FusionSetup([path, folder / "eeg.parquet"], single_models=True, encoders=["svm", "svm"])
    with pytest.raises(UsageError, match=r"logmel\.parquet"):
        _ = setup.stream_encoders
