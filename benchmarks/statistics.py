"""``python -m benchmarks.statistics``: coverage of intervals, level of tests, and detection of leaks.

Simulated people differ in the accuracy of a model on them: these accuracies (skills) have a beta
distribution, or their logits a normal one. The score for infinitely many people is known, so the coverage of
the interval from a few people can be counted. One thread; the numbers are reproducible with the same version
of numpy.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import planted_leaks
from eavctl.evaluation import metrics
from eavctl.evaluation.intervals import SIGNIFICANT, Clusters, paired_difference, score_intervals
from eavctl.evaluation.summary import corrected

PEOPLE = (3, 4, 5, 6, 8, 16)
N_CLASSES = 4
COVERAGE = 0.93  # smallest acceptable coverage
REPEATS = 600  # per cell
MODELS = 4  # per report
LEAKS = 210  # random tables and manifests

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class People:
    """A population.

    Parameters
    ----------
    name : name of its line in the table.
    level : median skill (``logit``), or mean skill (``beta``).
    kind : ``beta``, ``logit``, or ``alike``: all have the same skill.
    spread : standard deviation, of the logits for ``logit``; of the skills, relative to the largest possible,
        for ``beta``.
    unequal : 20 to 100 clips per person and rare classes, instead of 10 clips per person and class.
    """

    name: str
    level: float
    kind: str = "alike"
    spread: float = 0.0
    unequal: bool = False

    @property
    def mean(self) -> float:
        """Mean skill of the population."""
        if self.kind != "logit":
            return self.level
        return float(_expit(_logit(self.level) + self.spread * _NODES) @ _WEIGHTS / _WEIGHTS.sum())

    def skills(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the skills of n people, (n,)."""
        if self.kind == "beta":
            total = 1 / self.spread**2 - 1
            return rng.beta(self.level * total, (1 - self.level) * total, n)
        if self.kind == "logit":
            return _expit(_logit(self.level) + self.spread * rng.normal(size=n))
        return np.full(n, self.level)

    def clips(self, n: int, rng: np.random.Generator) -> tuple[Clusters, np.ndarray]:
        """Clips of n people, as clusters, and their true classes."""
        sizes = rng.integers(20, 101, n) if self.unequal else np.full(n, 10 * N_CLASSES)
        of_row = np.repeat(np.arange(n), sizes)
        each = np.arange(len(of_row))
        truth = rng.choice(N_CLASSES, len(of_row), p=self.shares) if self.unequal else each % N_CLASSES
        return Clusters(of_row, n, "subjects", each), truth

    @property
    def shares(self) -> np.ndarray:
        """Frequencies of the classes, (n_classes,)."""
        return np.array([0.4, 0.3, 0.2, 0.1]) if self.unequal else np.full(N_CLASSES, 1 / N_CLASSES)

    @property
    def truths(self) -> dict[str, float]:
        """The scores of infinitely many people."""
        wrong = (1 - self.mean) / (N_CLASSES - 1)
        confusion = self.shares[:, None] * np.where(np.eye(N_CLASSES), self.mean, wrong)
        return {"uar": self.mean, "macro_f1": float(metrics.macro_f1(confusion)), "accuracy": self.mean}


@dataclass(frozen=True)
class Pair:
    """Two models on the same people.

    Parameters
    ----------
    name : name of its line in the table.
    people : distribution of the mean skill of the two models.
    gain, spread : mean and standard deviation over people of the first minus the second model's skill.
    alike : share of clips that are equally hard for both models.
    """

    name: str
    people: People
    gain: float = 0.0
    spread: float = 0.0
    alike: float = 0.5


@dataclass(frozen=True)
class Cell:
    """A share of the repetitions, and the bound that it must keep within the error of the simulation."""

    share: float
    bound: float
    repeats: int
    at_least: bool

    @property
    def holds(self) -> bool:
        """Whether it is within two standard errors of the bound."""
        error = 2 * float(np.sqrt(self.bound * (1 - self.bound) / self.repeats))
        return self.share >= self.bound - error if self.at_least else self.share <= self.bound + error


Line = tuple[str, list[Cell]]


