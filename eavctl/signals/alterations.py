"""Alterations of an audio signal that leave what is said in place: noise, room, band, level, tempo and pitch.

Each is a function of its parameters alone: ``float32 (n_samples,) -> float32 (n_samples,)``; whatever is
random is an argument. `eavctl.extraction.augmentation` draws the parameters, `eavctl.signals.codecs` has
the codecs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from eavctl.signals.transforms import fast_length, irfft, rfft

FRAME_S = 0.02
SPEECH_MARGIN = 10**1.59  # 15.9 dB, the margin of ITU-T P.56
SPEED_OF_SOUND = 343.0  # m/s
SABINE = 0.161  # s/m
MIXING_S = 0.02  # from here on, reflections are too dense to be told apart
STOP_DB = -80.0
EDGE_OCTAVES = 1 / 6  # width of the edges of a band
# Window of the phase vocoder: the harmonics of a deep voice are apart, and transients still short.
VOCODER_S = 0.064
ENVELOPE_HZ = 100


def active(signal: np.ndarray, rate: int) -> np.ndarray:
    """Mask of the samples in which somebody speaks.

    Frames of 20 ms count if they are at most 15.9 dB below the mean power of the frames that count, as in
    [1]_, whose envelope is smoother.

    Parameters
    ----------
    signal : float, shape (n_samples,).
    rate : samples a second.

    Returns
    -------
    bool, shape (n_samples,); all of a signal shorter than a frame.

    References
    ----------
    .. [1] ITU-T P.56: Objective measurement of active speech level, 2011.
    """
    size = max(round(FRAME_S * rate), 1)
    n_frames = len(signal) // size
    if not n_frames:
        return np.ones(len(signal), bool)
    power = np.square(signal[: n_frames * size], dtype=np.float64).reshape(n_frames, size).mean(axis=1)
    counts = np.ones(n_frames, bool)
    while True:
        louder = power >= power[counts].mean() / SPEECH_MARGIN
        if louder.sum() >= counts.sum():  # the level rises with each round, so that frames only drop out
            break
        counts = louder
    return np.concatenate([np.repeat(counts, size), np.full(len(signal) - n_frames * size, counts[-1])])


def level(signal: np.ndarray, rate: int) -> float:
    """Root mean square over the samples in which somebody speaks (see `active`)."""
    return float(np.sqrt(np.square(signal[active(signal, rate)], dtype=np.float64).mean()))


def add_noise(signal: np.ndarray, rate: int, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise at a ratio of powers, both measured where somebody speaks.

    Parameters
    ----------
    signal, noise : float32, shape (n_samples,).
    rate : samples a second.
    snr_db : ratio of the power of the signal to that of the noise, dB.
    """
    mask = active(signal, rate)
    speech, present = (float(np.square(x[mask], dtype=np.float64).mean()) for x in (signal, noise))
    if not present:
        return signal
    return signal + noise * np.float32(np.sqrt(speech / present / 10 ** (snr_db / 10)))


