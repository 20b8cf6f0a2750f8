"""Several feature tables to the rows of one training, joined on ``sample_id``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import copies, units
from eavctl.evaluation.trained_on import JOINED
from eavctl.storage.keys import AGREEING_KEYS, AUGMENT, COPY, KEYS, extras
from eavctl.storage.provenance import hash_json
from eavctl.storage.tables import FeatureTable, key_frame, read_feature_meta, read_features
from eavctl.training.rows import TableFacts, TrainingSet, facts_of, labelled
from eavctl.training.sources import source_of


@dataclass(frozen=True)
class JoinedTables:
    """Feature tables joined on their samples.

    Parameters
    ----------
    data : the rows, ``x`` as `Streams`; its facts have the features of each table under ``streams``.
    left_out : for each stream, how many of its rows are left out because another table lacks them.
    """

    data: TrainingSet
    left_out: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the streams."""
        return self.data.facts.streams


def join_features(
    paths: Sequence[str | os.PathLike[str]], encoders: Sequence[str], *, partial: bool = False
) -> JoinedTables:
    """Join feature tables on the samples that they have in common.

    A table without altered copies gives a clip's own features to the copies that other tables have of it.

    Parameters
    ----------
    paths : two or more feature tables; one may be named twice, for two encoders.
    encoders : of each, for the names of streams of one modality.
    partial : keep samples that some tables lack, with those modalities missing.

    Raises
    ------
    UsageError : fewer than two tables.
    DataError : a table of another kind, no sample in common, no labels, or samples to which two tables give
        different labels, subjects or clips.
    """
    found = _joined(paths, encoders, partial)
    return JoinedTables(labelled(found.keys, found.x, found.classes, found.facts), found.left_out)


def join_unlabelled(paths: Sequence[str | os.PathLike[str]]) -> JoinedTables:
    """Join feature tables of different modalities on the samples that all have, whether these have labels.

    Parameters
    ----------
    paths : two or more feature tables, one a modality.

    Returns
    -------
    Rows without classes; their keys have the labels that there are.

    Raises
    ------
    UsageError : fewer than two tables, or two of one modality.
    DataError : as `join_features`, but for labels; or values that are not finite.
    """
    metas = [read_feature_meta(path) for path in paths]
    modalities = [meta.modality for meta in metas]
    if twice := [name for name, n in Counter(modalities).items() if n > 1]:
        first, second, *_ = (path for path, name in zip(paths, modalities, strict=True) if name == twice[0])
        raise UsageError(f"{first} and {second} are both of {twice[0]}; give one table a modality")
    found = _joined(paths, modalities, partial=False)
    rows = replace(Rows.of(found.x, None, units=units(found.keys)), keys=found.keys)
    return JoinedTables(TrainingSet(rows, found.facts), found.left_out)


@dataclass(frozen=True)
class _Joined:
    """Joined rows, with the classes of all tables."""

    keys: pd.DataFrame
    x: Streams
    classes: tuple[str, ...]
    facts: TableFacts
    left_out: dict[str, int]


def _joined(paths: Sequence[str | os.PathLike[str]], encoders: Sequence[str], partial: bool) -> _Joined:
    if len(paths) < 2:
        raise UsageError("two tables or more are needed")
    once = {name: read_features(name) for name in dict.fromkeys(os.fspath(path) for path in paths)}
    facts = {name: replace(facts_of(table), tables=(source_of(name),)) for name, table in once.items()}
    names = [os.fspath(path) for path in paths]
    tables = _lent_to_copies([once[name] for name in names])
    rows_of = [{sample: i for i, sample in enumerate(table.keys["sample_id"])} for table in tables]
    common = set(rows_of[0]).intersection(*rows_of[1:])
    if not common:
        _check_no_stack(tables, names)
        raise DataError(
            f"{', '.join(once)}: no sample_id in common (for example {next(iter(rows_of[0]), 'none')} and "
            f"{next(iter(rows_of[1]), 'none')}); extract them from the same recordings, with the same "
            "--segment"
        )
    samples = sorted(set().union(*rows_of) if partial else common)
    present = np.array([[sample in rows for rows in rows_of] for sample in samples])
    streams = stream_names([table.meta["modality"] for table in tables], encoders, paths)
    kept = present.sum(axis=0).tolist()
    left_out = {name: len(rows) - n for name, rows, n in zip(streams, rows_of, kept, strict=True)}
    numbers = [np.array([rows.get(sample, 0) for sample in samples]) for rows in rows_of]
    x = Streams(tuple(_taken(t.x, rows) for t, rows in zip(tables, numbers, strict=True)), present)
    extra = extras(name for table in tables for name in table.keys)
    has_copies = any(AUGMENT in table.keys for table in tables)
    kept_keys = (*KEYS, *([AUGMENT] if has_copies else []), *dict.fromkeys(extra))
    keys = key_frame(_keys(tables, names).loc[samples].reset_index(), kept_keys)
    about = _joined_facts([facts[name] for name in names], streams, partial)
    notes = tuple(dict.fromkeys(text for each in facts.values() for text in each.notes))
    about = replace(about, notes=(*notes, *_notes(left_out, streams, present)))
    fullest = sorted(tables, key=lambda table: -len(table.meta["classes"]))  # its order of classes is kept
    classes = dict.fromkeys(name for table in fullest for name in table.meta["classes"])
    return _Joined(keys, x, tuple(classes), about, left_out)


