"""Compute features batch by batch: in parallel, with finished batches kept, and faults by recording."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.errors import DataError, SignalError
from eavctl.extraction.batch import Batch, Record, read_part, write_part
from eavctl.extraction.chunks import chunks
from eavctl.extraction.executors import DeadlyCallError, is_elsewhere, map_in_order
from eavctl.extraction.fingerprint import fingerprint, identity_of
from eavctl.extraction.open_recording import Stretch, StretchOf
from eavctl.extraction.recipe import Recipe, noting
from eavctl.extraction.shared_files import require_seen, unseen
from eavctl.storage import files
from eavctl.storage.keys import AUGMENT, COPY, KEYS
from eavctl.storage.provenance import hash_json
from eavctl.storage.remote_tree import RemoteFolder, Stamp, fetched_below, source_of

if TYPE_CHECKING:
    from eavctl.extraction.augmentation import Augmentation

READ_S, READ_STEP_S = 10.0, 0.2  # for which a part of another machine is looked for, and how often
TOGETHER_BYTES = 64 << 20  # of remote files of a batch that are fetched at once
CHECKED = "checked"  # key of a record whose recording is searched for speech


def sample_id(name: str, recipe: Recipe, start: float) -> str:
    """The recording's ``sample_id``; a segment adds its start in seconds, never its number."""
    return f"{name}@{start:09.3f}" if recipe.segment else name


def batches(
    recipe: Recipe,
    root: Path,
    records: Iterable[Record],
    jobs: int,
    parts: Path | None,
    executor: str = "loky",
    augmentation: Augmentation | None = None,
    *,
    n_records: int,
) -> Iterator[Batch]:
    """Yield batches in order, read from an earlier run's parts where these are whole, else computed.

    Workers write parts, and this process reads them one by one: however many workers there are, it holds one
    batch. Only where no parts are kept, the workers send the batches themselves.

    Parameters
    ----------
    records : see `eavctl.extraction.input_hash.InputHash.records`; drawn as they are needed.
    n_records : their number, by which batches are cut.
    jobs : processes, each with one thread.
    parts : existing folder in which finished batches are kept; None keeps none.
    executor : see `eavctl.extraction.executors.map_in_order`.
    augmentation : the altered copies to make of each recording, whose rows follow the recording's own.

    Raises
    ------
    DataError : workers elsewhere do not see the recordings or the parts; or as `map_in_order`.
    """
    cut = chunks(records, n_records)
    with source_of(root) as source:
        try:
            if parts is None or (jobs == 1 and not is_elsewhere(executor)):
                calls = ((recipe, source, each, parts, augmentation) for each in cut)
                yield from map_in_order(_describe_batch, calls, jobs, executor)
            else:
                yield from _through_parts(recipe, source, cut, jobs, parts, executor, augmentation)
        finally:
            _last.close()


def _through_parts(
    recipe: Recipe,
    root: Path | RemoteFolder,
    cut: Iterable[list[Record]],
    jobs: int,
    parts: Path,
    executor: str,
    augmentation: Augmentation | None,
) -> Iterator[Batch]:
    """Yield batches that workers have written; parameters as of `batches`."""
    elsewhere = is_elsewhere(executor)
    waited_for = deque[str]()

    def calls() -> Iterator[tuple[Any, ...]]:
        for each in cut:
            waited_for.append(f"the recordings from {each[0]['path']} to {each[-1]['path']}")
            yield recipe, root, each, parts, augmentation, elsewhere

    try:
        for name in map_in_order(_write_batch, calls(), jobs, executor):
            waited_for.popleft()
            yield _written(parts / name, READ_S if elsewhere else 0.0)
    except DeadlyCallError as error:
        raise DeadlyCallError(error.n_workers, waited_for[0]) from None


def _write_batch(
    recipe: Recipe,
    root: Path | RemoteFolder,
    records: list[Record],
    parts: Path,
    augmentation: Augmentation | None,
    elsewhere: bool,
) -> str:
    """Have one batch in its part file, and return that file's name; runs in a worker process.

    Parameters
    ----------
    elsewhere : the process may be of another machine, and is checked to see the files.

    Raises
    ------
    DataError : it does not.
    """
    if elsewhere:
        stamped = (each for each in records if each["stamp"] and isinstance(root, Path))
        sizes = {os.fspath(root / each["path"]): each["stamp"][0] for each in stamped}
        require_seen({os.fspath(parts / files.LOCK): 0, **sizes})
    _describe_batch(recipe, root, records, parts, augmentation)
    return _part_of(recipe, records, parts, augmentation).name


