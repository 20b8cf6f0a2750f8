"""Layout ``ravdess``: the Ryerson Audio-Visual Database of Emotional Speech and Song, by its file names.

Reference: Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE
13(5), 2018. A name is seven numbers: modality (01 audio and video, 02 video, 03 audio), channel (01 speech,
02 song), emotion, intensity, statement, repetition, actor.
"""

from __future__ import annotations

import re
from pathlib import Path

from eavctl.datasets.file_names import matching, recogniser
from eavctl.datasets.manifest import Manifest, build
from eavctl.registry import register

NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
TASKS = {"01": "speech", "02": "song"}
HOLDS = {"01": ("audio_path", "video_path"), "02": ("video_path",), "03": ("audio_path",)}


@register("layouts", "ravdess", recognise=recogniser(NAME), priority=1)
def scan(root: Path) -> Manifest:
    """Read RAVDESS, 24 English actors: ``03-01-05-01-01-01-07.wav``, in any folder.

    The name of a clip omits the modality, so audio and video of one recording are one clip. A file of audio
    alone is preferred to the audio of a video.

    Raises
    ------
    DataError : no such recordings.
    """
    clips: dict[str, dict[str, str]] = {}
    repeated = []
    named = sorted(matching(root, NAME), key=lambda each: each[0].stem, reverse=True)
    for path, match in named:  # audio alone first, then video
        modality, channel, emotion, *_, actor = match.groups()
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
