"""The layout of EEG recordings in one folder: which files count, and what names tell."""

import pytest

from eavctl.datasets import manifest
from eavctl.errors import DataError
from tests.signals.made_streams import eeg, write_csv

ROWS = "timestamps,TP9,AF7\n0.000,1.5,2.5\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "eeg").mkdir()
    return tmp_path / "eeg"


def put(folder, *names, content=ROWS):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def test_of_tables_only_recordings_count(folder):
    put(folder, "a.csv", "b.tsv", "c.txt", "D.CSV")
    put(folder, "people.csv", content="subject,age\nanna,30\n")
    put(folder, "notes.txt", content="the headband slipped at timestamps 3, TP9\n")
    put(folder, "empty.csv", content="")
    (folder / "random.csv").write_bytes(bytes(range(256)) * 20)
    found = manifest.find(folder)
    assert found.layout == "eeg"
    assert [record["clip_id"] for record in found.records()] == ["D", "a", "b", "c"]


def test_names_with_words_for_emotions_give_labels_and_people(folder):
    put(folder, *(f"{p}-{c}-{t}.csv" for p in ("anna", "ben") for c in ("calm", "thinking") for t in (1, 2)))
    found = manifest.find(folder)
    assert "{subject}-{label}-{take}" in found.understood
    assert found.classes == ("calm", "thinking")
    assert found.distinct("subject") == {("anna",), ("ben",)}


@pytest.mark.parametrize(
    "names",
    [
        [f"{p}-{c}-{t}.csv" for p in ("anna", "ben") for c in ("left", "right") for t in (1, 2)],
        [
            "anna-calm-1.csv",
            "anna-sad-2.csv",
            "ben-calm-1.csv",
            "ben-sad-1.csv",
            "pilot.csv",
        ],  # one does not fit
        ["calm.csv"],
    ],
)
def test_other_names_give_no_labels(folder, names):
    put(folder, *names)
    found = manifest.find(folder)
    assert found.classes == ()
    assert found.understood == ""
    assert found.distinct("subject") == {(None,)}


def test_names_of_physionet_are_read_as_before(folder):
    put(folder, "S001R03.csv", "S002R03.csv")
    assert manifest.find(folder).distinct("subject") == {("S001",), ("S002",)}


def test_one_recording_and_a_manifest_of_the_same_ending(folder):
    put(folder, "anna-calm-1.csv", "ben-sad-1.csv")
    assert manifest.find(folder / "anna-calm-1.csv").layout == "eeg"
    put(folder, "list.csv", content="path,time,label\nanna-calm-1.csv,1,x\nben-sad-1.csv,2,y\n")
    listed = manifest.find(folder / "list.csv")
    assert listed.layout == "csv"
    assert listed.classes == ("x", "y")
    assert manifest.find(folder).distinct("clip_id") == {("anna-calm-1",), ("ben-sad-1",)}


def test_a_table_that_is_neither_says_what_a_recording_needs(folder):
    put(folder, "a.csv", content="timestamps,first,second\n0,1,2\n")
    with pytest.raises(DataError, match="EEG needs channels"):
        manifest.find(folder / "a.csv")


def test_recordings_in_folders_of_classes_beside_other_tables(folder):
    put(folder, "calm/1.csv", "sad/1.csv")
    put(folder, "labels.csv", "calm/facts.csv", content="subject,label\na,b\n")
    found = manifest.find(folder)
    assert found.layout == "folder"
    assert found.distinct("clip_id", "label") == {("calm/1", "calm"), ("sad/1", "sad")}


def test_sound_with_transcripts_stays_sound(folder):
    put(
        folder,
        "sad/1.wav",
        "sad/1.txt",
        "happy/1.wav",
        "happy/1.txt",
        content="Time, Cz, he said\nNo, I, think\n",
    )
    found = manifest.find(folder)
    assert found.distinct("audio_path", "eeg_path") == {("happy/1.wav", None), ("sad/1.wav", None)}


def test_a_link_to_a_recording_counts(folder, tmp_path):
    write_csv(tmp_path / "real.csv", eeg(5, 1))
    (folder / "a.csv").symlink_to(tmp_path / "real.csv")
    (folder / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    assert len(manifest.find(folder)) == 1
