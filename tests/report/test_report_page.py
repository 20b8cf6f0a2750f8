"""The report in headless Chromium: on light and dark screens, on a phone, and on paper."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.fusion import late
from eavctl.report.html import page
from eavctl.storage.tables import PredictionTable, key_frame

LEAST_CONTRAST = 4.5  # WCAG 2.2, AA
WIDE, PHONE, PAPER = 1200, 390, 688  # CSS pixels; of A4 between margins of 14 mm
# For each text its contrast with what is behind it, where it is less than it should be.
CONTRASTS = """(least) => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("title")) continue;
    const style = getComputedStyle(element);
    const pair = [light(channels(element.closest("svg") ? style.fill : style.color)), light(behind(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (!(contrast >= least)) found.push([element.textContent.slice(0, 40), contrast]);
  }
  return found;
}"""
# Elements that reach beyond the right edge, but for those in what scrolls by itself.
BEYOND = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .filter((each) => {
    const scroller = each.closest(".scroll");
    return !scroller || getComputedStyle(scroller).overflowX !== "auto";
  })
  .map((each) => `${each.tagName} ${each.getAttribute("class") || ""} ${each.textContent.slice(0, 30)}`)"""


def predictions(
    seed: int, classes: tuple[str, ...], n_subjects: int, datasets: tuple[str, ...] = ("one",), **meta: Any
) -> PredictionTable:
    rows = [
        {"subject": f"{dataset} person number {s}", "dataset": dataset, "label": name, "fold": s % 3}
        for dataset in datasets
        for s in range(n_subjects)
        for name in classes
    ]
    frame = pd.DataFrame(rows).assign(sample_id=[f"{i:06}" for i in range(len(rows))])
    keys = key_frame(frame.assign(clip_id=frame["sample_id"]))
    scores = 2.0 * (frame["label"].to_numpy()[:, None] == np.array(classes, object))
    scores = np.exp(scores + np.random.default_rng(seed).normal(size=scores.shape))
    protocol = {"name": "group-kfold", "group": "subject", "folds": 3, "shares": False, "warnings": ["noted"]}
    full = {"name": "svm", "modalities": ["audio"], "protocol": protocol, "out_of_fold": True, **meta}
    return PredictionTable(keys, scores / scores.sum(axis=1, keepdims=True), classes, full)


def told(n_rejected: int, name: str) -> dict[str, Any]:
    """What a table tells of its training, with a long command."""
    source = {
        "table": f"{name}.parquet",
        "features": "eeg-bands",
        "features_version": 2,
        "settings": {"channels": [f"CHANNEL{i}" for i in range(64)], "low_hz": 0.5},
        "shape": [640],
        "modality": "eeg",
        "n_recordings": 900,
        "rejected": n_rejected,
        "first_rejected": [{"path": f"{'a' * 90}.edf", "reason": "flat channels"}] * min(n_rejected, 3),
        "versions": {"eavctl": "1.0"},
    }
    command = {"name": "train-svm", "inputs": [f"{name}.parquet"], "options": {"protocol": "group-kfold"}}
    data = [{"dataset": name, "rows": 900, "clips": 900, "people": 60}]
    return {"kind": "svm", "settings": {"C": 2.0}, "inputs": [source], "data": data, "command": command}


def usual() -> str:
    names = ("angry", "calm", "happy", "sad")
    first, second = (
        predictions(i, names, 12, ("emodb", "ravdess"), training=told(5, "emodb")) for i in range(2)
    )
    fused = late.fuse([first, second], "weighted", ["svm", "cnn"])
    account = fused.predictions.meta["fusion"] | {"subsets": fused.subsets}
    table = replace(fused.predictions, meta=fused.predictions.meta | {"fusion": account})
    return page([first, second, table], ["svm", "cnn", "fused"])


def crowded() -> str:
    names = tuple(f"emotion with a long name {i}" for i in range(30))
    table = predictions(0, names, 60, training=told(0, "x" * 120))
    other = predictions(1, names, 60)
    missing = other.keys["label"] == names[3]
    kept = np.flatnonzero(~missing)
    other = replace(
        other, keys=other.keys.iloc[kept].reset_index(drop=True), proba=other.proba[kept], pred=None
    )
    return page([table, other], [f"a model whose name goes on and on {'w' * 80}", "without one class"])


def bare() -> str:
    table = predictions(0, ("a", "b"), 2, out_of_fold=False)
    return page([replace(table, keys=table.keys.assign(subject=None, dataset=None))], ["bare"])


@pytest.fixture(scope="module", params=[usual, crowded, bare], ids=lambda make: make.__name__)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(request.param())
    return path


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*sandbox, "--host-resolver-rules=MAP * ~NOTFOUND"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """Opens the page at a width in a theme; nothing may be logged, and nothing else be asked for."""
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context()
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))

    def open_page(width: int, theme: str = "light", media: str = "screen") -> Any:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=theme, media=media)
        tab.goto(file.as_uri())
        return tab

    yield open_page
    context.close()
    assert not said
    assert set(asked) == {file.as_uri()}


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_and_the_body_does_not_scroll_sideways(opened, theme, width):
    tab = opened(width, theme)
    assert tab.evaluate(CONTRASTS, LEAST_CONTRAST) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(BEYOND) == []


def test_dark_is_dark_and_paper_is_light(opened):
    paper = "getComputedStyle(document.body).backgroundColor"
    assert opened(WIDE, "light").evaluate(paper) == "rgb(255, 255, 255)"
    dark = [int(each) for each in re.findall(r"\d+", opened(WIDE, "dark").evaluate(paper))]
    assert max(dark) < 50
    assert opened(PAPER, "dark", "print").evaluate(paper) == "rgb(255, 255, 255)"


def test_on_paper_nothing_is_cut_off_and_no_page_is_empty(opened):
    tab = opened(PAPER, "dark", "print")
    assert tab.evaluate(BEYOND) == []
    assert tab.evaluate(CONTRASTS, LEAST_CONTRAST) == []
    pages = texts_of(tab.pdf(format="A4", print_background=True))
    assert len(pages) > 1
    assert min(pages) > 0


def texts_of(pdf: bytes) -> list[int]:
    """For each page of a PDF of Chromium's the number of pieces of text on it."""
    objects = dict(re.findall(rb"\n(\d+) 0 obj\s(.*?)endobj", b"\n" + pdf, re.DOTALL))
    pages = [each for each in objects.values() if re.search(rb"/Type\s*/Page\b", each)]
    found = []
    for each in pages:
        number = re.search(rb"/Contents (\d+) 0 R", each)
        assert number
        content = zlib.decompress(objects[number[1]].partition(b"stream\n")[2].strip(b"\r\n"))
        found.append(len(re.findall(rb"\bTj\b|\bTJ\b", content)))
    return found