def _part_of(recipe: Recipe, records: list[Record], parts: Path, augmentation: Augmentation | None) -> Path:
    """The file of a batch, by all that it depends on."""
    return parts / f"{hash_json([recipe.meta(), records, augmentation and augmentation.identity()])}.npz"


def _written(part: Path, seconds: float) -> Batch:
    """A batch that a worker has written.

    Parameters
    ----------
    seconds : for which it is looked for: on a network's file system a new file may be seen late.

    Raises
    ------
    DataError : it is not there, or damaged.
    """
    until = time.monotonic() + seconds
    while (batch := read_part(part)) is None:
        if time.monotonic() > until:
            raise unseen(part) if seconds else DataError(f"{part}: written and gone or damaged; run again")
        with suppress(OSError):
            os.listdir(part.parent)  # has a client of NFS ask its server again
        time.sleep(READ_STEP_S)
    return batch


def _describe_batch(
    recipe: Recipe,
    root: Path | RemoteFolder,
    records: list[Record],
    parts: Path | None,
    augmentation: Augmentation | None = None,
) -> Batch:
    """Compute one batch, or read it from its part file; runs in a worker process."""
    from threadpoolctl import threadpool_limits

    part = _part_of(recipe, records, parts, augmentation) if parts else None
    if part and (kept := read_part(part)):
        return kept
    batch, x = Batch(len(records)), []
    # One thread a process: nested pools are slower, and sums depend on the number of threads.
    with threadpool_limits(1), _fetched_together(root, records) as source:
        for path, mine in itertools.groupby(records, key=lambda record: record["path"]):
            x += _describe_file(recipe, source, path, list(mine), batch, augmentation)
    batch = batch.with_features(x)
    if part:
        write_part(part, batch)
    return batch


@contextmanager
def _fetched_together(root: Path | RemoteFolder, records: list[Record]) -> Iterator[Path | RemoteFolder]:
    """Yield a local folder with all files of a batch, fetched at once, if they are remote, small, and apart.

    Others are fetched one by one: files of many trials are needed by the next batch too.
    """
    found = [record for record in records if record["stamp"]]
    n_bytes = sum(size for record in found for size in record["stamp"][::2])
    are_apart = len({record["path"] for record in records}) == len(records)
    if isinstance(root, Path) or not found or n_bytes > TOGETHER_BYTES or not are_apart:
        yield root
        return
    paths = dict.fromkeys(path for each in found for path in (each["path"], *each.get("beside", ())))
    with fetched_below(root, [*paths]) as folder:
        try:
            yield folder
        finally:
            _last.close()


class _LastOpened:
    """Keeps the file that was opened last open, for the next batch often has more trials of it.

    A compressed array can only be read from its start: opened again for each batch, it would be read many
    times.
    """

    def __init__(self) -> None:
        self._key: tuple[str, Path | RemoteFolder, str, Stamp | None] | None = None
        self._root = Path()
        self._stretch_of: StretchOf | None = None
        self._stack = ExitStack()

    def fetch(self, recipe: Recipe, root: Path | RemoteFolder, record: Record) -> Path:
        """The folder of this machine below which the file of a record is, fetched if it is remote."""
        key = (hash_json(recipe.meta()), root, record["path"], record["stamp"])
        if key != self._key:
            self.close()
            files_of = fetched_below(root, [record["path"], *record.get("beside", ())])
            self._root, self._key = self._stack.enter_context(files_of), key
        return self._root

    def open(self, recipe: Recipe, path: Path) -> StretchOf:
        """What `Recipe.open` yields of the file that was fetched last."""
        if self._stretch_of is None:
            self._stretch_of = self._stack.enter_context(recipe.open(path))
        return self._stretch_of

    def close(self) -> None:
        """Close the file."""
        self._key = self._stretch_of = None
        self._stack.close()


_last = _LastOpened()


