"""Channels of EEG before filters: the reference beside MNE's, bad channels, montages, what is kept."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest

from eavctl.datasets import manifest
from eavctl.errors import DataError, RecordingWarning, SignalError, UsageError
from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import Recipe
from eavctl.features.eeg_channels import channels_of, recorded, settings_for, told
from eavctl.registry import taken
from eavctl.signals import eeg_splines
from eavctl.signals.arrays import EegArray
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_montages import STANDARD
from eavctl.signals.eeg_trials import EAV_CHANNELS
from eavctl.storage.metadata import FeatureMeta

SETS = ("eeg-epochs", "eeg-bands", "eeg-cov")
REAL = ("S001R03.edf", "eeglab_data.set", "testbva.vhdr")


def read(file, **settings):
    """Channels and signal as a feature set gets them before it filters."""
    names = channels_of(file, {"channels": None, **settings})
    signal, _ = recorded(file, None, names, **taken(recorded, settings))
    return names, signal


def in_mne(signal, names, bads=(), montage="colin27_1005"):
    info = mne.create_info(list(names), 100.0, "eeg")
    raw = mne.io.RawArray(signal.copy(), info, verbose="ERROR")
    known = mne.channels.make_standard_montage(montage)
    raw.set_montage(known, on_missing="ignore", verbose="ERROR")
    raw.info["bads"] = list(bads)
    return raw


def brain(n_chans=30, seconds=4.0, sfreq=200.0, seed=0):
    """Pink signals that neighbours share, microvolt."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sfreq)
    pink = np.fft.irfft(
        np.fft.rfft(rng.normal(size=(n_chans + 4, n))) / (1 + np.arange(n // 2 + 1)) ** 0.5, n
    )
    return 200 * (pink[:-4] + pink[1:-3] + pink[2:-2] + pink[3:-1])


# --- reference


@pytest.mark.parametrize("reference", ["average", "Cz", "C3+C4"])
@pytest.mark.parametrize("name", REAL)
def test_the_reference_is_that_of_mne(shared_data, name, reference):
    with open_eeg(shared_data / "eeg" / name) as file:
        whole = file.read()
        names, signal = read(file, reference=reference)
    raw = in_mne(whole, file.ch_names)
    electrodes = reference if reference == "average" else reference.split("+")
    raw.set_eeg_reference(electrodes, projection=False, verbose="ERROR")
    left = [each for each in file.ch_names if each not in electrodes]
    assert list(names) == left
    assert np.abs(signal - raw.get_data(picks=left)).max() < 1e-9


def test_bad_channels_are_interpolated_first_and_are_no_part_of_the_average(shared_data):
    """As in MNE, whose average leaves out bad channels, and whose splines keep the constant subtracted."""
    bads = ["T9", "Fp1", "C3"]
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        whole = file.read()
        _, signal = read(file, reference="average", bads=bads)
    raw = in_mne(whole, file.ch_names, bads)
    raw.set_eeg_reference("average", projection=False, verbose="ERROR")
    good = [name not in bads for name in file.ch_names]
    assert np.abs(signal[good] - raw.get_data(picks="all")[good]).max() < 1e-9
    raw.interpolate_bads(origin=eeg_splines._centre(STANDARD), method={"eeg": "spline"}, verbose="ERROR")
    found = signal[[file.ch_names.index(name) for name in bads]]
    assert np.abs(found - raw.get_data(picks=bads)).max() < 1e-9
    assert np.abs(signal[good].mean(axis=0)).max() < 1e-9


def test_an_average_of_chosen_channels_is_of_these_alone(shared_data):
    few = ["Cz", "C3", "C4", "Pz"]
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        names, signal = read(file, channels=few, reference="average")
        plain = file.read(channels=few)
    assert list(names) == few
    assert np.abs(signal - (plain - plain.mean(axis=0))).max() < 1e-9


def test_a_reference_need_not_be_among_the_chosen_channels_and_leaves_them(shared_data):
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        names, signal = read(file, channels=["C3", "Cz", "C4"], reference="CZ")
        others, same = read(file, channels=["C3", "C4"], reference="Cz")
        plain = file.read(channels=["C3", "C4", "Cz"])
    assert names == others == ("C3", "C4")
    assert np.abs(signal - (plain[:2] - plain[2])).max() < 1e-9
    assert np.array_equal(signal, same)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (("Cz", "C3", "M1", "M2"), ("M1", "M2")),
        (("Cz", "C3", "TP9", "TP10", "A1", "A2"), ("TP9", "TP10")),
        (("Cz", "C3", "A1", "A2"), ("A1", "A2")),
        (("M1", "M2", "A1", "A2", "TP9", "TP10", "Cz"), ("M1", "M2")),
    ],
)
def test_mastoids_are_the_pair_that_the_recording_has(names, pair):
    file = EegArray("w", brain(len(names)), 200.0, names)
    left, signal = read(file, reference="mastoids")
    whole = dict(zip(names, file.read(), strict=True))
    assert left == tuple(name for name in names if name not in pair)
    expected = [whole[name] - (whole[pair[0]] + whole[pair[1]]) / 2 for name in left]
    assert np.abs(signal - expected).max() < 1e-9


