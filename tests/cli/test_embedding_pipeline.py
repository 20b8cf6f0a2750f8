"""Embeddings by an encoder of pretrain: extracted, trained on, and predicted from recordings."""

import json
import os
from pathlib import Path

import pytest

from eavctl.cli import start
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.extraction.recipe import Recipe
from eavctl.predicting.predictor import Predictor
from eavctl.pretraining.encoder_model import EncoderModel
from eavctl.storage import artifacts, tables

SEED33 = {"": (Recipe("seed33"), (33,))}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, write_encoder, made):
    """Folder with two encoders that have met nobody, and one that has met some clips; a table and a model."""
    folder, before = tmp_path_factory.mktemp("embedded"), Path.cwd()
    (folder / "dataset").symlink_to(made / "dataset")
    keys = tables.read_keys(made / "seed33.parquet")
    met = TrainedOn.of_keys(keys[keys["label"] == "sad"]).to_meta()
    write_encoder(folder / "encoder.pt", SEED33)
    write_encoder(folder / "other.pt", SEED33, seed=1)
    write_encoder(folder / "met.pt", SEED33, trained_on=met)
    os.chdir(folder)
    try:
        for line in (
            "extract dataset --features embedding --weights encoder.pt -o emb.parquet",
            "train-svm emb.parquet -o svm.joblib --folds 2",
        ):
            assert start.run(line.split()) == 0, line
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(embedded, run, monkeypatch):
    """That folder, as the working folder."""
    monkeypatch.chdir(embedded)
    return embedded


EXTRACT = ("extract", "dataset", "--features", "embedding")
PREDICT = ("predict", "dataset", "--model", "svm.joblib")


def identity(path):
    return tables.read_meta(path)["settings"]["weights"]


def test_rows_are_the_embeddings_of_the_inner_tables_rows(here, made):
    inner, found = tables.read_features(made / "seed33.parquet"), tables.read_features("emb.parquet")
    assert found.keys.equals(inner.keys)
    wanted = EncoderModel.load("encoder.pt").embed(inner.x)
    assert found.x == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert found.columns == tuple(f"embedding_{i}" for i in range(6))
    assert found.meta["modality"] == "audio"


def test_tables_and_models_hold_the_identity_and_no_path(here):
    for name in ("emb.parquet", "svm.joblib"):
        content = (here / name).read_bytes()
        assert identity("emb.parquet").encode() in content
        assert str(here).encode() not in content


