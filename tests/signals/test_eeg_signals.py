"""EEG files: what is in the real ones, and what becomes of damaged ones."""

import gzip
import re
import shutil
import struct
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io

from eavctl.datasets import manifest
from eavctl.datasets.events import Epochs, cut_at_events
from eavctl.errors import RecordingWarning, SignalError
from eavctl.extraction.recipe import Recipe
from eavctl.signals import eeg_splines
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_file import Dropouts, Event, channel_faults
from eavctl.signals.eeg_montages import STANDARD
from eavctl.signals.eeg_names import clean_name
from eavctl.signals.eeg_trials import EAV_CHANNELS
from eavctl.signals.endings import EEG_ENDINGS

N_TIMES = 600
REPOSITORY = Path(__file__).resolve().parents[2]


def trials(n_trials=4, n_times=N_TIMES):
    """Time x channel x trial, microvolt."""
    return np.random.default_rng(1).normal(scale=20, size=(n_times, 30, n_trials))


def saved(path, **arrays):
    scipy.io.savemat(path, arrays)
    return path


@pytest.fixture
def folder(shared_data):
    return shared_data / "eeg"


@pytest.fixture
def raw():
    info = mne.create_info(["FPZ", "Cz..", "EOG1", "Trigger"], 100.0, ["eeg", "eeg", "eeg", "stim"])
    data = np.random.default_rng(0).normal(scale=2e-5, size=(4, 1000))
    data[3] = 0
    data[3, 250:260] = 7
    return mne.io.RawArray(data, info, verbose="ERROR")


# --- trials of MATLAB arrays


@pytest.mark.parametrize("key", ["seg", "seg1", "anything"])
@pytest.mark.parametrize("do_compression", [False, True])
def test_trials_as_published(tmp_path, key, do_compression):
    array = trials()
    scipy.io.savemat(tmp_path / "x.mat", {"other": np.eye(3), key: array}, do_compression=do_compression)
    with open_eeg(tmp_path / "x.mat") as file:
        assert (file.n_trials, file.sfreq, file.events, file.bads) == (4, 500.0, (), ())
        assert file.ch_names == EAV_CHANNELS
        for trial in (0, 1, 3, 2):
            signal = file.read(trial)
            assert signal.dtype == np.float64
            assert np.array_equal(signal, array[:, :, trial].T)


