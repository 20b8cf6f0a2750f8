"""The folder of a new project: a manifest, a folder for recordings, and a Makefile that ends in a report."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.errors import DataError, UsageError
from eavctl.storage import files
from eavctl.storage.keys import PATHS
from eavctl.storage.paths import named

if TYPE_CHECKING:
    from eavctl.datasets.manifest import Manifest  # Arrow, which an empty project does not need

MANIFEST, MAKEFILE, RECORDINGS = "manifest.csv", "Makefile", "recordings"
COLUMNS = ("path", "subject", "label")
PATH_COLUMNS = ("path", *PATHS)
# By the modality of most recordings: feature set of columns, its classifier, feature set of the network.
FEATURES = {"audio": ("functionals", "svm", "logmel"), "eeg": ("eeg-cov", "linear", "eeg-epochs"),
            "video": ("face-stats", "svm", "faces")}  # fmt: skip

RECIPE = """\
# 'make -j2' goes from the recordings of manifest.csv to report.html. What is up to date is not made again.
#
# manifest.csv has a row for each recording: its path, relative to this folder, the person (subject), and the
# class (label). No person is in both training and test rows; without subjects nothing is scored.
# If a recording was replaced by another of the same name: touch manifest.csv
.DELETE_ON_ERROR:

COLUMNS := {columns}
TENSORS := {tensors}
SPLIT   := --group subject

all: report.html

columns.parquet: manifest.csv
\teavctl extract $< --features $(COLUMNS) -o $@

tensors.parquet: manifest.csv
\teavctl extract $< --features $(TENSORS) -o $@

{name}.joblib {name}_preds.parquet &: columns.parquet
\teavctl train-{name} $< -o {name}.joblib --predictions {name}_preds.parquet $(SPLIT)

dnn.pt dnn_preds.parquet &: tensors.parquet
\teavctl train-dnn $< -o dnn.pt --predictions dnn_preds.parquet $(SPLIT)

fused.parquet: {name}_preds.parquet dnn_preds.parquet
\teavctl fuse $^ -o $@

report.html: {name}_preds.parquet dnn_preds.parquet fused.parquet
\teavctl report $^ -o $@