@pytest.mark.parametrize(
    ("names", "reference", "message"),
    [
        (("Cz", "M1", "TP10"), "mastoids", "no mastoids"),
        (("A1", "A2", "A3", "A4"), "mastoids", "no mastoids"),  # BioSemi's cap
        (("Cz", "C3"), "Pz", "Pz is no channel"),
        (("Cz", "C3"), "Cz+C3", "no channels are left"),
        (("Cz",), "average", "2 good channels"),
    ],
)
def test_a_reference_that_cannot_be_made_says_why(names, reference, message):
    with pytest.raises(SignalError, match=message):
        read(EegArray("w", brain(len(names)), 200.0, names), reference=reference)


def test_a_bad_reference_is_refused_by_name():
    signal = brain(30)
    signal[EAV_CHANNELS.index("Cz")] = 0.0
    file = EegArray("w", signal, 200.0, EAV_CHANNELS)
    with pytest.warns(RecordingWarning), pytest.raises(SignalError, match="reference Cz is a bad channel"):
        read(file, reference="Cz")


@pytest.mark.parametrize("reference", ["average", "Fz"])
@pytest.mark.parametrize("dead", ["C3", "Fz"])
def test_a_channel_that_drops_out_rejects_its_segment_whatever_the_reference(reference, dead):
    """After the reference is subtracted it is no longer flat."""
    signal = brain(30, 30.0)
    signal[EAV_CHANNELS.index(dead), 2000:3000] = 7.0
    recipe = Recipe("eeg-epochs", {"reference": reference}, segment=5.0)
    with recipe.open(Signal(signal, 200.0, EAV_CHANNELS)) as stretch_of:
        samples = recipe.describe(stretch_of())
    assert [each.reason.startswith(f"flat in this segment: channels {dead}") for each in samples] == [
        False, False, True, False, False, False,
    ]  # fmt: skip


def test_trials_of_eav_have_the_average_taken_of_each(tmp_path):
    from scipy.io import savemat

    trials = np.stack([brain(30, 8.0, 500.0, seed=i) + 100 * i for i in range(2)], axis=2).swapaxes(0, 1)
    savemat(tmp_path / "subject1_eeg.mat", {"seg": trials})
    recipe = Recipe("eeg-epochs", {"reference": "average"})
    with recipe.open(tmp_path / "subject1_eeg.mat") as stretch_of:
        for number in range(2):
            (sample,) = recipe.describe(stretch_of(number))
            assert sample.x.shape == (30, 800)
            assert np.abs(sample.x.mean(axis=0)).max() < 1e-4


# --- bad channels


@pytest.mark.parametrize("name", SETS)
def test_dropped_channels_leave_the_features_and_their_columns(name, shared_data):
    path = shared_data / "eeg" / "S001R03.edf"
    few = ["F3", "F4", "C3", "C4", "T9"]
    given = {"channels": few, "bads": ["T9", "T10"], "bad_channels": "drop"}
    recipe = Recipe(name, settings_for([path], Recipe(name, given).settings))
    plain = Recipe(name, {"channels": few[:4]})
    assert recipe.settings["channels"] == few[:4]
    assert recipe.columns == plain.columns
    with recipe.open(path) as ours, plain.open(path) as theirs:
        found, expected = (
            each.compute(stretch().cut(10.0, 14.0), stretch().rate)
            for each, stretch in ((recipe, ours), (plain, theirs))
        )
    assert np.array_equal(found, expected)


