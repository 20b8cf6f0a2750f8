"""Scores that a model must reach, such as ``uar=0.6``, for pipelines that stop where it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eavctl.errors import UsageError
from eavctl.evaluation import formatting

SCORES = {"uar": "UAR", "macro_f1": "macro F1", "accuracy": "accuracy"}
LOW = "_low"  # ending for the lower end of a score's interval


class Threshold(NamedTuple):
    """A least score.

    Parameters
    ----------
    metric : ``uar``, ``macro_f1`` or ``accuracy``; with ``_low`` the lower end of its interval.
    least : from 0 to 1.
    model : name of the model that it is for; None for all.
    """

    metric: str
    least: float
    model: str | None = None

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read ``METRIC=VALUE``, or ``NAME:METRIC=VALUE`` for one model.

        Raises
        ------
        UsageError : not of that form, an unknown metric, or a value that is not from 0 to 1.
        """
        left, equals, value = text.rpartition("=")
        name, colon, metric = left.strip().rpartition(":")
        known = [score + end for score in SCORES for end in ("", LOW)]
        if not equals or metric not in known:
            raise UsageError(
                f"--fail-under takes METRIC=VALUE, such as uar=0.6, not {text!r}; metrics: {', '.join(known)}"
            )
        try:
            least = float(value)
        except ValueError:
            least = math.nan
        if not 0 <= least <= 1:
            raise UsageError(f"--fail-under {text}: the value must be a number from 0 to 1")
        return cls(metric, least, name if colon else None)


def failures(models: Sequence[Mapping[str, Any]], thresholds: Sequence[Threshold]) -> list[str]:
    """A sentence for each model and threshold that it does not reach.

    Parameters
    ----------
    models : each with its ``name`` and scores (`eavctl.evaluation.summary.summarize`).

    Raises
    ------
    UsageError : a threshold for a model that is not there.
    """
    names = [model["name"] for model in models]
    for each in thresholds:
        if each.model is not None and each.model not in names:
            raise UsageError(f"--fail-under {each.model}: no such model; there are {', '.join(names)}")
    found = (
        _failure(model, each)
        for each in thresholds
        for model in models
        if each.model in (None, model["name"])
    )
    return [text for text in found if text]


def _failure(model: Mapping[str, Any], threshold: Threshold) -> str | None:
    score = threshold.metric.removesuffix(LOW)
    entry, title = model[score], SCORES[score]
    is_low = threshold.metric.endswith(LOW)
    value = entry["low"] if is_low else entry["value"]
    if value is None:
        return f"{model['name']}: {title} has {formatting.no_interval(model)}"
    if value >= threshold.least:
        return None
    what = f"the lower end of the {model['level']:.0%} interval of {title}" if is_low else title
    return f"{model['name']}: {what} is {formatting.number(value)}, below {threshold.least:g}"
