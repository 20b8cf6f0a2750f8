"""Answers that are unsure: recordings unlike the training data, and probabilities below --abstain."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eavctl.cli import start
from eavctl.storage import artifacts, tables

RATE = 16000


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Folder with a machine trained on 120 synthetic clips, and a noise unlike any of them."""
    folder = tmp_path_factory.mktemp("unsure")
    with contextlib.chdir(folder):
        for line in (
            "synth --per-class 30 --seed 2",
            "extract dataset --features seed33 -o f.parquet",
            "train-svm f.parquet -o m.joblib --folds 3",
        ):
            assert start.run(line.split()) == 0, line
    noise = 0.3 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(folder / "noise.wav", np.clip(noise, -1, 1), RATE)
    return folder


@pytest.fixture
def model(run, trained: Path, tmp_path: Path) -> list[str]:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return ["--model", "m.joblib"]


def test_a_recording_unlike_the_training_data_is_unsure_and_keeps_its_answer(run, model, tmp_path):
    found = json.loads(run("predict", "noise.wav", *model, "--json").out)["predictions"][0]
    (reason,) = found["unsure"]
    assert "training data" in reason
    assert found["pred"] in found["proba"]
    card = run("predict", "noise.wav", *model).out
    assert "unsure" in card.splitlines()[0]
    assert found["pred"] in card.splitlines()[0]
    assert reason in " ".join(card.split())
    assert found["right_out_of_fold"] is None  # it was measured on ordinary recordings
    clip = "dataset/sad/sad_sample_1.wav"
    assert json.loads(run("predict", clip, *model, "--json").out)["predictions"][0]["unsure"] == []
    assert "unsure" not in run("predict", clip, *model).out
    lines = run("predict", clip, "noise.wav", *model).out.splitlines()
    assert ["unsure" in line for line in lines] == [False, True]
    assert run("predict", "dataset", "noise.wav", *model, "-o", "p.parquet").code == 0
    table = tables.read_predictions(tmp_path / "p.parquet")
    unsure = dict(zip(table.keys["sample_id"], table.unsure, strict=True))
    assert unsure["noise"] == reason
    assert np.mean([each is not None for each in unsure.values()]) < 0.2


def test_the_share_of_false_alarms_is_in_the_model_file(run, model, tmp_path):
    measured = artifacts.load(tmp_path / "m.joblib").novelty.measured
    assert measured["false_alarms"] == pytest.approx(0.05, abs=0.01)
    assert measured["n_rows"] == 120


def test_a_file_without_novelty_loads_and_finds_nothing_unlike(run, model, tmp_path):
    kept = artifacts.load(tmp_path / "m.joblib")
    meta = {key: value for key, value in kept.meta.json.items() if key != "novelty"}
    artifacts.save(tmp_path / "old.joblib", kept.predictor, meta)
    found = json.loads(run("predict", "noise.wav", "--model", "old.joblib", "--json").out)
    assert found["predictions"][0]["unsure"] == []


def test_a_damaged_novelty_is_an_error_that_names_the_file(run, model, tmp_path):
    kept = artifacts.load(tmp_path / "m.joblib")
    artifacts.save(
        tmp_path / "bad.joblib", kept.predictor, kept.meta.json, (), kept.novelty._replace(energy=-1.0)
    )
    result = run("predict", "noise.wav", "--model", "bad.joblib")
    assert result.code == 3
    assert "bad.joblib" in result.err


def test_below_the_threshold_of_abstain_an_answer_is_unsure(run, model, tmp_path):
    answers = json.loads(run("predict", "dataset", *model, "--json").out)["predictions"]
    shares = [each["proba"][each["pred"]] for each in answers]
    limit = float(np.median(shares))
    judged = json.loads(run("predict", "dataset", *model, "--abstain", limit, "--json").out)["predictions"]
    for share, before, after in zip(shares, answers, judged, strict=True):
        assert len(after["unsure"]) - len(before["unsure"]) == (share < limit)
        assert (after["pred"], after["proba"]) == (before["pred"], before["proba"])
    assert run("predict", "dataset", *model, "--abstain", limit, "-o", "p.parquet").code == 0
    assert run("report", "p.parquet", "-o", "r.html").code == 0
    (scored,) = json.loads(run("report", "p.parquet", "--json").out)["models"]
    assert scored["coverage"]["n_unsure"] == sum(bool(each["unsure"]) for each in judged)


@pytest.mark.parametrize("abstain", ["1.2", "-0.1", "nan"])
def test_a_threshold_that_is_no_probability_is_wrong_usage(run, model, abstain):
    assert run("predict", "noise.wav", *model, f"--abstain={abstain}").code == 2
