"""Scores, differences and intervals as text, for the command line and for reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_LISTS = 12  # by name, that are shown whole


def number(value: float) -> str:
    """Format with three decimals, without a minus before 0.000."""
    return f"{round(value, 3) + 0.0:.3f}"


def signed(value: float) -> str:
    """Format with three decimals and a sign; +0.000 for values that round to zero."""
    return f"{round(value, 3) + 0.0:+.3f}"


def score(entry: Mapping[str, Any]) -> str:
    """Format a score and its interval, if it has one.

    Parameters
    ----------
    entry : dictionary with ``value``, ``low`` and ``high``; see `eavctl.evaluation.intervals.Interval`.
    """
    if entry["low"] is None:
        return number(entry["value"])
    return f"{number(entry['value'])} [{number(entry['low'])}, {number(entry['high'])}]"


def calibration(scores: Mapping[str, Any]) -> str:
    """Format the expected calibration error; of several data sets also that of each, and their mean.

    Parameters
    ----------
    scores : as `eavctl.evaluation.summary.summarize` gives them.
    """
    text, each = score(scores["calibration_error"]), scores["calibration_error_by_dataset"]
    if not each:
        return text
    mean = number(sum(entry["value"] for entry in each.values()) / len(each))
    parts = ", ".join(f"{name} {score(entry)}" for name, entry in each.items())
    return f"{text} over all rows, {mean} as the mean of each data set ({parts})"


def difference(entry: Mapping[str, Any]) -> str:
    """Format a signed difference and its interval, if it has one; see `score`."""
    if entry["low"] is None:
        return signed(entry["value"])
    return f"{signed(entry['value'])} [{signed(entry['low'])}, {signed(entry['high'])}]"


def intervals_over(scores: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Describe the level and the clusters of the intervals, or why there is no interval.

    Parameters
    ----------
    scores : dictionary with ``level``, ``over`` and ``n_clusters``.
    entry : one of the intervals.
    """
    if entry["low"] is None:
        return no_interval(scores)
    return f"{scores['level']:.0%} intervals over {scores['over']}"


def no_interval(scores: Mapping[str, Any]) -> str:
    """State that there is no interval, and why."""
    return f"no interval: {too_few(scores)}"


def too_few(scores: Mapping[str, Any]) -> str:
    """State that there are too few clusters for an interval, from ``n_clusters`` and ``over``."""
    n_clusters, over = scores["n_clusters"], scores["over"]
    few = f"1 {over[:-1]} is" if n_clusters == 1 else f"{n_clusters} {over} are"
    return f"{few} too few"


def reasons(entries: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """The distinct reasons for missing intervals, from pairs of scores and one of their intervals."""
    return list(dict.fromkeys(no_interval(scores) for scores, entry in entries if entry["low"] is None))


def relation(comparison: Mapping[str, Any]) -> str:
    """Whether the first of two models is better; see `eavctl.evaluation.summary.compare`."""
    return "better" if comparison["better"] else "worse" if comparison["worse"] else "not surely better"


def p_value(comparison: Mapping[str, Any]) -> str:
    """Format the p value, with the number of comparisons that it is corrected for if there are several."""
    p, n_compared = comparison["p_value"], comparison.get("n_compared", 1)
    text = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{text}, corrected for {n_compared} comparisons" if n_compared > 1 else text


def shortened(value: Any) -> Any:
    """The names alone of many lists by name, such as of the places of electrodes; other values unchanged."""
    is_long = isinstance(value, Mapping) and len(value) > MOST_LISTS
    return list(value) if is_long and all(isinstance(each, list) for each in value.values()) else value
