"""The key columns of every table, and the columns of a manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable
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
# Only in tables with altered copies: the name of a copy, null for the recordings themselves. The sample_id of
# a copy is that of its recording, COPY and the name; all other keys are those of its recording.
AUGMENT, COPY = "augment", "#"
AGREEING_KEYS = ("label", "subject", "clip_id")  # equal in every table that has the sample
PATHS = ("eeg_path", "audio_path", "video_path")
# The recording of a row is identified by the content of its file, never by a manifest.
MANIFEST_COLUMNS = (*(name for name in KEYS if name != "recording"), *PATHS, "eeg_index")
KINDS: dict[str, type] = {"start": float, "end": float, "fold": int, "eeg_index": int}


def extras(names: Iterable[Any]) -> list[str]:
    """Of the names of columns, those of extra columns: no key of eavctl, text that travels with the rows."""
    return [str(name) for name in names if name not in (*MANIFEST_COLUMNS, "recording", AUGMENT)]


def clean(name: str, value: Any) -> Any:
    """Convert the value of a key column to its type; None for an empty or missing value.

    Texts are stripped, except paths, since file names can begin or end with spaces. `KINDS` holds the types
    of numbers.

    Raises
    ------
    ValueError : not a number where one is needed, or not finite.
    """
    if isinstance(value, str) and name not in PATHS:
        value = value.strip()
    if value is None or value != value or value == "":
        return None
    found = KINDS.get(name, str)(value)
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{name} is {value!r}")
    return found
