"""``eavctl list``: everything that is known by name, as the registry and the docstrings have it."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import eavctl
from eavctl import registry
from eavctl.cli import app
from eavctl.evaluation.protocols import NAMES
from eavctl.settings import checked

KINDS = {each["kind"]: each for each in eavctl.catalogue()["kinds"]}


def words(kind: str) -> str:
    """A kind with spaces as one word of the command line."""
    return kind.replace(" ", "-")


def test_every_kind_of_the_registry_and_the_protocols_are_known():
    assert set(KINDS) == {*registry.PACKAGES, "protocols"}
    for kind in registry.PACKAGES:
        assert KINDS[kind]["names"] == registry.names(kind)
    assert sorted(KINDS["protocols"]["names"]) == sorted(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_the_option_that_takes_a_name_exists(kind):
    app._register_commands([])
    match = re.search(r"\(([a-z-]+) (--[a-z]+)\)$", KINDS[kind]["about"])
    if match is None:
        assert "in Python" in KINDS[kind]["about"]
        return
    command = typer.main.get_command(app.app).commands[match[1]]  # type: ignore[attr-defined]
    assert any(match[2] in each.opts for each in command.params)


@pytest.mark.parametrize("kind", registry.PACKAGES)
def test_every_entry_and_every_setting_is_described(kind):
    found = eavctl.catalogue(kind)
    for entry in found["entries"]:
        registered = registry.get(kind, entry["name"])
        assert entry["about"].endswith((".", "!"))
        assert "[1]" not in entry["about"]
        assert [each["name"] for each in entry["settings"]] == list(registered.settings)
        for each in entry["settings"]:
            assert each["about"], (entry["name"], each["name"])
            assert not re.match("see [A-Z]|settings of", each["about"]), (entry["name"], each["name"])
            assert each["takes"]
            parameter = registered.settings[each["name"]]
            assert checked("x", each["name"], each["default"], parameter.annotation) == (
                list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            )


def test_units_and_ranges_are_those_of_the_code():
    (bands,) = (each for each in eavctl.catalogue("features")["entries"] if each["name"] == "eeg-bands")
    settings = {each["name"]: each for each in bands["settings"]}
    assert settings["rate"]["default"] == 200
    assert "from 1 to 20000" in settings["rate"]["takes"]
    assert "Hz" in settings["rate"]["about"]
    assert bands["facts"]["modality"] == "eeg"
    (seed,) = (each for each in eavctl.catalogue("features")["entries"] if each["name"] == "seed33")
    assert len(seed["facts"]["columns"]) == 33


def test_protocols_have_the_settings_of_their_function():
    from eavctl.evaluation.protocols import splits

    found = eavctl.catalogue("protocols")
    parameters = inspect.signature(splits).parameters
    assert {each["name"]: each["default"] for each in found["settings"]} == {
        name: parameters[name].default for name in ("folds", "group", "seed")
    }
    assert all(entry["about"] for entry in found["entries"])


@pytest.mark.parametrize("kind", KINDS)
def test_lists_name_everything_in_narrow_lines_and_in_json(run, kind):
    shown = run("list", words(kind))
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines[1:] if line and not line.startswith(" ")] == [
        entry["name"] for entry in eavctl.catalogue(kind)["entries"]
    ]
    answer = json.loads(run("list", words(kind), "--json").out)
    assert {key: answer[key] for key in ("kind", "entries")} == {
        key: eavctl.catalogue(kind)[key] for key in ("kind", "entries")
    }


def test_without_a_kind_each_is_a_line_with_its_number(run):
    lines = run("list").out.splitlines()
    assert len(lines) == len(KINDS)
    assert max(map(len, lines)) <= 100
    for line, (kind, about) in zip(lines, KINDS.items(), strict=True):
        assert re.match(rf"{kind} +{len(about['names'])}  ", line)
    assert run("list", "-n").out == ""


@pytest.mark.parametrize(
    ("asked", "kind"),
    [("methods", "pretraining methods"), ("Networks", "fusion networks"), ("live", "live sources"),
     ("pretraining methods", "pretraining methods"), (" layouts ", "layouts")],
)  # fmt: skip
def test_a_word_that_no_other_kind_has_is_enough(asked, kind):
    assert eavctl.catalogue(asked)["kind"] == kind


@pytest.mark.parametrize("asked", ["feature", "", " ", "things", "layouts features"])
def test_an_unknown_kind_is_wrong_usage_that_lists_the_known(run, asked):
    result = run("list", asked)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1
    assert asked == "" or "protocols" in result.err


@pytest.mark.parametrize(("words", "free_of"), [("list layouts", "torch sklearn mne librosa pandas"),
                                                ("list", "torch mne librosa sklearn"),
                                                ("list features", "torch")])  # fmt: skip
def test_nothing_heavy_is_imported_that_is_not_asked_for(words: str, free_of: str) -> None:
    script = f"""
import sys
from eavctl.cli.start import run
assert run({words.split()!r}) == 0
found = [name for name in {free_of.split()!r} if name in sys.modules]
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PLUGIN = """
from typing import Annotated
from eavctl.registry import register
from eavctl.settings import Within

@register("features", "loud", modality="audio", version=1, rate=None, columns=lambda **_: 1 / 0, units=None,
          helper=print, many={1: print})
def loud(signal, rate, *, level: Annotated[float, Within(0, 9)] = 4, odd: object = print,
         long: list = [1234567890] * 9):
    pass

@register("fusers", "w\\u00f6rd\\x1b[31m")
class Undocumented:
    pass
"""


def test_packages_that_extend_eavctl_are_listed_whatever_they_lack(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[eavctl]\nloud = loud\n")

    def listed(*arguments: str) -> Any:
        script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from eavctl.cli.start import run\n"
        script += f"sys.exit(run({['list', *arguments]!r}))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = {each["name"]: each for each in json.loads(listed("features", "--json"))["entries"]}["loud"]
    assert (found["about"], found["facts"]["modality"]) == ("", "audio")
    assert "helper" not in found["facts"]
    level, *_ = found["settings"]
    assert level == {"name": "level", "default": 4, "takes": "a number from 0 to 9", "about": ""}
    text = listed("features")
    assert max(map(len, text.splitlines())) <= 100
    assert "\nloud\n  modality  audio\n" in text
    assert "\x1b" not in listed("fusers")
