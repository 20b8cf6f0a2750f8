"""Layout ``aesdd``: the Acted Emotional Speech Dynamic Database, by its file names.

Reference: Vryzas, Kotsakis, Liatsou, Dimoulas, Kalliris, Speech emotion recognition for performance
interaction, Journal of the Audio Engineering Society 66(6), 2018. A file such as ``anger/a01 (1)`` has the
first letter of the emotion, which is that of its folder, the number of the utterance, and the speaker.
Without the folder, the name could be that of a copy, as Windows names them.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(
    r"(?P<emotion>[adfhs])(?:nger|isgust|ear|appiness|adness)/(?P=emotion)(?P<utterance>\d\d)"
    r" \((?P<speaker>\d)\)"
)
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "s": "sadness",
}


@register("layouts", "aesdd", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read AESDD, Greek actors: ``anger/a01 (1).wav``, in folders of emotions.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "aesdd", NAME, EMOTIONS)
