"""Layout ``eav``: the EEG-Audio-Video data set of 42 people in conversation, and its synthetic twin.

Reference: Lee et al., EAV: EEG-Audio-Video dataset for emotion recognition in conversational contexts,
Scientific Data 11, 2024.

The number of a trial is the first three digits of the names of its video and audio file, and its position,
from 1, in the EEG array. The field ``Trial_NN`` is numbered differently in audio and video, and is ignored.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import DataError, RecordingWarning, SignalError
from eavctl.registry import register

SUBJECT = re.compile(r"subject0*(\d+)")
TRIAL = re.compile(
    r"(?P<number>\d{3})_Trial_\d+_(?P<task>Listening|Speaking)_(?P<label>[A-Z][a-z]+)(?P<sound>_aud)?",
    re.IGNORECASE,
)
EMOTIONS = ("Neutral", "Sadness", "Anger", "Happiness", "Calmness")
TASKS = ("listening", "speaking")
PARTS = ("EEG", "Audio", "Video")
TWIN = "TWIN.json"
VIDEO_ENDING, AUDIO_ENDING = ".mp4", ".wav"
LABELS = "label"
N_KINDS = len(EMOTIONS) * len(TASKS)
MOST_LABELS = 100_000


def recognise(root: Path) -> bool:
    """Whether ``root`` is a folder of a subject, or holds such folders."""
    return root.is_dir() and bool(_subjects(root))


@register("layouts", "eav", recognise=recognise, priority=0)
def scan(root: Path) -> Manifest:
    """Read ``subject<N>/{EEG,Audio,Video}`` below ``root``, or ``root`` itself if it is such a folder.

    Each trial is a row with the modalities that exist; missing ones are listed as rejected. The file names
    give the classes. If the label file of a subject contradicts them, or the EEG cannot be read, the EEG of
    the subject is rejected, and audio and video are used.

    Raises
    ------
    DataError : no subjects, a subject with two folders, or two audio or video files of one trial.
    """
    subjects = _subjects(root)
    if not subjects:
        raise DataError(f"{root}: no folder subject<N> that holds EEG, Audio or Video")
    above = root if SUBJECT.fullmatch(root.resolve().name) is None else root.parent
    dataset = "eav-twin" if (above / TWIN).is_file() else "eav"
    trials: list[_Trial] = []
    bad: list[dict[str, str]] = []
    for number, folder in subjects:
        found, problems = _read_subject(root, folder, f"subject{number:02d}")
        trials += found
        bad += problems
    return build([t.record(dataset) for t in trials], root, "eav", classes=EMOTIONS, rejected=bad)


@dataclass
class _Trial:
    """One trial: its keys, and the paths of its files by column of the manifest."""

    subject: str
    number: int
    task: str
    label: str
    paths: dict[str, str] = field(default_factory=dict)

    @property
    def clip_id(self) -> str:
        return f"{self.subject}/{self.number:03d}"

    def record(self, dataset: str) -> dict[str, object]:
        """The trial as a row of the manifest."""
        keys = {"clip_id": self.clip_id, "dataset": dataset, "subject": self.subject}
        index = {"eeg_index": self.number - 1} if "eeg_path" in self.paths else {}
        facts = {"trial": f"{self.number:03d}", "task": self.task, "label": self.label}
        return {**keys, **facts, **self.paths, **index}

    def missing(self, folder: str, *, without_eeg: bool) -> Iterator[dict[str, str]]:
        """Yield a rejection for each modality that the published data have, but this trial lacks."""
        wanted = {"video": "Video"} | ({"audio": "Audio"} if self.task == "speaking" else {})
        wanted |= {} if without_eeg else {"eeg": "EEG"}
        keys = {"clip_id": self.clip_id, "subject": self.subject, "task": self.task, "label": self.label}
        for modality, where in wanted.items():
            if f"{modality}_path" not in self.paths:
                path = f"{folder}/{where}/{self.number:03d}_*" if modality != "eeg" else f"{folder}/{where}"
                reason = f"missing: no {modality} of trial {self.number}"
                yield {**keys, "path": path, "modality": modality, "reason": reason}


def _subjects(root: Path) -> list[tuple[int, Path]]:
    """Number and folder of each subject, sorted by number."""
    folders = [root, *(path for path in root.iterdir() if path.is_dir())]
    found = [
        (int(match[1]), folder)
        for folder in folders
        if (match := SUBJECT.fullmatch(folder.resolve().name)) and any((folder / p).is_dir() for p in PARTS)
    ]
    numbers = [number for number, _ in found]
    repeated = {number for number in numbers if numbers.count(number) > 1}
    if repeated:
        raise DataError(f"{root}: two folders are of subject {min(repeated)}; keep one")
    return sorted(found)


def _read_subject(root: Path, folder: Path, subject: str) -> tuple[list[_Trial], list[dict[str, str]]]:
    """The trials of a subject, and rejections of what is missing or cannot be read."""
    trials: dict[int, _Trial] = {}
    parts = (("Video", VIDEO_ENDING, "video_path"), ("Audio", AUDIO_ENDING, "audio_path"))
    for part, ending, column in parts:
        for path in sorted((folder / part).glob("*")):
            match = TRIAL.fullmatch(path.stem)
            if match and path.suffix.lower() == ending and not path.name.startswith("."):
                _add_file(trials, match, path, subject, column, root)
    where = folder.relative_to(root).as_posix()
    eeg, fault = None, "missing: no file *_eeg.mat"
    try:
        if eeg := _only_file(folder / "EEG", "_eeg.mat"):
            _add_eeg(trials, eeg, _only_file(folder / "EEG", "_eeg_label.mat"), subject, root)
            fault = ""
    except SignalError as error:
        fault = str(error).removeprefix(f"{eeg}: ").replace(f"{root}/", "")
    ordered = [trials[number] for number in sorted(trials)]
    problems = [each for trial in ordered for each in trial.missing(where, without_eeg=bool(fault))]
    if fault:
        path_of_eeg = eeg.relative_to(root).as_posix() if eeg else f"{where}/EEG"
        keys = {"clip_id": subject, "subject": subject}
        problems.insert(0, {**keys, "path": path_of_eeg, "modality": "eeg", "reason": fault})
    return ordered, problems


def _add_eeg(trials: dict[int, _Trial], eeg: Path, labels: Path | None, subject: str, root: Path) -> None:
    """Add the EEG array to the trials, after comparing its labels with the names of the other files.

    Raises
    ------
    SignalError : the array or its labels cannot be read, or the labels contradict the file names.
    """
    n_trials = _n_trials(eeg)
    labelled = _read_labels(labels, n_trials) if labels is not None else {}
    if labels is None:
        warnings.warn(
            f"{eeg}: no label file beside it, so the order of its trials cannot be checked", RecordingWarning,
            stacklevel=2,
        )  # fmt: skip
    for number, (task, label) in labelled.items():
        trial = trials.get(number)
        if trial and (trial.task, trial.label) != (task, label):
            raise SignalError(
                f"{labels}: trial {number} is {task} {label} by this file, {trial.task} {trial.label} by the "
                f"name of {next(iter(trial.paths.values()))}; find out which is right and correct the other"
            )
    for number, (task, label) in labelled.items():
        trials.setdefault(number, _Trial(subject, number, task, label))
    for trial in trials.values():
        if trial.number <= n_trials:
            trial.paths["eeg_path"] = eeg.relative_to(root).as_posix()


def _n_trials(path: Path) -> int:
    """Number of trials in the EEG array of a subject."""
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:
        return int(file.n_trials or 0)


def _read_labels(path: Path, n_trials: int) -> dict[int, tuple[str, str]]:
    """Task and emotion of each trial by its number, from a one-hot array (10, n_trials)."""
    from eavctl.signals.matlab import open_mat

    with open_mat(path) as file:
        hot = file.read(LABELS, MOST_LABELS)
    if hot.ndim == 2 and hot.shape[0] != N_KINDS and hot.shape[1] == N_KINDS:
        hot = hot.T
    if hot.shape != (N_KINDS, n_trials) or not np.array_equal(
        np.sort(hot, axis=0), np.eye(N_KINDS)[:, [-1] * n_trials]
    ):
        raise SignalError(
            f"{path}: {LABELS!r} is of shape {hot.shape}; a one-hot {N_KINDS} x {n_trials} array is needed"
        )
    kinds = hot.argmax(axis=0).tolist()
    return {n: (TASKS[kind % 2], EMOTIONS[kind // 2]) for n, kind in enumerate(kinds, start=1)}


def _add_file(
    trials: dict[int, _Trial], match: re.Match[str], path: Path, subject: str, column: str, root: Path
) -> None:
    """Add a file to its trial; the names of all files of a trial must give the same task and label."""
    number, task, label = int(match["number"]), match["task"].lower(), match["label"].capitalize()
    trial = trials.setdefault(number, _Trial(subject, number, task, label))
    if (trial.task, trial.label) != (task, label):
        raise DataError(
            f"{path}: trial {number} is {task} {label} by this name, {trial.task} {trial.label} by that of "
            f"{next(iter(trial.paths.values()))}; one of the two is wrong"
        )
    if column in trial.paths:
        raise DataError(f"{path}: a second file of trial {number}, besides {trial.paths[column]}; keep one")
    trial.paths[column] = path.relative_to(root).as_posix()


def _only_file(folder: Path, ending: str) -> Path | None:
    """The only file with an ending, however its name writes the number of the subject; None if there is none.

    Raises
    ------
    SignalError : several files have the ending.
    """
    found = [path for path in sorted(folder.glob(f"*{ending}")) if not path.name.startswith(".")]
    if len(found) > 1:
        raise SignalError(f"{folder}: {len(found)} files end with {ending}; keep one")
    return found[0] if found else None
