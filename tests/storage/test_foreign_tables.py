"""Tables that other programs wrote, read back as csv, pandas and openpyxl wrote them."""

import contextlib
import csv
import datetime
import io
import json
import zipfile

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eavctl.errors import DataError
from eavctl.storage import delimited
from eavctl.storage.foreign_tables import opened

TAB = "\t"
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-32": "UTF-32",
    "cp1252": "cp1252",
    "latin-1": "cp1252",  # the same for all that is no control character
}
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
controls = "".join(map(chr, range(0x80, 0xA0)))
western = st.text(st.characters(codec="latin-1", exclude_characters="\0" + controls), max_size=8)


def read(path):
    with opened(path) as table:
        return table.columns, list(table.rows), table.form


def written(rows, separator, end, quoting):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue()


@quick
@given(data=st.data())
def test_text_in_any_dialect_and_encoding_is_read_as_it_was_written(tmp_path, data):
    n = data.draw(st.integers(2, 4))
    codec = data.draw(st.sampled_from(list(ENCODINGS)))
    each = western if codec in ("cp1252", "latin-1") else cells
    rows = data.draw(st.lists(st.lists(each, min_size=n, max_size=n), min_size=1, max_size=6))
    separator = data.draw(st.sampled_from(delimited.SEPARATORS))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    is_bare = any("\r" in text for row in rows for text in row)  # csv quotes only the line end it writes
    assume(quoting == csv.QUOTE_ALL or not is_bare)
    header = [f"column {i}" for i in range(n)]
    text = written([header, *rows], separator, end, quoting)
    try:
        content = text.encode(codec)
    except UnicodeEncodeError:
        assume(False)
    (tmp_path / "t.csv").write_bytes(content)
    columns, found, form = read(tmp_path / "t.csv")
    assert columns == tuple(header)
    if "UTF" in ENCODINGS[codec] or not _is_utf8(content):
        assert [list(row) for _, row in found] == [row for row in rows if any(map(str.strip, row))]
        assert form == f"{ENCODINGS[codec]}, {'tab' if separator == TAB else repr(separator)}"


def _is_utf8(content):
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_found(tmp_path, codec):
    (tmp_path / "t.csv").write_bytes("path;label\nzoë.wav;zażółć\n".encode(codec))
    assert read(tmp_path / "t.csv")[:2] == (("path", "label"), [(2, ("zoë.wav", "zażółć"))])


def test_a_byte_far_from_the_start_decides_the_encoding(tmp_path):
    text = "path,label\n" + "a.wav,joy\n" * 20_000
    (tmp_path / "t.csv").write_bytes(text.encode() + "b.wav,trübe\n".encode("cp1252"))
    _, rows, form = read(tmp_path / "t.csv")
    assert rows[-1] == (20_002, ("b.wav", "trübe"))
    assert form.startswith("cp1252")


@quick
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=20))
def test_numbers_of_lines_are_those_of_the_file(tmp_path, plan):
    """Each row is preceded by empty lines and has a cell of several lines."""
    lines, wanted = ["path,note"], []
    for n_empty, n_breaks in plan:
        lines += ["", ",", " , "][: n_empty % 4] * (n_empty // 4 + 1)
        wanted.append(len(lines) + 1)
        lines += f'a.wav,"{chr(10) * n_breaks}"'.split("\n")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert [line for line, _ in read(tmp_path / "t.csv")[1]] == wanted


def test_bytes_that_cp1252_lacks_are_latin_1(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"path,label\na.wav,tr\xfcb\x81\n")
    _, rows, form = read(tmp_path / "t.csv")
    assert rows == [(2, ("a.wav", "trüb\x81"))]
    assert form.startswith("latin-1")


def test_the_line_by_which_excel_names_the_separator(tmp_path):
    (tmp_path / "t.csv").write_text("sep=|\npath|label\na,b;c.wav|joy\n")
    assert read(tmp_path / "t.csv")[:2] == (("path", "label"), [(3, ("a,b;c.wav", "joy"))])


def test_cells_that_hold_other_separators_do_not_change_it(tmp_path):
    (tmp_path / "t.csv").write_text("path;start;note, if any\n" + "a.wav;0,5;one, two\n" * 5)
    columns, rows, form = read(tmp_path / "t.csv")
    assert columns == ("path", "start", "note, if any")
    assert rows[0] == (2, ("a.wav", "0,5", "one, two"))
    assert "';'" in form


HOSTILE = {
    "empty": b"",
    "blank": b"\n \n,,\n",
    "quote never closed": b'path,label\n"a.wav,joy\n' + b"b.wav,sad\n" * 100,
    "quote never closed in a large file": b'path,label\n"a.wav,joy\n' + b"b.wav,sad\n" * 100_000,
    "text after a quote": b'path,label\n"a"b.wav,joy\n',
    "huge cell": b"path,label\n" + b"a" * 200_000 + b",joy\n",
    "huge line": b"a" * 20_000_000,
    "huge line of cells": b"path,label\n" + b"a," * 2_000_000,
    "null byte": b"path,label\na.wav,jo\0y\n",
    "random bytes": bytes(range(256)) * 400,
    "half a character": "path,label\na,b\n".encode("utf-16")[:-1],
    "too many cells": b"path,label\na.wav,joy,sad\n",
    "no row under JSON": b"{",
    "JSON that is no object": b'{"path": "a.wav"}\n[1]\n',
    "deep JSON": b'{"path": ' + b"[" * 100_000,
    "nested JSON": b'{"path": "a.wav", "x": {"y": 1}}\n',
    "a name twice in JSON": b'{"path": "a.wav", "path": "b.wav"}\n',
    "a number too long": b'{"path": ' + b"9" * 10_000 + b"}\n",
    "a zip archive": None,
    "a workbook of the old format": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    "cut Parquet": b"PAR1" + b"\0" * 100,
    "cut workbook": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_table_is_one_error_that_names_the_file(tmp_path, name):
    content = HOSTILE[name]
    if content is None:
        with zipfile.ZipFile(tmp_path / "t.csv", "w") as archive:
            archive.writestr("a.txt", "a")
    else:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "t.csv")
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}: ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("quote never closed", 2),
        ("text after a quote", 2),
        ("null byte", 2),
        ("too many cells", 2),
        ("huge cell", 2),
    ],
)
def test_errors_of_rows_name_the_line(tmp_path, name, line):
    (tmp_path / "t.csv").write_bytes(HOSTILE[name])
    with pytest.raises(DataError, match=f"line {line}"):
        read(tmp_path / "t.csv")


