"""Recordings are adapted to a model of columns by all that are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers import dnn, svm
from eavctl.errors import DataError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.predicting.adapting import AdaptedRecording, adapted
from eavctl.predicting.segments import DescribedRecording, Segment, features_of
from eavctl.stages.predict import predict
from eavctl.storage import artifacts, tables
from eavctl.storage.tables import FeatureTable, key_frame

N_COLUMNS = 5


def fitted(seed: int = 0) -> tuple[svm.SvmModel, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(["calm", "sad"], 30)
    x = (rng.normal(size=(60, N_COLUMNS)) * [1, 5, 0.1, 2, 1] + [0, 10, -3, 0, 4]).astype(np.float32)
    x[labels == "sad", 0] += 2
    return svm.fit(x, labels, c_grid=(1.0,), gamma_grid=(0.1,)), x


def recordings(x: np.ndarray, **keys: list[str]) -> list[DescribedRecording]:
    return [
        DescribedRecording(
            f"r{i}",
            {"sample_id": f"r{i}", "clip_id": f"r{i}", **{key: names[i] for key, names in keys.items()}},
            (Segment(0.0, 1.0, (row,)),),
        )
        for i, row in enumerate(x)
    ]


def rows_of(found: list[AdaptedRecording]) -> np.ndarray:
    return features_of([segment for each in found for segment in each.recording.segments])


def test_an_affine_change_of_every_feature_changes_no_answer() -> None:
    model, _ = fitted()
    rng = np.random.default_rng(1)
    here = rng.normal(size=(25, N_COLUMNS)).astype(np.float32)
    changed = (here * rng.uniform(0.2, 5, N_COLUMNS) + rng.normal(size=N_COLUMNS)).astype(np.float32)
    one, other = (rows_of(adapted(recordings(x), model)) for x in (here, changed))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.predict_proba(one), model.predict_proba(other), atol=1e-4)
    assert np.abs(model.predict_proba(here) - model.predict_proba(changed)).max() > 0.01


def test_recordings_get_the_mean_and_the_deviation_of_the_training_rows() -> None:
    model, trained = fitted()
    here = np.random.default_rng(2).normal(3, 7, size=(30, N_COLUMNS)).astype(np.float32)
    here[:, 2] = 1.5  # constant at hand
    found = rows_of(adapted(recordings(here), model))
    np.testing.assert_allclose(found.mean(axis=0), trained.mean(axis=0), rtol=1e-3, atol=1e-3)
    deviation = trained.std(axis=0) * [1, 1, 0, 1, 1]
    np.testing.assert_allclose(found.std(axis=0), deviation, rtol=1e-3, atol=1e-4)


def test_the_training_rows_themselves_stay_as_they_are() -> None:
    model, trained = fitted()
    np.testing.assert_allclose(rows_of(adapted(recordings(trained), model)), trained, rtol=1e-4, atol=1e-4)


def test_each_data_set_is_adapted_by_its_own_recordings() -> None:
    model, _ = fitted()
    x = np.random.default_rng(3).normal(size=(40, N_COLUMNS)).astype(np.float32)
    both = adapted(
        recordings(np.concatenate([x[:20], x[20:] * 9 + 4]), dataset=["one"] * 20 + ["two"] * 20), model
    )
    apart = [*adapted(recordings(x[:20]), model), *adapted(recordings(x[20:]), model)]
    np.testing.assert_allclose(rows_of(both), rows_of(apart), rtol=1e-4, atol=1e-4)


def test_few_recordings_of_a_data_set_are_an_error_that_names_it() -> None:
    model, _ = fitted()
    x = np.zeros((39, N_COLUMNS), np.float32)
    with pytest.raises(DataError, match="20 or more(?s:.*)two has 19"):
        adapted(recordings(x, dataset=["one"] * 20 + ["two"] * 19), model)


def test_named_speakers_of_ten_recordings_are_standardised_by_their_own() -> None:
    model, _ = fitted()
    x = np.random.default_rng(5).normal(size=(200, N_COLUMNS)).astype(np.float32)
    x[:100] += 2
    named = adapted(recordings(x, subject=["a"] * 100 + ["b"] * 100), model)
    means = [rows_of(part).mean(axis=0) for part in (named[:100], named[100:])]
    unnamed = adapted(recordings(x), model)
    apart = [rows_of(part).mean(axis=0) for part in (unnamed[:100], unnamed[100:])]
    assert (np.abs(means[0] - means[1]) < 0.2 * np.abs(apart[0] - apart[1])).all()
    assert {each.by for each in named} == {"speaker"}
    assert {each.by for each in unnamed} == {"dataset"}
    few = adapted(recordings(x[:30], subject=[f"s{i // 9}" for i in range(30)]), model)
    assert {each.by for each in few} == {"dataset"}


def test_a_recording_without_segments_takes_no_part() -> None:
    model, _ = fitted()
    given = recordings(np.random.default_rng(6).normal(size=(21, N_COLUMNS)).astype(np.float32))
    empty = given[4]._replace(segments=())
    found = adapted([*given[:4], empty, *given[5:]], model)
    alone = adapted([*given[:4], *given[5:]], model)
    assert found[4].recording == empty
    assert np.array_equal(rows_of(found), rows_of(alone))
    assert [len(each.proba) for each in found] == [1] * 4 + [0] + [1] * 16
    assert not any(len(each.proba) for each in adapted([empty], model))


def test_a_network_of_columns_can_be_adapted_to_and_one_of_tensors_cannot() -> None:
    _, trained = fitted()
    labels = np.repeat(["calm", "sad"], 30)
    few = dnn.TrainSettings(epochs=1, members=2, device="cpu")
    of_columns = dnn.fit(trained, labels, encoder="mlp", encoder_settings={"units": 4}, settings=few)
    found = rows_of(adapted(recordings(trained * 3 + 1), of_columns))
    np.testing.assert_allclose(found.mean(axis=0), of_columns.mean, rtol=1e-3, atol=1e-3)
    frames = np.random.default_rng(4).normal(size=(60, 20, 50)).astype(np.float32)
    of_tensors = dnn.fit(frames, labels, encoder="cnn-lstm", settings=few)
    assert not hasattr(of_tensors, "mean")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A model file, and a table of 22 rows of other scale."""
    model, trained = fitted()
    features = Recipe("seed33").meta()
    meta: dict[str, Any] = {
        **features,
        "kind": "svm",
        "training_hash": "abc",
        "trained_on": {"subjects": {}, "clips": {}, "recordings": []},
        "versions": {},
    }
    for name, normalize in (("plain", None), ("dataset", "dataset")):
        protocol = {"name": "random", "normalize": normalize}
        artifacts.save(tmp_path / f"{name}.joblib", model, {**meta, "protocol": protocol})
    names = [f"r{i:02d}" for i in range(22)]
    keys = pd.DataFrame({"sample_id": names, "clip_id": names, "dataset": "new", "start": 0.0, "end": 1.0})
    facts = {"shape": [N_COLUMNS], "classes": [], "schema_version": tables.SCHEMA_VERSION}
    columns = tuple(f"x{i}" for i in range(N_COLUMNS))
    table = FeatureTable(key_frame(keys), trained[:22] * 4 + 1, columns, {**features, **facts})
    tables.write_features(table, tmp_path / "here.parquet")
    return tmp_path