@pytest.mark.parametrize("order", [(2, 0, 1), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("n_trials", [1, 7])
def test_axes_are_told_apart_in_any_order(tmp_path, order, n_trials):
    array = trials(n_trials)
    with open_eeg(saved(tmp_path / "x.mat", seg=array.transpose(order))) as file:
        assert file.n_trials == n_trials
        for trial in range(n_trials):
            assert np.array_equal(file.read(trial), array[:, :, trial].T)


@pytest.mark.parametrize("shape", [(1000, 30, 30), (30, 1000, 30)])
def test_thirty_trials_are_told_from_thirty_channels_by_the_known_orders(tmp_path, shape):
    array = np.random.default_rng(1).normal(scale=20, size=shape)
    with open_eeg(saved(tmp_path / "x.mat", seg=array)) as file:
        expected = array[:, :, 5].T if shape[0] == 1000 else array[5].T
        assert np.array_equal(file.read(5), expected)


@pytest.mark.parametrize(
    "shape",
    [(1000, 32, 10), (600, 30, 700), (499, 30, 2), (30, 30, 1000), (600, 30), (600, 30, 0), (9, 9, 9)],
)
def test_what_is_ambiguous_is_refused_with_its_shape(tmp_path, shape):
    path = saved(tmp_path / "x.mat", seg=np.ones(shape, np.int8))
    with pytest.raises(SignalError) as caught:
        open_eeg(path)
    assert str(shape) in str(caught.value)
    assert "(10000, 30, 200)" in str(caught.value)


def test_no_array_of_trials_or_too_many(tmp_path):
    for arrays, what in (
        ({"label": np.eye(3)}, "no array of trials"),
        ({"seg": trials(2), "seg1": trials(2)}, "more than one array"),
        ({"a": trials(2), "b": trials(2)}, "more than one array"),
    ):
        with pytest.raises(SignalError, match=what):
            open_eeg(saved(tmp_path / "x.mat", **arrays))


def test_which_trial_must_be_said_and_be_there(tmp_path, folder):
    with open_eeg(saved(tmp_path / "x.mat", seg=trials())) as file:
        for trial, message in ((None, "say which"), (4, "no trial 5"), (-1, "no trial 0")):
            with pytest.raises(SignalError, match=message):
                file.read(trial)
    with open_eeg(folder / "S001R03.edf") as file, pytest.raises(SignalError, match="no trial 1"):
        file.read(0)


def test_bad_channels_of_trials_are_interpolated_or_reject_the_trial(tmp_path):
    array = trials(5)
    array[:, 4, 1:] = 3.3  # Fz, from the second trial on
    array[:, 13, 2] = 0.0  # Cz
    array[:, 0, 2] *= 1e3  # Fp1
    array[5, 28, 3] = np.nan  # O2
    array[:, :, 4] = 1e-6 * array[:, :, 4]
    with open_eeg(saved(tmp_path / "x.mat", seg=array)) as file:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file.read(0)
        with pytest.warns(RecordingWarning, match=r"trial 2: .*: Fz \(flat\)$"):
            signal = file.read(1)
        assert signal[4].std() > 1
        assert np.array_equal(np.delete(signal, 4, axis=0), np.delete(array[:, :, 1].T, 4, axis=0))
        with pytest.warns(RecordingWarning, match=r"trial 3: .*: Fp1 \(extreme\), Cz \(flat\)$") as told:
            file.read(2)
        assert len(told) == 1  # Fz was told
        with pytest.raises(SignalError, match="trial 4: not finite: channels O2"):
            file.read(3)
        names = [name for name in EAV_CHANNELS if name not in ("O2", "Fz")]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # channels that are not wanted do not matter
            rest = file.read(3, names[::-1])
        places = [EAV_CHANNELS.index(name) for name in names]
        assert np.array_equal(rest[::-1], array[:, places, 3].T)
        with pytest.raises(SignalError, match="trial 5: every channel is flat .*volt"):
            file.read(4)


def test_channel_faults():
    noise = np.random.default_rng(0).normal(scale=10, size=(6, 1000))
    signal = noise + 1e4 * np.linspace(0, 1, 1000)  # drift of an electrode without a high-pass
    signal[1] = -528.0
    signal[2, 300:] = 1.0
    signal[3, 800:] = 1.0  # a fifth of it: not enough
    signal[4, 0] = np.inf
    signal[5] = noise[5] * 200
    assert channel_faults(signal, 100.0) == {1: "flat", 2: "flat", 4: "not finite", 5: "extreme"}


@pytest.mark.parametrize("offset", [0.0, -3e5, 1e6])
def test_faults_do_not_depend_on_the_offset_of_an_electrode(offset):
    noise = np.random.default_rng(0).normal(size=(4, 1000))
    signal = noise * np.array([[0.05], [0.2], [900], [1100]]) + offset
    assert channel_faults(signal, 100.0) == {0: "flat", 3: "extreme"}


# --- recordings that MNE reads


@pytest.mark.parametrize("run", range(3, 9))
def test_physionet(folder, run):
    with open_eeg(folder / f"S001R0{run}.edf") as file:
        signal = file.read()
        assert (file.sfreq, signal.shape, file.n_trials) == (160.0, (64, 20000), None)
        assert {"FC5", "Cz", "Fp1", "POz", "Iz", "T10"} <= set(file.ch_names)
        counts = Counter(event.name for event in file.events)
        assert counts["T0"] == 15
        assert sorted((counts["T1"], counts["T2"])) == [7, 8]
        assert file.events[0] == Event(0.0, 4.2, "T0")
        assert 30 < signal.std() < 100


def test_eeglab_brainvision_and_bdf(folder):
    expected = {
        "eeglab_data.set": (128.0, (30, 30504), {"square": 80, "rt": 74}),
        "testbva.vhdr": (200.0, (29, 2112), {f"Stimulus/S  {k}": n for k, n in enumerate((2, 1, 1, 12), 1)}),
        "test.bdf": (256.0, (16, 15360), {"255": 40}),
    }
    for name, (sfreq, shape, counts) in expected.items():
        with open_eeg(folder / name) as file:
            assert file.sfreq == sfreq
            assert file.read().shape == shape == (len(file.ch_names), shape[1])
            assert Counter(event.name for event in file.events) == counts
            assert not any("E" in channel for channel in file.ch_names)  # of EOG and EKG
    with open_eeg(folder / "testbva.vhdr") as file:
        assert file.events[0] == Event(pytest.approx(107 / 200), pytest.approx(1 / 200), "Stimulus/S  4")


def test_values_are_those_of_the_file(folder):
    """EDF by hand: the first record of the first channel, digital to physical."""
    content = (folder / "S001R03.edf").read_bytes()
    digital = np.frombuffer(content, "<i2", 160, offset=66 * 256)
    with open_eeg(folder / "S001R03.edf") as file:
        signal = file.read()
    assert np.allclose(signal[0, :160], digital, atol=1e-6)  # 1 microvolt a step in these files


def test_fif_with_a_date_bad_channels_and_a_start(tmp_path, raw):
    raw.set_meas_date(1_000_000_000)
    raw.set_annotations(mne.Annotations([4.0, 6.5], [0.5, 0.0], ["go", "stop"], raw.info["meas_date"]))
    raw.info["bads"] = ["Cz.."]
    raw.crop(3.0, 8.0).save(tmp_path / "x_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif") as file:
        with pytest.raises(SignalError, match=r"Cz \(marked bad\)"):
            file.read()
        assert (file.ch_names, file.bads) == (("Fpz", "Cz"), ("Cz",))
        assert [(event.onset, event.name) for event in file.events] == [(1.0, "go"), (3.5, "stop")]
        assert np.allclose(file.read(None, ["Fpz"]), raw.get_data(picks=[0]) * 1e6, rtol=1e-5, atol=1e-4)
        assert file.duration == pytest.approx(5.01)


def test_triggers_where_there_are_no_annotations(tmp_path, raw):
    raw.crop(1.0).save(tmp_path / "x_raw.fif.gz", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif.gz") as file:
        assert file.events == (Event(1.5, 0.0, "7"),)


def test_flat_and_broken_channels_of_a_recording(tmp_path, raw):
    raw._data[0] = 1e-5
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "a_raw.fif") as file, pytest.raises(SignalError, match=r"Fpz \(flat\)"):
        file.read()
    raw._data[1, 3] = np.nan
    raw.save(tmp_path / "b_raw.fif", verbose="ERROR")
    with (
        open_eeg(tmp_path / "b_raw.fif") as file,
        pytest.raises(SignalError, match="not finite: channels Cz"),
    ):
        file.read()
    raw._data[:3] = 1e-5
    raw.save(tmp_path / "c_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "c_raw.fif") as file, pytest.raises(SignalError, match="every channel is flat"):
        file.read()


def test_no_eeg_and_too_much_of_it(tmp_path, raw, folder, monkeypatch):
    raw.copy().pick([2]).save(tmp_path / "x_raw.fif", verbose="ERROR")
    with pytest.raises(SignalError, match="no EEG channels"):
        open_eeg(tmp_path / "x_raw.fif")
    monkeypatch.setattr("eavctl.signals.eeg_damage.LARGEST_BYTES", 64 * 20000 * 8 - 1)
    with pytest.raises(SignalError, match="exceed 2 GiB; cut it first"):
        open_eeg(folder / "S001R03.edf")


def test_data_without_types_is_taken_as_eeg(tmp_path):
    info = mne.create_info(["a", "b", "EKG"], 100.0, "misc")
    data = np.random.default_rng(0).normal(scale=1e-5, size=(3, 500))
    mne.io.RawArray(data, info, verbose="ERROR").save(tmp_path / "x_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif") as file:
        assert file.ch_names == ("a", "b")


@pytest.mark.parametrize(
    ("name", "clean"),
    [("Fc5.", "FC5"), ("FPz", "Fpz"), ("CZ", "Cz"), (" fp1 ", "Fp1"), ("POZ..", "POz"), ("t10", "T10")]
    + [(name, name) for name in ("A1", "EXG1", "Foo", "x", "Fp1-Ref", *EAV_CHANNELS)],
)
def test_names(name, clean):
    assert clean_name(name) == clean


def test_names_that_would_become_one_stay_as_they_are(tmp_path):
    info = mne.create_info(["CZ", "Cz."], 100.0, "eeg")
    data = np.random.default_rng(0).normal(scale=1e-5, size=(2, 500))
    mne.io.RawArray(data, info, verbose="ERROR").save(tmp_path / "x_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif") as file:
        assert file.ch_names == ("CZ", "Cz.")


# --- bad channels

HEADER, RECORD, PER_RECORD = 66 * 256, 20640, 160  # of the EDF files of PhysioNet: 64 signals and annotations


def with_bad(path, content, wanted, value=0, seconds=slice(None)):
    """A copy of an EDF file in which channels, by number, are constant for some seconds."""
    content = np.frombuffer(content, np.uint8).copy()
    records = content[HEADER:].reshape(-1, RECORD)
    for number in wanted:
        channel = records[seconds, 2 * PER_RECORD * number : 2 * PER_RECORD * (number + 1)].view("<i2")
        channel[:] = value
    path.write_bytes(content.tobytes())
    return path


@pytest.fixture
def edf(folder):
    """Bytes, names and signal of a real recording."""
    path = folder / "S001R03.edf"
    with open_eeg(path) as file:
        return path.read_bytes(), file.ch_names, file.read()


def by_perrin(angles_from, angles_to, stiffness=4, n_terms=50):
    """Weights of spherical splines from the definition: cosines between good ones, and from bad to good."""

    def g(cosine):
        degrees = np.arange(1, n_terms + 1)
        factors = (2 * degrees + 1) / (degrees * (degrees + 1)) ** stiffness / (4 * np.pi)
        return np.polynomial.legendre.legval(cosine, [0, *factors])

    n = len(angles_from)
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = g(angles_from) + 1e-5 * np.eye(n)
    system[n, n] = 0
    return np.hstack([g(angles_to), np.ones((len(angles_to), 1))]) @ np.linalg.inv(system)[:, :n]


@pytest.mark.parametrize("names", [("FC4",), ("Cz", "O2"), ("F7", "Fp1", "P3", "TP8")])
def test_a_flat_channel_of_a_real_recording_is_interpolated(tmp_path, edf, names):
    content, ch_names, whole = edf
    places = [ch_names.index(name) for name in names]
    told = ", ".join(f"{name} (flat)" for name in ch_names if name in names)
    with open_eeg(with_bad(tmp_path / "a.edf", content, places, 7)) as file:
        with pytest.warns(RecordingWarning) as warned:
            signal = file.read()
        (text,) = [str(each.message) for each in warned]
        assert text.startswith(str(tmp_path / "a.edf"))
        assert text.endswith(told)
        assert not np.ptp(file.read_raw()[places], axis=1).any()
    others = np.delete(np.arange(64), places)
    assert np.array_equal(signal[others], whole[others])
    for place in places:
        assert np.corrcoef(signal[place], whole[place])[0, 1] > 0.8


@pytest.mark.parametrize("name", ["FC4", "C3", "Pz"])
def test_features_of_a_flat_channel_vary_as_its_own_did(tmp_path, edf, name):
    """Over the epochs of a real recording; what does not look at the channel is the same bit for bit."""
    content, ch_names, _ = edf
    recipe = Recipe("eeg-bands", {"channels": list(ch_names)})
    epochs = Epochs({"T0": "rest", "T1": "left", "T2": "right"})
    found = []
    for folder, bad in (("whole", []), ("bad", [ch_names.index(name)])):
        (tmp_path / folder).mkdir()
        path = with_bad(tmp_path / folder / "S001R03.edf", content, bad)
        rows = cut_at_events(manifest.find(path), epochs).rows
        with recipe.open(path) as stretch_of, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", RecordingWarning)
            x = [recipe.describe(stretch_of(), row["start"], row["end"])[0].x for _, row in rows.iterrows()]
        assert len(told) == len(bad)
        found.append(np.stack(x))
    whole, mended = found
    columns = recipe.columns
    alpha = columns.index(f"alpha_de_{name}")
    assert mended[:, alpha].std() > 0.05
    assert np.corrcoef(mended[:, alpha], whole[:, alpha])[0, 1] > 0.8
    others = [i for i, column in enumerate(columns) if name not in re.split("[_-]", column)]
    assert np.array_equal(mended[:, others], whole[:, others])


def test_segments_in_which_a_channel_dropped_out_are_rejected_by_name(tmp_path, edf):
    """Also those in which the filter goes on ringing after the channel's last value."""
    content, ch_names, _ = edf
    path = with_bad(tmp_path / "a.edf", content, [ch_names.index("FC4")], seconds=slice(40, 80))
    recipe = Recipe("eeg-bands", {"channels": ["FC4", "O1"]}, segment=5.0)
    with recipe.open(path) as stretch_of:
        found = recipe.describe(stretch_of())
    rejected = {sample.start for sample in found if sample.x is None}
    assert rejected == set(range(40, 80, 5))
    assert all("FC4" in sample.reason and "O1" not in sample.reason for sample in found if sample.x is None)
    recipe = Recipe("eeg-bands", {"channels": ["O1"]}, segment=5.0)
    with recipe.open(path) as stretch_of:
        assert all(sample.x is not None for sample in recipe.describe(stretch_of()))


@pytest.mark.parametrize(
    ("start", "end", "is_flat"),
    [
        (0, 5, False),
        (7, 12, False),
        (8, 12, True),
        (9.5, 12.5, True),
        (12, 13, True),
        (16, 24, True),
        (17, 25, False),
        (-0.02, 4, False),
        (28, 30.54, False),
    ],
)
def test_half_of_a_segment_is_enough(start, end, is_flat):
    """The second of two channels is flat from 10 to 20 s, of 30.5."""
    signal = np.random.default_rng(0).normal(scale=20, size=(2, 3050))
    signal[1, 1000:2000] = 4.0
    dropouts = Dropouts.of(signal, 100.0, ("F3", "F4"))
    if is_flat:
        with pytest.raises(SignalError, match="channels F4;"):
            dropouts.check(start, end)
    else:
        dropouts.check(start, end)


def test_interpolation_is_that_of_perrin(tmp_path, edf):
    content, ch_names, whole = edf
    places = [ch_names.index(name) for name in ("FC4", "Oz")]
    with open_eeg(with_bad(tmp_path / "a.edf", content, places)) as file, pytest.warns(RecordingWarning):
        signal = file.read()
    montage = eeg_splines._montage(STANDARD)
    info = mne.create_info(montage.ch_names, 1.0, "eeg").set_montage(montage)
    xyz = {each["ch_name"]: each["loc"][:3] for each in info["chs"]}
    everywhere = np.stack(list(xyz.values()))
    system = np.hstack([2 * everywhere, np.ones((len(everywhere), 1))])  # least squares: a sphere
    centre = np.linalg.lstsq(system, (everywhere**2).sum(axis=1), rcond=None)[0][:3]
    units = np.stack([(xyz[name] - centre) / np.linalg.norm(xyz[name] - centre) for name in ch_names])
    good = np.delete(np.arange(64), places)
    weights = by_perrin(units[good] @ units[good].T, units[places] @ units[good].T)
    expected = weights @ whole[good]
    assert np.abs(signal[places] - expected).max() < 0.02 * expected.std()


def test_a_constant_field_is_interpolated_as_it_is(tmp_path, raw):
    """Also from channels that lie in one plane, through which no sphere can be fitted."""
    names = ["Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz"]
    wave = np.random.default_rng(0).normal(scale=2e-5, size=500)
    data = np.tile(wave, (7, 1))
    data[2] = 0
    field = mne.io.RawArray(data, mne.create_info(names, 100.0, "eeg"), verbose="ERROR")
    field.save(tmp_path / "x_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif") as file, pytest.warns(RecordingWarning, match=r"Cz \(flat\)"):
        signal = file.read()
    np.testing.assert_allclose(signal[2], wave * 1e6, atol=1e-3)


def test_pieces_of_a_long_recording_do_not_show(tmp_path, edf, monkeypatch):
    content, ch_names, _ = edf
    path = with_bad(tmp_path / "a.edf", content, [ch_names.index("C3")])
    found = []
    for size in (1 << 30, 777):
        monkeypatch.setattr(eeg_splines, "BLOCK", size)
        with open_eeg(path) as file, pytest.warns(RecordingWarning):
            found.append(file.read())
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


def test_what_is_bad_and_not_wanted_does_not_matter(tmp_path, edf):
    content, ch_names, whole = edf
    bad = range(0, 64, 3)  # more than can be interpolated
    wanted = [name for i, name in enumerate(ch_names) if i not in bad][::-1]
    with (
        open_eeg(with_bad(tmp_path / "a.edf", content, bad)) as file,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        assert np.array_equal(file.read(None, wanted), whole[[i for i in range(64) if i not in bad][::-1]])


def test_too_many_bad_channels_reject_the_recording(tmp_path, edf):
    content, ch_names, _ = edf
    with open_eeg(with_bad(tmp_path / "a.edf", content, range(16))) as file, pytest.warns(RecordingWarning):
        file.read()
    with open_eeg(with_bad(tmp_path / "a.edf", content, range(17))) as file:
        with pytest.raises(SignalError) as caught:
            file.read()
        assert all(f"{name} (flat)" in str(caught.value) for name in ch_names[:17])
        assert "bad_channels=drop" in str(caught.value)
        with pytest.raises(SignalError):
            file.read(None, [ch_names[0], ch_names[40]])


@pytest.mark.parametrize(
    ("names", "n_bad", "is_mended"),
    [
        ("F3 F4 C3 C4 Cz", 1, True),
        ("F3 F4 C3 C4", 1, False),  # three good ones
        ("F3 F4 C3 C4 Cz X1 X2", 1, True),
        ("X1 F3 F4 C3 C4 Cz", 1, False),  # no place of this name
        ("F3 F4 C3 C4 Cz Pz P3 P4", 2, True),
        ("F3 F4 C3 C4 Cz Pz P3", 2, False),  # more than a quarter
        ("C1 C2 C3 C4 C5 C6 A1 A2 B1 B2 B3 B4 B5 B6 B7 B8 B9", 1, False),  # BioSemi's: other places
    ],
)
def test_what_can_be_interpolated(tmp_path, names, n_bad, is_mended):
    names = names.split()
    data = np.random.default_rng(0).normal(scale=2e-5, size=(len(names), 500))
    data[:n_bad] = 3e-6
    raw = mne.io.RawArray(data, mne.create_info(names, 100.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif") as file:
        if is_mended:
            with pytest.warns(RecordingWarning, match="interpolated"):
                assert (file.read().std(axis=1) > 0.1).all()
        else:
            with pytest.raises(SignalError, match=f"{names[0]} \\(flat\\)"):
                file.read()


def test_channels_marked_bad_are_interpolated_and_take_no_part(tmp_path, folder):
    with open_eeg(folder / "S001R03.edf") as file:
        names, whole = file.ch_names, file.read()
    data = whole * 1e-6
    loud = names.index("C1")
    data[loud] *= 5  # bad, though neither flat nor extreme, and a neighbour of another
    raw = mne.io.RawArray(data, mne.create_info(list(names), 160.0, "eeg"), verbose="ERROR")
    raw.info["bads"] = ["C1", "Cz"]
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    with open_eeg(tmp_path / "x_raw.fif") as file:
        assert file.bads == ("C1", "Cz")
        with pytest.warns(RecordingWarning, match=r"C1 \(marked bad\), Cz \(marked"):
            signal = file.read()
    for place in (loud, names.index("Cz")):
        assert np.corrcoef(signal[place], whole[place])[0, 1] > 0.9
        assert 0.8 < signal[place].std() / whole[place].std() < 1.2


def test_clean_trials_need_no_mne(tmp_path):
    array = trials(2)
    array[:, 4, 1] = 0
    saved(tmp_path / "x.mat", seg=array)
    code = (
        "import sys, warnings\n"
        "from eavctl.signals.eeg import open_eeg\n"
        "warnings.simplefilter('ignore')\n"
        f"file = open_eeg({str(tmp_path / 'x.mat')!r})\n"
        "file.read(0); file.read(1, ['Cz'])\n"
        "assert 'mne' not in sys.modules and 'scipy.signal' not in sys.modules\n"
        "file.read(1)\n"
        "assert 'mne' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- damage


def test_copied_as_text(shared_data, tmp_path):
    for name in ("truncated.edf", "crlf-damaged.edf"):
        with pytest.raises(SignalError, match=f"{name}: damaged, every line feed"):
            open_eeg(shared_data / "hostile" / name)
    for name in ("test.bdf", "eeglab_data.set", "eeglab_data.fdt"):
        shutil.copyfile(shared_data / "eeg" / name, tmp_path / name)
    for name, opened in (("test.bdf", "test.bdf"), ("eeglab_data.fdt", "eeglab_data.set")):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content.replace(b"\n", b"\r\n"))
        with pytest.raises(SignalError, match=f"{name}: damaged, every line feed"):
            open_eeg(tmp_path / opened)


def test_cut_edf_and_bdf_are_used_as_far_as_they_go(folder, tmp_path):
    content = (folder / "S001R03.edf").read_bytes()
    whole = open_eeg(folder / "S001R03.edf").read()
    header, record = 66 * 256, 20640
    for size, seconds in ((header + 61 * record, 61), (header + 61 * record + 99, 61), (header + record, 1)):
        (tmp_path / "cut.edf").write_bytes(content[:size])
        with pytest.warns(RecordingWarning, match=rf"end .* is missing; using its first {seconds}.00 s"):
            file = open_eeg(tmp_path / "cut.edf")
        assert np.array_equal(file.read(), whole[:, : 160 * seconds])
        assert all(event.onset < seconds for event in file.events)
    (tmp_path / "long.edf").write_bytes(content + content[-record:])
    with pytest.warns(RecordingWarning, match="longer than its header says; using all 126.00 s"):
        open_eeg(tmp_path / "long.edf")
    (tmp_path / "cut.bdf").write_bytes((folder / "test.bdf").read_bytes()[:300_000])
    with pytest.warns(RecordingWarning, match="first 22.00 s"):
        open_eeg(tmp_path / "cut.bdf")
    for size, message in (
        (header, "before its first samples"),
        (header + 9, "before"),
        (5000, "header"),
        (9, "header"),
    ):
        (tmp_path / "cut.edf").write_bytes(content[:size])
        with pytest.raises(SignalError, match=message):
            open_eeg(tmp_path / "cut.edf")


def test_cut_and_circular_fif(tmp_path, raw, capfd):
    raw.save(tmp_path / "whole_raw.fif", buffer_size_sec=1, verbose="ERROR")
    content = (tmp_path / "whole_raw.fif").read_bytes()
    whole = open_eeg(tmp_path / "whole_raw.fif").read()
    tag = struct.pack(">ii", 300, 4)  # a buffer of float32 samples
    places = [place for place in range(len(content)) if content.startswith(tag, place)]
    assert len(places) == 10
    (tmp_path / "cut_raw.fif").write_bytes(content[: places[6]])
    with pytest.warns(RecordingWarning, match=r"end .* is missing; using its first 6.00 s"):
        file = open_eeg(tmp_path / "cut_raw.fif")
    assert np.array_equal(file.read(), whole[:, :600])
    (tmp_path / "cut_raw.fif").write_bytes(content[: places[6] + 99])
    with pytest.raises(SignalError, match="damaged"):
        open_eeg(tmp_path / "cut_raw.fif").read()
    bent = content[: places[6] + 12] + struct.pack(">i", places[2]) + content[places[6] + 16 :]
    (tmp_path / "bent_raw.fif").write_bytes(bent)
    with pytest.raises(SignalError, match="chain of tags has no end"):
        open_eeg(tmp_path / "bent_raw.fif")
    (tmp_path / "bent_raw.fif.gz").write_bytes(gzip.compress(bent))
    with pytest.raises(SignalError, match="chain of tags has no end"):
        open_eeg(tmp_path / "bent_raw.fif.gz")
    assert capfd.readouterr() == ("", "")


def test_interrupted_edf(folder, tmp_path):
    """EDF+D: fine where its records follow each other, refused where time is missing between them."""
    content = bytearray((folder / "S001R03.edf").read_bytes())
    content[192:197] = b"EDF+D"
    (tmp_path / "x.edf").write_bytes(content)
    assert open_eeg(tmp_path / "x.edf").read().shape == (64, 20000)
    stamp = content.index(b"+9\x14", 66 * 256)
    content[stamp : stamp + 2] = b"+8"
    (tmp_path / "x.edf").write_bytes(content)
    with pytest.raises(SignalError, match=r"interrupted after 9.00 s"):
        open_eeg(tmp_path / "x.edf")


def test_brainvision_and_its_data_file(folder, tmp_path):
    for name in ("testbva.vhdr", "testbva.vmrk", "testbva.dat"):
        shutil.copyfile(folder / name, tmp_path / name)
    whole = open_eeg(tmp_path / "testbva.vhdr").read()
    data = (folder / "testbva.dat").read_bytes()
    (tmp_path / "testbva.dat").write_bytes(data[:100_001])
    with pytest.warns(RecordingWarning, match=r"testbva.dat is missing; using its first 3.9\d s"):
        file = open_eeg(tmp_path / "testbva.vhdr")
    assert np.array_equal(file.read(), whole[:, :781])
    (tmp_path / "testbva.dat").write_bytes(data + data)
    with pytest.raises(SignalError, match="not of the size"):
        open_eeg(tmp_path / "testbva.vhdr")
    header = (folder / "testbva.vhdr").read_text()
    (tmp_path / "testbva.vhdr").write_text(header.replace("=MULTIPLEXED", "=VECTORIZED"))
    (tmp_path / "testbva.dat").write_bytes(data[:100_001])
    with pytest.raises(SignalError, match="not of the size"):
        open_eeg(tmp_path / "testbva.vhdr")
    (tmp_path / "testbva.dat").unlink()
    with pytest.raises(SignalError, match=r"is missing .*testbva.dat"):
        open_eeg(tmp_path / "testbva.vhdr")


def test_eeglab_and_its_data_file(folder, tmp_path):
    shutil.copyfile(folder / "eeglab_data.set", tmp_path / "eeglab_data.set")
    with pytest.raises(SignalError, match=r"is missing .*eeglab_data.fdt"):
        open_eeg(tmp_path / "eeglab_data.set")
    data = (folder / "eeglab_data.fdt").read_bytes()
    for content in (data[:1_000_001], data + b"1234"):
        (tmp_path / "eeglab_data.fdt").write_bytes(content)
        with pytest.raises(SignalError, match="bytes, .* needs 3904512"):
            open_eeg(tmp_path / "eeglab_data.set")


@pytest.mark.parametrize("ending", EEG_ENDINGS)
def test_what_is_no_recording(tmp_path, ending):
    path = tmp_path / f"x{ending}"
    with pytest.raises(SignalError, match="no such file"):
        open_eeg(path)
    path.touch()
    with pytest.raises(SignalError, match="is empty"):
        open_eeg(path)
    for content in (b"this is not EEG", np.random.default_rng(2).bytes(5000), bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(SignalError) as caught:
            open_eeg(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(SignalError, match="a folder"):
        open_eeg(path)


def test_an_ending_that_is_not_known(folder):
    with pytest.raises(SignalError, match=r"known: \.edf"):
        open_eeg(folder / "testbva.dat")


def test_damaged_bytes_raise_only_signal_errors(folder, tmp_path):
    content = (folder / "test.bdf").read_bytes()[:100_000]
    generator = np.random.default_rng(8)
    for _ in range(60):
        hurt = bytearray(content)
        for place in generator.integers(0, 18 * 256, 4):
            hurt[place] = int(generator.integers(0, 256))
        (tmp_path / "x.bdf").write_bytes(hurt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            try:
                with open_eeg(tmp_path / "x.bdf") as file:
                    assert len(file.read()) == len(file.ch_names)
            except SignalError:
                pass
