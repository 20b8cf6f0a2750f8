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

    Files of one name are one clip, as long as no two have the same modality.

    Raises
    ------
    DataError : no recordings in any folder.
    """
    clips: dict[str, dict[str, str]] = {}
    repeated = []
    for path in media_files(root):
        if path.parent == root:
            continue
        clip, paths = path.relative_to(root).with_suffix("").as_posix(), paths_of(path, root)
        facts = {"clip_id": clip, "dataset": root.resolve().name, "label": path.relative_to(root).parts[0]}
        record = clips.setdefault(clip, facts)
        if record.keys() & paths.keys():
            repeated.append(facts | paths)
        else:
            record |= paths
    return build([*clips.values(), *repeated], root, "folder")
