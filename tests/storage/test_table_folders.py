"""A table that is a folder of parts is read as one, by any reader, and says which part is wrong."""

import os
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest

from eavctl.errors import DataError, UsageError
from eavctl.storage import files, folder_writer, ownership, tables
from eavctl.storage.folder_writer import writer_of
from eavctl.storage.table_folders import COMMON, folder_of

META = {
    "modality": "audio",
    "features": "made up",
    "features_version": 1,
    "settings": {},
    "features_hash": "aa",
    "classes": ["a", "b"],
    "shape": [3],
}
COLUMNS = ("u", "v", "w")


def keys_of(n_rows, datasets=("one",)):
    ids = [f"clip{i:05d}" for i in range(n_rows)]
    named = [datasets[i % len(datasets)] for i in range(n_rows)]
    labels = ["ab"[i % 2] for i in range(n_rows)]
    return tables.key_frame(
        pd.DataFrame({"sample_id": ids, "clip_id": ids, "dataset": named, "label": labels})
    )


def write(path, keys, x, columns=COLUMNS, step=7):
    with writer_of(path, columns, x.shape[1:], x.dtype, about=META) as writer:
        for start in range(0, len(x), step):
            writer.write(tables.key_table(keys.iloc[start : start + step]), x[start : start + step])
        writer.close({**META, "shape": list(x.shape[1:])})
    return path


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(folder_writer, "GROUP_ROWS", 4)
    monkeypatch.setattr(folder_writer, "PART_ROWS", 10)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, x, small_parts):
    write(f"{tmp_path}/t/", keys_of(len(x), ("one", "two")), x)
    return tmp_path / "t"


def parts_of(folder):
    return sorted(folder.glob("*/*.parquet"))


@pytest.mark.parametrize("shape", [(3,), (4, 2)])
def test_a_folder_of_one_data_set_is_the_table_that_a_file_is(tmp_path, small_parts, shape):
    x = np.random.default_rng(0).normal(size=(50, *shape)).astype(np.float32)
    columns = COLUMNS if len(shape) == 1 else None
    keys = keys_of(len(x))
    one = tables.read_features(write(tmp_path / "t.parquet", keys, x, columns))
    many = tables.read_features(write(f"{tmp_path}/t/", keys, x, columns))
    assert len(parts_of(tmp_path / "t")) > 1
    assert np.array_equal(one.x, many.x)
    assert one.columns == many.columns
    assert one.meta == many.meta
    pd.testing.assert_frame_equal(one.keys, many.keys)


def test_the_size_of_batches_does_not_change_the_bytes(tmp_path, small_parts, x):
    keys = keys_of(len(x), ("one", "two", None))
    for step in (1, 50):
        write(f"{tmp_path}/{step}/", keys, x, step=step)
    names = [each.relative_to(tmp_path / "1") for each in (tmp_path / "1").rglob("*") if each.is_file()]
    assert len(names) > 3
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "50" / name).read_bytes(), name


def test_other_readers_of_parquet_read_the_same_rows_in_the_same_order(tmp_path, small_parts, x):
    """Names of data sets that sort differently with a slash behind them, and ones that are no file names."""
    names = ("a", "a-b", "a/b", "_hidden", ".hidden", "k=v", None, "ä ö", "n" * 300)
    keys = keys_of(len(x), names)
    write(f"{tmp_path}/t/", keys, x)
    found = tables.read_features(tmp_path / "t")
    frame = pd.read_parquet(f"{tmp_path}/t/")
    assert frame["sample_id"].tolist() == found.keys["sample_id"].tolist()
    assert np.array_equal(frame[list(COLUMNS)].to_numpy(), found.x)
    assert pyarrow.dataset.dataset(f"{tmp_path}/t").count_rows() == len(x)
    assert set(frame["dataset"].dropna()) == set(found.keys["dataset"].dropna()) == set(names) - {None}
    order = keys["sample_id"].tolist().index
    assert np.array_equal(found.x, x[[order(name) for name in found.keys["sample_id"]]])
    within = found.keys.groupby("dataset", dropna=False)["sample_id"]
    assert all(each.is_monotonic_increasing for _, each in within)
    blocks = found.keys["dataset"].fillna("").ne(found.keys["dataset"].fillna("").shift()).sum()
    assert blocks == len(names)  # the rows of a data set are together


def test_no_two_data_sets_share_a_folder():
    names = [
        "a/b",
        "a%2Fb",
        "_a",
        "a",
        "%none",
        "n" * 300,
        "n" * 299,
        ".",
        "..",
        "none",
        "é" * 100,
        "é" * 101,
    ]
    folders = [folder_of(name) for name in [*names, None]]
    assert len(set(folders)) == len(folders)
    for name in folders:
        assert "/" not in name
        assert not name.startswith((".", "_"))
        assert len(name.encode()) < 200


