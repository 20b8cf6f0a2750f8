"""How often answers like a given one were right in the training's out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation.reliability import fits, look_up
from eavctl.predicting.rows import Row
from eavctl.storage.metadata import ModelMeta

# Keys of what is known of an answer, in their order: exported models keep them sorted.
PART = ("up_to", "right", "low", "high", "n_rows", "over")
MEASURED_ON = ("held_out", "datasets", "adapted_by")


class Confidence:
    """Looks up rows in what the training measured.

    Parameters
    ----------
    classes : names, in the order of the probabilities.
    meta : of the model.
    each_segment : whether rows are segments, and not whole recordings.

    Attributes
    ----------
    by_segments : whether recordings of any length are judged by the mean over segments of the length of the
        training's.
    lengths : seconds of the shortest and of the longest row in training; None where not known.
    """

    def __init__(self, classes: Sequence[str], meta: ModelMeta, each_segment: bool) -> None:
        levels = _levels(meta.out_of_fold)
        self._classes, self._each_segment = list(classes), each_segment
        self._subsets = (meta.fusion or {}).get("subsets") or []
        self.by_segments = not each_segment and "clips" in levels
        level = "clips" if self.by_segments else "rows"
        self._level: dict[str, Any] | None = levels.get(level)
        self._adapted = {by: _levels(each).get(level) for by, each in meta.out_of_fold_adapted.items()}
        seconds = self._level["seconds"] if self._level else None
        self.lengths: tuple[float, float] | None = tuple(seconds) if seconds else None

    def right(self, row: Row) -> dict[str, Any] | None:
        """How often such answers were right; None where too little is known.

        Such answers are out-of-fold answers of the same class and of similar probability (see
        `eavctl.evaluation.reliability`). They had all streams, so nothing is known of a row that lacks some;
        nor of one that is much longer or shorter, or unlike the training data; nor of an adapted one, unless
        the training measured answers to adapted rows. ``measured_on`` says on which recordings this was
        measured.
        """
        level = self._level_of(row)
        if level is None or row.absent or row.is_novel or not fits(level, row.seconds):
            return None
        return look_up(level, row.pred, row.proba[self._classes.index(row.pred)])

    def _level_of(self, row: Row) -> dict[str, Any] | None:
        """What was measured of rows that were standardised as this one was."""
        return self._level if row.adapted_by is None else self._adapted.get(row.adapted_by)

    def adaptation_note(self, rows: Sequence[Row]) -> list[str]:
        """A sentence where the training measured the accuracy of answers, but not of adapted ones."""
        if self._level is None or all(self._level_of(row) is not None for row in rows):
            return []
        return [
            "how often answers are right is known without --adapt only: for figures with it, train on two or "
            "more data sets of 20 clips or more (--protocol lodo)"
        ]

    def expected_uar(self, row: Row) -> float | None:
        """Out-of-fold UAR of the training with the row's streams; None where it was not measured."""
        for entry in self._subsets:
            if set(entry["inputs"]) == set(row.weights):
                return float(entry["uar"]["value"])
        return None

    def length_note(self, rows: Sequence[Row]) -> list[str]:
        """A sentence on rows that are much longer or shorter than those of the training, if there are any."""
        level = self._level
        unlike = [row for row in rows if level is not None and not fits(level, row.seconds)]
        if not unlike or self.lengths is None:
            return []
        shortest, longest = self.lengths
        usual = f"{shortest:.1f}" + (f" to {longest:.1f}" if longest - shortest > 0.05 else "")
        first, others = unlike[0], f" (and {len(unlike) - 1} others)" if len(unlike) > 1 else ""
        is_long = not self._each_segment and first.seconds > longest
        advice = f"; judge segments: --segment {(shortest + longest) / 2:.2g}" if is_long else ""
        misfit = "" if self.by_segments else "it does not fit, and "
        return [
            f"{first.recording}{others} lasts {first.seconds:.1f} s, and the model was trained on {usual} s: "
            f"{misfit}how often such answers are right is not known{advice}"
        ]


def _levels(scores: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The reliability in scores, by ``rows`` and ``clips``; empty in models of older versions."""
    levels = (scores or {}).get("reliability")
    return {name: _told(each) for name, each in levels.items()} if isinstance(levels, dict) else {}


def _told(level: Mapping[str, Any]) -> dict[str, Any]:
    """A level whose bins are what `Confidence.right` gives: the answers in a bin share it."""
    measured_on = _in_order(level.get("measured_on", {}), MEASURED_ON)
    bins = {
        name: [{**_in_order(part, PART), "measured_on": measured_on} for part in parts]
        for name, parts in level["classes"].items()
    }
    return {**level, "classes": bins}


def _in_order(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}
