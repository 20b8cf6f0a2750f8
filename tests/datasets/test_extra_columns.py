"""Extra columns of a manifest: whatever a layout's records have beside the known keys."""

from pathlib import Path

import pytest

from eavctl.datasets import manifest
from eavctl.storage.keys import MANIFEST_COLUMNS


def records(n: int, name: str, **extra: object) -> list[dict[str, object]]:
    return [{"clip_id": f"{name}{i:05d}", "audio_path": f"{name}{i}.wav", **extra} for i in range(n)]


@pytest.fixture
def found() -> manifest.Manifest:
    """Two batches, of which each lacks a column of the other."""
    several = [*records(manifest.BATCH, "b", age=31), *records(3, "a", hand="left", label="sad")]
    return manifest.build(several, Path("in"), "folder")


def test_they_follow_the_known_columns_as_text(found: manifest.Manifest) -> None:
    assert tuple(found.rows.columns) == (*MANIFEST_COLUMNS, "age", "hand")
    assert found.rows["age"].value_counts().to_dict() == {"31": manifest.BATCH}
    assert found.rows["hand"].tolist()[:4] == ["left", "left", "left", None]  # sorted by name


def test_they_are_kept_by_every_selection(found: manifest.Manifest) -> None:
    (only,) = found.taking([1]).records()
    assert (only["clip_id"], only["hand"]) == ("a00001", "left")
    assert "age" not in only
    labelled = found.where({"label": "sad"}).holding("audio")
    assert [row["hand"] for row in labelled.records()] == ["left"] * 3


def test_without_them_the_table_is_as_ever() -> None:
    assert tuple(manifest.build(records(2, "a"), Path("in"), "folder").table.column_names) == MANIFEST_COLUMNS
