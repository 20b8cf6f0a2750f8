"""What pyproject.toml promises: every package that is imported is declared, and the versions fit."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from eavctl.encoders.pretrained import TESTED
from eavctl.features.speech_encoders import packaged

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = {(each := Requirement(text)).name: each for text in PROJECT["dependencies"]}
EXTRAS = {Requirement(text).name for texts in PROJECT["optional-dependencies"].values() for text in texts}
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow"}  # those of another name than their module's
DATA = {"mtcnn"}  # its weights are read, no module of it is imported


@cache
def imported(folder):
    """The top-level modules that the files of a folder import, anywhere in them, and in which file."""
    found = {}
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0]: path for name in names}
    return {DISTRIBUTIONS.get(name, name): path for name, path in found.items()}


def test_every_package_imported_is_declared():
    foreign = {name: path for name, path in imported("eavctl").items() if name not in sys.stdlib_module_names}
    known = {*REQUIRED, *EXTRAS, "eavctl"}
    assert {name: path for name, path in foreign.items() if name not in known} == {}


def test_every_package_declared_is_used():
    assert set(REQUIRED) - DATA <= set(imported("eavctl"))


def test_the_versions_installed_are_those_declared():
    assert [str(each) for each in REQUIRED.values() if version(each.name) not in each.specifier] == []


def test_the_versions_that_the_tests_pass_with_are_ones_declared():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert all(pinned[name] in each.specifier for name, each in REQUIRED.items())


@pytest.mark.parametrize("held", ["2.5.0", "2.6.0", "2.9.1"])
def test_no_torch_in_which_reading_a_model_can_run_code(held):
    assert held not in REQUIRED["torch"].specifier


def test_transformers_is_bounded_and_the_tested_versions_lie_within():
    declared, tested = REQUIRED["transformers"].specifier, Requirement(TESTED).specifier
    assert any(each.operator.startswith("<") for each in declared)
    assert version("transformers") in tested
    assert all(Version(each.version) in declared for each in tested if each.operator == ">=")


def test_the_licence_is_mit_and_in_the_package():
    assert PROJECT["license"] == "MIT"
    (name,) = PROJECT["license-files"]
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert text.startswith("MIT License")
    assert re.search(r"2026 the authors of eavctl", text)


def test_this_python_is_one_that_is_promised():
    assert (
        f"Programming Language :: Python :: {sys.version_info[0]}.{sys.version_info[1]}"
        in PROJECT["classifiers"]
    )


def test_the_container_takes_files_that_exist_and_the_weights_that_are_read():
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY")]
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {name for names in copied for name in names} == {
        line.removeprefix("!") for line in ignored if line.startswith("!")
    }
    assert all((REPOSITORY / name).exists() for names in copied for name in names)
    assert packaged.FILE.install in text
