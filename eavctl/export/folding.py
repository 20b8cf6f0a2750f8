"""Graphs with their constants folded, and which of their nodes keep float32 when weights are converted."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


WEIGHTED = frozenset({"Conv", "Gemm", "LSTM", "MatMul"})


def folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """An equal model whose constants are computed, and whose normalisations are parts of convolutions.

    Weights that the exporter reorders, as those of an LSTM, become constants that can be converted. A graph
    that keeps them as they were and a copy would be twice as large.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, quiet():
        given, found = Path(folder) / "given.onnx", Path(folder) / "folded.onnx"
        onnx.save(proto, given)  # a model in memory would be changed
        quant_pre_process(given, found, skip_symbolic_shape=True)
        model = onnx.load(found)
    del model.graph.value_info[:]  # shapes of float32, which would contradict what becomes of it
    used = {node.domain for node in model.graph.node}
    imports = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{i}"  # lists of nodes to leave out go by name
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence onnxruntime's tools, whose advice is for other callers."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def outside(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes before the first and after the last product, on every path.

    They standardise the input, and make probabilities: neither has weights, and both need float32.
    """
    nodes = list(enumerate(graph.node))
    after = _reached((i, node.op_type, node.input, node.output) for i, node in nodes)
    before = _reached((i, node.op_type, node.output, node.input) for i, node in reversed(nodes))
    inside = after & before
    return {node.name for i, node in nodes if node.op_type not in WEIGHTED and i not in inside}


def _reached(nodes: Iterator[tuple[int, str, Iterable[str], Iterable[str]]]) -> set[int]:
    """Numbers of the nodes, in the order of the graph, that come after a product, or are one.

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
