"""HDF5 in a process of its own: what kills or stops that process is one bad file, and no more."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.signals import hdf5_process
from eavctl.signals.matlab import open_mat

REPOSITORY = Path(__file__).resolve().parents[2]
ARRAY = np.random.default_rng(0).normal(size=(8, 6, 40))


def saved(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("seg", data=ARRAY.T, chunks=(10, 6, 8), compression="gzip", fletcher32=True)
    return path


def with_empty_chunks(path):
    """Every chunk of the array is of 0 bytes: too short for its checksum, which HDF5 does not notice."""
    content = bytearray(saved(path).read_bytes())
    start = content.index(b"TREE\x01\x00")  # of chunks, at its lowest level
    key_bytes, n_chunks = 8 + 4 * 8 + 8, 4  # size, mask, place in four axes, address
    for i in range(n_chunks):
        content[start + 24 + i * key_bytes : start + 28 + i * key_bytes] = bytes(4)
    path.write_bytes(content)
    return path


def pid():
    return hdf5_process._processes[os.getpid()].pid


def is_running(number):
    """Whether a process is there and not merely waited for by nobody."""
    stat = Path(f"/proc/{number}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_crashes_hdf5_is_a_bad_file_and_the_next_is_read(tmp_path):
    """In a process of its own, which the crash would take along."""
    code = f"""
        from eavctl.errors import SignalError
        from eavctl.signals.matlab import open_mat
        for name, is_good in (("good", True), ("bad", False), ("bad", False), ("good", True)):
            try:
                with open_mat({str(tmp_path)!r} + f"/{{name}}.mat") as file:
                    assert len(list(file.slabs("seg"))) == 40
                    assert is_good, name
            except SignalError as error:
                assert not is_good, error
                assert "bad.mat: damaged" in str(error)
    """
    saved(tmp_path / "good.mat")
    with_empty_chunks(tmp_path / "bad.mat")
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_a_file_without_response_in_time_is_given_up(tmp_path, monkeypatch):
    with open_mat(saved(tmp_path / "x.mat")) as file:
        os.kill(pid(), signal.SIGSTOP)
        monkeypatch.setattr(hdf5_process, "TIMEOUT_S", 0.2)
        with pytest.raises(SignalError, match=r"x\.mat: damaged"):
            file.slab("seg", 0)
        monkeypatch.undo()
        assert np.array_equal(file.slab("seg", 3), ARRAY[:, :, 3])


def test_a_process_that_died_in_between_is_no_files_fault(tmp_path):
    with open_mat(saved(tmp_path / "x.mat")) as file:
        before = pid()
        os.kill(before, signal.SIGKILL)
        hdf5_process._processes[os.getpid()].wait()
        assert np.array_equal(file.slab("seg", 3), ARRAY[:, :, 3])
        assert pid() != before


def test_several_files_at_once_and_one_that_is_written_again(tmp_path):
    one, other = saved(tmp_path / "a.mat"), tmp_path / "b.mat"
    with h5py.File(other, "w") as file:
        file["label"] = np.eye(3)
    with open_mat(one) as first, open_mat(other) as second:
        for index in (0, 21, 3):
            assert np.array_equal(first.slab("seg", index), ARRAY[:, :, index])
            assert np.array_equal(second.read("label", 9), np.eye(3))
    with h5py.File(other, "w") as file:  # HDF5 locks what is open
        file["label"] = np.ones((2, 2))
    with open_mat(other) as second:
        assert second.read("label", 9).shape == (2, 2)


def test_forks_ask_their_own_process(tmp_path):
    with open_mat(saved(tmp_path / "x.mat")) as file:
        before = pid()
        child = os.fork()
        if not child:
            is_right = np.array_equal(file.slab("seg", 20), ARRAY[:, :, 20]) and pid() != before
            hdf5_process._stop()
            os._exit(0 if is_right else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert np.array_equal(file.slab("seg", 30), ARRAY[:, :, 30])
        assert pid() == before


def test_it_ends_with_its_parent_however_that_ends(tmp_path):
    code = f"""
        import os
        from eavctl.signals import hdf5_process
        from eavctl.signals.matlab import open_mat
        open_mat({str(saved(tmp_path / "x.mat"))!r})
        print(hdf5_process._processes[os.getpid()].pid, flush=True)
        os._exit(0)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    deadline = time.monotonic() + 20
    while is_running(int(found)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
