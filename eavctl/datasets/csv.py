"""Layout ``csv``: a manifest written by hand or by another program, as CSV, TSV or Parquet."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from eavctl.datasets.manifest import Manifest, build, columns_of
from eavctl.errors import DataError
from eavctl.keys import MANIFEST_COLUMNS, PATHS, clean
from eavctl.registry import register
from eavctl.tables import read_frame

ENDINGS = (".csv", ".tsv", ".parquet")


def recognise(root: Path) -> bool:
    """Tell whether ``root`` is a table rather than a folder."""
    return root.is_file() and root.suffix.lower() in ENDINGS


@register("layouts", "csv", recognise=recognise, priority=0)
def scan(root: Path) -> Manifest:
    """Read a manifest: columns of the manifest by their names, of which one path is needed.

    ``path`` is accepted for any of them, by its ending. Paths are relative to the
    manifest's folder. A missing ``clip_id`` is the path without its ending.

    Raises
    ------
    DataError : not a table, no path column, a column that is not the manifest's, a row without path, or
        a time or number that is none.
    """
    frame = read_frame(root)
    strangers = [name for name in frame.columns if name not in (*MANIFEST_COLUMNS, "path")]
    if strangers:
        raise DataError(
            f"{root}: no column of a manifest is named {strangers[0]!r}; known: {', '.join(MANIFEST_COLUMNS)}"
        )
    if not {"path", *PATHS} & set(frame.columns):
        raise DataError(f"{root}: the manifest has no path; name a column audio_path (or {', '.join(PATHS)})")
    records = []
    for number, row in enumerate(frame.to_dict("records"), start=2):
        record = {key: value for key, value in row.items() if _clean(key, value, root, number) is not None}
        if "path" in record:
            record |= _by_ending(str(record.pop("path")), root, number)
        paths = [str(record[key]) for key in PATHS if key in record]
        if not paths:
            raise DataError(f"{root}: line {number} names no recording")
        record.setdefault("clip_id", PurePosixPath(paths[0]).with_suffix("").as_posix())
        record.setdefault("dataset", root.stem)
        records.append(record)
    return build(records, root.parent, "csv")


def _clean(key: str, value: object, root: Path, line: int) -> object:
    try:
        return clean(key, value) if isinstance(value, str | int | float) else None
    except ValueError:
        raise DataError(f"{root}: line {line}: {key} is {value!r}, which is not a number") from None


def _by_ending(path: str, root: Path, line: int) -> dict[str, str]:
    columns = columns_of(PurePosixPath(path).suffix)
    if not columns:
        raise DataError(
            f"{root}: line {line}: {path!r} is neither EEG, sound nor video by its ending; "
            f"name the column {', '.join(PATHS)}"
        )
    return dict.fromkeys(columns, path)
