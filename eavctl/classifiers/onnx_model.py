"""Exported models: `OnnxModel` gives the answers of the model that an ONNX graph was exported from.

The graph goes from features to calibrated probabilities, averaged over the members. onnxruntime computes it
with one thread, so that the bits are the same in any process; neither ``torch`` nor ``onnx`` is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.calibration import decide, priors_of
from eavctl.classifiers.streams import Streams, Table
from eavctl.errors import DataError

PROBA, WEIGHTS, DISTANCE = "proba", "weights", "distance"  # outputs of a graph
PRESENT = "present"  # the last input of a fusion network's
BATCH = 64  # rows computed together
FLOAT, PICTURE = np.dtype(np.float32), np.dtype(np.uint8)
DTYPES: dict[str, np.dtype[Any]] = {"tensor(float)": FLOAT, "tensor(uint8)": PICTURE}
ERRORS_ALONE = 3  # level of onnxruntime's log


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
            raise DataError(f"the model takes rows of shape {wanted}, not {'x'.join(map(str, given))}")
        dtype = x[:0].dtype
        if not np.can_cast(dtype, self.dtype, "same_kind"):
            raise DataError(f"the model takes values of type {self.dtype}, not {dtype}")


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
        try:
            import onnxruntime
        except ImportError as error:
            raise DataError(
                f"an exported model needs onnxruntime, which cannot be imported ({error}).\n"
                "Install it: pip install 'eavctl[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ALONE
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own have no common class
            raise ValueError(str(error).partition("\n")[0]) from error
        self.inputs = tuple(_input(each) for each in self._session.get_inputs() if each.name != PRESENT)
        self.outputs = {each.name: _sizes(each.shape[1:]) for each in self._session.get_outputs()}

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
        if not all(np.isfinite(each).all() for each in found):
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
        if graph.outputs.get(PROBA) != self.classes_.shape:
            raise ValueError(f"its graph does not give the probabilities of {len(self.classes_)} classes")
        about = meta.get("novelty")
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

    def outputs(self, x: Any, *names: str) -> list[np.ndarray]:
        """Outputs of the graph by name, float64, each (n_rows, ...).

        Raises
        ------
        DataError : as `predict_proba`.
        """
        batches = [self._graph.run(feeds, *names) for feeds in self._feeds(x)]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _feeds(self, x: Any) -> Iterator[dict[str, np.ndarray]]:
        """The rows as the graph takes them, a batch at a time."""
        (own,) = self._graph.inputs
        own.check(x)
        for rows in _batches(len(x)):
            yield {own.name: np.ascontiguousarray(x[rows], own.dtype)}


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

    def _feeds(self, x: Any) -> Iterator[dict[str, np.ndarray]]:
        if len(x.arrays) != len(self.streams):
            raise DataError(f"the model takes {len(self.streams)} streams, not {len(x.arrays)}")
        for each, array in zip(self._graph.inputs, x.arrays, strict=True):
            each.check(array)
        if not x.present.any(axis=1).all():
            raise DataError("a row without any of the model's streams cannot be predicted")
        for rows in _batches(len(x)):
            yield {PRESENT: x.present[rows]} | {
                each.name: _without_missing(array[rows], x.present[rows, i], each.dtype)
                for i, (each, array) in enumerate(zip(self._graph.inputs, x.arrays, strict=True))
            }


def _without_missing(values: np.ndarray, present: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A stream's values, with 0 in rows that lack it: what is there may be no number, and masks keep that."""
    found = np.array(values, dtype, order="C")
    found[~present] = 0
    return found


def _batches(n_rows: int) -> Iterator[slice]:
    """Slices of `BATCH` rows that cover all rows in order; an empty one of no rows."""
    return (slice(start, start + BATCH) for start in range(0, max(n_rows, 1), BATCH))
