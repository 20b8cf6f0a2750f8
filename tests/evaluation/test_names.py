from __future__ import annotations

from collections import Counter

import pytest

from eavctl.errors import DataError
from eavctl.evaluation.names import BETWEEN, check_spelling, look_alikes, suspicions


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


@pytest.mark.parametrize(
    ("classes", "is_suspicious"),
    [
        (["speaker1", "speaker2"], True),
        (["Actor_01", "Actor_02"], True),
        (["03", "08", "11"], True),
        (["s1", "s2"], True),
        (["happy", "sad"], False),
        (["1", "2", "3"], False),  # ratings
        (["happy", "s1"], False),
        (["T1", "T2"], False),
        (["s1"], False),
    ],
)
def test_classes_that_look_like_speakers(classes: list[str], is_suspicious: bool) -> None:
    assert bool(suspicions(Counter({(name, None): 5 for name in classes}))) is is_suspicious


def test_classes_of_one_person_each_are_reported() -> None:
    assert suspicions(Counter({("happy", "p"): 5, ("sad", "q"): 5}))
    assert not suspicions(Counter({("happy", "p"): 5, ("sad", "p"): 5}))  # a data set of one person
    assert not suspicions(Counter({("happy", "p"): 5, ("happy", "q"): 1, ("sad", "q"): 5}))
