"""Extra columns of a data set travel from the manifest to every table that follows from it."""

import csv
from pathlib import Path

import pytest

import eavctl
from eavctl.cli.start import run
from eavctl.errors import DataError
from eavctl.storage import tables
from eavctl.storage.keys import KEYS

WILD = ("stamp", "trial_index", "extra", 'naïve, "x"')  # names that the code itself uses, or are odd


def value(clip, name):
    return None if clip.endswith("_1") else f"{name} of {clip}"


def manifest(folder, names, value_of=value):
    """Describe the recordings of a folder of classes by a table with extra columns."""
    with open(f"{folder}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", *names])
        for path in sorted(Path(folder).rglob("*.wav")):
            clip = path.with_suffix("").as_posix()
            writer.writerow([path, path.parent.name, *(value_of(clip, name) for name in names)])
    return f"{folder}.csv"


def expected(clips, name):
    return [None if clip.endswith("_1") else f"{name} of {clip}" for clip in clips]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with synthetic recordings, to work in."""
    monkeypatch.chdir(tmp_path)
    assert run(["synth", "--per-class", "6", "--classes", "sad,angry"]) == 0
    return tmp_path


def check(path, names=WILD):
    table = tables.read_keys(path)
    assert tuple(table.columns) == (*KEYS, *names)
    for name in names:
        assert table[name].tolist() == expected(table["clip_id"], name)
    return table


def test_from_recordings_to_every_table(place):
    source = manifest("dataset", WILD)
    assert run(["extract", source, "-o", "f.parquet", "--features", "seed33"]) == 0
    check("f.parquet")
    features = eavctl.read_features("f.parquet")
    assert features.meta["extra"] == list(WILD)
    assert features.x.shape[1] == 33
    tables.write_features(features, "again.parquet")
    assert tables.read_meta("again.parquet")["content_hash"] == features.meta["content_hash"]
    for kind in ("svm", "linear"):
        words = ["f.parquet", "-o", f"{kind}.joblib", "--predictions", f"{kind}.parquet", "--folds", "2"]
        assert run([f"train-{kind}", *words]) == 0
        check(f"{kind}.parquet")
    assert run(["fuse", "svm.parquet", "linear.parquet", "-o", "fused.parquet"]) == 0
    check("fused.parquet")
    for judged in (source, "f.parquet"):
        assert run(["predict", judged, "--model", "svm.joblib", "-o", "p.parquet"]) == 0
        check("p.parquet")
    assert run(["extract", source, "-o", "m.parquet", "--features", "means180"]) == 0
    network = ["--encoder", "mlp", "--encoder", "mlp", "--epochs", "1", "--folds", "2"]
    words = ["f.parquet", "m.parquet", *network, "-o", "n.pt", "--predictions", "n.parquet"]
    assert run(["train-fusion", *words]) == 0
    check("n.parquet")


def test_segments_and_altered_copies_have_those_of_their_recording(place):
    source = manifest("dataset", ["take"])
    words = ["--features", "seed33", "--segment", "0.5", "--augment", "gain", "-o", "f.parquet"]
    assert run(["extract", source, *words]) == 0
    keys = tables.read_keys("f.parquet")
    assert keys["augment"].notna().any()
    assert keys["clip_id"].duplicated().any()
    assert keys["take"].tolist() == expected(keys["clip_id"], "take")


def test_a_changed_value_is_written_and_the_same_ones_are_not_computed_again(place, capsys):
    words = ["extract", "dataset.csv", "-o", "f.parquet", "--features", "seed33"]
    manifest("dataset", ["take"], lambda clip, name: "1")
    assert run(words) == 0
    assert run(words) == 0
    assert "up to date" in capsys.readouterr().err
    manifest("dataset", ["take"], lambda clip, name: "2")
    assert run(words) == 0
    assert set(tables.read_keys("f.parquet")["take"]) == {"2"}


def test_stacked_tables_have_the_extra_columns_of_both(place):
    for name in ("one", "two"):
        (place / "dataset").rename(place / name)
        assert run(["extract", manifest(name, [name]), "-o", f"{name}.parquet", "--features", "seed33"]) == 0
        (place / name).rename(place / "dataset")
        for each in (place / "dataset").rglob("*.wav"):
            each.write_bytes(each.read_bytes()[:-2])  # another recording
    words = ["-o", "svm.joblib", "--predictions", "p.parquet", "--normalize", "dataset"]
    assert run(["train-linear", "one.parquet", "two.parquet", *words]) == 0
    keys = tables.read_keys("p.parquet")
    assert tuple(keys.columns) == (*KEYS, "one", "two")
    assert keys["one"].notna().sum() == keys["two"].notna().sum() == 10
    assert not (keys["one"].notna() & keys["two"].notna()).any()


@pytest.mark.parametrize("name", ["pred", "proba_a", "x", "unsure", "right_low", "augment", "energy"])
def test_names_of_other_columns_are_refused(name):
    with pytest.raises(DataError, match=name):
        tables.check_extra([name], ["energy"], "manifest.csv")


def test_a_table_without_them_has_the_metadata_as_ever(place):
    assert run(["extract", "dataset", "-o", "f.parquet", "--features", "seed33"]) == 0
    assert "extra" not in tables.read_meta("f.parquet")
