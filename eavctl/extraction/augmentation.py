"""Altered copies of recordings, for a training that is robust to noise, rooms, microphones and codecs.

Each copy goes through a chain of alterations, drawn at random: those of the voice first, then the room, the
noise in it, the microphone, and the line. The draws depend on the seed, the sample and the number of the
copy alone: not on other recordings, nor on the number of processes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from eavctl.errors import UsageError
from eavctl.extraction.open_recording import Stretch, sampled
from eavctl.settings import MOST_SEED, Within, checked
from eavctl.signals import alterations, codecs
from eavctl.storage.provenance import hash_json

ALL = "all"
VERSION = 2  # of the draws below: raised where the same seed gives other copies
CHANCE = 0.5  # of each alteration, in a copy

TELEPHONE_HZ = (300.0, 3400.0)
EQUALIZER_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)

Alteration = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def _pitch(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    return alterations.repitched(signal, rate, rng.uniform(-2, 2))


def _tempo(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    return alterations.stretched(signal, rate, rng.uniform(0.9, 1.1))


def _room(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A speaker 0.3 to 2.5 m from a microphone, in rooms from an office to a hall with seats."""
    size = rng.uniform((3.0, 2.5, 2.4), (9.0, 6.0, 3.5))
    microphone = rng.uniform(0.2, 0.8, 3) * size
    direction = rng.standard_normal(3) * (1, 1, 0.3)  # heads and microphones are at about one height
    away = direction / np.linalg.norm(direction) * rng.uniform(0.3, 2.5)
    source = np.clip(microphone + away, 0.2, size - 0.2)
    rt60 = rng.uniform(0.2, 0.9)
    response = alterations.room_response(rate, rt60, size, source, microphone, rng)
    return alterations.reverberate(signal, rate, response)


