"""The interface of a speech encoder, and the kinds of checkpoints that one can be loaded from."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from eavctl.errors import DataError
from eavctl.features.speech_encoders.checkpoint import Checkpoint, read_checkpoint


class SpeechEncoder(Protocol):
    """A pretrained network that turns speech into a sequence of vectors, block by block.

    Attributes
    ----------
    rate : sampling rate of its input, Hz.
    hop_s : seconds from one of its frames to the next.
    n_blocks : number of its transformer blocks.
    width : length of a vector.
    longest_s : longest signal that it takes at once, in seconds; longer recordings are cut into windows.
    """

    rate: int
    hop_s: float
    n_blocks: int
    width: int
    longest_s: float

    def hidden_states(self, signals: Sequence[np.ndarray], layers: Sequence[int]) -> list[np.ndarray]:
        """The outputs of some blocks, frame by frame. Only the blocks up to the last of these are computed.

        Parameters
        ----------
        signals : float32 (n_samples,) each, full scale 1, at least 0.1 s and at most `longest_s`. A signal's
            result does not depend on the others.
        layers : blocks, counted from 1, in any order.

        Returns
        -------
        One array for each signal, float32 (n_layers, n_frames, width); frame ``t`` is of the signal from
        ``t * hop_s``.
        """
        ...


class Kind(NamedTuple):
    """A kind of checkpoint, by the ``model_type`` of its config.json.

    Parameters
    ----------
    module : that loads it. It has two functions of a `Checkpoint`: ``facts(checkpoint)``, which checks config
        and preprocessor, and gives all that changes the encoder's output except for the tensors, JSON-able,
        with ``n_blocks`` and ``width``; and ``load(checkpoint)``, which gives the `SpeechEncoder`. Importing
        the module imports neither torch nor transformers; ``load`` may.
    prefixes : of the names of the encoder's tensors in checkpoints that have other parts too.
    """

    module: str
    prefixes: tuple[str, ...]


KINDS = {
    "hubert": Kind("eavctl.features.speech_encoders.waveform", ("hubert.",)),
    "wav2vec2": Kind("eavctl.features.speech_encoders.waveform", ("wav2vec2.",)),
    "wavlm": Kind("eavctl.features.speech_encoders.waveform", ("wavlm.",)),
    "whisper": Kind("eavctl.features.speech_encoders.whisper", ("model.encoder.", "encoder.")),
}


def load_encoder(folder: Path) -> SpeechEncoder:
    """Load the encoder of a checkpoint.

    Parameters
    ----------
    folder : as transformers' ``save_pretrained`` writes it: config.json, and model.safetensors or
        pytorch_model.bin; preprocessor_config.json or processor_config.json where there is one.

    Raises
    ------
    DataError : no such folder, a kind that is not known, or weights that do not fit their config.json.
    """
    return load(read_checkpoint(folder))


def load(checkpoint: Checkpoint) -> SpeechEncoder:
    """Load the encoder of a checkpoint that is read; errors are those of `load_encoder`."""
    encoder: SpeechEncoder = module_of(checkpoint).load(encoder_alone(checkpoint))
    return encoder


def encoder_alone(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the encoder's tensors alone, by the names that they have without a head."""
    prefixes = kind_of(checkpoint).prefixes
    return checkpoint._replace(tensors=checkpoint.tensors.below(*prefixes))


def module_of(checkpoint: Checkpoint) -> Any:
    """The module that loads a checkpoint.

    Raises
    ------
    DataError : its ``model_type`` is not known.
    """
    return importlib.import_module(kind_of(checkpoint).module)


def kind_of(checkpoint: Checkpoint) -> Kind:
    """The kind of a checkpoint.

    Raises
    ------
    DataError : its ``model_type`` is not known.
    """
    found = KINDS.get(str(checkpoint.config.get("model_type")))
    if found is None:
        raise DataError(
            f"{checkpoint.folder}: weights of model type {checkpoint.config.get('model_type')!r}; speech "
            f"encoders are {', '.join(sorted(KINDS))}"
        )
    return found
