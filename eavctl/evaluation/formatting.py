"""Scores, differences and their intervals as text, alike on the command line and in reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def number(value: float) -> str:
    """Three decimals, and no minus before 0.000."""
    return f"{round(value, 3) + 0.0:.3f}"


def signed(value: float) -> str:
    """Three decimals with their sign; what rounds to zero is +0.000."""
    return f"{round(value, 3) + 0.0:+.3f}"


def score(entry: Mapping[str, Any]) -> str:
    """A score and its interval, if it has one.

    Parameters
    ----------
    entry : with ``value``, ``low`` and ``high``, as `eavctl.evaluation.intervals.Interval.to_json` gives it.
    """
    if entry["low"] is None:
        return number(entry["value"])
    return f"{number(entry['value'])} [{number(entry['low'])}, {number(entry['high'])}]"


def difference(entry: Mapping[str, Any]) -> str:
    """A signed difference and its interval, if it has one."""
    if entry["low"] is None:
        return signed(entry["value"])
    return f"{signed(entry['value'])} [{signed(entry['low'])}, {signed(entry['high'])}]"


def intervals_over(scores: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """What the intervals are, or why there is none.

    Parameters
    ----------
    scores : with ``level``, ``over`` and ``n_clusters``.
    entry : one of the intervals.
    """
    if entry["low"] is None:
        return no_interval(scores)
    return f"{scores['level']:.0%} intervals over {scores['over']}"


def no_interval(scores: Mapping[str, Any]) -> str:
    """That there is no interval, and why."""
    return f"no interval: {too_few(scores)}"


def too_few(scores: Mapping[str, Any]) -> str:
    """Why there is no interval, from ``n_clusters`` and ``over``."""
    n_clusters, over = scores["n_clusters"], scores["over"]
    few = f"1 {over[:-1]} is" if n_clusters == 1 else f"{n_clusters} {over} are"
    return f"{few} too few"


def reasons(entries: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Each reason why there is no interval, once; of pairs of scores and one of their intervals."""
    return list(dict.fromkeys(no_interval(scores) for scores, entry in entries if entry["low"] is None))


def p_value(comparison: Mapping[str, Any]) -> str:
    """The p value, and the number of comparisons that it is corrected for where there are several."""
    p, n_compared = comparison["p_value"], comparison.get("n_compared", 1)
    text = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{text}, corrected for {n_compared} comparisons" if n_compared > 1 else text
