"""``python -m benchmarks [NAME ...]``: ratios of interleaved measurements of eavctl and a reference."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.measure import Latency, Result
from eavctl.storage.provenance import versions

NAMES = (
    "recordings",
    "packaged",
    "sound",
    "eeg",
    "eegnet",
    "faces",
    "loading",
    "pretraining",
    "fusion",
    "grounding",
    "live",
)
BY_NAME_ONLY = ("scale",)
PACKAGES = ("numpy", "scipy", "librosa", "scikit-learn", "torch", "pyarrow")
TITLES = ("what", "beside", "eavctl", "beside", "faster", "less memory", "goal", "")
LATENCY_TITLES = ("latency of", "p50", "p95", "goals", "")


def main() -> None:
    """Run the named benchmarks, by default all, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join((*NAMES, *BY_NAME_ONLY))}")
    parser.add_argument("--small", action="store_true", help="the smallest size: it runs, and says nothing")
    given = parser.parse_args()
    unknown = set(given.names) - {*NAMES, *BY_NAME_ONLY}
    if unknown:
        parser.error(f"unknown benchmark {min(unknown)!r}")
    latencies: list[Latency] = []
    print(machine(), end="\n\n")
    _print_titles(TITLES)
    for name in given.names or NAMES:
        for result in run(name, small=given.small):
            print(_line(_cells(result)), flush=True)
            latencies += result.latencies
    if latencies:
        print()
        _print_titles(LATENCY_TITLES)
        print(*(_line(_latency_cells(each)) for each in latencies), sep="\n")


def run(name: str, *, small: bool = False) -> list[Result]:
    """Run one benchmark, with one thread of numpy in this process."""
    with threadpool_limits(1):
        results: list[Result] = importlib.import_module(f"benchmarks.{name}").measure(small)
    return results


def machine() -> str:
    """A sentence about this machine."""
    found = [line for line in _cpuinfo() if line.startswith("model name")]
    model = found[0].partition(":")[2].strip() if found else platform.processor()
    packages = ", ".join(f"{name} {version}" for name, version in versions(*PACKAGES).items())
    return f"{len(found)} cores of {model}, {platform.system()} {platform.machine()}; {packages}."


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def _cells(result: Result) -> list[str]:
    less = result.smaller
    goals = [_goal(result.goal, ""), _goal(result.memory_goal, " memory")]
    return [
        result.what,
        result.beside,
        str(result.ours),
        str(result.theirs),
        _times(result.faster),
        "" if less is None else _times(less),
        ", ".join(filter(None, goals)),
        result.note,
    ]


def _latency_cells(latency: Latency) -> list[str]:
    goals = [f"{name} {_ms(goal)}" for name, goal in zip(("p50", "p95"), latency.goals, strict=True) if goal]
    return [latency.what, _ms(latency.p50), _ms(latency.p95), ", ".join(goals), latency.note]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms"


def _goal(goal: float | None, what: str) -> str:
    if goal is None:
        return ""
    return f"{goal:g}x{what}" if goal >= 1 else f"at most {1 / goal:.1f}x as much{what}"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 20 else f"{ratio:.1f}x" if ratio >= 1 else f"1/{1 / ratio:.1f}"


def _print_titles(titles: Sequence[str]) -> None:
    print(_line(titles), _line(["---"] * len(titles)), sep="\n", flush=True)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
