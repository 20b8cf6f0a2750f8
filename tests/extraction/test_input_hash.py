"""What an extraction reads and hashes is the same, or it says so."""

import os
from collections import deque

import pytest

from eavctl.datasets.manifest import find
from eavctl.errors import DataError
from eavctl.extraction.input_hash import InputHash


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sad").mkdir()
    for name in "ab":
        (tmp_path / f"sad/{name}.wav").write_bytes(name.encode())
    return tmp_path


def gone_through(folder, modality="audio"):
    inputs = InputHash(find(folder), modality)
    deque(inputs.records(), maxlen=0)
    return inputs


def test_the_hash_is_of_content_and_not_of_times(folder):
    with gone_through(folder) as inputs:
        inputs.check()
    os.utime(folder / "sad/a.wav", (1, 1))
    with gone_through(folder) as later:
        later.check()
        assert later.hash() == inputs.hash()
    (folder / "sad/a.wav").write_bytes(b"c")
    with gone_through(folder) as changed:
        assert changed.hash() != inputs.hash()


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"cd"), lambda path: path.unlink()])
def test_a_recording_that_changes_between_reading_and_hashing_is_no_table(folder, change):
    inputs = gone_through(folder)
    change(folder / "sad/b.wav")
    with inputs, pytest.raises(DataError, match="changed while they were read"):
        inputs.check()


def test_the_samples_beside_a_header_are_part_of_the_recording(tmp_path, shared_data):
    for name in ("testbva.vhdr", "testbva.vmrk", "testbva.dat"):
        (tmp_path / name).write_bytes((shared_data / "eeg" / name).read_bytes())
    with gone_through(tmp_path, "eeg") as inputs:
        first = inputs.hash()
    samples = bytearray((tmp_path / "testbva.dat").read_bytes())
    samples[len(samples) // 2] ^= 1
    (tmp_path / "testbva.dat").write_bytes(samples)
    with gone_through(tmp_path, "eeg") as changed:
        assert changed.hash() != first
