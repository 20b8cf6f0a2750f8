"""The environment of requirements-slim.txt: what works without torch, and what the rest says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from eavctl.cli.missing import advice
from eavctl.storage.provenance import versions

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"scikit-learn": "sklearn", "pillow": "PIL"}  # by distributions of another name
# A process in which the given modules cannot be imported, as where they are not installed.
RUN = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from eavctl.cli.start import main
main({words!r})
"""


def names(requirements):
    return {re.split(r"[^\w-]", each, maxsplit=1)[0] for each in requirements}


SLIM = names(
    line
    for line in (REPOSITORY / "requirements-slim.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
EVERYTHING = names(PROJECT["dependencies"]) | names(
    each for extra in PROJECT["optional-dependencies"].values() for each in extra
)
MISSING = {MODULES.get(name, name.replace("-", "_")) for name in EVERYTHING - SLIM}


def slim(folder, *words):
    code = RUN.format(missing=MISSING, words=list(words))
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def test_the_slim_environment_has_packages_that_are_declared():
    assert SLIM <= EVERYTHING
    assert "torch" not in SLIM


def test_from_recordings_to_a_report_without_torch(tmp_path, shared_data):
    steps = (
        ("synth", "--per-class", "4"),
        ("extract", "dataset", "-o", "feats.parquet"),
        ("train-svm", "feats.parquet", "-o", "svm.joblib", "--predictions", "svm.parquet", "--folds", "2"),
        ("train-linear", "feats.parquet", "-o", "l.joblib", "--predictions", "l.parquet", "--folds", "2"),
        ("fuse", "svm.parquet", "l.parquet", "-o", "fused.parquet"),
        ("report", "svm.parquet", "l.parquet", "fused.parquet", "-o", "report.html"),
        ("predict", "dataset/angry", "--model", "l.joblib", "-o", "preds.parquet"),
    )
    for step in steps:
        ran = slim(tmp_path, *step)
        assert ran.returncode == 0, (step, ran.stderr)
    clip = shared_data / "ravdess-video/01-01-01-01-01-01-01.mp4"
    judged = slim(tmp_path, "predict", str(clip), "--model", "speech-small", "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["predictions"][0]["pred"] in ("angry", "happy", "neutral", "sad")


@pytest.mark.parametrize(
    ("step", "package"),
    [
        (("train-dnn", "feats.parquet", "-o", "dnn.pt"), "torch"),
        (("serve", "--model", "speech-small", "--port", "0"), "uvicorn"),
    ],
)
def test_what_is_missing_is_named_with_how_to_install_it(tmp_path, monkeypatch, step, package):
    slim(tmp_path, "synth", "--per-class", "2")
    slim(tmp_path, "extract", "dataset", "-o", "feats.parquet")
    monkeypatch.setattr(sys.modules[__name__], "MISSING", MISSING | {package})
    ran = slim(tmp_path, *step)
    assert ran.returncode == 3
    assert package in ran.stderr
    assert "pip install" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_packages_that_are_not_installed_have_no_version():
    assert set(versions("numpy", "no-package-of-this-name")) == {"eavctl", "python", "numpy"}


def test_extras_are_named_and_other_modules_are_bugs():
    assert "eavctl[serve]" in advice(ModuleNotFoundError(name="uvicorn.config"))
    assert "scikit-learn" in advice(ModuleNotFoundError(name="sklearn.svm"))
    assert advice(ModuleNotFoundError(name="eavctl.nothing")) is None
    assert advice(ModuleNotFoundError(name=None)) is None
