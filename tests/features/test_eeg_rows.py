"""Baseline and rejection of rows: analytic cases, and MNE's epochs of real recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import mne
import numpy as np
import pytest

from eavctl.datasets import manifest
from eavctl.datasets.events import Epochs, cut_at_events
from eavctl.errors import SignalError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.eeg_rows import check_rows, corrected
from eavctl.registry import get, names

EEG_SETS = [name for name in names("features") if get("features", name).facts.get("modality") == "eeg"]


def ramp(n_chans: int = 2, n_times: int = 100, sfreq: float = 100.0) -> np.ndarray:
    """A slope of 1 microvolt a second, with another offset in each channel."""
    return np.arange(n_times) / sfreq + 50.0 * np.arange(n_chans)[:, None]


# --- analytic cases ---------------------------------------------------------------------------------------


def test_the_mean_of_the_window_is_subtracted_with_both_its_ends() -> None:
    found = corrected(ramp(), 100.0, -0.2, None, baseline=(-0.2, 0.0))
    # Over 21 samples, 0 to 0.20 s from the row's start, the mean of the ramp is its middle, 0.1.
    assert found[:, 20] == pytest.approx([0.1, 0.1])
    assert found[:, :21].mean(axis=1) == pytest.approx([0.0, 0.0])
    assert np.diff(found, axis=1) == pytest.approx(np.diff(ramp(), axis=1))


def test_a_window_may_be_one_sample_or_the_whole_row() -> None:
    assert corrected(ramp(), 100.0, 0.0, None, baseline=(0.5, 0.5))[:, 50] == pytest.approx([0.0, 0.0])
    whole = corrected(ramp(), 100.0, 0.0, None, baseline=(0.0, 1.0))
    assert whole.mean(axis=1) == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize("baseline", [(-0.21, 0.0), (0.0, 0.81), (-5.0, -4.0), (2.0, 3.0), (0.8, 0.8)])
def test_a_window_outside_of_the_row_is_refused_before_and_while_it_is_cut(
    baseline: tuple[float, float],
) -> None:
    with pytest.raises(SignalError, match="baseline"):
        corrected(ramp(), 100.0, -0.2, None, baseline=baseline)
    with pytest.raises(UsageError, match="baseline"):
        check_rows(-0.2, 1.0, baseline=baseline)


def test_nothing_is_changed_by_default() -> None:
    signal = ramp()
    assert corrected(signal, 100.0, 0.0, None) is signal
    check_rows(0.0, None)


def test_a_signal_is_not_changed_in_place() -> None:
    signal = ramp()
    corrected(signal, 100.0, 0.0, None, baseline=(0.0, 0.5), reject=1000)
    assert np.array_equal(signal, ramp())


def test_a_row_is_rejected_above_the_threshold_and_names_the_worst_channel() -> None:
    signal = np.zeros((3, 100))
    signal[1, 40], signal[1, 60], signal[2, 3] = 100.0, -50.0, 160.0
    assert corrected(signal, 100.0, 0.0, ("C3", "Cz", "C4"), reject=160) is signal
    with pytest.raises(SignalError, match=r"C4.*160\.0.*159\.9") as caught:
        corrected(signal, 100.0, 0.0, ("C3", "Cz", "C4"), reject=159.9)
    assert "more)" not in str(caught.value)
    with pytest.raises(SignalError, match=r"C4.*1 more"):
        corrected(signal, 100.0, 0.0, ("C3", "Cz", "C4"), reject=149)
    with pytest.raises(SignalError, match="channel 3 "):
        corrected(signal, 100.0, 0.0, None, reject=1)


@pytest.mark.parametrize("name", EEG_SETS)
def test_every_set_of_eeg_has_the_settings_and_hashes_of_old_tables_stay(name: str) -> None:
    plain = Recipe(name)
    assert {"baseline", "reject"} <= plain.settings.keys()
    assert not {"baseline", "reject"} & plain.identity()["settings"].keys()
    for setting in ({"reject": 150}, {"baseline": [0, 1]}):
        assert Recipe(name, setting).meta()["features_hash"] != plain.meta()["features_hash"]


@pytest.mark.parametrize(
    "setting", [{"reject": 0}, {"reject": "big"}, {"baseline": [0]}, {"baseline": [1, "a"]}]
)
def test_odd_values_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Recipe("eeg-epochs", setting)


def test_a_baseline_must_lie_in_segments_epochs_and_recordings() -> None:
    for cut in ({"segment": 1.0}, {"epoch": (0.0, 1.0)}, {"epoch": (-0.5, -0.1)}):
        with pytest.raises(UsageError, match="baseline"):
            Recipe("eeg-epochs", {"baseline": [-0.2, 0]}, **cut)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="after the start"):
        Recipe("eeg-epochs", {"baseline": [0.2, 0]}, segment=1.0)
    Recipe("eeg-epochs", {"baseline": [-0.2, 0]}, epoch=(-0.2, 0.8))
    # A segment that a model of epochs judges is a row like those: its baseline is the same part of it.
    Recipe("eeg-epochs", {"baseline": [-0.2, 0]}, segment=1.0, epoch=(-0.2, 0.8))


# --- real recordings --------------------------------------------------------------------------------------

RATES = {"S001R03.edf": 160, "S001R07.edf": 160, "eeglab_data.set": 128}


class Cut(NamedTuple):
    """Epochs that were kept: the samples of their events, their data in microvolt, and names of channels."""

    onsets: list[int]
    data: np.ndarray
    ch_names: list[str]


def by_eavctl(path: Path, events: list[str], span: tuple[float, float], **settings: Any) -> Cut:
    found = cut_at_events(manifest.find(path), Epochs(dict.fromkeys(events), *span))
    rate = RATES[path.name]
    recipe = Recipe("eeg-epochs", {"rate": rate, **settings}).for_data(found)
    onsets, data = [], []
    with recipe.open(path) as stretch_of:
        for start, end in zip(found.rows["start"], found.rows["end"], strict=True):
            (sample,) = recipe.describe(stretch_of(), start, end)
            if sample.x is not None:
                onsets.append(round((start - span[0]) * rate))
                data.append(sample.x)
    return Cut(onsets, np.stack(data), recipe.settings["channels"])


def by_mne(path: Path, events: list[str], span: tuple[float, float], names: list[str], **options: Any) -> Cut:
    """By MNE alone, from the file on; its epochs would include the sample at their end."""
    read = mne.io.read_raw_eeglab if path.suffix == ".set" else mne.io.read_raw_edf
    raw = read(path, preload=True, verbose="ERROR")
    raw.rename_channels(lambda name: name.strip(".").casefold())
    raw.pick([name.casefold() for name in names])
    params = {"order": 5, "ftype": "butter", "output": "sos"}
    raw.filter(0.5, 45.0, method="iir", iir_params=params, verbose="ERROR")
    at, codes = mne.events_from_annotations(raw, verbose="ERROR")
    tmax = span[1] - 1 / raw.info["sfreq"]
    chosen = {name: codes[name] for name in events}
    epochs = mne.Epochs(raw, at, chosen, span[0], tmax, preload=True, verbose="ERROR", **options)
    return Cut((epochs.events[:, 0] - raw.first_samp).tolist(), epochs.get_data() * 1e6, epochs.ch_names)


@pytest.mark.parametrize(
    ("file", "events", "span", "window", "reject"),
    [
        ("S001R03.edf", ["T1", "T2"], (-0.2, 0.8), (-0.2, 0.0), 400),
        ("S001R07.edf", ["T1", "T2"], (-0.5, 1.5), (-0.4, -0.1), 300),
        ("eeglab_data.set", ["square"], (-0.25, 0.75), (-0.25, 0.0), 100),
    ],
)
def test_epochs_are_those_of_mne(
    shared_data: Path,
    file: str,
    events: list[str],
    span: tuple[float, float],
    window: tuple[float, float],
    reject: float,
) -> None:
    path = shared_data / "eeg" / file
    everything = by_eavctl(path, events, span)
    ours = by_eavctl(path, events, span, baseline=list(window), reject=reject)
    theirs = by_mne(path, events, span, ours.ch_names, baseline=window, reject={"eeg": reject * 1e-6})
    assert len(theirs.onsets) < len(everything.onsets)  # so that some are rejected
    assert ours.onsets == theirs.onsets
    assert ours.data.shape == theirs.data.shape
    assert np.abs(ours.data - theirs.data).max() < 1e-3


def test_a_baseline_changes_no_power_of_a_band(shared_data: Path) -> None:
    """Bands begin at 1 Hz, and every set subtracts at least the mean."""
    path = shared_data / "eeg/S001R03.edf"
    for name in set(EEG_SETS) - {"eeg-epochs"}:
        plain = Recipe(name, {"channels": ["C3", "C4"]}, segment=2.0, hop=20.0)
        based = replace(plain, settings={**plain.settings, "baseline": [0.0, 0.2]})
        with plain.open(path) as stretch_of:
            for one, other in zip(plain.describe(stretch_of()), based.describe(stretch_of()), strict=True):
                assert one.x == pytest.approx(other.x, rel=1e-3, abs=1e-3)
