"""Layout ``folder``: one folder per class, with recordings at any depth."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

from eavctl.datasets.manifest import Manifest, build, media_files, media_folders
from eavctl.registry import register
from eavctl.signals.endings import MEDIA_ENDINGS, columns_of, split_ending


def _is_class_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and next(media_files(path), None) is not None


def recognise(root: Path) -> bool:
    """Whether at least one folder in ``root`` holds recordings."""
    return root.is_dir() and any(_is_class_folder(path) for path in sorted(root.iterdir()))


@register("layouts", "folder", recognise=recognise, priority=9)
def scan(root: Path) -> Manifest:
    """Read ``root/<class>/**/<clip>.<ending>``; the name of a clip is its path without the ending.

    Files with the same name and different modalities are one clip. A recording that is in no folder of a
    class has no label.

    Raises
    ------
    DataError : no recordings in any folder.
    """
    return build(_records(root) if recognise(root) else (), root, "folder")


def _records(root: Path) -> Iterator[dict[str, str]]:
    dataset = root.resolve().name
    for name, paths in clips(root):
        label = {"label": PurePath(name).parts[0]} if "/" in name else {}
        yield {"clip_id": name, "dataset": dataset, **label, **paths}


def clips(root: Path, endings: Collection[str] = MEDIA_ENDINGS) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the clips below ``root``, folder by folder; those that repeat a modality of their name come last.

    Each is a name, the path without its ending, and the path of each modality by its column.
    """
    repeated = []
    for folder, names in media_folders(root, endings):
        where = PurePath(folder).relative_to(root)
        names.sort(key=lambda name: "\0".join(split_ending(name)))  # tuples of a million would take more
        for stem, same in itertools.groupby(names, key=lambda name: split_ending(name)[0]):
            clip, found = (where / stem).as_posix(), dict[str, str]()
            for name in same:
                paths = dict.fromkeys(columns_of(name), (where / name).as_posix())
                if found.keys() & paths.keys():
                    repeated.append((clip, paths))
                else:
                    found |= paths
            yield clip, found
    yield from repeated
