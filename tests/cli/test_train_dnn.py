"""train-dnn on tensors small enough for seconds."""

import hashlib
import json
import signal
import subprocess
import sys
from typing import get_args

import pytest

from eavctl.augmentations.kind import Kind
from eavctl.augmentations.pipeline import known
from eavctl.cli.options import Augment
from eavctl.storage import artifacts, tables

SMALL = ["--epochs", "4", "--members", "1", "--folds", "2"]


@pytest.fixture
def mel(run, made, tmp_path):
    words = ["--features", "logmel", "--set", "n_mels=16", "--set", "n_frames=48"]
    assert run("extract", made / "dataset", *words, "-o", "mel.parquet").code == 0
    return tmp_path / "mel.parquet"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_training_writes_model_and_predictions_and_predict_takes_it(run, made, mel, tmp_path):
    result = run("train-dnn", mel, "-o", "dnn.pt", *SMALL, "--predictions", "p.parquet", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["out_of_fold"]["n_rows"] == 32
    predictions = tables.read_predictions(tmp_path / "p.parquet")
    assert predictions.meta["out_of_fold"] is True
    found = json.loads(
        run("predict", made / "dataset/sad/sad_sample_1.wav", "--model", "dnn.pt", "--json").out
    )
    table = tables.read_features(mel)
    row = table.keys.index[table.keys["sample_id"] == "sad/sad_sample_1"]
    expected = artifacts.load(tmp_path / "dnn.pt").predict_proba(table.x[row])[0]
    assert list(found["predictions"][0]["proba"].values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert "encoder: cnn-lstm" in run("show", "dnn.pt").out
    other = run("predict", made / "feats.parquet", "--model", "dnn.pt")
    assert other.code == 3
    assert "'logmel'" in other.err


def test_a_killed_training_ends_with_the_same_bytes(run, mel, tmp_path):
    """Killed for good after the first fold, then run again."""
    assert run("train-dnn", mel, "-o", "whole.pt", *SMALL, "--predictions", "whole.parquet").code == 0
    words = [
        "train-dnn",
        str(mel),
        "-o",
        str(tmp_path / "killed.pt"),
        *SMALL,
        "--predictions",
        str(tmp_path / "k.parquet"),
    ]
    slow = "import time, eavctl.classifiers.checkpoints as c; old = c.Checkpoint.finish\n" \
           "def finish(*a): old(*a); print('fold', flush=True); time.sleep(60)\n" \
           "c.Checkpoint.finish = finish\nfrom eavctl.cli.start import main; main()"  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", slow, *words], stdout=subprocess.PIPE, cwd=tmp_path)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed.pt").exists()
    assert len(list((tmp_path / ".killed.pt.parts").glob("*fold-1"))) == 1
    assert run(*words).code == 0
    assert digest(tmp_path / "killed.pt") == digest(tmp_path / "whole.pt")
    assert digest(tmp_path / "k.parquet") == digest(tmp_path / "whole.parquet")
    assert not (tmp_path / ".killed.pt.parts").exists()


def test_augmentations_are_part_of_a_training_only_where_they_are_named(run, mel, tmp_path):
    def trained(*words):
        done = run("train-dnn", mel, "-o", "m.pt", *SMALL[:1], "1", *SMALL[2:], *words, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)["up_to_date"], artifacts.read_meta(tmp_path / "m.pt").json["fitter"]

    assert "augment" not in trained()[1]
    fresh, fitter = trained("--augment", "time-mask:0.2, gain")
    assert not fresh
    assert fitter["augment"] == ["gain:db=3.0", "time-mask:share=0.2"]
    assert trained("--augment", "gain,time-mask:share=0.2")[0]  # the same in another order
    assert trained("--augment", "none")[1]["augment"] == ["none"]
    assert "none" in run("show", "m.pt").out


@pytest.mark.parametrize(
    ("augment", "told"),
    [("flip", "tempo"), ("tempos", "'tempo'"), ("tempo:2", "share"), ("tempo,,gain", "empty"), ("", "empty")],
)
def test_augmentations_that_cannot_be_meant_are_refused(run, mel, augment, told):
    result = run("train-dnn", mel, "-o", "m.pt", *SMALL, "--augment", augment)
    assert result.code == 2
    assert told in result.err


def test_gain_needs_levels_in_decibels(run, mel):
    words = ["train-dnn", mel, "-o", "m.pt", *SMALL, "--normalize", "dataset", "--augment"]
    assert run(*words, "default", "-n").code == 0
    assert run(*words, "gain").code == 2


def test_the_help_names_every_augmentation_of_each_kind():
    words = get_args(Augment)[1].help
    for kind in (Kind("images"), Kind("spectrograms", decibels=1.0), Kind("eeg", sfreq=1.0)):
        assert ", ".join(known(kind)) in words


def test_unknown_encoders_and_settings_are_named(run, mel):
    assert "Did you mean 'cnn-lstm'" in run("train-dnn", mel, "-o", "m.pt", "--encoder", "cnn-lst").err
    result = run("train-dnn", mel, "-o", "m.pt", "--set", "layers=3")
    assert result.code == 2
    assert "layers" in result.err
    assert run("train-dnn", mel, "-o", "m.joblib", *SMALL).code == 2


def test_a_network_at_chance_after_few_steps_says_how_many_it_had(run, made):
    def warnings(*words):
        common = "train-dnn", made / "feats.parquet", "--encoder", "mlp", "--folds", "2", "--json", "-f"
        result = run(*common, "-o", "mlp.pt", *words)
        assert result.code == 0, result.err
        return [text for text in json.loads(result.out)["warnings"] if "steps" in text]

    (told,) = warnings("--epochs", "3", "--lr", "1e-9")
    assert "6 steps" in told  # of 32 rows, a fifth of them for validation, two batches of 16
    assert told == warnings("--epochs", "3", "--lr", "1e-9")[0]
    assert not warnings("--epochs", "20")  # few steps, and above chance
    assert not warnings("--lr", "1e-9")  # at chance, after as many steps as a network gets by itself