def coloured_noise(n_samples: int, rate: int, slope_db: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose power falls by ``slope_db`` an octave: 0 is white, 3 pink, 6 brown.

    Below 20 Hz the spectrum is flat.
    """
    white = rng.standard_normal(n_samples, dtype=np.float32)
    if not slope_db:
        return white
    return shaped(white, rate, lambda hz: -slope_db * np.log2(np.maximum(hz, 20.0) / 20.0))


def babble(n_samples: int, rate: int, n_talkers: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with the mean spectrum and the rhythm of a few people who talk at once.

    Each is noise that has the long-term average spectrum of speech ([1]_, roughly: flat to 500 Hz, then
    falling by 9 dB an octave) and an envelope with the rates of syllables, 2 to 8 Hz. No voice has a pitch
    or words, so that the noise carries no emotion.

    References
    ----------
    .. [1] Byrne et al.: An international comparison of long-term average speech spectra, JASA 96, 1994.
    """
    times = np.arange(2 + int(n_samples / rate * ENVELOPE_HZ)) / ENVELOPE_HZ
    syllables, phases = rng.uniform(2, 8, (n_talkers, 1)), rng.uniform(0, 2 * np.pi, (n_talkers, 1))
    power = np.square(1 + np.sin(2 * np.pi * syllables * times + phases)).sum(axis=0)  # of independent noises
    envelope = np.interp(np.arange(n_samples) / rate, times, np.sqrt(power))
    noise = rng.standard_normal(n_samples, dtype=np.float32) * envelope.astype(np.float32)
    return shaped(noise, rate, lambda hz: -9.0 * np.log2(np.maximum(hz, 500.0) / 500.0))


def hum(n_samples: int, rate: int, mains_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Hum of the mains: its first harmonics with random phases, each 3 to 9 dB below the one before it."""
    phase = (np.arange(n_samples) * (mains_hz / rate) % 1 * (2 * np.pi)).astype(np.float32)
    result, amplitude = np.zeros(n_samples, np.float32), 1.0
    for harmonic in range(1, 1 + min(8, int(rate / 2 / mains_hz))):
        result += np.float32(amplitude) * np.sin(harmonic * phase + np.float32(rng.uniform(0, 2 * np.pi)))
        amplitude *= 10 ** (-rng.uniform(3, 9) / 20)
    return result


def room_response(
    rate: int,
    rt60: float,
    size: ArrayLike,
    source: ArrayLike,
    microphone: ArrayLike,
    rng: np.random.Generator,
) -> np.ndarray:
    """Impulse response of a shoebox room whose walls absorb alike.

    The direct sound and the six first reflections are those of the image-source method [1]_; what follows is
    diffuse: Gaussian noise that decays exponentially [2]_, with the power that diffuse field theory gives
    for the room's volume, absorption (by Sabine's equation) and the distance of the source.

    Parameters
    ----------
    rate : samples a second.
    rt60 : time in which the sound decays by 60 dB, seconds.
    size : of the room, metres, (3,).
    source, microphone : places in it, metres, (3,).
    rng : of the diffuse part.

    Returns
    -------
    float32, shape (n_samples,), of ``rt60`` seconds. The direct sound is the first sample, and is 1.

    References
    ----------
    .. [1] Allen, Berkley: Image method for efficiently simulating small-room acoustics, JASA 65, 1979.
    .. [2] Polack: La transmission de l'énergie sonore dans les salles, thesis, Le Mans, 1988.
    """
    dims, places, ears = (np.asarray(each, float) for each in (size, source, microphone))
    surface = 2 * (dims[0] * dims[1] + dims[1] * dims[2] + dims[0] * dims[2])
    absorption = min(SABINE * dims.prod() / rt60 / surface, 0.99)
    direct = float(np.linalg.norm(places - ears))
    times = np.arange(max(round(rt60 * rate), 1)) / rate
    # Reflected to direct energy: (distance / critical distance)^2, of which some comes before the mixing.
    ratio = 16 * np.pi * direct**2 * (1 - absorption) / (absorption * surface)
    decay = np.exp(-np.log(1e6) / 2 * times / rt60)
    tail = rng.standard_normal(len(times)) * decay * (times >= MIXING_S)
    tail *= np.sqrt(ratio / np.square(decay).sum())
    for axis in range(3):
        for wall in (0.0, dims[axis]):
            image = places.copy()
            image[axis] = 2 * wall - places[axis]
            distance = float(np.linalg.norm(image - ears))
            at = round((distance - direct) / SPEED_OF_SOUND * rate)
            if at < len(tail):
                tail[at] += np.sqrt(1 - absorption) * direct / distance
    tail[0] += 1.0
    return np.asarray(tail, np.float32)


def reverberate(signal: np.ndarray, rate: int, response: np.ndarray) -> np.ndarray:
    """The signal as heard in a room, at its level and its time: the response begins with the direct sound.

    Parameters
    ----------
    signal : float32, shape (n_samples,).
    rate : samples a second.
    response : float32, shape (n_response,); see `room_response`.
    """
    n_fft = fast_length(len(signal) + len(response) - 1)
    wet = irfft(rfft(signal, n_fft) * rfft(response, n_fft), n_fft)[: len(signal)]
    before, after = level(signal, rate), level(wet, rate)
    return np.asarray(wet * np.float32(before / after if after else 1.0), np.float32)


def band_limited(signal: np.ndarray, rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """The signal between two frequencies, without delay.

    Frequencies more than a sixth of an octave outside are attenuated by 80 dB.

    Parameters
    ----------
    signal : float32, shape (n_samples,).
    rate : samples a second.
    low_hz, high_hz : edges of the band; 0 and half the rate leave the end open.
    """

    def response(hz: np.ndarray) -> np.ndarray:
        octaves = np.log2(np.maximum(hz, 1.0))
        below = np.log2(max(low_hz, 1e-3)) - octaves
        above = octaves - np.log2(high_hz) if high_hz < rate / 2 else np.full(len(hz), -1.0)
        return np.asarray(STOP_DB * np.clip(np.maximum(below, above) / EDGE_OCTAVES, 0, 1))

    return shaped(signal, rate, response)


def equalized(signal: np.ndarray, rate: int, hz: ArrayLike, gains_db: ArrayLike) -> np.ndarray:
    """The signal with gains at some frequencies, and between them by linear interpolation over octaves.

    Parameters
    ----------
    signal : float32, shape (n_samples,).
    rate : samples a second.
    hz : ascending frequencies.
    gains_db : of each, dB.
    """
    octaves, gains = np.log2(np.asarray(hz, float)), np.asarray(gains_db, float)

    def response(found: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(np.log2(np.maximum(found, 1.0)), octaves, gains))

    return shaped(signal, rate, response)


def shaped(signal: np.ndarray, rate: int, response_db: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The signal through a filter without delay, given by its response in dB at frequencies in Hz."""
    n_fft = fast_length(len(signal) + rate // 10)  # the filter must not spread from one end to the other
    hz = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    gains = (10 ** (response_db(hz) / 20)).astype(np.float32)
    return np.asarray(irfft(rfft(signal, n_fft) * gains, n_fft)[: len(signal)], np.float32)


def amplified(signal: np.ndarray, gain_db: float) -> np.ndarray:
    """The signal, float32 (n_samples,), louder by ``gain_db``, and clipped at full scale."""
    return np.asarray(np.clip(signal * np.float32(10 ** (gain_db / 20)), -1.0, 1.0))


def clipped(signal: np.ndarray, share: float) -> np.ndarray:
    """The signal, float32 (n_samples,), clipped at the value that this share of its samples exceeds."""
    limit = float(np.quantile(np.abs(signal), 1 - share))
    return np.clip(signal, -limit, limit) if limit else signal


def stretched(signal: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """The signal ``factor`` times as fast, with the same pitch, by a phase vocoder [1]_.

    Parameters
    ----------
    signal : float32, shape (n_samples,).
    rate : samples a second.
    factor : above 1 is faster.

    Returns
    -------
    float32, shape (round(n_samples / factor),); as ``librosa.effects.time_stretch`` with the same window,
    which takes each frame apart.

    References
    ----------
    .. [1] Flanagan, Golden: Phase vocoder, Bell System Technical Journal 45, 1966.
    """
    size = 4 * 2 ** round(np.log2(VOCODER_S * rate / 4))  # the hop is a quarter of it
    window = (0.5 - 0.5 * np.cos(2 * np.pi / size * np.arange(size))).astype(np.float32)
    padded = np.pad(signal, (size // 2, size // 2 + size))
    spectra = rfft(np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4] * window)
    places = np.arange(0, 1 + len(signal) // (size // 4), factor)
    before = places.astype(int)
    later = spectra[before + 1]
    share = (places - before).astype(np.float32)[:, None]
    sizes = (1 - share) * np.abs(spectra[before]) + share * np.abs(later)
    # The phases of a bin's centre advance by a quarter of a turn for each number of a bin, in each hop.
    quarters = np.arange(spectra.shape[1]) % 4
    turns = np.angle(later * spectra[before].conj()) / np.float32(2 * np.pi)
    turns -= (quarters / 4).astype(np.float32)
    turns -= np.round(turns)
    total = np.cumsum(turns, axis=0, dtype=np.float64)
    total += np.angle(spectra[0]) / (2 * np.pi) - turns
    total += (np.arange(4)[:, None] * quarters / 4)[np.arange(len(places)) % 4]
    phases = (total - np.floor(total)).astype(np.float32) * np.float32(2 * np.pi)
    found = np.empty(sizes.shape, np.complex64)
    found.real, found.imag = sizes * np.cos(phases), sizes * np.sin(phases)
    n_samples = round(len(signal) / factor)
    added = _overlapping(irfft(found, size) * window)[size // 2 :][:n_samples]
    weights = _overlapping(np.broadcast_to(np.square(window), (len(places), size)))[size // 2 :][:n_samples]
    added = added / np.maximum(weights, np.float32(1e-3))
    return np.pad(added, (0, n_samples - len(added)))


def _overlapping(frames: np.ndarray) -> np.ndarray:
    """Add frames (n_frames, size), each a quarter of its size after the one before it."""
    n_frames, size = frames.shape
    quarters = frames.reshape(n_frames, 4, size // 4)
    total = np.zeros((n_frames + 3, size // 4), np.float32)
    for number in range(4):
        total[number : number + n_frames] += quarters[:, number]
    return total.reshape(-1)


def repitched(signal: np.ndarray, rate: int, semitones: float) -> np.ndarray:
    """The signal, float32 (n_samples,), higher by ``semitones``, at the same tempo.

    It is stretched, and then read faster.
    """
    import soxr

    ratio = 2 ** (semitones / 12)
    slow = stretched(signal, rate, 1 / ratio)
    found = np.asarray(soxr.resample(slow, rate * ratio, rate, quality="HQ"), np.float32)[: len(signal)]
    return np.pad(found, (0, len(signal) - len(found)))
