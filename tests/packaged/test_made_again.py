"""The packaged models are what `make model` gives; minutes of work, which `make test-model` does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from eavctl.packaged import models
from eavctl.storage import artifacts

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = {"EMODB": "emodb", "NEMO": "nemo", "RAVDESS": "ravdess-speech"}


@pytest.mark.slow
@pytest.mark.skipif(
    not (REPOSITORY / ".venv" / "installed").exists(), reason="make would install first: make install"
)
@pytest.mark.parametrize(("name", "target"), [("speech-small", "small"), ("speech", "encoder")])
def test_a_model_is_what_make_model_gives(shared_data: Path, tmp_path: Path, name: str, target: str) -> None:
    """Where sums are rounded in the same order the bytes are equal, for which `make check-model` asks."""
    corpora = [f"{name}={shared_data / folder}" for name, folder in FOLDERS.items()]
    outputs = [f"MODEL={tmp_path}", f"PACKAGED={tmp_path}"]
    command = ["make", "--no-print-directory", *outputs, *corpora, str(tmp_path / f"{target}.done")]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=1200)
    ours, packaged = (artifacts.load(path) for path in (tmp_path / f"{name}.joblib", models.packaged(name)))
    assert ours.meta.json["fitter"] == packaged.meta.json["fitter"]
    assert ours.meta.json["labels"] == packaged.meta.json["labels"]
    assert ours.meta.trained_on == packaged.meta.trained_on
    assert ours.predictor.chosen["penalty"] == packaged.predictor.chosen["penalty"]
    weights, expected = (model.predictor.coef * model.predictor.scale for model in (ours, packaged))
    np.testing.assert_allclose(weights, expected, atol=1e-3 * np.abs(expected).max())
    for name in ("intercept", "beta", "bias"):
        np.testing.assert_allclose(
            getattr(ours.predictor, name), getattr(packaged.predictor, name), rtol=0.01, atol=1e-3
        )
    scales, expected_scales = ours.meta.adapted_scales, packaged.meta.adapted_scales
    assert scales == pytest.approx(expected_scales, rel=0.01)
