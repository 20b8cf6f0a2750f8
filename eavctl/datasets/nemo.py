"""Layout ``nemo``: nEMO, Polish emotional speech, by its file names.

Reference: Christop, nEMO: dataset of emotional speech in Polish, LREC-COLING 2024. A name such as
``EB0_anger_12`` has the speaker, the emotion, and the number of the sentence.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
NAME = re.compile(rf"(?P<speaker>[A-Z]{{2}}\d)_(?P<emotion>{'|'.join(EMOTIONS)})_\d+")


@register("layouts", "nemo", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read nEMO, nine Polish speakers: ``EB0_anger_12.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "nemo", NAME, {name: name for name in EMOTIONS})
