"""The page on the packaged models: its commands run, and it says what the cards say."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from eavctl.cli import start
from eavctl.features.speech_encoders import packaged as encoder
from eavctl.packaged import models

PAGE = Path(__file__).parents[1] / "docs/packaged-models.md"
CONSOLE = re.compile(r"```console\n(.*?)```", re.S)
HEADINGS = (
    "What it is",
    "Data",
    "How it was made",
    "Figures",
    "Where it fails",
    "Must not be used for",
    "Licence",
)


def test_the_commands_of_the_page_work(tmp_path, monkeypatch, shared_data):
    monkeypatch.chdir(tmp_path)
    shutil.copy(shared_data / "ravdess-native/03-01-01-01-01-01-01.wav", "clip.wav")
    Path("calls").mkdir()
    for clip in sorted((shared_data / "ravdess-speech").rglob("03-01-*-01-0[1-5].flac"))[:24]:
        shutil.copy(clip, "calls")
    lines = [line[2:] for block in CONSOLE.findall(PAGE.read_text()) for line in block.splitlines()]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "eavctl"
        assert start.run(words[1:]) == 0, line


@pytest.mark.parametrize("name", models.NAMES)
def test_every_model_has_a_whole_card_there(name):
    about = PAGE.read_text().partition(f"\n# `{name}`\n")[2].partition("\n# ")[0]
    assert re.findall(r"^## (.+)$", about, re.M) == list(HEADINGS)
    assert models.packaged(name).licence in about


def test_the_page_names_the_sources_and_how_to_get_the_weights():
    text = PAGE.read_text()
    assert encoder.FILE.install in text
    for name in models.NAMES:
        card = models.packaged(name)
        assert all(word in text for word in card.languages)
        years = re.findall(
            r"\d{4}(?=\.$)", "\n".join(each["citation"] for each in card.sources.values()), re.M
        )
        assert len(years) == len(card.sources)
        assert all(year in text for year in years)
