"""Feature tables to rows that a training takes, and what its outputs say of the tables."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from eavctl.classifiers import weighting
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Features, Streams, some_rows
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import copies as altered
from eavctl.evaluation.groups import identify, short
from eavctl.evaluation.groups import named as named_groups
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.features.normalize import LEAST_OF_SUBJECT, NORMALIZATIONS, SUBJECT, normalization_of
from eavctl.memory import return_freed_memory
from eavctl.storage.metadata import ENCODER_TRAINED_ON
from eavctl.storage.paths import Paths, listed, named
from eavctl.storage.provenance import hash_json
from eavctl.storage.tables import NAMES_RECORDINGS, FeatureTable
from eavctl.training.sources import source_of
from eavctl.training.stacking import read_stacked

EQUAL, ROWS = "equal", "rows"
NO_RECORDINGS = (
    "the table was written by an older eavctl and does not name the recordings of its rows: clips that "
    "overlap in one recording are not detected; extract again"
)
_FROM_FEATURES = (
    "modality",
    "features",
    "features_version",
    "settings",
    "rate",
    "units",
    "features_hash",
    "segment",
    "shape",
)


@dataclass(frozen=True)
class TableFacts:
    """What outputs of a training say of the feature table, or of several that were joined.

    Parameters
    ----------
    name : of the features, for titles.
    modalities : of the features.
    features : how they were extracted, as the model's meta keeps it; for several tables, that of each under
        ``streams``.
    content_hash : of all that the rows hold.
    notes : sentences on rows that were left out, and on what is not known of the rows.
    distinct_names : labels and subjects that look alike are different ones.
    choices : JSON-able, ``labels`` and ``corpora`` as asked for in a training, where they had an effect.
    normalize : ``"speaker"``, ``"dataset"`` or ``"subject"`` where each one's features were normalised.
    encoders : the pretrained encoders whose embeddings the rows are.
    tables : what is told of each table (`eavctl.training.sources.source_of`).
    """

    name: str
    modalities: tuple[str, ...]
    features: Mapping[str, Any]
    content_hash: str
    notes: tuple[str, ...] = ()
    distinct_names: bool = False
    normalize: str | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    encoders: tuple[Pretrained, ...] = ()
    tables: tuple[Mapping[str, Any], ...] = ()

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the joined tables' streams; none of a single table."""
        return tuple(stream["name"] for stream in self.features.get("streams", ()))

    @property
    def feature_set(self) -> dict[str, Any]:
        """Name and settings of the feature set, as ``features`` and ``settings``, of a single table."""
        return {name: self.features[name] for name in ("features", "settings")}

    @property
    def columns(self) -> list[str] | None:
        """Names of the features; None of tensors and of several tables."""
        return self.features.get("columns")


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows, and the table that they come from."""

    rows: Rows
    facts: TableFacts


def read_training_set(
    tables: Paths,
    *,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    answers: Sequence[str] = (),
    stored: bool = False,
) -> TrainingSet:
    """Read the labelled rows of a feature table, or of several that are stacked.

    Parameters
    ----------
    tables : one feature table, or several of equal features (see `eavctl.training.stacking.read_stacked`).
    normalize : ``"speaker"`` or ``"dataset"`` standardises the features of each speaker, or of each data set,
        by its own rows; ``"subject"`` aligns the EEG of each person by theirs, as its feature set does.
    labels : new names of classes, such as ``{"anger": "angry"}``; None leaves out the rows of a class.
    corpora : ``"equal"``: data sets count alike in the training, and classes in each; ``"rows"``: rows do.
    answers : see `answering`; by default all classes.
    stored : leave features larger than `eavctl.storage.stored_rows.IN_MEMORY_BYTES` on the disk, to be read
        a few rows at a time.

    Raises
    ------
    DataError : no feature table, no labels, tables that cannot be stacked, or rows without a subject or a
        data set, by which to normalise.
    UsageError : features that cannot be normalised, or ``labels`` or ``answers`` of a class that no row has.
    """
    if normalize not in (None, *NORMALIZATIONS):
        raise UsageError(f"--normalize takes {' or '.join(NORMALIZATIONS)}, not {normalize!r}")
    found = of_corpora(relabelled(_read(named(listed(tables)), stored), labels or {}), corpora)
    found = answering(found, answers) if answers else found
    return normalized(found, normalize) if normalize else found


def _read(tables: Sequence[str], stored: bool) -> TrainingSet:
    """The labelled rows of stacked tables; on its own, so that its caller holds them once."""
    stacked = read_stacked(tables, stored=stored)
    found = training_set_of(stacked.table)
    notes, told = (*found.facts.notes, *stacked.notes), tuple(source_of(name) for name in sorted(tables))
    return_freed_memory()
    return replace(found, facts=replace(found.facts, notes=notes, tables=told))


def training_set_of(features: FeatureTable) -> TrainingSet:
    """The labelled rows of a feature table in memory.

    Raises
    ------
    DataError : no row has a label.
    """
    return labelled(features.keys, features.x, features.meta["classes"], facts_of(features))


def facts_of(features: FeatureTable) -> TableFacts:
    """What outputs say of a feature table."""
    meta = features.meta
    columns = list(features.columns) if features.columns is not None else None
    about = {**{key: meta[key] for key in _FROM_FEATURES}, "columns": columns, "speech": meta.get("speech")}
    about |= {key: meta[key] for key in ("epoch", "augment") if meta.get(key)}
    return TableFacts(
        meta["features"],
        (meta["modality"],),
        about,
        meta["content_hash"],
        () if meta["schema_version"] >= NAMES_RECORDINGS else (NO_RECORDINGS,),
        meta.get("distinct_names", False),
        encoders=_encoders_of(meta),
    )


def _encoders_of(meta: Mapping[str, Any]) -> tuple[Pretrained, ...]:
    """The pretrained encoder that a table's features are embeddings by, if they are."""
    if ENCODER_TRAINED_ON not in meta:
        return ()
    trained_on = TrainedOn.from_meta(meta[ENCODER_TRAINED_ON])
    return (Pretrained(f"the encoder {meta['settings']['weights']}", trained_on),)


