"""What a user names, to recordings: which files hold each, by modality, and what is known of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.datasets.choice import Choice
from eavctl.errors import DataError, SignalError, UsageError
from eavctl.extraction.open_recording import Source
from eavctl.signals.endings import modalities_of, split_ending
from eavctl.storage import files
from eavctl.storage.paths import named

if TYPE_CHECKING:
    from eavctl.datasets.manifest import Manifest  # judging single recordings needs no Arrow

MODALITIES = ("eeg", "audio", "video")


class Part(NamedTuple):
    """The file that holds a recording's sound, say; ``trial`` is the index in a file of many."""

    file: Source
    trial: int | None = None


class Recording(NamedTuple):
    """A recording to judge: what it is called, what is known of it, and its files by modality.

    ``fault`` says why it cannot be used, where that is known before it is opened; it has no files then.
    """

    name: str
    keys: dict[str, Any]
    parts: dict[str, Part]
    fault: str = ""


@dataclass(frozen=True)
class Asked:
    """What is wanted: the modalities that a model takes, and of a data set some recordings, or one trial.

    Raises
    ------
    UsageError : a trial below 1; they are counted from 1.
    """

    modalities: tuple[str, ...]
    choice: Choice = field(default_factory=lambda: Choice(distinct_names=True))
    trial: int | None = None

    def __post_init__(self) -> None:
        if self.trial is not None and self.trial < 1:
            raise UsageError(f"--trial {self.trial}: trials are counted from 1")

    @property
    def text(self) -> str:
        """The modalities as words."""
        *others, last = self.modalities
        return f"{', '.join(others)} or {last}" if others else last


def find_recordings(source: str | os.PathLike[str], asked: Asked) -> list[Recording]:
    """The recordings that a file, a folder, a manifest or ``-`` stands for.

    A file is offered for each modality that its ending promises, and for any where the ending is not known.
    A model of one modality is offered every file.

    Raises
    ------
    DataError : a data set that cannot be read, or has nothing that is wanted.
    UsageError : sound is asked for on stdin, and the model takes none; one trial of a file that has none; or
        a single recording is given where some of a data set are to be chosen.
    """
    path, is_stdin = Path(source), os.fspath(source) == files.STDIO
    if asked.choice.epochs and "eeg" not in asked.modalities:
        raise UsageError(f"--events cuts EEG, and the model takes {asked.text}")
    if not is_stdin and (
        asked.choice.epochs or path.is_dir() or path.suffix.lower() in (".csv", ".tsv", ".parquet")
    ):
        return _of_data_set(path, asked)
    if asked.choice.where or asked.choice.epochs:
        raise UsageError(f"{source}: one recording; --where and --events choose from a folder or a manifest")
    if is_stdin:
        return [_stdin(asked)]
    held = _held(path, asked)
    paths = {modality: os.fspath(source) for modality in held}
    if path.suffix.lower() == ".mat" and "eeg" in held:
        with contextlib.suppress(SignalError):  # reading it will fail in the same way
            return _trials(paths, asked, _n_trials(path))
    else:
        _check_no_trial(asked, os.fspath(source))
    return [_alone(paths, os.fspath(source))]


def of_files(paths: Mapping[str, str], asked: Asked) -> list[Recording]:
    """One recording whose modalities are in separate files; an array of many trials, alone, is as many.

    Parameters
    ----------
    paths : a file, or ``-``, by modality.

    Raises
    ------
    DataError : a file is not there; of those there, what is broken shows when they are read.
    UsageError : a modality that the model does not take, or several files of which one has many trials; or
        one trial of files that have none.
    """
    if asked.choice.is_made:
        raise UsageError("--layout, --where and --events are for data sets, not for files of one recording")
    paths = {modality: paths[modality] for modality in MODALITIES if modality in paths}
    for modality, path in paths.items():
        if modality not in asked.modalities:
            raise UsageError(f"the model takes {asked.text}: it has no use for --{modality} {path}")
    for path in named(paths.values()):
        if Path(path).is_dir():
            raise DataError(f"{path}: is a folder; name a file")
    eeg = paths.get("eeg", "")
    if not eeg.lower().endswith(".mat"):
        _check_no_trial(asked, eeg or next(iter(paths.values())))
        return [_alone(paths, " + ".join(dict.fromkeys(paths.values())))]
    if len(paths) == 1:
        return _trials(paths, asked, _n_trials(Path(eeg)))
    try:
        n_trials = _n_trials(Path(eeg))
    except SignalError:
        n_trials = 1  # reading it will fail in the same way, and the other files are judged without it
    if n_trials > 1 and asked.trial is None:
        raise UsageError(f"{eeg}: holds {n_trials} trials; say with --trial of which the other files are")
    return _trials(paths, asked, n_trials)


def _check_no_trial(asked: Asked, name: str) -> None:
    if asked.trial is not None:
        raise UsageError(f"{name}: holds one recording, not trials; leave --trial out")


