"""What a report says of prediction tables, as JSON-able values: scores, comparisons, and what was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from eavctl.errors import DataError, UsageError
from eavctl.evaluation.calibration_curve import calibration_curve
from eavctl.evaluation.coverage import coverage
from eavctl.evaluation.groups import identify, named
from eavctl.evaluation.summary import compare, corrected, summarize
from eavctl.fusion.joining import table_names
from eavctl.report.commands import commands
from eavctl.report.sentences import counted, sentence
from eavctl.report.told import training_of, versions_of, zero_shot_of
from eavctl.storage.tables import PredictionTable

NOT_OUT_OF_FOLD = (
    "these predictions are not marked as out-of-fold: if the model was trained on some of these recordings, "
    "the scores are too high"
)


def summary(
    tables: Sequence[PredictionTable],
    names: Sequence[str] | None = None,
    *,
    files: Sequence[str] | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Score and compare prediction tables.

    Parameters
    ----------
    tables : the prediction tables.
    names : names of the tables; by default the ``name`` in their metadata, or their number.
    files : names of their files without endings, for the commands that repeat them; by default ``names``.
    title : of the report.

    Returns
    -------
    JSON-able dict: ``title``; ``models``, each with its ``name``, scores (see
    `eavctl.evaluation.summary.summarize`), ``people`` (the subjects with their data sets), ``coverage``,
    ``calibration_curve``, ``protocol``, ``warnings``; what its table tells of the training as ``trained``
    (`eavctl.report.told.training_of`), or None; the ``commands`` that repeat it, and a ``sentence`` for a
    paper; ``comparisons`` of the model with the highest UAR with each other model. Because it was selected
    on the same rows, they are corrected for the comparisons of all pairs of models.

    Raises
    ------
    UsageError : no tables.
    DataError : a table without labels, or labels that differ between tables.
    """
    if not tables:
        raise UsageError("a report needs at least one prediction table")
    titles = table_names(tables, names)
    stems = files or titles
    models = [_model(table, name, file) for table, name, file in zip(tables, titles, stems, strict=True)]
    models = [_with_names(model, dict(zip(stems, titles, strict=True))) for model in models]
    best = max(range(len(models)), key=lambda i: (models[i]["uar"]["value"], -i))
    of_all = titles[0] if len(models) == 1 else f"{len(models)} models"
    return {
        "title": title or f"Emotion recognition: {of_all}",
        "models": models,
        "comparisons": _with_best(tables, titles, best),
    }


def _model(table: PredictionTable, name: str, file: str) -> dict[str, Any]:
    try:
        scores = summarize(table)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    protocol = {k: v for k, v in (table.meta.get("protocol") or {}).items() if k != "warnings"}
    about = table.about
    warnings = [str(text) for text in about.protocol.warnings]
    if not about.out_of_fold:
        warnings.append(NOT_OUT_OF_FOLD)
    if scores["n_unlabelled"]:
        warnings.append(f"{scores['n_unlabelled']} rows without a label are not scored")
    keys = table.keys[table.keys["label"].notna()]
    foreign = keys["label"][~keys["label"].isin(table.classes)]
    if len(foreign):
        others = ", ".join(sorted(set(foreign)))
        warnings.append(
            f"{counted(len(foreign), 'row')} of {others} cannot be right: no classes of the model, which are "
            f"{', '.join(table.classes)}"
        )
    trained = training_of(table.meta)
    found = {
        "name": name,
        "model": about.name or name,
        "modalities": list(about.modalities),
        "protocol": protocol,
        "out_of_fold": about.out_of_fold,
        "warnings": warnings,
        "fusion": about.fusion,
        **scores,
        "people": _with_datasets(table, scores["per_subject"]),
        "datasets": sorted(set(keys["dataset"].dropna())),
        "coverage": coverage(table),
        "calibration_curve": calibration_curve(table),
        "trained": trained,
        "zero_shot": zero_shot_of(table.meta),
        "versions": versions_of(table.meta),
        "commands": commands(trained, file),
    }
    return found


def _with_names(model: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The model with its sentence; inputs of a late fusion that are models of the report have their names."""

    def of(name: Any) -> Any:
        return names.get(name, name) if isinstance(name, str) else name

    fusion, trained = model["fusion"], model["trained"]
    if fusion and trained and trained["kind"] == "fuse":
        weights = {of(name): weight for name, weight in (fusion.get("weights") or {}).items()}
        subsets = [
            {**each, "inputs": [of(name) for name in each["inputs"]], "best": of(each["best"])}
            for each in fusion.get("subsets") or ()
        ]
        fusion = {**fusion, "weights": weights, "subsets": subsets}
    if trained:
        trained = {**trained, "fused": [{**each, "name": of(each["name"])} for each in trained["fused"]]}
    found = {**model, "fusion": fusion, "trained": trained}
    return {**found, "sentence": sentence(found)}


def _with_datasets(table: PredictionTable, subjects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The subjects of `summarize`, each with the name of its data set."""
    keys = table.keys[table.keys["label"].notna()].reset_index(drop=True)
    people = identify(keys, "subject")
    datasets = dict(zip(people, keys["dataset"], strict=True))
    return [
        {**each, "dataset": datasets[person] if isinstance(datasets[person], str) else None}
        for person, each in zip(named(people), subjects, strict=True)
    ]


def _with_best(tables: Sequence[PredictionTable], titles: Sequence[str], best: int) -> list[dict[str, Any]]:
    """The comparisons of the best model with each other model, corrected for those of all pairs."""
    order = [best, *(i for i in range(len(tables)) if i != best)]
    pairs = [
        {
            "first": titles[i],
            "second": titles[j],
            **_compared(tables[i], tables[j], f"{titles[i]} and {titles[j]}"),
        }
        for i, j in combinations(order, 2)
    ]
    compared = [
        *corrected([pair for pair in pairs if pair["n_rows"]]),
        *(pair for pair in pairs if not pair["n_rows"]),
    ]
    return [pair for pair in compared if pair["first"] == titles[best]]


def _compared(first: PredictionTable, second: PredictionTable, both: str) -> dict[str, Any]:
    """The comparison, or only ``n_rows`` 0 if the two tables have no labelled sample in common."""
    ids = set(second.keys.loc[second.keys["label"].notna(), "sample_id"])
    if not any(sample in ids for sample in first.keys.loc[first.keys["label"].notna(), "sample_id"]):
        return {"n_rows": 0}
    try:
        result = compare(first, second)
    except DataError as error:
        raise DataError(f"{both}: {error}") from error
    result["uar"] = [result.pop("first"), result.pop("second")]
    return result
