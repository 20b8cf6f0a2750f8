"""``eavctl train-fusion``: from scratch, from trained models, and without leaks."""

import json
import shutil

import numpy as np
import pytest

from eavctl.storage import artifacts, tables

QUICK = ("--epochs", "1", "--protocol", "eav-70-30", "--size", "tiny")
AMBT = ("--method", "ambt-mean", "--encoder", "shallow-transformer", "--encoder", "vit", *QUICK)


@pytest.fixture(scope="module")
def features(eav):
    return [eav / f"{name}.parquet" for name in ("epochs", "faces")]


def test_ambt_trains_and_says_what_each_modality_is_worth(eav, run, tmp_path, features):
    words = ("train-fusion", *features, *AMBT, "-o", "ambt.pt", "--predictions", "ambt.parquet", "--json")
    planned = json.loads(run(*words, "-n").out)
    assert list(tmp_path.iterdir()) == []
    result = run(*words)
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert planned["command"] == said["command"] == "train-fusion"
    assert (planned["dry_run"], said["dry_run"]) == (True, False)
    assert planned["out"] == said["out"] == ["ambt.pt", "ambt.parquet"]
    assert planned["class_counts"] == said["class_counts"]
    assert planned["folds"] == said["protocol"]["folds"]
    assert [entry["inputs"] for entry in said["fusion"]["subsets"]] == [["eeg", "video"], ["eeg"], ["video"]]
    assert "eeg + video" in result.err
    table = tables.read_predictions(tmp_path / "ambt.parquet")
    assert table.meta["modalities"] == ["eeg", "video"]
    assert table.meta["fusion"]["subsets"] == said["fusion"]["subsets"]
    assert len(table) == len(tables.read_predictions(eav / "epochs_preds.parquet"))
    meta = artifacts.read_meta(tmp_path / "ambt.pt")
    assert meta.method == "ambt-mean"
    assert [stream.encoder for stream in meta.streams] == ["shallow-transformer", "vit"]
    again = run("train-fusion", *features, *AMBT, "-o", "ambt.pt", "--predictions", "ambt.parquet")
    assert "is up to date" in again.err

    card = run("predict", eav / "twin/subject1", "--trial", "2", "--model", tmp_path / "ambt.pt")
    assert card.code == 0, card.err
    assert "used: eeg" in card.out
    assert "video" in card.out
    report = run("report", "ambt.parquet", "-o", "ambt.html")
    assert report.code == 0, report.err
    assert "With every subset of the inputs" in (tmp_path / "ambt.html").read_text()


def test_models_to_start_from_follow_init_and_are_compared_with(eav, run, features):
    inputs = [*features, eav / "speech.parquet"]
    models = [eav / "epochs.pt", eav / "faces.pt"]
    result = run("train-fusion", *inputs, "--init", *models, *QUICK, "-o", "att.pt", "--json")
    assert result.code == 0, result.err
    fusion = json.loads(result.out)["fusion"]
    assert fusion["encoders"] == ["eegnet", "vit", "svm"]
    assert fusion["versus"][0]["name"] in ("eeg", "video", "audio")
    alone = tables.read_predictions(eav / "epochs_preds.parquet")
    single = next(entry for entry in fusion["subsets"] if entry["inputs"] == ["eeg"])
    recalls = [np.mean(alone.pred[alone.keys["label"] == name] == name) for name in alone.classes]
    assert single["best"] == "eeg"
    assert single["best_uar"] == pytest.approx(np.mean(recalls))  # the fold's own network, not the whole


def test_a_start_that_has_met_the_test_rows_is_refused(eav, run, tmp_path, features):
    whole = artifacts.load(eav / "faces.pt")
    artifacts.save(tmp_path / "whole.pt", whole.predictor, {**whole.meta.json, "kept_folds": 0})
    result = run("train-fusion", *features, "--init", tmp_path / "whole.pt", *QUICK, "-o", "f.pt")
    assert result.code == 3
    assert "whole.pt was trained on what fold 1 tests" in result.err
    assert "--keep-folds" in result.err
    assert not (tmp_path / "f.pt").exists()


def test_kept_folds_of_another_split_are_refused_where_they_have_met_the_tested(eav, run, features):
    other = ("--epochs", "1", "--protocol", "group-kfold", "--folds", "2", "--size", "tiny")
    result = run("train-fusion", *features, "--init", eav / "faces.pt", *other, "-o", "f.pt")
    # each person's network has met that person alone, so the other person's may start the fold
    assert result.code == 0, result.err
    stratified = ("--epochs", "1", "--protocol", "stratified", "--folds", "2", "--size", "tiny")
    refused = run("train-fusion", *features, "--init", eav / "faces.pt", *stratified, "-o", "g.pt")
    assert refused.code == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--method", "ambt-mean"], 2, "shallow-transformer"),
        (["--method", "attenton"], 2, "'attention'"),
        (["--method", "weighted"], 2, "eavctl fuse"),
        (["--encoder", "vit"], 2, "give one a table"),
        (["--encoder", "mlp", "--encoder", "ast"], 2, "choose --encoder"),
        (["--set", "modality_dropout=2"], 2, "modality_dropout"),
        (["--contrastive", "-1"], 2, "contrastive"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(eav, run, words, code, message):
    inputs = [eav / "speech.parquet", eav / "faces.parquet"]
    result = run("train-fusion", *inputs, *words, *QUICK, "-o", "f.pt")
    assert result.code == code, result.err
    assert message in result.err


def test_models_and_tables_are_not_mixed_up(eav, run):
    features = [eav / "epochs.parquet", eav / "faces.parquet"]
    predictions = [eav / "epochs_preds.parquet", eav / "faces_preds.parquet"]
    model = run("train-fusion", *features, eav / "faces.pt", "-o", "f.pt")
    assert model.code == 2
    assert "--init" in model.err
    swapped = run("fuse", features[0], predictions[1], "-o", "f.parquet")
    assert swapped.code == 3
    assert "epochs.parquet" in swapped.err
    assert "train-fusion" in swapped.err
    swapped = run("train-fusion", features[0], predictions[1], "-o", "f.pt")
    assert swapped.code == 3
    assert "faces_preds.parquet" in swapped.err
    assert "eavctl fuse" in swapped.err
    network = run("fuse", *predictions, "--method", "attention", "-o", "f.parquet")
    assert network.code == 2
    assert "train-fusion" in network.err


def test_late_fusers_take_what_there_is(eav, run, tmp_path):
    names = ("bands", "speech", "faces")
    inputs = [shutil.copy(eav / f"{name}_preds.parquet", tmp_path) for name in names]
    made = run("fuse", *inputs, "-o", "late.parquet", "--save", "late.joblib", "--json")
    assert made.code == 0, made.err
    assert len(json.loads(made.out)["fusion"]["subsets"]) == 7
    used = run("fuse", inputs[2], inputs[0], "--use", "late.joblib", "-o", "two.parquet")
    assert used.code == 0, used.err
    assert "without speech_preds" in used.err
