"""``eavctl show``: what a file is and how good first, JSON loses long lists only, every kind is read."""

import contextlib
import json
import os
import pty

import numpy as np
import pandas as pd
import pytest

from eavctl.cli import start
from eavctl.evaluation import formatting
from eavctl.evaluation.summary import summarize
from eavctl.storage import artifacts, tables


def shown(run, file, *words):
    result = run("show", file, *words)
    assert result.code == 0, result.err
    return result.out


def head_of(text):
    """Names and values of the first lines."""
    first = text.split("\n\n")[0].splitlines()
    return dict(line.split(":", 1) for line in first)


def titles(text):
    return [part.splitlines()[0].split(",")[0].rstrip(":") for part in text.split("\n\n")[1:]]


@pytest.mark.parametrize("name", ["svm.joblib", "preds.parquet", "seed33.joblib"])
def test_the_first_ten_lines_say_what_it_is_and_how_good(run, made, name):
    text = shown(run, made / name)
    head = head_of(text)
    assert len(head) <= 10
    facts = json.loads(shown(run, made / name, "--json"))
    scores = facts.get("scores") or facts["out_of_fold"]
    for title, key in (("UAR", "uar"), ("macro F1", "macro_f1"), ("accuracy", "accuracy")):
        assert formatting.score(scores[key]) in head[title]
    assert "95%" in head["UAR"]
    assert "chance: 0.250" in head["UAR"]
    assert all(f"{each} 8" in head["classes"] for each in ("angry", "happy", "neutral", "sad"))
    assert head["protocol"].strip().startswith("stratified, 2 folds")
    order = titles(text)
    assert order[-1] == "hashes"
    assert order.index("confusion") < order.index("classes") < order.index("hashes")


def test_predictions_are_scored_as_the_report_scores_them(run, made):
    facts = json.loads(shown(run, made / "preds.parquet", "--json"))
    expected = summarize(tables.read_predictions(made / "preds.parquet"))
    assert facts["scores"] == json.loads(json.dumps(expected))
    grid = shown(run, made / "preds.parquet").split("confusion")[1].split("\n\n")[0]
    counts = [int(word) for line in grid.splitlines()[2:] for word in line.split()[2::2]]
    assert counts == np.array(expected["confusion"]).ravel().tolist()


def test_a_score_without_an_interval_has_a_reason(run, made, tmp_path):
    table = tables.read_predictions(made / "preds.parquet")
    people = pd.Series([f"p{i % 2}" for i in range(len(table))], dtype=object)
    meta = {**table.meta, "protocol": {**table.meta["protocol"], "group": "subject"}}
    two = tables.PredictionTable(
        table.keys.assign(subject=people), table.proba, table.classes, meta, table.pred
    )
    tables.write_predictions(two, tmp_path / "two.parquet")
    uar = head_of(shown(run, "two.parquet"))["UAR"]
    assert "[" not in uar
    assert "2 subjects are too few" in uar


def test_predictions_without_labels_or_rows_out_of_fold_say_so(run, made, tmp_path):
    unlabelled = run(
        "predict", made / "dataset/sad/sad_sample_1.wav", "--model", made / "svm.joblib", "-o", "p.parquet"
    )
    assert unlabelled.code == 0, unlabelled.err
    head = head_of(shown(run, "p.parquet"))
    assert "no labels" in head["scores"]
    assert "not out of fold" in head["rows"]
    table = tables.read_predictions(made / "preds.parquet")
    none = tables.PredictionTable(table.keys[:0], table.proba[:0], table.classes, table.meta, table.pred[:0])
    tables.write_predictions(none, "none.parquet")
    assert "no labels" in head_of(shown(run, "none.parquet"))["scores"]
    one = table.keys["label"].eq("sad").to_numpy()
    only = tables.PredictionTable(
        table.keys[one].reset_index(drop=True), table.proba[one], table.classes, table.meta, table.pred[one]
    )
    tables.write_predictions(only, "one.parquet")
    assert "UAR" in head_of(shown(run, "one.parquet"))


def test_json_of_a_model_has_counts_in_place_of_its_names_and_all_else(run, made):
    text = shown(run, made / "svm.joblib", "--json")
    facts, meta = json.loads(text), artifacts.read_meta(made / "svm.joblib").json
    assert len(text) < 60_000
    assert facts["columns"] == {"count": 3415, "first": meta["columns"][:6]}
    clips = facts["trained_on"]["clips"]["dataset"]
    assert clips == {"count": 32, "first": meta["trained_on"]["clips"]["dataset"][:6]}
    for key in meta.keys() - {"kind", "columns", "trained_on", "model"}:
        assert facts[key] == json.loads(json.dumps(meta[key])), key
    assert facts["out_of_fold"]["reliability"] == meta["out_of_fold"]["reliability"]