def _noise(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    snr_db, kind, n = rng.uniform(5, 35), rng.integers(4), len(signal)
    if kind == 0:
        noise = alterations.babble(n, rate, int(rng.integers(3, 9)), rng)
    elif kind == 1:
        noise = alterations.hum(n, rate, float(rng.choice([50.0, 60.0])), rng)
    else:
        noise = alterations.coloured_noise(n, rate, 0.0 if kind == 2 else rng.uniform(1.5, 6.0), rng)
    return alterations.add_noise(signal, rate, noise, snr_db)


def _band(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Half of them the telephone's band, a quarter another, a quarter the whole; all uneven."""
    gains = rng.normal(0, 2.5, len(EQUALIZER_HZ))
    kind, low, high = rng.integers(4), np.exp(rng.uniform(*np.log((50, 300)))), rng.uniform(3000, 7500)
    uneven = alterations.equalized(signal, rate, EQUALIZER_HZ, gains)
    if kind == 3:
        return uneven
    return alterations.band_limited(uneven, rate, *(TELEPHONE_HZ if kind < 2 else (low, high)))


def _gain(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Every third time the loudest 0.1 to 2 % of the samples are clipped."""
    gain_db, is_clipped, share = rng.uniform(-20, 6), rng.random() < 1 / 3, 10 ** rng.uniform(-3, -1.7)
    return alterations.amplified(alterations.clipped(signal, share) if is_clipped else signal, gain_db)


def _codec(signal: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    name = str(rng.choice(available_codecs()))
    bit_rate = int(rng.choice(codecs.CODECS[name].bit_rates))
    return codecs.recoded(signal, rate, name, bit_rate)


# In the order in which they happen to a voice.
ALTERATIONS: dict[str, Alteration] = {
    "pitch": _pitch,
    "tempo": _tempo,
    "room": _room,
    "noise": _noise,
    "band": _band,
    "gain": _gain,
    "codec": _codec,
}


def available_codecs() -> list[str]:
    """Names of the codecs that this FFmpeg has."""
    return [name for name in codecs.CODECS if codecs.is_available(name)]


@dataclass(frozen=True)
class Augmentation:
    """Which altered copies are made of each recording.

    Parameters
    ----------
    names : of `ALTERATIONS`, or ``all``. A copy gets each with a chance of one half, and one at least.
    copies : of each recording.
    seed : of all draws.

    Raises
    ------
    UsageError : an unknown name, a number of copies that is not from 1 to 100, or no codec in this FFmpeg.
    """

    names: tuple[str, ...]
    copies: int = 1
    seed: int = 42

    def __post_init__(self) -> None:
        checked("augmentation", "copies", self.copies, Annotated[int, Within(1, 100)])
        checked("augmentation", "seed", self.seed, Annotated[int, Within(0, MOST_SEED)])
        for name in self.names:
            if name not in (*ALTERATIONS, ALL):
                near = difflib.get_close_matches(name, ALTERATIONS, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UsageError(f"--augment: no alteration {name!r}; known: {', '.join(ALTERATIONS)}{hint}")
        chosen = tuple(name for name in ALTERATIONS if name in self.names or ALL in self.names)
        if not chosen:
            raise UsageError(f"--augment names no alteration; known: {', '.join(ALTERATIONS)}, or {ALL}")
        object.__setattr__(self, "names", chosen)
        if "codec" in chosen and not available_codecs():
            raise UsageError("--augment codec: this FFmpeg has none of the codecs; leave it out")

    def identity(self) -> dict[str, Any]:
        """All that the copies depend on besides the recordings, JSON-able."""
        used = available_codecs() if "codec" in self.names else []
        return {
            "version": VERSION,
            "alterations": list(self.names),
            "copies": self.copies,
            "seed": self.seed,
            "codecs": used,
        }

    def notes(self) -> list[str]:
        """A sentence on the codecs that this FFmpeg lacks, if they are asked for."""
        missing = [name for name in codecs.CODECS if name not in available_codecs()]
        if "codec" not in self.names or not missing:
            return []
        return [f"no copies with the codecs {', '.join(missing)}, which this FFmpeg lacks"]

    def copies_of(
        self, stretch: Stretch, sample_id: str, start: float | None, end: float | None
    ) -> Iterator[tuple[str, Stretch]]:
        """Altered copies of a part of an open recording.

        Parameters
        ----------
        stretch : of audio.
        sample_id : of the part; together with the seed it determines the copies.
        start, end : of the part, in seconds; None for the whole.

        Yields
        ------
        Name of the copy, such as ``1-room+noise``, and a stretch that is cut by the times of the original.
        """
        first, last = max(start or 0.0, 0.0), min(stretch.duration if end is None else end, stretch.duration)
        signal, rate = stretch.cut(first, last), int(stretch.rate)
        for number in range(1, self.copies + 1):
            rng = np.random.default_rng(int(hash_json([self.seed, sample_id, number]), 16))
            drawn = self._drawn(rng)
            altered = signal
            for name in drawn:
                altered = ALTERATIONS[name](altered, rate, rng)
            yield f"{number}-{'+'.join(drawn)}", _in_place(stretch, altered, first, last)

    def _drawn(self, rng: np.random.Generator) -> list[str]:
        """Names of a copy's alterations, in their order."""
        while True:
            taken = rng.random(len(self.names)) < CHANCE
            if taken.any():
                return [name for name, is_taken in zip(self.names, taken, strict=True) if is_taken]


def parse(text: str, copies: int, seed: int) -> Augmentation:
    """Read ``noise,room`` or ``all``.

    Raises
    ------
    UsageError : as `Augmentation`.
    """
    return Augmentation(tuple(part.strip() for part in text.split(",") if part.strip()), copies, seed)


def _in_place(stretch: Stretch, altered: np.ndarray, first: float, last: float) -> Stretch:
    """The altered part of a recording from ``first`` to ``last`` seconds, cut by the recording's times.

    If the tempo was altered, a segment keeps its length and begins at the same words.
    """
    inner = sampled(stretch.name, altered, stretch.rate)
    factor = (last - first) / inner.duration

    def cut(start: float, end: float) -> np.ndarray:
        if start <= first and end >= last:
            return altered
        begins = (start - first) / factor
        return np.asarray(inner.cut(begins, begins + end - start))

    return Stretch(stretch.name, stretch.duration, stretch.rate, cut)
