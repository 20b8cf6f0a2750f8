"""Layout ``nemo``: nEMO, Polish emotional speech, by its file names.

Reference: Christop, nEMO: dataset of emotional speech in Polish, LREC-COLING 2024. A name such as
``EB0_anger_12`` has the speaker, the emotion, and the number of the sentence.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from eavctl.datasets.manifest import Manifest, build, media_files
from eavctl.registry import register

EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
NAME = re.compile(rf"([A-Z]{{2}}\d)_({'|'.join(EMOTIONS)})_\d+")
N_INSPECTED = 50  # recordings, to recognise the data set


def recognise(root: Path) -> bool:
    """Whether the recordings below ``root`` have names of nEMO."""
    first = list(islice(media_files(root), N_INSPECTED)) if root.is_dir() else []
    return bool(first) and all(NAME.fullmatch(path.stem) for path in first)


@register("layouts", "nemo", recognise=recognise, priority=1)
def scan(root: Path) -> Manifest:
    """Read every recording below ``root`` that has a name of nEMO, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    records = []
    for path in media_files(root):
        if parts := NAME.fullmatch(path.stem):
            speaker, emotion = parts.groups()
            records.append(
                {
                    "clip_id": path.stem,
                    "dataset": "nemo",
                    "subject": speaker,
                    "label": emotion,
                    "audio_path": path.relative_to(root).as_posix(),
                }
            )
    return build(records, root, "nemo", classes=EMOTIONS)
