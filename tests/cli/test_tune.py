"""``eavctl tune`` as a command: what it prints, keeps and continues, of tables, features and fusions."""

import json
import shutil
from pathlib import Path

import pytest

from eavctl.cli import start
from eavctl.storage import artifacts, tables

TINY = ("--folds", "2", "--jobs", "1", "--trials", "2", "--space", "epochs=1")


@pytest.fixture(scope="module")
def logmel(tmp_path_factory, made):
    """Folder with the recordings of two classes in ``dataset/`` and ``part/`` of them, and ``f.parquet``."""
    folder = tmp_path_factory.mktemp("logmel")
    for name in ("sad", "happy"):
        shutil.copytree(made / "dataset" / name, folder / "dataset" / name)
    shutil.copytree(folder / "dataset", folder / "part", ignore=shutil.ignore_patterns("*1.wav"))
    words = ("extract", folder / "dataset", "--features", "logmel", "--set", "n_frames=20", "-q")
    assert start.run([*map(str, words), "--set", "n_mels=16", "-o", str(folder / "f.parquet")]) == 0
    return folder


def test_scores_stand_beside_each_other_and_in_the_model(run, made):
    words = ("tune", made / "seed33.parquet", "-o", "m.joblib", "--method", "linear", "--folds", 2)
    result = run(*words, "--trials", 1, "--json", "--predictions", "p.parquet")
    assert result.code == 0, result.err
    tuning = json.loads(result.out)["tuning"]
    outer, defaults = tuning["outer"], tuning["defaults"]
    assert tuning["versus"]["difference"]["value"] == pytest.approx(outer["value"] - defaults["value"])
    for number in (tuning["inner"], outer["value"], defaults["value"]):
        assert f"{number:.3f}" in result.err
    assert artifacts.read_meta("m.joblib").json["tuning"] == tuning
    assert tables.read_predictions("p.parquet").meta["tuning"] == tuning
    shown = run("show", "m.joblib")
    assert f"{tuning['inner']:.3f}" in shown.out
    assert "penalty" in shown.out
    assert run("predict", made / "seed33.parquet", "--model", "m.joblib").code == 0

    before = Path("m.joblib").read_bytes()
    assert json.loads(run(*words, "--trials", 1, "--json", "--predictions", "p.parquet").out)["up_to_date"]
    lines = Path("m.joblib.study").read_text().count("\n")
    assert run(*words, "--trials", 1, "--force").code == 0
    assert Path("m.joblib").read_bytes() == before
    assert Path("m.joblib.study").read_text().count("\n") == lines  # no trial ran again
    more = json.loads(run(*words, "--trials", 2, "--json").out)["tuning"]
    assert [each["n_trials"] for each in more["folds"]] == [2, 2]
    assert Path("m.joblib.study").read_text().count('"op_code":4,') == 3 * 2  # trials that began


def test_features_are_tuned_on_the_same_samples(run, logmel):
    words = (
        "tune",
        logmel / "f.parquet",
        "-o",
        "m.pt",
        *TINY,
        "--space",
        "lstm_units=4",
        "--space",
        "channels=[2,2]",
    )
    words = (*words, "--recordings", logmel / "dataset", "--space", "features.n_mels=20,24")
    planned = run(*words, "-n")
    assert planned.code == 0, planned.err
    assert not list(Path().glob("m.pt*"))
    result = run(*words, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)["tuning"]
    assert {each["chosen"]["features.n_mels"] for each in found["folds"]} <= {20, 24}
    meta = artifacts.read_meta("m.pt")
    assert meta.features.settings["n_mels"] == found["all_rows"]["chosen"]["features.n_mels"]
    assert tuple(meta.features.shape) == (meta.features.settings["n_mels"], 20)
    assert len(list(Path("m.pt.features").iterdir())) == 2
    assert run("predict", logmel / "dataset" / "sad", "--model", "m.pt").code == 0
    assert json.loads(run(*words, "-n", "--json").out)["up_to_date"]


@pytest.mark.parametrize(
    "line",
    [
        "--space features.n_mels=8,16",
        "--recordings {logmel}/dataset",
        "--recordings {logmel}/dataset --space features.n_mels=8..16",
        "--recordings {logmel}/dataset --space features.n_mels=8",
        "--recordings {logmel}/dataset --space features.n_mells=8,16",
    ],
)
def test_features_take_recordings_and_values(run, logmel, line):
    result = run("tune", logmel / "f.parquet", "-o", "m.pt", *line.format(logmel=logmel).split(), "-n")
    assert result.code == 2, result.err


@pytest.mark.parametrize("words", [("--protocol", "lodo"), ("--recordings", "part")])
def test_features_are_not_extracted_for_what_cannot_be_tuned(run, logmel, monkeypatch, words):
    monkeypatch.chdir(logmel)
    before = sorted(Path().iterdir())
    words = ("--recordings", "dataset", "--space", "features.n_mels=40,64", *words)
    for more in ((), ("-n",)):
        result = run("tune", "f.parquet", "-o", "m.pt", *words, *more)
        assert result.code == 3, result.err
        assert len(result.err.splitlines()) <= 2
        assert sorted(Path().iterdir()) == before


def test_a_fusion_is_tuned_with_its_streams(run, made):
    words = ("tune", made / "seed33.parquet", made / "feats.parquet", "-o", "m.pt", "--method", "attention")
    result = run(*words, *TINY, "--space", "feats.2.units=4,8", "--space", "seed33.1.units=4", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    chosen = found["tuning"]["all_rows"]["chosen"]
    assert {"lr", "modality_dropout", "contrastive", "feats.2.units"} <= set(chosen)
    streams = artifacts.read_meta("m.pt").json["streams"]
    assert [each["encoder_settings"]["units"] for each in streams] == [4, chosen["feats.2.units"]]
    assert len(found["fusion"]["subsets"]) == 3
