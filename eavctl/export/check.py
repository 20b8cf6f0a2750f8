"""Comparison of an exported model with its original: at every batch size, length and subset of streams."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.onnx_model import DISTANCE, PROBA, WEIGHTS, OnnxModel
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError
from eavctl.export.inputs import Input, inputs_of
from eavctl.export.rows import CheckRows
from eavctl.storage.artifacts import Model

BATCHES = (32, 7, 2, 1)  # the first for all rows
FEW, FEWER = 256, 64  # rows for the other batches; for each length, and for each subset of streams
LENGTHS = (0.4, 0.75, 1.3)  # to try, relative to the training's
MOST = {PROBA: 1e-5, WEIGHTS: 1e-4, DISTANCE: 1e-4}  # changes; of a distance, relative to it
LEAST_DISTANCE = 1e-3  # to which a change is relative


class Outputs(NamedTuple):
    """Answers for rows.

    Parameters
    ----------
    proba : (n_rows, n_classes).
    weights : of a fusion network, (n_rows, n_streams).
    distance : of a model with novelty, (n_rows,).
    """

    proba: np.ndarray
    weights: np.ndarray | None = None
    distance: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """Rows that are compared in batches of one size.

    Parameters
    ----------
    x : the first rows of those to check on, as they are or changed.
    batch : rows of a batch.
    where : how they were changed, in words.
    """

    x: Any
    batch: int = BATCHES[0]
    where: str = ""


def check(model: Model, exported: OnnxModel, rows: CheckRows) -> dict[str, Any]:
    """Compare an exported model with its original.

    All rows are compared in batches of 32, the first 256 also in batches of 1, 2 and 7. Where time is free,
    the first 64 are compared at three other lengths. Of a fusion network every subset of its streams is
    compared on 64 rows, in which missing streams are those of other rows.

    Returns
    -------
    JSON-able: what was compared, and the largest changes.

    Raises
    ------
    DataError : a probability differs by more than 1e-5, any decision, a stream's weight by more than 1e-4, or
        a distance by more than 1e-4 of it. The message says where.
    """
    inputs = inputs_of(model.meta)
    cases = [*_batches(rows.x), *_lengths(rows.x, inputs), *_subsets(rows.x)]
    found: dict[str, float] = {}
    for case in cases:
        _compare(model, original(model, case.x), _answers(exported, case), case, found)
    changed = sorted({case.where for case in cases if case.where})
    return {
        "rows": len(rows.x),
        "what": rows.what,
        "made_up": rows.made_up,
        "batches": sorted(BATCHES),
        **({"changed_rows": changed} if changed else {}),
        "decisions_changed": 0,
        "largest_change": found,
    }


def original(model: Model, x: np.ndarray | Streams) -> Outputs:
    """Answers of the original, for rows of any length that its networks take."""
    predictor = model.predictor
    if not hasattr(predictor, "members"):
        distance = None if model.novelty is None else model.novelty.distance(x)
        return Outputs(predictor.predict_proba(x), distance=distance)
    from eavctl.classifiers.network import forward

    networks, calibrations = predictor.members
    if not isinstance(x, Streams):
        logits = np.array([forward(network, x) for network in networks])
        return Outputs(_calibrated(logits, calibrations))
    outputs = np.array([forward(network.logits_and_weights, x) for network in networks])
    logits, weights = np.split(outputs, [len(model.classes_)], axis=2)
    return Outputs(_calibrated(logits, calibrations), np.mean(weights, axis=0))


def _calibrated(logits: np.ndarray, calibrations: Sequence[Any]) -> np.ndarray:
    """Mean over the members of the probabilities of logits (n_members, n_rows, n_classes)."""
    members = zip(logits, calibrations, strict=True)
    return np.asarray(np.mean([calibrate(each) for each, calibrate in members], axis=0))


def _answers(exported: OnnxModel, case: Case) -> Outputs:
    """Answers of the exported model, in batches of the case's size."""
    names = [PROBA]
    names += [WEIGHTS] if isinstance(case.x, Streams) else []
    names += [DISTANCE] if exported.novelty is not None else []
    starts = range(0, len(case.x), case.batch)
    parts = [exported.outputs(case.x[start : start + case.batch], *names) for start in starts]
    joined = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return Outputs(**dict(zip(names, joined, strict=True)))


