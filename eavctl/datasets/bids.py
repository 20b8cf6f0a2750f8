"""Layout ``bids``: EEG in the Brain Imaging Data Structure, by its names and tables.

Reference: Pernet et al., EEG-BIDS, Scientific Data 6, 2019. `eavctl.signals.bids` reads names and tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from eavctl.datasets.manifest import N_INSPECTED, Manifest, build, first_files, media_files
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.signals.bids import data_set_of, entities_of, read_table
from eavctl.signals.endings import EEG_ENDINGS, MATLAB_ENDING, TEXT_ENDINGS, XDF_ENDINGS, split_ending
from eavctl.storage.keys import KEYS, MANIFEST_COLUMNS

DESCRIPTION, PARTICIPANTS = "dataset_description.json", "participants.tsv"
PARTICIPANT = "participant_id"
ENDINGS = tuple(each for each in EEG_ENDINGS if each not in (MATLAB_ENDING, *XDF_ENDINGS, *TEXT_ENDINGS))
SUFFIX = "_eeg"
KEY_OF = {"sub": "subject", "ses": "session", "task": "task"}
SPLIT, FIRST_SPLIT = "split", 1  # parts of a large FIF file; reading the first reads all


def recognise(root: Path) -> bool:
    """Whether ``root`` is a recording with a name of BIDS, or a folder of them.

    A folder with a ``dataset_description.json`` may hold other recordings too.
    """
    if root.is_file():
        return _is_recording(root)
    if (root / DESCRIPTION).is_file():
        return next(_recordings(root), None) is not None
    first = list(islice((path for folder in _folders(root) for path in first_files(folder)), N_INSPECTED))
    return bool(first) and all(map(_is_recording, first))


@register("layouts", "bids", recognise=recognise, priority=1)
def scan(root: Path) -> Manifest:
    """Read the EEG of a BIDS data set, of one of its folders, or one recording; only events give labels.

    Recordings are ``sub-*/**/sub-<label>[_<entity>-<label>...]_eeg.{vhdr,edf,bdf,set,fif}``; ``sourcedata``,
    ``derivatives`` and other folders beside those of the subjects are left out. Entities other than subject,
    session and task, such as ``run``, and the columns of ``participants.tsv`` become extra columns; a column
    with the name of a key gets the prefix ``participant_``.

    Raises
    ------
    DataError : no such recordings, or ``participants.tsv`` cannot be read or repeats a participant.
    """
    folder = root.parent if root.is_file() else root
    paths = [root] * _is_recording(root) if root.is_file() else list(_recordings(root))
    people = _participants(data_set_of(paths[0]) / PARTICIPANTS) if paths else {}
    records = (_record(path, folder, people) for path in paths)
    return build(records, folder, "bids")


def _folders(root: Path) -> list[Path]:
    """The folders of subjects, or ``root`` if it has none."""
    return sorted(each for each in root.glob("sub-*") if each.is_dir()) or [root]


def _recordings(root: Path) -> Iterator[Path]:
    for path in (path for folder in _folders(root) for path in media_files(folder)):
        split = entities_of(path).get(SPLIT, "")
        if _is_recording(path) and not (split.isdecimal() and int(split) > FIRST_SPLIT):
            yield path


def _is_recording(path: Path) -> bool:
    return split_ending(path.name)[1] in ENDINGS and bool(entities_of(path))


def _record(path: Path, folder: Path, people: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    entities = entities_of(path)
    return {
        **people.get(entities["sub"], {}),
        **{_extra("entity", name): label for name, label in entities.items() if name not in (*KEY_OF, SPLIT)},
        **{key: entities[entity] for entity, key in KEY_OF.items() if entity in entities},
        "clip_id": split_ending(path.name)[0].removesuffix(SUFFIX),
        "dataset": data_set_of(path).name,
        "eeg_path": path.relative_to(folder).as_posix(),
    }


def _participants(path: Path) -> dict[str, dict[str, str]]:
    """The extra columns of each participant, by the label of ``sub``; empty without a table."""
    if not path.is_file():
        return {}
    table = read_table(path)
    table.require(PARTICIPANT)
    found: dict[str, dict[str, str]] = {}
    for line, row in table.rows:
        label = row.pop(PARTICIPANT, "").removeprefix("sub-")
        if label in found:
            raise DataError(f"{path}: line {line} repeats the participant {label!r}; keep one line")
        found[label] = {_extra("participant", name): value for name, value in row.items()}
    return found


def _extra(what: str, name: str) -> str:
    """The name of an extra column: that of an entity or of a column of participants, unless it is a key."""
    return f"{what}_{name}" if name in (*KEYS, *MANIFEST_COLUMNS) else name