@dataclass(frozen=True)
class Part:
    """A table: the titles of its columns, and a function that computes its lines, one cell per column."""

    columns: tuple[str, ...]
    lines: Callable[[], Iterable[Line]]


LEVELS = {"chance": 0.25, "middle": 0.6, "ceiling": 0.95}
SPREADS = {
    "alike": ("alike", 0.0),
    "beta narrow": ("beta", 0.08),
    "beta wide": ("beta", 0.25),
    "logit narrow": ("logit", 0.25),
    "logit wide": ("logit", 0.8),
}
POPULATIONS = (
    *(
        People(f"{where}, {how}, unequal", level, *spread, unequal=True)
        for where, level in LEVELS.items()
        for how, spread in SPREADS.items()
    ),
    *(People(f"{where}, beta wide", level, *SPREADS["beta wide"]) for where, level in LEVELS.items()),
)
_MIDDLE = People("middle", 0.6, "logit", 0.8, unequal=True)
_CEILING = People("ceiling", 0.9, "beta", 0.15, unequal=True)
NULL_PAIRS = (
    Pair("no difference", _MIDDLE),
    Pair("no difference on average", _MIDDLE, spread=0.1),
    Pair("no difference, ceiling", _CEILING, alike=0.9),
)
GAINS = (
    Pair("0.08 better", _MIDDLE, gain=0.08),
    Pair("0.08 better on average", _MIDDLE, gain=0.08, spread=0.1, alike=0.9),
    Pair("0.05 better, ceiling", _CEILING, gain=0.05),
)


# --- the parts --------------------------------------------------------------------------------------------


def coverage(people: People, n: int, repeats: int, seed: int = 0) -> dict[str, float]:
    """Coverage of the intervals from n people, for each score."""
    rng = np.random.default_rng([seed, n])
    truths, hits = people.truths, dict.fromkeys(people.truths, 0)
    for _ in range(repeats):
        clusters, truth = people.clips(n, rng)
        predicted = _predicted(truth, people.skills(n, rng)[clusters.of_row], rng)
        for name, interval in score_intervals(clusters, truth, predicted, N_CLASSES).items():
            hits[name] += _holds(interval, truths[name])
    return {name: count / repeats for name, count in hits.items()}


def compared(pair: Pair, n: int, repeats: int, seed: int = 0) -> tuple[float, float]:
    """Coverage of the interval of the difference, and share of p values below 0.05."""
    rng = np.random.default_rng([seed, n])
    expected = _mean_gain(pair)
    hits = small = 0
    for _ in range(repeats):
        clusters, truth = pair.people.clips(n, rng)
        skills = pair.people.skills(n, rng)
        half = (pair.gain + pair.spread * rng.normal(size=n)) / 2
        chances = [np.clip(skills + sign * half, 0, 1)[clusters.of_row] for sign in (1, -1)]
        first, second = _together(truth, chances, pair.alike, rng)
        found = paired_difference(clusters, truth, first, second, N_CLASSES)
        hits += _holds(found.interval, expected)
        small += found.p_value < SIGNIFICANT
    return hits / repeats, small / repeats


def wrong_pages(people: People, n: int, repeats: int, seed: int = 0) -> float:
    """Share of reports on equally good models that call one better than another."""
    rng = np.random.default_rng([seed, n])
    wrong = 0
    for _ in range(repeats):
        clusters, truth = people.clips(n, rng)
        skills = people.skills(n, rng)[clusters.of_row]
        models = _together(truth, [skills] * MODELS, 0.5, rng)
        wrong += any(each["better"] or each["worse"] for each in _page(clusters, truth, models))
    return wrong / repeats


def score_lines(people: Sequence[int], repeats: int) -> Iterable[Line]:
    """Coverage of UAR, macro F1 and accuracy in every population."""
    for population in POPULATIONS:
        found = [coverage(population, n, repeats) for n in people]
        for name in population.truths:
            cells = [Cell(each[name], COVERAGE, repeats, at_least=True) for each in found]
            yield f"coverage of {name}: {population.name}", cells


