from __future__ import annotations

import pytest

from eavctl.errors import DataError
from eavctl.evaluation.names import BETWEEN, check_spelling, is_placeholder, look_alikes


def test_names_are_alike_by_case_space_and_form_alone() -> None:
    names = [
        "S1",
        "s1",
        "S 1",
        "s2",
        "caf\u00e9",
        "cafe\u0301",
        "cafe",
        "Stra\u00dfe",
        "STRASSE",
        "a\u200bb",
        "ab",
    ]
    assert look_alikes(names) == [
        ("S 1", "S1", "s1"),
        ("STRASSE", "Stra\u00dfe"),
        ("ab", "a\u200bb"),
        ("cafe\u0301", "caf\u00e9"),
    ]


def test_people_of_two_data_sets_are_not_alike() -> None:
    assert look_alikes([f"as{BETWEEN}1", f"a{BETWEEN}s1", f"b{BETWEEN}S1"]) == []


def test_labels_and_subjects_are_refused_by_name() -> None:
    check_spelling(["sad", "happy", None], ["s1", "s2", None])
    with pytest.raises(DataError, match="labels.*'Sad' and 'sad'"):
        check_spelling(["sad", "Sad"], [])
    with pytest.raises(DataError, match="subjects.*'d S1' and 'd s1'"):
        check_spelling(["sad"], [f"d{BETWEEN}s1", f"d{BETWEEN}S1"])


def test_numbers_are_alike_however_they_are_written() -> None:
    names = ["1", "01", "1.0", "10", "P1", "p001", "1.5", "1.05", "0", "00", "2.0.0", "v1.10", "v1.1"]
    assert look_alikes(names) == [("0", "00"), ("01", "1", "1.0"), ("P1", "p001")]


def test_missing_values_have_many_names() -> None:
    assert all(map(is_placeholder, ["NA", "n/a", "NaN", "None", " null ", "-", "#N/A"]))
    assert not any(map(is_placeholder, ["neutral", "anna", "n", "0", "no", "Nan a"]))
