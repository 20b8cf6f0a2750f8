"""``python -m benchmarks.speech_activity FOLDER...``: fit the rule that tells speech from other sounds.

Each folder is a corpus of speech. Its clips, as they are and altered, are set against the made-up sounds of
`benchmarks.sounds_without_speech`. Printed are the shares of speech lost, each corpus left out of the fit in
turn, and of other sounds accepted, each family left out; then the constants of
`eavctl.features.speech_activity`, fitted on all. With ``--check`` recordings of folders are judged by the
constants that are in the code: no fit.
"""

from __future__ import annotations

import itertools
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from benchmarks import sounds_without_speech as sounds
from eavctl.features import speech_activity
from eavctl.features.speech_activity import LONGEST_S, NAMES, WINDOW_S, holds_speech, measures, terms
from eavctl.signals import audio
from eavctl.signals.endings import modalities_of

RATE = 16000
ALTERATIONS_A_CLIP = 3
SOUNDS_A_KIND = 60
PENALTY = 0.1  # C of the logistic regression
LOST = {"as it is": 0.001, "noise 10 dB": 0.004, "telephone": 0.004, "room": 0.004}  # share of long clips
LOST_SHORT = 0.01  # of short ones
MARGINS = 3.0, 0.75  # log odds below that, short and long: corpora can differ more than these do
SEED = 9

Alteration = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Example(NamedTuple):
    """A signal's measures, and what it is: corpus and alteration, or family and kind."""

    group: str
    what: str
    seconds: float
    values: np.ndarray


