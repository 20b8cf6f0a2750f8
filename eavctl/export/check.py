"""Comparison of an exported model with its original: at every batch size, length and subset of streams."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.calibration import balanced
from eavctl.classifiers.onnx_model import DISTANCE, PROBA, WEIGHTS, OnnxModel, values_of
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError
from eavctl.export.inputs import Input, inputs_of
from eavctl.export.rows import CheckRows
from eavctl.fusion.pooled import PooledFusion
from eavctl.storage.artifacts import Model

BATCHES = (1, 2, 7, 32)
FEW, FEWER = 256, 64  # rows in batches of 1, 2 and 7; and for each length, and for each subset of streams
LEAST, LEAST_FEWER = 64, 16  # the same of the largest networks
MOST_WORK = 2**50  # values of the rows times weights of the network: some 20 minutes of one core
MOST_VALUES = 2**27  # of a batch: some 10 GB in a convolutional network
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

    def of(self, rows: np.ndarray) -> Outputs:
        """The answers for some of the rows."""
        weights, distance = (None if each is None else each[rows] for each in self[1:])
        return Outputs(self.proba[rows], weights, distance)


@dataclass(frozen=True)
class Case:
    """Rows that are compared in batches of one size.

    Parameters
    ----------
    x : the rows, as they are or changed.
    numbers : their places among all rows to check on.
    batch : rows of a batch.
    where : how they were changed, in words.
    wanted : answers of the original, where they are known.
    """

    x: Any
    numbers: np.ndarray
    batch: int
    where: str = ""
    wanted: Outputs | None = None


def check(model: Model, exported: OnnxModel, rows: CheckRows) -> dict[str, Any]:
    """Compare an exported model with its original.

    All rows are compared in batches of 32, and 256 of them, evenly spaced, in batches of 1, 2 and 7. Where
    time is free, 64 are compared at three other lengths. Of a fusion network every subset of its streams is
    compared on 64 rows, in which missing streams are those of other rows. Of a large network fewer rows are
    compared, at least 64 and 16, and of large rows smaller batches.

    Returns
    -------
    JSON-able: what was compared, and the largest changes.

    Raises
    ------
    DataError : a probability differs by more than 1e-5, any decision, a stream's weight by more than 1e-4, or
        a distance by more than 1e-4 of it. The message says where.
    """
    inputs = inputs_of(model.meta)
    values = sum(values_of(each.shape, each.dtype) for each in inputs)
    most = max(LEAST, MOST_WORK // (values * _n_weights(model)))
    numbers = spaced(len(rows.x), most)
    batches = sorted({min(batch, max(1, MOST_VALUES // values)) for batch in BATCHES})
    fewer = spaced(len(rows.x), min(FEWER, max(LEAST_FEWER, most // 4)))
    found: dict[str, float] = {}
    changed = set()
    for case in (
        *_in_batches(model, rows.x, numbers, batches),
        *_lengths(rows.x, fewer, batches[-1], inputs),
        *_subsets(rows.x, fewer, batches[-1], inputs),
    ):
        _compare(model, exported, case, found)
        changed.add(case.where)
    return {
        "rows": len(numbers),
        "of": len(rows.x),
        "what": rows.what,
        "made_up": rows.made_up,
        "batches": batches,
        **({"changed_rows": words} if (words := sorted(changed - {""})) else {}),
        "decisions_changed": 0,
        "largest_change": found,
    }


def spaced(n: int, most: int) -> np.ndarray:
    """At most so many of the numbers below n, evenly spaced."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(int)


def _n_weights(model: Model) -> int:
    """Number of weights of a network; 1 of other models, which take next to no time."""
    network = getattr(model.predictor, "network", model.predictor)
    networks, _ = getattr(network, "members", ((), ()))
    return max(1, int(sum(each.numel() for network in networks for each in network.parameters())))


def original(model: Model, x: np.ndarray | Streams) -> Outputs:
    """Answers of the original, for rows of any length that its networks take."""
    predictor = model.predictor
    if isinstance(predictor, PooledFusion) and isinstance(x, Streams):
        return Outputs(*predictor.proba_and_weights(x))
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
    found = exported.outputs(case.x, *names, batch=case.batch)
    return Outputs(**dict(zip(names, found, strict=True)))


