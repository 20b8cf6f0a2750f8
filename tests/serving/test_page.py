"""The page of the service in headless Chromium, whose camera and microphone are files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from page_browser import CLIP, Shown, device_files, open_tab
from page_standin import CLASSES, NO_ANSWER, TABLE, StandIn, answer, live_answer, running
from PIL import Image

PROBES = Path(__file__).with_name("page_probes.js").read_text()
TONE_HZ, WAV_RATE = 440, 48000
AUDIO, VIDEO = 1, 2
SIDE, ORANGE = (640, 480), (230, 120, 20)
THEMES = ("light", "dark")
LONG = answer(0.0, 5.5, [0.7, 0.1, 0.1, 0.1])


@pytest.fixture(scope="module")
def tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab whose microphone gives a tone and whose camera gives orange frames.

    There is one for all tests, because to open it takes longer than most of them.
    """
    tone = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(2 * WAV_RATE) / WAV_RATE)
    devices = device_files(tmp_path_factory.mktemp("devices"), tone, WAV_RATE, Image.new("RGB", SIDE, ORANGE))
    with open_tab(chromium, devices) as tab:
        yield tab


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[StandIn, str]]:
    standin = StandIn()
    with running(standin.app()) as address:
        yield standin, address


@pytest.fixture
def standin(served: tuple[StandIn, str]) -> StandIn:
    standin, _ = served
    standin.reset()
    return standin


@pytest.fixture
def visit(tab: Any, standin: StandIn, served: tuple[StandIn, str]) -> Iterator[Callable[..., Shown]]:
    """Opens the page; at the end nothing may have gone wrong in it, and no other host been asked."""
    opened: list[Shown] = []

    def open_page(theme: str = "light", width: int = 1200, motion: str = "no-preference") -> Shown:
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(color_scheme=theme, reduced_motion=motion)
        opened.append(Shown(tab, served[1]))
        return opened[0]

    yield open_page
    (shown,) = opened
    shown.close()


def heard(standin: StandIn) -> np.ndarray:
    """The samples that came over the stream."""
    return np.concatenate([np.frombuffer(part, "<f4") for kind, _, part in standin.messages if kind == AUDIO])


# --- clips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
def test_a_clip_moves_the_bars_and_says_how_often_such_answers_are_right(visit, standin, theme):
    shown = visit(theme)
    assert max(shown.shares()) == 0
    shown.judge()
    assert shown.text(".verdict strong") == "angry"
    assert np.allclose(shown.shares(), list(standin.clip["proba"].values()), atol=0.01)
    assert shown.page.locator("#bars .is-answer").inner_text().startswith("angry")
    for figure in ("66", "92 %", "[84, 98]", "elsewhere"):
        assert figure in shown.text("#details")
    assert "angry" in shown.page.text_content("#spoken")
    shown.page.wait_for_selector("#analysis:visible")


def test_the_model_is_named_with_its_classes_use_and_licence(visit):
    shown = visit()
    assert "speech" in shown.text("h1")
    assert all(name in shown.text("header") for name in (*CLASSES, "research", "CC BY-NC-SA"))
    shown.page.click("#licence summary")
    assert "RAVDESS" in shown.text("#sources")


def test_a_clip_longer_than_a_window_has_a_course(visit, standin):
    shown = visit()
    shown.judge()
    assert not shown.page.is_visible("#course-part")
    standin.clip = LONG
    shown.judge()
    shown.page.wait_for_selector("#course svg")
    assert shown.page.locator("#course .line").count() == len(CLASSES)
    segment, hop = (float(standin.asked[-1][1][name]) for name in ("segment", "hop"))
    assert segment == 3.0
    assert 0 < hop < segment
    shown.page.click("#windows summary")
    shown.page.wait_for_selector("#windows td")
    assert shown.page.locator("#windows tbody tr").count() == len(standin.windows)


def test_files_of_one_recording_are_sent_as_a_form(visit, standin):
    shown = visit()
    film = {"name": "face.mp4", "mimeType": "video/mp4", "buffer": b"film"}
    shown.page.set_input_files("#file", [CLIP, film])
    shown.page.wait_for_selector("#downloads:visible")
    assert standin.asked[0][0] == "multipart/form-data"
    assert standin.fields == ["audio", "video"]
    shown.page.set_input_files("#file", [CLIP, CLIP])
    shown.page.wait_for_selector("#fault:visible")
    assert "clip.wav" in shown.text("#fault")
    assert len(standin.asked) == 1


