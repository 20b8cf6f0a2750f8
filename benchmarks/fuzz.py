"""``python -m benchmarks.fuzz``: run commands on damaged files of every kind.

A command must end with exit code 0 or 3 and a message: it must not crash, print a traceback, hang, use
gigabytes, or leave files behind. ``--only KIND --seed N`` repeats one case. Set ``OMP_NUM_THREADS=1``,
because each command is a fork, and a process with threads cannot be forked safely.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fuzz_files import REJECTED, Kind, kinds, make
from benchmarks.mutations import mutated
from eavctl.cli import start

CASES = 2000
# Imported before forking; further modules are found by running the commands on undamaged files.
PACKAGES = (
    "torch._dynamo", "mne", "pandas", "pyarrow.parquet", "sklearn.svm", "scipy.signal", "scipy.io", "av",
    "soundfile", "soxr", "h5py", "PIL.Image",
)  # fmt: skip
CPU_S, WALL_S = 20, 120  # the wall time is longer, because the machine may be busy
MEMORY = 2 << 30  # bytes of address space beyond that of a process with all imports
ACCEPTED, WRONG_USAGE, REFUSED = 0, 2, 3
STARTS_THREADS = "onnxruntime"  # when it is imported, so each command imports it for itself
HARMLESS_THREAD = "jemalloc_bg_thd"  # of Arrow's allocator, which is safe to fork
COMPLAINT = re.compile(r"^(Traceback|bug:).*|.*\b(Error|Exception) ignored in\b.*", re.MULTILINE)
LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Ended:
    """The result of a command.

    Parameters
    ----------
    code : exit code, or the negative number of a signal.
    text : output on stdout and stderr.
    answer : hash of stdout and of the files in ``out/``.
    fault : description of a failure; empty if there is none.
    seconds : duration.
    """

    code: int
    text: str
    answer: str
    fault: str
    seconds: float


def main() -> int:
    """Damage files and judge how the commands end; print a table, and every failure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=CASES, help="damaged files in all")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="these kinds of files")
    parser.add_argument("--seed", type=int, help="one case of that kind, whose files are kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        base = Path(folder, "base")
        base.mkdir()
        _import(PACKAGES)
        _apart(lambda: make(base))
        known = {kind.name: kind for kind in kinds(base)}
        unknown = [name for name in given.only or () if name not in known]
        if unknown:
            parser.error(f"no kind is named {unknown[0]!r}: {', '.join(known)}")
        chosen = [known[name] for name in given.only or known]
        if given.seed is not None:
            return _repeat(chosen[0], given.seed, base)
        counts = [given.cases // len(chosen) + (i < given.cases % len(chosen)) for i in range(len(chosen))]
        tallies = []
        for kind, count in zip(chosen, counts, strict=True):
            tallies.append(_fuzz(kind, range(count), base, Path(folder)))
            if not given.json:
                print(tallies[-1].line(), *tallies[-1].complaints(), sep="\n", flush=True)
    if given.json:
        print(json.dumps([tally.facts() for tally in tallies]))
    else:
        _summarise(tallies)
    return int(any(tally.failures for tally in tallies))


class _Tally:
    """The results of the cases of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.codes: collections.Counter[int] = collections.Counter()
        self.failures: list[tuple[int, str]] = []
        self.changed: list[int] = []
        self.slowest = 0.0

    def add(self, seed: int, ended: Ended, whole: Ended) -> None:
        self.codes[ended.code] += 1
        self.slowest = max(self.slowest, ended.seconds)
        if ended.fault:
            self.failures.append((seed, ended.fault))
        elif ended.code == ACCEPTED and self.kind.is_checked and ended.answer != whole.answer:
            self.changed.append(seed)

    @property
    def n_cases(self) -> int:
        return self.codes.total()

    def line(self) -> str:
        silent = f"{self.codes[ACCEPTED]:4} ({len(self.changed)} other)" if self.kind.is_checked else ""
        columns = (self.n_cases, self.codes[ACCEPTED], self.codes[REFUSED], len(self.failures))
        return (
            f"{self.kind.name:24}" + "".join(f"{n:10}" for n in columns) + f"{self.slowest:9.1f} s  {silent}"
        )

    def complaints(self) -> Iterator[str]:
        """Each failure with the command that repeats it."""
        for seed, fault in self.failures:
            yield f'python -m benchmarks.fuzz --only "{self.kind.name}" --seed {seed}: {fault}'

    def facts(self) -> dict[str, object]:
        return {
            "kind": self.kind.name,
            "cases": self.n_cases,
            "accepted": self.codes[ACCEPTED],
            "refused": self.codes[REFUSED],
            "failures": [{"seed": seed, "fault": fault} for seed, fault in self.failures],
            "is_checked": self.kind.is_checked,
            "changed": self.changed,
        }


def _summarise(tallies: Iterable[_Tally]) -> None:
    tallies = list(tallies)
    checked = [tally for tally in tallies if tally.kind.is_checked]
    n_failures = sum(len(tally.failures) for tally in tallies)
    print(f"\n{sum(tally.n_cases for tally in tallies)} damaged files, {n_failures} failures")
    if checked:
        n_cases = sum(tally.n_cases for tally in checked)
        accepted = sum(tally.codes[ACCEPTED] for tally in checked)
        changed = sum(len(tally.changed) for tally in checked)
        print(
            f"silent: of {n_cases} damaged tables and models {accepted} were accepted, and the answer of "
            f"{changed} is not that of the whole file"
        )


# --- cases ------------------------------------------------------------------------------------------------


def _fuzz(kind: Kind, seeds: range, base: Path, folder: Path) -> _Tally:
    tally, whole = _Tally(kind), _whole(kind, kind.commands[: len(seeds)], base, folder)
    for seed in seeds:
        ended = _case(kind, seed, base, folder / "case")
        tally.add(seed, ended, whole[seed % len(kind.commands)])
        shutil.rmtree(folder / "case")
    return tally


def _case(kind: Kind, seed: int, base: Path, case: Path) -> Ended:
    """Damage the file by the seed, and run the command that the seed selects."""
    rng = np.random.default_rng([zlib.crc32(kind.name.encode()), seed])
    content = (base / kind.path).read_bytes()
    unpack, pack = kind.repack or (bytes, bytes)
    damaged = pack(mutated(unpack(content), rng, kind.damages))
    return _run(kind, kind.commands[seed % len(kind.commands)], damaged, base, case)


def _whole(kind: Kind, commands: Iterable[str], base: Path, folder: Path) -> list[Ended]:
    """How commands end on the file as it is, after importing what they import.

    Raises
    ------
    RuntimeError : one does not end well.
    """
    ends = []
    for line in commands:
        case = folder / "case"
        ended = _run(kind, line, (base / kind.path).read_bytes(), base, case, learn=True)
        _import(json.loads((case / MODULES).read_text()))
        shutil.rmtree(case)
        if ended.code != ACCEPTED or ended.fault:
            raise RuntimeError(f"{kind.name}: '{line}' ended with {ended.code} {ended.fault}\n{ended.text}")
        ends.append(ended)
    return ends


def _repeat(kind: Kind, seed: int, base: Path) -> int:
    """Run one case, print all of its output, and keep its folder and the originals."""
    kept = Path(tempfile.mkdtemp(prefix="fuzz-kept-"))
    shutil.copytree(base, kept / "base")
    ended = _case(kind, seed, kept / "base", kept / "case")
    line = kind.commands[seed % len(kind.commands)].replace("{}", kind.path)
    print(ended.text, f"in {kept / 'case'}:", f"eavctl {line}".replace("BASE", str(kept / "base")), sep="\n")
    print(f"ended with {ended.code} after {ended.seconds:.1f} s", ended.fault)
    return int(bool(ended.fault))


# --- processes --------------------------------------------------------------------------------------------

MODULES, TEXT, ANSWER, TEMPORARY = ".modules", ".stderr", ".stdout", ".temporary"
OWN = (MODULES, TEXT, ANSWER, f"{TEMPORARY}/torchinductor_")  # the last is torch's own folder
RESUMED = re.compile(r"out/\.[^/]+\.parts(/[^./][^/]*)?")  # what a later run goes on from


def _run(kind: Kind, line: str, content: bytes, base: Path, case: Path, *, learn: bool = False) -> Ended:
    """Run a command on a file with the given content, in a new folder and in a fork of this process."""
    for name in ("out", TEMPORARY, Path(kind.path).parent, *(Path(each).parent for each in kind.beside)):
        (case / name).mkdir(parents=True, exist_ok=True)
    (case / kind.path).write_bytes(content)
    for each in kind.beside:
        if (base / each).is_dir():
            (case / each).symlink_to(base / each)
        else:
            shutil.copyfile(base / each, case / each)
    words = [word.replace("{}", kind.path).replace("BASE", str(base)) for word in line.split()]
    before = _listed(case)
    begun = time.monotonic()
    child = os.fork()
    if not child:
        _begin(words, case, learn)
    code, is_late = _wait(child)
    seconds = time.monotonic() - begun
    text = "".join((case / name).read_text(errors="replace") for name in (ANSWER, TEXT))
    written = {word for word in words if code == ACCEPTED or word == REJECTED}
    left = {path for path in _listed(case) - before - written if not path.startswith(OWN)}
    if code != ACCEPTED:
        left = {path for path in left if not RESUMED.fullmatch(path)}
    return Ended(code, text, _answer(case), _fault(kind, code, is_late, text, left), seconds)


def _fault(kind: Kind, code: int, is_late: bool, text: str, left: set[str]) -> str:
    """Description of what is wrong with the end of a command; empty if nothing is."""
    if is_late or code == -signal.SIGXCPU:
        return f"takes more than {CPU_S} s"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    complaint = COMPLAINT.search(text)
    if complaint:
        last = text.strip().splitlines()[-1] if complaint[0].startswith("Traceback") else ""
        return f"{complaint[0]} {last}".strip()[:LONGEST_SHOWN]
    if code not in (ACCEPTED, REFUSED) and not (code == WRONG_USAGE and kind.may_be_wrong_usage):
        return f"ended with {code}: {text.strip()}"[:LONGEST_SHOWN]
    return f"left {', '.join(sorted(left))}" if left else ""


def _begin(words: list[str], case: Path, learn: bool) -> None:
    """What a fork does: one command, within limits; it does not return."""
    code = start.BUG
    try:
        os.setsid()
        os.chdir(case)
        os.environ["TMPDIR"] = tempfile.tempdir = str(case / TEMPORARY)
        for descriptor, name in ((0, os.devnull), (1, ANSWER), (2, TEXT)):
            os.dup2(
                os.open(name, os.O_RDONLY if not descriptor else os.O_WRONLY | os.O_CREAT, 0o600), descriptor
            )
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        limit = MEMORY + _address_space()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        code = start.run(words)
        if learn:
            Path(MODULES).write_text(json.dumps([*sys.modules]))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> tuple[int, bool]:
    """The exit code of a fork, or minus its signal; and whether it had to be killed for its slowness."""
    deadline, is_late = time.monotonic() + WALL_S, False
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        is_late = time.monotonic() > deadline
        if is_late:
            os.killpg(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it started and left
    return os.waitstatus_to_exitcode(ended[1]), is_late


def _apart(work: Callable[[], object]) -> None:
    """Do something in a fork, so that no thread that it starts is here.

    Raises
    ------
    RuntimeError : it failed.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the whole files cannot be made")


def _import(names: Iterable[str]) -> None:
    """Import modules here, so that forks have them.

    Raises
    ------
    RuntimeError : there are threads.
    """
    for name in names:
        if name not in sys.modules and name.partition(".")[0] != STARTS_THREADS:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    if len(threads) - threads.count(HARMLESS_THREAD) > 1:
        raise RuntimeError("this process has threads, so forks of it could hang: set OMP_NUM_THREADS=1")


def _address_space() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _listed(folder: Path) -> set[str]:
    """Files below a folder, and folders other than those that every case has."""
    return {path.relative_to(folder).as_posix() for path in _walk(folder)}


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        yield from (Path(root, name) for name in (*names, *folders))


def _answer(case: Path) -> str:
    """A hash of what a command wrote to stdout and to ``out/``."""
    found = hashlib.blake2b((case / ANSWER).read_bytes())
    for path in sorted(path for path in _walk(case / "out") if path.is_file()):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
