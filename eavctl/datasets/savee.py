"""Layout ``savee``: Surrey Audio-Visual Expressed Emotion, by its file names.

Reference: Haq and Jackson, Multimodal emotion recognition, in: Machine Audition, IGI Global, 2010; the file
``Info.txt`` of the database. A name such as ``DC/a01`` or ``DC_a01`` has the speaker (DC, JE, JK, KL), the
first letters of the emotion, and the number of the sentence.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(r"(?P<speaker>DC|JE|JK|KL)[_/](?P<emotion>sa|su|[adfhn])(?P<sentence>\d\d)")
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


@register("layouts", "savee", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read SAVEE, four English speakers: ``DC/a01.wav`` or ``DC_a01.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "savee", NAME, EMOTIONS)
