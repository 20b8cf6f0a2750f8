"""Pictures from files to predictions: idx and folders, resumed, in processes, by models of ``images``."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest
from PIL import Image

from eavctl.extraction import batches, chunks
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.storage import tables

NAMES = ("across", "down")
SMALL = ("--set", "channels=4,4,8", "--set", "units=8", "--epochs", "6", "--batch", "8", "--lr", "0.005")


def bars(n, seed):
    """Pictures of 16 x 16 pixels with a bar, across (label 0) or down (1)."""
    rng = np.random.default_rng(seed)
    x, labels = rng.integers(0, 90, (n, 16, 16), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 2
    for picture, label in zip(x, labels, strict=True):
        (picture.T if label else picture)[rng.integers(2, 14)] = 250
    return x, labels


def write_idx(path, values):
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "mnist"
    folder.mkdir()
    for seed, (name, n) in enumerate({"train": 60, "t10k": 20}.items()):
        x, labels = bars(n, seed)
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", x)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture(scope="module")
def folder(mnist, tmp_path_factory):
    """The same pictures as files by split and class."""
    root = tmp_path_factory.mktemp("files") / "bars"
    for seed, (name, n) in enumerate({"train": 60, "test": 20}.items()):
        for i, (picture, label) in enumerate(zip(*bars(n, seed), strict=True)):
            (root / name / NAMES[label]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / name / NAMES[label] / f"{i:03d}.png")
    return root


def test_from_idx_files_to_predictions(run, mnist, folder):
    assert run("extract", mnist, "-o", "t.parquet").code == 0
    table = tables.read_features("t.parquet")
    assert table.meta["features"] == "images"
    assert table.meta["settings"] == {"size": 16, "colour": "grey"}
    assert table.x.dtype == np.uint8
    assert table.x.shape == (80, 16, 16, 1)
    assert np.array_equal(table.x[20:, :, :, 0], bars(60, 0)[0])
    assert table.keys["split"].value_counts().to_dict() == {"train": 60, "test": 20}
    trained = run(
        "train-dnn", "t.parquet", "-o", "m.pt", "--protocol", "given", "--predictions", "p.parquet", *SMALL
    )
    assert trained.code == 0, trained.err
    assert len(tables.read_predictions("p.parquet")) == 20
    assert tables.read_meta("p.parquet")["protocol"]["name"] == "given"

    whole = json.loads(run("predict", mnist / "t10k-images-idx3-ubyte.gz", "--model", "m.pt", "--json").out)
    assert len(whole["predictions"]) == 20
    alone = json.loads(
        run("predict", mnist / "t10k-images-idx3-ubyte.gz", "--trial", "3", "--model", "m.pt", "--json").out
    )
    assert [each["proba"] for each in alone["predictions"]] == [whole["predictions"][2]["proba"]]
    picture = json.loads(run("predict", folder / "test/across/002.png", "--model", "m.pt", "--json").out)
    assert picture["predictions"][0]["proba"] == whole["predictions"][2]["proba"]


def test_the_same_pictures_in_folders_give_the_same_rows(run, mnist, folder):
    assert run("extract", folder, "-o", "f.parquet", "--jobs", "2").code == 0
    assert run("extract", mnist, "-o", "t.parquet").code == 0
    ours, theirs = tables.read_features("f.parquet"), tables.read_features("t.parquet")
    assert sorted(row.tobytes() for row in ours.x) == sorted(row.tobytes() for row in theirs.x)
    assert ours.keys["label"].value_counts().to_dict() == {"across": 40, "down": 40}


def test_jobs_and_interruptions_change_no_byte(mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "PICTURES_BATCH", 16)
    recipe = Recipe("images")
    extract(mnist, tmp_path / "a.parquet", recipe)
    extract(mnist, tmp_path / "b.parquet", recipe, jobs=2, executor="fork")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()

    def stop(done, total, note=""):
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(mnist, tmp_path / "c.parquet", recipe, on_clip=stop)
    computed = []
    original = batches._describe_file
    monkeypatch.setattr(
        batches, "_describe_file", lambda *words: computed.append(len(words[3])) or original(*words)
    )
    extract(mnist, tmp_path / "c.parquet", recipe)
    assert 0 < sum(computed) < 80
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()
    assert extract(mnist, tmp_path / "c.parquet", recipe).up_to_date


def test_leaks_and_broken_pictures_are_rejected_by_name(run, mnist, tmp_path):
    leaky = tmp_path / "leaky"
    leaky.mkdir()
    for path in mnist.iterdir():
        (leaky / path.name).write_bytes(path.read_bytes())
    x, _ = bars(60, 0)
    x[[4, 9]] = bars(20, 1)[0][[7, 8]]
    x[20] = x[22]
    write_idx(leaky / "train-images-idx3-ubyte.gz", x)
    done = run("extract", leaky, "-o", "t.parquet", "--rejected", "bad.csv")
    assert done.code == 0
    assert len(tables.read_keys("t.parquet")) == 78
    listed = (tmp_path / "bad.csv").read_text()
    assert "train/05" in listed
    assert "train/10" in listed
    assert "train/21 and train/23 are the same recording" in done.err
    assert run("train-dnn", "t.parquet", "-o", "m.pt", "--protocol", "given", "-n").code == 0
    assert run("extract", leaky, "-o", "s.parquet", "--strict").code == 3


def test_copies_across_folders_are_a_leak_that_names_them(run, folder, tmp_path):
    (tmp_path / "copied").mkdir()
    for path in sorted(folder.rglob("*.png"))[:40:4]:
        for split in ("train", "test"):
            copy = tmp_path / "copied" / split / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "copied/train/across/broken.png").write_bytes(b"no picture")
    done = run("extract", "copied", "-o", "t.parquet")
    assert done.code == 0
    assert "broken.png: not a picture" in done.err
    refused = run("train-dnn", "t.parquet", "-o", "m.pt", "--protocol", "given")
    assert refused.code == 3
    assert "leak" in refused.err


def test_a_recording_among_pictures_is_known_by_its_pixels(mnist, tmp_path):
    extract(mnist, tmp_path / "a.parquet", Recipe("images"))
    other = tmp_path / "other"
    other.mkdir()
    write_idx(other / "part-images-idx3-ubyte.gz", bars(60, 0)[0][30:])
    extract(other, tmp_path / "b.parquet", Recipe("images", {"size": 8}))
    ours, theirs = (tables.read_keys(tmp_path / f"{name}.parquet")["recording"] for name in "ab")
    assert set(theirs) == set(ours.iloc[50:])
