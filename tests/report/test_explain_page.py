"""The page about what a model relies on, and the maps of the scalp."""

import re

import numpy as np
import pytest

from eavctl.report.explain_page import explain_page, ordered
from eavctl.report.scalp import ScalpMap, scalp_maps


def interval(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def part(name, drop, alone=0.5, columns=4):
    return {
        "name": name,
        "columns": columns,
        "drop": interval(drop),
        "p_value": 0.5,
        "probability": interval(drop / 2),
        "alone": None if alone is None else interval(alone),
    }


def found_of(**changed):
    return {
        "model": "m.joblib",
        "tables": ["t.parquet"],
        "features": "functionals",
        "classes": ["a", "b"],
        "how": "rows are judged by <someone>",
        "rows": 20,
        "uar": interval(0.8),
        "chance": 0.5,
        "level": 0.95,
        "over": "subjects",
        "n_clusters": 8,
        "views": [{"name": "family", "parts": [part("pitch", 0.0), part("<energy>", 0.2)]}],
        "donors": 64,
        "normalize": None,
        "patterns": None,
        "maps": [],
        "warnings": [],
        **changed,
    }


def test_families_stand_by_their_drop_and_windows_in_time():
    families = {"name": "family", "parts": [part("low", 0.1), part("high", 0.3)]}
    assert [each["name"] for each in ordered(families)] == ["high", "low"]
    windows = {"name": "time", "parts": [part("0 s", 0.1, None, None), part("1 s", 0.3, None, None)]}
    assert [each["name"] for each in ordered(windows)] == ["0 s", "1 s"]
    bands = {"name": "band", "parts": [part("delta", 0.1), part("beta", 0.3)]}
    assert [each["name"] for each in ordered(bands)] == ["beta", "delta"]


def test_names_are_escaped_and_nothing_is_fetched():
    page = explain_page(found_of(patterns={"<a>": [{"column": "x&y", "pattern": -0.5}]}, warnings=["<w>"]))
    assert "&lt;energy&gt;" in page
    assert "x&amp;y" in page
    for raw in ("<energy>", "<someone>", "<w>", "<script", "://"):
        assert raw not in page


def test_too_few_people_give_no_bands():
    plain = {"value": 0.8, "low": None, "high": None}
    parts = [{**part("pitch", 0.1), "drop": plain, "probability": plain, "alone": plain}]
    page = explain_page(found_of(uar=plain, n_clusters=2, views=[{"name": "family", "parts": parts}]))
    assert "no interval" in page
    assert 'class="band"' not in page


def test_many_parts_are_folded_away():
    parts = [part(f"c{i}", i / 100) for i in range(30)]
    page = explain_page(found_of(views=[{"name": "channel", "parts": parts}]))
    assert "10 more" in page
    assert page.index("c29") < page.index("<details>") < page.index("c0<")


def test_patches_are_a_grid():
    parts = [part(f"row {r}, column {c}", r / 10, None, None) for r in (1, 2) for c in (1, 2, 3)]
    page = explain_page(found_of(donors=None, views=[{"name": "patch", "parts": parts}]))
    grid = re.search(r'<table class="patches">.*?</table>', page)[0]
    assert (grid.count("<tr>"), grid.count("<td")) == (2, 6)


def test_maps_have_the_known_channels_and_name_the_others():
    values = {name: number / 10 for number, name in enumerate(("Fp1", "C3", "C4", "Oz", "EXG1"))}
    picture, unknown = scalp_maps([ScalpMap("alpha", values), ScalpMap("beta", values)])
    assert picture.startswith(b"\x89PNG")
    assert unknown == ["EXG1"]
    page = explain_page(found_of(maps=[{"of": "importance", "title": "alpha", "values": values}]))
    assert "data:image/png;base64," in page
    assert "EXG1" in page


def test_the_picture_is_the_same_again():
    maps = [ScalpMap("alpha", dict(zip(("Fp1", "C3", "C4", "Oz"), np.arange(4.0), strict=True)))]
    assert scalp_maps(maps) == scalp_maps(maps)


@pytest.mark.parametrize("names", [(), ("A1x", "B2x"), ("C3", "C4", "Cz")])
def test_too_few_places_give_no_map(names):
    picture, unknown = scalp_maps([ScalpMap("alpha", dict.fromkeys(names, 1.0))])
    assert picture is None
    assert set(unknown) <= set(names)
    page = explain_page(
        found_of(maps=[{"of": "importance", "title": "x", "values": dict.fromkeys(names, 1.0)}])
    )
    assert "No map" in page