def _describe_file(
    recipe: Recipe,
    source: Path | RemoteFolder,
    path: str,
    records: list[Record],
    batch: Batch,
    augmentation: Augmentation | None,
) -> list[np.ndarray]:
    """Add the rows and faults of one file to the batch; return the rows' features."""
    found: list[np.ndarray] = []
    root = _last.fetch(recipe, source, records[0])
    with noting() as notes:
        try:
            stretch_of = _last.open(recipe, root / path)
            content = functools.cache(lambda: fingerprint(root / path))
            for record in records:
                own = _describe_one(recipe, root, record, stretch_of, content, batch)
                found += own
                if own and augmentation:
                    stretch = stretch_of(record["trial_index"])
                    rows = batch.rows[-len(own) :]
                    found += _describe_copies(
                        recipe, record, stretch, rows, own[0].shape, batch, augmentation
                    )
        except SignalError as error:
            reason = _without(root / path, error)
            more = f" (and so are {len(records) - 1} more trials of it)" if len(records) > 1 else ""
            bad = {"clip_id": records[0]["clip_id"], "path": path, "start": None}
            batch.rejected.append({**bad, "reason": reason + more})
    for note, times in Counter(notes).items():
        often = f" (in {times} of {len(records)} trials)" if times > 1 else ""
        batch.notes.append(note.replace(f"{root}{os.sep}", "") + often)
    return found


def said_once(notes: Iterable[str]) -> list[str]:
    """Notes on files, ``path: text``, with one for all files of which the same is said, that of the first."""
    of_text: dict[str, list[str]] = {}
    for note in notes:
        of_text.setdefault(note.partition(": ")[2] or note, []).append(note)
    return [
        first + (f" (likewise {len(others)} more recordings)" if others else "")
        for first, *others in of_text.values()
    ]


def _describe_one(
    recipe: Recipe,
    root: Path,
    record: Record,
    stretch_of: StretchOf,
    content: Callable[[], str | None],
    batch: Batch,
) -> list[np.ndarray]:
    """Add one recording's rows, or the reason why it has none, to the batch; return the features.

    ``content`` identifies the file.
    """
    bad = {"clip_id": record["clip_id"], "path": record["path"], "start": None}
    try:
        stretch = stretch_of(record["trial_index"])
        samples = recipe.describe(stretch, record.get("start"), record.get("end"))
        if record.get(CHECKED):
            batch.speech.append(recipe.holds_speech(stretch, record.get("start"), record.get("end")))
    except SignalError as error:
        batch.rejected.append({**bad, "reason": _without(root / record["path"], error)})
        return []
    keys = {key: value for key, value in record.items() if key in KEYS} | record["extra"]
    keys["recording"] = identity_of(stretch, content, record["trial_index"])
    found = []
    for sample in samples:
        if sample.x is None:
            start = sample.start if recipe.segment or recipe.epoch else None
            batch.rejected.append({**bad, "start": start, "reason": sample.reason})
        else:
            name = sample_id(record["sample_id"], recipe, sample.start)
            batch.rows.append({**keys, "sample_id": name, "start": sample.start, "end": sample.end})
            batch.accounts.extend([dict(sample.account)] if sample.account else [])
            found.append(sample.x)
    return found


def _describe_copies(
    recipe: Recipe,
    record: Record,
    stretch: Stretch,
    rows: list[Record],
    shape: tuple[int, ...],
    batch: Batch,
    augmentation: Augmentation,
) -> list[np.ndarray]:
    """Add the rows of a recording's altered copies to the batch; return their features.

    A copy has a row for each of the recording's ``rows``. What cannot be described of it is left out with a
    note: the recording itself can be used.
    """
    row_of = {row["start"]: row for row in rows}
    span = record.get("start"), record.get("end")
    found = []
    for name, copy in augmentation.copies_of(stretch, record["sample_id"], *span):
        with noting():  # what is odd about the recording has been noted once
            samples = recipe.describe(copy, *span)
        for sample in samples:
            row = row_of.get(sample.start)
            if row is None:
                continue
            if sample.x is None or sample.x.shape != shape:
                reason = sample.reason or "its features have another shape"
                batch.notes.append(f"{row['sample_id']}: its altered copy {name} is left out: {reason}")
                continue
            batch.rows.append({**row, "sample_id": f"{row['sample_id']}{COPY}{name}", AUGMENT: name})
            found.append(sample.x)
    return found


def _without(path: Path, error: SignalError) -> str:
    """The error's text without the path: it is listed beside it, and differs between machines."""
    return str(error).removeprefix(f"{path}: ")