def test_named_channels_are_interpolated_and_no_other(shared_data):
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        plain = file.read()
        _, signal = read(file, bads=["C3"])
        _, again = read(file, bads=["C3"])
    changed = np.flatnonzero(np.abs(signal - plain).max(axis=1) > 0).tolist()
    assert changed == [file.ch_names.index("C3")]
    assert np.array_equal(signal, again)


def test_a_named_channel_may_hold_no_numbers_and_one_that_is_not_named_may_not(shared_data):
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        plain, names = file.read(), file.ch_names
        _, expected = read(file, bads=["C3"], reference="average")
    hurt = plain.copy()
    hurt[names.index("C3")] = np.nan
    file = EegArray("w", hurt, 160.0, names)
    with pytest.raises(SignalError, match="not finite: channels C3"):
        read(file, reference="average")
    _, signal = read(file, bads=["C3"], reference="average")
    assert np.array_equal(signal, expected)


def test_found_channels_are_interpolated_and_their_neighbours_do_not_suffer(shared_data):
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        plain, names = file.read(), file.ch_names
    hurt = plain.copy()
    hurt[names.index("C3")] = np.random.default_rng(0).normal(scale=40, size=hurt.shape[1])
    file = EegArray("w", hurt, 160.0, names)
    with pytest.warns(RecordingWarning, match=r"C3 \(correlated with no other\)"):
        _, signal = read(file, bads=["found"])
    at = names.index("C3")
    assert np.corrcoef(signal[at], plain[at])[0, 1] > 0.95
    assert np.array_equal(np.delete(signal, at, 0), np.delete(plain, at, 0))


@pytest.mark.parametrize(("n_chans", "seconds"), [(30, 4.0), (4, 60.0)])
def test_where_none_can_be_found_it_is_said_once(n_chans, seconds):
    file = EegArray("w", brain(n_chans, seconds), 200.0, EAV_CHANNELS[:n_chans])
    with pytest.warns(RecordingWarning, match="no bad channels are found"):
        _, signal = read(file, bads=["found"])
    assert np.array_equal(signal, read(file, bads=["found"])[1])
    assert np.array_equal(signal, file.read())


def test_a_montage_changes_interpolated_channels_alone(shared_data):
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        _, standard = read(file, bads=["C3"])
        _, other = read(file, bads=["C3"], montage="biosemi64")
    at = file.ch_names.index("C3")
    assert np.array_equal(np.delete(other, at, 0), np.delete(standard, at, 0))
    assert 0 < np.abs(other[at] - standard[at]).max()
    assert np.corrcoef(other[at], standard[at])[0, 1] > 0.98


def test_electrodes_of_a_net_are_known_by_its_montage():
    montage = mne.channels.make_standard_montage("GSN-HydroCel-64_1.0")
    names = montage.ch_names
    file = EegArray("w", brain(64), 200.0, names)
    with pytest.raises(SignalError, match="not a name of the 10-05 system"):
        read(file, bads=["E10"])
    plain = file.read()
    _, signal = read(file, bads=["E10"], montage="GSN-HydroCel-64_1.0")
    raw = in_mne(plain, names, ["E10"], "GSN-HydroCel-64_1.0")
    raw.interpolate_bads(verbose="ERROR")
    expected = raw.get_data(picks="E10")[0]
    assert np.abs(signal[names.index("E10")] - expected).max() < 0.02 * expected.std()


# --- what is kept


def of_runs(folder: Path, shared_data: Path, *names: str):
    for name in names:
        (folder / name).symlink_to(shared_data / "eeg" / name)
    return manifest.find(folder)


@pytest.mark.parametrize("name", SETS)
def test_a_model_needs_no_file_of_electrodes(name, shared_data, tmp_path):
    """The positions stand in the metadata, and read back they give the same features."""
    cap = tmp_path / "cap.sfp"
    places = mne.channels.make_standard_montage("easycap-M1").get_positions()["ch_pos"]
    cap.write_text("".join(f"{key}\t{x}\t{y}\t{z}\n" for key, (x, y, z) in places.items()))
    (tmp_path / "runs").mkdir()
    data = of_runs(tmp_path / "runs", shared_data, "S001R03.edf")
    given = {"montage": str(cap), "bads": ["C3", "O2"], "reference": "average", "notch": 60}
    recipe = Recipe(name, given).for_data(data)
    assert recipe.settings["montage"]["Cz"] == pytest.approx([0, 0, 0.095], abs=0.002)
    cap.unlink()
    again = Recipe.from_meta(FeatureMeta.from_json(recipe.meta(), "t.parquet"))
    assert again.meta() == recipe.meta()
    path = shared_data / "eeg" / "S001R03.edf"
    found = []
    for each in (recipe, again):
        with each.open(path) as stretch_of:
            found.append(each.compute(stretch_of().cut(10.0, 14.0), stretch_of().rate))
    assert np.array_equal(*found)


