"""Tables beside EEG recordings in BIDS: which apply, and what they say of channels and events."""

from __future__ import annotations

import math
import os
from pathlib import Path

import mne
import numpy as np
import pytest

from eavctl.errors import RecordingWarning, SignalError
from eavctl.extraction.recipe import Recipe
from eavctl.signals.bids import entities_of, events_of, path_of, read_table
from eavctl.signals.data_files import read_with
from eavctl.signals.eeg import open_eeg

NAMES = ("Fz", "C3", "Cz", "C4", "Pz", "EOG1", "AUX")
CLIP = "sub-01_task-film_run-1"


def write_fif(folder: Path, *, bads: tuple[str, ...] = ()) -> Path:
    """A recording of `NAMES`, all of which the file takes for EEG: sines of 5 to 11 Hz, 20 microvolt."""
    times = np.arange(1280) / 128
    data = 2e-5 * np.sin(2 * np.pi * np.arange(5, 5 + len(NAMES))[:, None] * times)
    raw = mne.io.RawArray(data, mne.create_info(list(NAMES), 128.0, "eeg"), verbose="ERROR")
    raw.info["bads"] = list(bads)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{CLIP}_eeg.fif"
    raw.save(path, verbose="ERROR")
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_fif(tmp_path / "ds/sub-01/eeg")


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(row.replace(" ", "\t") + "\n" for row in rows))
    return path


def channels(recording: Path, *rows: str) -> Path:
    return write(recording.with_name(f"{CLIP}_channels.tsv"), *rows)


def events(recording: Path, *rows: str) -> Path:
    return write(recording.with_name(f"{CLIP}_events.tsv"), *rows)


@pytest.mark.parametrize(
    ("name", "entities"),
    [
        ("sub-01_eeg.edf", {"sub": "01"}),
        ("a/sub-01_ses-x2_task-rest_acq-hi_run-03_eeg.fif.gz",
         {"sub": "01", "ses": "x2", "task": "rest", "acq": "hi", "run": "03"}),
        ("sub-01_ieeg.edf", {}),
        ("sub-01_task-rest_meg.fif", {}),
        ("task-rest_eeg.edf", {}),
        ("sub-_eeg.edf", {}),
        ("sub-01_noentity_eeg.edf", {}),
        ("S001R03.edf", {}),
    ],
)  # fmt: skip
def test_names_of_recordings_have_entities_and_other_names_none(name, entities):
    assert entities_of(name) == entities


def test_the_nearest_table_applies_then_the_one_with_most_entities(recording, tmp_path):
    root = tmp_path / "ds"
    for name in ("task-other", "sub-02", "task-film_run-2", "task-film_run-1_desc-x"):  # of other recordings
        write(root / f"{name}_channels.tsv", "name")
    write(tmp_path / "task-film_channels.tsv", "name")  # above the data set
    assert path_of(recording, "channels") is None
    for name in ("task-film_channels.tsv", "task-film_run-1_channels.tsv", "sub-01/sub-01_channels.tsv",
                 f"sub-01/eeg/{CLIP}_channels.tsv"):  # fmt: skip
        assert path_of(recording, "channels") != root / name
        write(root / name, "name")
        assert path_of(recording, "channels") == root / name


def test_a_relative_path_and_a_link_to_a_store_have_the_same_tables(recording, tmp_path, monkeypatch):
    store = tmp_path / "store/MD5E-s123.fif"
    store.parent.mkdir()
    recording.rename(store)
    recording.symlink_to(store)
    table = write(tmp_path / "ds/task-film_channels.tsv", "name")
    monkeypatch.chdir(recording.parent)
    assert path_of(recording, "channels") == path_of(recording.name, "channels") == table


def test_types_leave_channels_out_and_status_marks_them(recording):
    channels(recording, "name type status", "Fz EEG good", "C3 EEG bad", "Cz EEG n/a", "C4 eeg good",
             "Pz EEG good", "EOG1 VEOG bad", "AUX n/a n/a")  # fmt: skip
    with open_eeg(recording) as file:
        assert file.ch_names == ("Fz", "C3", "Cz", "C4", "Pz", "AUX")
        assert file.bads == ("C3",)


def test_a_bad_channel_is_interpolated_and_no_other_value_changes(tmp_path, shared_data):
    path = tmp_path / f"{CLIP}_eeg.edf"
    os.symlink(shared_data / "eeg/S001R03.edf", path)
    names = mne.io.read_raw_edf(path, verbose="ERROR").ch_names
    rows = [f"{name} EEG {'bad' if name == 'Cz..' else 'good'}" for name in names]
    channels(path, "name type status", *rows)
    with open_eeg(path) as file, pytest.warns(RecordingWarning, match="Cz"):
        found = file.read()
    recorded = file.read_raw()
    changed = [name for name, a, b in zip(file.ch_names, found, recorded, strict=True) if (a != b).any()]
    assert changed == ["Cz"]
    near = recorded[[file.ch_names.index(name) for name in ("C1", "C2", "FCz", "CPz")]].mean(axis=0)
    assert np.corrcoef(found[file.ch_names.index("Cz")], near)[0, 1] > 0.9


