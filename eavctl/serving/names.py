"""Plain names for the files of a request: labels that never lead to another file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eavctl.errors import UsageError
from eavctl.signals.endings import (
    BRAINVISION_ENDING,
    FIF_ENDINGS,
    MEDIA_ENDINGS,
    PICTURE_ENDINGS,
    TEXT_ENDINGS,
    split_ending,
)

ANY = "file"  # field of a recording whose modalities are in one file
FIELDS = ("eeg", "audio", "video", ANY)
# A BrainVision header names the file of its samples, and a FIF file the one that continues it: any file. So
# does a table of text that is a manifest and no recording.
ENDINGS = (MEDIA_ENDINGS | PICTURE_ENDINGS) - {BRAINVISION_ENDING, *FIF_ENDINGS, *TEXT_ENDINGS}
UNNAMED, LONGEST_BYTES = "recording", 200  # a file system takes 255, with the ending and the field
REPLACED = re.compile(r"[^\w .()+@=,'-]")


def plain_name(name: str) -> str:
    """A label of a file as a name that can be written into a folder of its own, and names nothing else.

    Folders are left out, and unusual characters become ``_``.

    Parameters
    ----------
    name : as the client gives it; empty for a recording without a name.

    Raises
    ------
    UsageError : the ending is none of a recording's, or of one that names other files.
    """
    last = REPLACED.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .-")
    stem, ending = split_ending(last)
    if ending and ending not in ENDINGS:
        raise UsageError(f"{last}: not the ending of a recording; these are {', '.join(sorted(ENDINGS))}")
    cut = stem.encode()[:LONGEST_BYTES].decode(errors="ignore").strip()
    return (cut or UNNAMED) + last[len(stem) :]


def distinct(names: Sequence[str], fields: Sequence[str]) -> list[str]:
    """The names, each after its field where two are equal, in lower case or not."""
    folded = [name.casefold() for name in names]
    is_distinct = len(set(folded)) == len(folded)
    return [name if is_distinct else f"{field}_{name}" for name, field in zip(names, fields, strict=True)]
