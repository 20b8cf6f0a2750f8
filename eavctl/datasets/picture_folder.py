"""Layout ``pictures``: a folder of pictures, in one folder per class or not, and by split or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eavctl.datasets.file_names import SPLITS
from eavctl.datasets.manifest import Manifest, build, media_files
from eavctl.registry import register
from eavctl.signals.endings import PICTURE_ENDINGS, is_picture, split_ending


def recognise(root: Path) -> bool:
    """Whether ``root`` is a picture, or a folder of pictures without other recordings."""
    if root.is_file():
        return is_picture(root.name)
    return (
        root.is_dir()
        and next(media_files(root, PICTURE_ENDINGS), None) is not None
        and next(media_files(root), None) is None
    )


@register("layouts", "pictures", recognise=recognise, priority=10, features="images")
def scan(root: Path) -> Manifest:
    """Read ``root/<class>/**/<clip>.<ending>``, ``root/<split>/<class>/...`` or ``root/<clip>.<ending>``.

    The folders in ``root`` are splits if all are named train, test, val, valid or validation. The name of a
    clip is its path without the ending; a picture that is in no folder of a class has no label.

    Raises
    ------
    DataError : no pictures.
    """
    folder = root.parent if root.is_file() else root
    paths = [root] if root.is_file() else list(media_files(root, PICTURE_ENDINGS))
    return build(_records(folder, paths), folder, "pictures")


def _records(folder: Path, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    places = [path.relative_to(folder) for path in paths]
    dataset = folder.resolve().name
    has_splits = all(len(place.parts) > 1 and place.parts[0].lower() in SPLITS for place in places)
    for place in places:
        above = place.parts[1:-1] if has_splits else place.parts[:-1]
        yield {
            "clip_id": split_ending(place.as_posix())[0],
            "dataset": dataset,
            "label": above[0] if above else None,
            "split": SPLITS[place.parts[0].lower()] if has_splits else None,
            "video_path": place.as_posix(),
        }
