"""The registry: names of this package, and of others by entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eavctl import registry
from eavctl.errors import UsageError

PLUGIN = '''
import numpy as np
from eavctl.registry import register

@register("features", "loudness", modality="audio", version=1, rate=16000, columns=lambda: ("rms",), units="")
def loudness(signal, rate):
    """Root mean square."""
    return np.array([np.sqrt(np.mean(signal**2))], np.float32)
'''


def installed(folder: Path, text: str) -> Path:
    """A package of somebody else as pip leaves it, with an entry point."""
    (folder / "loud.py").write_text(text)
    info = folder / "loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[eavctl]\nloud = loud\n")
    return folder


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A process of Python that finds the packages in a folder."""
    path = os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_feature_set_of_another_package_works_from_extract_to_predict(tmp_path: Path) -> None:
    installed(tmp_path, PLUGIN)
    lines = (
        "synth --per-class 6",
        "extract dataset --features loudness -o f.parquet",
        "train-svm f.parquet -o m.joblib --folds 2",
        "predict dataset/sad/sad_sample_1.wav --model m.joblib",
    )
    script = f"from eavctl.cli.start import run\nfor line in {lines}: assert run(line.split()) == 0, line"
    done = python(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr


def test_an_entry_point_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    installed(tmp_path, "import a_package_that_is_not_there\n")
    done = python(tmp_path, "-m", "eavctl", "extract", ".", "--features", "loudness", "-o", "f.parquet")
    assert done.returncode == 2
    assert "loud" in done.stderr
    assert "a_package_that_is_not_there" in done.stderr


def test_an_unknown_name_is_an_error_with_the_nearest_known() -> None:
    with pytest.raises(UsageError, match="'functionals'"):
        registry.get("features", "functional")


def test_two_things_of_one_name_are_refused() -> None:
    registry.get("features", "seed33")
    with pytest.raises(ValueError, match="seed33"):
        registry.register("features", "seed33")(lambda: None)
