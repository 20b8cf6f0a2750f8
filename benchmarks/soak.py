"""``python -m benchmarks.soak``: kill commands at random times.

After each kill, every output must be the old one, the new one or absent; after a signal that can be handled,
only the partial results that a later run resumes from may remain; and a later undisturbed run must give the
same bytes as a run without kills.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KILLS = 100
IN_A_ROW = 3  # most kills before an undisturbed run
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
INTERRUPTED = 130
LATE_SHARE = 0.6  # of the run time; half of the kills are later, when outputs are written
REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
PYTHON_BEGINS = "init_import_site"  # in the message of an interpreter that is interrupted at its start
RESUMED = ".parts"  # ending of the hidden folders from which a later run resumes
ENDING_S = 10.0  # time limit for the end of the workers of a killed process

MADE_BY = (
    "synth --per-class 8 --classes happy,sad,angry --seed 1 -o dataset",
    "extract dataset -o feats.parquet",
    "extract dataset --features seed33 -o seed33.parquet",
    "extract dataset --features logmel --set n_mels=16 --set n_frames=32 -o mels.parquet",
    "train-svm feats.parquet -o svm.joblib --folds 2 --predictions preds.parquet",
    "train-svm seed33.parquet -o seed33.joblib --folds 2 --predictions seed33_preds.parquet",
)


@dataclass(frozen=True)
class Job:
    """A command to kill.

    Parameters
    ----------
    name : name of the job.
    line : arguments of the command; ``BASE`` stands for the folder of its inputs.
    older : a command that writes other content to the same outputs beforehand; empty if the command would
        refuse to overwrite them.
    program : the program that gets the arguments.
    """

    name: str
    line: str
    older: str = ""
    program: tuple[str, ...] = (sys.executable, "-m", "eavctl")

    def start(self, line: str, base: Path, folder: Path) -> subprocess.Popen[str]:
        """Start the program in a folder, in a new process group."""
        words = [word.replace("BASE", str(base)) for word in line.split()]
        return subprocess.Popen(
            [*self.program, *words],
            cwd=folder,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def run(self, line: str, base: Path, folder: Path) -> None:
        """Run the program undisturbed.

        Raises
        ------
        RuntimeError : it failed.
        """
        code, text = _ended(self.start(line, base, folder))
        if code:
            raise RuntimeError(f"'{line}' ended with {code}: {text}")


SMALL = "--epochs 2 --folds 2"
LATE = "fuse BASE/preds.parquet BASE/seed33_preds.parquet -o p.parquet --save f.joblib"
FEATURES = f"BASE/feats.parquet BASE/seed33.parquet --encoder mlp --encoder mlp {SMALL}"
EARLY = f"train-fusion {FEATURES} -o f.pt --predictions p.parquet"
ZERO_SHOT = f"zero-shot {FEATURES} --held-out sad -o p.parquet"
JOBS = (
    Job("init", "init project"),
    Job("synth", "synth --per-class 20 -o clips"),
    Job("synth eav", "synth --layout eav --subjects 1 --trials 10 --seconds 2 -o twin"),
    Job("synth eav -j 2", "synth --layout eav --subjects 2 --trials 10 --seconds 2 -o twin -j 2"),
    Job(
        "extract",
        "extract BASE/dataset -o f.parquet --rejected bad.csv",
        "extract BASE/dataset --where label=sad -o f.parquet --rejected bad.csv",
    ),
    Job(
        "extract -j 2",
        "extract BASE/dataset -o f.parquet -j 2",
        "extract BASE/dataset -o f.parquet --features seed33",
    ),
    Job(
        "train-svm",
        "train-svm BASE/feats.parquet -o m.joblib --predictions p.parquet --folds 2",
        "train-svm BASE/seed33.parquet -o m.joblib --predictions p.parquet --folds 2",
    ),
    Job(
        "train-dnn",
        f"train-dnn BASE/mels.parquet -o m.pt --predictions p.parquet {SMALL}",
        f"train-dnn BASE/mels.parquet -o m.pt --predictions p.parquet {SMALL} --seed 1",
    ),
    Job("fuse", f"{LATE} --method stacking", f"{LATE} --method weighted"),
    Job("train-fusion", EARLY, f"{EARLY} --seed 1"),
    Job("zero-shot", ZERO_SHOT, f"{ZERO_SHOT} --seed 1"),
    Job(
        "predict",
        "predict BASE/dataset --model BASE/svm.joblib -o p.parquet --rejected bad.csv",
        "predict BASE/dataset/happy --model BASE/svm.joblib -o p.parquet --rejected bad.csv",
    ),
    Job(
        "predict --plot",
        "predict BASE/dataset/sad/sad_sample_1.wav --model BASE/seed33.joblib --plot a.png",
        "predict BASE/dataset/sad/sad_sample_2.wav --model BASE/seed33.joblib --plot a.png",
    ),
    Job(
        "report",
        "report BASE/preds.parquet BASE/seed33_preds.parquet -o r.html",
        "report BASE/preds.parquet -o r.html",
    ),
)

Files = dict[str, bytes]


def main() -> int:
    """Kill commands and check their outputs; print a line per job, and every failure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    parser.add_argument("--only", help="one job")
    given = parser.parse_args()
    jobs = [job for job in JOBS if given.only in (None, job.name)]
    if not jobs:
        parser.error(f"no job is named {given.only!r}: {', '.join(job.name for job in JOBS)}")
    n_failures = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        base = Path(name, "base")
        make(base)
        for place, job in enumerate(jobs):
            n_kills = given.kills // len(jobs) + (place < given.kills % len(jobs))
            soaked = Soak(job, base, Path(name, str(place)))
            faults = soaked.kill(n_kills, random.Random(f"{given.seed} {job.name}"))
            n_failures += len(faults)
            counts = f"{soaked.n_missed:3} too late; outputs: {soaked.n_absent} absent, {soaked.n_old} old, "
            counts += f"{soaked.n_new} new; {len(faults)} failures"
            print(f"{job.name:18} {soaked.seconds:5.1f} s {n_kills:4} kills,{counts}", *faults, sep="\n  ")
    print(f"{given.kills} kills, {n_failures} failures")
    return int(n_failures > 0)