def test_packaged_models_fit_a_screenful_and_say_what_they_may_be_used_for(run):
    text = shown(run, "speech-small")
    assert len(head_of(text)) <= 10
    assert "CC BY-NC-SA 4.0" in text
    assert "angry 504" in head_of(text)["classes"]
    assert len(shown(run, "speech-small", "--json")) < 60_000


def test_a_table_of_rejected_recordings_counts_its_reasons(run, made, tmp_path):
    for folder in ("good", "bad"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    (tmp_path / "in/good/a.wav").write_bytes((made / "dataset/sad/sad_sample_1.wav").read_bytes())
    for name in ("b.wav", "c.wav"):
        (tmp_path / "in/bad" / name).write_bytes(b"")
    (tmp_path / "in/bad/d.wav").write_text("not a sound")
    for name in ("r.csv", "r.parquet"):
        done = run("extract", "in", "--features", "seed33", "-o", "f.parquet", "-f", "--rejected", name)
        assert done.code == 0, done.err
        text = shown(run, name)
        assert head_of(text)["rows"].strip() == "3"
        assert "2 the file is empty: bad/b.wav" in text
        facts = json.loads(shown(run, name, "--json"))
        assert [each["path"] for each in facts["rejected"]] == ["bad/b.wav", "bad/c.wav", "bad/d.wav"]
        assert {each["start"] for each in facts["rejected"]} == {None}
    table = shown(run, "f.parquet")
    assert "3 recordings rejected" in head_of(table)["rows"]
    assert "2 the file is empty: bad/b.wav" in table


PROBE = {
    "eavctl": "probe", "format_version": 1, "chance": 0.25, "level": 0.95, "over": "subjects",
    "n_clusters": 2,
    "encoder": {"name": "mlp", "pretraining": {"method": "simclr"}}, "probe_hash": "f00",
    "table": {"features": "seed33", "n_rows": 40, "class_counts": {"calm": 20, "joy": 20}},
    "protocol": {"name": "group-kfold", "folds": 2, "group": "subject", "warnings": ["few people"]},
    "settings": {"arms": ["probe", "random"], "draws": 3},
    "shares": [{"labels": "all", "scores": {
        "probe": {"value": 0.75, "low": None, "high": None},
        "random": {"value": 0.5, "low": None, "high": None},
    }}],
    "comparisons": [], "persons": None, "versions": {"eavctl": "1"},
}  # fmt: skip


def test_the_result_of_a_probe_is_read(run, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(PROBE, indent=1))
    text = shown(run, "p.json")
    head = head_of(text)
    assert "probe 0.750" in head["UAR"]
    assert "simclr" in head["encoder"]
    assert "few people" in text
    assert "2 subjects are too few" in text
    assert json.loads(shown(run, "p.json", "--json"))["kind"] == "result of a probe"
    (tmp_path / "p.json").write_text(json.dumps(PROBE, indent=1)[:200])
    assert run("show", "p.json").code == 3


def test_other_files_are_an_error_that_says_what_they_are(run, made, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").write_bytes(b"")
    assert run("report", made / "preds.parquet", "-o", "r.html").code == 0
    for name, word in (("x.csv", "not a file written by eavctl"), ("empty", "empty"), ("r.html", "a report")):
        result = run("show", name)
        assert (result.code, result.out) == (3, "")
        assert word in result.err


@pytest.mark.parametrize("name", ["bands.parquet", "epochs.parquet", "epochs.pt", "bands_preds.parquet"])
def test_tables_and_models_of_eeg_are_read(run, eav, name):
    text = shown(run, eav / name)
    assert "2 subjects" in text.split("\n\n")[0]
    assert "30 x 200" in text or "epochs" not in name
    if not name.endswith(("bands.parquet", "epochs.parquet")):
        assert "subjects may be on both sides" in head_of(text)["protocol"]


def test_lines_are_broken_at_the_terminals_width_and_whole_in_a_pipe(run, made, monkeypatch):
    piped = shown(run, made / "svm.joblib")
    assert max(map(len, piped.splitlines())) > 80
    end, terminal = pty.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    with os.fdopen(terminal, "w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert start.run(["show", str(made / "svm.joblib")]) == 0
    found = bytearray()
    with contextlib.suppress(OSError):  # the end of a terminal that is closed
        while part := os.read(end, 1 << 16):
            found += part
    os.close(end)
    text = found.decode()
    lines = text.replace("\r\n", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert text.split() == piped.split()
