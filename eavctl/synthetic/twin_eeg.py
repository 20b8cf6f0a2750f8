"""Synthetic EEG of the EAV twin: spatially correlated 1/f background, and rhythms of sources in the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SFREQ = 500  # Hz
RESOLUTION_UV = 0.05  # of the amplifier; also removes rounding differences between machines
BACKGROUND_UV, NOISE_UV = 9.0, 0.8  # root mean square in each channel
LOWEST_HZ = 0.4  # high-pass edge of the amplifier
REACH = 0.35  # standard deviation of the spread of a source, in radii of the head

# x to the right and y to the front, in radii of the head, seen from above: the channels of EAV, in its order.
POSITIONS = {
    "Fp1": (-0.31, 0.95), "Fp2": (0.31, 0.95), "F7": (-0.81, 0.59), "F3": (-0.42, 0.55), "Fz": (0, 0.5),
    "F4": (0.42, 0.55), "F8": (0.81, 0.59), "FC5": (-0.7, 0.29), "FC1": (-0.24, 0.25), "FC2": (0.24, 0.25),
    "FC6": (0.7, 0.29), "T7": (-1, 0), "C3": (-0.5, 0), "Cz": (0, 0), "C4": (0.5, 0),
    "T8": (1, 0), "CP5": (-0.7, -0.29), "CP1": (-0.24, -0.25), "CP2": (0.24, -0.25), "CP6": (0.7, -0.29),
    "P7": (-0.81, -0.59), "P3": (-0.42, -0.55), "Pz": (0, -0.5), "P4": (0.42, -0.55), "P8": (0.81, -0.59),
    "PO9": (-0.68, -0.92), "O1": (-0.31, -0.95), "Oz": (0, -1), "O2": (0.31, -0.95), "PO10": (0.68, -0.92),
}  # fmt: skip
CHANNELS = np.array(list(POSITIONS.values()))


@dataclass(frozen=True)
class Rhythm:
    """A source of a rhythm.

    Parameters
    ----------
    place : channel at which it is.
    hz, width_hz : centre and width of its spectrum.
    size : root mean square at that channel, microvolt.
    cue : index of the latent variable (see `trial`) that drives it.
    gain : slope of the logarithm of its amplitude over that variable.
    """

    place: str
    hz: float
    width_hz: float
    size: float
    cue: int
    gain: float


RHYTHMS = (
    Rhythm("F3", 10.0, 1.3, 4.0, 0, -0.35),  # frontal alpha, stronger on one side
    Rhythm("F4", 10.0, 1.3, 4.0, 0, 0.35),
    Rhythm("Fz", 5.5, 0.9, 5.0, 1, 0.35),  # frontal theta
    Rhythm("T7", 20.0, 3.0, 3.0, 2, -0.35),  # temporal beta, stronger on one side
    Rhythm("T8", 20.0, 3.0, 3.0, 2, 0.35),
    Rhythm("Oz", 10.5, 1.0, 7.0, 3, 0.35),  # posterior alpha
    Rhythm("Cz", 32.0, 5.0, 2.5, 4, 0.4),  # central low gamma
)


@dataclass(frozen=True)
class Head:
    """The constants of a person.

    Parameters
    ----------
    background : mixing matrix of the background sources, shape (n_chans, n_chans), microvolt.
    rhythms : mixing matrix of `RHYTHMS`, shape (n_chans, n_rhythms), microvolt.
    hz : centre frequencies of the rhythms, shape (n_rhythms,).
    slope : negative exponent of the background's power over frequency.
    """

    background: np.ndarray
    rhythms: np.ndarray
    hz: np.ndarray
    slope: float


def draw_head(rng: np.random.Generator) -> Head:
    """Draw a person: the positions and amplitudes of the sources, and the frequencies of the rhythms."""
    sources = CHANNELS + rng.normal(0, 0.08, CHANNELS.shape)
    background = _gains(sources) * rng.lognormal(0, 0.3, len(sources))
    background *= BACKGROUND_UV / np.sqrt((background**2).sum(axis=1, keepdims=True))
    places = np.array([POSITIONS[each.place] for each in RHYTHMS]) + rng.normal(0, 0.1, (len(RHYTHMS), 2))
    sizes = np.array([rhythm.size for rhythm in RHYTHMS]) * rng.lognormal(0, 0.2, len(RHYTHMS))
    hz = np.array([rhythm.hz for rhythm in RHYTHMS]) * rng.normal(1, 0.04, len(RHYTHMS))
    return Head(background, _gains(places) * sizes, hz, rng.uniform(0.9, 1.3))


def _gains(sources: np.ndarray) -> np.ndarray:
    """Gain of each source at each channel, (n_chans, n_sources), 1 at distance 0."""
    distance = np.linalg.norm(CHANNELS[:, None] - sources, axis=-1)
    return np.asarray(np.exp(-0.5 * (distance / REACH) ** 2))


def trial(
    head: Head, course: np.ndarray, loudness: float, n_times: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw one trial, with stationary statistics.

    Parameters
    ----------
    head : constants of the person.
    course : latent variables, shape (5,): frontal asymmetry, frontal theta, temporal asymmetry, posterior
        alpha, central gamma, in standard deviations.
    loudness : factor on the amplitude of the background.
    n_times : number of samples.
    rng : random generator.

    Returns
    -------
    float64, shape (n_chans, n_times), microvolt, 500 Hz.
    """
    hz = np.fft.rfftfreq(n_times, 1 / SFREQ)
    shape = np.where(hz < LOWEST_HZ, 0, np.maximum(hz, LOWEST_HZ) ** (-head.slope / 2))
    background = _coloured(shape[None].repeat(len(CHANNELS), axis=0), n_times, rng)
    widths = np.array([[rhythm.width_hz] for rhythm in RHYTHMS])
    rhythms = _coloured(np.exp(-0.25 * ((hz - head.hz[:, None]) / widths) ** 2), n_times, rng)
    strength = np.exp([rhythm.gain * course[rhythm.cue] for rhythm in RHYTHMS])
    signal = loudness * head.background @ background + (head.rhythms * strength) @ rhythms
    signal += rng.normal(0, NOISE_UV, signal.shape)
    return np.asarray(np.round(signal / RESOLUTION_UV) * RESOLUTION_UV)


def _coloured(amplitude: np.ndarray, n_times: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of variance 1, (n_sources, n_times), with the given amplitude over frequency."""
    spectrum = amplitude * (rng.standard_normal(amplitude.shape) + 1j * rng.standard_normal(amplitude.shape))
    power = 4 * (amplitude[:, 1:] ** 2).sum(axis=1, keepdims=True) / n_times**2
    return np.fft.irfft(spectrum / np.sqrt(power), n_times)
