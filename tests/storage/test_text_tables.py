"""Tables for other programs, read back by the csv module, json, pandas and openpyxl."""

import csv
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from eavctl.errors import DataError, UsageError
from eavctl.storage import excel, ownership, tables
from eavctl.storage.cells import decimals
from eavctl.storage.feature_columns import tensor_field
from eavctl.storage.text_tables import CELLS_AT_ONCE, TableWriter, opened_writer

HOSTILE = (
    *("plain", "a,b", "a;b", "tab\there", 'say "no"', '"', "two\nlines", "dos\r\nlines", " spaces "),
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        '=HYPERLINK("http://x")',
        "żółć",
        "日本語",
        "🎭",
        "null",
        "nan",
        "TRUE",
    ),
    *("1e5", "007", "<&>'", "_x0041_", "bell\x07", "\u2028", "a" * 32_767, None),
)
ENDINGS = ("csv", "tsv", "jsonl", "xlsx")


def bits(rng, kind, n):
    """Numbers of all magnitudes: random bits, those that are not finite left out."""
    width = np.dtype(kind).itemsize
    values = np.frombuffer(rng.bytes(2 * n * width), kind)
    return values[np.isfinite(values)][:n]


def written(table, path, kind="predictions"):
    with opened_writer(path, table.schema, kind) as writer:
        writer.write_table(table)
    return path


def read_rows(path):
    """Header and rows as text, by readers that know nothing of eavctl; None where a cell is missing."""
    if path.suffix == ".jsonl":
        objects = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        return list(objects[0]), [list(each.values()) for each in objects]
    if path.suffix == ".xlsx":
        from openpyxl import load_workbook

        rows = [[*row] for row in load_workbook(path).active.iter_rows()]
        assert all(cell.data_type != "f" for row in rows for cell in row)
        return [cell.value for cell in rows[0]], [[cell.value for cell in row] for row in rows[1:]]
    with open(path, newline="") as handle:
        header, *rows = csv.reader(handle, delimiter="," if path.suffix == ".csv" else "\t")
    return header, [[cell or None for cell in row] for row in rows]


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_read_back_to_the_same_bits(tmp_path, ending):
    rng, n = np.random.default_rng(1), 3000
    single = np.concatenate(
        [bits(rng, np.float32, n), np.float32([0.0, -0.0, 1.0, 0.1, 1e-45, 3.4028235e38])]
    )
    double = np.concatenate([bits(rng, np.float64, n), [0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308]])
    table = pa.table({"single": single, "double": double, "whole": np.arange(len(single))})
    path = written(table, tmp_path / f"t.{ending}")
    header, rows = read_rows(path)
    assert header == ["single", "double", "whole"]
    found = [np.array([float(row[i]) for row in rows]) for i in range(3)]
    # openpyxl reads "-0.0" as a float, and its "1" as an int: both are the number.
    np.testing.assert_array_equal(found[0].astype(np.float32).view(np.uint32), single.view(np.uint32))
    np.testing.assert_array_equal(found[1].view(np.uint64), double.view(np.uint64))
    np.testing.assert_array_equal(found[2], np.arange(len(single)))


def test_decimals_are_the_shortest():
    values = bits(np.random.default_rng(2), np.float64, 500)
    for text, value in zip(decimals(pa.array(values)).to_pylist(), values.tolist(), strict=True):
        digits = [
            len("".join(c for c in each.split("e")[0] if c.isdigit()).strip("0"))
            for each in (text, repr(value))
        ]
        assert digits[0] == digits[1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_texts_read_back_as_they_are_and_none_is_a_formula(tmp_path, ending):
    table = pa.table({"sample_id": pa.array(HOSTILE, pa.string()), "n": pa.array(range(len(HOSTILE)))})
    _, rows = read_rows(written(table, tmp_path / f"t.{ending}"))
    expected = list(HOSTILE)
    if ending == "xlsx":  # Excel turns these back; openpyxl leaves them
        expected = [text and text.replace("\x07", "_x0007_").replace("\r", "_x000D_") for text in expected]
        expected[expected.index("_x0041_")] = "_x005F_x0041_"
    assert [row[0] for row in rows] == expected
    assert [int(row[1]) for row in rows] == list(range(len(HOSTILE)))


def test_an_empty_text_is_not_a_missing_one_in_json_lines(tmp_path):
    path = written(pa.table({"a": ["", None]}), tmp_path / "t.jsonl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": ""}, {"a": None}]


def test_pandas_reads_them_too(tmp_path):
    table = pa.table({"name": ["a,b", 'q"', None], "x": pa.array([0.1, None, 1e-300]), "k": [1, 2, 3]})
    frames = [
        pd.read_csv(written(table, tmp_path / "t.csv")),
        pd.read_csv(written(table, tmp_path / "t.tsv"), sep="\t"),
        pd.read_json(written(table, tmp_path / "t.jsonl"), lines=True, precise_float=True),
        pd.read_excel(written(table, tmp_path / "t.xlsx")),
    ]
    for frame in frames:
        pd.testing.assert_frame_equal(frame, frames[0])
    assert frames[0]["name"].tolist()[:2] == ["a,b", 'q"']
    assert frames[0].isna().to_numpy().sum() == 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_size_of_batches_and_the_time_change_no_byte(tmp_path, ending, monkeypatch):
    table = pa.table({"name": [f"a{i}" for i in range(50)], "x": np.linspace(0, 1, 50)})
    first = written(table, tmp_path / f"a.{ending}").read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("eavctl.storage.text_tables.CELLS_AT_ONCE", 14)
    with opened_writer(tmp_path / f"b.{ending}", table.schema, "predictions") as writer:
        for start in (0, 3, 4, 30):
            end = {0: 3, 3: 4, 4: 30, 30: 50}[start]
            writer.write_table(table[start:end])
    assert (tmp_path / f"b.{ending}").read_bytes() == first


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_an_error_and_leaves_no_file(tmp_path, ending, bad):
    path = tmp_path / f"t.{ending}"
    with pytest.raises(DataError, match="'x'"):
        written(pa.table({"x": np.float32([1, bad])}), path)
    assert list(tmp_path.iterdir()) == []