def make(base: Path) -> None:
    """Write the inputs of all jobs to a new folder."""
    base.mkdir()
    for line in MADE_BY:
        JOBS[0].run(line, base, base)
    (base / "dataset/sad/broken.wav").write_text("this is not sound")


class Soak:
    """One job, and its outputs without kills.

    Parameters
    ----------
    job : the command.
    base : folder of its inputs.
    folder : working folder, which is created.
    """

    def __init__(self, job: Job, base: Path, folder: Path) -> None:
        self.job, self.base, self.folder = job, base, folder
        self.n_missed = self.n_absent = self.n_old = self.n_new = 0
        folder.mkdir()
        self.old = self._outcome(job.older) if job.older else {}
        begun = time.monotonic()
        self.new = self._outcome(job.line)
        self.seconds = time.monotonic() - begun

    def kill(self, n_kills: int, rng: random.Random) -> list[str]:
        """Kill the command ``n_kills`` times, with undisturbed runs in between; returns the failures."""
        faults: list[str] = []
        left = n_kills
        while left:
            with tempfile.TemporaryDirectory(dir=self.folder) as name:
                before = self.old if rng.random() < 0.5 else {}
                for path, content in before.items():
                    Path(name, path).write_bytes(content)
                for _ in range(min(rng.randint(1, IN_A_ROW), left)):
                    left -= 1
                    faults += self._killed(Path(name), rng.choice(SIGNALS), self._moment(rng), before)
                    if _files(Path(name)) == self.new:
                        break  # the command has nothing left to do
                faults += self._ended_well(Path(name))
        return faults

    def _ended_well(self, folder: Path) -> Iterator[str]:
        """Let the command end, and yield the differences from a run without kills."""
        code, text = _ended(self._start(folder))
        if code:
            yield f"the run after the kills ended with {code}: {text.strip()}"
        yield from (f"after the last run: {fault}" for fault in _differences(_files(folder), self.new))

    def _moment(self, rng: random.Random) -> float:
        """Draw the time of a kill, in seconds from the start of the process."""
        return self.seconds * rng.uniform(LATE_SHARE if rng.random() < 0.5 else 0.0, 1.05)

    def _killed(self, folder: Path, signum: signal.Signals, moment: float, before: Files) -> Iterator[str]:
        """Start the command, kill it, and yield the failures."""
        yield from (
            f"{signum.name} after {moment:.2f} s: {fault}"
            for fault in self._faults(folder, signum, moment, before)
        )

    def _faults(self, folder: Path, signum: signal.Signals, moment: float, before: Files) -> Iterator[str]:
        process, begun = self._start(folder), time.monotonic()
        try:
            process.wait(moment)
            self.n_missed += 1
            self.seconds = min(self.seconds, time.monotonic() - begun)  # the machine was busier before
        except subprocess.TimeoutExpired:
            process.send_signal(signum)
        code, text = _ended(process)
        has_begun = PYTHON_BEGINS not in text  # otherwise no code of eavctl has run
        if (has_begun and code not in (0, INTERRUPTED, -signum)) or "bug:" in text:
            yield f"it ended with {code}: {text.strip()}"
        if code == INTERRUPTED and "Traceback" in text:
            yield f"it printed a traceback: {text.strip()}"
        if not _is_gone(process.pid):
            yield "a process that it started is still running"
        for path, content in _files(folder).items():
            if path in self.new:
                yield from self._judged(path, content, before)
            elif signum != signal.SIGKILL and RESUMED not in path:
                yield f"it left {path}"
        absent = self.new.keys() - _files(folder).keys()
        self.n_absent += len(absent)
        yield from (f"{path} is gone, and was there before" for path in absent & before.keys())

    def _judged(self, path: str, content: bytes, before: Files) -> Iterator[str]:
        is_new = content == self.new[path]
        self.n_new += is_new
        if not is_new and content == before.get(path):
            self.n_old += 1
        elif not is_new:
            yield f"{path} is neither old nor new"

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        return self.job.start(self.job.line, self.base, folder)

    def _outcome(self, line: str) -> Files:
        """The files that a command writes in an empty folder."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            self.job.run(line, self.base, Path(name))
            return _files(Path(name))


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its exit code, or its negative signal number, and its stderr."""
    assert process.stderr is not None
    with process:
        text = process.stderr.read()
    return process.returncode, text


def _is_gone(group: int) -> bool:
    """Whether every process of a group ends within a few seconds; the others are killed."""
    deadline = time.monotonic() + ENDING_S
    while _lives(group):
        if time.monotonic() > deadline:
            os.killpg(group, signal.SIGKILL)
            return False
        time.sleep(0.02)
    return True


def _lives(group: int) -> bool:
    """Whether a process group has a running process; a zombie counts as ended."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, found = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended just now
            continue
        if int(found) == group and state != "Z":
            return True
    return False


def _files(folder: Path) -> Files:
    """The content of every file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _differences(found: Files, expected: Files) -> Iterator[str]:
    yield from (f"{path} is left" for path in sorted(found.keys() - expected.keys()))
    yield from (f"{path} is absent" for path in sorted(expected.keys() - found.keys()))
    yield from (
        f"{path} is another"
        for path in sorted(found.keys() & expected.keys())
        if found[path] != expected[path]
    )


if __name__ == "__main__":
    sys.exit(main())