.PHONY: all
"""


@dataclass(frozen=True)
class Project:
    """What `init` wrote, or would write.

    Parameters
    ----------
    written, kept : files that were written, and files that were there and are unchanged.
    rows : of the manifest that was written; those without a subject, and without a label.
    rejected : recordings that are not in the manifest, with ``path`` and ``reason``.
    note : why rows have paths alone, and what would tell more.
    """

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    rows: int = 0
    without_subject: int = 0
    without_label: int = 0
    rejected: tuple[Mapping[str, Any], ...] = ()
    note: str = ""


def init(
    folder: str | os.PathLike[str],
    recordings: str | os.PathLike[str] | None = None,
    *,
    pattern: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Project:
    """Lay out a project; files that are there already and were edited are kept.

    Parameters
    ----------
    folder : of the project; created if it does not exist.
    recordings : a folder or data set from which the manifest is filled, by its layout. Where no layout
        recognises it, rows have paths alone. None writes the header only.
    pattern : what the names of the recordings mean, see `eavctl.datasets.pattern.scan`.
    force : write the Makefile again though it was edited, and, where ``recordings`` are given, the manifest.
    dry_run : write nothing.

    Raises
    ------
    DataError : the folder cannot be written, or there are no recordings.
    UsageError : the folder is a file; or a pattern without recordings, or one that is none.
    """
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: is a file; name a folder, which init makes if it is not there")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a name
        raise DataError(f"{folder}: cannot be laid out ({error})") from error
    if pattern is not None and recordings is None:
        raise UsageError("--pattern reads the names of recordings: name their folder with --from")
    manifest, note = (None, "") if recordings is None else _find(recordings, pattern)
    rows = [] if manifest is None else _rows(manifest, folder)
    contents = {folder / MANIFEST: _table(rows), folder / MAKEFILE: _recipe(rows)}
    alone = [{key: value for key, value in row.items() if key in PATH_COLUMNS} for row in rows]
    unfilled = {MANIFEST: [_table([]), _table(alone)], MAKEFILE: [*map(_recipe_of, FEATURES)]}
    kept = [
        path
        for path in contents
        if _is_kept(path, contents[path], unfilled[path.name], force=force, is_filled=bool(rows))
    ]
    written = [path for path in contents if path not in kept]
    if not dry_run:
        files.make_folder(folder if rows else folder / RECORDINGS)
        for path in written:
            files.write_bytes(path, contents[path])
    is_filled = folder / MANIFEST in written
    return Project(
        tuple(written),
        tuple(kept),
        len(rows) if is_filled else 0,
        sum("subject" not in row for row in rows) if is_filled else 0,
        sum("label" not in row for row in rows) if is_filled else 0,
        () if manifest is None else manifest.rejected,
        note,
    )


def _is_kept(path: Path, content: bytes, unfilled: Sequence[bytes], *, force: bool, is_filled: bool) -> bool:
    """Whether a file that exists stays as it is: what `init` wrote with paths alone or less is replaced."""
    if not path.exists():
        return False
    with files.opened(path) as handle:
        found = handle.read()
    if found == content or not is_filled:
        return found == content or path.name == MANIFEST or not force
    return not (force or found in unfilled)


def _find(recordings: str | os.PathLike[str], pattern: str | None) -> tuple[Manifest, str]:
    """The recordings by their layout, else all files below the folder, and why those have no labels."""
    from eavctl.datasets.choice import Choice
    from eavctl.datasets.manifest import build, layout_of, media_files
    from eavctl.signals.endings import columns_of

    (root,) = map(Path, named(recordings))
    try:
        if pattern is None:
            layout_of(root)
    except DataError as error:
        found = [path.relative_to(root).as_posix() for path in media_files(root)] if root.is_dir() else []
        if not found:
            raise
        records = [{"clip_id": name, **dict.fromkeys(columns_of(name), name)} for name in found]
        return build(records, root, ""), str(error)
    return Choice(pattern=pattern, distinct_names=True).of(root), ""


def _rows(manifest: Manifest, folder: Path) -> list[dict[str, Any]]:
    """A row for each recording: its path or paths, relative to the project, and what is known of it.

    ``clip_id`` is left out where it is the path, and so is the name of a folder as that of a data set.
    """
    from eavctl.signals.endings import columns_of, split_ending

    rows, is_named = [], False
    for record in manifest.records():
        paths = {name: record.pop(name) for name in PATHS if name in record}
        distinct = set(paths.values())
        is_named |= record["clip_id"] not in {split_ending(path)[0] for path in distinct} | distinct
        placed = {name: _relative(manifest.root / path, folder) for name, path in paths.items()}
        if len(distinct) == 1 and set(columns_of(*distinct)) == set(paths):
            placed = {"path": next(iter(placed.values()))}
        del record["sample_id"]
        rows.append(placed | record)
    dropped = [] if is_named else ["clip_id"]
    if manifest.layout in ("", "folder", "pattern"):
        dropped.append("dataset")
    return [{key: value for key, value in row.items() if key not in dropped} for row in rows]


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(folder))).as_posix()


def _table(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The manifest; path, subject and label stand first."""
    rows = list(rows)
    found = dict.fromkeys(name for row in rows for name in row)
    paths = [name for name in PATH_COLUMNS if name in found or (name == "path" and not rows)]
    names = dict.fromkeys([*paths, *COLUMNS[1:], *found])
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _recipe(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The Makefile, with feature sets of the modality that most rows have, sound first."""
    from eavctl.signals.endings import columns_of

    counts = dict.fromkeys(FEATURES, 0)
    for row in rows:
        for name in {*columns_of(row.get("path", "")), *(name for name in PATHS if name in row)}:
            counts[name.removesuffix("_path")] += 1
    return _recipe_of(max(counts, key=counts.__getitem__))


def _recipe_of(modality: str) -> bytes:
    columns, name, tensors = FEATURES[modality]
    return RECIPE.format(columns=columns, name=name, tensors=tensors).encode()
