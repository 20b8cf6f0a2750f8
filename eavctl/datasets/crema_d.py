"""Layout ``crema-d``: the Crowd-sourced Emotional Multimodal Actors Dataset, by its file names.

Reference: Cao et al., CREMA-D: crowd-sourced emotional multimodal actors dataset, IEEE Transactions on
Affective Computing 5(4), 2014; its README. A name such as ``1001_DFA_ANG_XX`` has the actor (1001 to 1091),
the sentence, the emotion that was acted, and its intensity: LO, MD, HI, or XX where none was asked for (one
published name ends with a single X).
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

NAME = re.compile(
    r"(?P<speaker>10\d\d)_(?P<sentence>IEO|TIE|IOM|IWW|TAI|MTI|IWL|ITH|DFA|ITS|TSI|WSI)"
    r"_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<intensity>LO|MD|HI|XX?)"
)
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}


@register("layouts", "crema-d", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read CREMA-D, 91 English actors: ``1001_DFA_ANG_XX.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "crema-d", NAME, EMOTIONS)
