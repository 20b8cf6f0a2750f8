"""Layout ``emodb``: the Berlin Database of Emotional Speech, by its file names.

Reference: Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: A database of German emotional speech, Interspeech
2005. A name such as ``03a01Fa`` has the speaker (03, and 08 to 16), the text (such as a01 or b10), the
first letter of the emotion in German, and the version.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from eavctl.datasets.manifest import Manifest, build, media_files
from eavctl.registry import register

NAME = re.compile(r"(03|08|09|1[0-6])(?:a0[12457]|b0[1239]|b10)([WLEAFTN])[a-f]")
EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
N_INSPECTED = 50  # recordings, to recognise the data set


def recognise(root: Path) -> bool:
    """Whether the recordings below ``root`` have names of EmoDB."""
    first = list(islice(media_files(root), N_INSPECTED)) if root.is_dir() else []
    return bool(first) and all(NAME.fullmatch(path.stem) for path in first)


@register("layouts", "emodb", recognise=recognise, priority=1)
def scan(root: Path) -> Manifest:
    """Read every recording below ``root`` that has a name of EmoDB, in any folder.

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
                    "dataset": "emodb",
                    "subject": speaker,
                    "label": EMOTIONS[emotion],
                    "audio_path": path.relative_to(root).as_posix(),
                }
            )
    return build(records, root, "emodb", classes=tuple(EMOTIONS.values()))
