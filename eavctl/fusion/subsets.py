"""What a fusion is worth when inputs are missing: each subset of them, scored beside single models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from eavctl.evaluation import metrics
from eavctl.evaluation.intervals import score_intervals
from eavctl.evaluation.summary import compare
from eavctl.tables import PredictionTable

MOST_INPUTS = 5  # of so many, all 31 subsets are looked at; of more, only those that matter most

T = TypeVar("T")


def subsets_of(names: Sequence[T]) -> list[tuple[T, ...]]:
    """All subsets but the empty one: the full one first, then by falling size, in the order of the names.

    Of more than 5 names only the full set, each name left out alone, and each name alone.
    """
    n_names = len(names)
    sizes = [n_names, n_names - 1, 1] if n_names > MOST_INPUTS else list(range(n_names, 0, -1))
    return [subset for size in sizes for subset in combinations(names, size)]


def table_of(
    fused: Callable[[tuple[str, ...]], PredictionTable],
    singles: Mapping[str, PredictionTable | None],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Score a fusion for each subset of its inputs, and compare it with the best single model of those left.

    The best is picked by its UAR on the very rows of the comparison, which is to the fusion's disadvantage.

    Parameters
    ----------
    fused : gives the out-of-fold predictions of the fusion when only that subset of the inputs is there.
    singles : out-of-fold predictions of each input's own model; None, or no entry, where there are none.
    names : of the inputs, in order.

    Returns
    -------
    One JSON-able dict a subset, in the order of `subsets_of`: ``inputs``, ``uar`` (``value``, ``low``,
    ``high``), what intervals are ``over``, ``n_rows`` with a label; ``best``, the name of the best single
    model, ``best_uar`` and ``difference`` (fusion less single, ``value``, ``low``, ``high``), all None where
    no single model shares a labelled row; ``worse``: the whole interval of the difference is below 0.

    Raises
    ------
    DataError : no row has a label, or a sample has two.
    """
    return [_entry(fused(subset), subset, singles) for subset in subsets_of(names)]


def lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as aligned text, with a heading."""
    rows = [("inputs", "UAR", "best alone", "difference"), *(_cells(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def complaints(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each subset that the best single model of it judges better than the fusion does."""
    names: list[str] = max((entry["inputs"] for entry in entries), key=len, default=[])
    sentences = []
    for entry in entries:
        if entry["worse"]:
            absent = [name for name in names if name not in entry["inputs"]]
            begin = f"without {_listed(absent)} the fusion" if absent else "the fusion"
            sentences.append(
                f"{begin} is worse than {entry['best']} alone: difference {_signed(entry['difference'])}"
            )
    return sentences


def _entry(
    table: PredictionTable, subset: tuple[str, ...], singles: Mapping[str, PredictionTable | None]
) -> dict[str, Any]:
    known = table.keys["label"].notna().to_numpy()
    labels = table.keys["label"].to_numpy(dtype=object)[known]
    classes = metrics.all_classes(labels, table.classes)
    truth, predicted = (metrics.indices(names, classes) for names in (labels, table.pred[known]))
    keys = table.keys[known].reset_index(drop=True)
    uar = score_intervals(keys, truth, predicted, len(classes))["uar"]
    truths = dict(zip(keys["sample_id"], labels, strict=True))
    best = _best(truths, {name: single for name in subset if (single := singles.get(name)) is not None})
    versus = compare(table, best[1]) if best else None
    return {
        "inputs": list(subset),
        "uar": {"value": uar.value, "low": uar.low, "high": uar.high},
        "over": uar.over,
        "n_rows": len(labels),
        "best": best[0] if best else None,
        "best_uar": versus["second"] if versus else None,
        "difference": versus["difference"] if versus else None,
        "worse": bool(versus and versus["difference"]["high"] < 0),
    }


def _best(
    truths: Mapping[str, str], singles: Mapping[str, PredictionTable]
) -> tuple[str, PredictionTable] | None:
    """The model of the highest UAR on the rows that it shares with the fusion; the first of equals."""
    scores = {name: _uar(single, truths) for name, single in singles.items()}
    judged = {name: score for name, score in scores.items() if score is not None}
    if not judged:
        return None
    name = max(judged, key=lambda each: judged[each])
    return name, singles[name]


def _uar(table: PredictionTable, truths: Mapping[str, str]) -> float | None:
    """UAR of the rows whose truth is known; None where there are none."""
    ids = table.keys["sample_id"].to_numpy(dtype=object)
    rows = np.flatnonzero([sample in truths for sample in ids])
    if not len(rows):
        return None
    labels = [truths[sample] for sample in ids[rows]]
    classes = metrics.all_classes(labels, table.classes)
    truth, predicted = (metrics.indices(names, classes) for names in (labels, table.pred[rows]))
    return float(metrics.uar(metrics.confusion_matrix(truth, predicted, len(classes))))


def _cells(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    uar = entry["uar"]
    score = f"{uar['value']:.3f} [{uar['low']:.3f}, {uar['high']:.3f}]"
    inputs = " + ".join(entry["inputs"])
    if entry["best"] is None:
        return inputs, score, "-", "-"
    return inputs, score, f"{entry['best']} {entry['best_uar']:.3f}", _signed(entry["difference"])


def _signed(difference: Mapping[str, float]) -> str:
    value, low, high = (round(difference[name], 3) + 0.0 for name in ("value", "low", "high"))  # no -0.000
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