def labelled(keys: pd.DataFrame, x: Features, classes: Sequence[str], facts: TableFacts) -> TrainingSet:
    """The rows that have labels; a note counts the others.

    Parameters
    ----------
    classes : ordered names; those that occur are kept.

    Raises
    ------
    DataError : no row has a label, or one has a label that is not among the classes.
    """
    has_label = keys["label"].notna().to_numpy()
    if not has_label.any():
        raise DataError("the table has no labels; extract from a layout that names classes, or with --events")
    if not has_label.all():
        note = f"{int((~has_label & ~altered(keys)).sum())} rows without a label were left out (EAV021)"
        facts = replace(facts, notes=(*facts.notes, note))
        keys, x = keys[has_label].reset_index(drop=True), some_rows(x, np.flatnonzero(has_label))
    labels = keys["label"].to_numpy(dtype=str)
    there = set(labels)
    if unknown := sorted(there - set(classes)):
        raise DataError(f"the label {unknown[0]!r} is not among the classes of the table; extract again")
    names = tuple(str(name) for name in classes if name in there)
    number = {name: i for i, name in enumerate(names)}
    y = np.array([number[label] for label in labels], np.int64)
    is_copy = altered(keys)
    return TrainingSet(Rows(x, y, names, keys=keys, copies=is_copy if is_copy.any() else None), facts)


def relabelled(found: TrainingSet, labels: Mapping[str, str | None]) -> TrainingSet:
    """The rows with other names of classes; rows of a class whose new name is None are left out.

    Raises
    ------
    UsageError : a class that no row has.
    DataError : no row is left.
    """
    if not labels:
        return found
    rows, facts = found.rows, found.facts
    _check_names("--labels", labels, rows.classes)
    new = {name: labels.get(name, name) for name in rows.classes}
    kept = np.flatnonzero([new[name] is not None for name in rows.labels.tolist()])
    if not len(kept):
        raise DataError("--labels leaves every class out")
    keys = rows.key_frame.iloc[kept].reset_index(drop=True)
    keys = keys.assign(label=keys["label"].map(new).astype(object))
    classes = tuple(dict.fromkeys(name for name in new.values() if name is not None))
    content = hash_json([facts.content_hash, {name: labels[name] for name in sorted(labels)}])
    left_out = [name for name, other in new.items() if other is None]
    note = f"{np.setdiff1d(rows.inner.own, kept).size} rows of {', '.join(left_out)} were left out"
    notes = (*facts.notes, *([note] if left_out else []))
    x = rows.x if len(kept) == len(rows) else some_rows(rows.x, kept)
    choices = {**facts.choices, "labels": dict(labels)}
    return labelled(keys, x, classes, replace(facts, content_hash=content, notes=notes, choices=choices))


