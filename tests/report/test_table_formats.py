from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from test_html import predictions

from eavctl.report.summary import summary
from eavctl.report.table_formats import csv_of, json_of, latex, latex_of, markdown_of, text_of
from eavctl.storage.tables import PredictionTable

EVIL = 'a|b & c_d % $x$ # {e} ~ ^ \\input{f} <i> `g` *h* \u202e\n\x1b[2J, "q"'


def evil_table() -> PredictionTable:
    table = predictions()
    labels, ids = table.keys["label"].replace("angry", EVIL), "other " + table.keys["sample_id"]
    keys = table.keys.assign(label=labels, sample_id=ids)
    return replace(table, keys=keys, classes=(EVIL, *table.classes[1:]), pred=None)


def several() -> PredictionTable:
    table = predictions(n_subjects=9)
    number = table.keys["subject"].str.removeprefix("actor").astype(int)
    return replace(table, keys=table.keys.assign(dataset=("d" + (number % 3).astype(str)).astype(object)))


def test_names_are_plain_text_in_latex() -> None:
    for special in "&%$#_{}":
        assert latex(special) == f"\\{special}"
    without = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}", "", latex(EVIL))
    assert not set(without) & set("&%$#_{}~^\\<>|")
    assert "\n" not in latex(EVIL)
    text = latex_of(summary([evil_table(), predictions()], [EVIL, "b"], title=EVIL))
    (*_, first, second) = [line for line in text.splitlines() if line.endswith(r" \\")]
    for line in (first, second):
        assert len(re.findall(r"(?<!\\)&", line)) == 3
    assert not re.search(r"\\input", text)


def test_a_name_is_one_cell_of_a_markdown_table() -> None:
    text = markdown_of(summary([evil_table(), predictions()], [EVIL, "b"], title=EVIL))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_csv_has_a_row_for_each_score_and_gives_names_back() -> None:
    found = summary([evil_table(), several()], [EVIL, "b"])
    rows = list(csv.DictReader(io.StringIO(csv_of(found))))
    assert {row["model"] for row in rows} == {EVIL, "b"}
    assert {row["class"] for row in rows if row["model"] == EVIL} == {"", EVIL, "calm", "sad"}
    assert {row["dataset"] for row in rows} == {"", "d0", "d1", "d2"}
    places = [(row["model"], row["dataset"], row["class"], row["metric"]) for row in rows]
    assert len(set(places)) == len(places)
    for model in found["models"]:
        for each in model["per_dataset"]:
            (row,) = [r for r in rows if (r["dataset"], r["metric"]) == (each["dataset"], "uar")]
            assert [float(row[k]) for k in ("value", "low", "high")] == [
                each["uar"][k] for k in ("value", "low", "high")
            ]


def test_scores_without_interval_have_empty_cells() -> None:
    found = summary([predictions(n_subjects=2)])
    (row,) = [each for each in csv.DictReader(io.StringIO(csv_of(found))) if each["metric"] == "uar"]
    assert (row["low"], row["high"]) == ("", "")
    for text in (markdown_of(found), latex_of(found)):
        assert "too few" in text
        assert "None" not in text


def test_json_is_the_summary() -> None:
    found = summary([evil_table()])
    read = json.loads(json_of(found))
    assert read.pop("eavctl") == "report"
    assert read == json.loads(json.dumps(found))


@pytest.mark.parametrize("ending", ["", ".html", ".md", ".tex", ".csv", ".json"])
def test_every_format_is_utf8_and_the_same_again(ending: str) -> None:
    found = summary([evil_table(), several()], ["a\udcff", "b"])
    assert text_of(found, ending).encode() == text_of(found, ending).encode()


def test_models_of_equal_facts_share_a_note() -> None:
    text = markdown_of(summary([predictions(), predictions(1)], ["a", "b"]))
    assert text.count("intervals over 6 subjects") == 1
    other = markdown_of(summary([predictions(), predictions(1, n_subjects=7)], ["a", "b"]))
    assert "a: 95% intervals over 6 subjects" in other
    assert "b: 95% intervals over 7 subjects" in other
