"""A window cut from a stream has the features of the same window within the whole recording."""

from __future__ import annotations

import numpy as np
import pytest

from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import Recipe
from eavctl.signals.eeg import open_eeg

SECONDS = 4.0
STARTS = (20.0, 33.0, 40.5, 77.25, 100.0)  # at times of samples of every rate below

CASES = [
    {},
    {"notch": [60]},
    {"notch": [16.7, 60], "reference": "average"},
    {"notch": [60], "reference": "T9+T10", "bads": ["C3", "O2"], "montage": "biosemi64"},
    {"low": 8, "high": 30, "notch": [16.7]},
]


@pytest.fixture(scope="module")
def recording(shared_data):
    path = shared_data / "eeg" / "S001R03.edf"
    with open_eeg(path) as file:
        return path, file.read_raw(), file.sfreq, file.ch_names


def in_the_whole(recipe, path):
    with recipe.open(path) as stretch_of:
        stretch = stretch_of()
        return [recipe.compute(stretch.cut(start, start + SECONDS), stretch.rate) for start in STARTS]


def in_windows(recipe, recording, margin):
    _, signal, sfreq, names = recording
    for start in STARTS:
        first, last = (round(at * sfreq) for at in (start - margin, start + SECONDS))
        with recipe.open(Signal(signal[:, first:last], sfreq, names, "window", margin)) as stretch_of:
            stretch = stretch_of()
            assert stretch.duration == SECONDS
            yield recipe.compute(stretch.cut(0.0, SECONDS), stretch.rate)


def worst(found, expected):
    """Largest difference, over the standard deviation of what is expected."""
    return max(np.abs(a - b).max() / b.std() for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("settings", CASES)
@pytest.mark.parametrize("name", ["eeg-epochs", "eeg-bands", "eeg-cov"])
def test_causal_windows_are_those_of_the_whole_recording(recording, name, settings):
    if name != "eeg-epochs" and "low" in settings:  # their bands are wider
        settings = {**settings, "low": 1, "high": 45}
    recipe = Recipe(name, {"filter": "causal", **settings})
    expected = in_the_whole(recipe, recording[0])
    assert worst(in_windows(recipe, recording, recipe.margin_s), expected) < 1e-5
    assert worst(in_windows(recipe, recording, 1.0), expected) > 1e-5  # the margin is not for show


def test_with_a_filter_of_both_directions_the_end_of_a_window_is_not_that_of_the_whole(recording):
    recipe = Recipe("eeg-epochs", {"notch": [60], "reference": "average"})
    expected = in_the_whole(recipe, recording[0])
    assert worst(in_windows(recipe, recording, recipe.margin_s), expected) > 0.1
