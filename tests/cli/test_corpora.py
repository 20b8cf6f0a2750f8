"""Several corpora on the command line: trained together, each left out, and another one adapted to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eavctl.cli.values import read_labels
from eavctl.datasets.manifest import find
from eavctl.errors import UsageError
from eavctl.storage import tables

N_SPEAKERS, N_CLIPS = 4, 4  # of each speaker and class


def test_labels_are_read_as_pairs() -> None:
    assert read_labels("anger=angry, calm=,") == {"anger": "angry", "calm": None}
    assert read_labels(None) == {}
    for wrong in ("anger", "=angry", "anger=angry,anger=sad"):
        with pytest.raises(UsageError, match="--labels"):
            read_labels(wrong)


@pytest.fixture(scope="module")
def corpora(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of a few clips of three corpora, whose classes have the names of their corpus."""
    folder = tmp_path_factory.mktemp("corpora")
    names = {"emodb": "emodb", "nemo": "nemo", "ravdess": "ravdess-speech"}
    for name, source in names.items():
        found = find(shared_data / source)
        rows = found.rows[found.rows["label"].isin(["anger", "angry", "sadness", "sad"])]
        rows = rows[rows["subject"].isin(sorted(set(rows["subject"]))[:N_SPEAKERS])]
        rows = rows.groupby(["subject", "label"]).head(N_CLIPS)
        rows = rows.assign(path=[str(found.root / path) for path in rows["audio_path"]])
        kept = ["path", "clip_id", "dataset", "subject", "label"]
        pd.DataFrame(rows[kept]).to_csv(folder / f"{name}.csv", index=False)
    return folder


def test_two_corpora_are_trained_on_and_a_third_is_judged(
    run: Callable[..., Any], corpora: Path, tmp_path: Path
) -> None:
    for name in ("emodb", "nemo", "ravdess"):
        words = ("extract", corpora / f"{name}.csv", "--features", "seed33", "-o", f"{name}.parquet")
        assert run(*words).code == 0
    words = ("train-svm", "nemo.parquet", "ravdess.parquet", "--labels", "anger=angry,sadness=sad")
    result = run(*words, "-o", "m.joblib", "--predictions", "p.parquet", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["protocol"]["name"] == "lodo"
    scores = found["out_of_fold"]
    assert [each["dataset"] for each in scores["per_dataset"]] == ["nemo", "ravdess"]
    assert scores["over_datasets"]["n_clusters"] == 2
    assert set(found["class_counts"]) == {"angry", "sad"}
    assert "nemo: UAR" in result.err
    assert list(found["out_of_fold_adapted"]) == ["dataset"]  # 8 clips of a speaker are too few
    assert "adapted by data set" in result.err

    third = ("predict", corpora / "emodb.csv", "--model", "m.joblib")
    uar = {}
    for adapt in (False, True):
        result = run(*third, "-o", "third.parquet", *(["--adapt"] if adapt else []))
        assert result.code == 0, result.err
        assert ("--adapt" in result.err) == adapt
        predictions = tables.read_predictions(tmp_path / "third.parquet")
        assert predictions.meta["protocol"]["adapted"] == adapt
        truth = predictions.keys["label"].replace({"anger": "angry", "sadness": "sad"}).to_numpy()
        uar[adapt] = pd.Series(predictions.pred == truth).groupby(truth).mean().mean()
    assert uar[True] > 0.7  # chance is 0.5
    few = run(*third, "--adapt", "--where", "subject=03")
    assert few.code == 3
    assert "20 or more" in few.err

    assert run("report", "p.parquet", "-o", "r.html").code == 0
    assert "Each data set" in (tmp_path / "r.html").read_text()


def test_a_class_that_no_table_has_is_an_error_with_the_nearest(
    run: Callable[..., Any], made: Path, tmp_path: Path
) -> None:
    result = run("train-svm", made / "feats.parquet", "-o", "m.joblib", "--labels", "hapy=joy")
    assert result.code == 2
    assert "did you mean happy" in result.err
    result = run("train-svm", made / "feats.parquet", made / "seed33.parquet", "-o", "m.joblib")
    assert result.code == 3
    assert "feats.parquet" in result.err
    assert "seed33.parquet" in result.err
