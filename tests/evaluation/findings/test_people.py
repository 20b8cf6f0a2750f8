"""Findings on labels and subjects by the number of rows of each pair."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from eavctl.evaluation.findings.people import people_findings


def codes_of(pairs: Mapping[tuple[str | None, str | None], int]) -> set[str]:
    return {each.code for each in people_findings(pairs)}


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
    assert ("EAV026" in codes_of({(name, None): 5 for name in classes})) is is_suspicious


def test_classes_of_one_person_each_are_reported() -> None:
    assert "EAV033" in codes_of({("happy", "p"): 5, ("sad", "q"): 5})
    assert "EAV033" not in codes_of({("happy", "p"): 5, ("sad", "p"): 5})  # a data set of one person
    assert "EAV033" not in codes_of({("happy", "p"): 5, ("happy", "q"): 1, ("sad", "q"): 5})