def test_a_dropped_clip_is_judged(visit, standin):
    shown = visit()
    shown.page.evaluate("""() => {
        const dropped = new DataTransfer();
        dropped.items.add(new File(["clip"], "dropped.wav", { type: "audio/wav" }));
        const beside = document.querySelector("footer");
        const event = { dataTransfer: dropped, bubbles: true, cancelable: true };
        beside.dispatchEvent(new DragEvent("drop", event));
    }""")
    shown.page.wait_for_selector("#downloads:visible")
    assert standin.asked[0][1]["name"] == "dropped.wav"


def test_an_unsure_answer_says_why(visit, standin):
    standin.clip |= {"unsure": ["unlike the training data"], "right_out_of_fold": None}
    shown = visit()
    shown.judge()
    assert "unsure" in shown.text(".verdict")
    assert "angry" in shown.text(".verdict")
    assert "nlike the training data" in shown.text(".notes")
    assert "not known" in shown.text("#details")


def test_a_fusion_names_the_weights_and_what_is_absent(visit, standin):
    absent = [{"name": "video", "reason": "no face", "share": 0.5}]
    standin.clip |= {"modalities": {"audio": 0.62, "eeg": None}, "absent": absent}
    shown = visit()
    shown.judge()
    assert all(
        text in shown.text(".facts") for text in ("audio 0.62", "eeg", "video in 50 % of it (no face)")
    )


def test_a_refusal_is_shown_as_the_sentence_of_the_service(visit, standin):
    standin.refusal = (422, "clip.wav: silent, every sample is 0")
    shown = visit()
    shown.may_refuse = True
    shown.page.set_input_files("#file", CLIP)
    shown.page.wait_for_selector("#fault:visible")
    assert shown.text("#fault") == standin.refusal[1]
    standin.refusal = None
    shown.judge()
    assert not shown.page.is_visible("#fault")


def test_a_service_that_is_gone_is_told(visit):
    shown = visit()
    shown.page.evaluate("() => { globalThis.fetch = async () => { throw new TypeError(); }; }")
    shown.page.set_input_files("#file", CLIP)
    shown.page.wait_for_selector("#fault:visible")
    assert "does not answer" in shown.text("#fault")


def test_names_are_text_and_no_markup(visit, standin):
    evil = "<img src=x onerror=alert(1)>"
    standin.clip |= {"unsure": [evil]}
    shown = visit()
    shown.judge({**CLIP, "name": f"{evil}.wav"})
    assert evil in shown.text(".verdict")
    assert shown.page.locator("#answer img").count() == 0


def test_downloads_of_a_clip(visit, standin):
    shown = visit()
    shown.judge()
    with shown.page.expect_download() as json_file:
        shown.page.click("#json")
    found = json.loads(Path(json_file.value.path()).read_text())
    assert found["predictions"] == [standin.clip]
    assert json_file.value.suggested_filename == "clip.json"
    with shown.page.expect_download() as table:
        shown.page.click("#table")
    assert Path(table.value.path()).read_bytes() == TABLE


# --- recording --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
def test_a_recording_moves_the_bars(visit, standin, theme):
    standin.live = [live_answer(0), live_answer(1)]
    shown = visit(theme)
    shown.record()
    shown.page.locator(".verdict strong", has_text="angry").wait_for()
    assert np.allclose(shown.shares(), [0.5, 0.3, 0.2, 0.0], atol=0.01)
    for text in ("audio and video", "eeg (stalled for 1.2 s)", "audio 0.12 s", "47 ms", "96 px"):
        assert text in shown.text(".facts")
    assert shown.page.is_visible("#preview")
    assert shown.page.is_disabled("#table")
    shown.page.click("#start")
    shown.page.wait_for_selector("#table:enabled")
    with shown.page.expect_download() as table:
        shown.page.click("#table")
    assert Path(table.value.path()).read_bytes() == TABLE
    with shown.page.expect_download() as lines:
        shown.page.click("#json")
    assert [json.loads(line) for line in Path(lines.value.path()).read_text().splitlines()] == standin.live
    assert not shown.page.is_visible("#preview")


def test_samples_frames_and_times_are_those_of_the_devices(visit, standin):
    standin.enough = 12
    visit().record()
    rate, samples = standin.settings["rate"], heard(standin)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum.argmax() * rate / len(samples) == pytest.approx(TONE_HZ, abs=10)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.1)
    picture = Image.open(io.BytesIO(next(part for kind, _, part in standin.messages if kind == VIDEO)))
    assert picture.format == "JPEG"
    assert picture.size == SIDE
    assert np.abs(np.asarray(picture)[240, 320].astype(int) - ORANGE).max() < 30
    blocks = [(when, len(part) / 4 / rate) for kind, when, part in standin.messages if kind == AUDIO]
    for (when, seconds), (after, _) in pairwise(blocks):
        assert after - when == pytest.approx(seconds, abs=1e-6)
    frames = [when for kind, when, _ in standin.messages if kind == VIDEO]
    assert (np.diff(frames) > 0.06).all()  # 10 a second
    # one clock for both: what was sent at the same moment was captured at about the same time
    assert abs(frames[-1] - blocks[-1][0]) < 0.5


