"""Variants of one model side by side: size, time and memory, and how far their answers differ."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.classifiers.streams import Streams
from eavctl.export.alone import measure_alone

if TYPE_CHECKING:
    import pandas as pd

MOST_RUNS, FEWEST_RUNS = 100, 5  # of single rows, by each variant
LATENCY_BUDGET_S = 10.0  # of all variants together, where the fewest runs fit in it
BATCH, BATCH_RUNS = 32, 3
BATCH_BUDGET_S = 20.0  # of one batch: longer ones are not measured
FASTER = 0.95  # a time below this share of the other is shorter, and no chance of the measurement
MOST_LOSS = 0.02  # of the UAR, where the interval is too wide to show a loss
MOST_CHANGED = 0.02  # share of the decisions, of rows without labels


@dataclass(frozen=True)
class Variant:
    """One form of a model.

    Parameters
    ----------
    name : for people, such as ``torch`` or ``int8``.
    path : its file.
    predictor : what the file holds, with ``predict_proba`` and ``decide``.
    """

    name: str
    path: str | os.PathLike[str]
    predictor: Any


class Cost(NamedTuple):
    """What a variant costs.

    Parameters
    ----------
    n_bytes : size of its file.
    load_s : seconds to load it in a new process, imports included.
    p50_s, p95_s : percentiles of the seconds for one row, with one thread.
    rows_per_s : with one thread, in batches of `BATCH`; None where a batch takes too long.
    peak_mb : peak of the memory of a process that judges rows one by one and in a batch; None if unknown.
    """

    n_bytes: int
    load_s: float
    p50_s: float
    p95_s: float
    rows_per_s: float | None
    peak_mb: float | None


class Change(NamedTuple):
    """How far the answers of a variant differ from those of the original.

    Parameters
    ----------
    n_rows : compared.
    largest : change of a probability.
    decisions : number of rows that are decided otherwise.
    uar, original_uar : with intervals, as `eavctl.evaluation.intervals.Interval.to_json` gives them; None of
        rows without labels.
    difference : of the two, paired, as `eavctl.evaluation.summary.compare` gives it; None as ``uar``.
    """

    n_rows: int
    largest: float
    decisions: int
    uar: Mapping[str, float | None] | None = None
    original_uar: Mapping[str, float | None] | None = None
    difference: Mapping[str, Any] | None = None


class Measured(NamedTuple):
    """A variant's name, its cost, and its change from the first variant."""

    name: str
    cost: Cost
    change: Change

    def to_json(self) -> dict[str, Any]:
        """JSON-able, as commands print it and as exported models keep it."""
        return {"name": self.name, **self.cost._asdict(), **self.change._asdict()}


def measure(
    variants: Sequence[Variant], x: np.ndarray | Streams, keys: pd.DataFrame | None
) -> list[Measured]:
    """Measure variants side by side, in turns, so that a busy machine slows all alike.

    Parameters
    ----------
    variants : the first one is the original, with which the others are compared.
    x : rows.
    keys : of the rows, with labels; None of rows without keys.
    """
    alone = [measure_alone(each.path, x[:BATCH]) for each in variants]  # a file that crashes, crashes there
    with one_thread():
        seconds = latencies(variants, x)
        speeds = _speeds(variants, x, seconds)
        proba = [each.predictor.predict_proba(x) for each in variants]
    original = variants[0].predictor
    return [
        Measured(
            each.name,
            Cost(
                os.path.getsize(each.path),
                process.load_s,
                statistics.median(times),
                float(np.percentile(times, 95)),
                speed,
                process.peak_mb,
            ),
            changed(original, proba[0], found, keys),
        )
        for each, process, times, speed, found in zip(variants, alone, seconds, speeds, proba, strict=True)
    ]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in the block: numpy, and torch where it is loaded."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def latencies(variants: Sequence[Variant], x: np.ndarray | Streams) -> list[list[float]]:
    """Seconds for single rows, by variant; the first run of each, which warms up, does not count."""
    first = sum(_seconds(each, x[:1]) for each in variants for _ in range(2)) / 2
    runs = int(np.clip(LATENCY_BUDGET_S / first, FEWEST_RUNS, MOST_RUNS))
    rows = [x[i : i + 1] for i in np.arange(runs) % len(x)]
    in_turns = [[_seconds(each, row) for each in variants] for row in rows]
    return [list(times) for times in zip(*in_turns, strict=True)]


