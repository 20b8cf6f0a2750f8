"""Layout ``eeg``: EEG recordings in folders, or one; names of PhysioNet give the subject.

Recordings with names of BIDS are read by `eavctl.datasets.bids`.

References: Schalk et al., BCI2000, 2004, and Goldberger et al., PhysioNet, 2000, for the EEG motor movement
and imagery set (``S001R03.edf``: subject, run).
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.manifest import Manifest, build, first_files, media_files
from eavctl.registry import register
from eavctl.signals.endings import EEG_ENDINGS, split_ending

PHYSIONET = re.compile(r"(?P<subject>S\d{3})R\d\d")


def recognise(root: Path) -> bool:
    """Whether ``root`` is an EEG recording, or a folder of them that are not in class folders."""
    if root.is_file():
        return split_ending(root.name)[1] in EEG_ENDINGS
    first = first_files(root)
    return bool(first) and all(
        split_ending(path.name)[1] in EEG_ENDINGS and (path.parent == root or _facts(path)) for path in first
    )


@register("layouts", "eeg", recognise=recognise, priority=2)
def scan(root: Path) -> Manifest:
    """Read every EEG recording below ``root``, or ``root`` itself; only events can give labels.

    Raises
    ------
    DataError : no such recordings.
    """
    paths = [root] if root.is_file() else list(media_files(root, EEG_ENDINGS))
    folder = root.parent if root.is_file() else root
    records = [
        {
            "clip_id": split_ending(path.relative_to(folder).as_posix())[0],
            "dataset": folder.resolve().name,
            **_facts(path),
            "eeg_path": path.relative_to(folder).as_posix(),
        }
        for path in paths
    ]
    return build(records, folder, "eeg")


def _facts(path: Path) -> dict[str, str]:
    match = PHYSIONET.fullmatch(split_ending(path.name)[0])
    return match.groupdict() if match else {}
