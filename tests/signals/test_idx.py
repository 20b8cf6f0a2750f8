"""Files of the format idx: read as they were written, in any order; damage and lies are refused by name."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.signals.idx import IdxFile, digest_of, index_of, read_labels


def pictures(n: int = 50, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width), dtype=np.uint8)


def packed(values: np.ndarray, shape: tuple[int, ...] | None = None, kind: int = 8) -> bytes:
    shape = shape or values.shape
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + values.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pictures_are_those_that_were_written_in_any_order(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    x = pictures()
    (tmp_path / "a").write_bytes(pack(packed(x)))
    with IdxFile(tmp_path / "a") as file:
        assert (file.n_pictures, file.height, file.width) == x.shape
        for index in (0, 1, 49, 3, 20, 0):
            assert np.array_equal(file.picture(index), x[index])
        assert np.array_equal(np.concatenate(list(file.blocks())), x)
        for index in (-1, 50):
            with pytest.raises(SignalError, match=f"no picture {index + 1} among 50"):
                file.picture(index)


def test_labels(tmp_path: Path) -> None:
    labels = np.arange(30, dtype=np.uint8) % 10
    (tmp_path / "a.gz").write_bytes(gzip.compress(packed(labels)))
    assert np.array_equal(read_labels(tmp_path / "a.gz"), labels)
    with pytest.raises(SignalError, match="not an idx file of pictures"):
        IdxFile(tmp_path / "a.gz")


X = packed(pictures())
HOSTILE = {
    "empty": (b"", "not an idx file"),
    "text": (b"PNG or not PNG, that is the question", "not an idx file"),
    "header cut": (X[:9], "not an idx file"),
    "floats": (packed(pictures(), kind=0x0D), "not unsigned bytes"),
    "no picture": (packed(pictures(0, 5, 7)), "empty"),
    "no width": (packed(pictures(3, 5, 0)), "empty"),
    "cut": (X[:-1], "cut off"),
    "longer": (X + b"1", "holds more than"),
    "a billion": (packed(pictures(), (1_000_000_000, 5, 7)), "too large"),
    "many": (packed(pictures(), (9_000_000, 5, 7)), "cut off"),
    "product of 2 ** 64": (packed(pictures(), (1 << 22, 1 << 21, 1 << 21)), "too large"),
    "four gigabytes": (packed(pictures(), (9_000_000, 28, 28)), "too large"),
    "packed: a billion": (gzip.compress(packed(pictures(), (1_000_000_000, 5, 7))), "too large"),
    "packed: many": (gzip.compress(packed(pictures(), (9_000_000, 5, 7))), "cut off"),
    "packed: a few more": (gzip.compress(packed(pictures(), (60, 5, 7))), "cut off after 50 of 60"),
    "packed: longer": (gzip.compress(X + b"1"), "holds more than"),
    "packed: cut": (gzip.compress(X)[:-300], "cut off"),
    "packed: header cut": (gzip.compress(X)[:12], "cut off"),
    "packed: wrong checksum": (gzip.compress(X)[:-8] + bytes(4) + gzip.compress(X)[-4:], "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_damage_and_lies_are_refused_by_name(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SignalError, match=f"{tmp_path / 'a'}: .*{reason}"), IdxFile(tmp_path / "a") as file:
        list(file.blocks())


def test_a_file_is_read_in_a_few_megabytes(tmp_path: Path) -> None:
    zeros = np.zeros((30_000, 28, 28), np.uint8)
    (tmp_path / "a").write_bytes(gzip.compress(packed(zeros)))
    del zeros
    tracemalloc.start()
    with IdxFile(tmp_path / "a") as file:
        n_read = sum(len(block) for block in file.blocks())
        file.picture(29_999)
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_read == 30_000
    assert peak < 8e6


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "no such file"), (tmp_path, "folder")):
        with pytest.raises(SignalError, match=reason):
            IdxFile(path)


def test_a_picture_is_known_by_its_pixels_and_its_size() -> None:
    x = pictures(2, 4, 6)
    assert digest_of(x[0]) == digest_of(x[0].copy()) != digest_of(x[1])
    assert digest_of(x[0]) != digest_of(x[0].reshape(6, 4))


@pytest.mark.parametrize(
    ("path", "trial", "index"),
    [
        ("train-images-idx3-ubyte", "1", 0),
        ("a/T10K-IMAGES.IDX3-UBYTE.GZ", "00012", 11),
        ("train-images-idx3-ubyte.gz", "twelve", None),
        ("train-images-idx3-ubyte.gz", None, None),
        ("train-images-idx3-ubyte.gz", "\u00b2", None),
        ("a.mp4", "12", None),
    ],
)
def test_trials_of_a_manifest_name_pictures(path: str, trial: str | None, index: int | None) -> None:
    assert index_of(path, trial) == index
