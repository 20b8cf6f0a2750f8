"""Tables come back as they were written, say what they are, and refuse what they are not."""

import gc
import hashlib
import json
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eavctl.errors import DataError
from eavctl.storage import parquet, tables
from eavctl.storage.parquet import META_KEY

FEATURES_META = {
    "modality": "audio",
    "features": "made up",
    "features_version": 1,
    "settings": {},
    "features_hash": "aa",
    "classes": ["a"],
    "shape": [1],
}
PREDICTIONS_META = {"modalities": ["audio"], "model_hashes": ["bb"], "protocol": {}}


def make_keys(n, **columns):
    ids = [f"clip{i:03d}" for i in range(n)]
    return tables.key_frame(pd.DataFrame({"sample_id": ids, "clip_id": ids, **columns}))


def write(path, x, columns, batches=1):
    keys = make_keys(len(x), label=["a"] * len(x))
    with tables.FeatureWriter(path, columns, x.shape[1:]) as writer:
        for rows in np.array_split(np.arange(len(x)), batches):
            writer.write(tables.key_table(keys.iloc[rows]), x[rows])
        writer.close(FEATURES_META)
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


def test_any_reader_of_parquet_gets_the_tensors_as_bytes(tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    write(tmp_path / "t.parquet", x, None)
    about = pq.read_schema(tmp_path / "t.parquet").field("x").metadata
    shape = json.loads(about[b"shape"])
    column = pd.read_parquet(tmp_path / "t.parquet")["x"]
    rows = [np.frombuffer(row, about[b"dtype"].decode()).reshape(shape) for row in column]
    assert np.array_equal(rows, x)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_tables_of_the_standard_arrow_tensor_are_still_read(tmp_path, dtype):
    """So the column ``x`` was written before: a fixed-shape tensor, row groups of a few recordings."""
    x = np.random.default_rng(0).integers(0, 256, (7, 4, 3)).astype(dtype)
    keys = make_keys(len(x))
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(dtype), (4, 3))
    flat = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 12))
    columns = [pa.array(keys[name], type, from_pandas=True) for name, type in tables.KEY_TYPES.items()]
    names = [*tables.KEYS, "x"]
    arrow = pa.table([*columns, flat], names=names)
    arrow = arrow.replace_schema_metadata(
        {
            "eavctl": json.dumps(
                {"schema_version": 1, "kind": "features", "content_hash": "cc", **FEATURES_META}
            )
        }
    )
    pq.write_table(arrow, tmp_path / "t.parquet", row_group_size=3, compression="none")
    table = tables.read_features(tmp_path / "t.parquet")
    assert np.array_equal(table.x, x)
    assert table.x.dtype == dtype
    pd.testing.assert_frame_equal(table.keys, keys)


def test_tensors_without_dtype_and_shape_are_refused(tmp_path):
    write(tmp_path / "t.parquet", np.zeros((2, 4, 3), np.float32), None)
    arrow = pq.read_table(tmp_path / "t.parquet")
    meta = {META_KEY: pq.read_metadata(tmp_path / "t.parquet").metadata[META_KEY]}
    bare = pa.schema([field.remove_metadata() for field in arrow.schema], meta)
    pq.write_table(arrow.cast(bare), tmp_path / "bare.parquet")
    with pytest.raises(DataError, match="'x' has no dtype and shape"):
        tables.read_features(tmp_path / "bare.parquet")


@pytest.mark.parametrize("columns", [None, tuple("abc")])
def test_batches_do_not_change_the_file(tmp_path, monkeypatch, columns):
    """Row groups hold the same rows whether these came one by one, a few at once, or all together."""
    monkeypatch.setattr(tables, "TENSORS_BYTES", 4 * 3 * 4)  # four rows a group
    monkeypatch.setattr(tables, "COLUMNS_GROUP", 4)
    x = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    for name, batches in (("one", 10), ("few", 3), ("all", 1)):
        write(tmp_path / name, x, columns, batches)
    assert len({(tmp_path / name).read_bytes() for name in ("one", "few", "all")}) == 1
    groups = pq.ParquetFile(tmp_path / "few").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [4, 4, 2]
    assert np.array_equal(tables.read_features(tmp_path / "few").x, x)