def whispered(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The signal's spectral envelope on noise, as a whisper has it."""
    hop, length = 100, 400
    window = np.hanning(length + 1)[:-1]
    total = np.zeros(len(signal))
    for start in range(0, len(signal) - length, hop):
        power = np.square(np.abs(np.fft.rfft(signal[start : start + length] * window)))
        envelope = np.sqrt(np.convolve(power, np.ones(9) / 9, "same"))
        noise = np.fft.rfft(rng.normal(size=length) * window)
        low_cut = np.minimum(np.fft.rfftfreq(length, 1 / RATE) / 800, 1)
        total[start : start + length] += window * np.fft.irfft(noise * envelope * low_cut, length)
    return total


def short(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half a second to a second of the louder parts."""
    n = int(RATE * rng.uniform(0.5, 1))
    if len(signal) <= n:
        return signal
    energy = _energies(signal, n)
    start = rng.choice(np.flatnonzero(energy > 0.5 * energy.max()))
    return signal[start : start + n]


def _energies(signal: np.ndarray, n: int) -> np.ndarray:
    """Energy of the ``n`` samples from each one on."""
    running = np.cumsum(np.square(signal), dtype=np.float64)
    return running[n:] - running[:-n]


ALTERATIONS: dict[str, Alteration] = {
    "noise 10 dB": lambda signal, rng: sounds.with_noise(signal, 10, rng),
    "noise 5 dB": lambda signal, rng: sounds.with_noise(signal, 5, rng),
    "telephone": lambda signal, rng: sounds.band(signal, 300, 3400),
    "room": sounds.in_room,
    "short": short,
    "short, noise": lambda signal, rng: sounds.with_noise(short(signal, rng), rng.uniform(5, 20), rng),
    "whisper": lambda signal, rng: sounds.with_noise(whispered(signal, rng), rng.uniform(15, 40), rng),
    "all": lambda signal, rng: sounds.with_noise(
        sounds.band(sounds.in_room(signal, rng), 300, 3400), rng.uniform(8, 25), rng
    ),
}


def recordings(folder: Path) -> list[Path]:
    """The audio files below a folder, in order of their names."""
    return sorted(path for path in folder.rglob("*.*") if "audio" in modalities_of(path.name))


def speech(corpus: str, path: Path) -> list[Example]:
    """A clip as it is, and under alterations that are drawn."""
    signal = audio.read(path, RATE)[0]
    rng = np.random.default_rng([SEED, zlib.crc32(path.name.encode())])
    chosen = rng.choice(list(ALTERATIONS), ALTERATIONS_A_CLIP, replace=False)
    altered = {"as it is": signal, **{str(name): ALTERATIONS[name](signal, rng) for name in chosen}}
    return [_example(corpus, name, each) for name, each in altered.items()]


def other(family: str, name: str) -> list[Example]:
    """Sounds of a kind."""
    seed = zlib.crc32(name.encode())
    drawn = (sounds.draw(family, name, np.random.default_rng([SEED, seed, i])) for i in range(SOUNDS_A_KIND))
    return [_example(family, name, signal) for signal in drawn]


def _example(group: str, what: str, signal: np.ndarray) -> Example:
    if len(signal) > LONGEST_S * RATE:  # the part with most energy, as long as a window
        n = int(WINDOW_S * RATE)
        start = int(_energies(signal, n).argmax())
        signal = signal[start : start + n]
    return Example(group, what, len(signal) / RATE, measures(signal.astype(np.float32), RATE))


class Rule(NamedTuple):
    """Means and deviations of the measures, and weights of each and of its square, with a constant."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    constant: float

    def logits(self, examples: Sequence[Example]) -> np.ndarray:
        """Log odds of speech, shape (n_examples,)."""
        return terms(_values(examples), self.mean, self.scale) @ self.weights + self.constant


def fit(voices: Sequence[Example], others: Sequence[Example]) -> Rule:
    """Fit a logistic regression on the measures and their squares; both classes weigh the same."""
    from sklearn.linear_model import LogisticRegression

    values = _values(voices)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    x = terms(np.vstack([values, _values(others)]), mean, scale)
    y = np.repeat([1, 0], [len(voices), len(others)])
    fitted = LogisticRegression(C=PENALTY, max_iter=5000, class_weight="balanced").fit(x, y)
    return Rule(mean, scale, fitted.coef_[0], float(fitted.intercept_[0]))


def _values(examples: Sequence[Example]) -> np.ndarray:
    return np.stack([example.values for example in examples])


def _left_out(
    of: Sequence[Example], fitted_without: Callable[[str], Rule]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log odds of each example by a rule that was fitted without its group; with alterations and groups."""
    groups = np.array([example.group for example in of])
    logits = np.zeros(len(of))
    for group in dict.fromkeys(groups.tolist()):
        mine = np.flatnonzero(groups == group)
        logits[mine] = fitted_without(group).logits([of[i] for i in mine])
    return logits, np.array([example.what for example in of]), groups


def evaluate(voices: Sequence[Example], others: Sequence[Example]) -> tuple[float, float]:
    """Print what is lost and what accepted; return the least log odds for short and for long recordings."""
    logits, alterations, corpora = _left_out(
        voices, lambda corpus: fit([v for v in voices if v.group != corpus], others)
    )
    at_long = min(float(np.quantile(logits[alterations == name], share)) for name, share in LOST.items())
    at_short = float(np.quantile(logits[np.char.startswith(alterations, "short")], LOST_SHORT))
    at_short, at_long = at_short - MARGINS[0], at_long - MARGINS[1]
    seconds = np.array([example.seconds for example in voices])
    lost = logits < speech_activity.least_logit(seconds, at_short, at_long)
    for name in dict.fromkeys(alterations.tolist()):
        rows = alterations == name
        parts = (f"{corpus} {lost[rows & (corpora == corpus)].mean():.2%}" for corpus in np.unique(corpora))
        print(f"lost, {name}: {lost[rows].mean():.2%} of {rows.sum()} ({', '.join(parts)})")
    logits, _, families = _left_out(
        others, lambda family: fit(voices, [other for other in others if other.group != family])
    )
    seconds = np.array([example.seconds for example in others])
    least = speech_activity.least_logit(seconds, at_short, at_long)
    for family in np.unique(families):
        print(f"accepted, {family}: {(logits >= least)[families == family].mean():.1%}")
    inside = fit(voices, others).logits(others) >= least
    print(f"accepted, all: {(logits >= least).mean():.1%} left out, {inside.mean():.1%} fitted")
    return at_short, at_long


def constants(rule: Rule, at_short: float, at_long: float) -> Iterator[str]:
    """Lines of code for `eavctl.features.speech_activity`."""
    yield f"CONSTANT, AT_SHORT, AT_LONG = {rule.constant:.4g}, {at_short:.4g}, {at_long:.4g}"
    columns = (rule.mean, rule.scale, *np.split(rule.weights, 2))
    for name, *numbers in zip(NAMES, *columns, strict=True):
        yield f'    "{name}": ({", ".join(f"{number:.4g}" for number in numbers)}),'


def check(folders: Sequence[Path]) -> None:
    """Print the share of the recordings of each folder in which speech is found, by the code's constants."""
    for folder in folders:
        paths = recordings(folder)
        found = [holds_speech(*audio.read(path, RATE)) for path in paths]
        print(f"{folder}: speech in {sum(found)} of {len(found)}")


def main(words: Sequence[str]) -> None:
    """Fit and evaluate on the folders that are named, or ``--check`` them."""
    folders = [Path(word) for word in words if word != "--check"]
    if "--check" in words:
        check(folders)
        return
    jobs = [delayed(speech)(folder.name, path) for folder in folders for path in recordings(folder)]
    kinds = [delayed(other)(family, name) for family, names in sounds.KINDS.items() for name in names]
    made = Parallel(-1)([*jobs, *kinds])
    voices, others = (
        list(itertools.chain.from_iterable(part)) for part in (made[: len(jobs)], made[len(jobs) :])
    )
    at_short, at_long = evaluate(voices, others)
    print("\n".join(constants(fit(voices, others), at_short, at_long)))


if __name__ == "__main__":
    main(sys.argv[1:])
