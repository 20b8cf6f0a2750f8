"""Layout ``eeg``: EEG recordings in folders, or one; their names can give subject and label.

Recordings with names of BIDS are read by `eavctl.datasets.bids`.

References: Schalk et al., BCI2000, 2004, and Goldberger et al., PhysioNet, 2000, for the EEG motor movement
and imagery set (``S001R03.edf``: subject, run).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from eavctl.datasets.affect import is_emotion
from eavctl.datasets.column_names import is_recording
from eavctl.datasets.manifest import Manifest, build, first_files, media_files
from eavctl.datasets.name_inference import suggest
from eavctl.datasets.name_patterns import NamePattern
from eavctl.registry import register
from eavctl.signals.endings import EEG_ENDINGS, TEXT_ENDINGS, split_ending

PHYSIONET = re.compile(r"(?P<subject>S\d{3})R\d\d")


def recognise(root: Path) -> bool:
    """Whether ``root`` is an EEG recording, or a folder of them that are not in class folders."""
    if root.is_file():
        ending = split_ending(root.name)[1]
        return ending in EEG_ENDINGS and (ending not in TEXT_ENDINGS or is_recording(root))
    first = first_files(root)
    return bool(first) and all(
        split_ending(path.name)[1] in EEG_ENDINGS and (path.parent == root or _facts(path)) for path in first
    )


@register("layouts", "eeg", recognise=recognise, priority=2)
def scan(root: Path) -> Manifest:
    """Read every EEG recording below ``root``, or ``root`` itself.

    Labels come from events, or from names: all names of a folder fit one pattern, by which a word for an
    emotion is the label (`eavctl.datasets.name_inference.suggest`). Names of PhysioNet give the subject.

    Raises
    ------
    DataError : no such recordings.
    """
    paths = [root] if root.is_file() else list(media_files(root, EEG_ENDINGS))
    folder = root.parent if root.is_file() else root
    places = [path.relative_to(folder).as_posix() for path in paths]
    clips = [split_ending(place)[0] for place in places]
    pattern = None if root.is_file() or any(map(_facts, paths)) else _pattern(clips)
    records = [
        {
            "clip_id": clip,
            "dataset": folder.resolve().name,
            **_facts(path),
            **((pattern and pattern.match(clip)) or {}),
            "eeg_path": place,
        }
        for path, place, clip in zip(paths, places, clips, strict=True)
    ]
    understood = (
        f"{folder.name}: people and labels by the names, as --pattern {shlex.quote(pattern.text)}"
        if pattern
        else ""
    )
    return build(records, folder, "eeg", understood=understood)


def _pattern(clips: Sequence[str]) -> NamePattern | None:
    """The pattern of the names, where it fits all of them and a label is a word for an emotion."""
    found = suggest(clips)
    if found is None or found.n_fitting < len(clips):
        return None
    pattern = NamePattern(found.pattern)
    labels = {fields["label"] for clip in clips if (fields := pattern.match(clip))}
    return pattern if any(map(is_emotion, labels)) else None


def _facts(path: Path) -> dict[str, str]:
    match = PHYSIONET.fullmatch(split_ending(path.name)[0])
    return match.groupdict() if match else {}
