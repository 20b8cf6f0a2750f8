"""Find the recordings that a user names: the files of each, by modality, and what is known of it."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.datasets.column_names import ENDINGS, is_table
from eavctl.errors import DataError, SignalError, UsageError
from eavctl.extraction.open_recording import Source
from eavctl.signals.data_files import fetched_with, needs_folder
from eavctl.signals.endings import READ_BESIDE, is_idx, modalities_of, split_ending
from eavctl.storage import files, remote_tree
from eavctl.storage.paths import named
from eavctl.storage.remote import is_url
from eavctl.storage.remote_tree import RemoteFile, told

if TYPE_CHECKING:  # judging single recordings needs neither, and no Arrow
    from eavctl.datasets.choice import Choice
    from eavctl.datasets.manifest import Manifest

MODALITIES = ("eeg", "audio", "video")


class Part(NamedTuple):
    """The file, or the arrays, of one modality of a recording; ``trial`` is the index in a file of trials."""

    file: Source
    trial: int | None = None


class Recording(NamedTuple):
    """A recording to judge.

    Parameters
    ----------
    name : as the user knows it.
    keys : what is known of it: ``sample_id``, ``clip_id``, and others of `eavctl.storage.keys.KEYS`.
    parts : its file by modality.
    fault : why it cannot be used, where that is known before it is opened; it has no parts then.
    absent : by modality, why there is no part, where that is known.
    epoch : its start and end relative to the event that it was cut at, in seconds; None where it was not.
    """

    name: str
    keys: dict[str, Any]
    parts: dict[str, Part]
    fault: str = ""
    absent: Mapping[str, str] = {}
    epoch: tuple[float, float] | None = None


class Selection(NamedTuple):
    """Which recordings and which of their modalities to judge; see `selection`.

    Parameters
    ----------
    modalities : those that the model takes.
    choice : which recordings of data sets; None for all.
    trial : number of the only trial, or epoch, to judge, from 1; None for all.
    """

    modalities: tuple[str, ...]
    choice: Choice | None = None
    trial: int | None = None

    @property
    def is_made(self) -> bool:
        """Whether anything is chosen that only a data set has."""
        return self.choice is not None and self.choice.is_made

    @property
    def cuts_epochs(self) -> bool:
        """Whether EEG is to be cut at events."""
        return self.choice is not None and self.choice.epochs is not None

    @property
    def text(self) -> str:
        """The modalities as words."""
        *others, last = self.modalities
        return f"{', '.join(others)} or {last}" if others else last


def selection(modalities: Sequence[str], choice: Choice | None = None, trial: int | None = None) -> Selection:
    """Check and make a selection.

    The spelling of labels and subjects is not checked: predictions do not depend on it.

    Raises
    ------
    UsageError : a trial below 1, or EEG epochs for a model without EEG.
    """
    if choice is not None:
        choice = replace(choice, distinct_names=True)
    found = Selection(tuple(modalities), choice, trial)
    if trial is not None and trial < 1:
        raise UsageError(f"--trial {trial}: trials are counted from 1")
    if found.cuts_epochs and "eeg" not in modalities:
        raise UsageError(f"--events cuts EEG, and the model takes {found.text}")
    return found


def find_recordings(source: str | os.PathLike[str], selected: Selection) -> list[Recording]:
    """Find the recordings of a file, a folder, a manifest, or stdin (``-``).

    A file is read for each modality of its ending; one of unknown ending for audio and video. A model of one
    modality reads every file.

    Raises
    ------
    DataError : a data set that cannot be read, or has no selected recording.
    UsageError : a recording on stdin and a model that does not take audio; a trial of a file that has none;
        or a selection from a single recording.
    """
    return _of_place(_placed(source), os.fspath(source), selected)


def _placed(source: str | os.PathLike[str]) -> Path:
    """The path of a source, or the local one that stands for it."""
    if not is_url(source):
        return Path(source)
    needs_others = needs_folder(os.path.basename(os.fspath(source)))
    return (
        remote_tree.placed(source, READ_BESIDE)
        if needs_others
        else remote_tree.placed_alone(source, (*READ_BESIDE, *ENDINGS))
    )


def _of_place(path: Path, source: str, selected: Selection) -> list[Recording]:
    """The recordings of a source, by the path that stands for it."""
    is_stdin = source == files.STDIO
    if not is_stdin and (selected.cuts_epochs or path.is_dir() or is_table(path) or is_idx(path.name)):
        return _of_data_set(source, selected)
    chosen = selected.choice
    if chosen and (chosen.where or chosen.layout_settings or chosen.epochs):
        raise UsageError(
            f"{source}: one recording; --where, --columns, --pattern and --events are for a folder or a "
            "manifest"
        )
    if is_stdin:
        return [_stdin(selected)]
    held = _modalities(path, selected)
    paths = dict.fromkeys(held, source)
    if path.suffix.lower() == ".mat" and "eeg" in held:
        with contextlib.suppress(SignalError):  # reading it will fail in the same way
            return _trials(paths, selected, _n_trials(path))
    else:
        _check_no_trial(selected, source)
    return [_alone(paths, source)]


def of_files(paths: Mapping[str, str], selected: Selection) -> list[Recording]:
    """One recording whose modalities are in separate files; EEG alone gives each of its trials or epochs.

    Parameters
    ----------
    paths : a file, or ``-``, by modality.

    Raises
    ------
    DataError : there is no such file.
    UsageError : a modality that the model does not take, several files of which one has many trials, or a
        trial of files that have none.
    """
    if selected.cuts_epochs and list(paths) == ["eeg"]:
        return find_recordings(paths["eeg"], selected)
    if selected.is_made:
        raise UsageError(
            "--layout, --columns, --pattern, --where and --events are for data sets, not for files of one "
            "recording"
        )
    paths = {modality: paths[modality] for modality in MODALITIES if modality in paths}
    for modality, path in paths.items():
        if modality not in selected.modalities:
            raise UsageError(f"the model takes {selected.text}: it has no use for --{modality} {path}")
    for path in named(paths.values()):
        if _placed(path).is_dir():
            raise DataError(f"{path}: is a folder; name a file")
    eeg = paths.get("eeg", "")
    if not eeg.lower().endswith(".mat"):
        _check_no_trial(selected, eeg or next(iter(paths.values())))
        return [_alone(paths, " + ".join(dict.fromkeys(paths.values())))]
    if len(paths) == 1:
        return _trials(paths, selected, _n_trials(_local(eeg)))
    try:
        n_trials = _n_trials(_local(eeg))
    except SignalError:
        n_trials = 1  # reading it will fail in the same way, and the other files are judged without it
    if n_trials > 1 and selected.trial is None:
        raise UsageError(f"{eeg}: holds {n_trials} trials; name that of the other files with --trial")
    return _trials(paths, selected, n_trials)


def _check_no_trial(selected: Selection, name: str) -> None:
    if selected.trial is not None:
        raise UsageError(f"{name}: holds one recording, not trials; leave --trial out")


def _stdin(selected: Selection) -> Recording:
    _check_no_trial(selected, "stdin")
    if len(selected.modalities) > 1 and "audio" not in selected.modalities:
        raise UsageError(f"{selected.text} cannot be read from stdin; name the file")
    modality = "audio" if "audio" in selected.modalities else selected.modalities[0]
    parts = {modality: Part(_opened(files.STDIO))}
    return Recording("stdin", {"sample_id": "stdin", "clip_id": "stdin"}, parts)


def _modalities(path: Path, selected: Selection) -> tuple[str, ...]:
    """Modalities of a file by its ending, of those that the model takes."""
    if len(selected.modalities) == 1:
        return selected.modalities
    promised = modalities_of(path.name) or ("audio", "video")
    return tuple(modality for modality in selected.modalities if modality in promised)


def _n_trials(path: Path) -> int:
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:
        return file.n_trials or 1


def _alone(paths: Mapping[str, str], name: str) -> Recording:
    clip = _clip(paths) or split_ending(name)[0]
    parts = {modality: Part(_opened(path)) for modality, path in paths.items()}
    return Recording(name, {"sample_id": clip, "clip_id": clip}, parts)


def _trials(paths: Mapping[str, str], selected: Selection, n_trials: int) -> list[Recording]:
    """A recording for each trial of an EEG array, or for the selected one."""
    name, clip = " + ".join(dict.fromkeys(paths.values())), _clip(paths)
    opened = {modality: _opened(path) for modality, path in paths.items()}
    many = {modality for modality, path in paths.items() if path.lower().endswith(".mat")}
    return [
        Recording(
            f"{name} ({t + 1})",
            dict.fromkeys(("sample_id", "clip_id"), f"{clip}/{t + 1:03d}"),
            {modality: Part(file, t if modality in many else None) for modality, file in opened.items()},
        )
        for t in (range(n_trials) if selected.trial is None else [selected.trial - 1])
    ]


def _opened(path: str) -> Source:
    if path != files.STDIO:
        return _recording(_local(path))
    content = BytesIO(files.read_stdin())
    content.name = "stdin"  # errors name the recording by it
    return content


def _local(path: str) -> Path:
    """The path of a file that was placed."""
    return remote_tree.known(path) if is_url(path) else Path(path)


def _recording(path: Path) -> Path | RemoteFile:
    """What a worker reads a recording from."""
    return remote_tree.file_of(path, fetched_with(path)) if remote_tree.is_remote(path) else path


def _clip(paths: Mapping[str, str]) -> str:
    posix = (path if is_url(path) else Path(path).as_posix() for path in paths.values())
    return "+".join(dict.fromkeys(split_ending(path)[0] for path in posix))


def _of_data_set(source: str, selected: Selection) -> list[Recording]:
    """Recordings of a folder or manifest, by its layout; of a folder of no known layout, every file."""
    from eavctl.datasets.choice import Choice
    from eavctl.datasets.manifest import media_files

    try:
        manifest = (selected.choice or Choice(distinct_names=True)).of(source)
    except DataError:
        wanted, root = set(selected.modalities), remote_tree.placed(source, READ_BESIDE)
        paths = [path for path in media_files(root) if wanted.intersection(modalities_of(path.name))]
        if selected.is_made or selected.trial is not None or not paths:
            raise
        return [each for path in paths for each in _of_place(path, told(str(path)), selected)]
    manifest = manifest.holding(*selected.modalities)
    recordings = []
    for number, keys in enumerate(manifest.records(), start=1):
        name = str(number) if selected.cuts_epochs else keys.get("trial", "")  # an epoch has no number
        if selected.trial is None or _is_number(name, selected.trial):
            recordings.append(_of_row(manifest.root, keys, selected)._replace(epoch=manifest.epoch))
    if selected.trial is None:
        recordings += _faulty(manifest, recordings)
    if not recordings:
        raise DataError(f"{source}: has no trial {selected.trial} with {selected.text}")
    return recordings


def _faulty(manifest: Manifest, recordings: Sequence[Recording]) -> Iterator[Recording]:
    """What the layout rejects, except a modality of a recording that is judged without it."""
    found = {recording.keys["clip_id"] for recording in recordings}
    for bad in manifest.rejected:
        if "modality" not in bad or bad["clip_id"] not in found:
            keys = {"sample_id": bad["clip_id"], "clip_id": bad["clip_id"]}
            yield Recording(told(str(manifest.root / bad["path"])), keys, {}, bad["reason"])


def _of_row(root: Path, keys: dict[str, Any], selected: Selection) -> Recording:
    parts = {
        modality: Part(_recording(root / keys[f"{modality}_path"]), _index_in_file(keys, modality))
        for modality in selected.modalities
        if f"{modality}_path" in keys
    }
    paths = {str(part.file) for part in parts.values()}
    name = paths.pop() if len(paths) == 1 else f"{told(str(root))} ({keys['clip_id']})"
    indices = [part.trial for part in parts.values()]
    if len(indices) == 1 and indices[0] is not None:
        name += f" (trial {keys.get('trial', indices[0] + 1)})"
    return Recording(name, keys, parts)


def _index_in_file(keys: Mapping[str, Any], modality: str) -> int | None:
    """The index, from 0, of a recording in a file of many; None where the file holds one."""
    if modality == "eeg":
        return keys.get("eeg_index")
    if is_idx(keys[f"{modality}_path"]):
        from eavctl.signals.idx import index_of

        return index_of(keys[f"{modality}_path"], keys.get("trial"))
    return None


def without_repeats(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings without repeats: the same part of the same files, by whatever paths it is named."""
    found: dict[tuple[Any, ...], Recording] = {}
    real_folder = functools.cache(os.path.realpath)  # looks at every folder on the way

    def real(path: Path) -> str:
        return os.path.realpath(path) if path.is_symlink() else f"{real_folder(path.parent)}/{path.name}"

    for recording in recordings:
        files = tuple(
            (
                modality,
                _identity(part.file, real),
                part.trial,
            )
            for modality, part in sorted(recording.parts.items())
        )
        span = (recording.keys.get("start"), recording.keys.get("end"))
        part = (files, span) if files else (recording.name, recording.fault)
        found.setdefault(part, recording)
    return list(found.values())


def _identity(file: Source, real: Callable[[Path], str]) -> object:
    if isinstance(file, Path):
        return real(file)
    return file if isinstance(file, RemoteFile) else id(file)


def _is_number(name: str, number: int) -> bool:
    """Whether a trial's name is this number, padded or not; names can be anything."""
    return name.isdecimal() and int(name) == number


def known_fault(recording: Recording) -> str:
    """Why a recording cannot be used, where that is known before it is opened; else empty."""
    files = [part.file for part in recording.parts.values()]
    paths = [file.placeholder if isinstance(file, RemoteFile) else file for file in files]
    is_missing = bool(paths) and all(isinstance(path, Path) and not path.is_file() for path in paths)
    return recording.fault or ("no such file" if is_missing else "")
