"""A data set of synthetic sounds: tones whose class determines the rate of their amplitude modulation."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eavctl.errors import UsageError
from eavctl.progress import Tick, silent
from eavctl.storage import files

RATE = 22050
LOWEST_HZ, HIGHEST_HZ = 220.0, 880.0
SHORTEST_S, LONGEST_S = 2.0, 4.0
DEPTH = 0.3
FULL_SCALE = 32767


@dataclass(frozen=True)
class ToneClass:
    """Parameters of a class: factors on frequency and duration, amplitude, modulation rate, noise."""

    frequency: float
    duration: float
    amplitude: float
    modulation_hz: float
    noise: float = 0.0


CLASSES = {
    "happy": ToneClass(1.0, 1.0, 0.6, 8.0),
    "sad": ToneClass(0.5, 1.5, 0.4, 2.0),
    "angry": ToneClass(1.2, 1.0, 0.8, 12.0, noise=0.1),
    "neutral": ToneClass(0.8, 1.2, 0.5, 4.0),
}


def tone(kind: ToneClass, rng: np.random.Generator) -> np.ndarray:
    """Draw a sound of a class: ``amplitude sin(2 pi f t) (1 + 0.3 sin(2 pi m t))`` plus noise, at peak 1.

    Returns
    -------
    float64, shape (n_samples,), 22050 Hz.
    """
    hz = rng.uniform(LOWEST_HZ, HIGHEST_HZ) * kind.frequency
    seconds = rng.uniform(SHORTEST_S, LONGEST_S) * kind.duration
    time = np.arange(int(seconds * RATE)) / RATE
    modulation = 1 + DEPTH * np.sin(2 * np.pi * kind.modulation_hz * time)
    signal = kind.amplitude * np.sin(2 * np.pi * hz * time) * modulation
    if kind.noise:
        signal = signal + rng.normal(0, kind.noise, len(time))
    return np.asarray(signal / np.abs(signal).max())


def synth_speech(
    out: Path,
    *,
    per_class: int = 50,
    classes: Sequence[str] = tuple(CLASSES),
    seed: int = 42,
    force: bool = False,
    dry_run: bool = False,
    on_clip: Tick = silent,
) -> int:
    """Write ``out/<class>/<class>_sample_<i>.wav``, ``i`` from 1, 16 bits, mono.

    The bytes of a file depend only on the seed, its class and its number. An existing file with the same
    bytes is not written again.

    Parameters
    ----------
    out : folder to write to.
    per_class : number of recordings per class.
    classes : names of the classes, keys of `CLASSES`.
    seed : random seed.
    force : overwrite existing files with other bytes.
    dry_run : compute and write nothing.
    on_clip : callback with the number of recordings done, their total, and a note.

    Returns
    -------
    The number of recordings.

    Raises
    ------
    UsageError : unknown class, ``out`` is a file, or a file with other bytes exists, without ``force``.
    """
    unknown = [name for name in classes if name not in CLASSES]
    if unknown or not classes:
        raise UsageError(f"unknown class {unknown[0] if unknown else ''!r}; known: {', '.join(CLASSES)}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder with --out")
    wanted = [(name, number) for name in dict.fromkeys(classes) for number in range(1, per_class + 1)]
    if dry_run:
        return len(wanted)
    for name in dict.fromkeys(classes):
        files.make_folder(out / name)
        files.clear_leftovers(out / name)
    for done, (name, number) in enumerate(wanted):
        on_clip(done, len(wanted), "")
        rng = np.random.default_rng([seed, list(CLASSES).index(name), number])
        content = _wav(tone(CLASSES[name], rng))
        target = out / name / f"{name}_sample_{number}.wav"
        if target.exists() and not force and target.read_bytes() != content:
            raise UsageError(f"{target}: exists with other content; use --force, or another --out")
        if not target.exists() or target.read_bytes() != content:
            files.write_bytes(target, content)
    on_clip(len(wanted), len(wanted), "")
    return len(wanted)


def _wav(signal: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(signal * FULL_SCALE).astype("<i2").tobytes())
    return buffer.getvalue()
