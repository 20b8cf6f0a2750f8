"""What a model relies on: families of features, patterns, and windows, bands or channels of tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.classifiers.linear import LinearModel
from eavctl.classifiers.patterns import standard_patterns
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import metrics
from eavctl.evaluation.importance import N_DONORS
from eavctl.explaining.effects import SITE, Effects
from eavctl.explaining.judging import Judging, judging_of
from eavctl.explaining.occlusion import CHANNEL, occlusion_of
from eavctl.features.families import families_of, sites_of
from eavctl.packaged.models import find
from eavctl.progress import Tick, silent
from eavctl.report.explain_page import explain_page
from eavctl.storage import artifacts, files
from eavctl.storage.artifacts import Model
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.ownership import PAGE, Output, guard
from eavctl.storage.paths import Paths, named
from eavctl.storage.tables import read_feature_meta, read_meta
from eavctl.training.rows import EQUAL, TrainingSet, read_training_set

TOP_COLUMNS = 10  # of each class's pattern
DECIMALS = 6


@dataclass(frozen=True)
class Planned:
    """What an explanation would do.

    Parameters
    ----------
    n_rows : to judge.
    how : by which models, in a sentence.
    parts : how many parts of the features are left out, one after the other.
    warnings : on the rows.
    """

    n_rows: int
    how: str
    parts: int
    warnings: tuple[str, ...]


def explain(
    model: str | os.PathLike[str],
    tables: Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    labels: Mapping[str, str | None] | None = None,
    jobs: int = 1,
    seed: int = 42,
    force: bool = False,
    on_fold: Tick = silent,
) -> dict[str, Any]:
    """Measure what a model relies on, on rows that it was not trained on, and write a page if asked to.

    Where the model has met none of the table's people, clips and recordings, it judges the rows itself. Else
    each row is judged by a model of a fold, which the file keeps or which is fitted again as in the training.

    Parameters
    ----------
    model : model file, or the name of a packaged model.
    tables : labelled feature table, or several, which are stacked.
    out : page to write (.html), or ``-``.
    labels : see `eavctl.training.rows.read_training_set`; beside those of the training.
    jobs : threads of a fit; the result does not depend on it.
    seed : of the draw of rows whose columns replace those of others.
    force : overwrite a file that eavctl did not write.
    on_fold : called with the number of folds done, of all, and what comes next.

    Returns
    -------
    JSON-able: the ``model``, its ``kind``, ``judged_by`` and ``how``, what
    `eavctl.explaining.effects.Effects.findings` gives, ``patterns`` of a linear model (for each class, the
    columns that go with it), ``maps`` of EEG (a value at each channel), and ``warnings``.

    Raises
    ------
    SettingsError : a table of other features than the model's.
    DataError : a table without labels, or of which the model has met all rows and cannot be fitted again.
    UsageError : a model of several streams, or an output that must not be overwritten.
    """
    request = _Request.of(model, tables, out, labels, jobs, force)
    judging, data = request.judging, request.judging.data

    def on_part(fold: int, part: str) -> None:
        on_fold(max(fold - 1, 0), request.n_folds, f"without {part}")

    effects = request.effects(seed, on_part)
    judging.run(effects, on_fold)
    found = effects.findings(judging.group)
    views = [view for view in found["views"] if view["name"] != SITE]
    features = FeatureMeta.from_json(data.facts.features, os.fspath(model))
    pattern = _pattern(request.model, data)
    maps = _maps(found["views"], features, pattern, request.model)
    warnings = [*judging.warnings, *judging.fit_warnings.sentences()]
    if n := effects.n_single:
        alone = "1 row is alone in its fold" if n == 1 else f"{n} rows are alone in their folds"
        warnings.append(f"{alone}, without others whose columns could replace theirs")
    if (features.normalized or {}).get("align"):
        warnings.append(
            "features are aligned by subject, which mixes the channels: channels are those after alignment"
        )
    if found["uar"]["low"] is not None and found["uar"]["low"] <= found["chance"]:
        warnings.append("UAR is not surely above chance: what such a model relies on means little")
    result = {
        "model": os.fspath(model),
        "kind": request.model.meta.kind,
        "tables": [os.fspath(path) for path in named(tables)],
        "features": features.features,
        "classes": [str(each) for each in request.model.classes_],
        "judged_by": judging.by,
        "how": judging.words,
        **found,
        "views": views,
        "donors": N_DONORS if effects.views else None,
        "seed": seed,
        "normalize": request.model.meta.protocol.normalize,
        "patterns": _top(pattern, request.model, features.columns or ()),
        "maps": maps,
        "warnings": warnings,
    }
    if out is not None:
        files.write_bytes(out, explain_page(result).encode())
    return result


def plan(
    model: str | os.PathLike[str],
    tables: Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    labels: Mapping[str, str | None] | None = None,
    force: bool = False,
) -> Planned:
    """What `explain` would do with the same parameters; nothing is fitted or written.

    Raises
    ------
    SettingsError, DataError, UsageError : where `explain` raises them before it judges.
    """
    request = _Request.of(model, tables, out, labels, 1, force)
    effects = request.effects(0)
    n_parts = sum(map(len, effects.views.values()))
    n_parts += len(effects.occlusion.regions) if effects.occlusion else 0
    return Planned(request.judging.n_rows, request.judging.words, n_parts, request.judging.warnings)


@dataclass(frozen=True)
class _Request:
    """What an explanation was asked for, once the files are read."""

    model: Model
    judging: Judging

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        tables: Paths,
        out: str | os.PathLike[str] | None,
        labels: Mapping[str, str | None] | None,
        jobs: int,
        force: bool,
    ) -> _Request:
        """Check the output, read the files, and decide who judges which rows."""
        names = named(tables)
        place = find(path)
        if out is not None:
            guard([Output(out, "report", PAGE)], [place, *names], force=force)
        model = artifacts.load(place)
        if model.meta.features is None:
            raise UsageError(
                f"{path}: a fusion of several inputs; 'eavctl show {path}' has the scores without each, and "
                "each single model can be explained"
            )
        for name in names:
            artifacts.require_fit(model.meta.features, path, read_feature_meta(name), name)
        data = _rows(model, names, labels or {})
        return cls(model, judging_of(model, place, data, jobs=jobs))

    @property
    def n_folds(self) -> int:
        """How many classifiers judge."""
        plan = self.judging.plan
        return len(plan.folds) if plan else len(self.judging.batches)

    def effects(self, seed: int, on_part: Any = lambda fold, part: None) -> Effects:
        """What is left out, before anything is judged.

        Raises
        ------
        DataError : tensors of which no part is known.
        """
        data = self.judging.data
        features = FeatureMeta.from_json(data.facts.features, "the table")
        views: dict[str, dict[str, np.ndarray]] = {}
        occlusion = None
        if features.columns is not None:
            views = families_of(features.features, features.columns)
            if sites := sites_of(views):
                views[SITE] = {f"{band} {channel}": own for (band, channel), own in sites.items() if len(own)}
        else:
            occlusion = occlusion_of(features, data.rows.array)
            if occlusion is None:
                raise DataError(
                    f"tensors of {features.features!r} have no bands, times or patches that could be occluded"
                )
        classes = metrics.all_classes(data.rows.labels.tolist(), [str(each) for each in self.model.classes_])
        normalize = self.model.meta.protocol.normalize
        return Effects(data.rows, classes, views, occlusion, normalize, seed, on_part)


def _rows(model: Model, tables: Sequence[str], labels: Mapping[str, str | None]) -> TrainingSet:
    """The labelled rows of the tables, with the training's names of classes and its standardisation."""
    about = model.meta.json
    there = {str(name) for path in tables for name in read_meta(path).get("classes", ())}
    own = {name: new for name, new in (about.get("labels") or {}).items() if name in there}
    chosen = {**own, **labels}
    named_so = {new for name in there if (new := chosen.get(name, name)) is not None}
    corpora, normalize = about.get("corpora", EQUAL), model.meta.protocol.normalize
    answers = [name for name in about.get("answers", ()) if name in named_so]
    return read_training_set(tables, normalize=normalize, labels=chosen, corpora=corpora, answers=answers)


