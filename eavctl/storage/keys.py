"""Names of what is known of a recording: the keys of every table, and the columns of a manifest."""

from __future__ import annotations

import math
from typing import Any

KEYS = (
    "sample_id",
    "clip_id",
    "dataset",
    "subject",
    "session",
    "trial",
    "recording",
    "task",
    "start",
    "end",
    "label",
    "split",
    "fold",
)
AGREEING_KEYS = ("label", "subject", "clip_id")  # equal in every table that has the sample
PATHS = ("eeg_path", "audio_path", "video_path")
# What recording a row is of is told by the file's content, never by a manifest.
MANIFEST_COLUMNS = (*(name for name in KEYS if name != "recording"), *PATHS, "eeg_index")
KINDS: dict[str, type] = {"start": float, "end": float, "fold": int, "eeg_index": int}


def clean(name: str, value: Any) -> Any:
    """A key's value as every table has it, or None for nothing.

    Texts have no space at their ends (paths keep theirs: file names can have some); `KINDS` says what are
    numbers.

    Raises
    ------
    ValueError : it should be a number and is none, or is not finite.
    """
    if isinstance(value, str) and name not in PATHS:
        value = value.strip()
    if value is None or value != value or value == "":
        return None
    found = KINDS.get(name, str)(value)
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{name} is {value!r}")
    return found
