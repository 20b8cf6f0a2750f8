"""The encoder of Whisper, in numpy: a prediction imports neither torch nor transformers for it.

Reference: Radford et al., Robust speech recognition via large-scale weak supervision, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import DataError
from eavctl.features.speech_encoders.checkpoint import Checkpoint, Tensors
from eavctl.features.speech_encoders.layers import Dense, LayerNorm, attention, gelu
from eavctl.features.speech_encoders.log_mel import HOP, N_FFT, RATE, log_mel, standardized

STRIDE = 2  # of the second convolution: mel frames for each frame of the encoder
KERNEL = 3
LARGEST = 10_000  # of the numbers in config.json, so that a damaged one is refused at once
PUBLISHED_PLACES = 1500  # of the published checkpoints: 30 s
SAMPLES = HOP * STRIDE  # a frame
SIZES = (
    "d_model",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "max_source_positions",
    "num_mel_bins",
)
FIXED = {"sampling_rate": RATE, "n_fft": N_FFT, "hop_length": HOP}  # values of the preprocessor


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """What changes the encoder's output, except for the tensors (see `base.Kind`).

    ``last_places`` tells which positions a clip takes that is shorter than the encoder's window. The
    published checkpoints were trained on clips padded at their end, and take the first; ones whose window was
    cut were fine-tuned on the end of what a speaker said, padded at its start, and take the last.

    Raises
    ------
    DataError : values that are missing, no numbers, or that the encoder does not have.
    """
    config, preprocessor, folder = checkpoint.config, checkpoint.preprocessor, checkpoint.folder
    sizes: dict[str, Any] = {name: config.get(name) for name in SIZES}
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST:
            raise DataError(
                f"{folder}: config.json needs a whole number from 1 to {LARGEST} for {name}, not {size!r}"
            )
    if sizes["d_model"] % sizes["encoder_attention_heads"]:
        raise DataError(f"{folder}: d_model of config.json is not a multiple of encoder_attention_heads")
    if (activation := config.get("activation_function", "gelu")) != "gelu":
        raise DataError(f"{folder}: activation_function {activation!r}; only 'gelu' is known")
    for name, value in {**FIXED, "feature_size": sizes["num_mel_bins"]}.items():
        if preprocessor.get(name, value) != value:
            raise DataError(f"{checkpoint.preprocessor_file}: {name} must be {value}")
    is_short = sizes["max_source_positions"] < PUBLISHED_PLACES
    return {
        **sizes,
        "n_blocks": sizes["encoder_layers"],
        "width": sizes["d_model"],
        "do_normalize": bool(preprocessor.get("do_normalize", False)),
        "last_places": is_short or preprocessor.get("padding_side") == "left",
    }


def load(checkpoint: Checkpoint) -> Whisper:
    """Load the encoder; its tensors are read when they are needed.

    Raises
    ------
    DataError : tensors are missing, or they do not fit config.json.
    """
    return Whisper(facts(checkpoint), checkpoint.tensors)


class Whisper:
    """The encoder of Whisper; a `base.SpeechEncoder`.

    A signal shorter than the window is computed without padding: only its own frames are, each with the
    embedding of its position. The states of the last block are those before the final layer norm.

    Parameters
    ----------
    about : as `facts` gives it.
    tensors : by transformers' names in its WhisperEncoder.

    Raises
    ------
    DataError : tensors are missing, or of other shapes.
    """

    rate = RATE
    hop_s = SAMPLES / RATE

    def __init__(self, about: Mapping[str, Any], tensors: Tensors) -> None:
        self.n_blocks, self.width = about["n_blocks"], about["width"]
        self.longest_s = about["max_source_positions"] * self.hop_s
        self._about, self._tensors = about, tensors
        _check(tensors, _shapes(about))
        self._convolutions = [Dense(*_unfolded(tensors, f"conv{n}")) for n in (1, 2)]
        self._places = tensors["embed_positions.weight"]
        self._blocks: list[_Block] = []

    def hidden_states(self, signals: Sequence[np.ndarray], layers: Sequence[int]) -> list[np.ndarray]:
        """The outputs of some blocks (see `base.SpeechEncoder.hidden_states`)."""
        while len(self._blocks) < max(layers):
            self._blocks.append(_Block.of(self._tensors, f"layers.{len(self._blocks)}"))
        return [self._states(signal, layers) for signal in signals]

    def _states(self, signal: np.ndarray, layers: Sequence[int]) -> np.ndarray:
        n_frames = len(signal) // SAMPLES
        whole = signal[: n_frames * SAMPLES]
        scaled = standardized(whole) if self._about["do_normalize"] else whole
        x = gelu(self._convolutions[0](_windows(log_mel(scaled, self._about["num_mel_bins"]).T, 1)))
        x = gelu(self._convolutions[1](_windows(x, STRIDE)))
        x += self._places[-n_frames:] if self._about["last_places"] else self._places[:n_frames]
        found = np.empty((len(layers), n_frames, self.width), np.float32)
        for number, block in enumerate(self._blocks[: max(layers)], start=1):
            x = block(x, self._about["encoder_attention_heads"])
            found[[i for i, layer in enumerate(layers) if layer == number]] = x
        return found


class _Block(NamedTuple):
    """A transformer block."""

    attention_norm: LayerNorm
    query: Dense
    key: Dense
    value: Dense
    out: Dense
    network_norm: LayerNorm
    inner: Dense
    outer: Dense

    @classmethod
    def of(cls, tensors: Tensors, name: str) -> _Block:
        def norm(part: str) -> LayerNorm:
            return LayerNorm(tensors[f"{name}.{part}.weight"], tensors[f"{name}.{part}.bias"])

        def dense(part: str) -> Dense:
            bias = f"{name}.{part}.bias"
            return Dense(tensors[f"{name}.{part}.weight"].T, tensors.get(bias))

        return cls(
            norm("self_attn_layer_norm"),
            dense("self_attn.q_proj"),
            dense("self_attn.k_proj"),
            dense("self_attn.v_proj"),
            dense("self_attn.out_proj"),
            norm("final_layer_norm"),
            dense("fc1"),
            dense("fc2"),
        )

    def __call__(self, x: np.ndarray, n_heads: int) -> np.ndarray:
        """The block's output for its input, float32 (n_frames, width)."""
        normed = self.attention_norm(x)
        mixed = attention(self.query(normed), self.key(normed), self.value(normed), n_heads)
        x = x + self.out(mixed)
        return np.asarray(x + self.outer(gelu(self.inner(self.network_norm(x)))))


