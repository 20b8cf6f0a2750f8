"""Several feature tables to the rows of one training, joined on ``sample_id``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.trained_on import JOINED
from eavctl.storage.keys import AGREEING_KEYS
from eavctl.storage.provenance import hash_json
from eavctl.storage.tables import key_frame, read_features
from eavctl.training.rows import TrainingTable, of_features


@dataclass(frozen=True)
class Joined:
    """Feature tables brought together.

    Parameters
    ----------
    table : the rows, ``x`` as `Streams`; its facts have ``streams``, those of each table with its ``name``.
    names : of the streams.
    left_out : for each stream, how many of its rows are left out because another table lacks them.
    """

    table: TrainingTable
    names: tuple[str, ...]
    left_out: dict[str, int]


def join_features(
    paths: Sequence[str | os.PathLike[str]], encoders: Sequence[str], *, partial: bool = False
) -> Joined:
    """Join feature tables on the samples that they have in common.

    Parameters
    ----------
    paths : two or more feature tables; one may be named twice, for two encoders.
    encoders : of each, for the names of streams of one modality.
    partial : keep the samples that some tables lack too, and mark what is absent.

    Raises
    ------
    UsageError : fewer than two tables.
    DataError : a table of another kind, no sample in common, or samples to which two tables give different
        labels, subjects or clips.
    """
    if len(paths) < 2:
        raise UsageError("fusion needs two tables or more")
    once = {
        name: of_features(read_features(name)) for name in dict.fromkeys(os.fspath(path) for path in paths)
    }
    tables = [once[os.fspath(path)] for path in paths]
    names = stream_names([table.modalities[0] for table in tables], encoders, paths)
    places = [{sample: i for i, sample in enumerate(table.keys["sample_id"])} for table in tables]
    common = set(places[0]).intersection(*places[1:])
    if not common:
        raise DataError(
            f"{', '.join(once)}: no sample_id in common (for example {next(iter(places[0]), 'none')} and "
            f"{next(iter(places[1]), 'none')}); extract them from the same recordings with the same --segment"
        )
    samples = sorted(set().union(*places) if partial else common)
    present = np.array([[sample in place for place in places] for sample in samples])
    kept = present.sum(axis=0).tolist()
    left_out = {name: len(place) - n for name, place, n in zip(names, places, kept, strict=True)}
    fullest = sorted(tables, key=lambda table: -len(table.classes))  # whose order of the classes is kept
    rows = [np.array([place.get(sample, 0) for sample in samples]) for place in places]
    joined = TrainingTable(
        keys=key_frame(_keys(tables, [str(path) for path in paths]).loc[samples].reset_index()),
        x=Streams(tuple(_taken(t.x, row) for t, row in zip(tables, rows, strict=True)), present),
        name=" + ".join(dict.fromkeys(table.name for table in tables)),
        modalities=tuple(sorted({table.modalities[0] for table in tables})),
        facts={"streams": [{"name": n, **t.facts} for n, t in zip(names, tables, strict=True)]},
        classes=tuple(dict.fromkeys(name for table in fullest for name in table.classes)),
        content_hash=hash_json([[table.content_hash for table in tables], partial]),
        left_out=(
            *dict.fromkeys(text for table in once.values() for text in table.left_out),
            *_sentences(left_out, names, present),
        ),
        distinct_names=any(table.distinct_names for table in tables),
    )
    return Joined(joined, names, left_out)


def _taken(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array; all of them in their order are the array itself, which may be large."""
    return x if np.array_equal(rows, np.arange(len(x))) else x[rows]


def stream_names(
    modalities: Sequence[str], encoders: Sequence[str], paths: Sequence[str | os.PathLike[str]]
) -> tuple[str, ...]:
    """A stream is called by its modality, or its encoder, or its table: the first that no other shares."""
    numbered = [f"{Path(path).stem}.{i}" for i, path in enumerate(paths, start=1)]
    candidates = zip(modalities, encoders, numbered, strict=True)
    shared = {name for names in (modalities, encoders) for name, n in Counter(names).items() if n > 1}
    return tuple(next(name for name in names if name not in shared) for names in candidates)


def _sentences(left_out: dict[str, int], names: Sequence[str], present: np.ndarray) -> tuple[str, ...]:
    left = [
        f"{n} rows of {name} were left out: another table lacks them" for name, n in left_out.items() if n
    ]
    absent = zip(names, (~present).sum(axis=0), strict=True)
    return (*left, *(f"{n} rows have no {name}: they count without it" for name, n in absent if n))


def _keys(tables: Sequence[TrainingTable], names: Sequence[str]) -> pd.DataFrame:
    """Keys by ``sample_id``, each from the first table that knows it; tables must not contradict another."""
    frames = [table.keys.set_index("sample_id") for table in tables]
    keys = frames[0]
    for frame, name in zip(frames[1:], names[1:], strict=True):
        both = keys.index.intersection(frame.index)
        for column in AGREEING_KEYS:
            one, other = (each.loc[both, column] for each in (keys, frame))
            odd = both[(one.notna() & other.notna() & (one != other)).to_numpy()]
            if len(odd):
                raise DataError(
                    f"{name} contradicts the tables before it on the {column} of {len(odd)} samples: "
                    f"{odd[0]} is {other[odd[0]]!r}, and there {one[odd[0]]!r}"
                )
        keys = keys.combine_first(frame)
    files = [frame["recording"].reindex(keys.index) for frame in frames]
    held = (sorted({name for name in row if isinstance(name, str)}) for row in zip(*files, strict=True))
    return keys.assign(recording=[JOINED.join(each) for each in held])
