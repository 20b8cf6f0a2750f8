"""Layouts of pictures: the MNIST family's files, and folders by class and by split."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from eavctl.datasets import manifest
from eavctl.errors import DataError


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 9, 8), dtype=np.uint8)


def write(path: Path, values: np.ndarray) -> None:
    """An idx file, packed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_both(folder: Path, name: str, x: np.ndarray, labels: np.ndarray, ending: str = ".gz") -> None:
    write(folder / f"{name}-images-idx3-ubyte{ending}", x)
    write(folder / f"{name}-labels-idx1-ubyte{ending}", labels.astype(np.uint8))


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """Twelve training pictures of the classes 0 to 11, and three test pictures."""
    folder = tmp_path / "mnist"
    write_both(folder, "train", pictures(12), np.arange(12))
    write_both(folder, "t10k", pictures(3, seed=1), np.array([2, 0, 10]), ending="")
    return folder


def test_pictures_have_the_names_numbers_and_splits_of_their_files(mnist: Path) -> None:
    found = manifest.find(mnist)
    assert found.layout == "idx"
    assert found.rows["clip_id"].tolist() == [
        *(f"t10k/{i}" for i in range(1, 4)),
        *(f"train/{i:02d}" for i in range(1, 13)),
    ]
    assert found.rows["trial"].tolist()[-2:] == ["11", "12"]
    assert found.rows["label"].tolist() == ["2", "0", "10", *map(str, range(12))]
    assert found.classes == tuple(map(str, range(12)))  # as numbers, not as text
    assert found.rows["split"].tolist() == ["test"] * 3 + ["train"] * 12
    assert set(found.rows["dataset"]) == {"mnist"}
    assert set(found.rows["video_path"]) == {"t10k-images-idx3-ubyte", "train-images-idx3-ubyte.gz"}
    assert found.rejected == ()


def test_a_file_alone_is_a_data_set(mnist: Path) -> None:
    found = manifest.find(mnist / "t10k-images-idx3-ubyte")
    assert found.rows["label"].tolist() == ["2", "0", "10"]
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    assert manifest.find(mnist / "t10k-images-idx3-ubyte").rows["label"].tolist() == [None] * 3


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("emnist-balanced-train", "train"), ("emnist-balanced-test", "test"), ("a.valid", "val"),
        ("retrained", None), ("all", None),
    ],
)  # fmt: skip
def test_splits_are_words_of_the_name(name: str, split: str | None, tmp_path: Path) -> None:
    write_both(tmp_path, name, pictures(2), np.array([0, 1]))
    assert manifest.find(tmp_path).rows["split"].tolist() == [split] * 2


def test_of_a_file_packed_and_unpacked_the_unpacked_one_is_read(mnist: Path) -> None:
    write(mnist / "train-images.idx3-ubyte", pictures(12))
    found = manifest.find(mnist)
    assert len(found) == 15
    assert set(found.rows["video_path"]) == {"t10k-images-idx3-ubyte", "train-images.idx3-ubyte"}


def test_training_pictures_that_are_tested_are_rejected_by_name(mnist: Path) -> None:
    x = pictures(12)
    x[4] = pictures(3, seed=1)[2]
    x[7] = x[6]  # a copy inside a split is no leak
    write(mnist / "train-images-idx3-ubyte.gz", x)
    found = manifest.find(mnist)
    assert [bad["clip_id"] for bad in found.rejected] == ["train/05"]
    assert "leak" in found.rejected[0]["reason"]
    assert "train/05" not in found.rows["clip_id"].tolist()
    assert len(found) == 14


@pytest.mark.parametrize("damage", ["pictures", "labels", "number"])
def test_a_damaged_file_is_rejected_and_the_others_are_used(damage: str, mnist: Path) -> None:
    if damage == "number":
        write(mnist / "train-labels-idx1-ubyte.gz", np.zeros(11, np.uint8))
    else:
        name = {"pictures": "train-images-idx3-ubyte.gz", "labels": "train-labels-idx1-ubyte.gz"}[damage]
        (mnist / name).write_bytes((mnist / name).read_bytes()[:-20])
    found = manifest.find(mnist)
    assert found.rows["clip_id"].tolist() == ["t10k/1", "t10k/2", "t10k/3"]
    assert [(bad["clip_id"], bad["path"]) for bad in found.rejected] == [
        ("train", "train-images-idx3-ubyte.gz")
    ]
    (mnist / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz"):
        manifest.find(mnist)


def test_a_manifest_names_pictures_by_their_numbers(mnist: Path) -> None:
    rows = ["path,trial,label", "train-images-idx3-ubyte.gz,3,c", "train-images-idx3-ubyte.gz,12,l"]
    (mnist / "m.csv").write_text("\n".join(rows))
    found = manifest.find(mnist / "m.csv")
    assert found.rows["trial"].tolist() == ["3", "12"]
    assert found.rows["clip_id"].is_unique


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_folders_of_pictures_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "sad/b.PNG", "sad/deep/c.jpeg", "happy/a.webp", "happy/notes.txt", "sad/._b.png")
    found = manifest.find(tmp_path)
    assert found.layout == "pictures"
    assert found.rows["clip_id"].tolist() == ["happy/a", "sad/b", "sad/deep/c"]
    assert found.rows["label"].tolist() == ["happy", "sad", "sad"]
    assert found.rows["split"].tolist() == [None] * 3
    assert found.rows["video_path"].tolist() == ["happy/a.webp", "sad/b.PNG", "sad/deep/c.jpeg"]


def test_folders_of_splits_hold_folders_of_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/sad/a.png", "Test/sad/a.png", "validation/happy/b.png")
    found = manifest.find(tmp_path)
    assert sorted(zip(found.rows["label"], found.rows["split"], strict=True)) == [
        ("happy", "val"), ("sad", "test"), ("sad", "train"),
    ]  # fmt: skip
    touch(tmp_path, "angry/c.png")  # then they are classes
    assert set(manifest.find(tmp_path).rows["split"]) == {None}


def test_pictures_without_folders_have_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.jpg")
    assert manifest.find(tmp_path).rows["label"].tolist() == [None, None]
    assert manifest.find(tmp_path / "b.png").rows["clip_id"].tolist() == ["b"]


def test_figures_beside_recordings_are_no_recordings(tmp_path: Path) -> None:
    touch(tmp_path, "sad/a.wav", "sad/a.png", "sad/figure.png", "happy/b.wav")
    found = manifest.find(tmp_path)
    assert found.layout == "folder"
    assert found.rows["clip_id"].tolist() == ["happy/b", "sad/a"]
    assert found.rows["video_path"].tolist() == [None, None]
