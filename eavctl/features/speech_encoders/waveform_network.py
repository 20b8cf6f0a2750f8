"""The networks of wav2vec 2.0, HuBERT and WavLM, run block by block by torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eavctl.encoders.pretrained import public, reach
from eavctl.errors import DataError
from eavctl.features.speech_encoders.checkpoint import Checkpoint, Tensors
from eavctl.features.speech_encoders.log_mel import RATE, standardized

LONGEST_S = 20.0  # the longest recordings that the large public checkpoints were trained on
PARTS = (
    "feature_extractor",
    "feature_projection",
    "encoder.pos_conv_embed",
    "encoder.layer_norm",
    "encoder.layers",
)
CLASSES = {
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
    "hubert": ("HubertConfig", "HubertModel"),
    "wavlm": ("WavLMConfig", "WavLMModel"),
}
UNUSED = ("masked_spec_embed", "adapter.")  # for training, and after the last block
COUNTERS = "num_batches_tracked"  # of batch norms: no effect, and not in every checkpoint
# Names of a weight-normalised convolution: those of the public files, and those of newer versions of torch.
RENAMED = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


class WaveformEncoder:
    """A `SpeechEncoder` that convolves the waveform to frames, followed by a transformer.

    Signals are run one at a time and without padding, so that a result does not depend on the other signals,
    bit for bit. On a CPU, batches of equal lengths are no faster: 4 or 8 clips of 3 s took 10 to 40 % more
    time a clip. Padding would change the group norm over time that most of these networks have.

    Parameters
    ----------
    body : the network of `transformers`.
    hop_s : seconds from one frame to the next.
    do_normalize : whether each signal is standardised to mean 0 and variance 1.
    name : of the checkpoint, for errors.

    References
    ----------
    .. [1] Baevski et al.: wav2vec 2.0: A framework for self-supervised learning of speech representations,
       NeurIPS 2020.
    .. [2] Hsu et al.: HuBERT: Self-supervised speech representation learning by masked prediction of hidden
       units, IEEE/ACM TASLP 29, 2021.
    .. [3] Chen et al.: WavLM: Large-scale self-supervised pre-training for full stack speech processing, IEEE
       JSTSP 16, 2022.
    """

    rate = RATE
    longest_s = LONGEST_S

    def __init__(self, body: Any, hop_s: float, do_normalize: bool, name: str) -> None:
        self._body, self._do_normalize, self._name = body, do_normalize, name
        self.hop_s = hop_s
        self.n_blocks: int = body.config.num_hidden_layers
        self.width: int = body.config.hidden_size

    def hidden_states(self, signals: Sequence[np.ndarray], layers: Sequence[int]) -> list[np.ndarray]:
        """The outputs of some blocks: see `SpeechEncoder.hidden_states`.

        The output of the last block is taken before the final layer norm of networks that have one, as those
        of the other blocks are.

        Raises
        ------
        DataError : an output is not finite.
        """
        with torch.inference_mode():
            return [self._described(signal, layers) for signal in signals]

    def _described(self, signal: np.ndarray, layers: Sequence[int]) -> np.ndarray:
        x = standardized(signal) if self._do_normalize else signal
        outputs = self._outputs(torch.tensor(x, dtype=torch.float32)[None], max(layers))
        states = np.stack([outputs[number - 1][0].numpy() for number in layers])
        if not np.isfinite(states).all():
            raise DataError(
                f"{self._name}: the encoder gives values that are not finite; its weights are damaged"
            )
        return states

    def _outputs(self, x: torch.Tensor, n_blocks: int) -> list[torch.Tensor]:
        """Outputs (1, n_frames, width) of the first blocks, of a signal (1, n_samples)."""
        encoder, is_wavlm = self._body.encoder, self._body.config.model_type == "wavlm"
        frames = self._body.feature_extractor(x).transpose(1, 2)
        states = _first(self._body.feature_projection(frames))
        states = states + encoder.pos_conv_embed(states)
        if not self._body.config.do_stable_layer_norm:
            states = encoder.layer_norm(states)
        outputs, bias = [], None
        for block in encoder.layers[:n_blocks]:
            if is_wavlm:  # the first block computes the bias of relative positions, which all blocks share
                states, bias = block(states, position_bias=bias)
            else:
                states = block(states)
            outputs.append(states)
        return outputs


def load_body(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Any:
    """The network of `transformers` with the tensors of a checkpoint.

    Parameters
    ----------
    checkpoint : with the tensors of the encoder alone.
    config : ``config`` of `eavctl.features.speech_encoders.waveform.facts`.

    Raises
    ------
    DataError : config.json describes no network, or tensors that are missing, left over, of another shape,
        or not finite.
    UsageError : this version of `transformers` has no such network, or other names for its parts.
    """
    body = _empty_body(checkpoint, config)
    tensors = checkpoint.tensors
    stored = {_renamed(name): name for name in tensors if not name.startswith(UNUSED)}
    shapes = {name: tuple(each.shape) for name, each in body.state_dict().items()}
    _check_names(stored, shapes, tensors)
    state = {ours: torch.from_numpy(np.array(tensors[theirs])) for ours, theirs in stored.items()}
    body.load_state_dict(state, strict=False, assign=True)
    return body.eval()


def _empty_body(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Any:
    """The network without memory for its tensors."""
    make_config, make_body = public(*CLASSES[config["model_type"]])
    fields = {name: value for name, value in config.items() if name != "model_type"}
    n_convolutions = len(config["conv_dim"])
    try:
        # Without masks in training, the network has no tensor for them.
        made = make_config(
            **fields, num_feat_extract_layers=n_convolutions, mask_time_prob=0.0, mask_feature_prob=0.0
        )
        with torch.device("meta"):
            body = make_body(made)
    except Exception as error:  # transformers and torch have errors of their own
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{checkpoint.folder}: config.json describes no network ({reason})") from error
    for part in PARTS:
        reach(body, part, f"no {part} in its {type(body).__name__}")
    return body


def _check_names(stored: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], tensors: Tensors) -> None:
    """Check the names and shapes of stored tensors against those of the network.

    Parameters
    ----------
    stored : names in the file by names in the network.
    shapes : of the tensors of the network.
    """
    missing = sorted(name for name in shapes.keys() - stored.keys() if not name.endswith(COUNTERS))
    left_over = sorted(stored[name] for name in stored.keys() - shapes.keys())
    other = sorted(
        name for name in shapes.keys() & stored.keys() if tensors.shape(stored[name]) != shapes[name]
    )
    faults = [
        *(f"{name} is missing" for name in missing),
        *(f"{name} is not part of this network" for name in left_over),
        *(
            f"{stored[name]} has the shape {tensors.shape(stored[name])}, not {shapes[name]}"
            for name in other
        ),
    ]
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise DataError(f"{tensors.source}: the weights do not fit their config.json: {faults[0]}{more}")


def _renamed(name: str) -> str:
    """The name of a stored tensor in the network."""
    for old, new in RENAMED.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _first(output: Any) -> Any:
    """The first of several outputs; the parts of some networks have one, those of others more."""
    return output[0] if isinstance(output, tuple) else output
