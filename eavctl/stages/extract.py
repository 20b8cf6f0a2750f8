"""Extract a feature table from recordings: in parallel, in batches, resuming after an interruption."""

from __future__ import annotations

import itertools
import json
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.datasets import refs
from eavctl.datasets.choice import Choice
from eavctl.datasets.manifest import Manifest, layout_of
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.findings.codes import short_forms
from eavctl.evaluation.findings.people import people_findings
from eavctl.evaluation.names import BETWEEN, counts_of
from eavctl.extraction.batch import Batch, Record
from eavctl.extraction.batches import CHECKED, batches, said_once, sample_id
from eavctl.extraction.copies import Copies
from eavctl.extraction.executors import is_elsewhere, probe
from eavctl.extraction.file_hashes import FileHashes
from eavctl.extraction.input_hash import InputHash
from eavctl.extraction.recipe import Recipe, noting
from eavctl.memory import return_freed_memory
from eavctl.printable import printable
from eavctl.progress import Tick, silent
from eavctl.storage import files, tables
from eavctl.storage.folder_writer import FolderWriter, writer_of
from eavctl.storage.grounding_tables import BEFORE_NUMBER
from eavctl.storage.keys import AUGMENT, extras
from eavctl.storage.metadata import ENCODER_TRAINED_ON
from eavctl.storage.ownership import Output, check_columns, guard
from eavctl.storage.provenance import versions

if TYPE_CHECKING:
    from eavctl.extraction.augmentation import Augmentation
    from eavctl.grounding.table import PhraseWriter

    Writer = tables.FeatureWriter | FolderWriter | PhraseWriter

PACKAGES = {
    "audio": ("numpy", "scipy", "soundfile"),
    "eeg": ("numpy", "scipy", "mne"),
    "video": ("numpy", "av", "pillow"),
}
ALTERING = ("av", "soxr")  # packages that altered copies need too
NETWORKS = ("torch",)  # that embed, or choose a face
MOST_CHECKED = 20  # recordings that are searched for speech
LEAST_SPEECH = 0.95  # share of them that must hold it for the table to be one of speech
N_SHOWN = 5  # recordings that a plan shows
USUAL_FEATURES = "functionals"
PHRASES = ("refs", "scenes")  # layout and features of tables of phrases on pictures

__all__ = ["Choice", "Extracted", "Planned", "default_features", "extract", "plan"]


@dataclass(frozen=True)
class Extracted:
    """What an extraction gave.

    Parameters
    ----------
    n_rows, shape : rows of the recordings themselves, and the shape of one row's features.
    n_recordings : of the modality, including those rejected.
    rejected : recordings or segments that cannot be used, each with its ``reason``.
    notes : what is odd about the recordings or the data set, in sentences.
    n_without : recordings without the modality.
    account : mean and least over the rows of what the feature set reports, such as the share of frames in
        which a face was found.
    class_counts : rows of each class.
    up_to_date : an earlier run had left the table, and nothing was computed.
    n_copies : rows of altered copies.
    epoch : start and end of the rows relative to the events that they were cut at, in seconds; None where
        they were not cut at events.
    """

    n_rows: int
    shape: tuple[int, ...]
    n_recordings: int
    rejected: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    n_without: int = 0
    account: Record = field(default_factory=dict)
    class_counts: Mapping[str, int] = field(default_factory=dict)
    up_to_date: bool = False
    n_copies: int = 0
    epoch: Sequence[float] | None = None


@dataclass(frozen=True)
class Planned:
    """What an extraction would do.

    Parameters
    ----------
    layout : name of the data set's layout.
    n_recordings, n_without : as in `Extracted`.
    rejected : recordings that are known to be unusable before any is opened.
    notes : what is odd about the data set, in sentences.
    up_to_date : the table exists already, and nothing would be computed.
    first : what is known of the first recordings, by column.
    """

    layout: str
    n_recordings: int
    n_without: int
    rejected: tuple[Record, ...]
    notes: tuple[str, ...]
    up_to_date: bool
    first: tuple[Record, ...] = ()