def _speeds(
    variants: Sequence[Variant], x: np.ndarray | Streams, seconds: Sequence[Sequence[float]]
) -> list[float | None]:
    """Rows a second in batches, by variant."""
    batch = x[np.arange(BATCH) % len(x)]
    if max(map(statistics.median, seconds)) * BATCH > BATCH_BUDGET_S:
        return [None] * len(variants)
    in_turns = [[_seconds(each, batch) for each in variants] for _ in range(BATCH_RUNS)]
    return [BATCH / statistics.median(times) for times in zip(*in_turns, strict=True)]


def _seconds(variant: Variant, x: np.ndarray | Streams) -> float:
    start = time.perf_counter()
    variant.predictor.predict_proba(x)
    return time.perf_counter() - start


def changed(original: Any, before: np.ndarray, after: np.ndarray, keys: pd.DataFrame | None) -> Change:
    """Compare the probabilities that a variant gives for rows with those of the original.

    Parameters
    ----------
    original : the predictor, with classes and ``decide``.
    before, after : probabilities, (n_rows, n_classes).
    keys : of the rows; None of rows without keys.
    """
    was, now = original.decide(before), original.decide(after)
    found = Change(len(before), float(np.abs(after - before).max()), int((was != now).sum()))
    if keys is None or not keys["label"].notna().any():
        return found
    return found._replace(**_scores(original, was, now, keys))


def _scores(original: Any, was: np.ndarray, now: np.ndarray, keys: pd.DataFrame) -> dict[str, Any]:
    """UAR of the original and of the variant over the labelled rows, and their paired difference."""
    from eavctl.evaluation import metrics
    from eavctl.evaluation.groups import rows_of
    from eavctl.evaluation.intervals import LEVEL, clusters_of, paired_difference, score_intervals
    from eavctl.evaluation.summary import judge

    known = keys["label"].notna().to_numpy()
    keys, was, now = rows_of(keys, known), was[known], now[known]
    labels = keys["label"].to_numpy(dtype=object)
    classes = metrics.all_classes(labels, tuple(map(str, original.classes_)))
    truth, clusters = metrics.indices(labels, classes), clusters_of(keys)
    uar, before = (score_intervals(clusters, truth, each, len(classes))["uar"] for each in (now, was))
    paired = paired_difference(clusters, truth, now, was, len(classes))
    difference = {
        "difference": paired.interval.to_json(),
        "p_value": paired.p_value,
        "level": LEVEL,
        "over": clusters.over,
        "n_clusters": clusters.n,
    }
    return {
        "uar": uar.to_json(),
        "original_uar": before.to_json(),
        "difference": difference | judge(difference),
    }


def objections(original: Measured, variant: Measured, *, elsewhere: bool = False) -> list[str]:
    """Why a variant is not worth its change of the answers, in words; none if it is better in all.

    It must be smaller and faster. Its score must not be shown to fall, and not fall by more than `MOST_LOSS`;
    of rows without labels, not more than `MOST_CHANGED` of the decisions may change.

    Parameters
    ----------
    elsewhere : it is meant for another kind of processor, so that its time here does not count.
    """
    before, after, found = original.cost, variant.cost, []
    if after.n_bytes >= before.n_bytes:
        found.append(f"it is not smaller ({mb(after.n_bytes)} against {mb(before.n_bytes)})")
    if not elsewhere and after.p50_s >= FASTER * before.p50_s:
        found.append(f"it is not faster ({ms(after.p50_s)} a row against {ms(before.p50_s)})")
    return [*found, *loss_of(variant.change)]


def loss_of(change: Change) -> list[str]:
    """What a variant loses by its change of the answers, in words; none if nothing (see `objections`)."""
    from eavctl.evaluation import formatting

    if change.difference is None:
        if change.decisions <= MOST_CHANGED * change.n_rows:
            return []
        return [f"{change.decisions} of {change.n_rows} decisions change"]
    interval = change.difference["difference"]
    if interval["value"] >= -MOST_LOSS and (interval["high"] is None or interval["high"] >= 0):
        return []
    return [f"the UAR changes by {formatting.difference(interval)}"]


def mb(n_bytes: int) -> str:
    """A size in MB, as text."""
    return f"{n_bytes / 1e6:.3g} MB"


def ms(seconds: float) -> str:
    """A time in milliseconds, as text."""
    return f"{1e3 * seconds:.3g} ms"
