"""The README's tour runs as it stands, in an empty folder, from its first command to its last."""

import re
import shlex
from pathlib import Path

import pytest

from eavctl.cli import start

README = Path(__file__).parents[1] / "README.md"
# A training of one epoch fails where one of six does, and so do commands on few recordings.
SHORTER = {"synth": ["--per-class", "6"], "train-dnn": ["--epochs", "1"]}
CONSOLE = re.compile(r"```console\n(.*?)```", re.S)


def tour():
    """Commands of the console blocks, as lists of words."""
    blocks = CONSOLE.findall(README.read_text())
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line) for line in lines]


def test_every_command_of_the_tour_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = tour()
    assert {words[1] for words in commands} >= {
        "synth",
        "extract",
        "train-svm",
        "train-dnn",
        "fuse",
        "predict",
        "report",
        "show",
    }
    for words in commands:
        assert words[0] == "eavctl"
        assert start.run([*words[1:], *SHORTER.get(words[1], [])]) == 0, " ".join(words)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "data/README.md",
        "docs/evaluation.md",
        "docs/explain.md",
        "docs/features.md",
        "docs/encoders.md",
        "docs/findings.md",
        "docs/fusion.md",
        "docs/install.md",
        "docs/live.md",
        "docs/packaged-models.md",
        "docs/report.md",
        "docs/scale.md",
        "docs/zero-shot.md",
    ],
)
def test_links_lead_somewhere(name):
    page = README.parent / name
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
