"""Hashes of files that are kept: what spares a file's reading, and what does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from eavctl.extraction import file_hashes
from eavctl.extraction.file_hashes import FileHashes
from eavctl.storage.provenance import hash_file


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from here on; all are taken for written long ago, and for worth it."""
    names: list[str] = []

    def hashed(file: Any) -> str:
        names.append(Path(file).name)
        return hash_file(file)

    monkeypatch.setattr(file_hashes, "hash_file", hashed)
    monkeypatch.setattr(file_hashes, "MANY_FILES", 1)
    monkeypatch.setattr(file_hashes, "SETTLED_NS", -(10**12))
    return names


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{number}.wav" for number in range(40)]
    for number, path in enumerate(found):
        path.write_bytes(bytes([number]) * 100)
    return found


def run(recordings: list[Path], **options: bool) -> list[str]:
    """Hash all, as an extraction of them does, and keep the hashes."""
    hashes = FileHashes(recordings[0].with_name("table.parquet"), **options)
    found = [hashes.of(each) for each in recordings]
    hashes.keep()
    return found


def test_unchanged_files_are_read_once(recordings: list[Path], read: list[str]) -> None:
    first = run(recordings)
    assert first == [hash_file(each) for each in recordings]
    assert len(read) == len(recordings)
    assert run(recordings) == first
    assert len(read) == len(recordings)


def test_a_file_of_the_same_size_and_time_that_has_changed_is_read(
    recordings: list[Path], read: list[str]
) -> None:
    run(recordings)
    read.clear()
    before = recordings[7].stat()
    recordings[7].write_bytes(b"x" * 100)
    os.utime(recordings[7], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(recordings)[7] == hash_file(recordings[7])
    assert read == ["7.wav"]


def test_only_new_files_are_read_and_what_is_gone_is_forgotten(
    recordings: list[Path], read: list[str]
) -> None:
    run(recordings[:30])
    read.clear()
    assert run(recordings[10:]) == [hash_file(each) for each in recordings[10:]]
    assert read == [each.name for each in recordings[30:]]
    read.clear()
    run(recordings)
    assert read == [each.name for each in recordings[:10]]


def test_afresh_reads_all(recordings: list[Path], read: list[str]) -> None:
    run(recordings)
    read.clear()
    run(recordings, afresh=True)
    assert len(read) == len(recordings)


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-5], lambda content: b"", lambda content: b"x" * 99]
)
def test_a_damaged_file_of_hashes_is_as_none(recordings: list[Path], read: list[str], damage: Any) -> None:
    first = run(recordings)
    (kept,) = recordings[0].parent.glob(".table.parquet.inputs")
    kept.write_bytes(damage(kept.read_bytes()))
    assert run(recordings) == first
    assert len(read) == 2 * len(recordings)


def test_what_was_written_a_moment_ago_and_few_files_are_not_kept(recordings: list[Path]) -> None:
    run(recordings)
    assert not list(recordings[0].parent.glob(".*"))
