"""A model judges a window of a stream as the same segment of the recording, whatever its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from eavctl.datasets.choice import Choice
from eavctl.datasets.events import Epochs
from eavctl.extraction.recipe import Recipe
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.streams import noise_for
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_trials import EAV_CHANNELS
from eavctl.stages.extract import extract
from eavctl.stages.predict import predict
from eavctl.stages.train_svm import train_svm

SECONDS = 4.0


@pytest.fixture(scope="module")
def runs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("S001R03.edf", "S001R04.edf"):
        (folder / name).symlink_to(shared_data / "eeg" / name)
    return folder


@pytest.mark.filterwarnings("ignore::eavctl.errors.RecordingWarning")
def test_a_window_is_judged_as_the_segment_of_the_recording(runs: Path, tmp_path: Path) -> None:
    """Every setting of the preparation is the model's own; the file of electrodes is gone."""
    cap = tmp_path / "cap.tsv"
    places = mne.channels.make_standard_montage("easycap-M1").get_positions()["ch_pos"]
    rows = ["\t".join([name, *map(str, 1000 * place)]) for name, place in places.items()]
    cap.write_text("\n".join(["name\tx\ty\tz", *rows]))
    settings = {"filter": "causal", "reference": "average", "notch": 60, "bads": ["C3"], "montage": str(cap)}
    settings["channels"] = ["FC5", "FC1", "C3", "Cz", "C4", "CP1", "O1", "O2"]
    choice = Choice(epochs=Epochs({"T1": "left", "T2": "right"}, 0.0, SECONDS))
    extract(runs, tmp_path / "bands.parquet", Recipe("eeg-bands", settings), choice=choice)
    train_svm(tmp_path / "bands.parquet", tmp_path / "svm.joblib")
    cap.unlink()

    path = runs / "S001R03.edf"
    whole = predict([path], tmp_path / "svm.joblib", segment=SECONDS, hop=SECONDS)
    predictor = Predictor.load(tmp_path / "svm.joblib")
    margin = predictor.streams[0].recipe.margin_s
    with open_eeg(path) as file:
        signal, sfreq, names = file.read_raw(), file.sfreq, file.ch_names
    for row in whole.rows:
        before = min(margin, row.start)
        first, last = (round(at * sfreq) for at in (row.start - before, row.start + SECONDS))
        window = predictor.judge_window({"eeg": (signal[:, first:last], sfreq, names, "window", before)})
        assert window.pred == row.pred
        assert np.abs(np.subtract(window.proba, row.proba)).max() < 1e-6
    assert len(whole.rows) == 31


@pytest.mark.parametrize(
    "settings",
    [
        {"reference": "mastoids"},
        {"reference": "Cz+Pz", "channels": ["C3", "C4"]},
        {"reference": "average", "notch": [50, 60], "bads": ["found"]},
        {"reference": "T9+T10", "channels": EAV_CHANNELS, "bads": ["C3"]},
    ],
)
def test_the_noise_of_a_warm_up_is_prepared_as_a_window_would_be(settings: dict[str, Any]) -> None:
    recipe = Recipe("eeg-bands", {key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()})
    with recipe.open(noise_for(recipe, SECONDS)) as stretch_of:
        (sample,) = recipe.describe(stretch_of())
    assert sample.x is not None, sample.reason
    assert np.isfinite(sample.x).all()