def answering(found: TrainingSet, answers: Sequence[str]) -> TrainingSet:
    """The rows, of which those of other classes than ``answers`` are trained on, and are never tested.

    A classifier learns more of how speech varies from all classes of a corpus, although data sets share only
    some of them. It answers the shared ones, as if the others had been ruled out.

    Raises
    ------
    UsageError : a class that no row has, or fewer than two.
    DataError : a data set has none of the classes.
    """
    rows, facts = found.rows, found.facts
    _check_names("--answers", answers, rows.classes)
    if len(set(answers)) < 2:
        raise UsageError(f"--answers {','.join(answers)}: at least two classes are needed")
    others = [name for name in rows.classes if name not in answers]
    if not others:
        return found
    untested = np.isin(rows.labels, others)
    n_clips = int((untested & ~altered(rows.key_frame)).sum())
    note = f"{n_clips} rows of {', '.join(others)} are trained on, and are never an answer"
    copies = untested if rows.copies is None else untested | rows.copies
    datasets = identify(rows.key_frame, "dataset")
    lacking = set(datasets) - set(datasets[~copies])
    if rows.weights is not None and lacking:
        raise DataError(f"the data set {sorted(lacking)[0]} has no row of {', '.join(answers)}; leave it out")
    weights = None if rows.weights is None else weighting.alike(rows.weights, datasets, ~copies)
    facts = replace(
        facts,
        notes=(*facts.notes, note),
        content_hash=hash_json([facts.content_hash, sorted(answers)]),
        choices={**facts.choices, "answers": list(answers)},
    )
    return TrainingSet(replace(rows, copies=copies, weights=weights), facts)


def _check_names(option: str, names: Iterable[str], classes: Sequence[str]) -> None:
    for name in names:
        if name not in classes:
            near = difflib.get_close_matches(name, classes, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{option} {name}: the tables have {', '.join(classes)}{hint}")


def of_corpora(found: TrainingSet, corpora: str = EQUAL) -> TrainingSet:
    """The rows with the weights of their data sets, where there are two or more.

    A note names the classes that a data set lacks.

    Parameters
    ----------
    corpora : ``"equal"`` or ``"rows"``, see `read_training_set`.

    Raises
    ------
    UsageError : another value of ``corpora``.
    """
    if corpora not in (EQUAL, ROWS):
        raise UsageError(f"--corpora takes {EQUAL} or {ROWS}, not {corpora!r}")
    rows, facts = found.rows, found.facts
    datasets = identify(rows.key_frame, "dataset")
    if None in datasets or len(names := named_groups(datasets)) < 2:
        return found
    classes_of = {name: set(rows.labels[datasets == name]) for name in names}
    lacks = {name: [each for each in rows.classes if each not in classes_of[name]] for name in names}
    notes = [f"the data set {name} has no rows of {', '.join(each)}" for name, each in lacks.items() if each]
    facts = replace(facts, notes=(*facts.notes, *notes), choices={**facts.choices, "corpora": corpora})
    if corpora == ROWS:
        return TrainingSet(rows, facts)
    content = hash_json([facts.content_hash, corpora])
    weights = weighting.of_corpora(datasets, rows.y, rows.copies)
    return TrainingSet(replace(rows, weights=weights), replace(facts, content_hash=content))


def normalized(found: TrainingSet, by: str = "speaker") -> TrainingSet:
    """The rows with the features of each speaker, data set or subject normalised.

    Parameters
    ----------
    by : ``"speaker"``, ``"dataset"`` or ``"subject"``.

    Raises
    ------
    UsageError : features of several tables, pictures, or features that cannot be normalised by it.
    DataError : a row without a subject, or a data set.
    """
    rows, facts, key = found.rows, found.facts, NORMALIZATIONS[by]
    if isinstance(rows.x, Streams) or rows.table.dtype == np.uint8:
        raise UsageError(f"--normalize {by} is for the signals of one table, not for pictures; leave it out")
    if rows.key_frame[key].isna().any():
        raise DataError(f"--normalize {by} needs a {key} for every row; this table lacks some or all")
    normalization = normalization_of(facts.features["features"], by, facts.features["settings"])
    groups = identify(rows.key_frame, key).astype(str)
    copies = rows.copies
    if by == SUBJECT:  # all classes count, as in a prediction, which knows no labels
        copies = altered(rows.key_frame)
    x = normalization(rows.kept if normalization.align is None else rows.array, groups, copies=copies)
    features = {**facts.features, "normalized": normalization.meta}
    notes = _few_rows(groups[~altered(rows.key_frame)]) if by == SUBJECT else []
    facts = replace(facts, features=features, normalize=by, notes=(*facts.notes, *notes))
    return TrainingSet(replace(rows, x=x), facts)


def _few_rows(people: np.ndarray) -> list[str]:
    """What is said where a person has fewer rows than a prediction needs, by the person of each row."""
    names, counts = np.unique(people, return_counts=True)
    few = np.flatnonzero(counts < LEAST_OF_SUBJECT)
    if not len(few):
        return []
    return [
        f"{len(few)} of {len(names)} people have fewer than {LEAST_OF_SUBJECT} rows to be normalised by, "
        f"such as {short(names[few[0]])} ({counts[few[0]]}): predict refuses so few; cut recordings by "
        "--segment"
    ]