def test_tensors_become_nested_lists_and_only_in_json_lines(tmp_path):
    x = bits(np.random.default_rng(3), np.float32, 60).reshape(5, 3, 4)
    field = tensor_field("x", np.dtype(np.float32), (3, 4))
    table = pa.table(
        [[*"abcde"], pa.array([row.tobytes() for row in x], field.type)],
        pa.schema([("k", pa.string()), field]),
    )
    for start, end in ((0, 5), (2, 4)):
        path = written(table[start:end], tmp_path / "t.jsonl", "features")
        found = [json.loads(line)["x"] for line in path.read_text().splitlines()]
        np.testing.assert_array_equal(np.array(found, np.float32), x[start:end])
    for ending in ("csv", "tsv", "xlsx"):
        with pytest.raises(UsageError, match=r"\.parquet"):
            written(table, tmp_path / f"t.{ending}")
        assert not (tmp_path / f"t.{ending}").exists()


def test_excel_has_limits(tmp_path, monkeypatch):
    path = tmp_path / "t.xlsx"
    with pytest.raises(DataError, match="32,767"):
        written(pa.table({"a": ["a" * 32_768]}), path)
    with pytest.raises(DataError, match="32,767"):  # Excel counts the units of UTF-16
        written(pa.table({"a": ["🎭" * 16_384]}), path)
    with pytest.raises(UsageError, match="16,384"):
        written(pa.table([pa.array([1])] * 16_385, names=[f"f{i}" for i in range(16_385)]), path)
    with monkeypatch.context() as patch, pytest.raises(DataError, match="GB"):
        patch.setattr(excel, "MOST_BYTES", 100)
        written(pa.table({"a": [1, 2, 3, 4]}), path)
    monkeypatch.setattr(excel, "MOST_ROWS", 4)
    with pytest.raises(DataError, match="3 rows"):
        written(pa.table({"a": [1, 2, 3, 4]}), path)
    assert not path.exists()
    assert read_rows(written(pa.table({"a": [1, 2, 3]}), path))[1] == [[1], [2], [3]]


def test_the_last_columns_of_a_wide_sheet_have_their_names(tmp_path):
    from openpyxl.utils import get_column_letter

    for number in (0, 25, 26, 51, 52, 701, 702, 16_383):
        assert excel._letters(number) == get_column_letter(number + 1)


def test_a_workbook_holds_no_time(tmp_path):
    path = written(pa.table({"a": [1]}), tmp_path / "t.xlsx")
    with zipfile.ZipFile(path) as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None
        assert not any(b"created" in archive.read(name) for name in archive.namelist())


def test_many_rows_take_the_memory_of_a_few(tmp_path):
    table = pa.table({f"f{i}": np.random.default_rng(i).normal(size=CELLS_AT_ONCE // 8) for i in range(40)})
    written(table, tmp_path / "warm.csv")
    before = pa.total_allocated_bytes()
    most = []

    class Counting(io.BytesIO):
        def write(self, content):
            most.append(pa.total_allocated_bytes() - before)
            return len(content)

    writer = TableWriter("t.csv", Counting(), table.schema, "features")
    writer.write_table(table)
    assert max(most) < CELLS_AT_ONCE * 100 < table.nbytes * 10


def keyed(**columns):
    keys = {name: pa.array([None], pa.string()) for name in tables.KEYS} | {"sample_id": pa.array(["a"])}
    return pa.table(keys | columns)


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_are_known_by_their_columns_and_others_are_kept(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    others = {"features": "rejected", "predictions": "features", "rejected": "predictions"}
    for kind, table in (
        ("features", keyed(f0=pa.array([0.5]))),
        ("predictions", keyed(site=pa.array(["x"]), pred=pa.array(["sad"]), proba_sad=pa.array([1.0]))),
        ("rejected", pa.table({name: ["a"] for name in ownership.REJECTED_COLUMNS})),
    ):
        written(table, path, kind)
        assert ownership.kind_of(path) == kind
        ownership.guard([ownership.Output(path, kind)])
        with pytest.raises(UsageError, match="--force"):
            ownership.guard([ownership.Output(path, others[kind])])


@pytest.mark.parametrize(
    "content",
    [
        b"sample_id,label\na,sad\n",
        b"sample_id,clip_id,dataset,subject,session,trial,recording,task\n",
        b'{"sample_id": "a"}\n',
        b'{"sample_id": ',
        b'{"sample_id": "a", "sample_id": 1}',
        b"clip_id,path,start\n",
        b"sample_id,\xff\xfe\n",
        b"PK\x03\x04" + b"\0" * 50,
        b"",
    ],
)
@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx"])
def test_tables_of_others_are_not_overwritten(tmp_path, content, ending):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="--force"):
        ownership.guard([ownership.Output(path, "predictions")])
    ownership.guard([ownership.Output(path, "predictions")], force=True)


def test_no_rejected_recording_is_written_twice(tmp_path):
    for name in ("bad.csv", "bad.jsonl", "bad.xlsx", "bad.parquet"):
        for _ in range(2):
            ownership.guard([ownership.Output(tmp_path / name, "rejected")])
            tables.write_rejected([], tmp_path / name)