def _stdin(asked: Asked) -> Recording:
    _check_no_trial(asked, "stdin")
    if len(asked.modalities) > 1 and "audio" not in asked.modalities:
        raise UsageError(f"{asked.text} cannot be read from stdin; name the file")
    modality = "audio" if "audio" in asked.modalities else asked.modalities[0]
    parts = {modality: Part(_opened(files.STDIO))}
    return Recording("stdin", {"sample_id": "stdin", "clip_id": "stdin"}, parts)


def _held(path: Path, asked: Asked) -> tuple[str, ...]:
    """Modalities, of those asked for, that a file promises by its ending."""
    if len(asked.modalities) == 1:
        return asked.modalities
    promised = modalities_of(path.name) or ("audio", "video")
    return tuple(modality for modality in asked.modalities if modality in promised)


def _n_trials(path: Path) -> int:
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:
        return file.n_trials or 1


def _alone(paths: Mapping[str, str], name: str) -> Recording:
    clip = _clip(paths) or split_ending(name)[0]
    parts = {modality: Part(_opened(path)) for modality, path in paths.items()}
    return Recording(name, {"sample_id": clip, "clip_id": clip}, parts)


def _trials(paths: Mapping[str, str], asked: Asked, n_trials: int) -> list[Recording]:
    """A recording for each trial of an EEG array, or for the one asked for."""
    name, clip = " + ".join(dict.fromkeys(paths.values())), _clip(paths)
    opened = {modality: _opened(path) for modality, path in paths.items()}
    many = {modality for modality, path in paths.items() if path.lower().endswith(".mat")}
    return [
        Recording(
            f"{name} ({t + 1})",
            dict.fromkeys(("sample_id", "clip_id"), f"{clip}/{t + 1:03d}"),
            {modality: Part(file, t if modality in many else None) for modality, file in opened.items()},
        )
        for t in (range(n_trials) if asked.trial is None else [asked.trial - 1])
    ]


def _opened(path: str) -> Source:
    if path != files.STDIO:
        return Path(path)
    content = BytesIO(files.read_stdin())
    content.name = "stdin"  # errors name the recording by it
    return content


def _clip(paths: Mapping[str, str]) -> str:
    return "+".join(dict.fromkeys(split_ending(Path(path).as_posix())[0] for path in paths.values()))


def _of_data_set(root: Path, asked: Asked) -> list[Recording]:
    """Recordings of a folder or manifest, by its layout; a folder that none knows is taken file by file."""
    from eavctl.datasets.manifest import media_files

    try:
        manifest = asked.choice.of(root)
    except DataError:
        wanted = set(asked.modalities)
        paths = [path for path in media_files(root) if wanted.intersection(modalities_of(path.name))]
        if asked.choice.is_made or asked.trial is not None or not paths:
            raise
        return [each for path in paths for each in find_recordings(path, asked)]
    manifest = manifest.holding(*asked.modalities)
    recordings = []
    for keys in manifest.records():
        if asked.trial is None or _is_number(keys.get("trial", ""), asked.trial):
            recordings.append(_of_row(manifest.root, keys, asked))
    if asked.trial is None:
        recordings += _faulty(manifest, recordings)
    if not recordings:
        raise DataError(f"{root}: has no trial {asked.trial} with {asked.text}")
    return recordings


def _faulty(manifest: Manifest, recordings: Sequence[Recording]) -> Iterator[Recording]:
    """What the layout rejects; where it is but a modality of a recording, that is judged without."""
    there = {recording.keys["clip_id"] for recording in recordings}
    for bad in manifest.rejected:
        if "modality" not in bad or bad["clip_id"] not in there:
            keys = {"sample_id": bad["clip_id"], "clip_id": bad["clip_id"]}
            yield Recording(str(manifest.root / bad["path"]), keys, {}, bad["reason"])


def _of_row(root: Path, keys: dict[str, Any], asked: Asked) -> Recording:
    index = keys.get("eeg_index")
    parts = {
        modality: Part(root / keys[f"{modality}_path"], index if modality == "eeg" else None)
        for modality in asked.modalities
        if f"{modality}_path" in keys
    }
    paths = {str(part.file) for part in parts.values()}
    name = paths.pop() if len(paths) == 1 else f"{root} ({keys['clip_id']})"
    if len(parts) == 1 and "eeg" in parts and index is not None:
        name += f" (trial {keys.get('trial', index + 1)})"
    return Recording(name, keys, parts)


def without_repeats(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings, each once: the same part of the same files is one, by whatever paths it is named."""
    found: dict[tuple[Any, ...], Recording] = {}
    for recording in recordings:
        files = tuple(
            (
                modality,
                os.path.realpath(part.file) if isinstance(part.file, Path) else id(part.file),
                part.trial,
            )
            for modality, part in sorted(recording.parts.items())
        )
        span = (recording.keys.get("start"), recording.keys.get("end"))
        part = (files, span) if files else (recording.name, recording.fault)
        found.setdefault(part, recording)
    return list(found.values())


def _is_number(name: str, number: int) -> bool:
    """Whether a trial's name is this number, padded or not; names can be anything."""
    return name.isdecimal() and int(name) == number