def test_only_what_the_model_takes_is_recorded(visit, standin):
    standin.modalities = ["audio"]
    shown = visit()
    assert not shown.page.is_visible("#devices")
    shown.record()
    assert standin.settings["modalities"] == ["audio"]
    assert {kind for kind, _, _ in standin.messages} == {AUDIO}


def test_a_device_that_is_not_chosen_is_not_opened(visit, standin):
    shown = visit()
    shown.page.uncheck("#devices input[value=video]")
    shown.record()
    assert standin.settings["modalities"] == ["audio"]
    assert not shown.page.is_visible("#preview")
    shown.page.click("#start")
    shown.page.wait_for_selector("#devices input:enabled >> nth=0")
    shown.page.uncheck("#devices input[value=audio]")
    assert shown.page.get_attribute("#start", "aria-disabled") == "true"


def test_a_window_without_an_answer_dims_the_bars(visit, standin):
    standin.live = [live_answer(1), live_answer(2, **NO_ANSWER), live_answer(3), live_answer(4, **NO_ANSWER)]
    shown = visit()
    shown.record()
    shown.page.wait_for_selector("#bars.is-stale")
    assert shown.text(".verdict strong") == "no answer"
    assert "o speech" in shown.text(".notes")
    assert np.allclose(shown.shares(), [0.5, 0.3, 0.2, 0.0], atol=0.01)
    assert shown.page.locator("#course .silence").count() == 2
    assert shown.page.locator("#course .line").first.get_attribute("d").count("M") == 2


def test_a_refused_stream_is_told_and_the_devices_are_released(visit, standin):
    standin.refusal = (429, "64 clients are served already; ask again later")
    shown = visit()
    shown.page.click("#start")
    shown.page.wait_for_selector("#fault:visible")
    assert shown.text("#fault") == standin.refusal[1]
    shown.page.wait_for_selector("#file:enabled", state="attached")
    assert shown.text("#start") == "Start recording"
    assert not shown.page.evaluate("document.querySelector('#preview').srcObject?.active ?? false")


def test_a_browser_that_gives_no_devices_is_told(visit):
    shown = visit()
    shown.page.evaluate("""() => {
        const refuse = async () => { throw new DOMException("no", "NotAllowedError"); };
        navigator.mediaDevices.getUserMedia = refuse;
    }""")
    shown.page.click("#start")
    shown.page.wait_for_selector("#fault:visible")
    assert "not allowed" in shown.text("#fault")
    assert shown.text("#start") == "Start recording"


def test_the_course_shows_the_last_minute(visit, standin):
    standin.live = [live_answer(k) for k in range(100)]
    shown = visit()
    shown.record()
    shown.page.click("#windows summary")
    shown.page.locator("#windows td", has_text="99.0 to").wait_for()
    assert shown.page.locator("#windows tbody tr").count() == 60


# --- for everyone -----------------------------------------------------------------------------------------


def least_contrast(page: Any) -> tuple[str, float]:
    """The text that is the hardest to read, and its contrast."""
    found = page.evaluate(f"{PROBES}.contrasts()")
    assert len(found) > 20
    return min(found, key=lambda each: each[1])


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_has_enough_contrast(visit, standin, theme):
    standin.clip = {**LONG, "unsure": ["unlike the training data"]}
    shown = visit(theme)
    shown.judge()
    shown.page.wait_for_selector("#course svg")
    shown.page.click("#windows summary")
    shown.page.click("#licence summary")
    assert least_contrast(shown.page)[1] >= 4.5
    standin.refusal = (422, "clip.wav: silent")
    shown.may_refuse = True
    shown.page.set_input_files("#file", CLIP)
    shown.page.wait_for_selector("#fault:visible")
    assert least_contrast(shown.page)[1] >= 4.5
    standin.refusal = None
    shown.record()
    assert least_contrast(shown.page)[1] >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_every_line_of_the_course_has_enough_contrast_and_a_form_of_its_own(visit, theme):
    shown = visit(theme)
    looks = shown.page.evaluate("""async () => {
        const { lookOf } = await import("./page/series.js");
        return [...Array(16).keys()].map((i) => lookOf(i));
    }""")
    assert len({look["dash"] for look in looks[:8]}) == 8
    assert len({(look["dash"], look["colour"]) for look in looks}) == 16
    shown.page.evaluate(f"(colours) => {PROBES}.showColours(colours)", [look["colour"] for look in looks])
    contrasts = [ratio for _, ratio in shown.page.evaluate(f"{PROBES}.contrasts()")]
    assert len(contrasts) == 16
    assert min(contrasts) >= 4.5  # the names at the lines have their colours


