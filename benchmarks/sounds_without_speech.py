"""Made-up sounds without speech, in families: noise, tones, music, blows, engines, animals, devices.

Each kind is a function of a random generator and a number of samples, at 16 kHz; its parameters are drawn,
so that no two sounds are alike. `draw` adds what a microphone adds: a room, background noise, a band limit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from eavctl.synthetic import tones

RATE = 16000

Kind = Callable[[np.random.Generator, int], np.ndarray]
KINDS: dict[str, dict[str, Kind]] = {}


def kind(family: str) -> Callable[[Kind], Kind]:
    """Decorator that adds a kind of sound to a family."""

    def add(function: Kind) -> Kind:
        KINDS.setdefault(family, {})[function.__name__] = function
        return function

    return add


def draw(family: str, name: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a sound of a kind: float32, 0.5 to 4 s, as a microphone would record it."""
    n = int(RATE * rng.uniform(0.5, 4))
    signal = KINDS[family][name](rng, n)[:n]
    if rng.random() < 0.3:
        signal = in_room(signal, rng)
    if rng.random() < 0.4:
        signal = with_noise(signal, rng.uniform(5, 35), rng)
    if rng.random() < 0.25:
        signal = band(signal, rng.uniform(50, 400), rng.uniform(2500, 7000))
    return (rng.uniform(0.02, 0.9) * signal / max(np.abs(signal).max(), 1e-9)).astype(np.float32)


# --- alterations, of speech too --------------------------------------------------------------------------


def colored(rng: np.random.Generator, n: int, slope: float) -> np.ndarray:
    """Noise whose power falls with frequency to the power ``slope``, standard deviation 1."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20.0) ** (-slope / 2)
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / noise.std())


def with_noise(signal: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white, pink or brown noise, ``snr_db`` below the level of the loud parts."""
    frames = np.square(signal[: len(signal) // 400 * 400]).reshape(-1, 400).mean(axis=1)
    loud = np.sqrt(frames[frames > frames.max() / 300].mean())
    return signal + loud * 10 ** (-snr_db / 20) * colored(rng, len(signal), rng.choice([0.0, 1.0, 2.0]))


def in_room(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add an exponentially decaying tail of noise: a reverberation time of 0.2 to 0.9 s."""
    seconds, direct = rng.uniform(0.2, 0.9), rng.uniform(0.5, 3)
    time = np.arange(int(seconds * RATE)) / RATE
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / seconds)
    tail *= 1 / np.sqrt((tail**2).sum())
    tail[0] += direct
    return np.asarray(fftconvolve(signal, tail)[: len(signal)])


def band(signal: np.ndarray, low: float, high: float) -> np.ndarray:
    """Keep a band, by a Butterworth filter of order 8."""
    return np.asarray(sosfilt(butter(4, [low, high], "bandpass", fs=RATE, output="sos"), signal))


# --- parts -------------------------------------------------------------------------------------------------


def _time(n: int) -> np.ndarray:
    return np.arange(n) / RATE


def _slow(rng: np.random.Generator, n: int, hz: float) -> np.ndarray:
    """A random contour of about that rate, standard deviation 1."""
    points = max(int(n / RATE * hz * 2), 2) + 3
    places = np.linspace(0, points - 1, n)
    return np.interp(places, np.arange(points), rng.normal(size=points))


def _harmonic(hz: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    """Harmonics of a frequency that varies over time, (n_samples,)."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    total = np.zeros(len(hz))
    for i, amplitude in enumerate(amplitudes, start=1):
        total += amplitude * np.sin(i * phase) * (i * hz < RATE / 2)
    return total


def _timbre(rng: np.random.Generator, most: int = 20) -> np.ndarray:
    n = rng.integers(1, most + 1)
    return np.asarray(np.arange(1, n + 1) ** -rng.uniform(0.3, 2.0) * rng.uniform(0.2, 1, n))


def _envelope(rng: np.random.Generator, n: int, *, plucked: bool) -> np.ndarray:
    time = _time(n)
    if plucked:
        return np.asarray(np.minimum(time / 0.004, 1) * np.exp(-time * rng.uniform(1.5, 12)))
    attack, release = rng.uniform(0.01, 0.15), rng.uniform(0.02, 0.2)
    return np.asarray(np.clip(np.minimum(time / attack, (time[-1] - time) / release), 0, 1))


def _semitones(number: float) -> float:
    return float(2 ** (number / 12))


def _put(total: np.ndarray, part: np.ndarray, start: int) -> None:
    end = min(start + len(part), len(total))
    if start < end:
        total[start:end] += part[: end - start]


def _events(
    rng: np.random.Generator, n: int, per_s: float, part: Callable[[], np.ndarray], regular: bool
) -> np.ndarray:
    """Sounds that follow each other, evenly or by chance."""
    total = np.zeros(n)
    if regular:
        starts = np.arange(rng.uniform(0, 0.3), n / RATE, 1 / per_s)
    else:
        starts = np.sort(rng.uniform(0, n / RATE, max(int(per_s * n / RATE), 1)))
    for start in starts:
        _put(total, part(), int(start * RATE))
    return total + 1e-4 * rng.normal(size=n)


def _resonant(signal: np.ndarray, hz: float, width: float) -> np.ndarray:
    radius = np.exp(-np.pi * width / RATE)
    return np.asarray(lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hz / RATE), radius**2], signal))