def _lent_to_copies(tables: Sequence[FeatureTable]) -> list[FeatureTable]:
    """The tables, those without altered copies with a row for each copy that another table has of a clip."""
    names = {
        (sample, name)
        for table in tables
        if AUGMENT in table.keys
        for sample, name in table.keys.loc[copies(table.keys), ["sample_id", AUGMENT]].itertuples(index=False)
    }
    of_clip = [(sample.removesuffix(f"{COPY}{name}"), sample, name) for sample, name in sorted(names)]
    return [table if copies(table.keys).any() else _with_rows_of(table, of_clip) for table in tables]


def _with_rows_of(table: FeatureTable, of_clip: Sequence[tuple[str, str, str]]) -> FeatureTable:
    """The table with a row for each copy of its samples: ``of_clip`` has sample, copy and its name."""
    rows = {sample: i for i, sample in enumerate(table.keys["sample_id"])}
    known = [(rows[sample], copy, name) for sample, copy, name in of_clip if sample in rows]
    if not known:
        return table
    numbers = np.array([row for row, _, _ in known])
    lent = table.keys.iloc[numbers].assign(
        sample_id=[copy for _, copy, _ in known], **{AUGMENT: [name for _, _, name in known]}
    )
    keys = pd.concat([table.keys.assign(**{AUGMENT: None}), lent], ignore_index=True)
    return replace(table, keys=keys, x=np.concatenate([table.x, table.x[numbers]]))


def _check_no_stack(tables: Sequence[FeatureTable], names: Sequence[str]) -> None:
    """Raise a DataError if two tables have equal features of different recordings."""
    first: dict[str, int] = {}
    for number, table in enumerate(tables):
        other = first.setdefault(table.meta["features_hash"], number)
        if not set(table.keys["sample_id"]) & set(tables[other].keys["sample_id"]):
            raise DataError(
                f"{names[other]} and {names[number]} have the same features of different recordings, and a "
                "fusion takes one table a stream.\n"
                "Extract the data sets together, from a manifest with a column 'dataset'."
            )


def _joined_facts(tables: Sequence[TableFacts], streams: Sequence[str], partial: bool) -> TableFacts:
    """What outputs say of the joined tables, but for notes."""
    return TableFacts(
        name=" + ".join(dict.fromkeys(table.name for table in tables)),
        modalities=tuple(sorted({table.modalities[0] for table in tables})),
        features={"streams": [{"name": n, **t.features} for n, t in zip(streams, tables, strict=True)]},
        content_hash=hash_json([[table.content_hash for table in tables], partial]),
        distinct_names=any(table.distinct_names for table in tables),
        encoders=tuple(dict.fromkeys(each for table in tables for each in table.encoders)),
        tables=tuple(told for table in tables for told in table.tables),
    )


def _taken(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array; all of them in their order are the array itself, which may be large."""
    return x if np.array_equal(rows, np.arange(len(x))) else x[rows]


def stream_names(
    modalities: Sequence[str], encoders: Sequence[str], paths: Sequence[str | os.PathLike[str]]
) -> tuple[str, ...]:
    """Name each stream by its modality, its encoder or its table: the first that no other stream shares."""
    numbered = [f"{Path(path).stem}.{i}" for i, path in enumerate(paths, start=1)]
    candidates = zip(modalities, encoders, numbered, strict=True)
    shared = {name for names in (modalities, encoders) for name, n in Counter(names).items() if n > 1}
    return tuple(next(name for name in names if name not in shared) for names in candidates)


def _notes(left_out: dict[str, int], names: Sequence[str], present: np.ndarray) -> tuple[str, ...]:
    left = [
        f"{n} rows of {name} were left out: another table lacks them" for name, n in left_out.items() if n
    ]
    absent = zip(names, (~present).sum(axis=0), strict=True)
    return (*left, *(f"{n} rows have no {name} and are used without it" for name, n in absent if n))


def _keys(tables: Sequence[FeatureTable], names: Sequence[str]) -> pd.DataFrame:
    """Keys by ``sample_id``, each from the first table that has it.

    Raises
    ------
    DataError : two tables contradict each other.
    """
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
