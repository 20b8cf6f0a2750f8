"""Layout ``folder``: one folder a class, recordings at any depth inside it."""

from __future__ import annotations

from pathlib import Path

from eavctl.datasets.manifest import Manifest, build, media_files, paths_of
from eavctl.registry import register


def _is_class_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and next(media_files(path), None) is not None


def recognise(root: Path) -> bool:
    """Tell whether at least one folder in ``root`` holds recordings."""
    return root.is_dir() and any(_is_class_folder(path) for path in sorted(root.iterdir()))


@register("layouts", "folder", recognise=recognise, priority=9)
def scan(root: Path) -> Manifest:
    """Read ``root/<class>/**/<clip>.<ending>``; the clip's name is its path without the ending.

    Raises
    ------
    DataError : no recordings in any folder.
    """
    records = [
        {
            "clip_id": path.relative_to(root).with_suffix("").as_posix(),
            "dataset": root.resolve().name,
            "label": path.relative_to(root).parts[0],
            **paths_of(path, root),
        }
        for path in media_files(root)
        if len(path.relative_to(root).parts) > 1
    ]
    return build(records, root, "folder")