def test_the_table_overrules_what_the_file_marks_and_silence_does_not(tmp_path):
    path = write_fif(tmp_path, bads=("C3", "C4"))
    channels(path, "name type status", *(f"{name} EEG {'good' if name == 'C3' else 'n/a'}" for name in NAMES))
    with open_eeg(path) as file:
        assert file.bads == ("C4",)
    channels(path, "name type", *(f"{name} EEG" for name in NAMES))
    with open_eeg(path) as file:
        assert file.bads == ("C3", "C4")


@pytest.mark.parametrize("ending", ["set", "edf", "vhdr"])
def test_names_as_they_stand_in_files_of_every_format_are_found(tmp_path, shared_data, ending):
    original = {"set": "eeglab_data.set", "edf": "S001R03.edf", "vhdr": "testbva.vhdr"}[ending]
    for part in (shared_data / "eeg").glob(f"{Path(original).stem}.*"):
        os.symlink(part, tmp_path / part.name)
    path = tmp_path / f"{CLIP}_eeg.{ending}"
    (tmp_path / original).rename(path)
    with open_eeg(path) as file:
        names = file.ch_names
    left_out, marked, *_ = names
    rows = [f"{name.upper()} {'EOG' if name == left_out else 'EEG'} {'bad' if name == marked else 'good'}"
            for name in names]  # fmt: skip
    channels(path, "name type status", *rows)
    with open_eeg(path) as file:
        assert file.ch_names == names[1:]
        assert file.bads == (marked,)


def test_channels_that_the_recording_lacks_are_named(recording):
    channels(recording, "name type", *(f"{name} EEG" for name in NAMES), "Oz EEG", "TRIGGER TRIG", "O1 n/a")
    with pytest.raises(SignalError, match=r"Oz, O1;.*Fz, C3") as error:
        open_eeg(recording)
    assert "TRIGGER" not in str(error.value)


def test_channels_that_the_table_lacks_are_used_and_named(recording):
    channels(recording, "name type", "Fz EEG", "EOG1 EOG")
    with pytest.warns(RecordingWarning, match="C3, Cz, C4, Pz, AUX"), open_eeg(recording) as file:
        assert file.ch_names == ("Fz", "C3", "Cz", "C4", "Pz", "AUX")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("label type", "Fz EEG"), "no column 'name'"),
        (("name type", "Fz EEG", "Fz EEG"), "line 3 repeats the channel 'Fz'"),
        (("name type", *(f"{name} MISC" for name in NAMES)), "no EEG channels"),
        (("name name", "Fz Fz"), "two columns"),
        (("name type", "Fz EEG good"), "line 2 has 3 cells"),
        ((), "empty"),
        (("name type", '"Fz EEG'), "tab-separated"),
    ],
)
def test_tables_that_cannot_be_meant_are_errors_that_name_them(recording, rows, message):
    table = channels(recording, *rows)
    with pytest.raises(SignalError, match=message) as error:
        open_eeg(recording)
    assert table.name in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00name", b"name\n" + b'"' + b"x" * 200_000])
def test_files_that_are_no_tables_are_errors(tmp_path, content):
    (tmp_path / "x_channels.tsv").write_bytes(content)
    with pytest.raises(SignalError, match=r"x_channels\.tsv: not a table"):
        read_table(tmp_path / "x_channels.tsv")


def test_byte_order_marks_windows_lines_and_empty_lines_are_read(tmp_path):
    (tmp_path / "t.tsv").write_bytes(b"\xef\xbb\xbfname\ttype\r\n\r\nFz\tEEG\r\n\t\r\nCz\tn/a\t\r\n")
    assert [row for _, row in read_table(tmp_path / "t.tsv").rows] == [
        {"name": "Fz", "type": "EEG"},
        {"name": "Cz"},
    ]


def test_events_have_the_name_of_their_trial_type_or_else_their_value(recording):
    events(recording, "onset duration trial_type value", "1 2 happy 5", "3.5 n/a sad 6", "5 0.5 n/a 7",
           "6 1 n/a n/a", "n/a 1 lost 8", "9.5 2 late 9", "-0.5 1 early 9")  # fmt: skip
    found = events_of(recording, 10.0)
    assert found is not None
    assert [(each.name, each.onset, each.duration, each.is_cut) for each in found if each.name != "lost"] == [
        ("happy", 1.0, 2.0, False),
        ("sad", 3.5, 0.0, False),
        ("7", 5.0, 0.5, False),
        ("late", 9.5, 2.0, True),
        ("early", -0.5, 1.0, False),
    ]
    assert [math.isnan(each.onset) for each in found if each.name == "lost"] == [True]


