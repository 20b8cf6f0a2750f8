"""Weights that another package carries: the encoder of Smart Turn 3.2, Whisper tiny for windows of 8 s.

The package ``pipecat-ai`` has them as an ONNX file, quantised to 8 bits by output channel. Nothing of the
package is imported. Each process that needs the file reads, checks and dequantises it, which takes about
0.03 s longer than a converted copy would: none is kept, so that none can be stale or damaged.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.features.speech_encoders.checkpoint import Checkpoint, Tensors
from eavctl.features.speech_encoders.onnx_file import initializers
from eavctl.features.speech_encoders.tensor_files import Tensor
from eavctl.storage.packages import PackageFile

FILE = PackageFile(
    "pipecat-ai",
    "1.14.0",
    "pipecat",
    ("audio", "turn", "smart_turn", "data", "smart-turn-v3.2-cpu.onnx"),
    "684449b7c7a55e2fa3dd6d647295942c",
)
IDENTITY = "whisper-4x384-e73c1d4ed5e5f071"  # as `weights.identify` computes it

CONFIG: dict[str, Any] = {
    "model_type": "whisper",
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "max_source_positions": 400,
    "num_mel_bins": 80,
    "activation_function": "gelu",
}
PREPROCESSOR = {"do_normalize": True}

INNER = "inner.encoder."  # of names in the file
# Matrices have numbers for names: that of the first block, of the second, and from there to the next.
MATRICES = {
    "self_attn.q_proj": (17, 92),
    "self_attn.k_proj": (25, 100),
    "self_attn.v_proj": (32, 107),
    "self_attn.out_proj": (75, 148),
    "fc1": (79, 152),
    "fc2": (88, 161),
}
BLOCK_STEP = 73
CONVOLUTIONS = ("conv1", "conv2")


def read(path: Path) -> Checkpoint:
    """Read the file as a checkpoint of Whisper.

    The values are rounded to half precision, as in the published checkpoint of the encoder: both then give
    the same numbers, bit for bit.

    Raises
    ------
    DataError : another file, or a damaged one.
    """
    tensors = _tensors(initializers(FILE.read(path)))
    return Checkpoint(path, CONFIG, PREPROCESSOR, Tensors(path, tensors))


def _tensors(constants: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The encoder's tensors by transformers' names."""
    found = {
        name.removeprefix(INNER): Tensor(values.shape, partial(_halved, values))
        for name, values in constants.items()
        if name.startswith(INNER) and "_quantized" not in name and not name.endswith("_scale")
    }
    for name in CONVOLUTIONS:
        found[f"{name}.weight"] = _dequantized(constants, f"{INNER}{name}.weight", "_scale")
        found[f"{name}.bias"] = _dequantized(constants, f"{INNER}{name}.bias", "_quantized_scale")
    for block in range(CONFIG["encoder_layers"]):
        for name, (first, second) in MATRICES.items():
            number = second + BLOCK_STEP * (block - 1) if block else first
            matrix = _dequantized(constants, f"val_{number}", "_scale", is_transposed=True)
            found[f"layers.{block}.{name}.weight"] = matrix
    return found


def _dequantized(
    constants: dict[str, np.ndarray], name: str, scale_name: str, *, is_transposed: bool = False
) -> Tensor:
    """A tensor of whole numbers times one scale for each output channel, the first axis."""
    numbers, scale = constants[f"{name}_quantized"], constants[f"{name}{scale_name}"]
    numbers = numbers.T if is_transposed else numbers
    per_channel = scale.reshape(-1, *[1] * (numbers.ndim - 1))
    return Tensor(numbers.shape, lambda: _halved(numbers * per_channel))


def _halved(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)
