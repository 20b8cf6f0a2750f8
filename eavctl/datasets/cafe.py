"""Layout ``cafe``: the Canadian French Emotional speech data set, by its file names.

Reference: Gournay, Lahaie, Lefebvre, A Canadian French emotional speech dataset, ACM MMSys 2018,
https://doi.org/10.5281/zenodo.1478765. A name such as ``01-C-1-1`` has the actor (01 to 12), the first letter
of the emotion in French, the intensity (1 weak, 2 strong), and the sentence (1 to 6).
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(
    r"(?P<speaker>0[1-9]|1[0-2])-(?P<emotion>[CDJNPST])-(?P<intensity>[12])-(?P<sentence>[1-6])"
)
EMOTIONS = {
    "C": "anger",  # colère
    "D": "disgust",  # dégoût
    "J": "happiness",  # joie
    "N": "neutral",
    "P": "fear",  # peur
    "S": "surprise",
    "T": "sadness",  # tristesse
}


@register("layouts", "cafe", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read CaFE, 12 actors of Canadian French: ``01-C-1-1.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "cafe", NAME, EMOTIONS)
