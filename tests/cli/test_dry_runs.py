"""Dry runs: what fails would have failed, in the same words, and nothing is touched."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from eavctl.extraction.recipe import Recipe
from eavctl.storage import tables


@pytest.fixture(scope="module")
def standing(made, tmp_path_factory):
    """A folder with what commands read, and with what stands in their way."""
    folder = tmp_path_factory.mktemp("standing")
    names = (
        "dataset",
        "seed33.parquet",
        "preds.parquet",
        "seed33_preds.parquet",
        "seed33.joblib",
        "encoder.pt",
    )
    for name in names:
        (folder / name).symlink_to(made / name)
    for name in ("mine.parquet", "mine.joblib", "mine.pt", "mine.html", "mine.csv", "mine.json", "file"):
        (folder / name).write_text("my diary")
    (folder / "project").mkdir()
    (folder / "project/Makefile").write_text("mine")
    keys = tables.read_keys(made / "seed33.parquet")
    meta = {**Recipe("logmel").meta(), "shape": [16, 16], "classes": ["angry", "happy", "neutral", "sad"]}
    x = np.random.default_rng(0).normal(size=(len(keys), 16, 16)).astype(np.float32)
    tables.write_features(tables.FeatureTable(keys, x, None, meta), folder / "tensors.parquet")
    preds = tables.read_predictions(made / "preds.parquet")
    for name, columns in (("one", {"fold": None}), ("two", {"fold": None}), ("unlabelled", {"label": None})):
        table = replace(preds, keys=preds.keys.assign(**columns), meta=preds.meta | {"out_of_fold": False})
        tables.write_predictions(table, folder / f"{name}.parquet")
    return folder


@pytest.fixture
def folder(standing, run, monkeypatch):
    """That folder, as the working folder."""
    monkeypatch.chdir(standing)
    return standing


def stamps(folder):
    return {
        os.path.join(where, name): os.lstat(os.path.join(where, name)).st_mtime_ns
        for where, _, names in os.walk(folder)
        for name in (*names, ".")
    }


@pytest.mark.parametrize(
    "line",
    [
        "extract gone -o f.parquet",
        "extract dataset -o mine.parquet",
        "extract dataset -o f.parquet --rejected mine.csv",
        "extract dataset -o f.parquet --where label=glad",
        "extract dataset -o f.parquet --features eeg-bands",
        "train-svm missing.parquet -o m.joblib",
        "train-svm preds.parquet -o m.joblib",
        "train-svm seed33.parquet -o mine.joblib",
        "train-svm seed33.parquet -o m.pt",
        "train-svm seed33.parquet -o m.joblib --predictions mine.parquet",
        "train-svm seed33.parquet -o m.joblib --protocol given",
        "train-svm seed33.parquet -o m.joblib --normalize speaker",
        "train-svm tensors.parquet -o m.joblib",
        "train-linear preds.parquet -o m.joblib",
        "train-linear seed33.parquet -o m.pt",
        "train-linear seed33.parquet -o m.joblib --predictions mine.parquet",
        "train-linear tensors.parquet -o m.joblib",
        "train-dnn tensors.parquet -o m.pt --encoder mlp",
        "train-dnn tensors.parquet -o mine.pt",
        "train-dnn seed33.parquet -o m.pt --encoder cnn-lstm",
        "pretrain preds.parquet -o e.pt",
        "pretrain seed33.parquet -o mine.pt",
        "pretrain seed33.parquet -o e.pt --method simclrr",
        "pretrain seed33.parquet -o e.pt --where label=glad",
        "pretrain tensors.parquet -o e.pt --encoder mlp",
        "train-dnn seed33.parquet -o m.pt --augment default",
        "train-dnn tensors.parquet -o m.pt --augment flip",
        "fuse nope.parquet neither.parquet -o f.parquet --method mean",
        "fuse preds.parquet seed33_preds.parquet -o mine.parquet",
        "fuse preds.parquet seed33_preds.parquet -o f.parquet --save f.pt",
        "fuse preds.parquet seed33_preds.parquet -o f.parquet --use seed33.joblib",
        "fuse preds.parquet seed33.parquet -o f.parquet",
        "fuse preds.parquet -o f.parquet",
        "fuse one.parquet two.parquet -o f.parquet --method stacking",
        "fuse preds.parquet seed33_preds.parquet -o f.parquet --method attention",
        "train-fusion tensors.parquet seed33.parquet -o mine.pt",
        "train-fusion tensors.parquet seed33.parquet -o f.pt --predictions mine.parquet",
        "train-fusion tensors.parquet seed33.parquet -o f.pt --protocol given",
        "train-fusion tensors.parquet seed33.parquet -o f.pt --method ambt-mean",
        "train-fusion tensors.parquet preds.parquet -o f.pt",
        "train-fusion tensors.parquet -o f.pt",
        "train-fusion tensors.parquet seed33.parquet -o f.joblib",
        "train-fusion tensors.parquet seed33.parquet -o f.pt --init seed33.joblib",
        "tune preds.parquet -o m.joblib",
        "tune seed33.parquet -o m.pt",
        "tune seed33.parquet -o m.joblib --predictions mine.parquet",
        "tune tensors.parquet -o m.joblib --method svm",
        "tune seed33.parquet -o m.joblib --method svn",
        "tune seed33.parquet -o m.joblib --space gama=1..2",
        "tune seed33.parquet -o m.joblib --space C=2..1",
        "tune seed33.parquet -o m.joblib --space C=0..1",
        "tune seed33.parquet -o m.joblib --size tiny",
        "tune seed33.parquet -o m.joblib --partial",
        "tune seed33.parquet tensors.parquet -o m.pt --method attention --normalize speaker",
        "probe encoder.pt seed33.parquet",
        "probe encoder.pt tensors.parquet --shared all",
        "probe encoder.pt seed33.parquet --shared all -o mine.json",
        "train-dnn seed33.parquet -o m.pt --init encoder.pt",
        "train-dnn seed33.parquet -o m.pt --init seed33.joblib",
        "zero-shot tensors.parquet seed33.parquet -o mine.parquet --held-out sad",
        "zero-shot tensors.parquet seed33.parquet -o f.parquet --held-out glad",
        "zero-shot tensors.parquet seed33.parquet -o f.parquet --held-out sad --contrastive 1",
        "zero-shot tensors.parquet seed33.parquet -o f.pt --held-out sad",
        "predict --model seed33.joblib gone.wav",
        "predict dataset --model gone.joblib",
        "predict --model seed33.joblib dataset -o mine.parquet",
        "predict --model seed33.joblib dataset --rejected mine.csv",
        "predict --model seed33.joblib dataset --hop 1",
        "predict --model seed33.joblib dataset --where label=glad",
        "predict --model seed33.joblib tensors.parquet",
        "report gone.parquet -o r.html",
        "report preds.parquet -o mine.html",
        "map preds.parquet -o m.html",
        "explain seed33.joblib gone.parquet",
        "explain gone.joblib seed33.parquet",
        "explain seed33.joblib preds.parquet",
        "explain seed33.joblib tensors.parquet",
        "explain seed33.joblib seed33.parquet -o mine.html",
        "explain encoder.pt seed33.parquet",
        "explain seed33.joblib seed33.parquet --labels glad=sad",
        "map seed33.parquet -o mine.html",
        "map seed33.parquet",
        "report unlabelled.parquet -o r.html",
        "show gone.parquet",
        "show file",
        "synth --out file",
        "synth --classes glad",
        "synth --layout eav --trials 11",
        "init file",
    ],
)
def test_a_dry_run_fails_where_the_real_one_does(run, folder, line):
    before = stamps(folder)
    planned = run(*line.split(), "-n")
    assert stamps(folder) == before
    done = run(*line.split())
    assert planned.code == done.code != 0
    assert planned.err == done.err
    assert (folder / "mine.parquet").read_text() == "my diary"


@pytest.mark.parametrize(
    "line",
    [
        "extract dataset --features seed33 -o f.parquet",
        "extract dataset --features seed33 -o seed33.parquet",
        "train-svm seed33.parquet -o seed33.joblib --folds 2",
        "train-linear seed33.parquet -o m.joblib",
        "tune seed33.parquet -o m.joblib --trials 2",
        "train-dnn tensors.parquet -o m.pt",
        "pretrain tensors.parquet -o e.pt --without label=sad",
        "fuse preds.parquet seed33_preds.parquet -o f.parquet --save f.joblib",
        "fuse preds.parquet seed33_preds.parquet -o f.parquet --method stacking",
        "train-fusion tensors.parquet seed33.parquet -o f.pt --predictions f.parquet",
        "probe encoder.pt seed33.parquet --shared all -o p.json",
        "zero-shot tensors.parquet seed33.parquet -o f.parquet --held-out sad",
        "predict --model seed33.joblib dataset/sad/sad_sample_1.wav -o f.parquet --plot a.png --strict",
        "predict --model seed33.joblib seed33.parquet",
        "report preds.parquet -o r.html",
        "map seed33.parquet -o m.html",
        "explain seed33.joblib seed33.parquet -o x.html",
        "show preds.parquet",
        "synth",
        "synth --layout eav",
        "init project -f",
    ],
)
def test_a_dry_run_that_ends_well_touches_nothing(run, folder, line):
    before = stamps(folder)
    result = run(*line.split(), "-n")
    assert result.code == 0, result.err
    assert result.out == ""
    assert "would " in result.err
    assert stamps(folder) == before


def test_a_dry_run_knows_what_is_up_to_date(run, made, tmp_path):
    for name in ("seed33.parquet", "seed33.joblib"):
        shutil.copy(made / name, tmp_path)
    for words in (
        ["extract", made / "dataset", "--features", "seed33", "-o", "seed33.parquet"],
        ["train-svm", "seed33.parquet", "-o", "seed33.joblib", "--folds", 2],
    ):
        assert "up to date" in run(*words, "-n").err
        assert "up to date" not in run(*words, "-n", "--force").err
        assert "up to date" in run(*words).err  # and the real run agrees
