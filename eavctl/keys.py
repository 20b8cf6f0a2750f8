"""Names of what is known of a recording: the keys of every table, and the columns of a manifest."""

from __future__ import annotations

from typing import Any

KEYS = (
    "sample_id",
    "clip_id",
    "dataset",
    "subject",
    "session",
    "trial",
    "task",
    "start",
    "end",
    "label",
    "split",
    "fold",
)
PATHS = ("eeg_path", "audio_path", "video_path")
MANIFEST_COLUMNS = (*KEYS, *PATHS, "eeg_index")
KINDS: dict[str, type] = {"start": float, "end": float, "fold": int, "eeg_index": int}


def clean(name: str, value: Any) -> Any:
    """A key's value as every table has it: text, a number where `KINDS` says so, or None for nothing.

    Raises
    ------
    ValueError : it should be a number and is none.
    """
    if value is None or value != value or value == "":
        return None
    return KINDS.get(name, str)(value)
