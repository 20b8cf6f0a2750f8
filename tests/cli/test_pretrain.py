"""``eavctl pretrain``: tables to an encoder, by tiny methods, in seconds."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from eavctl.pretraining.encoder_model import EncoderModel
from eavctl.storage import artifacts, tables

pytestmark = pytest.mark.usefixtures("tiny_methods")
TINY = ["--method", "tiny", "--encoder", "mlp", "--jobs", "1"]


@pytest.fixture
def table(made, tmp_path):
    shutil.copy(made / "seed33.parquet", tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_says_what_it_is(run, table, tmp_path):
    result = run("pretrain", table, "-o", "e.pt", *TINY, "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    model, keys = EncoderModel.load(tmp_path / "e.pt"), tables.read_keys(table)
    assert told["pretraining"] == model.facts
    assert (told["rows"], model.meta.json["n_rows"]) == (len(keys), len(keys))
    assert (model.facts["method"], model.facts["epochs"], model.facts["augment"]) == ("tiny", 6, [])
    assert model.facts["settings"]["lr"] == 1e-2
    assert 0 <= model.facts["knn"] <= 1
    assert model.features().features_hash == tables.read_feature_meta(table).features_hash
    clips = model.meta.trained_on["clips"]
    assert sum(map(len, clips.values())) == keys["clip_id"].nunique()
    x = tables.read_features(table).x
    assert model.embed(x).shape == (len(keys), model.facts["embedding_dim"])


def test_it_is_up_to_date_until_something_changes(run, table, tmp_path):
    assert run("pretrain", table, "-o", "e.pt", *TINY).code == 0
    first = digest(tmp_path / "e.pt")
    assert "up to date" in run("pretrain", table, "-o", "e.pt", *TINY).err
    assert "up to date" in run("pretrain", table, "-o", "e.pt", *TINY, "-n").err
    forced = run("pretrain", table, "-o", "e.pt", *TINY, "--force")
    assert "up to date" not in forced.err
    assert digest(tmp_path / "e.pt") == first
    for change in (["--seed", "1"], ["--lr", "0.001"], ["--set", "units=16"], ["--where", "label=sad,happy"]):
        planned = run("pretrain", table, "-o", "e.pt", *TINY, *change, "-n")
        assert planned.code == 0, planned.err
        assert "up to date" not in planned.err
    assert digest(tmp_path / "e.pt") == first
    assert not (tmp_path / ".e.pt.parts").exists()


def test_an_interrupted_run_ends_with_the_same_bytes(run, table, tmp_path, monkeypatch):
    from eavctl.classifiers.checkpoints import Checkpoint

    words = ["pretrain", table, "-o", "e.pt", *TINY, "--epochs", "7"]
    save = Checkpoint.save

    def interrupted(checkpoint, training):
        save(checkpoint, training)
        if training.epoch == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted)
        assert run(*words).code == 130
    assert not (tmp_path / "e.pt").exists()
    assert (tmp_path / ".e.pt.parts").is_dir()
    assert run(*words).code == 0
    assert not (tmp_path / ".e.pt.parts").exists()
    whole = [tmp_path / "whole.pt" if word == "e.pt" else word for word in words]
    assert run(*whole).code == 0
    assert digest(tmp_path / "e.pt") == digest(tmp_path / "whole.pt")


def test_labels_are_not_needed_and_change_no_weight(run, table, tmp_path):
    found = tables.read_features(table)
    bare = tables.FeatureTable(found.keys.assign(label=None), found.x, found.columns, found.meta)
    tables.write_features(bare, tmp_path / "bare.parquet")
    for name in ("t", "bare"):
        assert run("pretrain", f"{name}.parquet", "-o", f"{name}.pt", *TINY).code == 0
    labelled, plain = (EncoderModel.load(tmp_path / f"{name}.pt") for name in ("t", "bare"))
    assert plain.facts == {**labelled.facts, "knn": None}
    for name, value in plain.state().items():
        assert np.array_equal(value, labelled.state()[name])


def test_random_weights_with_no_epochs(run, table, tmp_path):
    result = run("pretrain", table, "-o", "r.pt", *TINY, "--epochs", "0")
    assert result.code == 0, result.err
    assert EncoderModel.load(tmp_path / "r.pt").facts["epochs"] == 0
    assert "up to date" in run("pretrain", table, "-o", "r.pt", *TINY, "--epochs", "0").err


def test_rows_are_chosen_by_their_keys(run, table, tmp_path):
    keys = tables.read_keys(table)
    words = ["--where", "label=sad,happy", "--without", f"clip_id={keys['clip_id'][0]}"]
    assert run("pretrain", table, "-o", "e.pt", *TINY, *words).code == 0
    kept = keys[keys["label"].isin(["sad", "happy"]) & (keys["clip_id"] != keys["clip_id"][0])]
    meta = artifacts.read_meta(tmp_path / "e.pt")
    assert meta.json["n_rows"] == len(kept)
    clips = [name for names in meta.trained_on["clips"].values() for name in names]
    assert sorted(clips) == sorted(kept["clip_id"])
    for wrong, code in (("mood=sad", 2), ("label=glad", 2), ("label=,", 2)):
        assert run("pretrain", table, "-o", "f.pt", *TINY, "--where", wrong).code == code


def test_several_tables_are_stacked(run, table, tmp_path):
    found = tables.read_features(table)
    for name, rows in (("a", slice(0, 20)), ("b", slice(20, None))):
        keys = found.keys[rows].reset_index(drop=True)
        part = tables.FeatureTable(keys, found.x[rows], found.columns, found.meta)
        tables.write_features(part, tmp_path / f"{name}.parquet")
    assert run("pretrain", "a.parquet", "b.parquet", "-o", "e.pt", *TINY).code == 0
    assert artifacts.read_meta(tmp_path / "e.pt").json["n_rows"] == len(found)


def test_a_collapse_ends_with_3_and_no_file_unless_forced(run, table, tmp_path):
    words = ["pretrain", table, "-o", "e.pt", *TINY, "--method", "tiny-collapse"]
    result = run(*words)
    assert result.code == 3
    assert "warning: the embedding has collapsed" in result.err
    error = result.err[result.err.index("error: ") :]
    assert "collapsed" in error
    assert "--force" in error
    assert not (tmp_path / "e.pt").exists()
    forced = run(*words, "--force")
    assert forced.code == 0, forced.err
    assert "warning: " in forced.err
    model = EncoderModel.load(tmp_path / "e.pt")
    assert model.facts["collapsed"] is True
    assert any("collapsed" in each for each in model.meta.protocol.warnings)
    assert "collapsed" in run("show", "e.pt").out
    again = run(*words)
    assert again.code == 0
    assert "up to date" in again.err
    assert "collapsed" in again.err


def test_show_tells_in_words_and_the_card_is_markdown(run, table):
    assert run("pretrain", table, "-o", "e.pt", *TINY).code == 0
    shown = run("show", "e.pt")
    assert shown.code == 0
    for word in ("pretrained by tiny", "effective rank", "encoder", "seed33"):
        assert word in shown.out
    assert json.loads(run("show", "e.pt", "--json").out)["pretraining"]["method"] == "tiny"
    card = run("show", "e.pt", "--markdown")
    assert card.code == 0, card.err
    assert card.out.startswith("---\n")
    for word in ("# e", "`tiny`", "## Training data", "--init e.pt", "`seed33`"):
        assert word in card.out


@pytest.mark.parametrize(
    "line",
    [
        "predict {clip} --model e.pt",
        "live --audio {clip} --model e.pt",
        "export e.pt -o e.onnx",
        "bench e.pt",
        "fuse {preds} {preds} --use e.pt -o f.parquet",
    ],
)
def test_commands_that_judge_say_what_the_file_is_for(run, made, table, line):
    assert run("pretrain", table, "-o", "e.pt", *TINY, "--epochs", "0").code == 0
    clip = made / "dataset/sad/sad_sample_1.wav"
    words = line.format(clip=clip, preds=made / "preds.parquet").split()
    result = run(*words)
    assert result.code == 3, result.err
    assert "e.pt: a pretrained encoder" in result.err
    assert "--init" in result.err
    assert len(result.err.splitlines()) <= 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--method", "simclrr"], 2),
        (["--encoder", "cnn-lstm"], 3),
        (["--method-set", "warmth=1"], 2),
        (["--method-set", "temperature=hot"], 2),
        (["--augment", "flip"], 2),
        (["--batch", "1"], 2),
        (["-o", "e.joblib"], 2),
        (["--size", "tiny"], 2),
    ],
)
def test_what_does_not_fit_is_refused_dry_or_not(run, table, tmp_path, words, code):
    line = ["pretrain", table, "-o", "e.pt", *TINY, *words]
    planned, done = run(*line, "-n"), run(*line)
    assert (planned.code, done.code) == (code, code)
    assert planned.err == done.err
    assert len(done.err.splitlines()) <= 2
    assert not list(tmp_path.glob("e.*"))


def test_views_are_made_by_the_augmentations_of_the_kind_of_rows_or_by_those_named(run, made, tmp_path):
    words = ["--features", "logmel", "--set", "n_mels=16", "--set", "n_frames=48"]
    assert run("extract", made / "dataset", *words, "-o", "mel.parquet").code == 0
    found = {}
    for name, augment in (("default", []), ("named", ["--augment", "time-mask,band-mask"])):
        line = ["pretrain", "mel.parquet", "-o", f"{name}.pt", "--method", "tiny", "--epochs", "1", *augment]
        result = run(*line)
        assert result.code == 0, result.err
        found[name] = EncoderModel.load(tmp_path / f"{name}.pt").facts["augment"]
    assert len(found["default"]) > 2
    assert [each.partition(":")[0] for each in found["named"]] == ["time-mask", "band-mask"]
