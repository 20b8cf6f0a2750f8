"""Half precision: weights and arithmetic in float16, inputs and outputs in float32."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from eavctl.export.folding import outside

if TYPE_CHECKING:
    import onnx

RECURRENT = "LSTM"  # onnxruntime has none of float16 for the CPU


def halved(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model with weights and arithmetic in float16.

    What comes before the first product with weights stays float32, since EEG in volts is below the smallest
    number of float16, and so does what follows the last one: calibration and probabilities. Recurrent layers
    stay float32, too.
    """
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    own = {node.name for node in copy.graph.node}
    kept = sorted(outside(copy.graph)) + _transposed_factors(copy.graph)
    operators = [*DEFAULT_OP_BLOCK_LIST, RECURRENT]
    half = convert_float_to_float16(copy, keep_io_types=True, op_block_list=operators, node_block_list=kept)
    _remove_round_trips(half.graph, own)
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)
    return half


def _remove_round_trips(graph: onnx.GraphProto, own: Collection[str]) -> None:
    """Remove the casts from float32 to float16 and back that the conversion puts between float32 nodes.

    Parameters
    ----------
    own : names of the nodes that the graph had before.
    """
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast" and node.name not in own}
    trips = {end: casts[cast.input[0]].input[0] for end, cast in casts.items() if cast.input[0] in casts}
    renamed = {trips[each.name]: each.name for each in graph.output if each.name in trips}
    kept = [node for node in graph.node if node.output[0] not in trips]
    for node in kept:
        origins = [trips.get(name, name) for name in node.input]
        node.input[:] = [renamed.get(name, name) for name in origins]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    used = {name for node in kept for name in node.input} | {each.name for each in graph.output}
    useful = [node for node in kept if node.output[0] in used or node.output[0] not in casts]
    del graph.node[:]
    graph.node.extend(useful)


def _transposed_factors(graph: onnx.GraphProto) -> list[str]:
    """Names of the transposes that feed a product.

    Fusing them with the product, past casts between them, crashes onnxruntime 1.32 while it loads the file.
    """
    factors = {name for node in graph.node if node.op_type == "MatMul" for name in node.input}
    return [n.name for n in graph.node if n.op_type == "Transpose" and not factors.isdisjoint(n.output)]
