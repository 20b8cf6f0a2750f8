"""Folding of constants in an ONNX graph, before its weights are converted."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """An equal model whose constants are computed, and whose normalisations are parts of convolutions.

    Weights that the exporter reorders, as those of an LSTM, become constants that can be converted.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, quiet():
        given, found = Path(folder) / "given.onnx", Path(folder) / "folded.onnx"
        onnx.save(proto, given)  # a model in memory would be changed
        quant_pre_process(given, found, skip_symbolic_shape=True)
        return onnx.load(found)


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
