"""Layout ``meld``: the Multimodal EmotionLines Dataset, utterances of a television series.

Reference: Poria et al., MELD: a multimodal multi-party dataset for emotion recognition in conversations, ACL
2019; its README. The utterance ``dia0_utt0.mp4`` is in a folder of its split (``train_splits``,
``dev_splits_complete``, ``output_repeated_splits_test``), and the same name is another utterance in another
split. ``train_sent_emo.csv``, ``dev_sent_emo.csv`` and ``test_sent_emo.csv`` hold speakers and labels.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from eavctl.datasets.file_names import matching, recogniser
from eavctl.datasets.manifest import Manifest, build, files_with
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.signals.endings import columns_of
from eavctl.storage.keys import MANIFEST_COLUMNS

NAME = re.compile(r"dia\d+_utt\d+")
TABLE = re.compile(r"(train|dev|test)_sent_emo\.csv")
SPLIT = re.compile(r"(?:^|[^a-z])(train|dev|test)(?:[^a-z]|$)", re.IGNORECASE)  # in the name of a folder
SPLITS = {"train": "train", "dev": "val", "test": "test"}
NEEDED = ("Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
NO_COLUMNS = (*NEEDED, "Sr No.")  # the others are extra columns
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def recognise(root: Path) -> bool:
    """Whether a folder has the names of MELD and at least one of its tables."""
    return recogniser(NAME)(root) and bool(_tables(root))


@register("layouts", "meld", recognise=recognise, priority=1)
def scan(root: Path) -> Manifest:
    """Read MELD, English dialogues: ``dia0_utt0.mp4`` in folders of splits, labels in ``*_sent_emo.csv``.

    The splits are ``train``, ``val`` (MELD's dev) and ``test``; a session is a dialogue. The other columns
    of the tables, such as ``Utterance`` and ``Sentiment``, become extra columns. Rows without a file are
    rejected if their split has files, and so are files without a row.

    Raises
    ------
    DataError : no such recordings, no table, or one that cannot be read or lacks a column.
    """
    tables = _tables(root)
    if not tables:
        raise DataError(f"{root}: holds none of the tables train_sent_emo.csv, dev_... and test_sent_emo.csv")
    known = {clip: facts for split, path in tables.items() for clip, facts in _rows(path, split)}
    records: dict[str, dict[str, str]] = {}
    rejected = []
    for path, match in sorted(matching(root, NAME), key=lambda each: len(columns_of(each[0].name))):
        relative = path.relative_to(root)
        split = _split(root.resolve().name, *relative.parent.parts)
        clip = f"{split}/{match[0]}"
        if clip not in known:
            why = f"no row in {split}_sent_emo.csv" if split else "in no folder of train, dev or test"
            rejected.append({"clip_id": clip, "path": relative.as_posix(), "reason": why})
            continue
        record = records.setdefault(clip, {"clip_id": clip, "dataset": "meld", **known[clip]})
        for column in columns_of(path.name):  # an audio file alone comes first
            record.setdefault(column, relative.as_posix())
    found = {clip.partition("/")[0] for clip in records}
    for clip in known.keys() - records.keys():
        if clip.partition("/")[0] in found:
            rejected.append({"clip_id": clip, "path": clip, "reason": "no such file"})
    rejected.sort(key=lambda each: (each["clip_id"], each["path"]))
    return build(records.values(), root, "meld", classes=EMOTIONS, rejected=rejected)


def _tables(root: Path) -> dict[str, Path]:
    """The table of each split."""
    paths = files_with(root, ".csv") if root.is_dir() else ()
    return {match[1]: path for path in paths if (match := TABLE.fullmatch(path.name))}


def _split(*folders: str) -> str:
    """The split that the innermost folder names that names one; empty if none does."""
    found = [match[1].lower() for folder in folders if (match := SPLIT.search(folder))]
    return found[-1] if found else ""


def _rows(path: Path, split: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and facts of each utterance of a table."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file, restkey="", restval=""))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    for line, row in enumerate(rows, start=2):
        if missing := [name for name in NEEDED if not row.get(name)]:
            raise DataError(f"{path}: row {line - 1} has no {missing[0]}")
        extra = {name: text for name, text in row.items() if name not in (*NO_COLUMNS, *MANIFEST_COLUMNS, "")}
        dialogue = f"{split}/dia{row['Dialogue_ID']}"
        keys = {
            "subject": row["Speaker"],
            "session": dialogue,
            "label": row["Emotion"],
            "split": SPLITS[split],
        }
        yield f"{dialogue}_utt{row['Utterance_ID']}", {**extra, **keys}
