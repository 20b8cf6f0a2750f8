"""Synthetic speech of the EAV twin: a harmonic source with intonation and syllables, filtered by formants.

Reference: Fant: Acoustic theory of speech production, 1960.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 22050  # Hz
VOWELS = np.array(
    [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240)]
)  # formants of a, i, u, Hz, of a man
WIDTHS = np.array([80.0, 100.0, 140.0])  # of the formants, Hz
TABLE = 4096  # samples of one period
HIGHEST_HZ = 9000.0  # of the buzz
LEVEL = 0.05  # root mean square of the speech, of full scale
ROOM = 0.0006  # root mean square of the room's noise
BREATH = 0.03  # of the buzz
VIBRATO_HZ, VIBRATO_ST = 5.5, 0.15
SYLLABLES_S, PHRASE, PAUSE = 4.0, 7, 1.6  # syllables per second; per phrase, on average; per pause
CONTROL_HZ = 200  # sampling rate of intonation and loudness

# Change per standard deviation of a latent variable: semitones, logarithms of range and rate, dB, dB/octave.
PITCH_ST, RANGE_LOG, RATE_LOG, LOUDNESS_DB, TILT_DB = 1.5, 0.35, 0.15, 2.0, 1.2


@dataclass(frozen=True)
class Speaker:
    """The constants of a person: pitch in Hz, factor on formants, tilt in dB/octave, loudness factor."""

    pitch: float
    tract: float
    tilt: float
    level: float


def draw_speaker(rng: np.random.Generator) -> Speaker:
    """Draw a person; half of them have a high voice and a short vocal tract."""
    high = rng.random() < 0.5
    pitch = (195.0 if high else 115.0) * rng.lognormal(0, 0.08)
    return Speaker(
        pitch, (1.16 if high else 1.0) * rng.normal(1, 0.03), rng.normal(-11, 1), rng.lognormal(0, 0.15)
    )


def speech(speaker: Speaker, course: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the audio of one trial, with stationary statistics.

    Parameters
    ----------
    speaker : constants of the person.
    course : latent variables, shape (5,): level and range of pitch, rate, loudness, and brightness of the
        voice, in standard deviations.
    n_samples : number of samples.
    rng : random generator.

    Returns
    -------
    float64, shape (n_samples,), 22050 Hz.
    """
    seconds = n_samples / RATE
    onsets, lengths = _syllables(seconds, SYLLABLES_S * np.exp(RATE_LOG * course[2]), rng)
    control = np.arange(0, seconds + 1 / CONTROL_HZ, 1 / CONTROL_HZ)
    time = np.arange(n_samples) / RATE
    accents = rng.normal(0, 1, len(onsets))
    melody = 2.0 * np.exp(RANGE_LOG * course[1]) * np.interp(control, onsets + lengths / 2, accents)
    melody += PITCH_ST * course[0] + VIBRATO_ST * np.sin(2 * np.pi * VIBRATO_HZ * control)
    pitch = np.interp(time, control, speaker.pitch * 2 ** (melody / 12))
    stress = rng.normal(0, 2.0, len(onsets))  # dB
    loudness = np.interp(time, control, _envelope(control, onsets, lengths, stress))
    tilt = speaker.tilt + TILT_DB * course[4]
    buzz = _buzz(pitch, tilt) + BREATH * rng.standard_normal(n_samples)
    vowels = rng.integers(len(VOWELS), size=len(onsets))
    voice = _through_formants(buzz, time, onsets + lengths / 2, vowels, speaker.tract) * loudness
    gain = LEVEL * speaker.level * 10 ** (LOUDNESS_DB * course[3] / 20) / np.sqrt(np.mean(voice**2))
    return np.asarray(gain * voice + ROOM * rng.standard_normal(n_samples))


def _syllables(seconds: float, rate: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and lengths of syllables, in seconds, with pauses between phrases."""
    count = int(2 * rate * seconds) + 2
    lengths = rng.uniform(0.75, 1.25, count) / rate
    pauses = np.where(rng.random(count) < 1 / PHRASE, PAUSE / rate, 0)
    onsets = np.cumsum(lengths + pauses) - lengths[0] - pauses[0]
    keep = onsets < seconds
    return onsets[keep], lengths[keep]


def _envelope(time: np.ndarray, onsets: np.ndarray, lengths: np.ndarray, stress: np.ndarray) -> np.ndarray:
    """Loudness over time: a maximum in each syllable, raised by its stress in dB."""
    which = np.searchsorted(onsets, time, side="right") - 1
    inside = np.clip((time - onsets[which]) / lengths[which], 0, 1)
    return np.asarray(10 ** (stress[which] / 20) * (0.02 + np.sin(np.pi * inside) ** 0.7))


def _buzz(pitch: np.ndarray, tilt: float) -> np.ndarray:
    """A harmonic signal with the given pitch in Hz for each sample, and a spectral tilt in dB/octave."""
    numbers = np.arange(1, int(HIGHEST_HZ / pitch.max()) + 1)
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    spectrum[numbers] = numbers ** (tilt / 20 / np.log10(2)) * np.exp(
        1j * numbers**2
    )  # spread over the period
    period = np.fft.irfft(spectrum)
    phase = np.cumsum(pitch) / RATE
    return np.asarray((period / period.std())[(phase % 1 * TABLE).astype(int)])


def _through_formants(
    buzz: np.ndarray, time: np.ndarray, middles: np.ndarray, vowels: np.ndarray, tract: float
) -> np.ndarray:
    """Filter a signal by the vowels of its syllables, cross-faded, with the same loudness in all vowels."""
    hz = np.fft.rfftfreq(len(buzz), 1 / RATE)
    spectrum = np.fft.rfft(buzz)
    voice = np.zeros(len(buzz))
    for vowel, formants in enumerate(VOWELS * tract):
        centre = formants[:, None]
        resonance = centre**2 / np.sqrt((hz**2 - centre**2) ** 2 + (WIDTHS[:, None] * hz) ** 2)
        sound = np.fft.irfft(spectrum * resonance.prod(axis=0), len(buzz))
        voice += np.interp(time, middles, vowels == vowel) * sound / sound.std()
    return voice
