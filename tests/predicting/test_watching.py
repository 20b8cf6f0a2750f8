"""Recordings that appear in a folder: each named once it is closed, and again when it is replaced."""

import os
import queue
import shutil
import sys
import threading

import pytest

from eavctl.errors import DataError

pytest.importorskip("watchfiles")
from eavctl.predicting.watching import WatchedFolder, _is_open_for_writing

WAIT_S = 20


@pytest.fixture
def watch(tmp_path):
    """Watches a folder in a thread; ``watch(folder)`` returns a function that waits for the next name."""

    def begin(folder, modalities=("audio",)):
        found = queue.Queue()
        watched = WatchedFolder(folder, modalities)

        def follow():
            try:
                for name in watched:
                    found.put(name)
            except Exception as error:  # such as that of a folder that is gone
                found.put(error)

        threading.Thread(target=follow, daemon=True).start()
        return lambda: found.get(timeout=WAIT_S)

    yield begin
    shutil.rmtree(tmp_path, ignore_errors=True)  # ends the threads


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_new_files_are_named_and_old_ones_are_not(watch, folder):
    (folder / "old.wav").write_bytes(b"1")
    following = watch(folder)
    os.chmod(folder / "old.wav", 0o600)
    (folder / "new.wav").write_bytes(b"1")
    assert following() == str(folder / "new.wav")


def test_a_file_is_named_when_its_writer_closes_it(watch, folder):
    following = watch(folder)
    with open(folder / "a.wav", "wb") as slow:
        slow.write(b"half")
        slow.flush()
        (folder / "b.wav").write_bytes(b"whole")
        assert following() == str(folder / "b.wav")  # settled as long as the first, which is open
        slow.write(b"the rest")
    assert following() == str(folder / "a.wav")


def test_files_and_folders_that_are_moved_in_count(watch, folder, tmp_path):
    following = watch(folder)
    (tmp_path / "a.wav").write_bytes(b"1")
    os.rename(tmp_path / "a.wav", folder / "a.wav")
    assert following() == str(folder / "a.wav")
    (folder / "b.wav.part").write_bytes(b"1")
    os.rename(folder / "b.wav.part", folder / "b.wav")
    assert following() == str(folder / "b.wav")
    (tmp_path / "day" / "night").mkdir(parents=True)
    (tmp_path / "day" / "night" / "c.wav").write_bytes(b"1")
    os.rename(tmp_path / "day", folder / "day")
    assert following() == str(folder / "day" / "night" / "c.wav")


def test_temporary_names_other_kinds_and_empty_files_are_left_alone(watch, folder):
    following = watch(folder)
    for name in (".hidden.wav", "a.wav.part", "a.wav.tmp", "notes.txt", "a.mat", "empty.wav"):
        (folder / name).write_bytes(b"" if name == "empty.wav" else b"1")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "b.wav").write_bytes(b"1")
    (folder / "last.wav").write_bytes(b"1")
    assert following() == str(folder / "last.wav")
    (folder / "empty.wav").write_bytes(b"1")
    assert following() == str(folder / "empty.wav")


def test_a_replaced_file_is_named_again_and_an_untouched_one_is_not(watch, folder, tmp_path):
    following = watch(folder)
    for _ in range(2):
        (tmp_path / "new").write_bytes(b"1")
        os.replace(tmp_path / "new", folder / "a.wav")
        assert following() == str(folder / "a.wav")
    os.chmod(folder / "a.wav", 0o600)
    (folder / "z.wav").write_bytes(b"1")
    assert following() == str(folder / "z.wav")
    with open(folder / "a.wav", "ab") as handle:
        handle.write(b"2")
    assert following() == str(folder / "a.wav")


def test_a_file_that_is_removed_at_once_is_forgotten(watch, folder):
    following = watch(folder)
    (folder / "a.wav").write_bytes(b"1")
    (folder / "a.wav").unlink()
    (folder / "b.wav").write_bytes(b"1")
    assert following() == str(folder / "b.wav")


def test_names_are_as_the_folder_is_named(watch, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    following = watch("in")
    (folder / "ż 🎭.wav").write_bytes(b"1")
    assert following() == os.path.join("in", "ż 🎭.wav")


def test_a_folder_that_is_not_there_or_goes_away_is_an_error(watch, folder):
    with pytest.raises(DataError, match="nowhere"):
        WatchedFolder(folder / "nowhere", ("audio",))
    following = watch(folder)
    folder.rmdir()
    assert isinstance(following(), DataError)


@pytest.mark.skipif(sys.platform != "linux", reason="leases are of Linux")
def test_the_kernel_tells_who_has_a_file_open(folder):
    path = folder / "a.wav"
    path.write_bytes(b"1")
    assert not _is_open_for_writing(path)
    with open(path, "rb"):
        assert not _is_open_for_writing(path)
    with open(path, "r+b"):
        assert _is_open_for_writing(path)
    assert not _is_open_for_writing(path)
    assert not _is_open_for_writing(folder / "nowhere.wav")


def test_of_tables_of_text_recordings_are_named(watch, folder):
    following = watch(folder, ("eeg",))
    (folder / "answers.csv").write_text("recording,pred\na.csv,calm\n")
    (folder / "headband.csv").write_text("timestamps,TP9\n0.0,1\n")
    assert following() == str(folder / "headband.csv")
