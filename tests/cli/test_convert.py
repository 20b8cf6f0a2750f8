"""Tables for other programs: ``eavctl convert``, and ``-o`` with their endings."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eavctl.storage import tables

ENDINGS = ("csv", "tsv", "jsonl", "xlsx")


@pytest.mark.parametrize("ending", ENDINGS)
def test_writing_at_once_and_converting_give_the_same_bytes(run, made, tmp_path, ending):
    for line in (
        f"extract {made}/dataset --features seed33 -o feats",
        f"predict {made}/dataset --model {made}/svm.joblib -o preds",
        f"fuse {made}/preds.parquet {made}/seed33_preds.parquet --method mean -o fused",
    ):
        out = line.split()[-1]
        for each in (ending, "parquet", ending):  # the third overwrites what it knows again
            result = run(*f"{line}.{each}".split())
            assert result.code == 0, result.err
            assert ("Parquet" in result.err) == (each != "parquet")
        converted = run("convert", f"{out}.parquet", f"again.{ending}", "--force")
        assert converted.code == 0, converted.err
        assert (tmp_path / f"again.{ending}").read_bytes() == (tmp_path / f"{out}.{ending}").read_bytes()


def test_predictions_carry_the_confidence_and_its_count(run, made):
    assert run("predict", made / "dataset", "--model", made / "svm.joblib", "-o", "p.csv").code == 0
    table = list(csv.DictReader(io.StringIO(Path("p.csv").read_text())))
    assert run("predict", made / "dataset", "--model", made / "svm.joblib", "-o", "p.parquet").code == 0
    known = pd.read_parquet("p.parquet")
    assert list(table[0]) == list(known)
    for name in ("right_out_of_fold", "right_low", "right_high", "proba_sad"):
        found = [float(row[name]) if row[name] else np.nan for row in table]
        np.testing.assert_array_equal(found, known[name].to_numpy(float))
    assert [row["right_n_rows"] for row in table] == [
        "" if np.isnan(n) else f"{n:.0f}" for n in known["right_n_rows"]
    ]
    assert [row["unsure"] for row in table] == [*known["unsure"].fillna("")]


def test_out_of_fold_predictions_and_rejected_recordings_have_endings_too(run, made, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "=1+1.wav").write_text("no sound")
    line = [
        "train-svm",
        made / "seed33.parquet",
        "--folds",
        "2",
        "-o",
        "m.joblib",
        "--predictions",
        "p.jsonl",
    ]
    assert run(*line).code == 0
    again = run(*line, "--json")
    assert not json.loads(again.out)["up_to_date"]  # the table does not say of which training it is
    rows = [json.loads(each) for each in Path("p.jsonl").read_text().splitlines()]
    assert [row["sample_id"] for row in rows] == sorted(row["sample_id"] for row in rows)
    for ending in ENDINGS:
        clip = made / "dataset" / "sad" / "sad_sample_1.wav"
        result = run(
            "predict", clip, "bad/=1+1.wav", "--model", made / "svm.joblib", "--rejected", f"r.{ending}"
        )
        assert result.code == 0, result.err
    assert next(csv.DictReader(Path("r.csv").read_text().splitlines()))["path"] == "bad/=1+1.wav"


def test_stdout_takes_a_format(run, made):
    lines = run("convert", made / "preds.parquet", "-", "--to", "csv").out
    n_rows = len(tables.read_keys(made / "preds.parquet"))
    assert len(list(csv.reader(io.StringIO(lines)))) == n_rows + 1
    content = (made / "preds.parquet").read_bytes()
    assert run("convert", "-", "-", "--to", "csv", stdin=content).out == lines
    assert run("convert", made / "preds.parquet", "-", "--to", "xlsx").bytes.startswith(b"PK")


def test_a_closed_pipe_ends_quietly(made, tmp_path):
    command = [sys.executable, "-m", "eavctl", "convert", made / "feats.parquet", "-", "--to", "jsonl"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    with process.stderr as said:
        assert b"rror" not in said.read()


@pytest.mark.parametrize(
    "words",
    [
        ["preds.parquet", "-"],
        ["preds.parquet", "x.parquet"],
        ["preds.parquet", "x"],
        ["preds.parquet", "x.csv", "--to", "tsv"],
        ["preds.parquet", "-", "--to", "html"],
        ["preds.parquet", "no/x.csv"],
        ["preds.parquet", "-", "--to", "csv", "--json"],
    ],
)
@pytest.mark.parametrize("dry", [[], ["-n"]])
def test_what_cannot_be_written_is_wrong_usage(run, made, tmp_path, words, dry):
    (tmp_path / "preds.parquet").symlink_to(made / "preds.parquet")
    result = run("convert", *words, *dry)
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) <= 2
    assert [path.name for path in tmp_path.iterdir()] == ["preds.parquet"]


def test_damage_is_told_of_the_table_that_has_it(run, made, tmp_path):
    content = bytearray((made / "feats.parquet").read_bytes())
    content[5000:9000] = bytes(4000)
    (tmp_path / "bad.parquet").write_bytes(content)
    for words in (["x.csv"], ["-", "--to", "jsonl"]):
        result = run("convert", "bad.parquet", *words)
        assert result.code == 3
        assert "bad.parquet: damaged" in result.err
        assert not (tmp_path / "x.csv").exists()


def test_what_is_no_table_of_ours_is_bad_data(run, made, tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet("theirs.parquet")
    for name in ("theirs.parquet", made / "svm.joblib", "nowhere.parquet"):
        result = run("convert", name, "x.csv")
        assert result.code == 3, result.err
        assert not (tmp_path / "x.csv").exists()


def test_commands_say_that_they_read_parquet(run, made):
    assert run("convert", made / "preds.parquet", "p.csv").code == 0
    assert run("convert", made / "seed33.parquet", "f.jsonl").code == 0
    for words in (
        ["report", "p.csv", "-o", "r.html"],
        ["fuse", "p.csv", made / "preds.parquet", "-o", "f.parquet"],
        ["train-svm", "f.jsonl", "-o", "m.joblib"],
        ["show", "p.csv"],
    ):
        result = run(*words)
        assert result.code == 3
        assert "Parquet" in result.err
        assert len(result.err.splitlines()) <= 2


def test_tensors_are_refused_before_anything_is_computed(run, made, monkeypatch):
    monkeypatch.setattr("eavctl.stages.extract._compute", None)
    for ending in ("csv", "tsv", "xlsx"):
        result = run("extract", made / "dataset", "--features", "logmel", "-o", f"x.{ending}")
        assert result.code == 2
        assert ".parquet" in result.err


def test_a_dry_run_writes_nothing(run, made, tmp_path):
    found = json.loads(run("convert", made / "preds.parquet", "x.csv", "-n", "--json").out)
    assert found["kind"] == "predictions"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_extra_columns_of_a_manifest_stand_in_every_table(run, made, tmp_path, ending):
    clips = sorted((made / "dataset").rglob("*.wav"))[:3]
    sites = ["Köln", "=1+1", 'a,"b"']
    pd.DataFrame({"path": clips, "site": sites}).to_csv("own.csv", index=False)
    result = run("predict", "own.csv", "--model", made / "svm.joblib", "-o", f"p.{ending}")
    assert result.code == 0, result.err
    read = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "xlsx": pd.read_excel,
    }
    found = read[ending](f"p.{ending}")
    assert sorted(found["site"]) == sorted(sites)
    assert run("predict", "own.csv", "--model", made / "svm.joblib", "-o", f"p.{ending}").code == 0
