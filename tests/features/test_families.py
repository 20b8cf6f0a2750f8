"""Every column of every feature set has a family, and the set itself says which."""

import numpy as np
import pytest

from eavctl import registry
from eavctl.features.families import families_of, prefix, sites_of
from eavctl.features.functionals import family_of, names


def columns_of(name, **settings):
    entry = registry.get("features", name)
    return entry.facts["columns"](**settings)


SETS = [
    name
    for name in registry.names("features")
    if callable(registry.get("features", name).facts.get("columns"))
]
WITHOUT = ("embedding", "speech-encoder")  # whose columns have no meaning each


@pytest.mark.parametrize("name", [name for name in SETS if name not in WITHOUT])
def test_families_of_each_view_have_every_column(name):
    settings = {"channels": ["F3", "F4", "Cz"]} if name in ("eeg-bands", "eeg-cov") else {}
    columns = columns_of(name, **settings)
    assert "families" in registry.get("features", name).facts, f"{name} does not say its families"
    for families in families_of(name, columns).values():
        every = np.concatenate(list(families.values()))
        assert set(every.tolist()) == set(range(len(columns)))
        assert len(families) <= 12


@pytest.mark.parametrize(
    ("column", "family"),
    [
        ("f0_semitone_mean", "pitch"),
        ("delta_f0_semitone_p50", "pitch"),
        ("change_f0_semitone_std", "pitch"),
        ("energy_db_p99", "energy"),
        ("voiced_energy_db_mean", "energy"),
        ("energy_peaks_per_s", "rhythm"),
        ("voiced_share", "rhythm"),
        ("voiced_runs_per_s", "rhythm"),
        ("mfcc0_mean", "cepstra"),
        ("slowdelta_mfcc12_p90", "cepstra"),
        ("mfcc3_per_db", "cepstra"),
        ("hnr_high_minus_low", "voice quality"),
        ("voiced_centroid_mean", "spectrum"),
        ("slowdelta_alpha_ratio_p10", "spectrum"),
        ("modulation_energy_4hz", "modulation"),
        ("corr_mfcc1_f0", "correlations"),
        ("voicedcorr_energy_db_f0", "correlations"),
        ("delay120ms_f0_energy_db", "correlations"),
    ],
)
def test_functionals_are_told_apart_by_what_they_describe(column, family):
    assert column in names()
    assert family_of(column) == family


def test_an_asymmetry_belongs_to_both_channels():
    columns = columns_of("eeg-bands", channels=["F3", "F4", "EEG_1"])
    views = families_of("eeg-bands", columns)
    assert list(views["band"]) == ["delta", "theta", "alpha", "beta", "gamma"]
    assert set(views["channel"]) == {"F3", "F4", "EEG_1"}
    both = np.intersect1d(views["channel"]["F3"], views["channel"]["F4"])
    assert [columns[number] for number in both] == [f"{band}_asymmetry_F4-F3" for band in views["band"]]
    site = sites_of(views)["alpha", "F3"]
    assert [columns[number] for number in site] == ["alpha_de_F3", "alpha_power_F3", "alpha_asymmetry_F4-F3"]


def test_a_set_that_says_nothing_is_one_family():
    views = families_of("embedding", [f"e{i}" for i in range(4)])
    np.testing.assert_array_equal(views["family"]["embedding"], np.arange(4))
    assert sites_of(views) == {}


@pytest.mark.parametrize(("name", "letters"), [("mfcc12_mean", "mfcc"), ("mel", "mel"), ("7x", ""), ("", "")])
def test_prefixes_are_letters(name, letters):
    assert prefix(name) == letters
