"""Interleaved measurement of two implementations: time, and peak memory of whole processes."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 5
CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Taken:
    """Medians over the runs: time in seconds, and for processes the peak memory in MB."""

    seconds: float
    peak_mb: float | None = None

    def __str__(self) -> str:
        time_taken = f"{self.seconds:.2f} s" if self.seconds >= 1 else f"{1e3 * self.seconds:.3g} ms"
        return time_taken if self.peak_mb is None else f"{time_taken}, {self.peak_mb:.0f} MB"


@dataclass(frozen=True)
class Latency:
    """One line of the table of latencies: how long single answers took.

    Parameters
    ----------
    what : was measured.
    p50, p95 : percentiles, in seconds.
    goals : intended percentiles; None where there is none.
    note : such as the stages.
    """

    what: str
    p50: float
    p95: float
    goals: tuple[float | None, float | None]
    note: str = ""

    @classmethod
    def of(
        cls, what: str, seconds: Sequence[float], goals: tuple[float | None, float | None], note: str = ""
    ) -> Latency:
        """The percentiles of at least one value; parameters are those of the class."""
        ordered = sorted(seconds)
        p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
        return cls(
            what, statistics.median(ordered), p95, goals, f"{len(ordered)} answers; {note}".rstrip("; ")
        )


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Parameters
    ----------
    what, beside : names of what was measured, and of the reference.
    ours, theirs : time and memory of each.
    goal, memory_goal : intended ratios of time and of memory, reference over ours.
    note : further findings, such as the agreement of the results.
    latencies : of single answers, where they were measured.
    """

    what: str
    beside: str
    ours: Taken
    theirs: Taken
    goal: float | None = None
    memory_goal: float | None = None
    note: str = ""
    latencies: tuple[Latency, ...] = ()

    @property
    def faster(self) -> float:
        """Ratio of the times, reference over ours."""
        return self.theirs.seconds / self.ours.seconds

    @property
    def smaller(self) -> float | None:
        """Ratio of the memory, reference over ours; None if it was not measured."""
        if self.ours.peak_mb is None or self.theirs.peak_mb is None:
            return None
        return self.theirs.peak_mb / self.ours.peak_mb


def calls(ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> tuple[Taken, Taken]:
    """Time two functions in this process, interleaved; the warm-up run counts only if ``runs`` is 0."""
    taken: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        for times, work in zip(taken, (ours, theirs), strict=True):
            start = time.perf_counter()
            work()
            if run or not runs:
                times.append(time.perf_counter() - start)
    return Taken(statistics.median(taken[0])), Taken(statistics.median(taken[1]))


def commands(
    ours: Sequence[str],
    theirs: Sequence[str],
    runs: int,
    *,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> tuple[Taken, Taken]:
    """Time two commands as processes, interleaved, after a warm-up run, as in `calls`.

    Parameters
    ----------
    ours, theirs : the commands, see `command_once`.
    runs : number of runs of each.
    environment : environment variables besides those of this process.
    before : called before each run, such as to remove a cache.

    Returns
    -------
    Medians; the peak memory is that of the process of the command or of its largest child.
    """
    taken: tuple[list[Taken], list[Taken]] = ([], [])
    for run in range(runs + 1):
        for each, command in zip(taken, (ours, theirs), strict=True):
            before()
            one = command_once(command, environment)
            if run or not runs:
                each.append(one)
    return _median(taken[0]), _median(taken[1])


def command_once(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Taken:
    """Run a command as a process; ``python`` stands for this interpreter.

    Raises
    ------
    RuntimeError : the command failed.
    """
    full = [sys.executable if part == "python" else part for part in command]
    variables = {**os.environ, **(environment or {})}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise only eavctl would be compiled in each run
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(CHILD), *full], capture_output=True, text=True, env=variables
    )
    found = json.loads(done.stdout) if done.stdout else {"code": done.returncode}
    if found["code"]:
        raise RuntimeError(f"{' '.join(full)} ended with {found['code']}:\n{done.stderr}")
    return Taken(found["seconds"], found["peak_mb"])


def _median(taken: Sequence[Taken]) -> Taken:
    peaks = [each.peak_mb for each in taken if each.peak_mb is not None]
    return Taken(statistics.median(each.seconds for each in taken), statistics.median(peaks))