def test_channels_are_those_of_the_first_recording_without_the_reference(shared_data, tmp_path):
    data = of_runs(tmp_path, shared_data, "S001R03.edf", "S001R04.edf")
    recipe = Recipe("eeg-epochs", {"reference": "T9+T10"}).for_data(data)
    assert len(recipe.settings["channels"]) == 62
    assert not {"T9", "T10"} & set(recipe.settings["channels"])
    assert recipe.for_data(data) == recipe
    assert (
        Recipe("eeg-epochs")
        .for_data(data)
        .identity()["settings"]
        .keys()
        .isdisjoint({"reference", "montage", "bads", "bad_channels", "notch", "filter"})
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bads": ["Cz", "Cq"]}, "has no channel Cq"),
        ({"montage": "GSN-HydroCel-64_1.0"}, "0 of the 64 channels"),
        ({"montage": "no.sfp"}, "neither a file nor a montage"),
        ({"montage": {"Cz": [0, 0, 1]}}, "at least 5"),
        ({"bad_channels": "drop"}, "that are named"),
        ({"bad_channels": "drop", "bads": ["found"]}, "that are named"),
        ({"reference": "Cz", "bads": ["CZ"]}, "one of the bads"),
        ({"reference": "M1+"}, "give average"),
        ({"reference": "M1+M1"}, "give average"),
        ({"reference": "average", "channels": ["Cz"]}, "more channels than one"),
        ({"channels": ["Cz", "Cz"]}, "repeated"),
        ({"notch": [0]}, "notch must be"),
        ({"notch": "mains"}, "notch must be"),
        ({"bads": []}, "bads must be"),
    ],
)
def test_settings_that_cannot_be_meant_are_wrong_usage(shared_data, tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        Recipe("eeg-epochs", settings).for_data(of_runs(tmp_path, shared_data, "S001R03.edf"))


@pytest.mark.parametrize("settings", [{"reference": "mastoids"}, {"reference": "Cq"}, {"channels": ["Cq"]}])
def test_what_no_recording_has_is_told_before_any_is_read(shared_data, tmp_path, settings):
    data = of_runs(tmp_path, shared_data, "S001R03.edf", "S001R04.edf")
    with pytest.raises(DataError, match=r"S001R03\.edf.*(mastoids|Cq)"):
        Recipe("eeg-epochs", settings).for_data(data)


def test_recordings_that_cannot_be_read_or_lack_the_reference_are_passed_over(shared_data, tmp_path):
    (tmp_path / "A.edf").write_bytes(b"no recording")
    data = of_runs(tmp_path, shared_data, "eeglab_data.set", "S001R03.edf")
    (tmp_path / "eeglab_data.fdt").symlink_to(shared_data / "eeg" / "eeglab_data.fdt")
    recipe = Recipe("eeg-epochs", {"reference": "T9+T10"}).for_data(data)
    assert len(recipe.settings["channels"]) == 62


def test_a_file_that_is_none_of_electrodes_is_wrong_usage(shared_data, tmp_path):
    (tmp_path / "cap.sfp").write_bytes(b"\x00\xff" * 100)
    (tmp_path / "runs").mkdir()
    data = of_runs(tmp_path / "runs", shared_data, "S001R03.edf")
    with pytest.raises(UsageError, match=r"cap\.sfp"):
        Recipe("eeg-epochs", {"montage": str(tmp_path / "cap.sfp")}).for_data(data)


@pytest.mark.parametrize("name", SETS)
def test_each_setting_that_does_something_is_said_in_one_line(name):
    assert Recipe(name).told() == []
    settings = {
        "reference": "average",
        "notch": [50, 100],
        "bads": ["T9", "found"],
        "montage": "biosemi64",
        "filter": "causal",
    }
    lines = Recipe(name, settings).told()
    assert len(lines) == 6  # named and found bads apart
    for word in ("average", "50, 100 Hz", "T9", "found", "biosemi64", "causal"):
        assert sum(word in line for line in lines) == 1
    assert told(reference=None, montage=None, bads=None, bad_channels="interpolate") == []
