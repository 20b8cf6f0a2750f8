"""``eavctl init``: a project that leads to a score on people who were not trained on, or to none."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eavctl.storage import tables


def state(folder):
    """Bytes and time of every file below a folder."""
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def rows_of(manifest):
    with open(manifest, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def fill(manifest, **columns):
    """Write columns of a manifest; a column is a function of the row's number."""
    rows = rows_of(manifest)
    for number, row in enumerate(rows):
        row |= {name: value(number) for name, value in columns.items()}
    with open(manifest, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def make(folder, *words):
    """Run make with this checkout as ``eavctl``."""
    (folder.parent / "bin").mkdir(exist_ok=True)
    command = folder.parent / "bin" / "eavctl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m eavctl "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["make", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_new_project_has_a_manifest_with_subjects_and_asks_nothing(run, tmp_path):
    done = run("init", "p", "--json")
    assert done.code == 0, done.err
    assert sorted(json.loads(done.out)["out"]) == ["p/Makefile", "p/manifest.csv"]
    assert (tmp_path / "p/recordings").is_dir()
    assert (tmp_path / "p/manifest.csv").read_text() == "path,subject,label\n"
    planned = make(tmp_path / "p", "-n")
    assert planned.returncode == 0, planned.stderr
    trainings = [line for line in planned.stdout.splitlines() if " train-" in line]
    assert len(trainings) == 2
    assert all("--group subject" in line for line in trainings)


def test_an_empty_manifest_is_an_error_that_names_it(run, tmp_path):
    run("init", "p")
    done = make(tmp_path / "p")
    assert done.returncode != 0
    assert "error: manifest.csv" in done.stderr
    assert not list((tmp_path / "p").glob("*.parquet"))


def test_from_recordings_to_a_report_on_people_left_out(run, made, tmp_path):
    assert run("init", "p", "--from", made / "dataset").code == 0
    project = tmp_path / "p"
    assert {row["label"] for row in rows_of(project / "manifest.csv")} == {"angry", "happy", "neutral", "sad"}
    recipe = (project / "Makefile").read_text()
    quick = recipe.replace("functionals", "seed33").replace("train-dnn", "train-dnn --epochs 1")
    (project / "Makefile").write_text(quick)
    fill(project / "manifest.csv", subject=lambda number: f"p{number % 4}")
    done = make(project, "-j2")
    assert done.returncode == 0, done.stderr
    assert (project / "report.html").is_file()
    for name in ("svm_preds", "dnn_preds", "fused"):
        keys = tables.read_keys(project / f"{name}.parquet")
        assert (keys.groupby("subject")["fold"].nunique() == 1).all(), "a person is in two test folds"
        assert tables.read_predictions(project / f"{name}.parquet").about.out_of_fold
    before = state(project)
    again = make(project)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout
    assert run("init", "p", "--from", made / "dataset").code == 0
    assert run("init", "p").code == 0
    assert state(project) == before


def test_nothing_is_scored_without_subjects(run, made, tmp_path):
    run("init", "p", "--from", made / "dataset")
    split = re.search(r"^SPLIT\s*:= (.*)$", (tmp_path / "p/Makefile").read_text(), re.M)[1].split()
    for count in (0, 1, 31):  # of 32
        fill(tmp_path / "p/manifest.csv", subject=lambda number, n=count: f"p{number % 4}" * (number < n))
        assert run("extract", "p/manifest.csv", "--features", "seed33", "-o", "f.parquet").code == 0
        refused = run("train-svm", "f.parquet", "-o", "m.joblib", *split)
        assert refused.code == 3
        assert "subject" in refused.err
        assert not (tmp_path / "m.joblib").exists()


@pytest.mark.parametrize("words", [(), ("--from", "{made}/dataset")])
def test_twice_changes_nothing_and_edited_files_are_kept(run, made, tmp_path, words):
    words = [word.format(made=made) for word in words]
    assert run("init", "p", *words).code == 0
    project = tmp_path / "p"
    before = state(project)
    again = run("init", "p", *words, "--json")
    assert again.code == 0
    assert json.loads(again.out)["up_to_date"]
    assert state(project) == before
    (project / "manifest.csv").write_text("path,subject,label\nmine.wav,me,calm\n")
    (project / "Makefile").write_text("mine:")
    before = state(project)
    kept = run("init", "p", *words)
    assert kept.code == 0
    assert "manifest.csv" in kept.err
    assert "Makefile" in kept.err
    assert state(project) == before
    assert run("init", "p", *words, "--force").code == 0
    assert "report.html" in (project / "Makefile").read_text()
    was_filled = bool(words)
    assert ("mine.wav" in (project / "manifest.csv").read_text()) is not was_filled


def test_a_project_is_filled_later_from_its_own_folder(run, made, tmp_path):
    run("init", "my project")
    target = tmp_path / "my project" / "recordings" / "sad, or not"
    target.mkdir()
    (target / "Ånna 1.wav").write_bytes((made / "dataset/sad/sad_sample_1.wav").read_bytes())
    done = run("init", "my project", "--from", "my project/recordings", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["without_subject"] == 1
    (row,) = rows_of(tmp_path / "my project/manifest.csv")
    assert row == {"path": "recordings/sad, or not/Ånna 1.wav", "subject": "", "label": "sad, or not"}
    found = run("extract", "my project/manifest.csv", "--features", "seed33", "-o", "f.parquet")
    assert found.code == 0, found.err


def test_a_manifest_holds_what_the_layout_knows(run, shared_data, tmp_path):
    assert run("init", "p", "--from", shared_data / "emodb").code == 0
    manifest = tmp_path / "p/manifest.csv"
    rows = rows_of(manifest)
    assert len(rows) == 535
    assert len({row["subject"] for row in rows}) == 10
    plan = run("extract", manifest, "-o", "f.parquet", "-n", "--json")
    assert plan.code == 0, plan.err
    for row in rows[:20]:
        assert (manifest.parent / row["path"]).is_file()
        assert row["subject"] == Path(row["path"]).name[:2]


def test_eeg_and_films_get_feature_sets_of_their_own(run, eav, tmp_path):
    assert run("init", "p", "--from", eav / "twin").code == 0
    row = rows_of(tmp_path / "p/manifest.csv")[1]
    assert {"eeg_path", "audio_path", "video_path", "eeg_index", "task"} <= row.keys()
    assert "eeg-cov" in (tmp_path / "p/Makefile").read_text()
    (tmp_path / "films").mkdir()
    (tmp_path / "films/a.mp4").write_bytes(b"")  # flat, and of no layout: neither label nor subject is known
    done = run("init", "q", "--from", "films", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["without_label"] == 1
    assert rows_of(tmp_path / "q/manifest.csv")[0]["path"] == "../films/a.mp4"


def test_init_refuses_what_it_cannot_lay_out(run, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert run("init", "file").code == 2
    assert run("init", "file/below").code == 3
    absent = run("init", "p", "--from", "absent")
    assert (absent.code, "layout" in absent.err) == (3, False)
    assert run("init", "p", "--from", "empty").code == 3
    assert not (tmp_path / "p").exists()
    assert run("init", "p", "-n").code == 0
    assert not (tmp_path / "p").exists()


def test_a_manifest_of_paths_alone_is_filled_by_the_pattern_that_was_offered(run, made, tmp_path):
    (tmp_path / "flat").mkdir()
    for name in ("anna_joy_1", "anna_fear_1", "ben_joy_1"):
        (tmp_path / f"flat/{name}.wav").write_bytes((made / "dataset/sad/sad_sample_1.wav").read_bytes())
    words = ("init", "p", "--from", "flat", "--pattern", "{subject}_{label}_{take}")
    assert run("init", "p", "--from", "flat").code == 0
    assert run(*words).code == 0
    assert {row["subject"] for row in rows_of(tmp_path / "p/manifest.csv")} == {"anna", "ben"}
    fill(tmp_path / "p/manifest.csv", label=lambda number: "mine" * (number == 0))  # edited from now on
    assert run(*words).code == 0
    assert rows_of(tmp_path / "p/manifest.csv")[0]["label"] == "mine"


def test_names_without_a_layout_are_read_by_a_pattern(run, made, tmp_path):
    (tmp_path / "flat").mkdir()
    for name in ("anna_joy_1", "anna_fear_1", "ben_joy_1"):
        (tmp_path / f"flat/{name}.wav").write_bytes((made / "dataset/sad/sad_sample_1.wav").read_bytes())
    alone = run("init", "p", "--from", "flat", "--json")
    assert alone.code == 0, alone.err
    assert json.loads(alone.out)["without_label"] == 3
    assert "--pattern" in alone.err
    done = run("init", "q", "--from", "flat", "--pattern", "{subject}_{label}_{take}", "--json")
    assert json.loads(done.out)["without_subject"] == 0, done.err
    found = [(row["subject"], row["label"], row["take"]) for row in rows_of(tmp_path / "q/manifest.csv")]
    assert found == [("anna", "fear", "1"), ("anna", "joy", "1"), ("ben", "joy", "1")]
    assert run("init", "r", "--pattern", "{subject}_{label}").code == 2