# --- Excel ------------------------------------------------------------------------------------------------

words = st.text("abcäöü ß漢,;\"'.-", min_size=1, max_size=8).filter(lambda text: text.strip())
values = st.one_of(
    words.map(lambda text: (text, text)),
    st.integers(-(10**9), 10**9).map(lambda n: (n, str(n))),
    st.integers(-(10**6), 10**6).map(lambda n: (float(n), str(n))),
    st.sampled_from([(0.5, "0.5"), (-1.25, "-1.25"), (True, "TRUE"), (False, "FALSE"), (None, None)]),
    st.dates(datetime.date(1950, 1, 1), datetime.date(2100, 1, 1)).map(lambda day: (day, day.isoformat())),
    st.just((datetime.datetime(2024, 5, 1, 13, 30), "2024-05-01 13:30:00")),
)


@settings(quick, max_examples=15)
@given(st.lists(st.lists(values, min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_sheet_is_read_as_people_see_it(tmp_path, rows):
    book = openpyxl.Workbook()
    book.active.append(["path", "b", "c"])
    for row in rows:
        book.active.append([value for value, _ in row])
    book.save(tmp_path / "t.xlsx")
    wanted = [(i, tuple(text for _, text in row)) for i, row in enumerate(rows, start=2)]
    assert read(tmp_path / "t.xlsx")[1] == [(i, row) for i, row in wanted if any(row)]


def test_the_first_sheet_with_rows_is_read_and_named(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["only a title"])
    hidden = book.create_sheet("Hidden")
    for row in (["path"], ["hidden.wav"]):
        hidden.append(row)
    hidden.sheet_state = "hidden"
    for name in ("Clips", "Other"):
        sheet = book.create_sheet(name)
        sheet.append([])
        sheet.append(["path", "subject", None])
        sheet.append([])
        sheet.append([f"{name}.wav", 7, None])
        sheet["B4"].number_format = "000"
    book.save(tmp_path / "t.csv")  # found from the content, not from the ending
    columns, rows, form = read(tmp_path / "t.csv")
    assert (columns, rows) == (("path", "subject"), [(4, ("Clips.wav", "007"))])
    assert "'Clips'" in form


def test_an_error_in_a_cell_is_named_by_the_cell(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["path", "label"])
    book.active.append(["a.wav", "#N/A"])
    book.active["B2"].data_type = "e"
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="B2"):
        read(tmp_path / "t.xlsx")


@quick
@given(st.integers(0, 4000), st.integers(0, 255))
def test_a_damaged_workbook_is_read_or_refused(tmp_path, place, byte):
    book = openpyxl.Workbook()
    for row in (["path", "label"], ["a.wav", "joy"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    content = bytearray((tmp_path / "t.xlsx").read_bytes())
    content[place % len(content)] = byte
    (tmp_path / "t.xlsx").write_bytes(content)
    with contextlib.suppress(DataError):
        columns, _, _ = read(tmp_path / "t.xlsx")
        assert all(isinstance(name, str) for name in columns)


# --- JSON lines and Parquet -------------------------------------------------------------------------------


def test_json_lines_have_the_names_of_all_objects(tmp_path):
    records = [{"path": "a.wav", "age": 7.0}, {"hand": "links", "path": "ü.wav"}, {"path": "c", "age": None}]
    text = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    (tmp_path / "t.jsonl").write_text(text, encoding="utf-8-sig")
    columns, rows, form = read(tmp_path / "t.jsonl")
    assert columns == ("path", "age", "hand")
    assert rows == [(1, ["a.wav", "7", None]), (3, ["ü.wav", None, "links"]), (5, ["c", None, None])]
    assert "JSON" in form


def test_parquet_of_pandas_is_text(tmp_path):
    frame = pd.DataFrame(
        {
            "path": ["a.wav", "b.wav"],
            "subject": [3, None],
            "start": [0.1 + 0.2, float("nan")],
            "day": pd.to_datetime(["2024-05-01", None]),
            "kind": pd.Categorical(["x", "y"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    _, rows, _ = read(tmp_path / "t.parquet")
    assert rows[0] == (2, ["a.wav", "3", repr(0.1 + 0.2), "2024-05-01", "x"])
    assert rows[1][1][:3] == ["b.wav", None, None]
