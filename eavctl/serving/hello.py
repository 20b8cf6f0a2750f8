"""The first message of a stream: what the client will send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

HOP_S = (0.05, 60.0)
RATES_HZ = {"audio": (8000.0, 192000.0), "eeg": (16.0, 20000.0)}
MOST_CHANNELS, MOST_VALUES_HZ = 512, 300_000  # the latter of all channels
SHOWN = 40  # characters of a value that is refused


class HelloError(ValueError):
    """A first message that cannot be served, in a sentence."""


class Hello(NamedTuple):
    """What a client will send.

    Parameters
    ----------
    modalities : of ``audio``, ``eeg`` and ``video``.
    rate : samples a second of the audio.
    sfreq : samples a second of the EEG.
    ch_names : of the EEG.
    hop : seconds from the start of a window to that of the next.
    """

    modalities: tuple[str, ...]
    rate: float
    sfreq: float
    ch_names: tuple[str, ...]
    hop: float


def read_hello(text: str, taken: Sequence[str], window_s: float) -> Hello:
    """Check the first message of a stream.

    Parameters
    ----------
    text : JSON: ``modalities``, ``rate`` (of audio), ``sfreq`` and ``ch_names`` (of EEG), ``hop``.
    taken : modalities that the model takes.
    window_s : its window; the hop is a second by default, or the window where that is shorter.

    Raises
    ------
    HelloError : it is malformed, or the model has no use for what it offers.
    """
    content = _parsed(text)
    modalities = content.get("modalities")
    if not isinstance(modalities, list) or not modalities or len(set(map(str, modalities))) < len(modalities):
        raise HelloError("modalities: a list of those that will be sent is needed, such as ['audio']")
    for each in modalities:
        if each not in taken:
            raise HelloError(f"modalities: the model takes {', '.join(taken)}, and not {each!r:.{SHOWN}}")
    rates = {"audio": content.get("rate", 16000), "eeg": content.get("sfreq", 0)}
    for modality, rate in rates.items():
        if modality in modalities:
            _check(f"rate of {modality}", rate, *RATES_HZ[modality])
    hop = content.get("hop", min(1.0, window_s))
    _check("hop", hop, *HOP_S)
    names = _channels(content) if "eeg" in modalities else ()
    if len(names) * rates["eeg"] > MOST_VALUES_HZ:
        raise HelloError(f"sfreq: {len(names)} channels can have {MOST_VALUES_HZ // len(names)} Hz at most")
    return Hello(tuple(modalities), float(rates["audio"]), float(rates["eeg"]), names, float(hop))


def is_end(text: str) -> bool:
    """Whether a message ends the stream."""
    try:
        return bool(json.loads(text) == {"end": True})
    except (ValueError, RecursionError):
        return False


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise HelloError("the first message of a stream is JSON, with its modalities") from None
    if not isinstance(content, dict):
        raise HelloError("the first message of a stream is an object, with its modalities")
    return content


def _channels(content: Mapping[str, Any]) -> tuple[str, ...]:
    names = content.get("ch_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        names = []
    if not 0 < len(names) <= MOST_CHANNELS:
        raise HelloError(f"ch_names: the names of the EEG channels are needed, {MOST_CHANNELS} at most")
    return tuple(names)


def _check(what: str, value: object, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]
        raise HelloError(f"{what}: a number from {least:g} to {most:g} is needed, not {value!r:.{SHOWN}}")
