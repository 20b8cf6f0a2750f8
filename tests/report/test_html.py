from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError, UsageError
from eavctl.evaluation.intervals import holm
from eavctl.evaluation.summary import compare, summarize
from eavctl.fusion import late
from eavctl.report.html import page
from eavctl.report.markup import Markup, el
from eavctl.report.pictures import (
    BAR_WIDTH,
    SHADES,
    THEMES,
    confusion_table,
    interval_bar,
    shade,
    shade_style,
    subject_strip,
)
from eavctl.report.summary import summary
from eavctl.storage.tables import PredictionTable, key_frame

CLASSES = ("angry", "calm", "sad")
EVIL = '<script>alert("x")</script>'


def predictions(
    seed: int = 0, skill: float = 1.5, name: str = "svm", n_subjects: int = 6, **meta: object
) -> PredictionTable:
    rows = [
        {
            "sample_id": f"{s}-{c}-{i}",
            "clip_id": f"{s}-{c}-{i}",
            "subject": f"actor{s}",
            "label": c,
            "fold": s % 3,
        }
        for s in range(n_subjects)
        for c in CLASSES
        for i in range(4)
    ]
    keys = key_frame(pd.DataFrame(rows).sort_values("sample_id"))
    scores = skill * (keys["label"].to_numpy()[:, None] == np.array(CLASSES, object)[None])
    scores = scores + np.random.default_rng(seed).normal(size=scores.shape)
    proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    protocol = {"name": "group-kfold", "group": "subject", "folds": 3, "shares": False, "warnings": []}
    full = {"name": name, "modalities": ["audio"], "protocol": protocol, "out_of_fold": True, **meta}
    return PredictionTable(keys, proba, CLASSES, full)


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that every element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def test_page_is_whole_and_says_what_the_summary_says() -> None:
    tables = [predictions(), predictions(1, 1.0, "dnn")]
    found, text = summary(tables), read(page(tables)).text
    json.dumps(found, allow_nan=False)
    for model in found["models"]:
        for key in ("uar", "macro_f1", "accuracy"):
            scores = model[key]
            assert f"{scores['value']:.3f}{scores['low']:.3f} to {scores['high']:.3f}" in text
    assert "95%, over 6 subjects" in text
    assert "0.333" in text  # chance
    assert "group-kfold, by subject, 3 folds" in text
    assert "72, 72, 6" in text


def test_summary_holds_the_scores_of_training() -> None:
    table = predictions()
    (model,) = summary([table])["models"]
    for key, value in summarize(table).items():
        assert model[key] == value


def test_page_needs_nothing_from_outside() -> None:
    html = page([predictions(), predictions(1)])
    reader = read(html)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name in ("src", "srcset") or name.startswith("on")]
    leads = [value for name, value in reader.attributes if name == "href"]
    ids = {f"#{value}" for name, value in reader.attributes if name == "id"}
    assert leads
    assert set(leads) <= ids  # within the page
    assert not re.search(r"url\(|@import|https?://", html)


def test_same_tables_same_bytes() -> None:
    assert page([predictions(), predictions(1)]) == page([predictions(), predictions(1)])


