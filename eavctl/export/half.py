"""Half precision: weights and arithmetic in float16, inputs and outputs in float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from eavctl.export.folding import folded

if TYPE_CHECKING:
    import onnx

WEIGHTED = frozenset({"Conv", "Gemm", "LSTM", "MatMul"})
RECURRENT = "LSTM"  # onnxruntime has none of float16 for the CPU


def halved(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model with weights and arithmetic in float16.

    What comes before the first product with weights stays float32, since EEG in volts is below the smallest
    number of float16, and so does what follows the last one: calibration and probabilities. Recurrent layers
    stay float32, too.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    copy = folded(proto)
    kept = [copy.graph.node[i].name for i in _outside(copy.graph)] + _transposed_factors(copy.graph)
    operators = [*DEFAULT_OP_BLOCK_LIST, RECURRENT]
    half = convert_float_to_float16(copy, keep_io_types=True, op_block_list=operators, node_block_list=kept)
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)
    return half


def _outside(graph: onnx.GraphProto) -> list[int]:
    """Numbers of the nodes before the first and after the last product with weights, on every path."""
    nodes = list(enumerate(graph.node))
    after = _reached((i, node.op_type, node.input, node.output) for i, node in nodes)
    before = _reached((i, node.op_type, node.output, node.input) for i, node in reversed(nodes))
    return [i for i, node in nodes if node.op_type not in WEIGHTED and not (i in after and i in before)]


def _reached(nodes: Iterator[tuple[int, str, Iterable[str], Iterable[str]]]) -> set[int]:
    """Numbers of the nodes, in the order of the graph, that a product with weights comes before.

    Parameters
    ----------
    nodes : number, operator, and the names of the tensors that come from before, and go on.
    """
    reached: set[int] = set()
    tensors: set[str] = set()
    for i, operator, incoming, outgoing in nodes:
        if operator in WEIGHTED or not tensors.isdisjoint(incoming):
            reached.add(i)
            tensors.update(outgoing)
    return reached


def _transposed_factors(graph: onnx.GraphProto) -> list[str]:
    """Names of the transposes that feed a product.

    Fusing them with the product, past casts between them, crashes onnxruntime 1.32 while it loads the file.
    """
    factors = {name for node in graph.node if node.op_type == "MatMul" for name in node.input}
    return [n.name for n in graph.node if n.op_type == "Transpose" and not factors.isdisjoint(n.output)]
