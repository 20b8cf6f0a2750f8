"""Rows on the disk are those that a table read as a whole has, and few of them are in memory."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError
from eavctl.storage import folder_writer, stored_rows, tables
from eavctl.storage.folder_writer import writer_of
from eavctl.storage.stored_rows import StoredRows, read_stored

META = {
    "modality": "audio",
    "features": "made up",
    "features_version": 1,
    "settings": {},
    "features_hash": "aa",
    "classes": ["a"],
}
N_ROWS, GROUP = 90, 10


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(folder_writer, "GROUP_ROWS", GROUP)
    monkeypatch.setattr(folder_writer, "PART_ROWS", 4 * GROUP)


@pytest.fixture
def decoded(monkeypatch):
    """The row groups that were decoded, in order."""
    found, decode = [], stored_rows.fill_group
    monkeypatch.setattr(
        stored_rows, "fill_group", lambda *args: (found.append((args[0], args[2])), decode(*args))[1]
    )
    return found


def write(path, x, prefix="clip"):
    ids = [f"{prefix}{i:05d}" for i in range(len(x))]
    keys = tables.key_frame(pd.DataFrame({"sample_id": ids, "clip_id": ids, "dataset": "d", "label": "a"}))
    columns = [f"c{i}" for i in range(x.shape[1])] if x.ndim == 2 else None
    meta = {**META, "shape": list(x.shape[1:])}
    with writer_of(path, columns, x.shape[1:], x.dtype, about=meta) as writer:
        writer.write(tables.key_table(keys), x)
        writer.close(meta)
    return path


def made(shape=(3,), dtype=np.float32, n_rows=N_ROWS):
    return np.random.default_rng(len(shape)).integers(0, 256, (n_rows, *shape)).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3,), np.float32), ((4, 2), np.float32), ((2, 2, 3), np.uint8)]
)
@pytest.mark.parametrize("name", ["t/", "t.parquet"])
def test_any_rows_in_any_order(tmp_path, shape, dtype, name):
    x = made(shape, dtype)
    rows = StoredRows([write(f"{tmp_path}/{name}", x)], cache=0)
    assert (rows.shape, rows.dtype, len(rows), rows.nbytes) == (x.shape, x.dtype, len(x), x.nbytes)
    for which in (
        slice(None),
        slice(3, 47),
        slice(85, 200),
        slice(0, 0),
        np.arange(len(x))[::-1],
        np.array([], int),
        np.random.default_rng(0).integers(0, len(x), 300),
    ):
        assert np.array_equal(rows[which], x[which])
        assert rows[which].dtype == x.dtype


def test_what_is_indexed_can_be_changed_and_the_rows_stay(tmp_path):
    x = made()
    rows = StoredRows([write(f"{tmp_path}/t/", x)])
    for which in (slice(0, 5), slice(0, GROUP), np.arange(5)):
        rows[which].fill(-1)
    assert np.array_equal(rows[:], x)


def test_several_tables_follow_each_other(tmp_path):
    x = made()
    paths = [write(f"{tmp_path}/{name}", part) for name, part in (("a/", x[:33]), ("b.parquet", x[33:]))]
    assert np.array_equal(StoredRows(paths)[:], x)


def test_a_pass_decodes_each_group_once_and_threads_can_read(tmp_path, decoded):
    x = made()
    path = write(f"{tmp_path}/t/", x)
    rows = StoredRows([path], cache=3 * GROUP * x[0].nbytes, scratch=False)
    parts = [np.arange(start, min(start + 7, len(x))) for start in range(0, len(x), 7)]
    assert np.array_equal(np.concatenate(list(map(rows.__getitem__, parts))), x)
    assert [number for _, number in decoded] == list(range(9))
    decoded.clear()
    with ThreadPoolExecutor(3) as pool:
        assert np.array_equal(np.concatenate(list(pool.map(rows.__getitem__, parts))), x)
    assert {number for _, number in decoded} == set(range(9))


def test_what_was_decoded_once_is_read_from_the_scratch_file(tmp_path, decoded, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    x = made()
    rows = StoredRows([write(f"{tmp_path}/t/", x)], cache=0)
    names = {each.name for each in tmp_path.iterdir()}
    for _ in range(3):
        order = np.random.default_rng(0).permutation(len(x))
        assert np.array_equal(rows[order], x[order])
        assert np.array_equal(rows[:], x)
    assert sorted(number for _, number in decoded) == list(range(9))
    assert {each.name for each in tmp_path.iterdir()} == names  # the file has no name


@pytest.mark.parametrize("fails", ["has no room", "is full"])
def test_without_room_on_the_disk_groups_are_decoded_again(tmp_path, decoded, monkeypatch, fails):
    if fails == "is full":
        monkeypatch.setattr(stored_rows.os, "pwrite", lambda *args: 5)
    else:
        monkeypatch.setattr(stored_rows.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    x = made()
    rows = StoredRows([write(f"{tmp_path}/t/", x)], cache=0)
    for _ in range(2):
        assert np.array_equal(rows[:], x)
    assert len(decoded) == 18


def test_the_cache_is_bounded(tmp_path):
    x = made()
    most = 3 * GROUP * x[0].nbytes
    rows = StoredRows([write(f"{tmp_path}/t/", x)], cache=most)
    for number in np.random.default_rng(0).integers(0, len(x), 100):
        rows[np.array([number])]
        assert sum(each.nbytes for each in rows._cache.values()) <= most


def test_small_tables_are_read_as_a_whole(tmp_path, monkeypatch):
    x = made()
    path = write(f"{tmp_path}/t/", x)
    assert isinstance(read_stored(path).x, np.ndarray)
    monkeypatch.setattr(stored_rows, "IN_MEMORY_BYTES", x.nbytes - 1)
    found, whole = read_stored(path), tables.read_features(path)
    assert isinstance(found.x, StoredRows)
    assert (found.columns, found.meta) == (whole.columns, whole.meta)
    pd.testing.assert_frame_equal(found.keys, whole.keys)
    monkeypatch.setattr(stored_rows, "IN_MEMORY_BYTES", x.nbytes)
    assert isinstance(read_stored(path).x, np.ndarray)


def test_damage_is_named_when_it_is_met(tmp_path):
    path = write(f"{tmp_path}/t/", made((3000,)))
    part = tmp_path / "t" / "d" / "part-00001.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content))
    rows = StoredRows([path])
    assert len(rows[: 4 * GROUP]) == 4 * GROUP
    with pytest.raises(DataError, match="part-00001"):
        rows[:]