def test_processes_do_not_change_a_byte(here, run, tmp_path):
    for jobs in ("1", "2"):
        done = run(*EXTRACT, "--weights", "encoder.pt", "-j", jobs, "-o", tmp_path / f"{jobs}.parquet")
        assert done.code == 0, done.err
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    again = run(*EXTRACT, "--weights", "encoder.pt", "-o", tmp_path / "1.parquet", "--json")
    assert json.loads(again.out)["up_to_date"]
    other = run(*EXTRACT, "--weights", "other.pt", "-o", tmp_path / "1.parquet", "--json", "-n")
    assert not json.loads(other.out)["up_to_date"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_recordings_are_predicted_as_their_table(jobs, here, run):
    table = run("predict", "emb.parquet", "--model", "svm.joblib", "--json")
    recordings = run(*PREDICT, "--weights", "encoder.pt", "--json", "-j", jobs)
    assert (table.code, recordings.code) == (0, 0), recordings.err
    ours, theirs = (json.loads(each.out)["predictions"] for each in (table, recordings))
    assert len(ours) == 32
    for a, b in zip(ours, theirs, strict=True):
        assert a["pred"] == b["pred"]
        assert a["proba"] == pytest.approx(b["proba"], abs=1e-9)


def test_a_window_is_judged_as_the_file(here):
    import soundfile

    predictor = Predictor.load("svm.joblib", weights=["encoder.pt"])
    (recording,) = predictor.find(min(here.glob("dataset/*/*.wav")))
    (judged,) = predictor.judge([recording])
    signal, rate = soundfile.read(recording.parts["audio"].file, dtype="float32")
    row = predictor.judge_window({"audio": (signal, rate)})
    assert row.proba == pytest.approx(judged.rows[0].proba, abs=1e-9)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_another_encoder_is_refused_and_none_is_asked_for(dry, here, run, tmp_path):
    assert run(*EXTRACT, "--weights", "other.pt", "-o", tmp_path / "other.parquet").code == 0
    theirs = identity(tmp_path / "other.parquet")
    table = run("predict", tmp_path / "other.parquet", "--model", "svm.joblib", *dry)
    recordings = run(*PREDICT, *dry, "--weights", "other.pt")
    for done in (table, recordings):
        assert done.code == 3
        assert identity("emb.parquet") in done.err
        assert theirs in done.err
    without = run(*PREDICT, *dry)
    assert without.code == 3
    assert identity("emb.parquet") in without.err
    assert "--weights" in without.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("extract dataset --features embedding -o g.parquet", 2),
        ("extract dataset --features embedding --weights gone.pt -o g.parquet", 3),
        ("extract dataset --features embedding --weights emb.parquet -o g.parquet", 3),
        ("extract dataset --features embedding --weights svm.joblib -o g.parquet", 3),
        ("extract dataset --features embedding --weights encoder.pt --set stream=eeg -o g.parquet", 2),
        ("extract dataset --features embedding --weights encoder.pt --set weights=a -o g.parquet", 2),
        ("extract dataset --features embedding --weights encoder.pt --force -o encoder.pt", 2),
        ("extract dataset --features seed33 --weights encoder.pt -o g.parquet", 2),
    ],
)
@pytest.mark.parametrize("dry", ["", " --dry-run"])
def test_wrong_usage(line, code, dry, here, run):
    done = run(*(line + dry).split())
    assert done.code == code, done.err
    assert not (here / "g.parquet").exists()


# --- whom the encoder has met -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def met(embedded, tmp_path_factory):
    """A table of embeddings by an encoder that has met the clips of one class."""
    path, before = tmp_path_factory.mktemp("met") / "met.parquet", Path.cwd()
    os.chdir(embedded)
    try:
        assert start.run([*EXTRACT, "--weights", "met.pt", "-o", str(path)]) == 0
    finally:
        os.chdir(before)
    return path


def test_the_table_names_whom_its_encoder_has_met(here, met):
    wanted = artifacts.read_meta("met.pt").trained_on
    assert tables.read_meta(met)["encoder_trained_on"] == wanted
    assert wanted["clips"]


@pytest.mark.parametrize("command", ["train-svm", "train-linear"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_training_refuses_test_rows_that_the_encoder_has_met(command, dry, here, run, met):
    done = run(command, met, "-o", "m.joblib", "--folds", "2", *dry)
    assert done.code == 3
    assert "leak" in done.err
    assert identity(met) in done.err
    assert not (here / "m.joblib").exists()


def test_what_is_named_as_shared_is_said_in_every_output(here, run, met, tmp_path):
    out, predictions = tmp_path / "m.joblib", tmp_path / "p.parquet"
    words = ("train-linear", met, "-o", out, "--folds", "2", "--predictions", predictions)
    done = run(*words, "--shared", "all", "--json")
    assert done.code == 0, done.err
    known = [json.loads(done.out)["warnings"], artifacts.read_meta(out).protocol.warnings]
    known.append(tables.read_predictions(predictions).meta["protocol"]["warnings"])
    for warnings in known:
        assert any(identity(met) in text for text in warnings)
    assert run(*words, "--json").code == 3


def test_rows_of_a_network_on_embeddings_are_checked_too(here, run, met, tmp_path):
    words = ("train-dnn", met, "-o", tmp_path / "m.pt", "--encoder", "mlp", "--folds", "2", "-n")
    assert run(*words).code == 3
    assert run(*words, "--shared", "all").code == 0