def _pattern(model: Model, data: TrainingSet) -> np.ndarray | None:
    """The patterns of a linear model, (n_columns, n_classes), over the rows of the table."""
    if not isinstance(model.predictor, LinearModel):
        return None
    x = data.rows.taking(data.rows.inner.own).array
    return standard_patterns(x, model.predictor.decision_function(x))


def _top(pattern: np.ndarray | None, model: Model, columns: Sequence[str]) -> dict[str, Any] | None:
    """For each class, the columns of the largest patterns."""
    if pattern is None:
        return None
    return {
        name: [
            {"column": columns[row], "pattern": round(float(own[row]), DECIMALS)}
            for row in np.argsort(-np.abs(own), kind="stable")[:TOP_COLUMNS]
        ]
        for name, own in _of_classes(model, pattern)
    }


def _of_classes(model: Model, pattern: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The pattern of each class; of two classes that of the first, as the other's has opposite signs."""
    names = [str(name) for name in model.classes_]
    yield from zip(names[:1] if len(names) == 2 else names, pattern.T, strict=False)


def _maps(
    views: Sequence[Mapping[str, Any]], features: FeatureMeta, pattern: np.ndarray | None, model: Model
) -> list[dict[str, Any]]:
    """Values at the channels of EEG: importance, by band if there are bands, and patterns of each class."""
    if features.modality != "eeg":
        return []
    worth = {
        (view["name"], part["name"]): part["probability"]["value"] for view in views for part in view["parts"]
    }
    if features.columns is None:
        values = {name: value for (view, name), value in worth.items() if view == CHANNEL}
        return [{"of": "importance", "title": "all bands", "values": values}] if values else []
    sites = sites_of(families_of(features.features, features.columns))
    found: dict[str, dict[str, dict[str, float]]] = {"importance": {}}
    for (band, channel), own in sites.items():
        if not len(own):
            continue
        found["importance"].setdefault(band, {})[channel] = worth[SITE, f"{band} {channel}"]
        if pattern is None:
            continue
        for name, of_class in _of_classes(model, pattern):
            bands = found.setdefault(f"pattern of {name}", {})
            bands.setdefault(band, {})[channel] = round(float(of_class[own[0]]), DECIMALS)  # of the entropy
    return [
        {"of": of, "title": band, "values": values}
        for of, bands in found.items()
        for band, values in bands.items()
    ]