def _compare(model: Model, exported: OnnxModel, case: Case, found: dict[str, float]) -> None:
    """Raise a DataError where answers differ; keep the largest changes in ``found``."""
    wanted, given = case.wanted or original(model, case.x), _answers(exported, case)
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
        one, other = (int(each[row]) for each in (decided, given_decided))
        weighed = balanced(wanted.proba[row], model.priors)
        gap = abs(weighed[one] - weighed[other])
        what = f"the decision (of two classes that are {gap:.1g} apart in the original)"
        raise _difference(case, row, what, *(str(model.classes_[each]) for each in (one, other)))


def _name(model: Model, output: str, column: int) -> str:
    if output == DISTANCE:
        return "the distance from the training data"
    if output == WEIGHTS:
        return f"the weight of {model.predictor.streams[column]}"
    return f"the probability of {model.classes_[column]}"


def _difference(case: Case, row: int, what: str, wanted: str, given: str) -> DataError:
    where = f", {case.where}" if case.where else ""
    return DataError(
        f"the exported model differs in {what}: {given} instead of {wanted}, in row {case.numbers[row]} "
        f"(batches of {case.batch}{where}).\nNo file was written."
    )


def _in_batches(
    model: Model, x: np.ndarray | Streams, numbers: np.ndarray, batches: Sequence[int]
) -> Iterator[Case]:
    """All rows in batches of the largest size, and a few in those of the others."""
    rows, few = x[numbers], spaced(len(numbers), FEW)
    wanted = original(model, rows)
    yield Case(rows, numbers, batches[-1], wanted=wanted)
    yield from (Case(rows[few], numbers[few], batch, wanted=wanted.of(few)) for batch in batches[:-1])


def _lengths(
    x: np.ndarray | Streams, numbers: np.ndarray, batch: int, inputs: Sequence[Input]
) -> Iterator[Case]:
    """Rows of other lengths, for each input whose time is free."""
    rows = x[numbers]
    for number, own in enumerate(inputs):
        if own.free_axis is None:
            continue
        axis = own.free_axis + 1
        for share in LENGTHS:
            length = max(own.shortest, round(own.shape[own.free_axis] * share))
            if isinstance(rows, Streams):
                arrays = [_resized(a, axis, length) if i == number else a for i, a in enumerate(rows.arrays)]
                changed: Any = replace(rows, arrays=tuple(arrays))
            else:
                changed = _resized(rows, axis, length)
            yield Case(changed, numbers, batch, f"{own.name} of {length} frames")


def _resized(x: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Rows cut to a length, or lengthened by frames from their start."""
    return np.asarray(np.take(x, np.arange(length) % x.shape[axis], axis=axis))


def _subsets(
    x: np.ndarray | Streams, numbers: np.ndarray, batch: int, inputs: Sequence[Input]
) -> Iterator[Case]:
    """Rows with each subset of the streams, alone in its batches."""
    if not isinstance(x, Streams):
        return
    known = [stream for stream in range(len(x.arrays)) if x.present[:, stream].any()]
    filled = _filled(x, numbers, known)
    for size in range(1, len(known) + 1):
        for streams in itertools.combinations(known, size):
            names = " and ".join(inputs[stream].name for stream in streams)
            yield Case(filled.only(streams), numbers, batch, f"{names} alone")


def _filled(x: Streams, numbers: np.ndarray, known: Sequence[int]) -> Streams:
    """Some rows with every stream that any row has: a missing one is that of another row."""
    arrays, present = [], np.zeros((len(numbers), len(x.arrays)), bool)
    present[:, known] = True
    for stream, array in enumerate(x.arrays):
        rows = numbers
        if stream in known:
            having = np.flatnonzero(x.present[:, stream])
            rows = np.where(x.present[numbers, stream], numbers, having[numbers % len(having)])
        arrays.append(array[rows])
    return Streams(tuple(arrays), present)
