"""The layout of BIDS: data sets as mne-bids writes them, and odd ones made by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import mne
import pytest

from eavctl.datasets import manifest
from eavctl.datasets.events import Epochs, cut_at_events
from eavctl.errors import DataError
from eavctl.extraction.input_hash import InputHash
from eavctl.signals.eeg import open_eeg
from eavctl.storage.keys import MANIFEST_COLUMNS

RUNS = {("01", "a", "03"): "S001R03", ("01", "a", "04"): "S001R04", ("02", "b", "03"): "S001R07"}
PEOPLE = {"01": {"sex": 2, "hand": 1}, "02": {"sex": 1, "hand": 2}}  # by MNE's numbers: F, R; M, L


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """Three runs of PhysioNet's subject as two people, with a bad channel and one of another type."""
    from mne_bids import BIDSPath, write_raw_bids

    root = tmp_path_factory.mktemp("bids") / "motor"
    for (subject, session, run), name in RUNS.items():
        raw = mne.io.read_raw_edf(shared_data / f"eeg/{name}.edf", verbose="ERROR")
        raw.set_channel_types({"Fp1.": "eog"}, verbose="ERROR")
        raw.info["bads"] = ["Cz.."]
        raw.info["line_freq"] = 60
        raw.info["subject_info"] = PEOPLE[subject]
        path = BIDSPath(subject=subject, session=session, run=run, task="motor", datatype="eeg", root=root)
        write_raw_bids(raw, path, verbose="ERROR")
    return root


@pytest.fixture
def tree(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "motor")


def folder_of(tree: Path) -> Path:
    return tree / "sub-01/ses-a/eeg"


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_what_mne_bids_writes_gives_keys_and_participants(written: Path) -> None:
    found = manifest.find(written)
    assert (found.layout, found.rejected) == ("bids", ())
    rows = found.rows
    assert rows["clip_id"].tolist() == [f"sub-{s}_ses-{e}_task-motor_run-{r}" for s, e, r in RUNS]
    keys = list(zip(rows["subject"], rows["session"], rows["run"], strict=True))
    assert keys == list(RUNS)
    assert set(rows["task"]) == {"motor"}
    assert set(rows["dataset"]) == {"motor"}
    assert rows["sex"].tolist() == ["F", "F", "M"]
    assert rows["hand"].tolist() == ["R", "R", "L"]
    assert all((found.root / path).is_file() for path in rows["eeg_path"])


def test_the_channels_are_those_that_mne_bids_reads(written: Path) -> None:
    from mne_bids import BIDSPath, read_raw_bids

    path = BIDSPath(subject="01", session="a", run="03", task="motor", datatype="eeg", root=written)
    raw = read_raw_bids(path, verbose="ERROR")
    with open_eeg(path.fpath) as file:
        picks = mne.pick_types(raw.info, eeg=True, exclude=())
        assert [name.upper() for name in file.ch_names] == [raw.ch_names[i].strip(".").upper() for i in picks]
        assert "Fp1" not in file.ch_names
        assert file.bads == ("Cz",)


def test_the_events_are_those_of_the_recordings_before_they_were_written(
    written: Path, shared_data: Path
) -> None:
    epochs = Epochs({"T1": "left", "T2": "right"})
    found = cut_at_events(manifest.find(written).where({"subject": "02"}), epochs).rows
    expected = cut_at_events(manifest.find(shared_data / "eeg/S001R07.edf"), epochs).rows
    assert found["start"].tolist() == pytest.approx(expected["start"].tolist(), abs=1e-3)
    assert found["label"].tolist() == expected["label"].tolist()
    assert set(found["sex"]) == {"M"}


def test_events_tsv_comes_before_annotations(tree: Path) -> None:
    table = folder_of(tree) / "sub-01_ses-a_task-motor_run-03_events.tsv"
    table.write_text("onset\tduration\ttrial_type\n1.5\t2\tfilm\n7\t2\tfilm\n")
    found = cut_at_events(manifest.find(tree), Epochs({"film": "joy"})).rows
    assert found["start"].tolist() == [1.5, 7.0]
    with pytest.raises(DataError, match="film"):
        cut_at_events(manifest.find(folder_of(tree)), Epochs({"song": "joy"}))


def test_events_at_one_time_are_one_epoch_or_none(tree: Path) -> None:
    table = folder_of(tree) / "sub-01_ses-a_task-motor_run-03_events.tsv"
    rows = ("1 2 calm", "5 2 calm", "5 2 calm", "9 2 calm", "9 2 tense", "9 2 other", "n/a 2 calm")
    table.write_text("\n".join(("onset duration trial_type", *rows)).replace(" ", "\t"))
    found = cut_at_events(manifest.find(tree), Epochs({"calm": "calm", "tense": "tense"}))
    assert found.rows["start"].tolist() == [1.0, 5.0]
    reasons = sorted(bad["reason"] for bad in found.rejected)
    assert len(reasons) == 4  # a repetition, two that contradict each other, and one without an onset
    assert sum("calm, tense" in reason for reason in reasons) == 2


def test_a_recording_whose_events_cannot_be_read_is_rejected_alone(tree: Path) -> None:
    (folder_of(tree) / "sub-01_ses-a_task-motor_run-03_events.tsv").write_text("onset\tduration\n1\t2\n")
    found = cut_at_events(manifest.find(tree), Epochs({"T1": "left"}))
    assert len(found) > 10
    (bad,) = found.rejected
    assert "trial_type" in bad["reason"]
    assert bad["clip_id"] == "sub-01_ses-a_task-motor_run-03"


