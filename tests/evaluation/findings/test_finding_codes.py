"""Codes of findings, their order, and the page about them."""

import re
from pathlib import Path

import pytest

import eavctl
from eavctl.errors import UsageError
from eavctl.evaluation.findings.codes import (
    CODES,
    ERROR,
    GROUPS,
    MOST_SHORT,
    NOTE,
    Finding,
    by_severity,
    read_codes,
    short_forms,
)

PAGE = Path(eavctl.__file__).parents[1] / "docs" / "findings.md"
SECTION = re.compile(r"^### (EAV\d{3}) (.+)\n(\w+)\. (.*)$", re.MULTILINE)


def test_the_page_has_a_section_for_each_code_and_no_other():
    found = {
        code: (severity.lower(), title) for code, title, severity, _ in SECTION.findall(PAGE.read_text())
    }
    assert found == {code: (each.severity, each.title) for code, each in CODES.items()}
    assert PAGE.read_text().count("\n### ") == len(CODES)


def test_each_section_says_what_to_do_and_has_an_example():
    for code, *_, text in SECTION.findall(PAGE.read_text()):
        assert "**Do:** " in text, code
        assert "**Example:** " in text, code


def test_the_page_groups_the_codes_as_their_numbers_do():
    groups = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    for title, text in zip(groups[::2], groups[1::2], strict=True):
        codes = {code for code, *_ in SECTION.findall(text)}
        assert {GROUPS[code[4]] for code in codes} == {title.lower()}


def test_codes_have_their_place():
    assert {code[4] for code in CODES} == set(GROUPS)
    assert list(CODES) == sorted(CODES)


def test_findings_are_sorted_by_severity_then_code():
    found = by_severity(Finding(code, "") for code in ("EAV025", "EAV060", "EAV030", "EAV012"))
    assert [each.code for each in found] == ["EAV012", "EAV060", "EAV030", "EAV025"]


def test_short_forms_are_a_handful_of_lines_with_codes_and_without_notes():
    assert short_forms([Finding("EAV025", "odd"), Finding("EAV030", "none")]) == ["none (EAV030)"]
    several = [code for code, each in CODES.items() if each.severity != NOTE]
    lines = short_forms(Finding(code, "text") for code in several)
    assert len(lines) == MOST_SHORT
    first = [code for code in several if CODES[code].severity == ERROR][: MOST_SHORT - 1]
    assert lines[:-1] == [f"text ({code})" for code in first]
    assert str(len(several) - len(first)) in lines[-1]


def test_codes_to_ignore_are_known_ones():
    assert read_codes(None) == ()
    assert read_codes("eav012, EAV030,") == ("EAV012", "EAV030")
    with pytest.raises(UsageError, match="EAV01"):
        read_codes("EAV01")
