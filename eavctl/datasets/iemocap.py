"""Layout ``iemocap``: the Interactive Emotional Dyadic Motion Capture database.

Reference: Busso et al., IEMOCAP: interactive emotional dyadic motion capture database, Language Resources
and Evaluation 42(4), 2008. A turn such as ``Ses01F_impro01_M003`` has the session, the actor who wears the
markers (F or M), the dialogue, improvised or scripted, and the actor who speaks with the number of the turn.
The label on which most annotators agree is in ``dialog/EmoEvaluation/<dialogue>.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eavctl.datasets.file_names import matching, recogniser
from eavctl.datasets.manifest import Manifest, build, files_with
from eavctl.errors import DataError
from eavctl.registry import register

DIALOGUE = r"(?P<dialogue>(?P<session>Ses0[1-5])[FM]_(?P<task>impro|script)\d\d[ab]?(?:_\d[ab]?)?)"
NAME = re.compile(rf"{DIALOGUE}(?:_(?P<speaker>[FM])(?:\d{{3}}|XX\d))?")
TASKS = {"impro": "improvised", "script": "scripted"}
LABELS = "EmoEvaluation"  # folder of the labels
LABEL = re.compile(  # times, turn, label; valence, activation and dominance, from 1 to 5
    r"\[[\d.]+ - [\d.]+\]\t(\w+)\t(\w+)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]"
)
DIMENSIONS = ("valence", "activation", "dominance")
EMOTIONS = {
    "neu": "neutral",
    "hap": "happiness",
    "ang": "anger",
    "sad": "sadness",
    "exc": "excited",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
}
DISAGREEMENT = "xxx"


@register("layouts", "iemocap", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read the turns of IEMOCAP, ten English actors: ``Ses01F_impro01_F000.wav``, in any folder.

    A person is the session with the actor who speaks (``Ses01_F``). Turns without a label, or on whose label
    the annotators do not agree, are rejected; whole dialogues are left out.

    Raises
    ------
    DataError : no such recordings, or no labels in a folder ``EmoEvaluation`` below ``root``.
    """
    labels = {turn: found for turn, *found in _labels(root)}
    records, rejected = [], []
    for path, match in matching(root, NAME):
        if match["speaker"] is None:
            continue
        turn, relative = match[0], path.relative_to(root).as_posix()
        code, *dimensions = labels.get(turn, [""])
        if code in EMOTIONS:
            record = {
                "clip_id": turn,
                "dataset": "iemocap",
                "subject": f"{match['session']}_{match['speaker']}",
                "session": match["session"],
                "task": TASKS[match["task"]],
                "label": EMOTIONS[code],
                "audio_path": relative,
                "dialogue": match["dialogue"],
            }
            records.append(record | dict(zip(DIMENSIONS, dimensions, strict=True)))
        else:
            rejected.append({"clip_id": turn, "path": relative, "reason": _why(code)})
    if (records or rejected) and not labels:
        raise DataError(f"{root}: holds no labels of IEMOCAP; name a folder with dialog/{LABELS}/*.txt too")
    return build(records, root, "iemocap", classes=tuple(EMOTIONS.values()), rejected=rejected)


def _labels(root: Path) -> Iterator[tuple[str, ...]]:
    """Turn, label, valence, activation and dominance of every turn that has been annotated."""
    for path in files_with(root, ".txt"):
        if path.parent.name == LABELS:
            yield from LABEL.findall(path.read_text(encoding="utf-8", errors="replace"))


def _why(code: str) -> str:
    if code == DISAGREEMENT:
        return f"the annotators do not agree on a label ({DISAGREEMENT})"
    return f"unknown label {code!r}" if code else f"no label in {LABELS}"
