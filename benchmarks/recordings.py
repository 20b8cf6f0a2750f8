"""`seed33` and a support vector machine as whole processes, compared with the scripts of a walk-through."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import RUNS, Result, command_once, commands

WALKTHROUGH = str(Path(__file__).with_name("reference_walkthrough.py"))
PER_CLASS = 50
COLD_RUNS = 9  # short, and noisier than the rest
EXTRACT_GOAL, PREDICT_GOAL, MEMORY_GOAL, NEW_GOAL, HELP_GOAL = 15, 20, 8, 100, 1 / 8


def measure(small: bool = False) -> list[Result]:
    """Measure extracting 200 clips, predicting one of them, and showing the help, each as a process."""
    runs, cold_runs = (0, 0) if small else (RUNS, COLD_RUNS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips, clip = str(folder / "clips"), str(folder / "clips/angry/angry_sample_1.wav")
        command_once(_eavctl("synth", "--per-class", "4" if small else str(PER_CLASS), "-o", clips))
        seed33, default, theirs = (str(folder / f"{each}.joblib") for each in ("seed33", "svm", "theirs"))
        tables = [str(folder / each) for each in ("seed33.parquet", "functionals.parquet", "theirs.npz")]
        results = [_extracting(clips, tables[0], tables[2], runs)]
        command_once(_eavctl("extract", clips, "-o", tables[1]))
        command_once(_eavctl("train-svm", tables[0], "-o", seed33))
        command_once(_eavctl("train-svm", tables[1], "-o", default))
        command_once(["python", WALKTHROUGH, "train", tables[2], theirs])
        walk = ["python", WALKTHROUGH, "predict", clip, theirs]
        results += [_predicting(clip, seed33, walk, cold_runs), _by_default(clip, default, walk, cold_runs)]
        results.append(_help(cold_runs))
        if not small:  # the walk-through takes half a minute to compile
            results.append(_on_a_new_machine(clip, seed33, walk, folder / "cache", runs))
    return results


def _eavctl(*arguments: str) -> list[str]:
    return ["python", "-m", "eavctl", *arguments]


def _extracting(clips: str, table: str, theirs: str, runs: int) -> Result:
    n_clips = len(list(Path(clips).glob("*/*.wav")))
    taken = commands(
        _eavctl("extract", clips, "--features", "seed33", "--jobs", "2", "--force", "-o", table),
        ["python", WALKTHROUGH, "extract", clips, theirs],
        runs,
    )
    what = f"extract --features seed33 --jobs 2, {n_clips} clips, whole process"
    return Result(what, "librosa, one call each, one process", *taken, goal=EXTRACT_GOAL)


def _predicting(clip: str, model: str, walk: list[str], runs: int) -> Result:
    taken = commands(_eavctl("predict", clip, "--model", model), walk, runs)
    return Result(
        "predict clip.wav, SVM on seed33, cold process",
        "walk-through: librosa, scikit-learn, joblib",
        *taken,
        goal=PREDICT_GOAL,
        memory_goal=MEMORY_GOAL,
    )


def _by_default(clip: str, model: str, walk: list[str], runs: int) -> Result:
    taken = commands(_eavctl("predict", clip, "--model", model), walk, runs)
    return Result(
        "predict clip.wav, SVM on functionals (default)",
        "the same walk-through",
        *taken,
        note="3415 features beside its 33",
    )


def _on_a_new_machine(clip: str, model: str, walk: list[str], cache: Path, runs: int) -> Result:
    """Predict with an empty cache of compiled code, as in the first run after an installation."""
    taken = commands(
        _eavctl("predict", clip, "--model", model),
        walk,
        runs,
        environment={"NUMBA_CACHE_DIR": str(cache)},
        before=lambda: shutil.rmtree(cache, ignore_errors=True),
    )
    return Result("predict clip.wav, nothing compiled yet", "the same walk-through", *taken, goal=NEW_GOAL)


def _help(runs: int) -> Result:
    taken = commands(_eavctl("--help"), ["python", "-c", "pass"], runs)
    return Result("eavctl --help", "an empty interpreter", *taken, goal=HELP_GOAL)
