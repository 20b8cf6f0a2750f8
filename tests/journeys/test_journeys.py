"""Ways from an empty folder to a goal, most on real recordings; their commands are the README's tour."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from openpyxl import load_workbook

from eavctl.features import face_network
from eavctl.storage import artifacts, tables

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
LIMIT_S = 300


def travel(journey, data, folder):
    """Run a journey in an empty folder; its commands are those of this environment."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = ["bash", str(HERE / f"{journey}.sh"), str(data)]
    done = subprocess.run(
        script, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("bug|Traceback", done.stderr)
    return done


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_corpus_of_ones_own(tmp_path, shared_data):
    travel("corpus", shared_data / "emodb", tmp_path)
    table = tables.read_predictions(tmp_path / "svm_preds.parquet")
    assert len(table) == len(list((tmp_path / "recordings").iterdir())) == 339
    assert table.keys["subject"].nunique() == 10
    assert set(table.keys["Gerät"]) == {"Größe 1"}
    rows = list(load_workbook(tmp_path / "for-anna.xlsx").active.values)
    assert len(rows) == 1 + len(table)
    written = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [row["pred"] for row in written] == table.pred.tolist()
    assert {row["Gerät"] for row in written} == {"Größe 1"}
    for page, wanted in (("report.html", "10 speakers"), ("explain.html", "cepstra")):
        assert wanted in (tmp_path / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_eeg_to_answers_and_the_channels_that_matter(tmp_path, shared_data):
    travel("eeg", shared_data / "eeg", tmp_path)
    assert len(tables.read_predictions(tmp_path / "cov_preds.parquet")) == 45
    new = tables.read_predictions(tmp_path / "new_preds.parquet")
    assert len(new) == 15
    right = new.pred == new.keys["label"].to_numpy()
    assert right.mean() > 0.7  # a run that the model has not met
    assert "8-13Hz" in (tmp_path / "bands.html").read_text(encoding="utf-8")
    page = (tmp_path / "channels.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("beta", "PO8", "data:image/png"))
    assert (tmp_path / "epoch.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(face_network.FILE.find() is None, reason=f"no weights: {face_network.FILE.install}")
def test_films_of_four_people(tmp_path):
    travel("films", tmp_path, tmp_path)
    scores = artifacts.read_meta(tmp_path / "faces.joblib").out_of_fold
    assert (scores["n_rows"], scores["n_subjects"]) == (80, 4)
    assert scores["uar"]["low"] > 0.3  # of people that were not trained on; chance is 0.2
    assert "expressions" in (tmp_path / "explain.html").read_text(encoding="utf-8")


def test_a_product_that_answers_as_recordings_come(tmp_path, shared_data):
    travel("product", shared_data / "nemo", tmp_path)
    answers = lines_of(tmp_path / "answers.jsonl")
    assert len(answers) == 12
    assert [each["recording"] for each in answers] == sorted(each["recording"] for each in answers)
    assert lines_of(tmp_path / "python.jsonl") == answers
    with open(tmp_path / "calls.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pred"] for row in rows] == [each["pred"] for each in answers]
    (judged,) = lines_of(tmp_path / "incoming.jsonl")
    assert judged["recording"] == "incoming/new.flac"
    assert judged["proba"] == answers[0]["proba"]


def commands(text):
    """The lines that run eavctl, without comments and with single spaces."""
    lines = (re.sub(r"\s+#.*|\s+", lambda found: "" if "#" in found[0] else " ", line) for line in text)
    return [line.strip() for line in lines if re.search(r"\beavctl ", line)]


def test_the_tour_of_the_readme_is_of_these_journeys():
    tour = README.read_text(encoding="utf-8").split("## A tour with your own recordings")[1].split("\n## ")[0]
    shown = commands(line for line in tour.splitlines() if line.startswith("    "))
    run = [line for path in HERE.glob("*.sh") for line in commands(path.read_text().splitlines())]
    assert len(shown) > 10
    assert [line for line in shown if not any(each.startswith(line) for each in run)] == []
