"""Checkpoints of encoders that read the waveform itself: wav2vec 2.0, HuBERT and WavLM."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from eavctl.errors import DataError
from eavctl.features.speech_encoders.checkpoint import CONFIG, Checkpoint
from eavctl.features.speech_encoders.log_mel import RATE

if TYPE_CHECKING:
    from eavctl.features.speech_encoders.waveform_network import WaveformEncoder

SHORTEST_S = 0.1  # of signals: one frame must fit
MOST_BLOCKS = 1000  # so that a damaged config.json cannot build networks without end

# The fields of config.json that change the hidden states, with the values of transformers for those that
# older checkpoints lack.
SHARED: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
}
FIELDS: dict[str, dict[str, Any]] = {
    "wav2vec2": SHARED | {"adapter_attn_dim": None},
    "hubert": SHARED | {"feat_proj_layer_norm": True, "conv_pos_batch_norm": False},
    "wavlm": SHARED | {"num_buckets": 320, "max_bucket_distance": 800},
}


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """All that changes the output of the encoder, except for its tensors.

    Returns
    -------
    ``n_blocks``, ``width``, ``do_normalize`` (whether signals are standardised), and under ``config`` the
    model type and the fields of config.json that matter.

    Raises
    ------
    DataError : config.json or the preprocessor's file has an invalid value, the encoder takes another
        sampling rate, or its frames are longer than the shortest signal.
    """
    config = _config(checkpoint)
    if _samples_of_a_frame(config) > SHORTEST_S * RATE:
        raise DataError(f"{checkpoint.folder / CONFIG}: a frame takes longer than {SHORTEST_S} s")
    return {
        "n_blocks": config["num_hidden_layers"],
        "width": config["hidden_size"],
        "do_normalize": _do_normalize(checkpoint),
        "config": config,
    }


def load(checkpoint: Checkpoint) -> WaveformEncoder:
    """Load the encoder of a checkpoint.

    Raises
    ------
    DataError : as `facts`, or tensors that are missing, left over, of another shape, or not finite.
    UsageError : this version of `transformers` lacks the network.
    """
    from eavctl.features.speech_encoders.waveform_network import WaveformEncoder, load_body

    about = facts(checkpoint)
    config = about["config"]
    hop_s = math.prod(config["conv_stride"]) / RATE
    return WaveformEncoder(
        load_body(checkpoint, config), hop_s, about["do_normalize"], str(checkpoint.folder)
    )


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Model type and the fields that matter, checked."""
    path, kind = checkpoint.folder / CONFIG, str(checkpoint.config["model_type"])
    config = {name: checkpoint.config.get(name, default) for name, default in FIELDS[kind].items()}
    for name, default in FIELDS[kind].items():
        if not _is_like(config[name], default):
            raise DataError(f"{path}: invalid {name}: {config[name]!r}")
    if config["num_hidden_layers"] > MOST_BLOCKS:
        raise DataError(f"{path}: {config['num_hidden_layers']} blocks; at most {MOST_BLOCKS} are possible")
    if not len(config["conv_dim"]) == len(config["conv_kernel"]) == len(config["conv_stride"]):
        raise DataError(f"{path}: conv_dim, conv_kernel and conv_stride have different lengths")
    return {"model_type": kind, **config}


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value has the type of the default, and is positive where it is a number."""
    if isinstance(default, list):
        return isinstance(value, list) and bool(value) and all(_is_like(each, 1) for each in value)
    if default is None:
        return value is None or _is_like(value, 1)
    if isinstance(default, float):
        return type(value) in (int, float) and 0 < value < math.inf
    return type(value) is type(default) and (type(value) is not int or value > 0)


def _samples_of_a_frame(config: dict[str, Any]) -> int:
    """Samples that one frame depends on: the receptive field of the convolutions."""
    samples = 1
    for kernel, stride in zip(reversed(config["conv_kernel"]), reversed(config["conv_stride"]), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _do_normalize(checkpoint: Checkpoint) -> bool:
    """Whether signals are standardised; yes where the checkpoint does not say, as in transformers."""
    path = checkpoint.preprocessor_file
    rate = checkpoint.preprocessor.get("sampling_rate", RATE)
    if rate != RATE:
        raise DataError(f"{path}: the encoder takes {rate} Hz; only those of {RATE} Hz can be used")
    do_normalize = checkpoint.preprocessor.get("do_normalize", True)
    if not isinstance(do_normalize, bool):
        raise DataError(f"{path}: invalid do_normalize: {do_normalize!r}")
    return do_normalize
