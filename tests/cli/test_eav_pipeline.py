"""EEG, sound and video of EAV's twin through the commands, from synth to report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eavctl.storage import artifacts, tables

MODALITIES = {"bands": "eeg", "epochs": "eeg", "speech": "audio", "faces": "video"}


def test_modalities_meet_on_sample_id(eav):
    keys = [tables.read_keys(eav / f"{name}.parquet") for name in MODALITIES]
    ids = [each["sample_id"].tolist() for each in keys]
    assert ids[0] == ids[1] == ids[2] == ids[3]
    assert len(ids[0]) == 2 * 10 * 2
    assert ids[0][0] == "subject01/002@00000.000"
    assert all(each["label"].equals(keys[0]["label"]) for each in keys)
    assert set(keys[0]["dataset"]) == {"eav-twin"}


def test_tables_say_what_they_hold(eav):
    meta = {name: tables.read_meta(eav / f"{name}.parquet") for name in MODALITIES}
    assert {name: each["modality"] for name, each in meta.items()} == MODALITIES
    assert meta["epochs"]["shape"] == [30, 200]
    assert len(meta["epochs"]["settings"]["channels"]) == 30
    assert meta["faces"]["shape"] == [4, 32, 32, 3]
    assert meta["faces"]["account"]["faces_found"]["mean"] > 0.9
    assert tables.read_features(eav / "faces.parquet").x.dtype == np.uint8
    assert meta["speech"]["n_without"] == 0


def test_listening_has_no_sound_and_that_is_said_once(eav, run, tmp_path):
    result = run("extract", eav / "twin", "--features", "seed33", "--segment", "2", "-o", "all.parquet")
    assert result.code == 0
    assert "20 recordings have no audio and were left out" in result.err
    assert tables.read_meta(tmp_path / "all.parquet")["rejected"] == []


def test_each_subject_is_a_fold_and_the_output_says_what_that_means(eav):
    predictions = tables.read_predictions(eav / "bands_preds.parquet")
    assert predictions.keys.groupby("subject")["fold"].unique().map(list).tolist() == [[1], [2]]
    assert len(predictions) == 20  # half of each class's trials
    meta = artifacts.read_meta(eav / "bands.joblib")
    assert any("does not generalise to new people" in text for text in meta.protocol.warnings)
    assert "not comparable" in meta.out_of_fold["published"]


@pytest.mark.parametrize("model", ["bands.joblib", "epochs.pt", "speech.joblib", "faces.pt"])
def test_predict_takes_a_trial_of_a_subject_with_any_model(eav, run, model):
    result = run("predict", eav / "twin/subject2", "--trial", 12, "--model", eav / model, "--json")
    assert result.code == 0, result.err
    (found,) = json.loads(result.out)["predictions"]
    assert "012" in found["recording"]
    assert sum(found["proba"].values()) == pytest.approx(1)
    assert "the model was trained on subject02" in result.err


def test_trials_of_one_task_are_chosen_and_what_a_model_lacks_is_told(eav, run, tmp_path):
    shutil.copytree(eav / "twin", tmp_path / "twin", symlinks=True)
    (lost,) = (tmp_path / "twin/subject1/Audio").glob("012_*")
    lost.unlink()
    result = run("predict", "twin", "--where", "task=speaking", "--model", eav / "speech.joblib", "--json")
    found = json.loads(result.out)
    assert len(found["predictions"]) == 19
    (bad,) = found["rejected"]
    assert bad["clip_id"] == "subject01/012"
    assert "subject1/Audio/012_" in bad["path"]
    assert "missing" in bad["reason"]


def test_predict_is_what_the_table_gives(eav, run):
    trial = run("predict", eav / "twin", "--trial", 12, "--model", eav / "epochs.pt", "--json")
    found = json.loads(trial.out)["predictions"]
    table = tables.read_features(eav / "epochs.parquet")
    mine = (table.keys["clip_id"] == "subject01/012").to_numpy()
    expected = artifacts.load(eav / "epochs.pt").predict_proba(table.x[mine]).mean(axis=0)
    assert list(found[0]["proba"].values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_predict_takes_a_video_and_a_matlab_array_by_themselves(eav, run):
    (clip,) = (eav / "twin/subject1/Video").glob("012_*")
    one = run("predict", clip, "--model", eav / "faces.pt", "--json")
    assert one.code == 0, one.err
    array = eav / "twin/subject1/EEG/subject1_eeg.mat"
    many = run("predict", array, "--model", eav / "bands.joblib", "--json")
    assert len(json.loads(many.out)["predictions"]) == 20
    none = run("predict", clip, "--model", eav / "bands.joblib")
    assert none.code == 3
    assert "not an EEG file by its ending" in none.err


def test_a_trial_that_is_not_there_is_said(eav, run):
    result = run("predict", eav / "twin/subject1", "--trial", 11, "--model", eav / "speech.joblib")
    assert result.code == 3
    assert "has no trial 11 with audio" in result.err


def test_a_manifest_may_name_its_trials_otherwise(eav, run, tmp_path):
    (clip,) = (eav / "twin/subject1/Audio").glob("012_*")
    (tmp_path / "m.csv").write_text(f"path,trial\n{clip},film-a\n")
    assert run("predict", "m.csv", "--model", eav / "speech.joblib").code == 0
    result = run("predict", "m.csv", "--trial", 12, "--model", eav / "speech.joblib")
    assert (result.code, "has no trial 12" in result.err) == (3, True)


def test_fuse_and_report_of_three_modalities(eav, run):
    inputs = [eav / f"{name}_preds.parquet" for name in ("bands", "speech", "faces")]
    fused = run("fuse", *inputs, "--method", "mean", "-o", "fused.parquet")
    assert fused.code == 0, fused.err
    page = run("report", *inputs, "fused.parquet", "-o", "report.html", "--json")
    assert page.code == 0
    assert Path("report.html").read_text().count("Lee et al.") >= 1


def test_an_encoder_of_another_modality_is_refused_by_name(eav, run):
    result = run("train-dnn", eav / "epochs.parquet", "-o", "m.pt", "--encoder", "cnn-lstm")
    assert result.code == 2
    assert "choose --encoder eegnet or shallow-transformer" in result.err


def test_channels_are_found_by_name_in_another_order(shared_data, run, tmp_path):
    shutil.copy(shared_data / "eeg/S001R03.edf", tmp_path / "S001R03.edf")
    words = ["extract", "S001R03.edf", "--features", "eeg-epochs", "--segment", "4"]
    for name, channels in (("a", '["Cz","FC5"]'), ("b", '["FC5","Cz"]')):
        assert run(*words, "--set", f"channels={channels}", "-o", f"{name}.parquet").code == 0
    one, other = (tables.read_features(tmp_path / f"{name}.parquet").x for name in "ab")
    assert np.array_equal(one, other[:, ::-1])
    assert run(*words, "--set", "channels=FC5,Cz", "-o", "plain.parquet").code == 0
    assert (tmp_path / "plain.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    bad = run(*words, "--set", 'channels=["XX"]', "-o", "c.parquet")
    assert bad.code == 3
    assert "requested channels are missing: XX" in bad.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--events", "T1"], "--events takes KEY=VALUE"),
        (["--tmax", "4"], "--tmax needs --events"),
        (["--events", "T1=a", "--tmin", "4", "--tmax", "0"], "the end must come after the start"),
        (["--where", "mood=sad"], "unknown key 'mood'"),
    ],
)
def test_options_that_cannot_be_meant(shared_data, run, words, message):
    source = shared_data / "eeg/S001R03.edf"
    result = run("extract", source, "--features", "eeg-bands", "-o", "x.parquet", *words)
    assert result.code == 2
    assert message in result.err
