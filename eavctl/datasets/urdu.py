"""Layout ``urdu``: the URDU data set, emotional speech from talk shows, by its file names.

Reference: Latif, Qayyum, Usman, Qadir, Cross lingual speech emotion recognition: Urdu vs. Western languages,
FIT 2018. A name such as ``SM1_F10_A010`` has the speaker (SM man, SF woman), the number of the file, and the
first letter of the emotion with a number.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(r"(?P<speaker>S[FM]\d+)_F\d+_(?P<emotion>[AHNS])\d+")
EMOTIONS = {
    "A": "angry",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
}


@register("layouts", "urdu", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read URDU, 38 speakers: ``SM1_F10_A010.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "urdu", NAME, EMOTIONS)