@dataclass(frozen=True)
class _Work:
    """Which recordings to extract, in the order of the table, of how many found, and by which recipe."""

    recipe: Recipe
    manifest: Manifest
    n_found: int
    choice: Choice
    augmentation: Augmentation | None

    @classmethod
    def of(cls, found: Manifest, recipe: Recipe, augmentation: Augmentation | None, choice: Choice) -> _Work:
        manifest = found.holding(recipe.modality)
        recipe = recipe.for_data(manifest)
        work = cls(recipe, manifest, len(found), choice, augmentation)
        if not recipe.segment and not work.has_phrases:  # samples have the names of the clips, in order
            return work
        after = BEFORE_NUMBER if work.has_phrases else ""
        ids = [sample_id(name, recipe, 0.0) + after for name in manifest.table["sample_id"].to_pylist()]
        return replace(work, manifest=manifest.taking(sorted(range(len(ids)), key=ids.__getitem__)))

    @cached_property
    def identity(self) -> Record:
        """Metadata of the table by which a later run recognises it as up to date.

        Versions of packages are not part of it: where a new one changes results, so does the feature set's.
        """
        return {
            "schema_version": tables.SCHEMA_VERSION,
            **self.recipe.meta(),
            "layout": self.manifest.layout,
            "classes": list(self.manifest.classes),
            "distinct_names": self.choice.distinct_names,
            "n_recordings": self._n_recordings,
            "n_without": self.n_found - len(self.manifest),
            "augment": self.augmentation and self.augmentation.identity(),
            **({"layout_settings": settings} if (settings := self.choice.layout_settings) else {}),
            **({"phrases_hash": refs.hash_of(self.manifest.root)} if self.has_phrases else {}),
        }

    @property
    def _n_recordings(self) -> int:
        """Recordings of the modality, used or rejected; of pictures, only a few phrases may be rejected."""
        rejected = self.manifest.rejected
        if self.has_phrases:
            own = set(self.manifest.table["clip_id"].to_pylist())
            return len(own | {bad["clip_id"] for bad in rejected})
        return len(self.manifest) + len(rejected)

    @property
    def has_phrases(self) -> bool:
        """Whether the table is one of phrases on pictures."""
        return (self.manifest.layout, self.recipe.features) == PHRASES

    @property
    def extra(self) -> list[str]:
        """The names of the extra columns."""
        return extras(self.manifest.table.column_names)

    def checking_speech(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records; of audio up to `MOST_CHECKED`, evenly spaced, have the key `CHECKED`."""
        n = len(self.manifest)
        few = min(n, MOST_CHECKED) if self.recipe.modality == "audio" else 0
        chosen = {i * n // few for i in range(few)}
        for i, record in enumerate(records):
            yield {**record, CHECKED: True} if i in chosen else record

    def inputs(self, out: str | os.PathLike[str], *, rehash: bool) -> InputHash:
        """The hash of the recordings, which ``identity`` lacks: it takes as long as reading all new files."""
        return InputHash(self.manifest, self.recipe.modality, FileHashes(out, afresh=rehash))


def _asked(choice: Choice) -> Record:
    """How recordings were chosen and cut, as the command line takes it; empty for all of them, uncut."""
    asked: Record = {"where": dict(choice.where)} if choice.where else {}
    if choice.epochs:
        asked["events"] = dict(choice.epochs.labels)
    return asked


def default_features(source: str | os.PathLike[str], layout: str | None = None) -> str:
    """The feature set of a data set: that of its layout, such as ``images`` of pictures, else functionals."""
    try:
        entry = layout_of(Path(source), layout)
    except DataError:  # extracting will fail in the same way
        return USUAL_FEATURES
    return str(entry.facts.get("features", USUAL_FEATURES))


def extract(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    recipe: Recipe,
    *,
    choice: Choice | None = None,
    augmentation: Augmentation | None = None,
    jobs: int = 1,
    executor: str = "loky",
    force: bool = False,
    rehash: bool = False,
    strict: bool = False,
    rejected: str | os.PathLike[str] | None = None,
    on_clip: Tick = silent,
) -> Extracted:
    """Compute the features of every recording of a data set and write them as one table.

    Finished batches are kept in a hidden folder beside ``out`` until the table is complete, so that a killed
    run can be resumed. Where ``out`` is of the same recordings and the same recipe already, nothing is
    computed and its modification time is set to now.

    Parameters
    ----------
    source, choice : the data set, and which recordings of it; all by default.
    augmentation : the altered copies to make of each recording, for training; audio only.
    out : the table to write, or ``-``; a name that ends with a slash, or the folder of an earlier table, is
        written as a folder of parts, one folder a data set.
    jobs : processes, each with one thread.
    executor : see `eavctl.extraction.executors.map_in_order`; ``loky`` is safe in any program. Workers of
        Dask read recordings and write finished batches themselves: they need both under the same paths.
    force : overwrite files not written by eavctl; recompute even if up to date.
    rehash : read every recording to see whether it has changed, also those of the size and times of an
        earlier run.
    strict : a single bad recording is an error, and no table is written.
    rejected : also write the rejected recordings to this table.
    on_clip : callback for the progress, in recordings.

    Raises
    ------
    DataError : no recording can be used, or one cannot and ``strict`` is given; ``out`` cannot be written, or
        another process is writing it.
    UsageError : ``out`` or ``rejected`` is ``source``, or a file that eavctl did not write; or ``out`` is a
        stream, and the executor's workers can be on other machines.
    """
    _check_executor(executor, out)
    work, oddities = _prepare(source, out, recipe, choice or Choice(), augmentation, force, rejected)

    def settle(result: Extracted) -> None:
        if rejected:
            tables.write_rejected(result.rejected, rejected)
        _require_usable(source, result.n_rows, result.n_recordings, result.rejected, strict)

    if not force and (result := _up_to_date(out, work, rehash=rehash, keeps=True)):
        settle(result)
        files.touch(out)
    else:
        with files.keeping_parts(out, afresh=force) as parts:
            result = _compute(work, out, parts, jobs, executor, on_clip, settle, force or rehash)
    return replace(result, notes=(*oddities, *result.notes))


def plan(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    recipe: Recipe,
    *,
    choice: Choice | None = None,
    augmentation: Augmentation | None = None,
    executor: str = "loky",
    force: bool = False,
    rehash: bool = False,
    strict: bool = False,
    rejected: str | os.PathLike[str] | None = None,
) -> Planned:
    """What `extract` would do with the same parameters; nothing is computed or written.

    Raises
    ------
    DataError, UsageError : where `extract` raises them before it computes.
    """
    _check_executor(executor, out)
    work, oddities = _prepare(source, out, recipe, choice or Choice(), augmentation, force, rejected)
    n_recordings, bad = work.identity["n_recordings"], work.manifest.rejected
    earlier = None if force else _up_to_date(out, work, rehash=rehash, keeps=False)
    if earlier:
        _require_usable(source, earlier.n_rows, n_recordings, earlier.rejected, strict)
    else:
        _require_usable(source, len(work.manifest), n_recordings, bad, strict)
        probe(executor)
    known = earlier.rejected if earlier else tuple(dict(each) for each in bad)
    return Planned(
        work.manifest.layout,
        n_recordings,
        work.identity["n_without"],
        known,
        tuple(oddities),
        bool(earlier),
        tuple(itertools.islice(work.manifest.records(), N_SHOWN)),
    )


def _prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    recipe: Recipe,
    choice: Choice,
    augmentation: Augmentation | None,
    force: bool,
    rejected: str | os.PathLike[str] | None,
) -> tuple[_Work, list[str]]:
    """Check that the outputs can be written, and find weights and recordings; with notes on what is odd."""
    if augmentation and recipe.modality != "audio":
        raise UsageError(f"--augment is for features of audio; {recipe.features!r} are of {recipe.modality}")
    kind = "grounding" if (_layout(source, choice), recipe.features) == PHRASES else "features"
    if kind == "grounding" and recipe.segment:
        raise UsageError("--segment cuts recordings, and pictures with phrases are whole; leave it out")
    if recipe.segment and choice.epochs and recipe.settings.get("baseline"):
        raise UsageError("a baseline is one of whole epochs, and --segment cuts them: leave one of both out")
    outputs = [Output(out, kind), *([Output(rejected, "rejected")] if rejected else [])]
    recipe = recipe.with_weights()
    chosen_by = recipe.who and recipe.who.model
    read = [recipe.base.settings.get("face_model"), recipe.weights and recipe.weights.path, chosen_by]
    guard(outputs, [source, *filter(None, read)], force=force)
    with noting() as oddities:
        found = choice.of(source)
        work = _Work.of(found, recipe, augmentation, choice)
    tables.check_extra(work.extra, work.recipe.columns or (), os.fspath(source))
    check_columns(out, work.recipe.columns is None)
    return_freed_memory()
    return work, [*oddities, *(augmentation.notes() if augmentation else [])]


def _check_executor(executor: str, out: str | os.PathLike[str]) -> None:
    if is_elsewhere(executor) and files.is_stream(out):
        raise UsageError(f"{out}: Dask workers write parts of the table beside it: name a file with -o")


def _layout(source: str | os.PathLike[str], choice: Choice) -> str | None:
    """The name of a data set's layout; None where finding its recordings will fail."""
    try:
        return layout_of(Path(source), choice.layout).name
    except (DataError, UsageError):
        return None


def _require_usable(
    source: str | os.PathLike[str],
    n_usable: int,
    n_recordings: int,
    rejected: Sequence[Mapping[str, str]],
    strict: bool,
) -> None:
    """Raise DataError if nothing can be used, or, where ``strict``, not everything can."""
    if n_usable and not (strict and rejected):
        return
    first = rejected[0]
    parts = "parts of" if len(rejected) > n_recordings else "of"
    raise DataError(
        f"{source}: {len(rejected)} {parts} {n_recordings} recordings cannot be used; the first is "
        f"{printable(first['path'])}: {printable(first['reason'])}"
    )


def _compute(
    work: _Work,
    out: str | os.PathLike[str],
    parts: Path | None,
    jobs: int,
    executor: str,
    on_clip: Tick,
    settle: Callable[[Extracted], None],
    rehash: bool,
) -> Extracted:
    bad: list[Record] = [dict(each) for each in work.manifest.rejected]
    notes: list[str] = []
    account, copies = _Account(), Copies(work.manifest)
    people: Counter[tuple[str | None, str | None]] = Counter()
    speech: list[bool] = []
    n_done = n_rows = n_copies = 0
    order = _Order()
    shape: tuple[int, ...] = ()
    with ExitStack() as stack:
        inputs = work.inputs(out, rehash=rehash)
        writer: Writer | None = None
        records, n_records = work.checking_speech(inputs.records()), len(work.manifest)
        given = (work.recipe, work.manifest.root, records, jobs, parts, executor, work.augmentation)
        for batch in batches(*given, n_records=n_records):
            if not n_done:  # after the workers were started: a process with threads must not fork
                stack.enter_context(inputs)
                made_by = _versions(work, parts)
            if batch.rows and writer is None:
                shape = batch.x.shape[1:]
                writer = _writer(work, out, shape, batch.x.dtype)
                stack.enter_context(writer)
            batch = batch.fitting(shape)
            own = [row for row in batch.rows if AUGMENT not in row]
            n_done, n_rows = n_done + batch.n_recordings, n_rows + len(own)
            n_copies += len(batch.rows) - len(own)
            bad += batch.rejected
            notes += batch.notes
            account.add(batch.accounts)
            copies.add(own)
            speech += batch.speech
            people.update((row.get("label"), _person(row)) for row in own)
            on_clip(n_done, len(work.manifest), f"{len(bad)} rejected" if bad else "")
            if batch.rows and writer is not None:
                order.write(batch, writer)
        if writer is not None and not isinstance(writer, tables.FeatureWriter | FolderWriter):
            n_rows, bad = writer.n_rows, bad + writer.rejected
        n_recordings, n_without = work.identity["n_recordings"], work.identity["n_without"]
        distinct_names = work.choice.distinct_names
        on_people = () if work.has_phrases else people_findings(people, distinct_names=distinct_names)
        findings = short_forms([*copies.findings(), *on_people]) if n_rows else []
        result = Extracted(
            n_rows,
            shape,
            n_recordings,
            tuple(bad),
            (*said_once(notes), *findings),
            n_without,
            account.found(),
            counts_of(people),
            n_copies=n_copies,
            epoch=work.recipe.epoch,
        )
        settle(result)
        assert writer is not None  # settle has raised for a table without rows
        order.finish(writer)
        inputs.check()
        facts = {
            "shape": list(shape),
            "n_rows": n_rows,
            "n_copies": n_copies,
            "rejected": bad,
            "account": account.found(),
            "class_counts": counts_of(people),
            "notes": findings,
            **({"speech": sum(speech) >= LEAST_SPEECH * len(speech)} if speech else {}),
            **_pretrained(work.recipe),
            **_asked(work.choice),
        }
        writer.close({**work.identity, "versions": made_by, "inputs_hash": inputs.hash(), **facts})
    inputs.keep()
    return result


def _person(row: Record) -> str | None:
    """The identity of a row's subject, as `eavctl.evaluation.groups.identify` has it."""
    return f"{row.get('dataset', '')}{BETWEEN}{row['subject']}" if row.get("subject") else None


def _writer(work: _Work, out: str | os.PathLike[str], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Writer:
    """The writer of the table: of phrases on pictures, where the data set has phrases."""
    if work.has_phrases:
        from eavctl.grounding.table import PhraseWriter

        return PhraseWriter(out, shape, dtype, work.manifest)
    copies = work.augmentation is not None
    return writer_of(
        out, work.recipe.columns, shape, dtype, about=work.identity, copies=copies, extra=work.extra
    )


def _pretrained(recipe: Recipe) -> Record:
    """Whom the encoder of the features was pretrained on, if that is known."""
    met = getattr(recipe.weights, "trained_on", None)
    return {} if met is None else {ENCODER_TRAINED_ON: dict(met)}


def _versions(work: _Work, parts: Path | None) -> dict[str, str]:
    """Versions of the packages that computed the features, including those of the runs that kept parts.

    Looking them up takes longer than starting the workers.
    """
    is_by_network = work.recipe.base is not work.recipe or work.recipe.who is not None
    more = (*(ALTERING if work.augmentation else ()), *(NETWORKS if is_by_network else ()))
    ours = versions(*PACKAGES[work.recipe.modality], *more)
    if not parts:
        return ours
    file = parts / "versions.json"
    runs = [*(json.loads(file.read_text()) if file.is_file() else []), ours]
    files.write_bytes(file, json.dumps(runs).encode())
    return {name: ", ".join(sorted({run.get(name, "none") for run in runs})) for name in ours}


class _Order:
    """Writes rows in the order of their ``sample_id``.

    Recordings come in that order, and so do their rows, but not the altered copies: ``a#1`` belongs after
    ``a (2)``. The copies are held back until no later recording can come before them.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Record, np.ndarray]] = []

    def write(self, batch: Batch, writer: Writer) -> None:
        """Add a batch, and write all rows up to its last row of a recording itself."""
        if writer.copies:
            self._held += zip(batch.rows, batch.x, strict=True)
            self._held.sort(key=_id_of)
            last = max((row["sample_id"] for row in batch.rows if AUGMENT not in row), default="")
            self._write(bisect_right(self._held, last, key=_id_of), writer)
        else:
            writer.write(tables.key_table(batch.rows, extra=writer.extra), batch.x)

    def finish(self, writer: Writer) -> None:
        """Write the rows that are held back."""
        self._write(len(self._held), writer)

    def _write(self, n_rows: int, writer: Writer) -> None:
        ready, self._held = self._held[:n_rows], self._held[n_rows:]
        if ready:
            keys = tables.key_table([row for row, _ in ready], copies=True, extra=writer.extra)
            writer.write(keys, np.stack([x for _, x in ready]))


def _id_of(held: tuple[Record, np.ndarray]) -> str:
    return str(held[0]["sample_id"])


class _Account:
    """Mean and least, over the rows, of each number that the feature set reports."""

    def __init__(self) -> None:
        self._n = 0
        self._sum: dict[str, float] = {}
        self._least: dict[str, float] = {}

    def add(self, accounts: Sequence[Mapping[str, float]]) -> None:
        """Add the reports on some rows."""
        self._n += len(accounts)
        for name, value in (item for account in accounts for item in account.items()):
            self._sum[name] = self._sum.get(name, 0.0) + value
            self._least[name] = min(value, self._least.get(name, value))

    def found(self) -> Record:
        """The mean and the least of each number; empty where nothing was reported."""
        return {
            name: {"mean": total / self._n, "least": self._least[name]} for name, total in self._sum.items()
        }


def _up_to_date(out: str | os.PathLike[str], work: _Work, *, rehash: bool, keeps: bool) -> Extracted | None:
    """What ``out`` holds, if it is what this extraction would write."""
    if files.is_stream(out) or not (files.is_file(out) or files.is_folder(out)):
        return None
    try:
        meta = tables.read_meta(out)
        chosen_by_none = {"who": None, "epoch": None}  # not kept, so that older tables stay up to date
        if any(meta.get(key) != value for key, value in (chosen_by_none | work.identity).items()):
            return None
        tables.verify(out)
    except DataError:
        return None
    with work.inputs(out, rehash=rehash) as inputs:
        if meta.get("inputs_hash") != inputs.hash():
            return None
        if keeps:
            inputs.keep()
    rejected = tuple(meta["rejected"])
    size = (meta["n_rows"], tuple(meta["shape"]), meta["n_recordings"])
    notes, counts = tuple(meta["notes"]), meta["class_counts"]
    found = Extracted(*size, rejected, notes, meta["n_without"], meta["account"], counts, up_to_date=True)
    return replace(found, n_copies=meta.get("n_copies", 0), epoch=work.recipe.epoch)