def test_the_theme_can_be_chosen_and_is_kept(visit):
    shown = visit("light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = shown.page.evaluate(paper)
    shown.page.check("input[value=dark]", force=True)
    dark = shown.page.evaluate(paper)
    assert dark != light
    shown.load()
    assert shown.page.evaluate(paper) == dark
    assert shown.page.is_checked("input[value=dark]")
    shown.page.check("input[value=auto]", force=True)
    assert shown.page.evaluate(paper) == light


def test_the_keyboard_reaches_every_control_and_shows_where_it_is(visit, standin):
    standin.clip = LONG
    shown = visit()
    shown.judge()
    shown.page.wait_for_selector("#course svg")
    shown.page.click("#windows summary")
    shown.page.mouse.click(1, 1)  # the keyboard begins at the top
    shown.page.keyboard.press("Tab")
    reached = []
    while True:
        at = shown.page.evaluate(f"{PROBES}.focus()")
        if at is None or at in reached:
            break
        reached.append(at)
        shown.page.keyboard.press("Tab")
    names = [name for name, _ in reached]
    assert all(ring for _, ring in reached)
    for name in ("theme", "file", "audio", "video", "start", "json", "table"):
        assert name in names
    controls = "button:visible, summary:visible, a:not(.skip), #file, input[type=checkbox]"
    n_others = 3  # the link that skips, the theme, and the table that scrolls
    assert len(reached) == shown.page.locator(controls).count() + n_others


def test_the_page_works_by_keys_alone(visit):
    shown = visit()
    shown.page.focus("#start")
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_selector("#course svg")
    shown.page.keyboard.press("Space")
    shown.page.wait_for_selector("#table:enabled")
    assert shown.page.evaluate("document.activeElement.id") == "start"


def test_every_control_and_picture_has_a_name(visit, standin):
    standin.clip = LONG
    shown = visit()
    shown.judge()
    shown.page.wait_for_selector("#course svg")
    shown.page.wait_for_selector("#analysis:visible")
    assert shown.page.evaluate(f"{PROBES}.nameless()") == []
    assert shown.page.evaluate(f"{PROBES}.dangling()") == []
    assert shown.page.get_attribute("html", "lang") == "en"
    assert shown.page.locator("h1").count() == 1


def test_a_screen_reader_is_not_told_of_every_window(visit, standin):
    standin.live = [live_answer(k) for k in range(40)]
    shown = visit()
    shown.page.evaluate("""() => {
        globalThis.spoken = [];
        const watch = () => spoken.push(document.querySelector("#spoken").textContent);
        new MutationObserver(watch).observe(document.querySelector("#spoken"), { childList: true });
    }""")
    shown.record()
    shown.page.click("#windows summary")
    shown.page.locator("#windows td", has_text="39.0 to").wait_for()
    assert 1 <= len(shown.page.evaluate("spoken")) <= 3
    assert shown.page.get_attribute("#spoken", "aria-live") == "polite"


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_page(visit, standin, width):
    standin.clip = {**LONG, "unsure": ["x" * 200]}
    shown = visit(width=width)
    shown.judge({**CLIP, "name": f"{'long-name' * 20}.wav"})
    shown.page.wait_for_selector("#course svg")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    names = shown.page.eval_on_selector_all(
        "#course .label", "(all) => all.map((each) => each.getBoundingClientRect())"
    )
    assert max(name["right"] for name in names) <= width
    tops = sorted(name["top"] for name in names)
    assert min(np.diff(tops)) >= 12  # names of lines that end together do not overlap


def test_long_names_fit_beside_the_lines_of_the_course(visit):
    shown = visit(width=360)
    rights = shown.page.evaluate("""async () => {
        const { Course } = await import("./page/course.js");
        const figure = document.querySelector("main").appendChild(document.createElement("figure"));
        const course = new Course(figure, ["pleasantly surprised", "indifferent"]);
        const proba = { "pleasantly surprised": 0.6, indifferent: 0.4 };
        course.show([{ at: 3, answer: { pred: "indifferent", proba } }], [0, 3], "");
        await new Promise((drawn) => new ResizeObserver(drawn).observe(figure));
        return [...figure.querySelectorAll(".label")].map((name) => name.getBoundingClientRect().right);
    }""")
    assert len(rights) == 2
    assert max(rights) <= 360


def test_nothing_moves_where_less_motion_is_wanted(visit):
    shown = visit(motion="reduce")
    shown.page.set_input_files("#file", CLIP)
    shown.page.wait_for_selector("#downloads:visible")
    assert shown.page.evaluate("document.getAnimations().length") == 0
