"""Several feature tables as one: what is stacked, what is refused, and how data sets are weighed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers import svm, weighting
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, LeakError, SettingsError, UsageError
from eavctl.evaluation.names import BETWEEN
from eavctl.extraction.recipe import Recipe
from eavctl.stages.train_dnn import train_dnn
from eavctl.stages.train_svm import train_svm
from eavctl.storage import artifacts, tables
from eavctl.storage.tables import FeatureTable, key_frame
from eavctl.training.cross_validation import Evaluation
from eavctl.training.rows import read_training_set
from eavctl.training.stacking import read_stacked

N_COLUMNS = 9


def write(
    path: Path,
    dataset: str | None,
    labels: Sequence[str] = ("happy", "sad"),
    n_rows: int = 24,
    *,
    seed: int = 0,
    prefix: str = "",
    **keys: Any,
) -> Path:
    """A table of six speakers whose classes differ in the first two columns."""
    rng = np.random.default_rng([seed, *(dataset or path.stem).encode()])
    names = [f"{prefix}clip{i:03d}" for i in range(n_rows)]
    given = [labels[i % len(labels)] for i in range(n_rows)]
    frame = {"sample_id": names, "clip_id": names, "dataset": dataset, "label": given, **keys}
    frame.setdefault("subject", [f"s{i // len(labels) % 6}" for i in range(n_rows)])
    number = np.array([i % len(labels) for i in range(n_rows)])
    x = rng.normal(size=(n_rows, N_COLUMNS))
    x[:, 0] += 2 * number
    x[:, 1] -= 2 * number
    facts = {"shape": [N_COLUMNS], "classes": sorted(set(labels)), "schema_version": tables.SCHEMA_VERSION}
    meta = {**Recipe("seed33").meta(), **facts}
    columns = tuple(f"x{i}" for i in range(N_COLUMNS))
    table = FeatureTable(key_frame(pd.DataFrame(frame)), x.astype(np.float32), columns, meta)
    tables.write_features(table, path)
    return path


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{name}.parquet", name) for name in ("one", "two", "three")]


def test_all_rows_are_there_with_their_own_features(three: list[Path]) -> None:
    stacked = read_stacked(three).table
    assert len(stacked) == 72
    assert stacked.keys["sample_id"].is_monotonic_increasing
    assert stacked.keys["sample_id"].is_unique
    for path in three:
        mine, name = tables.read_features(path), path.stem
        rows = np.flatnonzero(stacked.keys["dataset"] == name)
        assert stacked.keys["clip_id"].iloc[rows].tolist() == mine.keys["clip_id"].tolist()
        assert np.array_equal(stacked.x[rows], mine.x)


def test_the_order_of_tables_makes_no_difference(three: list[Path]) -> None:
    first, *others = (read_stacked(paths) for paths in itertools.permutations(three))
    for other in others:
        pd.testing.assert_frame_equal(other.table.keys, first.table.keys)
        assert np.array_equal(other.table.x, first.table.x)
        assert other.table.meta["content_hash"] == first.table.meta["content_hash"]
        assert other.notes == first.notes


def test_copies_are_stacked_with_their_clips(tmp_path: Path) -> None:
    """Also where the names of clips have to be told apart, and one table has no copies."""
    plain = write(tmp_path / "plain.parquet", "one")
    other = write(tmp_path / "other.parquet", "two")
    table = tables.read_features(other)
    copied = table.keys.assign(augment="1-noise", sample_id=table.keys["sample_id"] + "#1-noise")
    both = pd.concat([table.keys.assign(augment=None), copied], ignore_index=True).sort_values("sample_id")
    rows = both.index.to_numpy() % len(table)
    whole = FeatureTable(both.reset_index(drop=True), table.x[rows], table.columns, table.meta)
    tables.write_features(whole, other)
    stacked = read_stacked([other, plain])
    again = read_stacked([plain, other]).table
    keys = stacked.table.keys
    pd.testing.assert_frame_equal(again.keys, keys)
    is_copy = keys["augment"].notna()
    assert is_copy.sum() == len(table)
    assert set(keys["dataset"][is_copy]) == {"two"}
    clips = keys[~is_copy & (keys["dataset"] == "two")]
    assert set(keys["sample_id"][is_copy]) == set(clips["sample_id"] + "#1-noise")
    assert keys["sample_id"].is_unique


def test_stacked_tables_train_as_one_table_of_all_rows(three: list[Path], tmp_path: Path) -> None:
    whole = read_stacked(three).table
    facts = {key: value for key, value in whole.meta.items() if key != "content_hash"}
    tables.write_features(FeatureTable(whole.keys, whole.x, whole.columns, facts), tmp_path / "whole.parquet")
    one = train_svm(three, None, predictions=tmp_path / "a.parquet")
    other = train_svm(tmp_path / "whole.parquet", None, predictions=tmp_path / "b.parquet")
    assert one.predictions is not None
    assert other.predictions is not None
    assert np.array_equal(one.predictions.proba, other.predictions.proba)
    assert one.meta["protocol"]["name"] == other.meta["protocol"]["name"] == "lodo"


def test_one_clip_id_in_two_data_sets_is_two_clips(three: list[Path], tmp_path: Path) -> None:
    trained = train_svm(three, None, predictions=tmp_path / "p.parquet")
    assert trained.meta["out_of_fold"]["n_clips"] == 72
    assert trained.meta["out_of_fold"]["n_subjects"] == 18


@pytest.mark.parametrize("other", ["features", "segment", "shape"])
def test_tables_of_other_features_are_refused_with_both_names(tmp_path: Path, other: str) -> None:
    one, two = write(tmp_path / "one.parquet", "one"), write(tmp_path / "two.parquet", "two")
    table = tables.read_features(two)
    x, columns, meta = table.x, table.columns, table.meta
    if other == "features":
        meta = {**meta, **Recipe("functionals").meta()}
    elif other == "segment":
        meta = {**meta, "segment": {"seconds": 3.0, "hop": 1.5}}
    else:
        x, columns, meta = x[:, 1:], (columns or ())[1:], {**meta, "shape": [N_COLUMNS - 1]}
    tables.write_features(FeatureTable(table.keys, x, columns, meta), two)
    with pytest.raises(SettingsError, match=r"(?s)one\.parquet.*two\.parquet"):
        read_stacked([one, two])


def test_a_row_twice_is_named(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.parquet", "same"), write(tmp_path / "two.parquet", "same", seed=1)
    with pytest.raises(DataError, match=r"(?s)one\.parquet and .*two\.parquet.*clip000"):
        read_stacked([one, two])
    with pytest.raises(DataError, match="clip000"):
        read_stacked([one, one])


def test_parts_of_one_data_set_are_stacked_and_said_to_be_one(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{part}.parquet", "same", prefix=part) for part in "ab"]
    stacked = read_stacked(paths)
    assert len(stacked.table) == 48
    assert any("a.parquet" in note and "b.parquet" in note and "same" in note for note in stacked.notes)


def test_tables_without_a_data_set_are_data_sets_of_their_own(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.parquet", None) for name in ("here", "there")]
    assert set(read_stacked(paths).table.keys["dataset"]) == {"here", "there"}
    (tmp_path / "deep").mkdir()
    namesake = write(tmp_path / "deep" / "here.parquet", None, seed=1, prefix="deep")
    with pytest.raises(DataError, match="'here'"):
        read_stacked([paths[0], namesake])
    with pytest.raises(DataError, match="'here'"):
        read_stacked([paths[0], write(tmp_path / "other.parquet", "here", prefix="other")])


def test_a_recording_in_two_data_sets_is_a_leak(tmp_path: Path) -> None:
    files = [f"file{i}" for i in range(24)]
    one = write(tmp_path / "one.parquet", "one", recording=files)
    others = [*files[:1], *(f"new{name}" for name in files[1:])]
    two = write(tmp_path / "two.parquet", "two", recording=others)
    with pytest.raises(LeakError, match="clip000 of one and .*clip000 of two"):
        read_stacked([one, two])


def test_equal_features_in_two_tables_are_a_leak(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.parquet", "one"), write(tmp_path / "two.parquet", "two")
    table, copied = tables.read_features(two), tables.read_features(one).x
    table.x[3] = copied[5]
    tables.write_features(table, two)
    with pytest.raises(LeakError, match="identical features"):
        train_svm([one, two], None, predictions=tmp_path / "p.parquet")


def test_names_of_classes_are_brought_together(tmp_path: Path) -> None:
    one = write(tmp_path / "one.parquet", "one", ("happiness", "sadness", "boredom"))
    two = write(tmp_path / "two.parquet", "two", ("happy", "sad"))
    labels = {"happiness": "happy", "sadness": "sad", "boredom": None}
    found = read_training_set([one, two], labels=labels)
    assert set(found.rows.classes) == {"happy", "sad"}
    assert len(found.rows) == 16 + 24
    assert any("8 rows of boredom" in note for note in found.facts.notes)
    truth = read_stacked([one, two]).table
    kept = (truth.keys["label"] != "boredom").to_numpy()
    assert np.array_equal(found.rows.x, truth.x[kept])
    renamed = truth.keys["label"][kept].map(lambda name: labels.get(name, name)).tolist()
    assert found.rows.labels.tolist() == renamed
    with pytest.raises(UsageError, match="did you mean boredom"):
        read_training_set([one, two], labels={"boredm": None})


def test_no_table_is_wrong_usage() -> None:
    for train in (train_svm, train_dnn):
        with pytest.raises(UsageError):
            train([], None, predictions="p.parquet")


def test_a_class_that_a_data_set_lacks_is_said(tmp_path: Path) -> None:
    one = write(tmp_path / "one.parquet", "one", ("happy", "sad", "calm"))
    two = write(tmp_path / "two.parquet", "two")
    notes = read_training_set([one, two]).facts.notes
    assert [note for note in notes if "calm" in note and "two" in note]
    assert not [note for note in notes if "data set one" in note]


def test_data_sets_and_the_classes_in_each_have_equal_weights(tmp_path: Path) -> None:
    one = write(tmp_path / "one.parquet", "one", ("happy", "sad", "sad", "sad"), 40)
    two = write(tmp_path / "two.parquet", "two", ("happy", "sad"), 24)
    rows = read_training_set([one, two]).rows
    assert rows.weights is not None
    frame = rows.key_frame.assign(weight=rows.weights)
    assert frame.groupby("dataset")["weight"].sum().tolist() == pytest.approx([32, 32])
    assert frame.groupby(["dataset", "label"])["weight"].sum().tolist() == pytest.approx([16] * 4)
    assert read_training_set([one, two], corpora="rows").rows.weights is None
    assert read_training_set(one).rows.weights is None
    with pytest.raises(UsageError, match="--corpora"):
        read_training_set([one, two], corpora="clips")


def test_two_copies_of_a_corpus_count_once() -> None:
    rng = np.random.default_rng(0)
    y = np.tile([0, 0, 1], 40)
    datasets = np.array(["one"] * 60 + ["two"] * 60)
    x = rng.normal(size=(120, 6)) + y[:, None] * (datasets == "one")[:, None] * np.array([2, 1, 0, 0, 0, 0])
    x[datasets == "two", 2] += 1.5 * y[datasets == "two"]
    twice = np.concatenate([np.arange(120), np.arange(60)])
    new = rng.normal(size=(30, 6))

    def decisions(rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        names, c = np.array(["a", "b"])[y[rows]], 120 / len(rows)  # the same penalty however many rows
        fitted = svm.fit(x[rows], names, weights=weights, units=rows, c_grid=(c,), gamma_grid=(0.1,))
        return fitted.decision_function(new)

    def change(weigh: bool) -> float:
        once, again = (
            decisions(rows, weighting.of_corpora(datasets[rows], y[rows]) if weigh else None)
            for rows in (np.arange(120), twice)
        )
        return float(np.abs(once - again).max() / np.abs(once).max())

    assert change(weigh=True) < 5e-3
    assert change(weigh=False) > 5e-2


def test_normalising_by_data_set_takes_away_what_data_sets_differ_in(three: list[Path]) -> None:
    found = read_training_set(three, normalize="dataset")
    for name in ("one", "two", "three"):
        x = found.rows.array[(found.rows.key_frame["dataset"] == name).to_numpy()]
        assert np.abs(x.mean(axis=0)).max() < 1e-5
        assert np.abs(x.std(axis=0) - 1).max() < 1e-5
    assert found.facts.normalize == "dataset"


def test_evaluation_can_still_be_by_speaker(three: list[Path], tmp_path: Path) -> None:
    evaluation = Evaluation("group-kfold", folds=3)
    trained = train_svm(three, None, predictions=tmp_path / "p.parquet", evaluation=evaluation)
    assert trained.meta["protocol"]["name"] == "group-kfold"
    assert [each["dataset"] for each in trained.meta["out_of_fold"]["per_dataset"]] == ["one", "three", "two"]


def test_a_network_trains_on_all_data_sets_and_is_validated_on_people(
    three: list[Path], tmp_path: Path
) -> None:
    few = TrainSettings(epochs=2, device="cpu")
    trained = train_dnn(three, tmp_path / "m.pt", encoder="mlp", settings=few)
    assert trained.meta["protocol"]["name"] == "lodo"
    training = artifacts.load(tmp_path / "m.pt").predictor.to_meta()["training"]
    assert len(training["groups"]) == 18
    (member,) = training["members"]
    assert 0 < len(member["validation_groups"]) < 9
    kept = set(training["groups"]) - set(member["validation_groups"])
    assert {name.split(BETWEEN)[0] for name in kept} == {"one", "two", "three"}