def _compare(model: Model, wanted: Outputs, given: Outputs, case: Case, found: dict[str, float]) -> None:
    """Raise a DataError where answers differ; keep the largest changes in ``found``."""
    for name in Outputs._fields:
        one, other = getattr(wanted, name), getattr(given, name)
        if one is None:
            continue
        change = np.abs(other - one)
        if name == DISTANCE:
            change /= np.maximum(one, LEAST_DISTANCE)
        found[name] = max(found.get(name, 0.0), float(change.max()))
        if not change.max() <= MOST[name]:
            place = np.unravel_index(change.argmax(), change.shape)
            what = _name(model, name, int(place[-1]))
            raise _difference(case, int(place[0]), what, f"{one[place]:.7g}", f"{other[place]:.7g}")
    decided, given_decided = model.decide(wanted.proba), model.decide(given.proba)
    if len(changed := np.flatnonzero(decided != given_decided)):
        row = int(changed[0])
        one, other = (str(model.classes_[each[row]]) for each in (decided, given_decided))
        raise _difference(case, row, "the decision", one, other)


def _name(model: Model, output: str, column: int) -> str:
    if output == DISTANCE:
        return "the distance from the training data"
    if output == WEIGHTS:
        return f"the weight of {model.predictor.streams[column]}"
    return f"the probability of {model.classes_[column]}"


def _difference(case: Case, row: int, what: str, wanted: str, given: str) -> DataError:
    where = f", {case.where}" if case.where else ""
    return DataError(
        f"the exported model differs in {what}: {given} instead of {wanted}, in row {row} of those checked "
        f"(batches of {case.batch}{where}).\nNo file was written."
    )


def _batches(x: np.ndarray | Streams) -> Iterator[Case]:
    yield Case(x)
    yield from (Case(x[:FEW], batch) for batch in BATCHES[1:])


def _lengths(x: np.ndarray | Streams, inputs: Sequence[Input]) -> Iterator[Case]:
    """Rows of other lengths, for each input whose time is free."""
    few = x[:FEWER]
    for number, own in enumerate(inputs):
        if own.free_axis is None:
            continue
        axis = own.free_axis + 1
        for share in LENGTHS:
            length = max(own.shortest, round(own.shape[own.free_axis] * share))
            where = f"{own.name} of {length} frames"
            if isinstance(few, Streams):
                arrays = [_resized(a, axis, length) if i == number else a for i, a in enumerate(few.arrays)]
                yield Case(replace(few, arrays=tuple(arrays)), where=where)
            else:
                yield Case(_resized(few, axis, length), where=where)


def _resized(x: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Rows cut to a length, or lengthened by frames from their start."""
    return np.asarray(np.take(x, np.arange(length) % x.shape[axis], axis=axis))


def _subsets(x: np.ndarray | Streams) -> Iterator[Case]:
    """Rows with each subset of the streams, alone in its batches."""
    if not isinstance(x, Streams):
        return
    known = [stream for stream in range(len(x.arrays)) if x.present[:, stream].any()]
    filled = _filled(x, known)
    for size in range(1, len(known) + 1):
        for streams in itertools.combinations(known, size):
            yield Case(filled.only(streams), where=f"with the streams {[int(s) for s in streams]} alone")


def _filled(x: Streams, known: Sequence[int]) -> Streams:
    """The first rows with every stream that any row has: a missing one is that of another row."""
    n_rows = min(FEWER, len(x))
    arrays, present = [], np.zeros((n_rows, len(x.arrays)), bool)
    present[:, known] = True
    for stream, array in enumerate(x.arrays):
        rows = np.arange(n_rows)
        if stream in known:
            having = np.flatnonzero(x.present[:, stream])
            rows = np.where(x.present[:n_rows, stream], rows, having[rows % len(having)])
        arrays.append(array[rows])
    return Streams(tuple(arrays), present)
