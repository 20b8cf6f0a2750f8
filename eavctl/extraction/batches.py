"""Batches of recordings to rows: in parallel, kept on the way, and what went wrong with which recording."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from eavctl.errors import SignalError
from eavctl.extraction.fingerprint import fingerprint, of_trial
from eavctl.extraction.recipe import Describe, Recipe, noting
from eavctl.storage import files
from eavctl.storage.keys import KEYS
from eavctl.storage.provenance import hash_json

if TYPE_CHECKING:
    from eavctl.extraction.executors import ExecutorName  # not needed by one process

BATCH = 8  # recordings: a kill loses little, and the last are shared evenly; larger is handed out cheaper

Record = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """A few recordings' rows: JSON-able keys, features (n_rows, *shape), and what went wrong.

    ``accounts`` has what the feature set says of each row, or nothing.
    """

    n_recordings: int
    rows: list[Record] = field(default_factory=list)
    x: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    accounts: list[Record] = field(default_factory=list)
    rejected: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def with_features(self, found: list[np.ndarray]) -> Batch:
        """The batch with its rows' features; rows of another shape than the first are rejected."""
        if not found:
            return self
        shape = found[0].shape
        fits = [each.shape == shape for each in found]
        pairs = zip(self.rows, found, strict=True)
        bad = [_misfit(row, each.shape, shape) for row, each in pairs if each.shape != shape]
        rows = list(itertools.compress(self.rows, fits))
        accounts = list(itertools.compress(self.accounts, fits))
        x = list(itertools.compress(found, fits))
        return replace(self, rows=rows, accounts=accounts, x=np.stack(x), rejected=self.rejected + bad)

    def fitting(self, shape: tuple[int, ...]) -> Batch:
        """The batch with all its rows rejected if they are of another shape than the table's."""
        if not self.rows or self.x.shape[1:] == shape:
            return self
        bad = [_misfit(row, self.x.shape[1:], shape) for row in self.rows]
        return Batch(self.n_recordings, rejected=self.rejected + bad, notes=self.notes)


def sample_id(name: str, recipe: Recipe, start: float) -> str:
    """The name in the manifest; a segment's is told by its start in seconds, never by its number."""
    return f"{name}@{start:09.3f}" if recipe.segment else name


def batches(
    recipe: Recipe,
    root: Path,
    records: Iterable[Record],
    jobs: int,
    parts: Path | None,
    executor: ExecutorName = "loky",
) -> Iterator[Batch]:
    """Yield batches in order, from the parts of a run before where they are whole, else computed.

    Parameters
    ----------
    records : see `eavctl.extraction.input_hash.Inputs`; gone through little by little.
    jobs : processes, each with one thread.
    parts : folder that is there, in which finished batches are kept, if they are to be.
    executor : what starts the processes, as `eavctl.extraction.executors.in_order` takes it.
    """
    root = root.absolute()  # a worker process may have another working folder
    stream = iter(records)
    chunks = iter(lambda: list(itertools.islice(stream, BATCH)), [])
    first = list(itertools.islice(chunks, 2))
    arguments = ((recipe, root, chunk, parts) for chunk in itertools.chain(first, chunks))
    if jobs == 1 or len(first) < 2:
        try:
            yield from (_describe(*each) for each in arguments)
        finally:
            _last.close()
        return
    from eavctl.extraction.executors import in_order

    yield from in_order(_describe, arguments, jobs, executor)


def _describe(recipe: Recipe, root: Path, records: list[Record], parts: Path | None) -> Batch:
    """Compute one batch, or take it from its part file; runs in a worker process."""
    from threadpoolctl import threadpool_limits

    part = parts / f"{hash_json([recipe.meta(), records])}.npz" if parts else None
    if part and (kept := _read_part(part)):
        return kept
    batch, x = Batch(len(records)), []
    with threadpool_limits(1):  # one thread a process: nested pools are slower, and sums stay the same
        for path, mine in itertools.groupby(records, key=lambda record: record["path"]):
            x += _describe_file(recipe, root, path, list(mine), batch)
    batch = batch.with_features(x)
    if part:
        _write_part(part, batch)
    return batch