def test_every_output_says_that_recordings_were_adapted(stored: Path) -> None:
    plain = predict(stored / "here.parquet", stored / "plain.joblib")
    found = predict(stored / "here.parquet", stored / "plain.joblib", adapt=True)
    assert not any("--adapt" in note for note in plain.notes)
    assert any("--adapt" in note and "by data set" in note for note in found.notes)
    assert found.to_table().meta["protocol"]["adapted"] is True
    assert plain.to_table().meta["protocol"]["adapted"] is False
    assert not np.allclose(plain.rows[0].proba, found.rows[0].proba)


def test_a_model_that_normalises_by_data_set_does_so_with_the_recordings_at_hand(stored: Path) -> None:
    found = predict(stored / "here.parquet", stored / "dataset.joblib")
    x = tables.read_features(stored / "here.parquet").x.astype(float)
    standard = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    expected = fitted()[0].predict_proba(standard)
    np.testing.assert_allclose([row.proba for row in found.rows], expected, atol=1e-5)
    with pytest.raises(UsageError, match="--adapt"):
        predict(stored / "here.parquet", stored / "dataset.joblib", adapt=True)
    table = tables.read_features(stored / "here.parquet")
    few = FeatureTable(table.keys[:19], table.x[:19], table.columns, table.meta)
    tables.write_features(few, stored / "few.parquet")
    with pytest.raises(DataError, match="20 or more"):
        predict(stored / "few.parquet", stored / "dataset.joblib")
