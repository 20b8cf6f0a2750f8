"""Tables come back as they were written, say what they are, and refuse what they are not."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from eavctl import tables
from eavctl.errors import DataError


def make_keys(n, **columns):
    ids = [f"clip{i:03d}" for i in range(n)]
    return tables.key_frame(pd.DataFrame({"sample_id": ids, "clip_id": ids, **columns}))


def write(path, x, columns, batches=1):
    keys = make_keys(len(x), label=["a"] * len(x))
    with tables.FeatureWriter(path, columns, x.shape[1:]) as writer:
        for rows in np.array_split(np.arange(len(x)), batches):
            writer.write(keys.iloc[rows].reset_index(drop=True), x[rows])
        writer.close({"modality": "audio"})
    return keys


@pytest.mark.parametrize("shape", [(5,), (4, 3)])
def test_features_come_back(tmp_path, shape):
    x = np.random.default_rng(0).normal(size=(11, *shape)).astype(np.float32)
    columns = None if len(shape) > 1 else tuple("abcde")
    keys = write(tmp_path / "t.parquet", x, columns)
    table = tables.read_features(tmp_path / "t.parquet")
    assert np.array_equal(table.x, x)
    assert table.x.dtype == np.float32
    assert table.columns == columns
    pd.testing.assert_frame_equal(table.keys, keys)
    assert table.meta["modality"] == "audio"


def test_tensor_column_is_the_standard_arrow_type(tmp_path):
    write(tmp_path / "t.parquet", np.zeros((2, 4, 3), np.float32), None)
    kind = pq.read_table(tmp_path / "t.parquet").schema.field("x").type
    assert kind.extension_name == "arrow.fixed_shape_tensor"
    assert list(kind.shape) == [4, 3]


def test_same_content_same_bytes_and_batches_do_not_change_the_content_hash(tmp_path):
    x = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    for name, batches in (("a", 1), ("b", 1), ("c", 4)):
        write(tmp_path / name, x, tuple("xyz"), batches)
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in "ab"]
    assert digests[0] == digests[1]
    hashes = {tables.read_meta(tmp_path / name)["content_hash"] for name in "abc"}
    assert len(hashes) == 1
    x[3, 1] += 1e-6
    write(tmp_path / "d", x, tuple("xyz"))
    assert tables.read_meta(tmp_path / "d")["content_hash"] not in hashes


@pytest.mark.parametrize("ids", [["b", "a"], ["a", "a"]])
def test_rows_out_of_order_or_twice_are_refused_and_leave_nothing(tmp_path, ids):
    keys = tables.key_frame(pd.DataFrame({"sample_id": ids}))
    with (
        pytest.raises(DataError, match="unique"),
        tables.FeatureWriter(tmp_path / "t.parquet", ("a",), (1,)) as writer,
    ):
        writer.write(keys, np.zeros((2, 1), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_predictions_come_back(tmp_path):
    proba = np.random.default_rng(2).dirichlet(np.ones(3), size=7)
    keys = make_keys(7).assign(fold=pd.array([0, 1, 2, 0, 1, 2, None], "Int64"))
    tables.write_predictions(
        tables.PredictionTable(keys, proba, ("x", "y", "z"), {"out_of_fold": True}), tmp_path / "p"
    )
    back = tables.read_predictions(tmp_path / "p")
    assert np.array_equal(back.proba, proba)
    assert back.classes == ("x", "y", "z")
    assert back.pred.tolist() == [("x", "y", "z")[i] for i in proba.argmax(axis=1)]
    pd.testing.assert_frame_equal(back.keys, keys)
    assert pq.read_table(tmp_path / "p").column("pred").to_pylist() == back.pred.tolist()


def test_probabilities_that_do_not_sum_to_one_are_refused(tmp_path):
    bad = tables.PredictionTable(make_keys(1), np.array([[0.9, 0.9]]), ("x", "y"), {})
    tables.write_predictions(bad, tmp_path / "p")
    with pytest.raises(DataError, match="sum to 1"):
        tables.read_predictions(tmp_path / "p")


def test_each_reader_refuses_the_other_kind(tmp_path):
    write(tmp_path / "f", np.zeros((1, 1), np.float32), ("a",))
    with pytest.raises(DataError, match="a table of features, where a table of predictions is needed"):
        tables.read_predictions(tmp_path / "f")


def test_strangers_are_refused_by_name(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "theirs")
    (tmp_path / "text").write_text("no table")
    for name, what in (
        ("theirs", "did not write"),
        ("text", "not a Parquet table"),
        ("none", "no such file"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{what}"):
            tables.read_features(tmp_path / name)


def test_key_frame_brings_missing_values_to_one_form():
    frame = tables.key_frame(
        pd.DataFrame({"subject": ["s1", "", None, np.nan], "fold": ["1", None, 2.0, np.nan]})
    )
    assert frame["subject"].tolist() == ["s1", None, None, None]
    assert frame["fold"].isna().tolist() == [False, True, False, True]
    assert frame["start"].isna().all()


def test_pictures_stay_bytes(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (7, 2, 3, 3)).astype(np.uint8)
    keys = make_keys(len(x))
    tables.write_features(tables.FeatureTable(keys, x, None, {"modality": "video"}), tmp_path / "t.parquet")
    table = tables.read_features(tmp_path / "t.parquet")
    assert table.x.dtype == np.uint8
    assert np.array_equal(table.x, x)
    assert (tmp_path / "t.parquet").stat().st_size < 2 * x.nbytes + 20_000
