"""The predictions of one call, for printing and for a prediction table."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.errors import DataError
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.predicting.inputs import Inputs
from eavctl.predicting.notes import notes_on
from eavctl.predicting.predictor import Judged, Predictor
from eavctl.predicting.rows import Row
from eavctl.predicting.segments import Rejection
from eavctl.printable import printable, utf8

if TYPE_CHECKING:
    from eavctl.storage.tables import PredictionTable


class Predicted(NamedTuple):
    """What the model gave for all recordings of a call.

    Parameters
    ----------
    predictor : that judged them.
    rows : whole recordings, or segments where the predictor judges each.
    rejected : recordings and segments that cannot be used: ``clip_id``, ``path``, ``start`` (None of a whole
        recording) and ``reason``.
    notes : sentences on what is odd.
    n_recordings : recordings, and rows of feature tables, including those rejected.
    """

    predictor: Predictor
    rows: tuple[Row, ...]
    rejected: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    n_recordings: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.predictor.classes

    @property
    def is_fusion(self) -> bool:
        """Whether the model has several streams, of which some can be absent."""
        return self.predictor.is_fusion

    @property
    def used(self) -> dict[tuple[str, ...], int]:
        """How many rows were judged by which streams, the largest combination first."""
        counts = Counter(tuple(row.weights) for row in self.rows)
        return dict(sorted(counts.items(), key=lambda item: (-len(item[0]), item[0])))

    def right(self, row: Row) -> dict[str, Any] | None:
        """How often such answers were right out of fold: see `eavctl.predicting.confidence.Confidence`."""
        return self.predictor.confidence.right(row)

    def facts(self) -> dict[str, Any]:
        """What ``predict --json`` prints beside the envelope, and the service answers: JSON-able."""
        return {
            "model": str(self.predictor.path),
            "recordings": self.n_recordings,
            "classes": list(self.classes),
            "predictions": [self.predictor.answer(row) for row in self.rows],
            "rejected": list(self.rejected),
        }

    def to_table(self) -> PredictionTable:
        """The rows as a prediction table, sorted by ``sample_id``.

        Raises
        ------
        DataError : two recordings have one name, as those of two data sets can; or a name is not in Unicode.
        """
        import pandas as pd

        from eavctl.storage.keys import KEYS, extras
        from eavctl.storage.tables import PredictionTable, key_frame

        rows = sorted(self.rows, key=lambda row: str(row.keys["sample_id"]))
        for one, other in itertools.pairwise(rows):
            if one.keys["sample_id"] == other.keys["sample_id"]:
                raise DataError(
                    f"{one.recording} and {other.recording} have one name, {one.keys['sample_id']}: "
                    "judge them apart, into two tables"
                )
        for row in rows:
            if utf8(row.keys["sample_id"]) != row.keys["sample_id"]:
                raise DataError(f"{row.recording}: not a name in Unicode, as a table needs; rename it")
        names = dict.fromkeys(name for row in rows for name in row.keys)
        columns = {name: [row.keys.get(name) for row in rows] for name in names}
        columns |= {"start": [row.start for row in rows], "end": [row.end for row in rows]}
        found = pd.DataFrame(columns, dtype=object)
        keys = key_frame(found, (*KEYS, *extras(found)))
        meta = self.predictor.model.meta
        return PredictionTable(
            keys,
            np.stack([row.proba for row in rows]),
            self.classes,
            pred=np.array([row.pred for row in rows], dtype=object),
            right=[self.right(row) for row in rows],
            unsure=["; ".join(row.unsure) or None for row in rows],
            meta={
                **(self._fused() if self.is_fusion else self._single()),
                "model_hashes": [meta.training_hash],
                "protocol": {
                    "name": "predict",
                    "normalize": meta.protocol.normalize,
                    "adapted": self.predictor.adapts,
                    "warnings": list(self.notes),
                },
                "out_of_fold": False,
                "training": self._trained(),
                **({"who": self.predictor.who.identity} if self.predictor.who else {}),
                "versions": dict(meta.versions),
            },
        )

    def _trained(self) -> dict[str, Any]:
        """What is told of the model's training: its kind, its features, and people and clips by data set."""
        meta = self.predictor.model.meta
        known = TrainedOn.from_meta(meta.trained_on)
        clips, people = known.count("clips"), known.count("subjects")
        return {
            "kind": meta.kind,
            "method": meta.method,
            "inputs": [
                {
                    "modality": each.modality,
                    "features": each.features,
                    "features_version": each.features_version,
                    "shape": list(each.shape),
                }
                for each in meta.inputs
            ],
            "data": [
                {"dataset": name or None, "clips": clips[name], "people": people[name]}
                for name in sorted(clips)
            ],
        }

    def _single(self) -> dict[str, Any]:
        """Metadata for a model of one stream."""
        (stream,) = self.predictor.streams
        name = f"{self.predictor.model.meta.kind} on {stream.recipe.features}"
        return {"name": name, "modalities": [stream.recipe.modality]}

    def _fused(self) -> dict[str, Any]:
        """Metadata for a fusion: its name, the modalities used, and how many rows by which streams."""
        meta, used = self.predictor.model.meta, self.used
        modality = {stream.name: stream.recipe.modality for stream in self.predictor.streams}
        anywhere = {name for names in used for name in names}
        return {
            "name": f"{meta.method} on {' + '.join(modality)}",
            "modalities": list(dict.fromkeys(modality[name] for name in modality if name in anywhere)),
            "fusion": {
                "method": meta.method,
                "used": {"+".join(names): count for names, count in used.items()},
            },
        }


def rejections(judged: Iterable[Judged]) -> list[Rejection]:
    """What cannot be used, a broken file of many recordings once."""
    causes, found = set(), []
    for each in itertools.chain.from_iterable(one.rejected for one in judged):
        if each.cause not in causes:
            found.append(each)
        if each.cause:
            causes.add(each.cause)
    return found


def collected(
    predictor: Predictor, inputs: Inputs, judged: Sequence[Judged], *, strict: bool = False
) -> Predicted:
    """All recordings of a call as one result, if enough of them can be used.

    Parameters
    ----------
    judged : what the predictor gave for the inputs.
    strict : a single bad recording is an error.

    Raises
    ------
    DataError : no recording can be used, or, with ``strict``, one cannot, or not by every stream.
    """
    bad = rejections(judged)
    faults = [fault for each in judged for fault in each.faults]
    rows = tuple(row for each in judged for row in each.rows)
    require_usable(len(rows), inputs.n_recordings, bad, strict)
    if not rows:
        raise DataError("nothing to judge: the tables have no rows")
    if strict and faults:
        raise DataError(f"not every stream of every recording can be used: {faults[0]}")
    notes = [*inputs.notes, *(note for each in judged for note in each.notes), *faults]
    return Predicted(
        predictor,
        rows,
        tuple(each.to_dict() for each in bad),
        (*dict.fromkeys(notes), *notes_on(predictor, rows)),
        inputs.n_recordings,
    )


def require_usable(n_usable: int, n_recordings: int, rejected: Sequence[Rejection], strict: bool) -> None:
    """Raise DataError if nothing can be judged, or, where ``strict``, not everything can."""
    if rejected and (strict or not n_usable):
        n_bad, first = len({each.path for each in rejected}), rejected[0]
        fault = f"{printable(first.path)}: {printable(first.reason)}"
        if n_recordings == 1:
            raise DataError(fault)
        raise DataError(f"{n_bad} of {n_recordings} recordings cannot be used; the first is {fault}")