def test_a_row_larger_than_a_row_group_is_a_group_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "TENSORS_BYTES", 10)
    x = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    write(tmp_path / "t.parquet", x, None)
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3
    assert np.array_equal(tables.read_features(tmp_path / "t.parquet").x, x)


def test_padding_costs_no_space(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 300, 64)).astype(np.float32)
    x[:, 100:] = -80
    write(tmp_path / "t.parquet", x, None)
    assert (tmp_path / "t.parquet").stat().st_size < 0.4 * x.nbytes


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
        writer.write(tables.key_table(keys), np.zeros((2, 1), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_predictions_come_back(tmp_path):
    proba = np.random.default_rng(2).dirichlet(np.ones(3), size=7)
    keys = make_keys(7).assign(fold=pd.array([0, 1, 2, 0, 1, 2, None], "Int64"))
    tables.write_predictions(
        tables.PredictionTable(keys, proba, ("x", "y", "z"), {**PREDICTIONS_META, "out_of_fold": True}),
        tmp_path / "p",
    )
    back = tables.read_predictions(tmp_path / "p")
    assert np.array_equal(back.proba, proba)
    assert back.classes == ("x", "y", "z")
    assert back.pred.tolist() == [("x", "y", "z")[i] for i in proba.argmax(axis=1)]
    pd.testing.assert_frame_equal(back.keys, keys)
    assert pq.read_table(tmp_path / "p").column("pred").to_pylist() == back.pred.tolist()


def test_answers_that_are_not_the_likeliest_class_come_back(tmp_path):
    proba = np.array([[0.6, 0.4], [0.2, 0.8]])
    table = tables.PredictionTable(
        make_keys(2), proba, ("x", "y"), PREDICTIONS_META, np.array(["y", "y"], object)
    )
    tables.write_predictions(table, tmp_path / "p")
    assert tables.read_predictions(tmp_path / "p").pred.tolist() == ["y", "y"]


@pytest.mark.parametrize("answer", ["z", "", None])
def test_answers_that_are_none_of_the_classes_are_refused(tmp_path, answer):
    table = tables.PredictionTable(
        make_keys(2), np.full((2, 2), 0.5), ("x", "y"), PREDICTIONS_META, np.array(["y", answer], object)
    )
    tables.write_predictions(table, tmp_path / "p")
    with pytest.raises(DataError, match=f"p: {answer!r} in the column"):
        tables.read_predictions(tmp_path / "p")


def test_a_table_without_answers_is_refused(tmp_path):
    table = tables.PredictionTable(make_keys(1), np.ones((1, 1)), ("x",), PREDICTIONS_META)
    tables.write_predictions(table, tmp_path / "p")
    arrow = pq.read_table(tmp_path / "p").drop_columns(["pred"])
    meta = {META_KEY: arrow.schema.metadata[META_KEY]}
    pq.write_table(arrow.replace_schema_metadata(meta), tmp_path / "p")
    with pytest.raises(DataError, match="p: .*lacks .*pred"):
        tables.read_predictions(tmp_path / "p")


def test_answers_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="2 predictions"):
        tables.PredictionTable(make_keys(1), np.ones((1, 1)), ("x",), {}, np.array(["x", "x"], object))


def test_probabilities_that_do_not_sum_to_one_are_refused(tmp_path):
    bad = tables.PredictionTable(make_keys(1), np.array([[0.9, 0.9]]), ("x", "y"), PREDICTIONS_META)
    tables.write_predictions(bad, tmp_path / "p")
    with pytest.raises(DataError, match="sum to 1"):
        tables.read_predictions(tmp_path / "p")


def test_each_reader_refuses_the_other_kind(tmp_path):
    write(tmp_path / "f", np.zeros((1, 1), np.float32), ("a",))
    with pytest.raises(DataError, match="f: .*a table of features; a table of predictions"):
        tables.read_predictions(tmp_path / "f")


def test_other_kinds_of_files_are_refused_by_name(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "theirs")
    (tmp_path / "text").write_text("no table")
    for name, what in (
        ("theirs", "did not write"),
        ("text", "not a file written by eavctl"),
        ("none", "no such file"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{what}"):
            tables.read_features(tmp_path / name)


@pytest.mark.parametrize("columns", [None, ("a", "b")])
def test_a_table_of_a_newer_schema_is_refused(tmp_path, columns):
    with tables.FeatureWriter(tmp_path / "t", columns, (2,)) as writer:
        writer.write(tables.key_table(make_keys(1)), np.zeros((1, 2)))
        writer.close({})
    assert tables.read_meta(tmp_path / "t")["schema_version"] == tables.SCHEMA_VERSION
    with tables.FeatureWriter(tmp_path / "t", columns, (2,)) as writer:
        writer.close({"schema_version": tables.SCHEMA_VERSION + 1})
    with pytest.raises(DataError, match="newer eavctl"):
        tables.read_features(tmp_path / "t")


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
    tables.write_features(tables.FeatureTable(keys, x, None, FEATURES_META), tmp_path / "t.parquet")
    table = tables.read_features(tmp_path / "t.parquet")
    assert table.x.dtype == np.uint8
    assert np.array_equal(table.x, x)
    assert (tmp_path / "t.parquet").stat().st_size < x.nbytes + 20_000


def test_what_the_commands_take_for_granted_must_be_there(tmp_path):
    keys = make_keys(1)
    table = tables.PredictionTable(keys, np.empty((1, 0)), (), PREDICTIONS_META, np.array(["x"], object))
    tables.write_predictions(table, tmp_path / "p")
    with pytest.raises(DataError, match="p: .*classes"):
        tables.read_predictions(tmp_path / "p")
    lacking = {key: value for key, value in FEATURES_META.items() if key != "classes"}
    tables.write_features(tables.FeatureTable(keys, np.ones((1, 1)), ("a",), lacking), tmp_path / "f")
    with pytest.raises(DataError, match="f: .*classes"):
        tables.read_features(tmp_path / "f")


def test_damage_in_a_page_or_in_the_account_of_a_table_is_found(tmp_path):
    """Half of today's changes would be read as other numbers, were the pages and the account not checked."""
    x = np.random.default_rng(3).normal(size=(50, 8, 4)).astype(np.float32)
    path = tmp_path / "t.parquet"
    tables.write_features(tables.FeatureTable(make_keys(50), x, None, FEATURES_META), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(4)
    n_silent = 0
    for at in rng.choice(len(whole), 100, replace=False):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            read = tables.read_features(path)
        except DataError:
            continue
        n_silent += not np.array_equal(read.x, x) or read.meta != FEATURES_META | {
            key: read.meta[key] for key in ("schema_version", "kind", "content_hash")
        }
    assert n_silent == 0


def test_a_table_that_is_damaged_beyond_its_footer_does_not_pass_as_whole(tmp_path):
    x = np.random.default_rng(3).normal(size=(50, 40, 8)).astype(np.float32)
    path = tmp_path / "t.parquet"
    tables.write_features(tables.FeatureTable(make_keys(50), x, None, FEATURES_META), path)
    tables.verify(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    tables.read_meta(path)
    with pytest.raises(DataError, match=r"t\.parquet"):
        tables.verify(path)


def test_an_interrupted_table_says_nothing_when_it_is_let_go(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with open(tmp_path / "t.parquet", "wb") as handle:
        writer = parquet.Writer(handle, pa.schema([("a", pa.string())]))
        writer.write_table(pa.table({"a": ["x"]}))
    del writer
    gc.collect()
    assert not said
