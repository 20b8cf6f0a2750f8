"""``--json``: one object in one envelope on stdout, whatever the command, done or only planned."""

import json

import pytest

ENVELOPE = {"command", "out", "up_to_date", "dry_run", "warnings"}
COMPUTING_ONCE = ("extract", "pretrain", "probe", "tune", "zero-shot", "init")  # besides the commands train-*
LINES = {
    "synth --per-class 1 --classes sad --out tones": {"layout", "recordings"},
    "init project": {"folder", "kept", "rows"},
    "extract {made}/dataset --features seed33 --where label=sad --rejected bad.csv -o sad.parquet": {
        "features", "recordings", "without", "rejected",
    },
    "train-svm {made}/seed33.parquet --folds 2 -o m.joblib --predictions p.parquet": {
        "class_counts", "protocol",
    },
    "train-linear {made}/seed33.parquet --folds 2 -o m.joblib": {"class_counts", "protocol"},
    "train-dnn {made}/seed33.parquet --folds 2 --epochs 1 --jobs 1 -o m.pt": {"class_counts", "protocol"},
    "fuse {made}/preds.parquet {made}/seed33_preds.parquet --method mean -o f.parquet": {"rows"},
    "train-fusion {made}/seed33.parquet {made}/feats.parquet --folds 2 --epochs 1 --jobs 1 -o f.pt "
    "--predictions p.parquet": {"class_counts", "protocol"},
    "tune {made}/seed33.parquet --folds 2 --trials 2 -o m.joblib": {"class_counts", "protocol"},
    "pretrain {made}/seed33.parquet --epochs 1 --jobs 1 -o e.pt": {"rows"},
    "zero-shot {made}/seed33.parquet {made}/feats.parquet --folds 2 --epochs 1 --jobs 1 --held-out sad "
    "-o z.parquet": set(),
    "predict {made}/dataset/sad --model {made}/svm.joblib --rejected bad.csv -o q.parquet": {
        "model", "recordings", "classes", "rejected",
    },
    "convert {made}/preds.parquet p.csv": {"kind", "n_rows", "n_columns"},
    "report {made}/preds.parquet -o r.html": {"models", "comparisons"},
    "map {made}/seed33.parquet -o m.html": {"rows", "drawn"},
    "explain {made}/seed33.joblib {made}/seed33.parquet -o x.html": {"rows", "how"},
    "probe {made}/encoder.pt {made}/seed33.parquet --labels 3 --arms probe,random --folds 2 --shared all "
    "-o p.json": {"encoder", "table", "protocol", "settings"},
    "check {made}/dataset": {"source", "layout"},
    "bench {made}/seed33.joblib": {"model", "kind", "rows"},
    "show {made}/seed33.parquet": {"file", "kind"},
    "list layouts": {"kind", "about", "settings", "entries"},
    "export {made}/svm.joblib -o m.onnx": {"model", "kind"},
    "train-ground {grounded}/scenes.parquet --epochs 1 --batch 16 --jobs 1 -o g.pt": {"phrases"},
    "ground {grounded}/scene.jpg circle --model {grounded}/ground.pt -o found.png": {"phrase", "size"},
}  # fmt: skip


def warned(said):
    return [line.removeprefix("warning: ") for line in said.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("line", LINES)
def test_every_command_answers_in_one_envelope(run, request, tmp_path, line):
    folders = {name: request.getfixturevalue(name) for name in ("made", "grounded") if f"{{{name}}}" in line}
    words = line.format(**folders).split()
    results = {flag: run(*words, "--json", *flag) for flag in (("-n",), (), ("-q",))}
    answers = {flag: json.loads(result.out) for flag, result in results.items()}
    for flag, answer in answers.items():
        assert results[flag].code == 0, results[flag].err
        assert answer.keys() >= ENVELOPE | LINES[line]
        assert (answer["command"], answer["dry_run"]) == (words[0], flag == ("-n",))
        assert answer["warnings"] == warned(results[flag].err)
    planned, done, again = answers.values()
    assert planned["out"] == done["out"]
    for key in planned.keys() & LINES[line] - {"protocol", "rejected"}:
        assert planned[key] == done[key]
    outputs = done["out"] if isinstance(done["out"], list) else [done["out"]]
    assert all((tmp_path / each).exists() for each in outputs if each)
    computes_once = words[0].startswith("train-") or words[0] in COMPUTING_ONCE
    assert (again["up_to_date"], done["up_to_date"]) == (computes_once, False)


@pytest.mark.parametrize(
    "line",
    [
        "extract {made}/dataset -o - --json",
        "predict {made}/dataset --model {made}/svm.joblib --rejected - --json",
        "predict {made}/dataset --model {made}/svm.joblib --rejected - -o -",
        "train-svm {made}/feats.parquet -o m.joblib --predictions - --json",
        "report {made}/preds.parquet -o - --json",
        "map {made}/feats.parquet -o - --json",
        "explain {made}/svm.joblib {made}/feats.parquet -o - --json",
        "train-ground scenes.parquet -o - --json",
        "ground scene.jpg circle -o - --json",
    ],
)
def test_stdout_has_room_for_one(run, made, line):
    result = run(*line.format(made=made).split())
    assert (result.code, result.out) == (2, "")
    assert "stdout" in result.err


def test_metadata_of_a_file_cannot_pass_for_the_envelope(run, made):
    from eavctl.storage import tables

    table = tables.read_features(made / "seed33.parquet")
    forged = {"command": "rm", "warnings": ["forged"], "out": "forged", "dry_run": 3}
    tables.write_features(
        tables.FeatureTable(table.keys, table.x, table.columns, table.meta | forged), "f.parquet"
    )
    found = json.loads(run("show", "f.parquet", "--json").out)
    assert {key: found[key] for key in forged} == {
        "command": "show", "warnings": [], "out": None, "dry_run": False,
    }  # fmt: skip
