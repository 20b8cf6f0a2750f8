"""Layout ``emovo``: EMOVO, Italian emotional speech, by its file names.

Reference: Costantini, Iaderola, Paoloni, Todisco, EMOVO corpus: an Italian emotional speech database, LREC
2014. A name such as ``dis-f1-b1`` has the first letters of the emotion in Italian, the speaker (f1 to f3,
m1 to m3), and the sentence.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(r"(?P<emotion>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm][123])-(?P<sentence>[bdln]\d)")
EMOTIONS = {
    "dis": "disgust",
    "gio": "joy",
    "neu": "neutral",
    "pau": "fear",  # paura
    "rab": "anger",  # rabbia
    "sor": "surprise",
    "tri": "sadness",
}


@register("layouts", "emovo", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read EMOVO, six Italian speakers: ``dis-f1-b1.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "emovo", NAME, EMOTIONS)
