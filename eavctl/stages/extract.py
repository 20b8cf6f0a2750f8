"""Recordings to a feature table: in parallel, batch by batch, going on where a killed run stopped."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eavctl import files, tables
from eavctl.datasets.events import Epochs, cut_at_events
from eavctl.datasets.manifest import Manifest, find
from eavctl.errors import DataError, SignalError
from eavctl.provenance import hash_file, hash_json, versions
from eavctl.stages.recipe import Describe, Recipe, noting

BATCH = 16  # recordings; small enough that a kill loses seconds, large enough to hand out cheaply

PACKAGES = {
    "audio": ("numpy", "scipy", "soundfile"),
    "eeg": ("numpy", "scipy", "mne"),
    "video": ("numpy", "av"),
}

Record = dict[str, Any]
Tick = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Choice:
    """Which recordings of a data set are meant.

    Parameters
    ----------
    layout : name of the layout, where it is not to be recognised.
    where : keys that the recordings must have, such as ``{"task": "speaking"}``.
    epochs : cut continuous EEG at these events.
    """

    layout: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    epochs: Epochs | None = None

    def of(self, source: str | os.PathLike[str]) -> Manifest:
        """Scan the data set and choose."""
        manifest = find(source, self.layout).where(self.where)
        return cut_at_events(manifest.holding("eeg"), self.epochs) if self.epochs else manifest


@dataclass(frozen=True)
class Extracted:
    """What an extraction came to; ``rejected`` names recordings or segments, each with its reason.

    ``n_without`` recordings have nothing of the modality; ``account`` is, over the rows, the mean of what
    the feature set says of itself, such as the share of frames in which a face was found.
    """

    n_rows: int
    shape: tuple[int, ...]
    n_recordings: int
    rejected: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    n_without: int = 0
    account: Record = field(default_factory=dict)
    up_to_date: bool = False


@dataclass(frozen=True)
class _Batch:
    """A few recordings' rows: JSON-able keys, features (n_rows, *shape), and what went wrong.

    ``accounts`` has what the feature set says of each row, or nothing.
    """

    n_recordings: int
    rows: list[Record] = field(default_factory=list)
    x: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    accounts: list[Record] = field(default_factory=list)
    rejected: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def with_features(self, found: list[np.ndarray]) -> _Batch:
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

    def fitting(self, shape: tuple[int, ...]) -> _Batch:
        """The batch with all its rows rejected if they are of another shape than the table's."""
        if not self.rows or self.x.shape[1:] == shape:
            return self
        bad = [_misfit(row, self.x.shape[1:], shape) for row in self.rows]
        return _Batch(self.n_recordings, rejected=self.rejected + bad, notes=self.notes)


@dataclass(frozen=True)
class _Work:
    """What is to be done: which recordings, by which recipe, and what the table will say of itself."""

    recipe: Recipe
    manifest: Manifest
    records: list[Record]
    meta: Record

    @classmethod
    def of(cls, found: Manifest, recipe: Recipe) -> _Work:
        manifest = found.holding(recipe.modality)
        recipe = recipe.for_data(manifest)
        records = _records(manifest, recipe)
        meta = {
            **recipe.meta(),
            "layout": manifest.layout,
            "classes": list(manifest.classes),
            "n_recordings": len(records) + len(manifest.rejected),
            "n_without": len(found) - len(manifest),
            "inputs_hash": hash_json([records, list(manifest.rejected)]),
            "versions": versions(*PACKAGES[recipe.modality]),
        }
        return cls(recipe, manifest, records, meta)


