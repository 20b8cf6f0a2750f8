"""Open every file of a data set to see whether it can be used, and which files have the same content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from eavctl.datasets.manifest import Manifest
from eavctl.errors import AbsentError, SignalError, SilentError
from eavctl.evaluation.findings.files import EMPTY, MISSING, SILENT, UNREADABLE, FileFacts
from eavctl.extraction.executors import map_surviving
from eavctl.extraction.fingerprint import fingerprint
from eavctl.extraction.recipe import noting
from eavctl.progress import Tick, silent
from eavctl.signals.data_files import beside
from eavctl.signals.endings import split_ending
from eavctl.signals.headers import read_header
from eavctl.storage.keys import PATHS
from eavctl.storage.remote_tree import RemoteFolder, fetched_below, source_of

BATCH = 32  # files that a process opens before it reports
CRASHED = "it ends the program that reads it"
ABSENT = "absent"  # in place of a fault: a film without sound, or without a picture

Task = tuple[str, str, bool]  # path, modality, and whether another file has its size


def survey(
    manifest: Manifest, *, jobs: int = 1, executor: str = "loky", on_file: Tick = silent
) -> dict[str, list[FileFacts | None]]:
    """Open the files of a data set.

    Only files of equal size are compared by content; of the others, and of missing ones, the content is that
    of no other. Files are opened in other processes, for some damaged ones end the process that reads them.

    Parameters
    ----------
    jobs, executor : as of `eavctl.extraction.executors.map_surviving`.
    on_file : callback for the progress, in files.

    Returns
    -------
    By modality, in the order of the manifest's rows, the file of each; None for rows without the modality,
    as of films without sound. Modalities that no row has are left out.
    """
    columns = {path.removesuffix("_path"): manifest.table[path].to_pylist() for path in PATHS}
    columns = {modality: paths for modality, paths in columns.items() if any(paths)}
    tasks = [(path, name) for name, paths in columns.items() for path in dict.fromkeys(paths) if path]
    todo = _with_hashes(manifest.root, tasks)
    found: dict[tuple[str, str], FileFacts] = {}
    for facts in _opened(manifest.root, todo, jobs, executor):
        found[facts.path, facts.modality] = facts
        on_file(len(found), len(todo), "")
    there = {key: facts for key, facts in found.items() if facts.fault != ABSENT}
    files = {name: [there.get((path, name)) for path in paths] for name, paths in columns.items()}
    return {modality: mine for modality, mine in files.items() if any(mine)}


def n_files(manifest: Manifest) -> int:
    """How many files `survey` would open; a film is opened as audio and as video."""
    return sum(len({path for path in manifest.table[name].to_pylist() if path}) for name in PATHS)


def _with_hashes(root: Path, tasks: Sequence[tuple[str, str]]) -> list[Task]:
    """The tasks, each with whether another file has the same size."""
    size_of: dict[str, int | None] = {}
    for path, _ in tasks:
        if path not in size_of:
            try:
                size_of[path] = (root / path).stat().st_size
            except (OSError, ValueError):
                size_of[path] = None
    n_of_size = Counter(size_of.values())
    return [(path, name, (n_of_size[size_of[path]] > 1) and bool(size_of[path])) for path, name in tasks]


def _opened(root: Path, todo: Sequence[Task], jobs: int, executor: str) -> Iterator[FileFacts]:
    chunks = [todo[first : first + BATCH] for first in range(0, len(todo), BATCH)]
    with source_of(root) as source:
        calls = ((source, each) for each in chunks)
        for chunk, found in zip(chunks, map_surviving(_facts_of_all, calls, jobs, executor), strict=True):
            if found is not None:
                yield from found
                continue
            alone = map_surviving(_facts_of_all, ((source, [task]) for task in chunk), 1, executor)
            for task, facts in zip(chunk, alone, strict=True):
                yield from facts or [_unusable(task, UNREADABLE, CRASHED)]


def _facts_of_all(source: Path | RemoteFolder, tasks: Sequence[Task]) -> list[FileFacts]:
    found = []
    for task in tasks:
        others = [] if isinstance(source, Path) else beside(source.tree, task[0])
        with fetched_below(source, [task[0], *others]) as root:
            found.append(_facts_of(root, task))
    return found


def _facts_of(root: Path, task: Task) -> FileFacts:
    path, modality, is_alike = task
    file = root / path
    if not file.exists():
        return _unusable(task, MISSING, "no such file")
    if file.is_file() and not file.stat().st_size:
        return _unusable(task, EMPTY, "the file is empty")
    content = fingerprint(file) if is_alike else None
    try:
        with noting() as notes:
            header = read_header(file, modality)
    except AbsentError as error:
        return _unusable(task, ABSENT, str(error), content)
    except (SignalError, OSError, MemoryError) as error:
        fault = SILENT if isinstance(error, SilentError) else UNREADABLE
        return _unusable(task, fault, str(error).removeprefix(f"{file}: "), content)
    reason = "; ".join(dict.fromkeys(note.removeprefix(f"{file}: ") for note in notes))
    return FileFacts(path, modality, split_ending(path)[1], header, None, reason, content)


def _unusable(task: Task, fault: str, reason: str, content: str | None = None) -> FileFacts:
    path, modality, _ = task
    return FileFacts(path, modality, split_ending(path)[1], None, fault, reason, content)
