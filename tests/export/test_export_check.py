"""The comparison of an exported model with its original, on a stand-in for the exported one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_models

from eavctl.errors import DataError, SettingsError
from eavctl.export.check import check, original
from eavctl.export.rows import MADE_UP, check_rows
from eavctl.extraction.recipe import Recipe
from eavctl.storage import tables


class StandIn:
    """Gives the answers of the original, but where ``spoil`` changes them."""

    def __init__(self, model, spoil):
        self.model, self.spoil, self.novelty = model, spoil, model.novelty

    def outputs(self, x, *names, batch):
        parts = [self._batch(x[start : start + batch], names) for start in range(0, len(x), batch)]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _batch(self, x, names):
        found = original(self.model, x)
        return [self.spoil(name, np.array(getattr(found, name)), x) for name in names]


@pytest.fixture(scope="module")
def svm():
    return small_models.of_columns("svm")


@pytest.fixture(scope="module")
def fusion():
    return small_models.fusion("attention", {"audio": "mlp", "more": "scnn"})


def shift(output, by, where=lambda x: True):
    def spoil(name, values, x):
        if name == output and where(x):
            values[-1:] += np.resize([by, -by], values[-1:].shape)
        return values

    return spoil


def test_equal_answers_pass_and_are_counted(svm):
    found = check(svm, StandIn(svm, lambda name, values, x: values), check_rows(svm))
    assert found["rows"] == MADE_UP
    assert found["made_up"] is True
    assert found["largest_change"]["distance"] < 1e-6


@pytest.mark.parametrize("batch", [1, 2, 7, 32])
def test_a_fault_at_one_batch_size_is_found_and_named(svm, batch):
    spoil = shift("proba", 2e-5, lambda x: len(x) == batch)
    with pytest.raises(DataError, match=f"probability of .*batches of {batch}\\b"):
        check(svm, StandIn(svm, spoil), check_rows(svm))


def test_a_changed_decision_is_found_however_small_the_change(svm):
    """Priors are such that the first row is at a tie but for less than the largest change allowed."""
    rows = check_rows(svm)
    (proba,) = svm.predict_proba(rows.x[:1])
    first, second = proba.argsort()[::-1][:2]
    priors = np.full(3, 1.0)
    priors[second] = proba[second] / (proba[first] - 4e-6)
    decided = small_models.deciding(svm, priors)

    def spoil(name, values, x):
        if name == "proba":
            values[:, first] -= 8e-6
        return values

    with pytest.raises(DataError, match="decision"):
        check(decided, StandIn(decided, spoil), replace(rows, x=rows.x[:1]))


def test_a_distance_is_compared(svm):
    with pytest.raises(DataError, match="distance"):
        check(svm, StandIn(svm, shift("distance", 0.1)), check_rows(svm))


def test_weights_are_compared_and_the_stream_is_named(fusion):
    with pytest.raises(DataError, match="weight of (audio|more)"):
        check(fusion, StandIn(fusion, shift("weights", 1e-3)), check_rows(fusion))


@pytest.mark.parametrize("alone", [[True, False], [False, True], [True, True]])
def test_a_fault_with_one_subset_of_the_streams_is_found(fusion, alone):
    def where(x):
        return len(x) == 32 and bool((x.present == alone).all())

    with pytest.raises(DataError, match="alone"):
        check(fusion, StandIn(fusion, shift("proba", 1e-3, where)), check_rows(fusion))


@pytest.mark.parametrize("seconds", [0, 1, 2])
def test_a_fault_at_one_length_is_found(seconds):
    model = small_models.network("cnn-lstm", shape=(16, 60))
    length = (24, 45, 78)[seconds]
    spoil = shift("proba", 1e-3, lambda x: x.shape[2] == length)
    with pytest.raises(DataError, match=f"{length} frames"):
        check(model, StandIn(model, spoil), check_rows(model))


# --- rows -------------------------------------------------------------------------------------------------


def test_made_up_rows_are_like_those_of_the_training_and_always_the_same(svm):
    rows = check_rows(svm)
    spread = (rows.x - svm.predictor.mean) / svm.predictor.scale
    assert 0.5 < spread.std() < 3
    assert np.array_equal(rows.x, check_rows(svm).x)
    assert (rows.keys, rows.made_up) == (None, True)


def test_made_up_rows_of_pictures_are_bytes_and_some_spectrograms_are_padded():
    model = small_models.network("cnn-lstm", shape=(16, 60))
    x = check_rows(model).x
    padded = (x[:, :, -1] == x[:, :, -2]).all(axis=1)
    assert 0.1 < padded.mean() < 0.5
    assert check_rows(small_models.network("vit")).x.dtype == np.uint8


def test_made_up_rows_of_a_fusion_have_random_streams_and_one_at_least(fusion):
    present = check_rows(fusion).x.present
    assert present.any(axis=1).all()
    assert {tuple(row) for row in present.tolist()} == {(True, False), (False, True), (True, True)}


@pytest.fixture
def table(tmp_path):
    """Writes a table of a feature set, whose values are the numbers of its samples; returns its path."""

    def write(features, numbers, n_columns=40, label="sad"):
        samples = [f"clip{number:03d}" for number in numbers]
        keys = pd.DataFrame({"sample_id": samples, "clip_id": samples, "dataset": "d", "label": label})
        x = np.repeat(np.array(numbers, np.float32)[:, None], n_columns, axis=1)
        meta = {**Recipe(features).meta(), "shape": [n_columns], "classes": small_models.CLASSES}
        names = tuple(f"c{i}" for i in range(n_columns))
        made = tables.FeatureTable(tables.key_frame(keys), x, names, meta)
        tables.write_features(made, tmp_path / f"{features}.parquet")
        return tmp_path / f"{features}.parquet"

    return write


def taking(model, *features):
    """The model, whose streams take these feature sets."""
    streams = tuple(
        each._replace(features=each.features._replace(features_hash=Recipe(name).meta()["features_hash"]))
        for each, name in zip(model.meta.streams, features, strict=True)
    )
    return type(model)(model.meta._replace(streams=streams), model.predictor)


def test_tables_are_joined_and_missing_streams_stay_missing(fusion, table):
    model = taking(fusion, "functionals", "seed33")
    paths = [table("seed33", range(5, 15), 180), table("functionals", range(10), 40)]
    rows = check_rows(model, paths)
    assert rows.keys["sample_id"].tolist() == [f"clip{number:03d}" for number in range(15)]
    assert rows.x.present.tolist() == [[n < 10, n >= 5] for n in range(15)]
    assert rows.x.arrays[0][:10, 0].tolist() == list(range(10))
    assert rows.x.arrays[1][5:, 0].tolist() == list(range(5, 15))
    assert rows.what == "15 rows of seed33.parquet, functionals.parquet"
    assert set(rows.keys["label"]) == {"sad"}


def test_a_table_that_no_stream_takes_is_refused(fusion, table):
    path = table("functionals", range(3))
    with pytest.raises(SettingsError, match=r"functionals\.parquet"):
        check_rows(taking(fusion, "seed33", "means180"), [path])


def test_a_table_of_another_shape_is_refused(fusion, table):
    path = table("functionals", range(3), 41)
    with pytest.raises(SettingsError, match="41"):
        check_rows(taking(fusion, "functionals", "seed33"), [path])


def test_tables_that_contradict_each_other_are_refused(fusion, table):
    paths = [table("functionals", range(10), 40), table("seed33", range(5, 15), 180, "calm")]
    with pytest.raises(DataError, match="label of 5 samples, as clip005"):
        check_rows(taking(fusion, "functionals", "seed33"), paths)


def test_two_tables_with_the_same_rows_of_a_stream_are_refused(fusion, table):
    path = table("functionals", range(10), 40)
    with pytest.raises(DataError, match="clip000"):
        check_rows(taking(fusion, "functionals", "seed33"), [path, path])


# --- how many rows are compared ---------------------------------------------------------------------------


def test_a_large_network_is_checked_on_fewer_rows_which_is_said(svm, monkeypatch):
    monkeypatch.setattr("eavctl.export.check.MOST_WORK", 1)
    found = check(svm, StandIn(svm, lambda name, values, x: values), check_rows(svm))
    assert (found["rows"], found["of"]) == (64, MADE_UP)
    assert found["batches"] == [1, 2, 7, 32]


def test_batches_of_large_rows_are_smaller_which_is_said(svm, monkeypatch):
    monkeypatch.setattr("eavctl.export.check.MOST_VALUES", 30 * 5)
    found = check(svm, StandIn(svm, lambda name, values, x: values), check_rows(svm))
    assert found["batches"] == [1, 2, 5]
