"""``eavctl report``: the commands that it shows repeat what was made, its formats, names and least scores."""

import csv
import io
import json
import shlex
import shutil
from pathlib import Path

import pytest

from eavctl.report.commands import RECORDINGS, commands
from eavctl.report.told import training_of
from eavctl.storage import ownership, tables
from eavctl.training.sources import source_of

TRAININGS = (
    "train-svm {seed33} -o p.joblib --predictions p.parquet --folds 3 --seed 7 --labels angry=cross,happy=",
    "train-linear {seed33} {other} -o p.joblib --predictions p.parquet --protocol lodo --corpora rows "
    "--answers angry,sad,happy",
    "train-dnn {seed33} -o p.pt --predictions p.parquet --folds 2 --epochs 1 --encoder mlp --lr 0.01 "
    "--dropout 0 --set units=8 --protocol stratified --jobs 1",
    "train-fusion {seed33} {feats} -o p.pt --predictions p.parquet --folds 2 --epochs 1 --method "
    "channel-attention --members 2 --jobs 1",
    "zero-shot {seed33} {feats} -o p.parquet --held-out sad --folds 2 --epochs 1 --seed 0 --jobs 1",
    "tune {seed33} -o p.joblib --predictions p.parquet --folds 2 --trials 2 --space C=0.1..10 --seed 5 "
    "--jobs 1",
    "fuse {preds} {seed33_preds} -o p.parquet --method mean",
)


def models_of(run, *words):
    result = run("report", *words, "--json")
    assert result.code in (0, 3), result.err
    return json.loads(result.out)["models"]


@pytest.mark.parametrize("line", TRAININGS, ids=lambda line: line.split()[0])
def test_the_command_of_the_report_makes_the_same_bytes_again(run, made, tmp_path, line):
    names = ("seed33", "feats", "preds", "seed33_preds")
    for name in names:
        shutil.copy(made / f"{name}.parquet", tmp_path)
    if "{other}" in line:
        table = tables.read_features(made / "seed33.parquet")
        keys = table.keys.assign(dataset="other", recording=None)
        tables.write_features(
            tables.FeatureTable(keys, table.x + 1, table.columns, table.meta), "other.parquet"
        )
    files = {name: f"{name}.parquet" for name in (*names, "other")}
    assert run(*line.format(**files).split(), "-q").code == 0
    first = Path("p.parquet").read_bytes()
    (model,) = models_of(run, "p.parquet")
    words = shlex.split(model["commands"][-1])
    assert words[:2] == ["eavctl", line.split()[0]]
    for made_before in tmp_path.glob("p.*"):
        made_before.unlink()
    assert run(*words[1:], "-q").code == 0
    assert Path("p.parquet").read_bytes() == first


def test_the_extraction_of_the_report_makes_the_same_table_again(run, made):
    folder = made / "dataset"
    asked = (
        "--features logmel --set n_mels=40 --segment 0.5 --hop 0.25 --augment noise,gain --copies 2 --seed 9"
    )
    assert run("extract", folder, "-o", "t.parquet", *asked.split(), "--where", "label=sad", "-q").code == 0
    first = Path("t.parquet").read_bytes()
    training = {"kind": "svm", "inputs": [source_of("t.parquet")], "command": {"name": "train-svm"}}
    line, _ = commands(training_of({"training": training}), "p")
    Path("t.parquet").unlink()
    words = [str(folder) if word == RECORDINGS else word for word in shlex.split(line)]
    assert run(*words[1:], "-q").code == 0
    assert Path("t.parquet").read_bytes() == first


def test_a_judged_table_tells_of_the_model_and_claims_no_more(run, made):
    assert (
        run("predict", made / "dataset", "--model", made / "svm.joblib", "-o", "judged.parquet", "-q").code
        == 0
    )
    (model,) = models_of(run, "judged.parquet")
    assert model["commands"] == []
    assert model["trained"]["kind"] == "svm"
    assert "support vector machine" in model["sentence"]
    assert "was applied to" in model["sentence"]
    assert "may be among" in model["sentence"]


def test_names_title_and_least_scores(run, made):
    inputs = [made / "preds.parquet", made / "seed33_preds.parquet"]
    named = ("--names", "preds=My | model,seed33_preds=b_2", "--title", "T & T")
    least = ("--fail-under", "b_2:uar=1", "--fail-under", "uar_low=0.999")
    done = run("report", *inputs, "-o", "r.html", "--csv", "s.csv", *named, *least)
    assert done.code == 3
    assert done.err.splitlines()[-1].startswith("error: b_2: ")
    page = Path("r.html").read_text()
    assert "<h1>T &amp; T</h1>" in page
    assert "My | model" in page
    rows = list(csv.DictReader(io.StringIO(Path("s.csv").read_text())))
    assert {row["model"] for row in rows} == {"My | model", "b_2"}
    assert run("report", *inputs, "--json", "--fail-under", "uar=0").code == 0


@pytest.mark.parametrize(
    "words",
    [
        "--names nobody=x -o r.html",
        "--names preds -o r.html",
        "--fail-under uar=6 -o r.html",
        "--fail-under nobody:uar=0.6 -o r.html",
        "--csv s.txt",
        "--csv s.html",
        "--markdown --latex",
        "--markdown --json",
        "--markdown -o -",
        "-o r.pdf",
        "-o s.csv --csv s.csv",
        "--title x",
    ],
)
def test_wrong_usage_writes_nothing(run, made, tmp_path, words):
    result = run("report", made / "preds.parquet", *words.split())
    assert (result.code, result.out) == (2, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["html", "md", "tex", "csv", "json"])
def test_each_format_is_the_same_again_and_is_known_as_a_report(run, made, ending):
    out = Path(f"r.{ending}")
    assert run("report", made / "preds.parquet", "-o", out).code == 0
    first = out.read_bytes()
    assert ownership.kind_of(out) == "report"
    assert run("report", made / "preds.parquet", "-o", out).code == 0
    assert out.read_bytes() == first
    out.write_text("mine")
    assert run("report", made / "preds.parquet", "-o", out).code == 2
    assert out.read_text() == "mine"
    assert run("report", made / "preds.parquet", "-o", out, "--force").code == 0


def test_all_formats_say_the_same(run, made):
    found = json.loads(run("report", made / "preds.parquet", "--json").out)
    (model,) = found["models"]
    score = f"{model['uar']['value']:.3f} [{model['uar']['low']:.3f}, {model['uar']['high']:.3f}]"
    assert score in run("report", made / "preds.parquet", "--markdown").out
    assert score in run("report", made / "preds.parquet", "--latex").out
    run("report", made / "preds.parquet", "-o", "r.json", "--csv", "r.csv")
    whole = json.loads(Path("r.json").read_text())
    assert whole["models"] == found["models"]
    rows = list(csv.DictReader(io.StringIO(Path("r.csv").read_text())))
    (uar,) = [row for row in rows if row["metric"] == "uar"]
    assert [float(uar[key]) for key in ("value", "low", "high")] == [
        model["uar"][key] for key in ("value", "low", "high")
    ]
    assert len({(row["metric"], row["class"], row["dataset"]) for row in rows}) == len(rows)


def test_a_dry_run_writes_nothing_and_fails_where_the_real_run_would(run, made, tmp_path):
    words = ("report", made / "preds.parquet", "-o", "r.html", "--csv", "s.csv", "-n")
    assert run(*words).code == 0
    assert run(*words, "--fail-under", "uar=1", "--fail-under", "uar_low=1").code == 3
    assert not list(tmp_path.iterdir())
