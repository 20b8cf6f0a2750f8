"""Exported models: `OnnxModel` gives the answers of the model that an ONNX graph was exported from.

The graph goes from features to calibrated probabilities, averaged over the members. onnxruntime computes it
with one thread, so that the bits are the same in any process; neither ``torch`` nor ``onnx`` is imported.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.calibration import decide, priors_of
from eavctl.classifiers.streams import CUT_ALIKE, Streams, Table
from eavctl.errors import DataError

PROBA, WEIGHTS, DISTANCE = "proba", "weights", "distance"  # outputs of a graph
PRESENT = "present"  # the last input of a fusion network's
BATCH = 64  # rows computed together, if they are not large
MOST_VALUES = 2**23  # of the rows computed together
LEAST_OF_PICTURE = 224 * 224 * 3  # values as which a picture counts, since networks enlarge small ones
SUM_TO_1 = 1e-3  # how far the sum of a row's probabilities may be from it
FLOAT, PICTURE = np.dtype(np.float32), np.dtype(np.uint8)
FLOAT_TENSOR = "tensor(float)"  # as onnxruntime names it
DTYPES: dict[str, np.dtype[Any]] = {FLOAT_TENSOR: FLOAT, "tensor(uint8)": PICTURE}
SILENT = 4  # level of onnxruntime's log: its errors are raised too


class GraphInput(NamedTuple):
    """An input of a graph.

    Parameters
    ----------
    name : in the graph.
    shape : of one row; None where it is free.
    dtype : float32, or uint8 of pictures.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def check(self, x: Table) -> None:
        """Check that rows (n_rows, *shape) have this input's shape and type.

        Raises
        ------
        DataError : they do not.
        """
        given = tuple(x.shape[1:])
        fits = len(given) == len(self.shape) and all(
            wanted in (None, n) for wanted, n in zip(self.shape, given, strict=True)
        )
        if not fits:
            wanted = "x".join("any" if n is None else str(n) for n in self.shape)
            found = "x".join(map(str, given))
            raise DataError(f"the model takes rows of shape {wanted}, not {found}: {CUT_ALIKE}")
        dtype = x[:0].dtype
        if not np.can_cast(dtype, self.dtype, "same_kind"):
            raise DataError(f"the model takes values of type {self.dtype}, not {dtype}")


