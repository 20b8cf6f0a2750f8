"""Describe recordings by the recipes of a model's streams: lazily, in order, and in several processes."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from eavctl.errors import AbsentError, SignalError
from eavctl.evaluation.trained_on import JOINED
from eavctl.extraction.executors import always, is_elsewhere, map_in_order
from eavctl.extraction.fingerprint import fingerprint, identity_of, of_trial
from eavctl.extraction.open_recording import Signal, Source, StretchOf, name_of
from eavctl.extraction.recipe import Recipe, noting
from eavctl.extraction.shared_files import require_seen, sizes_of
from eavctl.jobs import one_thread
from eavctl.predicting.segments import (
    NOT_GIVEN,
    Absence,
    DescribedRecording,
    Rejection,
    Samples,
    join_streams,
)
from eavctl.predicting.sources import Recording
from eavctl.predicting.streams import StreamInput
from eavctl.storage.provenance import canonical_json
from eavctl.storage.remote_tree import fetched

# How long a call to a worker should take, and of how many files it is at most: an answer waits no longer for
# those beside it. A call to another machine costs more.
CALL_S, MOST_FILES = 0.05, 32
CALL_ELSEWHERE_S, MOST_FILES_ELSEWHERE = 1.0, 512


class _Task(NamedTuple):
    """Numbers of a recipe, and of recordings in one file that follow each other.

    The recipe is None where a recording has no file: there is nothing to do, but its place to keep.
    """

    recipe: int | None
    recordings: list[int]


class _File(NamedTuple):
    """What to compute of one file: a recipe, or None, and the recordings in it."""

    recipe: Recipe | None
    recordings: list[Recording]


class _DescribedFile(NamedTuple):
    """What a recipe gives for the recordings in one file; ``contents`` identify them."""

    samples: list[Samples]
    notes: list[str]
    contents: list[str | None]


class _Pace:
    """How many files a call describes: few while they take long, for answers shall come at once.

    Parameters
    ----------
    jobs : processes; a single one gains nothing by larger calls.
    elsewhere : the processes can be of other machines.
    """

    def __init__(self, jobs: int, *, elsewhere: bool = False) -> None:
        self._most, self._call_s, self.n_files = (MOST_FILES if jobs > 1 else 1), CALL_S, 1
        if elsewhere:
            self._most, self._call_s = MOST_FILES_ELSEWHERE, CALL_ELSEWHERE_S

    def learn(self, n_files: int, seconds: float) -> None:
        """Set the number by the time that a call took."""
        fitting = int(n_files * self._call_s / max(seconds, 1e-6))
        self.n_files = max(1, min(fitting, 2 * self.n_files, self._most))


def describe_recordings(
    batches: Iterable[Sequence[Recording]],
    streams: Sequence[StreamInput],
    jobs: int,
    executor: str,
    is_ready: Callable[[], bool] = always,
) -> Iterator[DescribedRecording]:
    """Yield each recording as features, in order, as soon as its files are read.

    A file is opened once a recipe, for all recordings of a batch that follow each other in it, and closed
    before the next. Streams of one recipe share its features.

    Parameters
    ----------
    batches : recordings, drawn as they are needed.
    jobs, executor, is_ready : see `eavctl.extraction.executors.map_in_order`; the result is the same for any.

    Raises
    ------
    DataError : workers elsewhere do not see the recordings; or as `map_in_order`.
    """
    recipes, of_stream = _distinct(streams)
    drawn: deque[tuple[Sequence[Recording], deque[_Task]]] = deque()
    elsewhere = is_elsewhere(executor)
    pace = _Pace(jobs, elsewhere=elsewhere)
    calls: Iterable[tuple[Any, ...]] = _calls(_work(batches, recipes, drawn), pace, is_ready)
    if elsewhere:
        calls = ((files, sizes_of(_paths(files))) for (files,) in calls)
    done = map_in_order(_describe_files, calls, jobs, executor, is_ready=is_ready, first_here=True)
    files = _unpacked(done, pace)
    for file in files:
        recordings, tasks = drawn.popleft()
        ahead = itertools.chain([file], files)
        yield from _described(recordings, tasks, ahead, recipes, of_stream, streams)


def _work(
    batches: Iterable[Sequence[Recording]],
    recipes: Sequence[Recipe],
    drawn: deque[tuple[Sequence[Recording], deque[_Task]]],
) -> Iterator[_File]:
    """All files to read, in order; each batch is added to ``drawn`` before its first file."""
    for recordings in batches:
        tasks = _tasks(recordings, recipes)
        if tasks:
            drawn.append((recordings, deque(tasks)))
        for task in tasks:
            recipe = None if task.recipe is None else recipes[task.recipe]
            yield _File(recipe, [recordings[i] for i in task.recordings])


def _calls(files: Iterable[_File], pace: _Pace, is_ready: Callable[[], bool]) -> Iterator[tuple[list[_File]]]:
    """Arguments of calls: as many files as the pace allows, or as are known."""
    together: list[_File] = []
    for file in files:
        together.append(file)
        if len(together) >= pace.n_files or not is_ready():
            yield (together,)
            together = []
    if together:
        yield (together,)


def _paths(files: Iterable[_File]) -> Iterator[Path]:
    """The files of recordings that are read by their paths."""
    for each in files:
        if each.recipe is not None:
            file = each.recordings[0].parts[each.recipe.modality].file
            if isinstance(file, str | os.PathLike):
                yield Path(file)


def _unpacked(done: Iterable[tuple[list[_DescribedFile], float]], pace: _Pace) -> Iterator[_DescribedFile]:
    """The files of all calls."""
    for files, seconds in done:
        pace.learn(len(files), seconds)
        yield from files


def _described(
    recordings: Sequence[Recording],
    tasks: deque[_Task],
    files: Iterator[_DescribedFile],
    recipes: Sequence[Recipe],
    of_stream: Sequence[int],
    streams: Sequence[StreamInput],
) -> Iterator[DescribedRecording]:
    """The recordings of a batch as features; as many files are drawn as there are tasks."""
    done: dict[tuple[int, int], tuple[Samples, str | None]] = {}
    for i, recording in enumerate(recordings):
        notes: list[str] = []
        while tasks and tasks[0].recordings[0] == i:
            task, file = tasks.popleft(), next(files)
            notes += file.notes
            if task.recipe is not None:
                for place, samples, content in zip(task.recordings, file.samples, file.contents, strict=True):
                    done[place, task.recipe] = (samples, content)
        if recording.fault:
            bad = Rejection.of(recording, recording.fault)
            yield DescribedRecording(recording.name, recording.keys, rejected=(bad,))
            continue
        found = [done.pop((i, n), (_not_given(recording, recipe), None)) for n, recipe in enumerate(recipes)]
        known = _with_content(recording, {content for _, content in found if content})
        yield join_streams(known, [found[recipe][0] for recipe in of_stream], streams, notes)


def describe_window(window: Recording, streams: Sequence[StreamInput]) -> DescribedRecording:
    """One recording of arrays as features, and the seconds that each modality took."""
    recipes, of_stream = _distinct(streams)
    found: list[Samples] = []
    seconds: dict[str, float] = {}
    with one_thread(), noting() as notes:
        for recipe in recipes:
            if recipe.modality not in window.parts:
                found.append(_not_given(window, recipe))
                continue
            began = perf_counter()
            samples, _ = _read(recipe, [window], window.parts[recipe.modality].file)
            found += samples
            seconds[recipe.modality] = seconds.get(recipe.modality, 0.0) + perf_counter() - began
    described = join_streams(
        window, [found[recipe] for recipe in of_stream], streams, list(dict.fromkeys(notes))
    )
    return described._replace(seconds=seconds)


def _distinct(streams: Sequence[StreamInput]) -> tuple[list[Recipe], list[int]]:
    """The recipes of streams, each once, and for each stream the index of its own."""
    identities = [_identity(stream.recipe) for stream in streams]
    recipes = {each: stream.recipe for each, stream in zip(identities, streams, strict=True)}
    return list(recipes.values()), [list(recipes).index(each) for each in identities]


def _tasks(recordings: Sequence[Recording], recipes: Sequence[Recipe]) -> list[_Task]:
    """All files to read, in the order in which recordings need them."""
    tasks: list[_Task] = []
    for number, recipe in enumerate(recipes):
        last: object = None
        for i, recording in enumerate(recordings):
            part = recording.parts.get(recipe.modality)
            if part is None:
                continue
            # Only paths are compared: arrays cannot be, and an open file is one recording.
            file = os.fspath(part.file) if isinstance(part.file, str | os.PathLike) else (i,)
            if file == last:
                tasks[-1].recordings.append(i)
            else:
                tasks.append(_Task(number, [i]))
            last = file
    known = {i for task in tasks for i in task.recordings}
    tasks += [_Task(None, [i]) for i in range(len(recordings)) if i not in known]
    return sorted(tasks, key=lambda task: (task.recordings[0], task.recipe or 0))


def _identity(recipe: Recipe) -> str:
    who = recipe.who and recipe.who.identity
    cutting = [recipe.segment, recipe.hop, recipe.epoch]
    return canonical_json([recipe.identity(), *cutting, recipe.only_speech, who])


def _not_given(recording: Recording, recipe: Recipe) -> Absence:
    reason = recording.absent.get(recipe.modality, "")
    return Absence(recording.name, reason, is_fault=False) if reason else NOT_GIVEN


def _with_content(recording: Recording, contents: set[str]) -> Recording:
    """The recording with the key ``recording``, by which a model knows again what it was trained on."""
    if not contents:
        return recording
    return recording._replace(keys={**recording.keys, "recording": JOINED.join(sorted(contents))})


def _describe_files(
    files: Sequence[_File], sizes: Mapping[str, int] = {}
) -> tuple[list[_DescribedFile], float]:
    """Describe the recordings in some files, and tell the seconds; runs in a worker process.

    Parameters
    ----------
    sizes : in bytes, of files that the worker must see.
    """
    began = perf_counter()
    require_seen(sizes)
    return [_describe_file(*file) for file in files], perf_counter() - began


def _describe_file(recipe: Recipe | None, recordings: list[Recording]) -> _DescribedFile:
    """Describe the recordings in one file, with one thread, as an extraction."""
    if recipe is None:
        return _DescribedFile([], [], [])
    file: Source = recordings[0].parts[recipe.modality].file
    local: Source
    with one_thread(), noting() as notes, fetched(file) as local:
        samples, contents = _read(recipe, recordings, local)
    named = [note.replace(name_of(local), name_of(file)) for note in notes]
    return _DescribedFile(samples, list(dict.fromkeys(named)), contents)


def _read(
    recipe: Recipe, recordings: list[Recording], local: Source
) -> tuple[list[Samples], list[str | None]]:
    """The samples of the recordings in one file, ``local`` here, and what identifies each by its content."""
    whole, samples, contents = _content(local), list[Samples](), list[str | None]()
    try:
        with recipe.open(local) as stretch_of:
            for recording in recordings:
                found, content = _samples(recording, recipe, stretch_of, whole, local)
                samples.append(found)
                contents.append(content)
    except SignalError as error:
        parts = [each.parts[recipe.modality] for each in recordings[len(samples) :]]
        samples += [_absence(part.file, local, error) for part in parts]
        contents += [of_trial(whole, part.trial) for part in parts]
    return samples, contents


def _content(file: Source) -> str | None:
    if isinstance(file, Signal):
        return None
    if isinstance(file, BytesIO):
        file.seek(0)  # another recipe may have read it
    return fingerprint(file)


def _samples(
    recording: Recording, recipe: Recipe, stretch_of: StretchOf, whole: str | None, local: Source
) -> tuple[Samples, str | None]:
    """The samples of a recording, and what identifies it; ``whole`` identifies its file, ``local`` here."""
    part = recording.parts[recipe.modality]
    if recipe.epoch and recording.epoch not in (None, recipe.epoch):
        recipe = replace(recipe, epoch=recording.epoch)
    try:
        stretch = stretch_of(part.trial)
        samples = recipe.describe(stretch, recording.keys.get("start"), recording.keys.get("end"))
        return samples, identity_of(stretch, lambda: whole, part.trial)
    except SignalError as error:
        return _absence(part.file, local, error), of_trial(whole, part.trial)


def _absence(file: Source, local: Source, error: SignalError) -> Absence:
    """Why a file cannot be used; errors name it as it is called on this machine."""
    reason = str(error).removeprefix(f"{name_of(local)}: ")
    return Absence(name_of(file), reason, is_fault=not isinstance(error, AbsentError))