def test_each_part_is_a_table_of_its_own(folder, x):
    found = [tables.read_features(part) for part in parts_of(folder)]
    assert sum(map(len, found)) == len(x)
    assert all(each.meta["n_rows"] == len(each) for each in found)
    whole = tables.read_features(folder)
    assert np.array_equal(np.concatenate([each.x for each in found]), whole.x)


def _gone(parts):
    parts[1].unlink()


def _short(parts):
    parts[1].write_bytes(parts[1].read_bytes()[:-8])


def _swapped(parts):
    """Parts of the same size, each where the other was."""
    one, other = (
        parts[1],
        next(each for each in parts[2:] if os.stat(each).st_size == os.stat(parts[1]).st_size),
    )
    ours, theirs = one.read_bytes(), other.read_bytes()
    one.write_bytes(theirs)
    other.write_bytes(ours)


def _flipped(parts):
    """A bit of the features."""
    content = bytearray(parts[1].read_bytes())
    content[len(content) // 4] ^= 1
    parts[1].write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [_gone, _short, _swapped, _flipped])
def test_a_part_that_is_not_as_it_was_is_named(folder, harm):
    parts = parts_of(folder)
    harm(parts)
    with pytest.raises(DataError, match=re.escape(str(parts[1].relative_to(folder)))):
        tables.verify(folder)


def test_a_part_that_was_added_is_named(folder):
    shutil.copy(parts_of(folder)[0], folder / "one" / "part-00099.parquet")
    with pytest.raises(DataError, match="part-00099"):
        tables.read_meta(folder)
    (folder / "one" / "part-00099.parquet").unlink()
    (folder / "one" / ".note").touch()  # no reader takes it for a part
    tables.verify(folder)


def test_a_damaged_list_is_an_error(folder):
    content = (folder / COMMON).read_bytes()
    for at in range(4, len(content), 13):
        (folder / COMMON).write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        try:
            tables.verify(folder)
        except DataError:
            continue
        assert tables.read_meta(folder)["features"] == "made up"  # bytes that say nothing


def test_a_failed_writing_leaves_the_former_table(folder, x):
    former = tables.read_features(folder)
    with pytest.raises(KeyError), writer_of(folder, COLUMNS, (3,), about=META) as writer:
        writer.write(tables.key_table(keys_of(9)), x[:9])
        raise KeyError
    with (
        pytest.raises(DataError, match="ascending"),
        writer_of(folder, COLUMNS, (3,), about=META) as writer,
    ):
        writer.write(tables.key_table(keys_of(9)), x[:9])
        writer.write(tables.key_table(keys_of(9)), x[:9])
    assert tables.read_features(folder).meta == former.meta
    assert [each.name for each in folder.parent.iterdir()] == ["t"]


def test_a_table_is_replaced_as_a_whole(folder, x):
    write(folder, keys_of(5, ("three",)), x[:5])
    assert len(tables.read_features(folder)) == 5
    assert sorted(each.name for each in folder.iterdir()) == [COMMON, "three"]
    assert [each.name for each in folder.parent.iterdir()] == ["t"]


def guard(path, *, force=False, kind="features"):
    ownership.guard([ownership.Output(path, kind)], [], force=force)


def test_files_of_others_are_never_removed(folder, x):
    guard(folder)
    (folder / "one" / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match="notes"):
            guard(folder, force=force)
    with pytest.raises(UsageError, match="notes"):  # where it came while the table was written
        write(folder, keys_of(5), x[:5])
    assert (folder / "one" / "notes.txt").read_text() == "mine"
    assert len(parts_of(folder)) > 1


def test_a_folder_that_is_no_table_is_refused(tmp_path, folder):
    mine = tmp_path / "mine"
    (mine / "one").mkdir(parents=True)
    (mine / "one" / "part-00000.parquet").write_bytes(b"PAR1 of another program")
    for path in (mine, f"{mine}/"):
        for force in (False, True):
            with pytest.raises(UsageError):
                guard(path, force=force)
    with pytest.raises(UsageError):
        guard(f"{folder}/", kind="predictions")
    with pytest.raises(UsageError):
        guard(folder / "one" / "model.joblib", kind="model")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        guard(f"{tmp_path}/file/")
    guard(f"{tmp_path}/new/")


def test_a_table_without_its_list_is_replaced_by_force_alone(folder):
    (folder / COMMON).unlink()
    with pytest.raises(DataError):
        tables.read_meta(folder)
    with pytest.raises(UsageError, match="--force"):
        guard(f"{folder}/")
    guard(f"{folder}/", force=True)


def test_what_a_killed_writer_left_is_removed(tmp_path, folder):
    left = tmp_path / ".t.0123abcd.tmp"
    shutil.copytree(folder, left)
    with files.atomic_folder(tmp_path / "other") as writing:
        guard(folder)
        assert not left.exists()
        guard(f"{tmp_path}/other/")
        assert writing.exists()  # another writer is at work