class _LastOpened:
    """The file that was opened last stays open: the next batch often has more trials of it.

    A compressed array can only be read from its start, so opening it again for each batch would read it
    many times.
    """

    def __init__(self) -> None:
        self._key: tuple[str, Path, list[int] | None] | None = None
        self._stack = ExitStack()

    def open(self, recipe: Recipe, path: Path, stamp: list[int] | None) -> Describe:
        """What `Recipe.open` gives; ``stamp`` is the file's size and time."""
        key = (hash_json(recipe.meta()), path, stamp)
        if key != self._key:
            self.close()
            self._describe = self._stack.enter_context(recipe.open(path))
            self._key = key
        return self._describe

    def close(self) -> None:
        """Close the file."""
        self._key = None
        self._stack.close()


_last = _LastOpened()


def _describe_file(
    recipe: Recipe, root: Path, path: str, records: list[Record], batch: Batch
) -> list[np.ndarray]:
    """Add the rows of one file to the batch, and what went wrong; return the rows' features."""
    found: list[np.ndarray] = []
    with noting() as notes:
        try:
            describe = _last.open(recipe, root / path, records[0]["stamp"])
            content = fingerprint(root / path)
            for record in records:
                named = record | {"recording": of_trial(content, record["trial_index"])}
                found += _describe_one(recipe, root, named, describe, batch)
        except SignalError as error:
            reason = _without(root / path, error)
            more = f" (and so are {len(records) - 1} more trials of it)" if len(records) > 1 else ""
            bad = {"clip_id": records[0]["clip_id"], "path": path, "start": None}
            batch.rejected.append({**bad, "reason": reason + more})
    for note, times in Counter(notes).items():
        often = f" (in {times} of {len(records)} trials)" if times > 1 else ""
        batch.notes.append(note.replace(f"{root}{os.sep}", "") + often)
    return found


def _describe_one(
    recipe: Recipe, root: Path, record: Record, describe: Describe, batch: Batch
) -> list[np.ndarray]:
    """Add one recording's rows, or the reason why it has none, to the batch; return its features."""
    bad = {"clip_id": record["clip_id"], "path": record["path"], "start": None}
    try:
        samples = describe(record.get("start"), record.get("end"), record["trial_index"])
    except SignalError as error:
        batch.rejected.append({**bad, "reason": _without(root / record["path"], error)})
        return []
    keys = {key: value for key, value in record.items() if key in KEYS}
    found = []
    for sample in samples:
        if sample.x is None:
            start = sample.start if recipe.segment else None
            batch.rejected.append({**bad, "start": start, "reason": sample.reason})
        else:
            name = sample_id(record["sample_id"], recipe, sample.start)
            batch.rows.append({**keys, "sample_id": name, "start": sample.start, "end": sample.end})
            batch.accounts.extend([sample.account] if sample.account else [])
            found.append(sample.x)
    return found


def _without(path: Path, error: SignalError) -> str:
    """The error's text without the path, which stands beside it and is not the same on every machine."""
    return str(error).removeprefix(f"{path}: ")


def _misfit(row: Record, shape: tuple[int, ...], expected: tuple[int, ...]) -> Record:
    sizes = ["x".join(map(str, each)) for each in (shape, expected)]
    reason = f"gives {sizes[0]} values where the first recording gives {sizes[1]}; cut alike with --segment"
    return {"clip_id": row["clip_id"], "path": row["clip_id"], "start": row["start"], "reason": reason}


def _write_part(part: Path, batch: Batch) -> None:
    info = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "x"}
    with files.atomic_write(part, sync=False) as handle:  # what a power cut tears fails its checksum
        np.savez(handle, x=batch.x, info=np.frombuffer(json.dumps(info).encode(), np.uint8))


def _read_part(part: Path) -> Batch | None:
    """A finished batch of a run before; None where there is none or it is damaged."""
    try:
        with np.load(part, allow_pickle=False) as content:
            info = json.loads(content["info"].tobytes())
            return Batch(x=content["x"], **info)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):
        return None