def test_without_a_table_there_is_none_and_without_rows_there_are_no_events(recording):
    assert events_of(recording, 10.0) is None
    events(recording, "onset duration trial_type")
    assert events_of(recording, 10.0) == ()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("onset duration", "1 2"), "'trial_type' or 'value'"),
        (("time trial_type", "1 x"), "'onset'"),
        (("onset duration trial_type", "1 2 x", "soon 2 x"), "line 3: onset is 'soon'"),
        (("onset duration trial_type", "1 long x"), "line 2: duration is 'long'"),
    ],
)
def test_events_that_cannot_be_read_say_why(recording, rows, message):
    events(recording, *rows)
    with pytest.raises(SignalError, match=message):
        events_of(recording, 10.0)


# --- electrodes


def electrodes(folder: Path, name: str, scale: float = 1.0, **others: str) -> Path:
    """A table of the 10-05 system in mm times a scale, in which some cells are others."""
    places = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    rows = [
        f"{others.get(key, key)} {' '.join(str(1000 * scale * each) for each in xyz)} AgAgCl"
        for key, xyz in places.items()
    ]
    return write(folder / name, "name x y z material", "REF n/a n/a n/a n/a", *rows)


def in_bids(folder: Path, shared_data: Path) -> Path:
    """A real recording, in which a channel is marked bad."""
    path = folder / "sub-01/eeg/sub-01_task-film_eeg.edf"
    path.parent.mkdir(parents=True)
    path.symlink_to(shared_data / "eeg/S001R03.edf")
    with open_eeg(path) as file:
        rows = [f"{name} {'bad' if name == 'C3' else 'good'}" for name in file.ch_names]
    write(path.with_name("sub-01_task-film_channels.tsv"), "name status", *rows)
    return path


def mended(path: Path) -> np.ndarray:
    with open_eeg(path) as file, pytest.warns(RecordingWarning, match="interpolated"):
        return np.asarray(file.read(channels=["C3"])[0])


@pytest.mark.parametrize(
    "name",
    ["sub-01_electrodes.tsv", "sub-01_space-CapTrak_electrodes.tsv", "sub-01_space-Other_electrodes.tsv"],
)
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_electrodes_beside_a_recording_give_the_places(tmp_path, shared_data, name, scale):
    path = in_bids(tmp_path, shared_data)
    by_names = mended(path)
    electrodes(path.parent, name, scale)
    with open_eeg(path) as file, pytest.warns(RecordingWarning, match="measured"):
        file.read()
    assert path_of(path, "electrodes") == path.with_name(name)
    assert np.abs(mended(path) - by_names).max() < 0.02 * by_names.std()
    electrodes(path.parent, name, scale, C3="O2", O2="C3")  # another cap: C3 lies on the back of the head
    assert np.corrcoef(mended(path), by_names)[0, 1] < 0.9


def test_a_montage_that_is_named_counts_before_the_electrodes(tmp_path, shared_data):
    path = in_bids(tmp_path, shared_data)
    recipe = Recipe("eeg-epochs", {"channels": ["C3"], "montage": "biosemi64"})

    def epoch() -> np.ndarray:
        with pytest.warns(RecordingWarning, match="interpolated"), recipe.open(path) as stretch_of:
            return np.asarray(recipe.compute(stretch_of().cut(1.0, 5.0), stretch_of().rate))

    before = epoch()
    electrodes(path.parent, "sub-01_electrodes.tsv", C3="O2", O2="C3")
    assert np.array_equal(epoch(), before)


@pytest.mark.parametrize(
    "rows",
    [
        ("name x y z", "C3 0 zero 1"),
        ("name x y z", "C3 0 0 1"),
        ("label x y z", "C3 0 0 1"),
        ("name x y z", *(f"E{i} {i} {i * i} 0" for i in range(9))),
    ],
)
def test_electrodes_that_are_on_no_head_are_left_and_named(tmp_path, shared_data, rows):
    path = in_bids(tmp_path, shared_data)
    expected = mended(path)
    write(path.with_name("sub-01_electrodes.tsv"), *rows)
    with open_eeg(path) as file, pytest.warns(RecordingWarning) as caught:
        assert np.array_equal(file.read(channels=["C3"])[0], expected)
    assert any("electrodes" in str(each.message) for each in caught)


def test_electrodes_that_lack_the_bad_channel_leave_it_to_its_name(tmp_path, shared_data):
    path = in_bids(tmp_path, shared_data)
    expected = mended(path)
    electrodes(path.parent, "sub-01_electrodes.tsv", C3="AUX1")
    assert np.array_equal(mended(path), expected)


def test_electrodes_are_part_of_what_was_read(tmp_path, shared_data):
    path = in_bids(tmp_path, shared_data)
    table = electrodes(path.parent, "sub-01_electrodes.tsv")
    assert table in read_with(path)
