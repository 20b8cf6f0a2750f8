"""Models as ONNX graphs: traced by torch, cleared of what differs between two traces, and checked."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eavctl.classifiers.projection import Projected
from eavctl.errors import DataError
from eavctl.export.folding import folded
from eavctl.export.inputs import Input, inputs_of
from eavctl.export.modules import ColumnsGraph, FusionGraph, NetworkGraph
from eavctl.export.pooled_module import LOGITS, PooledGraph
from eavctl.fusion.pooled import PooledFusion

if TYPE_CHECKING:
    from onnx import ModelProto

    from eavctl.storage.artifacts import Model

EXAMPLE_BATCH = 2  # a batch of one would be taken for a constant
MOST_BYTES = 2**31 - 2**20  # of weights: a file of ONNX holds less than 2 GB
BATCH = "batch"


def to_proto(model: Model) -> ModelProto:
    """The ONNX graph of a model: standardisation, calibration and the mean over members are inside.

    A fusion network is one graph with a mask of the streams that a row has, not a graph for each subset:
    rows of different subsets share a batch, and three streams would need seven copies of the weights.

    Parameters
    ----------
    model : of kind ``svm``, ``linear``, ``dnn`` or ``fusion``.

    Returns
    -------
    A model without metadata, its batch axis free. Inputs: ``x``, (batch, *shape); of a fusion network one a
    stream, by its name, and ``present``, bool (batch, n_streams). Outputs: ``proba``, (batch, n_classes);
    of a fusion network ``weights``, (batch, n_streams); of a model with novelty ``distance``, (batch,).

    Raises
    ------
    UsageError : a model of another kind.
    DataError : a network that cannot be exported, or of 2 GB or more; a model of covariances; or a package of
        the extra ``export`` is missing.
    """
    inputs = inputs_of(model.meta)
    module, outputs = _parts(model)
    n_bytes = sum(each.numel() * each.element_size() for each in (*module.parameters(), *module.buffers()))
    if n_bytes > MOST_BYTES:
        raise DataError(f"the network has {n_bytes / 2**30:.1f} GB of weights; an ONNX file holds 2 GB")
    return _checked(folded(_cleared(_traced(module, inputs, outputs))))


def _parts(model: Model) -> tuple[nn.Module, list[str]]:
    """The module to trace, and the names of its outputs."""
    kind, predictor = model.meta.kind, model.predictor
    if isinstance(predictor, Projected):
        raise DataError(
            f"a model of covariances ({predictor.step.name}) cannot be exported: ONNX has no operator for "
            "their eigenvalues; predict with the model itself, which needs no torch"
        )
    if kind in LOGITS:
        module = ColumnsGraph(LOGITS[kind](predictor), predictor.calibration, model.novelty)
        return module.eval(), ["proba", *(["distance"] if model.novelty is not None else [])]
    if kind == "dnn":
        return NetworkGraph(*predictor.members).eval(), ["proba"]
    if isinstance(predictor, PooledFusion):
        return PooledGraph(predictor).eval(), ["proba", "weights"]
    return FusionGraph(*predictor.members).eval(), ["proba", "weights"]


def _traced(module: nn.Module, inputs: Sequence[Input], outputs: Sequence[str]) -> ModelProto:
    tensors, shapes = zip(*(_example(each, number) for number, each in enumerate(inputs)), strict=True)
    names = [each.name for each in inputs]
    arguments: tuple[Any, ...] = tensors
    dynamic: tuple[Any, ...] = shapes
    if isinstance(module, FusionGraph | PooledGraph):
        arguments = (tensors, torch.ones(EXAMPLE_BATCH, len(tensors), dtype=torch.bool))
        dynamic, names = (shapes, {0: torch.export.Dim(BATCH)}), [*names, "present"]
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                arguments,
                dynamo=True,
                dynamic_shapes=dynamic,
                input_names=names,
                output_names=list(outputs),
                verbose=False,
                external_data=False,
            )
    except ImportError as error:
        raise DataError(
            f"export needs onnx and onnxscript ({error}): pip install 'eavctl[export]'"
        ) from error
    except Exception as error:  # the exporter has errors of its own, each with a report of many lines
        reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"the network cannot be exported: {reason[0]}") from error
    assert program is not None
    return program.model_proto


def _example(each: Input, number: int) -> tuple[Tensor, dict[int, Any]]:
    """Rows of an input, and its free axes."""
    free = {0: torch.export.Dim(BATCH)}
    if each.free_axis is not None:
        free[each.free_axis + 1] = torch.export.Dim(f"time{number}", min=each.shortest)
    return torch.from_numpy(np.zeros((EXAMPLE_BATCH, *each.shape), each.dtype)), free


def _cleared(proto: ModelProto) -> ModelProto:
    """A graph without the trace's paths and intermediate shapes."""
    graph = proto.graph
    del graph.value_info[:]  # some are wrong, which runtimes ignore and the check does not
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    proto.ClearField("producer_version")
    return proto


def _checked(proto: ModelProto) -> ModelProto:
    """The graph, checked by ``onnx``.

    Raises
    ------
    DataError : the trace has fixed an axis that must be free, or the graph is not valid.
    """
    import onnx

    fixed = [each.name for each in proto.graph.input if not each.type.tensor_type.shape.dim[0].dim_param]
    if fixed:
        raise DataError(f"the network cannot be exported: it takes batches of one size only ({fixed[0]})")
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        raise DataError(f"the network cannot be exported: {str(error).splitlines()[0]}") from error
    return proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which reports packages that are not needed."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