# --- noise -------------------------------------------------------------------------------------------------


@kind("noise")
def steady(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise of one colour."""
    return colored(rng, n, rng.uniform(-0.5, 2.5))


@kind("noise")
def banded(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise of one band."""
    low = rng.uniform(60, 3000)
    return band(rng.normal(size=n), low, min(low * rng.uniform(1.2, 6), 7900))


@kind("noise")
def wind(rng: np.random.Generator, n: int) -> np.ndarray:
    """Dark noise in gusts."""
    strength = np.exp(rng.uniform(0.3, 1) * _slow(rng, n, rng.uniform(0.5, 4)))
    return colored(rng, n, rng.uniform(1, 2.5)) * strength


@kind("noise")
def rain(rng: np.random.Generator, n: int) -> np.ndarray:
    """Drops on noise."""
    drops = (rng.random(n) < rng.uniform(20, 400) / RATE) * rng.exponential(1, n)
    drops = _resonant(drops, rng.uniform(800, 5000), rng.uniform(300, 1500))
    return drops / drops.std() + rng.uniform(0.05, 1) * colored(rng, n, rng.uniform(-0.5, 1.5))


@kind("noise")
def waves(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise that swells."""
    swell = np.sin(2 * np.pi * rng.uniform(0.1, 0.8) * _time(n) + rng.uniform(0, 6))
    return colored(rng, n, rng.uniform(0, 1.5)) * np.exp(rng.uniform(0.5, 2) * swell)


@kind("noise")
def pulsing(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise whose level moves as fast as syllables do: steam engines, washing machines, sawing."""
    hz = rng.uniform(1, 14) * (1 + 0.1 * _slow(rng, n, 1))
    beat = np.sin(2 * np.pi * np.cumsum(hz) / RATE)
    low = rng.uniform(50, 1500)
    noise = band(rng.normal(size=n), low, min(low * rng.uniform(2, 10), 7900))
    return noise * np.exp(rng.uniform(0.5, 2.5) * beat)


@kind("noise")
def restless(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise with a random level at the rate of syllables."""
    noise = colored(rng, n, rng.uniform(0, 2))
    return noise * np.exp(rng.uniform(0.4, 1.5) * _slow(rng, n, rng.uniform(1, 8)))


@kind("noise")
def whoosh(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise through a resonance that glides."""
    total, count = np.zeros(n), int(rng.integers(1, 5))
    for start in np.linspace(0, n, count, endpoint=False).astype(int):
        length = n // count
        noise, step = rng.normal(size=length), 800
        centres = np.geomspace(rng.uniform(200, 3000), rng.uniform(200, 5000), length // step + 1)
        parts = [_resonant(noise[i * step : (i + 1) * step], hz, 200) for i, hz in enumerate(centres)]
        _put(total, np.concatenate(parts) * np.hanning(length), start)
    return total + 1e-3 * rng.normal(size=n)


@kind("noise")
def applause(rng: np.random.Generator, n: int) -> np.ndarray:
    """Many claps."""
    claps = (rng.random(n) < rng.uniform(20, 300) / RATE) * rng.exponential(1, n)
    burst = rng.normal(size=300) * np.exp(-np.arange(300) / rng.uniform(30, 90))
    return _resonant(fftconvolve(claps, burst)[:n], rng.uniform(700, 2500), 800) + 1e-3 * rng.normal(size=n)


# --- tones -------------------------------------------------------------------------------------------------


@kind("tones")
def tone(rng: np.random.Generator, n: int) -> np.ndarray:
    """A steady tone."""
    hz = np.exp(rng.uniform(np.log(60), np.log(4000)))
    return _harmonic(np.full(n, hz), _timbre(rng))


@kind("tones")
def swaying_tone(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tone with tremolo and vibrato."""
    hz, time = np.exp(rng.uniform(np.log(80), np.log(2000))), _time(n)
    vibrato = rng.uniform(0, 1) * np.sin(2 * np.pi * rng.uniform(2, 9) * time)
    tremolo = 1 + rng.uniform(0, 1) * np.sin(2 * np.pi * rng.uniform(1, 14) * time)
    return _harmonic(hz * 2 ** (vibrato / 12), _timbre(rng)) * tremolo


@kind("tones")
def synth_tone(rng: np.random.Generator, n: int) -> np.ndarray:
    """The tones of ``eavctl synth``."""
    names = list(tones.CLASSES)
    made = tones.tone(tones.CLASSES[names[rng.integers(len(names))]], rng)
    places = np.arange(min(n, int(len(made) / tones.RATE * RATE))) * tones.RATE / RATE
    return np.interp(places, np.arange(len(made)), made)


@kind("tones")
def sweep(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tone that glides, once or again and again."""
    low, high = np.exp(rng.uniform(np.log(60), np.log(5000), 2))
    repeats = rng.integers(1, 8)
    hz = np.geomspace(low, high, n // repeats + 1)
    hz = np.concatenate([hz, hz[::-1]]) if rng.random() < 0.5 else hz
    return _harmonic(np.resize(hz, n), _timbre(rng, 10))


@kind("tones")
def hum(rng: np.random.Generator, n: int) -> np.ndarray:
    """Hum of the mains."""
    mains = rng.choice([50.0, 60.0, 100.0, 120.0])
    return _harmonic(np.full(n, mains), _timbre(rng, 40)) + rng.uniform(0, 0.3) * colored(rng, n, 1)


@kind("tones")
def beeps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Tones of a few frequencies that follow each other."""
    hz, timbre = rng.uniform(200, 3500, rng.integers(1, 6)), _timbre(rng, 8)

    def beep() -> np.ndarray:
        length = int(RATE * rng.uniform(0.05, 0.4))
        return _harmonic(np.full(length, rng.choice(hz)), timbre) * _envelope(rng, length, plucked=False)

    return _events(rng, n, rng.uniform(1, 8), beep, regular=bool(rng.random() < 0.7))


@kind("tones")
def telephone_keys(rng: np.random.Generator, n: int) -> np.ndarray:
    """Pairs of tones."""
    total, length = np.zeros(n), int(RATE * rng.uniform(0.08, 0.4))
    for start in range(0, n, int(length * rng.uniform(1.1, 2))):
        low, high = rng.choice([697.0, 770.0, 852.0, 941.0]), rng.choice([1209.0, 1336.0, 1477.0])
        time = _time(length)
        _put(total, np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time), start)
    return total + 1e-4 * rng.normal(size=n)


@kind("tones")
def siren(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tone that rises and falls, or changes between two."""
    low, rise, rate = rng.uniform(300, 900), rng.uniform(1.2, 2.5), rng.uniform(0.2, 6)
    wave = np.sin(2 * np.pi * rate * _time(n) + rng.uniform(0, 6))
    if rng.random() < 0.4:
        wave = np.sign(wave)
    return _harmonic(low * rise ** ((wave + 1) / 2), _timbre(rng, 12))


@kind("tones")
def alarm(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tone that is switched on and off."""
    hz, time = rng.uniform(400, 3500), _time(n)
    gate = (np.sin(2 * np.pi * rng.uniform(1, 10) * time) > rng.uniform(-0.6, 0.6)) * 1.0
    gate = np.convolve(gate, np.ones(80) / 80, "same")
    return _harmonic(np.full(n, hz), _timbre(rng, 6)) * gate + 1e-4 * rng.normal(size=n)


# --- music -------------------------------------------------------------------------------------------------

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 6, 7, 10))


def _note(
    rng: np.random.Generator, hz: float, length: int, timbre: np.ndarray, *, plucked: bool
) -> np.ndarray:
    depth = 0 if plucked else rng.choice([0, rng.uniform(0.1, 0.6)])
    vibrato = depth * np.sin(2 * np.pi * rng.uniform(4, 7) * _time(length))
    return _harmonic(hz * 2 ** (vibrato / 12), timbre) * _envelope(rng, length, plucked=plucked)


def _tune(rng: np.random.Generator, n: int, *, low: float, high: float, plucked: bool) -> np.ndarray:
    total, timbre, scale = np.zeros(n), _timbre(rng), SCALES[rng.integers(len(SCALES))]
    base, beat = np.exp(rng.uniform(np.log(low), np.log(high))), rng.uniform(0.1, 0.6)
    place, start = int(rng.integers(0, len(scale))), 0
    while start < n:
        length = int(RATE * beat * rng.choice([0.5, 1, 1, 2]))
        place = int(np.clip(place + rng.integers(-3, 4), -len(scale), 2 * len(scale)))
        octave, step = divmod(place, len(scale))
        hz = base * _semitones(12 * octave + scale[step])
        ring = int(length * (rng.uniform(1, 3) if plucked else rng.uniform(0.8, 1.05)))
        _put(total, rng.uniform(0.5, 1) * _note(rng, hz, ring, timbre, plucked=plucked), start)
        start += length
    return total


def _chords(rng: np.random.Generator, n: int, *, plucked: bool) -> np.ndarray:
    total, timbre = np.zeros(n), _timbre(rng, 12)
    base, length = np.exp(rng.uniform(np.log(80), np.log(400))), int(RATE * rng.uniform(0.3, 2))
    for start in range(0, n, length):
        root = rng.choice([0, 5, 7, 9, 3])
        for step in ((0, 4, 7), (0, 3, 7), (0, 4, 7, 10))[rng.integers(3)]:
            hz = base * _semitones(root + step) * (1 + 0.002 * rng.normal())
            _put(total, _note(rng, hz, length, timbre, plucked=plucked), start)
    return total


def _drums(rng: np.random.Generator, n: int) -> np.ndarray:
    total, step = np.zeros(n), int(RATE * rng.uniform(0.08, 0.3))
    pattern = rng.integers(0, 4, 8)
    for i, start in enumerate(range(0, n, step)):
        what = pattern[i % 8]
        length = int(RATE * 0.25)
        time = _time(length)
        if what == 1:
            sound = np.sin(2 * np.pi * np.cumsum(45 + 120 * np.exp(-time * 30)) / RATE) * np.exp(-time * 12)
        elif what == 2:
            sound = rng.normal(size=length) * np.exp(-time * rng.uniform(12, 30)) * 0.5
        else:
            sound = band(rng.normal(size=length), 4000, 7800) * np.exp(-time * 60) * (what == 3)
        _put(total, sound, start)
    return total


@kind("music")
def plucked(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tune of plucked notes."""
    return _tune(rng, n, low=80, high=700, plucked=True) + 1e-4 * rng.normal(size=n)


@kind("music")
def bowed(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tune of held notes."""
    return _tune(rng, n, low=80, high=700, plucked=False) + 1e-4 * rng.normal(size=n)


@kind("music")
def filtered_tune(rng: np.random.Generator, n: int) -> np.ndarray:
    """Notes through fixed resonances, as a wind instrument's body has."""
    total = _tune(rng, n, low=80, high=400, plucked=False)
    for hz in rng.uniform(300, 3400, 3):
        total = total + rng.uniform(0.3, 2) * _resonant(total, hz, rng.uniform(80, 300)) / 20
    return total + 1e-4 * rng.normal(size=n)


@kind("music")
def wah(rng: np.random.Generator, n: int) -> np.ndarray:
    """Notes through a resonance that moves with the beat."""
    total, step = _tune(rng, n, low=60, high=300, plucked=False), 400
    centre = 300 * 2 ** (1.5 + 1.4 * np.sin(2 * np.pi * rng.uniform(0.5, 4) * np.arange(0, n, step) / RATE))
    parts = [_resonant(total[i * step : (i + 1) * step], hz, 150) for i, hz in enumerate(centre)]
    return np.concatenate(parts)


@kind("music")
def chords(rng: np.random.Generator, n: int) -> np.ndarray:
    """Chords of three or four notes."""
    return _chords(rng, n, plucked=bool(rng.random() < 0.5)) + 1e-4 * rng.normal(size=n)


@kind("music")
def gliding(rng: np.random.Generator, n: int) -> np.ndarray:
    """A tune with glides between its notes, as a trombone or a theremin plays it."""
    count = max(int(n / RATE * rng.uniform(1, 5)), 2)
    notes = np.repeat(np.cumsum(rng.integers(-4, 5, count)), 2)
    starts = np.arange(count) / count
    places = np.sort(np.concatenate([starts, starts + rng.uniform(0.6, 0.95) / count]))
    hz = rng.uniform(100, 500) * 2 ** (np.interp(np.linspace(0, 1, n), places, notes) / 12)
    vibrato = rng.uniform(0, 0.5) * np.sin(2 * np.pi * rng.uniform(4, 7) * _time(n))
    return _harmonic(hz * 2 ** (vibrato / 12), _timbre(rng))


@kind("music")
def ensemble(rng: np.random.Generator, n: int) -> np.ndarray:
    """Tune, chords, bass and drums."""
    parts = [
        _tune(rng, n, low=200, high=600, plucked=bool(rng.random() < 0.5)),
        _chords(rng, n, plucked=bool(rng.random() < 0.5)),
        _tune(rng, n, low=40, high=80, plucked=True),
        _drums(rng, n),
    ]
    weights = rng.uniform(0, 1, 4) * (rng.random(4) < 0.8)
    weights[rng.integers(4)] += 0.5
    mixed = [weight * part / max(part.std(), 1e-6) for weight, part in zip(weights, parts, strict=True)]
    return np.sum(mixed, axis=0) + 1e-4 * rng.normal(size=n)


# --- blows -------------------------------------------------------------------------------------------------


@kind("blows")
def clicks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Clicks, evenly or by chance."""

    def click() -> np.ndarray:
        return rng.uniform(0.2, 1) * rng.normal(size=60) * np.exp(-np.arange(60) / rng.uniform(2, 15))

    return _events(rng, n, rng.uniform(0.5, 20), click, regular=bool(rng.random() < 0.5))


@kind("blows")
def knocks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Blows on something that resounds."""
    hz, width = rng.uniform(80, 1200, 3), rng.uniform(15, 200)

    def knock() -> np.ndarray:
        hit = np.zeros(int(RATE * 0.4))
        hit[: rng.integers(5, 80)] = rng.normal()
        return rng.uniform(0.3, 1) * sum(_resonant(hit, each, width) for each in hz)

    return _events(rng, n, rng.uniform(1, 7), knock, regular=bool(rng.random() < 0.6))


@kind("blows")
def steps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Steps: bursts of noise."""
    low = rng.uniform(60, 1000)

    def step() -> np.ndarray:
        length = int(RATE * rng.uniform(0.05, 0.35))
        noise = band(rng.normal(size=length), low, min(low * rng.uniform(2, 8), 7900))
        return noise * _envelope(rng, length, plucked=True) * rng.uniform(0.4, 1)

    return _events(rng, n, rng.uniform(1, 6), step, regular=bool(rng.random() < 0.6))


@kind("blows")
def drums(rng: np.random.Generator, n: int) -> np.ndarray:
    """Drums in a pattern."""
    return _drums(rng, n) + 1e-4 * rng.normal(size=n)


@kind("blows")
def bells(rng: np.random.Generator, n: int) -> np.ndarray:
    """Inharmonic tones that decay."""
    ratios = np.sort(rng.uniform(1, 8, rng.integers(3, 9)))

    def bell() -> np.ndarray:
        length, base = int(RATE * rng.uniform(0.3, 2)), rng.uniform(150, 1500)
        time = _time(length)
        rings = [np.sin(2 * np.pi * base * r * time) * np.exp(-time * rng.uniform(1, 10)) for r in ratios]
        return np.sum(rings, axis=0)

    return _events(rng, n, rng.uniform(0.5, 5), bell, regular=False)


@kind("blows")
def crash(rng: np.random.Generator, n: int) -> np.ndarray:
    """A slam or a shot, and its decay."""
    time = _time(n)
    noise = colored(rng, n, rng.uniform(0, 2)) * np.exp(-time * rng.uniform(1.5, 15))
    start = int(rng.uniform(0, 0.3) * n)
    return np.concatenate([np.zeros(start), noise])[:n] + 1e-4 * rng.normal(size=n)


# --- engines -----------------------------------------------------------------------------------------------


@kind("engines")
def engine(rng: np.random.Generator, n: int) -> np.ndarray:
    """An engine that runs unevenly."""
    hz = np.exp(rng.uniform(np.log(15), np.log(150))) * np.exp(rng.uniform(0, 0.5) * _slow(rng, n, 0.7))
    rough = 1 + rng.uniform(0, 0.6) * _slow(rng, n, 20)
    return _harmonic(hz, _timbre(rng, 60)) * rough + rng.uniform(0.02, 0.5) * colored(rng, n, 1.5)


@kind("engines")
def revving(rng: np.random.Generator, n: int) -> np.ndarray:
    """An engine whose speed rises and falls."""
    throttle = np.abs(np.sin(np.pi * rng.uniform(0.2, 1.5) * _time(n) + rng.uniform(0, 3)))
    hz = rng.uniform(25, 80) * (1 + rng.uniform(0.5, 5) * throttle)
    return _harmonic(hz, _timbre(rng, 60)) * (0.3 + throttle) + rng.uniform(0.02, 0.5) * colored(rng, n, 1)


@kind("engines")
def drill(rng: np.random.Generator, n: int) -> np.ndarray:
    """A whine with noise."""
    hz = rng.uniform(100, 900) * (1 + rng.uniform(0, 0.1) * _slow(rng, n, 3))
    return _harmonic(hz, _timbre(rng, 30)) + rng.uniform(0.1, 1) * rng.normal(size=n)


@kind("engines")
def rotor(rng: np.random.Generator, n: int) -> np.ndarray:
    """Blades that chop noise and a drone."""
    time, hz = _time(n), rng.uniform(4, 30)
    chop = np.exp(rng.uniform(1, 4) * (np.sin(2 * np.pi * hz * time) - 1))
    drone = _harmonic(np.full(n, rng.uniform(50, 200)), _timbre(rng, 20))
    return chop * colored(rng, n, rng.uniform(0.5, 2)) + rng.uniform(0, 0.5) * drone


@kind("engines")
def fan(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise with a whine."""
    whine = _harmonic(np.full(n, rng.uniform(80, 600)), _timbre(rng, 10))
    return colored(rng, n, rng.uniform(0.5, 2)) + rng.uniform(0, 0.5) * whine


# --- animals -----------------------------------------------------------------------------------------------


@kind("animals")
def birds(rng: np.random.Generator, n: int) -> np.ndarray:
    """Chirps."""
    base, timbre = rng.uniform(1500, 5000), _timbre(rng, 2)

    def chirp() -> np.ndarray:
        length = int(RATE * rng.uniform(0.03, 0.3))
        hz = base * np.exp(0.3 * np.interp(np.linspace(0, 3, length), range(4), rng.normal(size=4)))
        return _harmonic(hz, timbre) * np.hanning(length) * rng.uniform(0.2, 1)

    return _events(rng, n, rng.uniform(1, 10), chirp, regular=bool(rng.random() < 0.4))


@kind("animals")
def barks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Short harsh calls whose pitch and resonances rise and fall together."""
    base, timbre, formants = rng.uniform(150, 900), _timbre(rng, 20), rng.uniform(500, 2500, 2)
    length = int(RATE * rng.uniform(0.08, 0.3))

    def bark() -> np.ndarray:
        arc = np.sin(np.linspace(0, np.pi, length)) ** 0.5
        rough = 1 + 0.03 * rng.normal(size=length).cumsum() / 40
        voice = _harmonic(base * (0.7 + 0.4 * arc) * rough, timbre)
        harsh = voice + rng.uniform(0.2, 2) * rng.normal(size=length) * voice.std()
        return rng.uniform(0.6, 1) * arc * sum(_resonant(harsh, hz, 200) for hz in formants)

    return _events(rng, n, rng.uniform(0.8, 4), bark, regular=bool(rng.random() < 0.6))


@kind("animals")
def crickets(rng: np.random.Generator, n: int) -> np.ndarray:
    """A high tone in pulses."""
    time = _time(n)
    pulse = np.clip(np.sin(2 * np.pi * rng.uniform(10, 60) * time), 0, 1)
    song = np.clip(np.sin(2 * np.pi * rng.uniform(0.5, 4) * time) + rng.uniform(0, 1), 0, 1)
    return np.sin(2 * np.pi * rng.uniform(2000, 6000) * time) * pulse * song + 0.01 * rng.normal(size=n)


@kind("animals")
def croaks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Pulse trains through fixed resonances."""
    formants, rate = rng.uniform(300, 3000, 2), rng.uniform(15, 90)
    length = int(RATE * rng.uniform(0.1, 0.6))

    def croak() -> np.ndarray:
        pulses = np.zeros(length)
        pulses[:: int(RATE / rate)] = 1
        return np.hanning(length) * sum(_resonant(pulses, hz, 150) for hz in formants)

    return _events(rng, n, rng.uniform(0.7, 3), croak, regular=bool(rng.random() < 0.5))


@kind("animals")
def calls(rng: np.random.Generator, n: int) -> np.ndarray:
    """Drawn-out calls of one shape, as a cow, an owl or a gull repeats them, through fixed resonances."""
    length, base = int(RATE * rng.uniform(0.3, 1.2)), np.exp(rng.uniform(np.log(120), np.log(1200)))
    contour = np.interp(np.linspace(0, 3, length), range(4), rng.normal(size=4)) * rng.uniform(1, 5)
    call = _harmonic(base * 2 ** (contour / 12), _timbre(rng, 15)) * np.hanning(length)
    for hz in rng.uniform(300, 2500, 2):
        call = call + _resonant(call, hz, 200) / 10

    return _events(rng, n, rng.uniform(0.5, 2), lambda: call * rng.uniform(0.5, 1), regular=True)


# --- devices -----------------------------------------------------------------------------------------------


@kind("devices")
def arcade(rng: np.random.Generator, n: int) -> np.ndarray:
    """Square waves that jump and glide, as early games make them."""
    total, start = np.zeros(n), 0
    while start < n:
        length = int(RATE * rng.uniform(0.04, 0.35))
        hz = np.geomspace(*rng.uniform(80, 2000, 2), length)
        square = np.sign(np.sin(2 * np.pi * np.cumsum(hz) / RATE))
        sound = square if rng.random() < 0.7 else rng.normal(size=length)
        _put(total, sound * _envelope(rng, length, plucked=bool(rng.random() < 0.5)), start)
        start += int(length * rng.uniform(1, 2))
    return total + 1e-4 * rng.normal(size=n)


@kind("devices")
def modem(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two frequencies that change by chance."""
    low, high = np.sort(rng.uniform(400, 3000, 2))
    length = int(RATE / rng.uniform(20, 1200)) + 1
    bits = np.repeat(rng.integers(0, 2, n // length + 1), length)[:n]
    return np.asarray(np.sin(2 * np.pi * np.cumsum(np.where(bits, high, low)) / RATE))


@kind("devices")
def machine(rng: np.random.Generator, n: int) -> np.ndarray:
    """A cycle of noises and tones that repeats: printers, washing machines, presses."""
    length = int(RATE * rng.uniform(0.15, 1.2))
    cycle = np.zeros(length)
    for _ in range(rng.integers(2, 6)):
        part = int(RATE * rng.uniform(0.02, 0.4))
        low = rng.uniform(80, 2500)
        noise = band(rng.normal(size=part), low, min(low * rng.uniform(1.5, 6), 7900))
        whir = _harmonic(np.full(part, rng.uniform(60, 900)), _timbre(rng, 10))
        _put(cycle, (noise if rng.random() < 0.6 else whir) * np.hanning(part), int(rng.integers(0, length)))
    return np.resize(cycle, n) + rng.uniform(0.001, 0.2) * cycle.std() * colored(rng, n, 1)


@kind("devices")
def static(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise that is switched on and off, and crackles."""
    switch = (_slow(rng, n, rng.uniform(1, 10)) > rng.uniform(-1, 1)) + rng.uniform(0, 0.3)
    crackle = (rng.random(n) < 20 / RATE) * rng.normal(0, 8, n)
    return switch * rng.normal(size=n) + crackle


@kind("devices")
def silence(rng: np.random.Generator, n: int) -> np.ndarray:
    """What a converter gives without input: dither, offset, a little hum."""
    noise = np.round(rng.uniform(0.3, 3) * rng.normal(size=n))
    return noise + rng.uniform(0, 2) * np.sin(2 * np.pi * 50 * _time(n))
