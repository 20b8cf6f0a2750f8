"""Check a data set or a feature table before anything is computed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.datasets.choice import Choice
from eavctl.datasets.manifest import Manifest
from eavctl.errors import UsageError
from eavctl.evaluation.findings.codes import ERROR
from eavctl.evaluation.findings.dataset import DataSet, Report
from eavctl.evaluation.findings.dataset import check as check_dataset
from eavctl.evaluation.findings.files import FileFacts
from eavctl.evaluation.groups import copies
from eavctl.evaluation.leakage import MIN_VALUES
from eavctl.evaluation.trained_on import JOINED
from eavctl.extraction.fingerprint import of_trial
from eavctl.extraction.survey import n_files, survey
from eavctl.progress import Tick, silent
from eavctl.signals.idx import index_of
from eavctl.storage import files, tables
from eavctl.storage.files import STDIO
from eavctl.storage.keys import KEYS
from eavctl.storage.ownership import kind_of
from eavctl.storage.table_folders import is_table

if TYPE_CHECKING:
    import pandas as pd

ByModality = Mapping[str, Sequence["FileFacts | None"]]  # the file of each row
PHRASES = "refs"  # layout of pictures with phrases
TABLES = ("features", "grounding", "predictions")  # kinds, of which features alone are checked


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Parameters
    ----------
    source : the data set or the table.
    layout : name of the data set's layout; None of a table.
    report : counts, findings and protocols, without ignored findings.
    ignored : codes of the findings that were ignored.
    """

    source: str
    layout: str | None
    report: Report
    ignored: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether a finding is an error."""
        return any(each.severity == ERROR for each in self.report.findings)

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        about = {"source": self.source, "layout": self.layout, "ignored": list(self.ignored)}
        return {**about, "has_errors": self.has_errors, **self.report.to_json()}


@dataclass(frozen=True)
class Planned:
    """What a check would do: the rows it would check, and the files it would open."""

    layout: str | None
    n_rows: int
    n_files: int


def check(
    source: str | os.PathLike[str],
    *,
    choice: Choice | None = None,
    ignore: Collection[str] = (),
    jobs: int = 1,
    executor: str = "loky",
    on_file: Tick = silent,
) -> Checked:
    """Find what is wrong or odd with a data set, or with a feature table.

    The header of every recording is opened, and the first ten seconds of audio are decoded; of files of
    equal size, the content is compared. Of a table, keys and features are read.

    Parameters
    ----------
    source : folder of recordings, manifest, one EEG recording, or feature table (``-`` for stdin).
    choice : which recordings of a data set; all by default.
    ignore : codes of findings that are left out, such as ``EAV012``.
    jobs : processes that open files.
    executor : see `eavctl.extraction.executors.map_surviving`; ``loky`` is safe in any program.
    on_file : callback for the progress, in files.

    Raises
    ------
    DataError : no such file or folder, no layout recognises it, it holds no recordings, or the table is
        damaged.
    UsageError : a table with a ``choice``.
    """
    choice = choice or Choice()
    layout = None
    if _is_table(source, choice):
        data = _of_table(source)
    else:
        manifest = _found(source, choice)
        layout = manifest.layout
        found = survey(manifest, jobs=jobs, executor=executor, on_file=on_file)
        data = _of_manifest(manifest, found, choice)
    report = check_dataset(data)
    kept = tuple(each for each in report.findings if each.code not in ignore)
    ignored = tuple(sorted({each.code for each in report.findings} & set(ignore)))
    return Checked(os.fspath(source), layout, Report(report.counts, kept, report.protocols), ignored)


def plan(source: str | os.PathLike[str], *, choice: Choice | None = None) -> Planned:
    """What `check` would do with the same parameters; no recording is opened.

    Raises
    ------
    DataError, UsageError : where `check` raises them before it opens recordings.
    """
    choice = choice or Choice()
    if _is_table(source, choice):
        return Planned(None, len(tables.read_keys(source)), 0)
    manifest = _found(source, choice)
    return Planned(manifest.layout, len(manifest), n_files(manifest))


def _is_table(source: str | os.PathLike[str], choice: Choice) -> bool:
    """Whether the source is a table of eavctl's; a layout that is named takes it for a manifest."""
    can_be = os.fspath(source) == STDIO or files.is_file(source) or is_table(source)
    if choice.layout or not can_be or kind_of(source) not in TABLES:
        return False
    if choice.is_made:
        raise UsageError(f"{source}: --where and --events select recordings, and this is a table")
    with tables.opened(source, "features"):
        return True


def _found(source: str | os.PathLike[str], choice: Choice) -> Manifest:
    """The recordings; names that look alike are a finding here, and no error."""
    return replace(choice, distinct_names=True).of(source)


def _of_manifest(manifest: Manifest, files: ByModality, choice: Choice) -> DataSet:
    rows = manifest.rows
    numbers: dict[str, int] = {}
    contents: list[list[str]] = [[] for _ in range(len(rows))]  # of the files of each row
    for mine in files.values():
        for row, each in enumerate(mine):
            if each and each.content and not each.fault:
                contents[row].append(each.content)
            elif each:
                contents[row].append(f"file {numbers.setdefault(each.path, len(numbers))}")
    keys = tables.key_frame(rows, KEYS)
    keys["recording"] = [
        JOINED.join(dict.fromkeys(str(of_trial(content, index)) for content in mine)) or None
        for mine, index in zip(contents, _indices(rows, files), strict=True)
    ]
    has_phrases = manifest.layout == PHRASES
    return DataSet(
        keys, files, manifest.rejected, distinct_names=choice.distinct_names, has_phrases=has_phrases
    )


def _indices(rows: pd.DataFrame, files: ByModality) -> list[int | None]:
    """The index of each row's trial or picture in its file; None of whole files."""
    video = files.get("video") or [None] * len(rows)
    given = zip(rows["eeg_index"].tolist(), rows["trial"].tolist(), video, strict=True)
    return [
        int(index) if isinstance(index, int) else index_of(film.path, trial) if film else None
        for index, trial, film in given
    ]


def _of_table(source: str | os.PathLike[str]) -> DataSet:
    table = tables.read_features(source)
    own = np.flatnonzero(~copies(table.keys))
    keys = table.keys.iloc[own].reset_index(drop=True)
    rejected = table.meta.get("rejected", ())
    is_distinct = bool(table.meta.get("distinct_names", False))
    pairs = _equal_rows(table.x, own)
    return DataSet(keys, {}, rejected, pairs, distinct_names=is_distinct)


def _equal_rows(x: np.ndarray, own: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows of equal features, as indices into ``own``; rows of few values may be equal by chance."""
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    if flat.shape[1] < MIN_VALUES:
        return []
    last: dict[bytes, int] = {}
    found = []
    for number, row in enumerate(own):
        content = hashlib.blake2b(flat[row].data, digest_size=16).digest()
        if content in last:
            found.append((last[content], number))
        last[content] = number
    return found