def _shapes(about: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of an encoder."""
    width, inner = about["d_model"], about["encoder_ffn_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (width, about["num_mel_bins"], KERNEL),
        "conv1.bias": (width,),
        "conv2.weight": (width, width, KERNEL),
        "conv2.bias": (width,),
        "embed_positions.weight": (about["max_source_positions"], width),
        "layer_norm.weight": (width,),
        "layer_norm.bias": (width,),
    }
    for number in range(about["encoder_layers"]):
        block = f"layers.{number}"
        shapes |= {f"{block}.self_attn.{part}_proj.weight": (width, width) for part in ("q", "k", "v", "out")}
        shapes |= {f"{block}.self_attn.{part}_proj.bias": (width,) for part in ("q", "v", "out")}
        shapes |= {
            f"{block}.{norm}.{part}": (width,)
            for norm in ("self_attn_layer_norm", "final_layer_norm")
            for part in ("weight", "bias")
        }
        shapes |= {f"{block}.fc1.weight": (inner, width), f"{block}.fc1.bias": (inner,)}
        shapes |= {f"{block}.fc2.weight": (width, inner), f"{block}.fc2.bias": (width,)}
    return shapes


def _check(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if missing := sorted(shapes.keys() - tensors.keys()):
        raise DataError(f"{tensors.source}: lacks {_first_of(missing)}, which its config.json asks for")
    if unknown := sorted(tensors.keys() - shapes.keys()):
        raise DataError(f"{tensors.source}: has {_first_of(unknown)}, which its config.json does not ask for")
    for name, shape in shapes.items():
        if tensors.shape(name) != shape:
            raise DataError(
                f"{tensors.source}: {name} has the shape {tensors.shape(name)}; its config.json asks for "
                f"{shape}"
            )


def _first_of(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _unfolded(tensors: Tensors, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A convolution's weights as a matrix (KERNEL * n_in, n_out), and its bias."""
    weight = tensors[f"{name}.weight"]
    return np.ascontiguousarray(weight.transpose(2, 1, 0)).reshape(-1, len(weight)), tensors[f"{name}.bias"]


def _windows(x: np.ndarray, stride: int) -> np.ndarray:
    """What a convolution with padding 1 multiplies, (n_frames // stride, KERNEL * width)."""
    n_frames, width = x.shape
    padded = np.zeros((n_frames + 2, width), np.float32)
    padded[1:-1] = x
    step = padded.itemsize * width
    shape, strides = (n_frames // stride, KERNEL * width), (stride * step, padded.itemsize)
    return np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)
