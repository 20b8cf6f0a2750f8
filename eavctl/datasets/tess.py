"""Layout ``tess``: the Toronto emotional speech set, by its file names.

Reference: Pichora-Fuller and Dupuis, Toronto emotional speech set (TESS), Borealis, 2020,
https://doi.org/10.5683/SP2/E8H2MF. A name such as ``OAF_back_angry`` has the speaker (OAF, the older, or YAF,
the younger actress), the word after "Say the word", and the emotion.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(
    r"(?P<speaker>OAF?|YAF)_(?P<word>[^_]+)_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)"
)
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "pleasant surprise",
    "sad": "sad",
}
SPEAKERS = {"OA": "OAF"}  # in one published name, OA_bite_neutral


@register("layouts", "tess", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read TESS, two English actresses: ``OAF_back_angry.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "tess", NAME, EMOTIONS, speakers=SPEAKERS)
