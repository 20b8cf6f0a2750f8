"""A model of speech judges no recording without speech, and a model of other sounds judges any."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eavctl.cli import start
from eavctl.errors import SignalError
from eavctl.predicting.predictor import Predictor
from eavctl.storage import artifacts, tables

RATE = 16000
EMOTIONS = {"05": "angry", "04": "sad"}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, shared_data):
    """Folder with a data set of 24 clips of speech, its table, and models of clips and of segments."""
    folder = tmp_path_factory.mktemp("spoken")
    for code, name in EMOTIONS.items():
        clips = sorted((shared_data / "ravdess-speech").rglob(f"03-01-{code}-01-01-0?-0[1-6].flac"))
        (folder / "clips" / name).mkdir(parents=True)
        for clip in clips:
            shutil.copy(clip, folder / "clips" / name / clip.name)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in (
            "extract clips -o feats.parquet",
            "train-svm feats.parquet -o svm.joblib --folds 2",
            "extract clips --features seed33 --segment 1 -o parts.parquet",
            "train-svm parts.parquet -o parts.joblib --folds 2",
        ):
            assert start.run(line.split()) == 0, line
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def tone(tmp_path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE), RATE)
    return path


def clip_of(spoken):
    return sorted((spoken / "clips/sad").glob("*.flac"))[0]


def test_tables_and_models_say_whether_they_are_of_speech(spoken, made):
    assert tables.read_feature_meta(spoken / "feats.parquet").speech is True
    assert artifacts.read_meta(spoken / "svm.joblib").features.speech is True
    assert tables.read_feature_meta(made / "feats.parquet").speech is False
    assert artifacts.read_meta(made / "svm.joblib").features.speech is False


def test_what_is_said_of_speech_does_not_identify_the_features(run, spoken, made):
    metas = [tables.read_feature_meta(folder / "feats.parquet") for folder in (spoken, made)]
    assert metas[0].features_hash == metas[1].features_hash
    assert run("predict", spoken / "feats.parquet", "--model", made / "svm.joblib").code == 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_table_is_the_same_for_any_number_of_jobs(run, spoken, tmp_path, jobs):
    assert run("extract", spoken / "clips", "-o", "again.parquet", "-j", jobs).code == 0
    assert (tmp_path / "again.parquet").read_bytes() == (spoken / "feats.parquet").read_bytes()


def test_a_data_set_with_much_else_is_none_of_speech(run, spoken, tmp_path):
    shutil.copytree(spoken / "clips", tmp_path / "mixed")
    for i in range(4):
        hiss = 0.1 * np.random.default_rng(i).normal(size=2 * RATE)
        soundfile.write(tmp_path / f"mixed/sad/hiss{i}.wav", hiss, RATE)
    assert run("extract", "mixed", "-o", "mixed.parquet").code == 0
    assert tables.read_feature_meta(tmp_path / "mixed.parquet").speech is False


def test_a_tone_is_judged_by_a_model_of_tones_only(run, spoken, made, tone):
    refused = run("predict", tone, "--model", spoken / "svm.joblib")
    assert (refused.code, refused.out) == (3, "")
    assert "no speech" in refused.err
    assert run("predict", tone, "--model", made / "svm.joblib").code == 0
    assert run("predict", clip_of(spoken), "--model", spoken / "svm.joblib").code == 0


def test_a_model_of_an_older_version_judges_anything(run, spoken, tmp_path, tone):
    old = artifacts.load(spoken / "svm.joblib")
    meta = {key: value for key, value in old.meta.json.items() if key != "speech"}
    artifacts.save(tmp_path / "old.joblib", old.predictor, meta)
    assert run("predict", tone, "--model", "old.joblib").code == 0


def test_of_a_mixed_folder_the_speech_is_judged_and_the_rest_listed(run, spoken, tmp_path, tone):
    (tmp_path / "in").mkdir()
    shutil.copy(tone, tmp_path / "in/a.wav")
    shutil.copy(clip_of(spoken), tmp_path / "in/b.flac")
    soundfile.write(tmp_path / "in/c.wav", np.full(RATE, 1e-3), RATE)
    words = ("predict", "in", "--model", spoken / "svm.joblib")
    done = run(*words, "--json", "--rejected", "bad.csv")
    assert done.code == 0
    found = json.loads(done.out)
    assert [row["recording"] for row in found["predictions"]] == ["in/b.flac"]
    reasons = {bad["path"]: bad["reason"] for bad in found["rejected"]}
    assert list(reasons) == ["in/a.wav", "in/c.wav"]
    assert all("no speech" in reason for reason in reasons.values())
    assert "silent" in reasons["in/c.wav"]
    listed = (tmp_path / "bad.csv").read_text()
    assert all(reason in listed for reason in reasons.values())
    assert run(*words, "--strict").code == 3
    assert run(*words, "--dry-run").code == 0
    alone = json.loads(run("predict", "in/b.flac", *words[2:], "--json").out)
    assert alone["predictions"] == found["predictions"]


def test_segments_without_speech_are_left_out(run, spoken, tmp_path):
    signal = soundfile.read(clip_of(spoken), dtype="float32")[0]
    loud = np.argmax(np.convolve(signal**2, np.ones(RATE), "valid"))
    part = signal[loud : loud + RATE]
    hum = 0.05 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE).astype(np.float32)
    talk = np.concatenate([part, hum, np.zeros(RATE, np.float32), part])
    soundfile.write(tmp_path / "talk.wav", talk, RATE)
    words = ("predict", "talk.wav", "--model", spoken / "parts.joblib", "--json")
    each, whole = (json.loads(run(*words, *more).out) for more in (("--segment", 1), ()))
    assert [row["start"] for row in each["predictions"]] == [0.0, 3.0]
    assert [bad["start"] for bad in each["rejected"]] == [1.0, 2.0]
    mean = {name: np.mean([row["proba"][name] for row in each["predictions"]]) for name in ("angry", "sad")}
    assert whole["predictions"][0]["proba"] == pytest.approx(mean)


def test_a_window_of_arrays_without_speech_is_an_error(spoken):
    predictor = Predictor.load(spoken / "svm.joblib")
    signal = soundfile.read(clip_of(spoken), dtype="float32")[0]
    assert predictor.judge_window({"audio": (signal, RATE)}).pred in EMOTIONS.values()
    with pytest.raises(SignalError, match="no speech"):
        predictor.judge_window({"audio": (0.1 * np.ones_like(signal), RATE)})