def test_a_changed_table_of_channels_is_a_changed_recording(tree: Path) -> None:
    def known() -> tuple[str, list[object]]:
        with InputHash(manifest.find(tree), "eeg") as inputs:
            return inputs.hash(), [each["stamp"] for each in inputs.records()]

    before, stamps = known()
    assert known() == (before, stamps)
    table = folder_of(tree) / "sub-01_ses-a_task-motor_run-03_channels.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("\tbad\t", "\tgood\t"), encoding="utf-8")
    after, new = known()
    assert after != before
    assert [a == b for a, b in zip(stamps, new, strict=True)] == [False, True, True]


@pytest.mark.parametrize("part", [".", "sub-01", "sub-01/ses-a", "sub-01/ses-a/eeg"])
def test_a_part_of_a_data_set_has_the_names_of_the_whole(written: Path, part: str) -> None:
    found = manifest.find(written / part)
    assert found.layout == "bids"
    row = found.rows.iloc[0]
    assert (row["clip_id"], row["dataset"], row["sex"]) == ("sub-01_ses-a_task-motor_run-03", "motor", "F")
    single = manifest.find(found.root / row["eeg_path"]).rows.iloc[0]
    assert (single["clip_id"], single["dataset"], single["sex"]) == (row["clip_id"], "motor", "F")


def test_derivatives_and_sources_are_left_out(tmp_path: Path) -> None:
    own = "sub-01/eeg/sub-01_task-x_eeg.set"
    make(tmp_path, own, f"derivatives/clean/{own}", f"sourcedata/{own}", "sourcedata/raw.edf", "code/a.wav",
         "stimuli/b.mp4", "sub-01/eeg/sub-01_task-x_eeg.json")  # fmt: skip
    assert manifest.find(tmp_path).rows["eeg_path"].tolist() == [own]
    derived = manifest.find(tmp_path / "derivatives/clean")
    assert (derived.layout, derived.rows["eeg_path"].tolist()) == ("bids", [own])


def test_other_recordings_of_a_described_data_set_are_left_out(tmp_path: Path) -> None:
    own = "sub-01/eeg/sub-01_task-x_eeg.vhdr"
    make(tmp_path, own, "sub-01/beh/sub-01_task-x_beh.wav", "sub-01/meg/sub-01_task-x_meg.fif",
         "sub-01/ieeg/sub-01_task-x_ieeg.edf", "sub-01/eeg/sub-01_task-x_eeg.mat")  # fmt: skip
    assert manifest.find(tmp_path).layout != "bids"
    make(tmp_path, "dataset_description.json")
    found = manifest.find(tmp_path)
    assert (found.layout, found.rows["eeg_path"].tolist()) == ("bids", [own])


def test_parts_of_a_large_file_and_second_formats_are_no_recordings_of_their_own(tmp_path: Path) -> None:
    make(tmp_path, *(f"sub-1_task-x_split-0{i}_eeg.fif" for i in (1, 2, 3)), "sub-1_task-y_eeg.edf",
         "sub-1_task-y_eeg.set")  # fmt: skip
    found = manifest.find(tmp_path)
    assert found.rows["clip_id"].tolist() == ["sub-1_task-x_split-01", "sub-1_task-y"]
    assert [bad["path"] for bad in found.rejected] == ["sub-1_task-y_eeg.set"]


def test_entities_that_are_called_like_keys_are_no_keys(tmp_path: Path) -> None:
    make(tmp_path, "sub-1_task-x_label-joy_fold-two_run-1_eeg.edf")
    (row,) = manifest.find(tmp_path).records()
    assert (row["task"], row["run"], row["entity_label"], row["entity_fold"]) == ("x", "1", "joy", "two")
    assert not {"label", "fold"} & row.keys()


def test_a_file_of_another_name_has_no_recordings_of_bids(tmp_path: Path) -> None:
    make(tmp_path, "S001R03.edf")
    with pytest.raises(DataError, match="no recordings"):
        manifest.find(tmp_path / "S001R03.edf", "bids")


def participants(root: Path, *rows: str) -> manifest.Manifest:
    make(root, "sub-01/eeg/sub-01_eeg.edf", "sub-02/eeg/sub-02_eeg.edf")
    (root / "participants.tsv").write_text("\n".join(rows))
    return manifest.find(root)


def test_participants_have_what_is_known_of_them(tmp_path: Path) -> None:
    found = participants(
        tmp_path, "participant_id\tage\tlabel\tgroup\tempty", "02\t31\tx\tpatient\tn/a", "sub-09\t4\t\t\t"
    )
    rows = found.rows.astype(object).where(found.rows.notna(), None)
    assert rows["age"].tolist() == [None, "31"]
    assert rows["group"].tolist() == [None, "patient"]
    assert rows["participant_label"].tolist() == [None, "x"]  # a key of eavctl's
    assert rows["label"].tolist() == [None, None]
    assert "empty" not in rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("id\tage", "sub-01\t3"), "participant_id"),
        (("participant_id\tage", "sub-01\t3", "01\t4"), "line 3 repeats the participant '01'"),
        (("participant_id", "sub-01\t3"), "line 2 has 2 cells"),
        ((), "empty"),
    ],
)
def test_participants_that_cannot_be_meant_are_errors(
    tmp_path: Path, rows: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        participants(tmp_path, *rows)
    assert "participants.tsv" in str(error.value)


def test_without_participants_tsv_there_are_no_extra_columns(tree: Path) -> None:
    (tree / "participants.tsv").unlink()
    found = manifest.find(tree).rows
    assert len(found) == 3
    assert set(found.columns) - set(MANIFEST_COLUMNS) == {"run"}
