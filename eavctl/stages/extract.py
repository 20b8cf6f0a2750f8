"""Recordings to a feature table: in parallel, batch by batch, going on where a killed run stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eavctl import files, tables
from eavctl.datasets.manifest import Manifest, find
from eavctl.errors import DataError, SignalError
from eavctl.provenance import hash_file, hash_json, versions
from eavctl.stages.recipe import Recipe

BATCH = 16  # recordings; small enough that a kill loses seconds, large enough to hand out cheaply

Record = dict[str, Any]
Tick = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Extracted:
    """What an extraction came to; ``rejected`` names recordings or segments, each with its reason."""

    n_rows: int
    shape: tuple[int, ...]
    n_recordings: int
    rejected: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    up_to_date: bool = False


@dataclass(frozen=True)
class _Batch:
    """A few recordings' rows: JSON-able keys, features (n_rows, *shape), and what went wrong."""

    n_recordings: int
    rows: list[Record]
    x: np.ndarray
    rejected: list[Record]
    notes: list[str]


@dataclass(frozen=True)
class _Work:
    """What is to be done: which recordings, by which recipe, and what the table will say of itself."""

    recipe: Recipe
    manifest: Manifest
    records: list[Record]
    meta: Record

    @classmethod
    def of(cls, manifest: Manifest, recipe: Recipe) -> _Work:
        records = _records(manifest, recipe)
        meta = {
            **recipe.meta(),
            "layout": manifest.layout,
            "classes": list(manifest.classes),
            "n_recordings": len(records) + len(manifest.rejected),
            "inputs_hash": hash_json([records, list(manifest.rejected)]),
            "versions": versions("numpy", "scipy", "soundfile"),
        }
        return cls(recipe, manifest, records, meta)


def extract(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    recipe: Recipe,
    *,
    layout: str | None = None,
    jobs: int = 1,
    force: bool = False,
    strict: bool = False,
    rejected: str | os.PathLike[str] | None = None,
    on_clip: Tick = lambda done, total, note: None,
) -> Extracted:
    """Compute the features of every recording of a data set and write them as one table.

    Finished batches are kept in a hidden folder beside ``out`` until the table is whole, so that a run
    that was killed goes on where it stopped. Where ``out`` was made of the same recordings by the same
    recipe, nothing is computed and its time is set to now.

    Parameters
    ----------
    source, layout : the data set, and the name of its layout where it is not to be recognised.
    out : the table to write, or ``-``.
    jobs : processes, each with one thread.
    force : overwrite a file of others, and compute what is up to date.
    strict : one bad recording is an error, and no table is written.
    rejected : also write the rejected recordings to this table.
    on_clip : called with the number of recordings done, of all, and a note.

    Raises
    ------
    DataError : no recording could be used, or one could not and ``strict`` is given.
    UsageError : ``out`` or ``rejected`` is a file that eavctl did not write.
    """
    for target in [out, *([rejected] if rejected else [])]:
        files.guard(target, force=force)
    work = _Work.of(find(source, layout), recipe)

    def settle(result: Extracted) -> None:
        if rejected:
            frame = pd.DataFrame(result.rejected, columns=["clip_id", "path", "start", "reason"])
            tables.write_frame(frame, rejected, kind="rejected")
        if not result.n_rows or (strict and result.rejected):
            first = result.rejected[0]
            raise DataError(
                f"{source}: {len(result.rejected)} of {result.n_recordings} recordings cannot be used; the "
                f"first is {first['path']}: {first['reason']}"
            )

    if not force and (result := _up_to_date(out, work)):
        settle(result)
        os.utime(out)
        return result
    return _compute(work, out, jobs, force, on_clip, settle)


def _compute(
    work: _Work,
    out: str | os.PathLike[str],
    jobs: int,
    force: bool,
    on_clip: Tick,
    settle: Callable[[Extracted], None],
) -> Extracted:
    target = Path(out).absolute()
    parts = None if os.fspath(out) == files.STDIO else target.with_name(f".{target.name}.parts")
    if parts and parts.exists():  # an earlier run was killed
        files.clear_leftovers(target)
        if force:
            shutil.rmtree(parts, ignore_errors=True)
    bad: list[Record] = list(work.manifest.rejected)
    notes: list[str] = []
    n_done = n_rows = 0
    shape: tuple[int, ...] = ()
    with ExitStack() as stack:
        writer = None
        for batch in _batches(work, jobs, parts):
            n_done, n_rows = n_done + batch.n_recordings, n_rows + len(batch.rows)
            bad, notes = bad + batch.rejected, notes + batch.notes
            on_clip(n_done, len(work.records), f"{len(bad)} rejected" if bad else "")
            if batch.rows:
                if writer is None:
                    shape = batch.x.shape[1:]
                    writer = stack.enter_context(tables.FeatureWriter(out, work.recipe.columns, shape))
                writer.write(tables.key_frame(pd.DataFrame(batch.rows)), batch.x)
        result = Extracted(n_rows, shape, work.meta["n_recordings"], tuple(bad), tuple(notes))
        settle(result)
        assert writer is not None  # settle has refused a table without rows
        writer.close({**work.meta, "shape": list(shape), "n_rows": n_rows, "rejected": bad})
    if parts:
        shutil.rmtree(parts, ignore_errors=True)
    return result


