"""Layout ``folder``: one folder per class, with recordings at any depth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path, PurePath

from eavctl.datasets.manifest import Manifest, build, media_files, media_folders
from eavctl.registry import register
from eavctl.signals.endings import columns_of, split_ending


def _is_class_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and next(media_files(path), None) is not None


def recognise(root: Path) -> bool:
    """Whether at least one folder in ``root`` holds recordings."""
    return root.is_dir() and any(_is_class_folder(path) for path in sorted(root.iterdir()))


@register("layouts", "folder", recognise=recognise, priority=9)
def scan(root: Path) -> Manifest:
    """Read ``root/<class>/**/<clip>.<ending>``; the name of a clip is its path without the ending.

    Files with the same name and different modalities are one clip.

    Raises
    ------
    DataError : no recordings in any folder.
    """
    return build(_records(root), root, "folder")


def _records(root: Path) -> Iterator[dict[str, str]]:
    """Yield the clips, folder by folder; those that repeat a modality of their name come last."""
    dataset = root.resolve().name
    repeated = []
    for folder, names in media_folders(root):
        where = PurePath(folder).relative_to(root)
        if not where.parts:
            continue
        for stem, same in itertools.groupby(sorted((*split_ending(n), n) for n in names), key=itemgetter(0)):
            facts = {"clip_id": f"{where.as_posix()}/{stem}", "dataset": dataset, "label": where.parts[0]}
            record = dict(facts)
            for *_, name in same:
                paths = dict.fromkeys(columns_of(name), f"{where.as_posix()}/{name}")
                if record.keys() & paths.keys():
                    repeated.append(facts | paths)
                else:
                    record |= paths
            yield record
    yield from repeated
