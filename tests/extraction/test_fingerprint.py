from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from eavctl.extraction.fingerprint import N_BLOCKS, WHOLE_BYTES, fingerprint, of_trial


def test_a_recording_is_known_by_content_whatever_its_path(tmp_path: Path, shared_data: Path) -> None:
    clip = next((shared_data / "ravdess-native").glob("*.wav"))
    copy = Path(shutil.copy(clip, tmp_path / "other name.wav"))
    assert fingerprint(copy) == fingerprint(clip) == fingerprint(io.BytesIO(clip.read_bytes()))
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    assert fingerprint(copy) != fingerprint(clip)


def test_an_open_file_is_left_at_its_start() -> None:
    file = io.BytesIO(b"abc")
    fingerprint(file)
    assert file.read() == b"abc"


@pytest.mark.parametrize("size", [WHOLE_BYTES, WHOLE_BYTES + 1, 5 * WHOLE_BYTES])
def test_large_files_are_told_apart_by_their_parts_and_their_size(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    (tmp_path / "a").write_bytes(content.tobytes())
    whole = fingerprint(tmp_path / "a")
    (tmp_path / "b").write_bytes(content[:-1].tobytes())
    assert fingerprint(tmp_path / "b") != whole
    for place in np.linspace(0, size - 1, N_BLOCKS).astype(int):
        changed = content.copy()
        changed[place] ^= 1
        (tmp_path / "b").write_bytes(changed.tobytes())
        assert fingerprint(tmp_path / "b") != whole


def test_headers_alike_are_told_apart_by_their_data(tmp_path: Path) -> None:
    """Two BrainVision headers can be the same to the byte, where their folders say whose they are."""
    for name, sample in (("s1", b"\0\0"), ("s2", b"\1\0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rec.vhdr").write_bytes(b"Brain Vision\r\nDataFile=rec.eeg\r\n")
        (tmp_path / name / "rec.eeg").write_bytes(sample)
    assert fingerprint(tmp_path / "s1/rec.vhdr") != fingerprint(tmp_path / "s2/rec.vhdr")


def test_what_cannot_be_read_has_no_name(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "none") is None
    assert fingerprint(tmp_path) is None
    assert of_trial(None, 3) is None
    assert (of_trial("ab", 0), of_trial("ab", None)) == ("ab#1", "ab")
