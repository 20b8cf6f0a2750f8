"""Manifests with mistakes that people and programs make: each has one clear error, and none is slow."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from eavctl.datasets.choice import Choice
from eavctl.datasets.manifest import find
from eavctl.errors import DataError, UsageError


def test_each_of_many_rows_of_one_recording_names_a_few_others(tmp_path: Path) -> None:
    # naming all of them takes time and memory with the square of their number
    n = 2000
    (tmp_path / "m.csv").write_text("path\n" + "a.wav\n" * n)
    found = find(tmp_path / "m.csv")
    assert (len(found), len(found.rejected)) == (1, n - 1)
    assert max(len(bad["reason"]) for bad in found.rejected) < 200


def test_rows_of_one_recording_with_two_labels_are_all_rejected(tmp_path: Path) -> None:
    rows = "".join(f"a.wav,{label}\n" for label in ("x", "y", "x")) + "b.wav,x\n"
    (tmp_path / "m.csv").write_text("path,label\n" + rows)
    found = find(tmp_path / "m.csv")
    assert [each["clip_id"] for each in found.records()] == ["b"]
    assert len(found.rejected) == 3
    assert all("x, y" in bad["reason"] for bad in found.rejected)


@pytest.mark.parametrize(
    "content",
    [
        "{}\n{}\n",
        '[{"path": "a.wav"}]',
        json.dumps([{"path": "a.wav"}, {"path": "b.wav"}], indent=1),
        '{"path": "a.wav", "more": {"age": 7}}\n',
        "[\n]",
    ],
)
def test_json_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"m\.jsonl"):
        find(tmp_path / "m.jsonl")


@pytest.mark.parametrize("first", ["# made by hand", "My study,,", "path label", "a.wav,happy"])
def test_a_first_line_that_names_no_columns_is_refused(tmp_path: Path, first: str) -> None:
    (tmp_path / "m.csv").write_text(f"{first}\npath,label\na.wav,happy\n")
    with pytest.raises(DataError, match="first line"):
        find(tmp_path / "m.csv")


@pytest.mark.parametrize(("one", "other"), [("01", "1"), ("1", "1.0"), ("P01", "p1")])
@pytest.mark.parametrize("key", ["subject", "label"])
def test_two_ways_to_write_a_number_are_not_two_names(tmp_path: Path, key: str, one: str, other: str) -> None:
    (tmp_path / "m.csv").write_text(f"path,{key}\na.wav,{one}\nb.wav,{other}\n")
    with pytest.raises(DataError, match=key):
        Choice().of(tmp_path / "m.csv")
    kept = Choice(distinct_names=True).of(tmp_path / "m.csv")
    assert [each[key] for each in kept.records()] == [one, other]


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_of_macos_are_found_elsewhere(tmp_path: Path, on_disk: str, in_table: str) -> None:
    name = unicodedata.normalize(on_disk, "grüße.wav")
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "m.csv").write_text(f"path\n{unicodedata.normalize(in_table, name)}\n", encoding="utf-8")
    (found,) = find(tmp_path / "m.csv").records()
    assert found["audio_path"] == name


def test_recordings_are_chosen_by_any_column(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,age\na.wav,7\nb.wav,8\n")
    assert [each["clip_id"] for each in Choice(where={"age": "7"}).of(tmp_path / "m.csv").records()] == ["a"]


@pytest.mark.parametrize("key", ["recording", "audio_path", "mood"])
def test_recordings_are_chosen_by_no_unknown_key(tmp_path: Path, key: str) -> None:
    (tmp_path / "m.csv").write_text("path,age\na.wav,7\n")
    with pytest.raises(UsageError, match=key):
        Choice(where={key: "x"}).of(tmp_path / "m.csv")


def test_errors_of_a_selection_name_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,subject\na.wav,anna\n")
    with pytest.raises(DataError, match=r"m\.csv"):
        Choice(where={"subject": "ben"}).of(tmp_path / "m.csv")
    with pytest.raises(DataError, match=r"m\.csv"):
        find(tmp_path / "m.csv").holding("eeg")


@pytest.mark.parametrize("name", ["a.wav", "notes.txt"])
def test_one_file_is_no_data_set(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no table")
    with pytest.raises(DataError, match="manifest"):
        find(tmp_path / name)


def test_a_pattern_is_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path\na.wav\n")
    with pytest.raises(DataError, match="folder"):
        find(tmp_path / "m.csv", "pattern", pattern="{label}")


def test_formulas_of_a_workbook_need_values(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["path", "subject", "note"], ["a.wav", '="s"&1', None], ["b.wav", "s2", "x"]):
        book.active.append(row)
    book.active["C2"].font = openpyxl.styles.Font(bold=True)  # a cell with a style and no value is empty
    book.save(tmp_path / "m.xlsx")
    with pytest.raises(DataError, match="B2"):
        find(tmp_path / "m.xlsx")
    book.active["B2"] = "s1"
    book.save(tmp_path / "m.xlsx")
    assert [each["subject"] for each in find(tmp_path / "m.xlsx").records()] == ["s1", "s2"]
