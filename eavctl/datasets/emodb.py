"""Layout ``emodb``: the Berlin Database of Emotional Speech, by its file names.

Reference: Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: A database of German emotional speech, Interspeech
2005. A name such as ``03a01Fa`` has the speaker (03, and 08 to 16), the text (such as a01 or b10), the
first letter of the emotion in German, and the version.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(r"(?P<speaker>03|08|09|1[0-6])(?:a0[12457]|b0[1239]|b10)(?P<emotion>[WLEAFTN])[a-f]")
EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}


@register("layouts", "emodb", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read EmoDB, ten German speakers: ``03a01Fa.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "emodb", NAME, EMOTIONS)
