"""Layout ``jl-corpus``: the JL corpus, emotional speech in New Zealand English, by its file names.

Reference: James, Tian, Watson, An open source emotional speech corpus for human robot interaction
applications, Interspeech 2018. A name such as ``female1_angry_10a_1`` has the speaker, the emotion, the
sentence, and the session (1 or 2) in which it was said.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import acted_speech, recogniser
from eavctl.datasets.manifest import Manifest
from eavctl.registry import register

PRIMARY = ("angry", "sad", "neutral", "happy", "excited")
SECONDARY = ("anxious", "apologetic", "assertive", "concerned", "encouraging")
EMOTIONS = {name: name for name in (*PRIMARY, *SECONDARY)}
NAME = re.compile(
    rf"(?P<speaker>(?:fe)?male[12])_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<sentence>\d+[ab])_(?P<session>[12])"
)


@register("layouts", "jl-corpus", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read the JL corpus, four speakers of New Zealand English: ``female1_angry_10a_1.wav``, in any folder.

    Raises
    ------
    DataError : no such recordings.
    """
    return acted_speech(root, "jl-corpus", NAME, EMOTIONS)
