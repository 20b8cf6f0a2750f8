"""Int8: weights of 8 bits, and arithmetic on them, by the quantiser of onnxruntime.

Transformers and recurrent networks are quantised dynamically: weights ahead, activations row by row as they
come. Weights are signed: kernels of x86 processors take signed weights, and unsigned ones are three times
slower than they. Convolutional networks are quantised statically, with ranges of the activations that are
measured on rows of a table, since dynamic quantisation of convolutions is slower than float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eavctl.classifiers.streams import Streams
from eavctl.errors import UsageError
from eavctl.export.folding import outside, quiet

if TYPE_CHECKING:
    import onnx

CONVOLUTION = "Conv"
MATRICES = ("MatMul", "Gemm", "LSTM")
STATIC = (
    CONVOLUTION,
    "MatMul",
    "Gemm",
    "Add",
    "Mul",
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
)
CALIBRATION_ROWS = 256
CALIBRATION_BATCH = 16
Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Way:
    """A way to quantise a network.

    Parameters
    ----------
    name : for people.
    static : activations have fixed ranges, measured on calibration rows.
    depthwise : depthwise convolutions are quantised too; they have few weights, and can lose most by it.
    symmetric : int8 activations around 0 only, as TensorRT demands.
    """

    name: str
    static: bool
    depthwise: bool = True
    symmetric: bool = False


DYNAMIC = Way("dynamic", static=False)
WHOLE = Way("static", static=True)
PARTLY = Way("static, depthwise convolutions in float32", static=True, depthwise=False)
FOR_TENSORRT = Way("static, symmetric", static=True, symmetric=True)


def ways_of(proto: onnx.ModelProto, *, tensorrt: bool = False) -> tuple[Way, ...]:
    """The ways to quantise a network, in the order in which they are tried.

    Parameters
    ----------
    proto : see `eavctl.export.graph.to_proto`.
    tensorrt : for TensorRT, which has static and symmetric quantisation only.

    Raises
    ------
    UsageError : the network has no weights that can be quantised.
    """
    in_convolutions, in_matrices = _n_weights(proto.graph, (CONVOLUTION,)), _n_weights(proto.graph, MATRICES)
    if not in_convolutions + in_matrices:
        raise UsageError("--int8: the model has no matrices or convolutions of weights; leave it out")
    if tensorrt:
        return (FOR_TENSORRT,)
    if in_matrices >= in_convolutions:
        return (DYNAMIC,)
    return (WHOLE, PARTLY) if _depthwise(proto.graph) else (WHOLE,)


def quantised(proto: onnx.ModelProto, way: Way, rows: np.ndarray | Streams | None = None) -> onnx.ModelProto:
    """A quantised copy of an exported model.

    Parameters
    ----------
    proto : see `eavctl.export.graph.to_proto`.
    rows : calibration rows, of a static way.

    Raises
    ------
    UsageError : a static way without rows.
    """
    import onnx

    if way.static and rows is None:
        raise _without_rows(way)
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(proto, source)
        if rows is None or not way.static:
            _quantise_dynamically(source, target)
        else:
            _quantise_statically(source, target, way, feeds(proto.graph, rows))
        return onnx.load(target)


def require_rows(proto: onnx.ModelProto, *, tensorrt: bool) -> None:
    """Raise a UsageError where a network is quantised in a static way, which needs rows to calibrate on.

    Parameters
    ----------
    proto, tensorrt : see `ways_of`.
    """
    for way in ways_of(proto, tensorrt=tensorrt):
        if way.static:
            raise _without_rows(way)


def _without_rows(way: Way) -> UsageError:
    return UsageError(f"--int8 ({way.name}) needs rows to calibrate on: --calibrate TABLE")


def _quantise_dynamically(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=list(MATRICES),
        weight_type=QuantType.QInt8,
    )


def _quantise_statically(source: Path, target: Path, way: Way, calibration: Iterator[Feed]) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def get_next(self) -> Feed | None:
            return next(calibration, None)

    graph = onnx.load(source).graph
    activations = QuantType.QInt8 if way.symmetric else QuantType.QUInt8
    quantize_static(
        source,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(STATIC),
        per_channel=True,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*sorted(outside(graph)), *([] if way.depthwise else _depthwise(graph))],
        extra_options={
            "ActivationSymmetric": way.symmetric,
            "WeightSymmetric": True,
            "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],  # the last one gives the logits
        },
    )


def feeds(graph: onnx.GraphProto, rows: np.ndarray | Streams) -> Iterator[Feed]:
    """Batches of rows as inputs of a graph: at most `CALIBRATION_ROWS` of them, from the whole table."""
    numbers = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), CALIBRATION_ROWS)).round().astype(int))
    names = [each.name for each in graph.input]
    for start in range(0, len(numbers), CALIBRATION_BATCH):
        batch = rows[numbers[start : start + CALIBRATION_BATCH]]
        arrays = _arrays(batch) if isinstance(batch, Streams) else [batch]
        yield dict(zip(names, map(np.ascontiguousarray, arrays), strict=True))


def _arrays(batch: Streams) -> list[np.ndarray]:
    """The inputs of a fusion network; what a row lacks is 0, whatever stands there."""
    there = (batch.present[:, i].reshape(-1, *[1] * (x.ndim - 1)) for i, x in enumerate(batch.arrays))
    given = [np.where(has, x, x.dtype.type(0)) for has, x in zip(there, batch.arrays, strict=True)]
    return [*given, batch.present]


def _n_weights(graph: onnx.GraphProto, operators: Sequence[str]) -> int:
    """Number of constant weights that nodes of some operators take."""
    sizes = {each.name: int(np.prod(each.dims)) for each in graph.initializer}
    used = (node.input[1:3] for node in graph.node if node.op_type in operators)
    return sum(sizes.get(name, 0) for names in used for name in names)


def _depthwise(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions that have one filter for each channel or several."""
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == CONVOLUTION
        and shapes.get(node.input[1], (1, 0))[1] == 1
        and any(each.name == "group" and each.i > 1 for each in node.attribute)
    ]
