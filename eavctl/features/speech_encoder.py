"""Feature set ``speech-encoder``: states of a pretrained speech encoder, pooled over a clip's speech."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.features.audio import check_signal
from eavctl.features.speech_encoders.base import SpeechEncoder
from eavctl.features.speech_encoders.weights import Weights, find, size_of
from eavctl.registry import register
from eavctl.settings import Within

RATE = 16000
BLOCKS: Sequence[int] = [1, 2, 3]  # of Whisper tiny; later blocks are nearer to words
SPEECH_RANGE_DB, LOUD_SHARE = 25.0, 0.95
SILENCE = 1e-12
ENCODER_ENDING = ".pt"  # of files, not folders

Layers = Sequence[Annotated[int, Within(1, 1000)]]
Statistic = Literal["mean", "std"]
STATISTICS: Sequence[Statistic] = ["mean", "std"]


def names(
    layers: Sequence[int] = BLOCKS,
    statistics: Sequence[Statistic] = STATISTICS,
    weights: str | None = None,
) -> tuple[str, ...]:
    """Names of the columns: a statistic of all blocks, then the next; none without the weights."""
    width = size_of(weights).width if weights else 0
    return tuple(
        f"block{layer}_{statistic}_{i}" for statistic in statistics for layer in layers for i in range(width)
    )


def check(layers: Sequence[int], statistics: Sequence[Statistic], weights: str | None) -> None:
    """Check that the layers are those of the encoder.

    Raises
    ------
    UsageError : they do not ascend, or the encoder has fewer blocks; a statistic is named twice; or
        ``weights`` is no identity.
    """
    if len(set(statistics)) < len(statistics):
        raise UsageError(f"'speech-encoder': statistics name one twice: {', '.join(statistics)}")
    if any(a >= b for a, b in pairwise(layers)):
        raise UsageError(f"'speech-encoder': layers must ascend, not {', '.join(map(str, layers))}")
    if weights is None:
        return
    try:
        n_blocks = size_of(weights).n_blocks
    except ValueError:
        raise UsageError(
            f"'speech-encoder': {weights!r} does not identify weights by their content; name their folder "
            "with --weights"
        ) from None
    if layers[-1] > n_blocks:
        raise UsageError(
            f"'speech-encoder': no layer {layers[-1]}: the encoder {weights} has {n_blocks} blocks"
        )


def _find(given: Sequence[str | os.PathLike[str]], settings: Mapping[str, Any]) -> Weights:
    """The checkpoint that the settings name; files of encoders, which are for other streams, are ignored."""
    folders = [path for path in given if Path(path).suffix != ENCODER_ENDING]
    return find(folders or given, settings["weights"])


@register(
    "features",
    "speech-encoder",
    modality="audio",
    version=1,
    rate=RATE,
    columns=names,
    units="states of the encoder",
    check=check,
    weights=_find,
)
def speech_encoder(
    signal: np.ndarray,
    rate: int,
    encoder: SpeechEncoder,
    *,
    layers: Layers = BLOCKS,
    statistics: Sequence[Statistic] = STATISTICS,
    weights: str | None = None,
) -> np.ndarray:
    """Mean and standard deviation, over the frames with speech, of the outputs of an encoder's blocks.

    The means hold better on another corpus; the deviations add to the score inside one.

    A frame of 20 ms counts as speech where its level is within 25 dB of the 95th percentile of the clip's.
    A recording longer than the encoder's window is cut into windows of equal length, each encoded by itself.

    Parameters
    ----------
    signal : float32, shape (n_samples,), at least 0.1 s.
    rate : 16000.
    encoder : loaded from the checkpoint.
    layers : transformer blocks to pool, ascending; 1 is the output of the first.
    statistics : ``mean``, ``std`` or both.
    weights : identity of the encoder's weights, such as ``whisper-4x384-0123456789abcdef``; filled in from
        the checkpoint.

    Returns
    -------
    float32, shape (n_statistics * n_layers * width,), in the order of `names`.

    Raises
    ------
    SignalError : too short, constant, or the encoder gives no frame for the only loud part.
    """
    if rate != encoder.rate:
        raise ValueError(f"the encoder takes {encoder.rate} Hz, not {rate}")
    check_signal(signal, rate)
    hop = round(encoder.hop_s * rate)
    is_speech = _speech_frames(signal, hop)
    n, total, squares = 0, np.zeros((len(layers), encoder.width)), np.zeros((len(layers), encoder.width))
    for frames in _windows(is_speech, round(encoder.longest_s / encoder.hop_s)):
        (states,) = encoder.hidden_states([signal[frames.start * hop : frames.stop * hop]], layers)
        used = is_speech[frames][: states.shape[1]]
        spoken = states[:, used].astype(np.float64)
        n += spoken.shape[1]
        total += spoken.sum(axis=1)
        squares += np.square(spoken).sum(axis=1)
    if not n:
        raise SignalError("the encoder gives no frame for its only loud part")
    mean = total / n
    found = {"mean": mean, "std": np.sqrt(np.maximum(squares / n - mean**2, 0))}
    return np.concatenate([found[statistic].ravel() for statistic in statistics]).astype(np.float32)


def _speech_frames(signal: np.ndarray, hop: int) -> np.ndarray:
    """Which frames of ``hop`` samples are near the loudest ones, bool (n_frames,)."""
    n_frames = len(signal) // hop
    frames = signal[: n_frames * hop].reshape(n_frames, hop)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / hop
    level = 10 * np.log10(power + SILENCE)
    return np.asarray(level > _quantile(level, LOUD_SHARE) - SPEECH_RANGE_DB)


def _quantile(values: np.ndarray, share: float) -> float:
    """Quantile of values (n_values,) by linear interpolation; ``np.quantile`` imports ``numpy.ma``: 20 ms."""
    ordered, place = np.sort(values), share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def _windows(is_speech: np.ndarray, longest: int) -> Iterator[slice]:
    """Ranges of frames, as few and as equal as can be, of those that have speech."""
    n_frames = len(is_speech)
    edges = np.linspace(0, n_frames, -(-n_frames // longest) + 1).astype(int).tolist()
    for first, end in pairwise(edges):
        if is_speech[first:end].any():
            yield slice(first, end)