def values_of(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Number of values of a row by which the memory is judged that a graph needs for it."""
    if dtype != PICTURE:
        return math.prod(shape)
    return shape[0] * max(math.prod(shape[1:]), LEAST_OF_PICTURE)


class Graph:
    """A graph that onnxruntime computes.

    Parameters
    ----------
    content : a whole ONNX file.

    Attributes
    ----------
    inputs : those that take features, in order.
    outputs : by name, the shape of a row; None where it is free.

    Raises
    ------
    DataError : onnxruntime is not installed.
    ValueError : it cannot build the graph.
    """

    def __init__(self, content: bytes) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else a thread and a temporary file stay
        try:
            import onnxruntime
        except ImportError as error:
            raise DataError(
                f"an exported model needs onnxruntime, which cannot be imported ({error}).\n"
                "Install it: pip install 'eavctl[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = SILENT
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own have no common class
            raise ValueError(str(error).partition("\n")[0]) from error
        self.inputs = tuple(_input(each) for each in self._session.get_inputs() if each.name != PRESENT)
        self.outputs = {each.name: _sizes(each.shape[1:]) for each in self._session.get_outputs()}
        if odd := [each.name for each in self._session.get_outputs() if each.type != FLOAT_TENSOR]:
            raise ValueError(f"its output {odd[0]} holds no float32 values")

    def run(self, feeds: Mapping[str, np.ndarray], *outputs: str) -> list[np.ndarray]:
        """Outputs of a batch, float64, each (batch, ...).

        Raises
        ------
        DataError : values that are not finite, or that the graph cannot compute.
        """
        try:
            found = self._session.run(outputs, feeds)
        except Exception as error:  # as above
            raise DataError(f"the model cannot be computed ({str(error).partition(chr(10))[0]})") from error
        # Inputs too: an activation or a comparison can turn what is not a number into one.
        if not all(np.isfinite(each).all() for each in (*feeds.values(), *found)):
            raise DataError(
                "the probabilities are not finite: the features are not finite, or the model is damaged"
            )
        return [np.asarray(each, np.float64) for each in found]


def _input(of: Any) -> GraphInput:
    """An input as onnxruntime describes it: free axes have names."""
    if of.type not in DTYPES:
        raise ValueError(f"its input {of.name} is of type {of.type}")
    return GraphInput(of.name, _sizes(of.shape[1:]), DTYPES[of.type])


def _sizes(axes: Sequence[int | str | None]) -> tuple[int | None, ...]:
    return tuple(n if isinstance(n, int) else None for n in axes)


class OnnxNovelty(NamedTuple):
    """`eavctl.classifiers.novelty.Novelty` of an exported model, whose graph computes the distance.

    Parameters
    ----------
    model : of the same graph.
    threshold : distance above which a recording is unlike the training data.
    measured : see `eavctl.classifiers.novelty.Novelty`.
    """

    model: OnnxModel
    threshold: float
    measured: Mapping[str, Any]

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Distance of features (n_rows, n_columns) from the training data, float64, shape (n_rows,)."""
        (found,) = self.model.outputs(x, DISTANCE)
        return found


class OnnxModel:
    """An exported model of one stream, or, as `OnnxFusion`, of several.

    Parameters
    ----------
    graph : the exported graph.
    meta : of the model file; its part ``model`` has classes and priors.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,).
    priors : shares of the classes among the training rows, shape (n_classes,).
    novelty : the distance from the training data with its threshold; None where the training measured none.
    """

    def __init__(self, graph: Graph, meta: Mapping[str, Any]) -> None:
        self._graph = graph
        self.classes_ = np.array(meta["model"]["classes"])
        self.priors = priors_of(meta["model"])
        about = meta.get("novelty")
        self._shapes: dict[str, tuple[int, ...]] = {PROBA: self.classes_.shape}
        if about:
            self._shapes[DISTANCE] = ()
        if "streams" in meta:
            self._shapes[WEIGHTS] = (len(graph.inputs),)
        for name, shape in self._shapes.items():
            if graph.outputs.get(name) != shape:
                raise ValueError(f"its graph does not give {name} of shape {shape} for each row")
        self.novelty = about and OnnxNovelty(self, float(about["threshold"]), about["measured"])

    @classmethod
    def from_bytes(cls, content: bytes, meta: Mapping[str, Any]) -> OnnxModel:
        """Build the model of a file from its bytes and its meta (`eavctl.storage.onnx_files`).

        Raises
        ------
        DataError : onnxruntime is not installed.
        KeyError, ValueError, TypeError : graph and meta are damaged or do not fit each other.
        """
        graph = Graph(content)
        return OnnxFusion(graph, meta) if "streams" in meta else OnnxModel(graph, meta)

    def predict_proba(self, x: Any) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), of rows (n_rows, *shape) like the training's.

        Raises
        ------
        DataError : the rows have another shape than those of the training, or values that are not finite.
        """
        (proba,) = self.outputs(x, PROBA)
        return proba

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """The class numbers that probabilities decide for: see `eavctl.classifiers.calibration.decide`."""
        return decide(proba, self.priors)

    def predict(self, x: Any) -> np.ndarray:
        """The answer for each row, a class name, shape (n_rows,)."""
        answers: np.ndarray = self.classes_[self.decide(self.predict_proba(x))]
        return answers

    def outputs(self, x: Any, *names: str, batch: int | None = None) -> list[np.ndarray]:
        """Outputs of the graph by name, float64, each (n_rows, ...).

        Parameters
        ----------
        batch : rows to compute together; by default as many as fit into a moderate memory, at most 64.

        Raises
        ------
        DataError : as `predict_proba`.
        """
        tables = self._tables(x)
        n = batch or _fitting(tables, self._graph.inputs)
        starts = range(0, max(len(x), 1), n)  # of no rows an empty batch
        batches = [self._answers(x[start : start + n], names) for start in starts]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _answers(self, x: Any, names: Sequence[str]) -> list[np.ndarray]:
        """Outputs for rows that are computed together; the shapes that a graph states may not be its own."""
        found = self._graph.run(self._feeds(x), *names)
        for name, each in zip(names, found, strict=True):
            if each.shape != (len(x), *self._shapes[name]):
                raise DataError(f"the model is damaged: its output {name} has the shape {each.shape}")
            if name == PROBA and ((each < 0).any() or (np.abs(each.sum(axis=1) - 1) > SUM_TO_1).any()):
                raise DataError("the model is damaged: what its graph gives are no probabilities")
        return found

    def _tables(self, x: Any) -> Sequence[Table]:
        """The rows of each input, whose shapes fit."""
        (own,) = self._graph.inputs
        own.check(x)
        return [x]

    def _feeds(self, x: Any) -> dict[str, np.ndarray]:
        """Rows as the graph takes them."""
        (own,) = self._graph.inputs
        return {own.name: np.ascontiguousarray(x, own.dtype)}


class OnnxFusion(OnnxModel):
    """An exported fusion network; see `eavctl.fusion.networks.model.FusionModel`.

    Attributes
    ----------
    streams : names of the inputs, in order.
    """

    def __init__(self, graph: Graph, meta: Mapping[str, Any]) -> None:
        super().__init__(graph, meta)
        self.streams: Sequence[str] = tuple(each.name for each in graph.inputs)

    def weights(self, x: Streams) -> np.ndarray:
        """Weights of the streams, float64 (n_rows, n_streams): rows sum to 1, a missing stream has 0."""
        return self.proba_and_weights(x)[1]

    def proba_and_weights(self, x: Streams) -> tuple[np.ndarray, np.ndarray]:
        """What `predict_proba` and `weights` give, at the cost of one of them."""
        proba, weights = self.outputs(x, PROBA, WEIGHTS)
        return proba, weights

    def _tables(self, x: Any) -> Sequence[Table]:
        if len(x.arrays) != len(self.streams):
            raise DataError(f"the model takes {len(self.streams)} streams, not {len(x.arrays)}")
        for each, array in zip(self._graph.inputs, x.arrays, strict=True):
            each.check(array)
        if not x.present.any(axis=1).all():
            raise DataError("a row without any of the model's streams cannot be predicted")
        return list(x.arrays)

    def _feeds(self, x: Any) -> dict[str, np.ndarray]:
        streams = zip(self._graph.inputs, x.arrays, x.present.T, strict=True)
        known = {own.name: _without_missing(array, there, own.dtype) for own, array, there in streams}
        return {**known, PRESENT: x.present}


def _without_missing(values: np.ndarray, present: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A stream's values, with 0 in rows that lack it: what is there may be no number, and masks keep that."""
    found = np.array(values, dtype, order="C")
    found[~present] = 0
    return found


def _fitting(tables: Sequence[Table], inputs: Sequence[GraphInput]) -> int:
    """How many rows are computed together."""
    values = sum(values_of(x.shape[1:], own.dtype) for x, own in zip(tables, inputs, strict=True))
    return max(1, min(BATCH, MOST_VALUES // max(values, 1)))