@pytest.mark.parametrize(
    "evil", [EVIL, '"><img src=x onerror=alert(1)>', "</style><script>", "a\x00b\udcff\x1b[2J"]
)
def test_names_from_strangers_stay_text(evil: str) -> None:
    table = predictions(name=evil, modalities=[evil], fusion={"method": evil, "weights": {evil: 1.0}})
    keys = table.keys.assign(
        label=table.keys["label"].replace("angry", evil),
        subject=table.keys["subject"].replace("actor1", evil),
    )
    table.meta["protocol"] |= {"name": evil, "group": evil, "warnings": [evil], "normalize": evil}
    hostile = replace(table, keys=keys, classes=(evil, *CLASSES[1:]), pred=None)
    html = page([hostile, replace(predictions(), keys=keys)], [evil, "b"]) + page([hostile])
    html.encode("utf-8")
    reader = Reader()
    reader.feed(html)
    assert {"script", "img"}.isdisjoint(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert reader.tags.count("style") == 2
    assert "\x00" not in html
    assert "\x1b" not in html
    if evil == EVIL:
        assert evil in reader.text  # shown as the text that it is


def test_warnings_stand_on_the_page_once_with_their_models() -> None:
    first, second = predictions(name="one"), predictions(1, name="two", out_of_fold=False)
    for table in (first, second):
        table.meta["protocol"]["warnings"] = ["speakers may be on both sides"]
    text = read(page([first, second])).text
    assert text.count("speakers may be on both sides") == 1
    assert "two: these predictions are not marked as out-of-fold" in text
    assert "one: " not in text


def test_labels_that_no_answer_can_have_are_told() -> None:
    table = predictions()
    renamed = table.keys["label"].replace({"angry": "anger", "sad": "sadness"})
    (model,) = summary([replace(table, keys=table.keys.assign(label=renamed))])["models"]
    (told,) = model["warnings"]
    assert all(text in told for text in ("48 rows", "anger, sadness", "angry, calm, sad"))
    assert summary([table])["models"][0]["warnings"] == []


def test_classes_without_rows_have_no_recall() -> None:
    table = predictions()
    labels = table.keys["label"].replace({"sad": None})
    text = read(page([replace(table, keys=table.keys.assign(label=labels))])).text
    assert re.search(r"sad\s*–\s*–\s*–\s*0\s*mean", text)


def test_comparison_says_which_is_better_and_when_neither_is() -> None:
    skills = {"good": 4.0, "poor": 0.3, "like": 4.0}
    good, poor, like = (predictions(i, skill, name, 10) for i, (name, skill) in enumerate(skills.items()))
    (clear,) = summary([poor, good])["comparisons"]
    assert (clear["first"], clear["second"], clear["better"]) == ("good", "poor", True)
    text = read(page([poor, good, like])).text
    assert "good is better than poor." in text
    assert "do not differ significantly" in text
    other = replace(poor, keys=poor.keys.assign(sample_id="x" + poor.keys["sample_id"]))
    assert "no recordings in common" in read(page([good, other])).text


def test_p_values_are_corrected_for_all_pairs_of_models_on_the_page() -> None:
    """The best was picked on these rows, so its comparisons alone are not all that were made."""
    tables = [predictions(i, skill, f"m{i}", 10) for i, skill in enumerate((0.3, 1.0, 2.0, 4.0))]
    plain = [compare(one, other)["p_value"] for one, other in combinations(tables, 2)]
    found = summary(tables)["comparisons"]
    assert [(c["first"], c["second"]) for c in found] == [("m3", "m0"), ("m3", "m1"), ("m3", "m2")]
    assert [c["p_value"] for c in found] == pytest.approx([holm(plain)[i] for i in (2, 4, 5)])
    assert {c["n_compared"] for c in found} == {6}
    assert "corrected for 6 comparisons" in read(page(tables)).text


def test_an_interval_above_zero_alone_is_not_better() -> None:
    """Five people cannot give a p value below 2 / 2^5, however clear the interval."""
    (found,) = summary([predictions(0, 5.0, "good", 5), predictions(1, 0.3, "poor", 5)])["comparisons"]
    assert found["difference"]["low"] > 0
    assert found["better"] is False
    text = read(page([predictions(0, 5.0, "good", 5), predictions(1, 0.3, "poor", 5)])).text
    assert "do not differ significantly" in text


def test_two_subjects_have_no_interval_and_the_page_says_so() -> None:
    tables = [predictions(i, 1.5, f"m{i}", 2) for i in range(2)]
    fused = late.fuse(tables)
    account = fused.predictions.meta["fusion"] | {"subsets": fused.subsets}
    tables.append(replace(fused.predictions, meta=fused.predictions.meta | {"fusion": account}))
    found = summary(tables)
    assert json.loads(json.dumps(found, allow_nan=False))["models"][0]["uar"]["low"] is None
    html = page(tables)
    text = read(html).text
    assert "2 subjects are too few" in text
    assert "None" not in text
    assert 'class="band"' not in html


def test_no_zero_has_a_minus() -> None:
    table = predictions(skill=50.0)
    perfect = replace(table, proba=np.eye(3)[table.proba.argmax(axis=1)])
    text = read(page([perfect, replace(perfect, meta=perfect.meta | {"name": "same"})])).text
    assert "log loss: 0.000" in text
    assert "+0.000 [+0.000, +0.000]" in text
    assert "-0.000" not in text


def test_labels_that_contradict_each_other_are_refused_by_name() -> None:
    table = predictions(1, name="dnn")
    other = replace(table, keys=table.keys.assign(label=table.keys["label"].iloc[::-1].to_numpy()))
    with pytest.raises(DataError, match=r"(svm and dnn|dnn and svm): 0-angry-0 is"):
        page([predictions(), other])


def test_fusion_is_shown_with_its_weights() -> None:
    tables = [predictions(), predictions(1, name="dnn")]
    fused = late.fuse(tables, "weighted").predictions
    text = read(page([*tables, fused])).text
    weights = fused.meta["fusion"]["weights"]
    assert f"weighted: svm {weights['svm']:.2f}, dnn {weights['dnn']:.2f}" in text
    pooled = fused.meta["fusion"] | {"pool": {"svm": 1.25, "dnn": 0.75, "network": 0.5}}
    text = read(page([*tables, replace(fused, meta=fused.meta | {"fusion": pooled})])).text
    assert "svm 1.25, dnn 0.75, network 0.50" in text


def test_rows_without_labels_are_counted_and_tables_without_any_refused() -> None:
    table = predictions()
    some = replace(table, keys=table.keys.assign(label=table.keys["label"].where(np.arange(72) > 4)))
    assert "5 rows without a label are not scored" in read(page([some])).text
    with pytest.raises(DataError, match="svm: no row of the predictions has a label"):
        page([replace(table, keys=table.keys.assign(label=None))])
    with pytest.raises(UsageError, match="at least one"):
        summary([])


def test_tables_without_subjects_say_that_intervals_are_over_clips() -> None:
    table = predictions()
    text = read(page([replace(table, keys=table.keys.assign(subject=None))])).text
    assert "over 72 clips" in text
    assert "not named" in text
    assert "UAR of each subject" not in text


def test_labels_that_the_model_does_not_know_have_a_row() -> None:
    table = predictions()
    keys = table.keys.assign(label=table.keys["label"].replace("sad", "fear"))
    (model,) = summary([replace(table, keys=keys)])["models"]
    assert model["classes"] == [*CLASSES, "fear"]
    assert "fear" in read(page([replace(table, keys=keys)])).text


def test_equal_names_are_numbered() -> None:
    assert [m["name"] for m in summary([predictions(), predictions(1)])["models"]] == ["svm (1)", "svm (2)"]


def test_confusion_shades_by_row() -> None:
    shades = [
        int(each) for each in re.findall(r'class="s(\d+)', confusion_table([[9, 1], [50, 50]], ["a", "b"]))
    ]
    assert shades[1] < shades[2] == shades[3] < shades[0]


@pytest.mark.parametrize("theme", THEMES)
def test_text_on_every_shade_can_be_read_and_larger_shares_are_farther_from_the_paper(theme: str) -> None:
    colours = [shade(number, theme) for number in range(SHADES + 1)]
    assert min(contrast(as_hex(one), as_hex(other)) for one, other in colours) >= 4.5
    from_paper = [contrast(as_hex(colours[0][0]), as_hex(one)) for one, _ in colours]
    assert (np.diff(from_paper) > 0).all()
    for background, text in colours:
        assert f"background: #{as_hex(background)}; color: #{as_hex(text)};" in shade_style()


def test_empty_classes_have_no_shares() -> None:
    assert read(confusion_table([[0, 0], [1, 3]], ["a", "b"])).text.count("\u2013") == 2


def test_every_subject_has_a_dot_and_none_hides_another() -> None:
    subjects = [{"subject": f"s{i}", "uar": 0.5 + 0.001 * (i % 3), "n_rows": 9} for i in range(12)]
    svg = subject_strip(subjects, 0.5, 0.1)
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert len(dots) == 12
    gaps = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(dots) for b in dots[:i]]
    assert min(gaps) >= 10
    assert min(y for _, y in dots) > 14


def test_interval_bar_stays_in_its_box() -> None:
    for value, low, high in ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.0, 1.0)):
        svg = interval_bar({"value": value, "low": low, "high": high}, 0.25)
        assert 'class="band"' in svg
        assert all(0 <= float(x) <= BAR_WIDTH for x in re.findall(r'\b(?:x|cx|x1|x2)="([-\d.]+)"', svg))


def test_interval_bar_of_a_score_without_an_interval_has_no_band() -> None:
    svg = interval_bar({"value": 0.5, "low": None, "high": None}, 0.25)
    assert 'class="dot"' in svg
    assert 'class="band"' not in svg


def test_markup_escapes_whatever_is_not_markup() -> None:
    assert el("b", "<&\"'>", Markup("<i>x</i>"), None, [1, ["<"]], class_='"') == (
        '<b class="&quot;">&lt;&amp;&quot;&#x27;&gt;<i>x</i>1&lt;</b>'
    )


def as_hex(colour: tuple[float, ...]) -> str:
    return "".join(f"{int(channel):02x}" for channel in colour)


def contrast(one: str, other: str) -> float:
    """Contrast of two sRGB colours by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
