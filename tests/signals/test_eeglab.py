"""EEGLAB sets: MNE as the yardstick for whole files, and damage that would crash a less careful reader."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import mne
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_file import Event

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = ("Fz", "CZ", "Pz", "O1", "O2", "HEOG")
SFREQ, N_TIMES = 100.0, 400


def structs(**fields):
    """An array of structures (1, n), as EEGLAB has channels and events."""
    (n,) = {len(values) for values in fields.values()}
    found = np.empty((1, n), dtype=[(name, object) for name in fields])
    for name, values in fields.items():
        for i, value in enumerate(values):
            found[0, i][name] = value
    return found


def eeglab(**changed):
    """The fields of a set, its samples inside."""
    nothing = np.zeros((0, 0))
    fields = {
        "setname": "made here",
        "comments": np.array(["two lines", "of text  "]),
        "nbchan": len(LABELS),
        "trials": 1.0,
        "pnts": N_TIMES,
        "srate": SFREQ,
        "data": np.random.default_rng(5).normal(scale=20, size=(len(LABELS), N_TIMES)).astype("f4"),
        "chanlocs": structs(labels=LABELS, type=["EEG"] * 4 + ["", "EOG"], urchan=range(1, 7)),
        "event": structs(
            type=["go", 7, "late", "go", "early"],
            latency=[51.5, 11.0, 390.0, 201.0, 5000.0],
            duration=[20, nothing, 30.0, 0, 0],
            urevent=range(5),
        ),
        "etc": {"deep": {"deeper": np.eye(2)}, "cell": np.array([1, "x"], dtype=object)},
        "icaweights": scipy.sparse.eye_array(4, format="csc"),
    }
    return fields | changed


@pytest.fixture(params=["variables", "structure", "nested"])
def saved(request, tmp_path):
    """Write a set as the versions of EEGLAB do, by scipy."""

    def save(do_compression=False, **changed):
        fields = eeglab(**changed)
        if request.param != "variables":
            fields = {"EEG": fields if request.param == "structure" else {"EEG": fields}}
        path = tmp_path / "made.set"
        scipy.io.savemat(path, fields, do_compression=do_compression, appendmat=False)
        return path

    return save


def plain(tmp_path, **changed):
    path = tmp_path / "plain.set"
    scipy.io.savemat(path, {"EEG": eeglab(**changed)}, appendmat=False)
    return path


def by_mne(path):
    """Names, signal in microvolt and events as MNE reads them: of all channels, whatever their type."""
    raw = mne.io.read_raw_eeglab(path, preload=True, verbose="ERROR")
    events = [
        (each["onset"], 0.0 if np.isnan(each["duration"]) else each["duration"], each["description"])
        for each in raw.annotations
    ]
    return raw.ch_names, raw.get_data() * 1e6, events, raw.info["sfreq"]


# --- whole files


def test_the_real_set_is_read_as_mne_reads_it(shared_data):
    path = shared_data / "eeg" / "eeglab_data.set"
    names, signal, events, sfreq = by_mne(path)
    is_eeg = [not name.startswith("EOG") for name in names]
    with open_eeg(path) as file:
        assert [name.upper() for name in file.ch_names] == [
            name.upper() for name, kept in zip(names, is_eeg, strict=True) if kept
        ]
        assert file.sfreq == sfreq
        assert np.allclose(file.read(), signal[is_eeg], rtol=1e-12, atol=0)
        assert file.duration == pytest.approx(signal.shape[1] / sfreq)
        assert [event.name for event in file.events] == [event[2] for event in events]
        found = [(event.onset, event.duration) for event in file.events]
        assert np.allclose(found, [event[:2] for event in events], rtol=0, atol=1e-6)  # to which MNE rounds


@pytest.mark.parametrize("do_compression", [False, True])
def test_samples_in_the_set(saved, do_compression):
    path = saved(do_compression)
    names, signal, events, sfreq = by_mne(path)
    assert tuple(names) == LABELS
    with open_eeg(path) as file:
        assert (file.ch_names, file.sfreq, file.duration) == (("Fz", "Cz", "Pz", "O1", "O2"), sfreq, 4.0)
        assert np.allclose(file.read(), signal[:5], rtol=1e-6, atol=1e-9)
        assert np.array_equal(file.read(None, ["Pz", "Fz"]), file.read()[[2, 0]])
        found = [(event.onset, event.duration) for event in file.events]
        assert np.allclose(found, [event[:2] for event in events], atol=1.5 / sfreq)
        assert [event.name for event in file.events] == ["7", "go", "go", "late"]  # one is after the end
        assert file.events[1] == Event(0.505, 0.2, "go")
        assert file.events[3] == Event(pytest.approx(3.89), pytest.approx(0.11), "late", is_cut=True)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "i4"])
def test_pieces_and_types_of_samples_do_not_show(tmp_path, monkeypatch, dtype):
    data = (50 * np.random.default_rng(6).normal(size=(6, N_TIMES))).astype(dtype)
    monkeypatch.setattr("eavctl.signals.mat_file.BLOCK_BYTES", 7 * data.itemsize * 6)
    with open_eeg(plain(tmp_path, data=data)) as file:
        assert np.array_equal(file.read(), data[:5].astype(float))


def test_types_of_channels(tmp_path):
    """As MNE takes them: an unknown type is EEG, and where nothing is EEG other data are."""
    for types, kept in (
        (["EEG", "misc", "EEG", "stim", "eeg", "EOG"], ("Fz", "Pz", "O2")),
        (["misc"] * 4 + ["stim", "misc"], ("Fz", "Cz", "Pz", "O1")),
    ):
        with open_eeg(plain(tmp_path, chanlocs=structs(labels=LABELS, type=types))) as file:
            assert file.ch_names == kept
    path = plain(tmp_path, chanlocs=structs(labels=LABELS, type=["cap"] * 6))
    with pytest.warns(RecordingWarning, match="cap"), open_eeg(path) as file:
        assert len(file.ch_names) == 5  # HEOG is no EEG by its name
    with pytest.raises(SignalError, match="no EEG channels"):
        open_eeg(plain(tmp_path, chanlocs=structs(labels=LABELS, type=["EOG"] * 6)))


def test_channels_without_names_or_with_one(tmp_path):
    for none in (np.zeros((0, 0)), structs(X=range(6))):
        with open_eeg(plain(tmp_path, chanlocs=none)) as file:
            assert file.ch_names == tuple(f"EEG {i:03d}" for i in range(6))
    path = plain(tmp_path, chanlocs=structs(labels=["A1", "A2", "A1", "A3", "A4", "A5"]))
    with pytest.warns(RecordingWarning, match="A1"), open_eeg(path) as file:
        assert file.ch_names == ("A1-0", "A2", "A1-1", "A3", "A4", "A5")


def test_events_without_time_and_boundaries(tmp_path):
    event = structs(type=["boundary", "x"], latency=[101.0, np.nan])
    with pytest.warns(RecordingWarning) as told, open_eeg(plain(tmp_path, event=event)) as file:
        assert file.events == (Event(1.0, 0.0, "boundary"),)
    told = [str(each.message) for each in told]
    assert any("boundary" in text for text in told)
    assert any("1 events have no latency" in text for text in told)
    with open_eeg(plain(tmp_path, event=np.zeros((0, 0)))) as file:
        assert file.events == ()


def test_a_renamed_set_finds_its_samples(shared_data, tmp_path):
    for ending in ("set", "fdt"):
        shutil.copyfile(shared_data / "eeg" / f"eeglab_data.{ending}", tmp_path / f"mine.{ending}")
    with (
        pytest.warns(RecordingWarning, match=r"taken from mine\.fdt"),
        open_eeg(tmp_path / "mine.set") as file,
    ):
        assert file.read().shape == (30, 30504)


def test_samples_are_taken_from_beside_the_set_and_nowhere_else(tmp_path):
    outside = tmp_path / "secret.fdt"
    np.zeros((6, N_TIMES), "f4").tofile(outside)
    (tmp_path / "in").mkdir()
    for name in (str(outside), "../secret.fdt", "..\\secret.fdt"):
        with pytest.raises(SignalError, match="is missing"):
            open_eeg(plain(tmp_path / "in", data=name))
    with pytest.raises(SignalError, match="not in an .fdt file"):
        open_eeg(plain(tmp_path / "in", data="samples.dat"))


# --- what is refused


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trials": 3}, "cut into 3 epochs"),
        ({"srate": 0}, "rate is 0"),
        ({"srate": np.inf}, "rate"),
        ({"srate": "x"}, "srate"),
        ({"nbchan": 5}, "shape"),
        ({"pnts": 400.5}, "400.5 samples"),
        ({"nbchan": 1e9, "chanlocs": np.zeros((0, 0))}, "channels"),
        ({"chanlocs": structs(labels=LABELS[:5])}, "5 of 6 channels are described"),
        ({"chanlocs": structs(labels=[np.array(["a", "b"], dtype=object)] * 6)}, "labels"),
        ({"chanlocs": np.eye(3)}, "not a structure"),
        ({"event": "none"}, "not a structure"),
        ({"event": structs(type=["x"], latency=[np.ones(3)])}, "latency"),
        ({"data": np.ones((6, N_TIMES, 2))}, "shape"),
        ({"data": {"a": 1}}, "not an array of real numbers"),
        ({"data": np.full((6, N_TIMES), 1j)}, "not an array of real numbers"),
    ],
)
def test_sets_that_contradict_themselves(tmp_path, changed, message):
    with pytest.raises(SignalError, match=message) as caught:
        open_eeg(plain(tmp_path, **changed))
    assert str(caught.value).startswith(str(tmp_path / "plain.set"))


def test_what_is_no_set(tmp_path):
    path = tmp_path / "x.set"
    scipy.io.savemat(path, {"ALLEEG": 1, "data": np.eye(3)}, appendmat=False)
    with pytest.raises(SignalError, match="ALLEEG"):
        open_eeg(path)
    scipy.io.savemat(path, {"seg": np.eye(3)}, appendmat=False)
    with pytest.raises(SignalError, match=r"no EEG.data"):
        open_eeg(path)
    scipy.io.savemat(path, {"EEG": structs(data=[1, 2])}, appendmat=False)
    with pytest.raises(SignalError, match="one structure"):
        open_eeg(path)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["EEG/data"] = np.eye(3)
    with pytest.raises(SignalError, match=r"MATLAB 7.3.*version 6"):
        open_eeg(path)


# --- damage


def test_the_set_that_crashes_scipy_is_survived(shared_data, tmp_path):
    """In a process of its own; without the packages whose readers crash, whether the set is whole or not."""
    shutil.copyfile(shared_data / "crashing" / "eeglab.set", tmp_path / "eeglab.set")
    for name in ("eeglab_data.set", "eeglab_data.fdt"):
        shutil.copyfile(shared_data / "eeg" / name, tmp_path / name)
    code = (
        "import sys\n"
        "from eavctl.errors import SignalError\n"
        "from eavctl.signals.eeg import open_eeg\n"
        "for name in ('eeglab.set', 'eeglab_data.set'):\n"
        "    try:\n"
        f"        with open_eeg({str(tmp_path)!r} + '/' + name) as file:\n"
        "            assert file.read().shape == (30, 30504)\n"
        "    except SignalError as error:\n"
        "        assert name == 'eeglab.set', error\n"
        "assert not {'mne', 'scipy.io'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)


def hurt(content, generator):
    """A copy with a few bytes changed, a number replaced, a block moved, or its end missing."""
    found = bytearray(content)
    how = generator.integers(0, 4)
    places = generator.integers(0, len(content), 4).tolist()
    if how == 0:
        for place in places:
            found[place] ^= int(generator.integers(1, 256))
    elif how == 1:
        size = int(generator.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 14, 15, 0x40001]))
        found[places[0] & ~3 : (places[0] & ~3) + 4] = size.to_bytes(4, "little")
    elif how == 2:
        one, other = sorted(places[:2])
        found[one : one + 64] = content[other : other + 64]
    else:
        del found[places[0] :]
    return bytes(found)


@pytest.mark.parametrize("is_packed", [False, True])
def test_damaged_sets_raise_only_signal_errors(tmp_path, is_packed):
    fields = eeglab() if is_packed else {"EEG": eeglab()}
    scipy.io.savemat(tmp_path / "whole.set", fields, do_compression=is_packed, appendmat=False)
    content = (tmp_path / "whole.set").read_bytes()
    generator = np.random.default_rng(11)
    path = tmp_path / "hurt.set"
    refusals = []
    for _ in range(60):
        path.write_bytes(hurt(content, generator))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", RecordingWarning)
            try:
                with open_eeg(path) as file:
                    assert file.read().shape == (len(file.ch_names), N_TIMES)
            except SignalError as error:
                refusals.append(str(error))
    assert len(refusals) > 20
    assert all(text.startswith(str(path)) and "\n" not in text for text in refusals)


def test_structures_without_room_for_what_they_claim(tmp_path):
    """Billions of structures, of fields or of none, are refused before any is looked for."""
    content = plain(tmp_path, event=structs(type=["x"] * 77, latency=range(77))).read_bytes()
    dims = np.array([1, 77], "<i4").tobytes()
    assert content.count(dims) == 1
    for claimed in ((1, 2**31 - 1), (2**15, 2**15), (-1, 5)):
        (tmp_path / "lying.set").write_bytes(content.replace(dims, np.array(claimed, "<i4").tobytes()))
        with pytest.raises(SignalError, match="damaged"):
            open_eeg(tmp_path / "lying.set")
