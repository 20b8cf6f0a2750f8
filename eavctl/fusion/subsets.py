"""Scores of a fusion with missing inputs: every subset of them, compared with the best single model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from eavctl.evaluation import formatting, metrics
from eavctl.evaluation.groups import rows_of
from eavctl.evaluation.intervals import clusters_of, score_intervals
from eavctl.evaluation.summary import compare, corrected, protocol_group
from eavctl.storage.tables import PredictionTable

MOST_INPUTS = 5  # up to this number all subsets are scored, 31 at most; above it only some

T = TypeVar("T")


def subsets_of(names: Sequence[T]) -> list[tuple[T, ...]]:
    """All subsets but the empty one: the full set first, then by falling size, in the order of the names.

    Of more than 5 names only the full set, the sets without one name, and the single names.
    """
    n_names = len(names)
    sizes = [n_names, n_names - 1, 1] if n_names > MOST_INPUTS else list(range(n_names, 0, -1))
    return [subset for size in sizes for subset in combinations(names, size)]


def table_of(
    fused: Callable[[tuple[str, ...]], PredictionTable],
    singles: Mapping[str, PredictionTable | None],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Score a fusion for each subset of its inputs, and compare it with the best single model of the subset.

    The best single model is picked by its UAR on the compared rows, which is to the fusion's disadvantage; so
    each p value is multiplied by the number of models that it was picked from, and then corrected for the
    number of subsets (`eavctl.evaluation.summary.corrected`).

    Parameters
    ----------
    fused : callback that returns the out-of-fold predictions of the fusion with only these inputs present.
    singles : out-of-fold predictions of each input's own model; None or no entry if there are none.
    names : of the inputs, in order.

    Returns
    -------
    One JSON-able dict a subset, in the order of `subsets_of`: ``inputs``, ``uar`` (``value``, ``low``,
    ``high``; the limits are None for too few clusters), ``over`` (the clusters of the intervals),
    ``n_clusters``, ``n_rows`` with a label; ``best``, the name of the best single model, ``best_uar``,
    ``difference`` (fusion minus single model: ``value``, ``low``, ``high``), ``p_value`` and ``n_compared``,
    all None if no single model shares a labelled row; ``worse``: the whole interval of the difference is
    below 0, and the corrected p value below 0.05.

    Raises
    ------
    DataError : no row has a label, or a sample has two.
    """
    entries, best_singles = [], []
    for subset in subsets_of(names):
        table = fused(subset)
        entries.append(_scored(table, subset))
        best_singles.append(
            _best(table, {name: t for name in subset if (t := singles.get(name)) is not None})
        )
    compared = {i: best for i, best in enumerate(best_singles) if best}
    versus = corrected([best for best, _ in compared.values()], [n for _, n in compared.values()])
    comparisons = dict(zip(compared, versus, strict=True))
    return [entry | _comparison(comparisons.get(i, {})) for i, entry in enumerate(entries)]


def lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as aligned text, with a heading."""
    rows = [("inputs", "UAR", "best single", "difference"), *(_cells(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*table, *formatting.reasons((entry, entry["uar"]) for entry in entries)]


def is_worse(entry: Mapping[str, Any]) -> bool:
    """Whether a test shows the fusion of a subset to be worse; tables of older versions have no p value."""
    return bool(entry["worse"]) and entry.get("p_value") is not None


def warnings_of(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """A warning for each subset for which the fusion is worse than the best single model."""
    names: list[str] = max((entry["inputs"] for entry in entries), key=len, default=[])
    sentences = []
    for entry in entries:
        if is_worse(entry):
            missing = [name for name in names if name not in entry["inputs"]]
            subject = f"without {_listed(missing)} the fusion" if missing else "the fusion"
            difference = formatting.difference(entry["difference"])
            sentences.append(
                f"{subject} is worse than {entry['best']} alone: difference {difference}, "
                f"{formatting.p_value(entry)}"
            )
    return sentences


def _scored(table: PredictionTable, subset: tuple[str, ...]) -> dict[str, Any]:
    known = table.keys["label"].notna().to_numpy()
    labels = table.keys["label"].to_numpy(dtype=object)[known]
    classes = metrics.all_classes(labels, table.classes)
    truth, predicted = (metrics.indices(names, classes) for names in (labels, table.pred[known]))
    clusters = clusters_of(rows_of(table.keys, known), protocol_group(table))
    uar = score_intervals(clusters, truth, predicted, len(classes))["uar"]
    return {
        "inputs": list(subset),
        "uar": uar.to_json(),
        "over": clusters.over,
        "n_clusters": clusters.n,
        "n_rows": len(labels),
    }


def _comparison(versus: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "best": versus.get("name"),
        "best_uar": versus.get("second"),
        "difference": versus.get("difference"),
        "p_value": versus.get("p_value"),
        "n_compared": versus.get("n_compared"),
        "worse": versus.get("worse", False),
    }


def _best(
    table: PredictionTable, singles: Mapping[str, PredictionTable]
) -> tuple[dict[str, Any], int] | None:
    """The comparison with the best single model, and the number of models that it was picked from.

    The best has the highest UAR on the rows that it shares with the fusion, and is the first of equals; None
    if no model shares a row.
    """
    known = table.keys[table.keys["label"].notna()]
    truths = dict(zip(known["sample_id"], known["label"], strict=True))
    scores = {name: _uar(single, truths) for name, single in singles.items()}
    scored = {name: score for name, score in scores.items() if score is not None}
    if not scored:
        return None
    name = max(scored, key=lambda each: scored[each])
    return {"name": name, **compare(table, singles[name])}, len(scored)


def _uar(table: PredictionTable, truths: Mapping[str, str]) -> float | None:
    """UAR of the rows with a known label; None if there are none."""
    ids = table.keys["sample_id"].to_numpy(dtype=object)
    rows = np.flatnonzero([sample in truths for sample in ids])
    if not len(rows):
        return None
    labels = [truths[sample] for sample in ids[rows]]
    classes = metrics.all_classes(labels, table.classes)
    truth, predicted = (metrics.indices(names, classes) for names in (labels, table.pred[rows]))
    return float(metrics.uar(metrics.confusion_matrix(truth, predicted, len(classes))))


def _cells(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    inputs, score = " + ".join(entry["inputs"]), formatting.score(entry["uar"])
    if entry["best"] is None:
        return inputs, score, "-", "-"
    best = f"{entry['best']} {formatting.number(entry['best_uar'])}"
    return inputs, score, best, formatting.difference(entry["difference"])


def _listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
