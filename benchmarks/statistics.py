"""``python -m benchmarks.statistics``: whether intervals cover, tests keep their level, and leaks are found.

Made-up people differ in how often a model recognises them: these skills have a beta distribution, or their
logits a normal one. What the score would be with infinitely many people is known, so it can be counted how
often the interval of a few holds it. One thread; the numbers are the same in every run with the same numpy.
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
COVERAGE = 0.93  # intervals should cover as often at least
REPEATS = 600  # of each cell
MODELS = 4  # on a page
LEAKS = 210  # random tables and manifests

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class People:
    """A population.

    Parameters
    ----------
    name : of its line in the table.
    level : skill of the middle person (``logit``), or mean skill (``beta``).
    kind : ``beta``, ``logit``, or ``alike``: all have the same skill.
    spread : of ``logit`` the standard deviation of the logits; of ``beta`` that of the skills as a share of
        the greatest possible.
    unequal : 20 to 100 clips a person and rare classes, where otherwise each has 10 clips of every class.
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
        """Of n people, the chance that a clip is recognised, (n,)."""
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
        """How frequent the classes are, (n_classes,)."""
        return np.array([0.4, 0.3, 0.2, 0.1]) if self.unequal else np.full(N_CLASSES, 1 / N_CLASSES)

    @property
    def truths(self) -> dict[str, float]:
        """The scores of infinitely many people."""
        wrong = (1 - self.mean) / (N_CLASSES - 1)
        confusion = self.shares[:, None] * np.where(np.eye(N_CLASSES), self.mean, wrong)
        return {"uar": self.mean, "macro_f1": float(metrics.macro_f1(confusion)), "accuracy": self.mean}


@dataclass(frozen=True)
class Pair:
    """Two models on the same people: how much better the first is, on average and from person to person.

    Parameters
    ----------
    people : the skills that the two have in common.
    gain, spread : mean and standard deviation over people of the first's skill less the second's.
    alike : the share of clips that are as hard for the one as for the other.
    """

    name: str
    people: People
    gain: float = 0.0
    spread: float = 0.0
    alike: float = 0.5


@dataclass(frozen=True)
class Cell:
    """A share of repetitions, and the bound that it must keep but for the error of the simulation."""

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
    """A table: the titles of its columns, and what computes its lines, a cell for each column."""

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
    """How often the intervals of n people hold the score of the population, for each score."""
    rng = np.random.default_rng([seed, n])
    truths, hits = people.truths, dict.fromkeys(people.truths, 0)
    for _ in range(repeats):
        clusters, truth = people.clips(n, rng)
        predicted = _predicted(truth, people.skills(n, rng)[clusters.of_row], rng)
        for name, interval in score_intervals(clusters, truth, predicted, N_CLASSES).items():
            hits[name] += _holds(interval, truths[name])
    return {name: count / repeats for name, count in hits.items()}


def compared(pair: Pair, n: int, repeats: int, seed: int = 0) -> tuple[float, float]:
    """How often the interval of the difference holds the true one, and how often p is below 0.05."""
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
    """How often a page of equally good models says of any that it is better than another."""
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
    """Coverage of differences, and the level of the exchange test."""
    for pair in (*NULL_PAIRS, *GAINS):
        found = [compared(pair, n, repeats) for n in people]
        cells = [Cell(covered, COVERAGE, repeats, at_least=True) for covered, _ in found]
        yield f"coverage of differences: {pair.name}", cells
        if pair in NULL_PAIRS:
            cells = [Cell(small, SIGNIFICANT, repeats, at_least=False) for _, small in found]
            yield f"exchange test, p < 0.05: {pair.name}", cells


def page_lines(people: Sequence[int], repeats: int) -> Iterable[Line]:
    """How often a page of equal models calls one of them better."""
    shares = [wrong_pages(_MIDDLE, n, repeats) for n in people]
    cells = [Cell(share, SIGNIFICANT, repeats, at_least=False) for share in shares]
    yield f"any of {MODELS} equal models called better", cells


def leak_lines(n: int) -> Iterable[Line]:
    """How often a planted leak is found, or a clean table is not refused, by kind; each must be always."""
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
    """Rows recognised with their chances; the others are any other class."""
    wrong = (truth + rng.integers(1, N_CLASSES, len(truth))) % N_CLASSES
    return np.where(rng.random(len(truth)) < chance, truth, wrong)


def _together(
    truth: np.ndarray, chances: Sequence[np.ndarray], alike: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Predictions of several models, which find the same clips hard in a share of them."""
    common, is_common = rng.random(len(truth)), rng.random(len(truth)) < alike
    wrong = (truth + 1) % N_CLASSES
    return [
        np.where(np.where(is_common, common, rng.random(len(truth))) < chance, truth, wrong)
        for chance in chances
    ]


def _mean_gain(pair: Pair, n: int = 400_000) -> float:
    """The true difference: skills are held within 0 and 1, which moves it a little near the ceiling."""
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
