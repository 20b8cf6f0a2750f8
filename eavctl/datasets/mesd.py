"""Layout ``mesd``: the Mexican Emotional Speech Database, by its file names.

Reference: Duville, Alonso-Valerdi, Ibarra-Zarate, The Mexican Emotional Speech Database (MESD): elaboration
and assessment based on machine learning, IEEE EMBC 2021, https://doi.org/10.17632/cy34mh68j9. A name such as
``Anger_C_A_abajo`` has the emotion, the voice (F woman, M man, C child), the corpus of words (A or B), and
the word. It does not tell the speaker.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(
    r"(?P<emotion>Anger|Disgust|Fear|Happiness|Neutral|Sadness)_(?P<voice>[FMC])_[AB]_(?P<word>.+)"
)
EMOTIONS = {
    "Anger": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happiness": "happiness",
    "Neutral": "neutral",
    "Sadness": "sadness",
}


@register("layouts", "mesd", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read MESD, Mexican Spanish words, speakers not named: ``Anger_C_A_abajo.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "mesd", NAME, EMOTIONS)
