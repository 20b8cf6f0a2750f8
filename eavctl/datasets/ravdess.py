"""Layout ``ravdess``: the Ryerson Audio-Visual Database of Emotional Speech and Song, by its file names.

Reference: Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE
13(5), 2018. A name is seven numbers: modality (01 sound and picture, 02 picture, 03 sound), channel
(01 speech, 02 song), emotion, intensity, statement, repetition, actor.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from eavctl.datasets.manifest import Manifest, build, media_files
from eavctl.registry import register

NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
TASKS = {"01": "speech", "02": "song"}
HOLDS = {"01": ("audio_path", "video_path"), "02": ("video_path",), "03": ("audio_path",)}
LOOK_AT = 50  # recordings, to recognise the data set


def recognise(root: Path) -> bool:
    """Tell whether the recordings below ``root`` are named as RAVDESS names them."""
    first = list(islice(media_files(root), LOOK_AT)) if root.is_dir() else []
    return bool(first) and all(NAME.fullmatch(path.stem) for path in first)


@register("layouts", "ravdess", recognise=recognise, priority=1)
def scan(root: Path) -> Manifest:
    """Read every recording below ``root`` whose name is RAVDESS's, whatever its folder.

    The modality is not part of a clip's name, so the sound and the picture of one take are one clip; a
    file of sound alone is preferred to the sound of a video.

    Raises
    ------
    DataError : no such recordings.
    """
    clips: dict[str, dict[str, str]] = {}
    repeated = []
    named = [path for path in media_files(root) if NAME.fullmatch(path.stem)]
    for path in sorted(named, key=lambda p: p.stem, reverse=True):  # sound alone first, then pictures
        modality, channel, emotion, *_, actor = path.stem.split("-")
        facts = {
            "clip_id": path.stem[3:],
            "dataset": "ravdess",
            "subject": f"actor{actor}",
            "task": TASKS[channel],
            "label": EMOTIONS[int(emotion) - 1],
        }
        record = clips.setdefault(path.stem[3:], facts)
        relative = path.relative_to(root).as_posix()
        new = {key: relative for key in HOLDS[modality] if key not in record}
        record |= new
        if not new:
            repeated.append(facts | dict.fromkeys(HOLDS[modality], relative))
    return build([*clips.values(), *repeated], root, "ravdess", classes=EMOTIONS)