def pair_lines(people: Sequence[int], repeats: int) -> Iterable[Line]:
    """Coverage of differences, and level of the permutation test."""
    for pair in (*NULL_PAIRS, *GAINS):
        found = [compared(pair, n, repeats) for n in people]
        cells = [Cell(covered, COVERAGE, repeats, at_least=True) for covered, _ in found]
        yield f"coverage of differences: {pair.name}", cells
        if pair in NULL_PAIRS:
            cells = [Cell(small, SIGNIFICANT, repeats, at_least=False) for _, small in found]
            yield f"exchange test, p < 0.05: {pair.name}", cells


def page_lines(people: Sequence[int], repeats: int) -> Iterable[Line]:
    """Share of reports on equally good models that call one of them better."""
    shares = [wrong_pages(_MIDDLE, n, repeats) for n in people]
    cells = [Cell(share, SIGNIFICANT, repeats, at_least=False) for share in shares]
    yield f"any of {MODELS} equal models called better", cells


def leak_lines(n: int) -> Iterable[Line]:
    """Share of planted leaks that are found, and of clean tables that are accepted; all must be 100 %."""
    for outcome in planted_leaks.run(n):
        yield outcome.kind, [Cell(outcome.right / outcome.n, 1.0, outcome.n, at_least=True)]


_COLUMNS = tuple(f"{n} people" for n in PEOPLE)
PARTS = (
    Part(_COLUMNS, functools.partial(score_lines, PEOPLE, REPEATS)),
    Part(_COLUMNS, functools.partial(pair_lines, PEOPLE, REPEATS)),
    Part(_COLUMNS, functools.partial(page_lines, PEOPLE, REPEATS)),
    Part(("as it should be",), functools.partial(leak_lines, LEAKS)),
)


def main() -> int:
    """Print tables in Markdown; 1 if a cell misses its bound, which is marked with an exclamation mark."""
    missed = 0
    for part in PARTS:
        print(f"| | {' | '.join(part.columns)} |", "|---" * (len(part.columns) + 1) + "|", sep="\n")
        for title, cells in part.lines():
            missed += sum(not cell.holds for cell in cells)
            texts = [f"{cell.share:.1%}" + ("" if cell.holds else " !") for cell in cells]
            print(f"| {title} | {' | '.join(texts)} |", flush=True)
        print()
    bounds = f"coverage {COVERAGE:.0%}, level {SIGNIFICANT:.0%}, leaks 100%"
    print(f"cells that miss their bound ({bounds}): {missed}")
    return 1 if missed else 0


# --- the simulation ---------------------------------------------------------------------------------------


def _predicted(truth: np.ndarray, chance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Predictions that are correct with the given probabilities, and otherwise any other class."""
    wrong = (truth + rng.integers(1, N_CLASSES, len(truth))) % N_CLASSES
    return np.where(rng.random(len(truth)) < chance, truth, wrong)


def _together(
    truth: np.ndarray, chances: Sequence[np.ndarray], alike: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Predictions of several models, for which a share of the clips is equally hard."""
    common, is_common = rng.random(len(truth)), rng.random(len(truth)) < alike
    wrong = (truth + 1) % N_CLASSES
    return [
        np.where(np.where(is_common, common, rng.random(len(truth))) < chance, truth, wrong)
        for chance in chances
    ]


def _mean_gain(pair: Pair, n: int = 400_000) -> float:
    """The true mean difference: skills are clipped to 0 to 1, which changes it a little near 1."""
    rng = np.random.default_rng(0)
    skills = pair.people.skills(n, rng)
    half = (pair.gain + pair.spread * rng.normal(size=n)) / 2
    return float((np.clip(skills + half, 0, 1) - np.clip(skills - half, 0, 1)).mean())


def _page(clusters: Clusters, truth: np.ndarray, models: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """All pairs of models, corrected as a report corrects them."""
    found = [
        paired_difference(clusters, truth, one, other, N_CLASSES)
        for i, one in enumerate(models)
        for other in models[i + 1 :]
    ]
    return corrected([{"difference": d.interval.to_json(), "p_value": d.p_value} for d in found])


def _holds(interval: Any, value: float) -> bool:
    return bool(interval.low <= value <= interval.high)


def _expit(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


if __name__ == "__main__":
    sys.exit(main())