def extract(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    recipe: Recipe,
    *,
    choice: Choice | None = None,
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
    source, choice : the data set, and which of it; all by default.
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
    work = _Work.of((choice or Choice()).of(source), recipe)

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
    bad: list[Record] = [dict(each) for each in work.manifest.rejected]
    notes: list[str] = []
    accounts: list[Record] = []
    n_done = n_rows = 0
    shape: tuple[int, ...] = ()
    with ExitStack() as stack:
        writer = None
        for batch in _batches(work, jobs, parts):
            if batch.rows and writer is None:
                shape = batch.x.shape[1:]
                writer = stack.enter_context(
                    tables.FeatureWriter(out, work.recipe.columns, shape, batch.x.dtype)
                )
            batch = batch.fitting(shape)
            n_done, n_rows = n_done + batch.n_recordings, n_rows + len(batch.rows)
            bad, notes = bad + batch.rejected, notes + batch.notes
            accounts += batch.accounts
            on_clip(n_done, len(work.records), f"{len(bad)} rejected" if bad else "")
            if batch.rows and writer is not None:
                writer.write(tables.key_frame(pd.DataFrame(batch.rows)), batch.x)
        account = _account(accounts)
        n_recordings, n_without = work.meta["n_recordings"], work.meta["n_without"]
        result = Extracted(n_rows, shape, n_recordings, tuple(bad), tuple(notes), n_without, account)
        settle(result)
        assert writer is not None  # settle has refused a table without rows
        facts = {"shape": list(shape), "n_rows": n_rows, "rejected": bad, "account": account}
        writer.close({**work.meta, **facts})
    if parts:
        shutil.rmtree(parts, ignore_errors=True)
    return result


def _account(accounts: list[Record]) -> Record:
    """Mean and least, over the rows, of each number that the feature set gives with them."""
    names = accounts[0] if accounts else ()
    values = {name: [account[name] for account in accounts] for name in names}
    return {name: {"mean": float(np.mean(each)), "least": min(each)} for name, each in values.items()}


def _records(manifest: Manifest, recipe: Recipe) -> list[Record]:
    """JSON-able rows of the manifest with the recording's path and the hash of its bytes, in table order."""
    hashes: dict[Path, str] = {}
    records = []
    for row in manifest.rows.to_dict("records"):
        record = {key: value for key, value in row.items() if not pd.isna(value)}
        path = record[f"{recipe.modality}_path"]
        file = manifest.root / path
        if file not in hashes and file.is_file():
            hashes[file] = hash_file(file)
        trial = record.get("eeg_index") if recipe.modality == "eeg" else None
        records.append({**record, "path": path, "trial_index": trial, "hash": hashes.get(file)})
    return sorted(records, key=lambda r: _sample_id(r, recipe, 0.0))


def _sample_id(record: Record, recipe: Recipe, start: float) -> str:
    """The clip's own name; a segment's is told by its start in seconds, never by its number."""
    return f"{record['clip_id']}@{start:09.3f}" if recipe.segment else record["clip_id"]


def _batches(work: _Work, jobs: int, parts: Path | None) -> Iterator[_Batch]:
    """Yield batches in order, from the parts of a run before where they are whole, else computed."""
    chunks = _chunks(work.records)
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
    batch, x = _Batch(len(records)), []
    with threadpool_limits(1):  # one thread a process: nested pools are slower, and sums stay the same
        for path, mine in itertools.groupby(records, key=lambda record: record["path"]):
            x += _describe_file(recipe, root, path, list(mine), batch)
    batch = batch.with_features(x)
    if part:
        _write_part(part, batch)
    return batch


def _describe_file(
    recipe: Recipe, root: Path, path: str, records: list[Record], batch: _Batch
) -> list[np.ndarray]:
    """Add the rows of one file to the batch, and what went wrong; return the rows' features."""
    found: list[np.ndarray] = []
    with noting() as notes:
        try:
            with recipe.open(root / path) as describe:
                for record in records:
                    found += _describe_one(recipe, root, record, describe, batch)
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
    recipe: Recipe, root: Path, record: Record, describe: Describe, batch: _Batch
) -> list[np.ndarray]:
    """Add one recording's rows, or the reason why it has none, to the batch; return its features."""
    bad = {"clip_id": record["clip_id"], "path": record["path"], "start": None}
    try:
        samples = describe(record.get("start"), record.get("end"), record["trial_index"])
    except SignalError as error:
        batch.rejected.append({**bad, "reason": _without(root / record["path"], error)})
        return []
    keys = {key: value for key, value in record.items() if key in tables.KEYS}
    found = []
    for sample in samples:
        if sample.x is None:
            start = sample.start if recipe.segment else None
            batch.rejected.append({**bad, "start": start, "reason": sample.reason})
        else:
            sample_id = _sample_id(record, recipe, sample.start)
            batch.rows.append({**keys, "sample_id": sample_id, "start": sample.start, "end": sample.end})
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


def _chunks(records: list[Record]) -> list[list[Record]]:
    """A few recordings each; the trials of one file stay together, so that it is read once."""
    chunks: list[list[Record]] = []
    for _, same in itertools.groupby(records, key=lambda record: record["path"]):
        mine = list(same)
        if chunks and len(chunks[-1]) + len(mine) <= BATCH:
            chunks[-1] += mine
        else:
            chunks.append(mine)
    return chunks


def _write_part(part: Path, batch: _Batch) -> None:
    info = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "x"}
    with files.atomic_write(part) as handle:
        np.savez(handle, x=batch.x, info=np.frombuffer(json.dumps(info).encode(), np.uint8))


def _read_part(part: Path) -> _Batch | None:
    """A finished batch of a run before; None where there is none or it is damaged."""
    try:
        with np.load(part, allow_pickle=False) as content:
            info = json.loads(content["info"].tobytes())
            return _Batch(x=content["x"], **info)
    except (OSError, ValueError, KeyError, TypeError):
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
    size = (meta["n_rows"], tuple(meta["shape"]), meta["n_recordings"])
    return Extracted(*size, rejected, (), meta["n_without"], meta["account"], up_to_date=True)