def _records(manifest: Manifest, recipe: Recipe) -> list[Record]:
    """JSON-able rows of the manifest with the recording's path and the hash of its bytes, in table order."""
    column = f"{recipe.entry.facts['modality']}_path"
    records = []
    for row in manifest.rows.to_dict("records"):
        record = {key: value for key, value in row.items() if not pd.isna(value)}
        path = record.get(column)
        file = manifest.root / path if path else None
        record |= {"path": path, "hash": hash_file(file) if file and file.is_file() else None}
        records.append(record)
    return sorted(records, key=lambda r: _sample_id(r, recipe, 0.0))


def _sample_id(record: Record, recipe: Recipe, start: float) -> str:
    """The clip's own name; a segment's is told by its start in seconds, never by its number."""
    return f"{record['clip_id']}@{start:09.3f}" if recipe.segment else record["clip_id"]


def _batches(work: _Work, jobs: int, parts: Path | None) -> Iterator[_Batch]:
    """Yield batches in order, from the parts of a run before where they are whole, else computed."""
    chunks = [work.records[i : i + BATCH] for i in range(0, len(work.records), BATCH)]
    if parts:
        parts.mkdir(exist_ok=True)
    root = work.manifest.root.absolute()  # a worker process may have another working folder
    arguments = [(work.recipe, root, chunk, parts) for chunk in chunks]
    if jobs == 1 or len(chunks) == 1:
        yield from (_describe(*each) for each in arguments)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(_describe)(*each) for each in arguments)


def _describe(recipe: Recipe, root: Path, records: list[Record], parts: Path | None) -> _Batch:
    """Compute one batch, or take it from its part file; runs in a worker process."""
    from threadpoolctl import threadpool_limits

    part = parts / f"{hash_json([recipe.meta(), records])}.npz" if parts else None
    if part and (kept := _read_part(part)):
        return kept
    batch = _Batch(len(records), [], np.empty(0, np.float32), [], [])
    found = []
    with threadpool_limits(1):  # one thread a process: nested pools are slower, and sums stay the same
        for record in records:
            found += _describe_one(recipe, root, record, batch)
    if found:
        batch = _Batch(batch.n_recordings, batch.rows, np.stack(found), batch.rejected, batch.notes)
    if part:
        _write_part(part, batch)
    return batch


def _describe_one(recipe: Recipe, root: Path, record: Record, batch: _Batch) -> list[np.ndarray]:
    """Add one recording's rows, or the reason why it has none, to the batch; return its features."""
    bad = {"clip_id": record["clip_id"], "path": record["path"], "start": None}
    if not record["path"]:
        reason = f"the manifest names no {recipe.entry.facts['modality']} of it"
        batch.rejected.append({**bad, "path": "", "reason": reason})
        return []
    try:
        samples, notes = recipe.describe(root / record["path"], (record.get("start"), record.get("end")))
    except SignalError as error:
        batch.rejected.append({**bad, "reason": _without(root / record["path"], error)})
        return []
    batch.notes.extend(note.replace(f"{root}{os.sep}", "") for note in notes)
    good = [sample for sample in samples if sample.x is not None]
    for sample in samples:
        if sample.x is None:
            start = sample.start if recipe.segment else None
            batch.rejected.append({**bad, "start": start, "reason": sample.reason})
    keys = {key: value for key, value in record.items() if key in tables.KEYS}
    for sample in good:
        sample_id = _sample_id(record, recipe, sample.start)
        batch.rows.append({**keys, "sample_id": sample_id, "start": sample.start, "end": sample.end})
    return [sample.x for sample in good if sample.x is not None]


def _without(path: Path, error: SignalError) -> str:
    """The error's text without the path, which stands beside it and is not the same on every machine."""
    return str(error).removeprefix(f"{path}: ")


def _write_part(part: Path, batch: _Batch) -> None:
    info = {"n": batch.n_recordings, "rows": batch.rows, "rejected": batch.rejected, "notes": batch.notes}
    with files.atomic_write(part) as handle:
        np.savez(handle, x=batch.x, info=np.frombuffer(json.dumps(info).encode(), np.uint8))


def _read_part(part: Path) -> _Batch | None:
    """A finished batch of a run before; None where there is none or it is damaged."""
    try:
        with np.load(part, allow_pickle=False) as content:
            info = json.loads(content["info"].tobytes())
            return _Batch(info["n"], info["rows"], content["x"], info["rejected"], info["notes"])
    except (OSError, ValueError, KeyError):
        return None


def _up_to_date(out: str | os.PathLike[str], work: _Work) -> Extracted | None:
    """What ``out`` holds, if it is what this work would make."""
    if os.fspath(out) == files.STDIO or not Path(out).is_file():
        return None
    try:
        meta = tables.read_meta(out)
    except DataError:
        return None
    if any(meta.get(key) != value for key, value in work.meta.items()):
        return None
    rejected = tuple(meta["rejected"])
    return Extracted(meta["n_rows"], tuple(meta["shape"]), meta["n_recordings"], rejected, (), True)
