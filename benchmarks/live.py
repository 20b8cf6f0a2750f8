"""Latency of ``eavctl live`` and ``eavctl serve``, beside the computing alone of a loaded `Predictor`.

A live latency is the time at which a line arrives, minus the time at which the last sample of its window was
captured, ``t_end``: both are on the machine's monotonic clock. Files are played at their own speed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

from benchmarks.measure import Latency, Result, Taken
from benchmarks.packaged import NAMES, SECONDS, packaged, syllables
from benchmarks.sound import RATE
from eavctl.extraction.open_recording import Signal
from eavctl.predicting.predictor import Predictor
from eavctl.signals import audio
from eavctl.signals.arrays import TimedFrames
from eavctl.signals.eeg import open_eeg
from eavctl.signals.video import open_video

EAVCTL = (sys.executable, "-m", "eavctl")
TRIALS = (2, 4)  # of the twin, which have all three modalities; they are played one after the other
N_FRAMES, MARGIN_S = 25, 2.0
CLIENTS = 20
LIVE_GOAL, SOUND_GOAL, SERVE_GOAL = (0.120, 0.250), (None, 0.060), (0.015, 0.040)
MOST_BY_MANY = 10  # the 95th percentile of 20 clients at once, over that of one alone


def measure(small: bool = False) -> list[Result]:
    """Measure three modalities, sound alone, and the service."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = [_three(folder, *((4.0, 2.0, 1) if small else (20.0, 5.0, len(TRIALS))))]
        for model in sorted(NAMES, reverse=True)[: 1 if small else None]:
            if not packaged(model).can_run:
                print(f"{model}: skipped, the weights of its encoder are not installed", file=sys.stderr)
                continue
            results.append(_sound(folder, model, 2 if small else 7))
            results.append(_service(folder, model, 2 if small else 60, 2 if small else CLIENTS))
    return results


# --- live -------------------------------------------------------------------------------------------------


def _three(folder: Path, seconds: float, window_s: float, n_trials: int) -> Result:
    """EEG, audio and video of a twin, judged by a small fusion."""
    model, twin = _fusion(folder, seconds, window_s), folder / "twin/subject1"
    arrived: list[float] = []
    for trial in TRIALS[:n_trials]:
        files = {name.lower(): next((twin / name).glob(f"{trial:03d}*")) for name in ("Audio", "Video")}
        eeg = twin / "EEG/subject1_eeg.mat"
        words = ["--eeg", f"{eeg}?trial={trial}", "--audio", files["audio"], "--video", files["video"]]
        times, stages = _lines(*words, "--model", model)
        arrived += times
    predictor = Predictor.load(model).for_windows()
    window = _window(eeg, trial, files["audio"], files["video"], window_s)
    alone = _times(lambda: predictor.judge_window(window), len(arrived))
    return _live("three modalities, tiny fusion", arrived, alone, LIVE_GOAL, stages)


def _fusion(folder: Path, seconds: float, window_s: float) -> Path:
    """A fusion of all three, trained on a twin for an epoch."""
    twin, model = folder / "twin", folder / "fusion.pt"
    _run("synth", "--layout", "eav", "--subjects", 2, "--trials", 10, "--seconds", seconds, "--out", twin)
    tables = []
    for features in ("eeg-epochs --set filter=causal", "logmel", "faces"):
        tables.append(folder / f"{features.partition(' ')[0]}.parquet")
        chosen = ["--features", *features.split(), "--segment", window_s]
        _run("extract", twin, *chosen, "--where", "task=speaking", "--out", tables[-1])
    training = "--size tiny --epochs 1 --folds 2 --protocol group-kfold --members 1 --device cpu"
    _run("train-fusion", *tables, *training.split(), "--out", model)
    return model


def _window(eeg: Path, trial: int, sound: Path, film: Path, window_s: float) -> dict[str, Signal]:
    """The last window of a trial, as arrays."""
    with open_eeg(eeg) as file:
        brain = file.read_raw(trial - 1)[:, -round((window_s + MARGIN_S) * file.sfreq) :]
        of_eeg = Signal(brain, file.sfreq, file.ch_names, margin=brain.shape[1] / file.sfreq - window_s)
    signal, rate = audio.read(sound, RATE)
    with open_video(film) as video:
        pictures = list(video.frames(video.duration - window_s, video.duration, N_FRAMES))
    times = np.arange(N_FRAMES) * window_s / N_FRAMES
    frames = TimedFrames("film", times.tolist(), pictures, window_s)
    return {
        "eeg": of_eeg,
        "audio": Signal(signal[-round(window_s * rate) :], rate),
        "video": Signal(frames, N_FRAMES / window_s),
    }


def _sound(folder: Path, model: str, n_clips: int) -> Result:
    """Sound alone, a clip again and again, judged by a packaged model."""
    path, predictor = folder / "talk.wav", Predictor.load(model).for_windows()
    talk = np.tile(syllables(), n_clips)
    soundfile.write(path, talk, RATE)
    arrived, stages = _lines("--audio", path, "--model", model, "--hop", 0.5)
    window = {"audio": Signal(talk[: round(predictor.window_s * RATE)], RATE)}
    alone = _times(lambda: predictor.judge_window(window), len(arrived))
    return _live(f"sound, packaged model {model}", arrived, alone, SOUND_GOAL, stages)


def _lines(*words: object) -> tuple[list[float], str]:
    """Latencies of the lines of ``eavctl live``, and what its summary says of the stages."""
    command = [*EAVCTL, "live", *map(str, words), "--quality", "fixed", "--json"]
    arrived = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            now, answer = time.monotonic(), json.loads(line)
            if answer["pred"] is not None:
                arrived.append(now - answer["t_end"])
        *_, said = process.stderr.read().splitlines() or [""]
    if process.returncode or not arrived:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said}")
    return arrived, said.partition(": ")[2]


def _live(
    what: str,
    arrived: Sequence[float],
    alone: Sequence[float],
    goal: tuple[float | None, float],
    stages: str,
) -> Result:
    latency = Latency.of(f"live: {what}", arrived, goal, f"ms by stage of the last run, p50 / p95: {stages}")
    return _result(f"live, {what}: capture to the printed line", alone, (latency,))


# --- the service ------------------------------------------------------------------------------------------


def _service(folder: Path, model: str, n_posts: int, n_clients: int) -> Result:
    """A clip posted by one client, and by many at once."""
    clip = folder / "clip.wav"
    soundfile.write(clip, syllables(), RATE)
    content, predictor = clip.read_bytes(), Predictor.load(model)
    with _serving(model) as address, ThreadPoolExecutor(n_clients) as clients:
        path = f"/v2/models/{model}/infer"
        _posts(address, path, content, 4)  # both workers, warm
        alone = _posts(address, path, content, n_posts)
        each = [
            clients.submit(_posts, address, path, content, max(n_posts // 10, 1)) for _ in range(n_clients)
        ]
        many = [seconds for posts in each for seconds in posts.result()]
    what = f"serve: a clip of {SECONDS:g} s, packaged model {model}"
    one = Latency.of(f"{what}, one client", alone, SERVE_GOAL)
    most = MOST_BY_MANY * one.p95
    together = Latency.of(f"{what}, {n_clients} clients at once", many, (None, most), "no error")
    computing = _times(lambda: list(predictor.judge(predictor.find(clip))), n_posts)
    return _result(f"{what}, one client", computing, (one, together))


@contextlib.contextmanager
def _serving(model: str) -> Iterator[str]:
    """A service on a free port, by its host and port."""
    command = [*EAVCTL, "serve", "--model", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield urlsplit(process.stdout.readline().strip()).netloc
        finally:
            process.terminate()


def _posts(address: str, path: str, content: bytes, n_posts: int) -> list[float]:
    """Seconds of requests that follow each other on one connection.

    Raises
    ------
    RuntimeError : one was not answered.
    """
    taken = []
    with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        for _ in range(n_posts):
            began = time.perf_counter()
            connection.request("POST", path, content, {"Content-Type": "audio/wav"})
            answer = connection.getresponse()
            said = answer.read()
            taken.append(time.perf_counter() - began)
            if answer.status != 200:
                raise RuntimeError(f"{path} was answered with {answer.status}: {said.decode()[:200]}")
    return taken


# --- both -------------------------------------------------------------------------------------------------


def _times(work: Callable[[], object], n: int) -> list[float]:
    """Seconds of calls, after one that does not count."""
    work()
    taken = []
    for _ in range(n):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


def _result(what: str, alone: Sequence[float], latencies: tuple[Latency, ...]) -> Result:
    ours, theirs = Taken(latencies[0].p50), Taken(statistics.median(alone))
    return Result(what, "its computing alone, in one process", ours, theirs, latencies=latencies)


def _run(*words: object) -> None:
    """Run a command of eavctl.

    Raises
    ------
    RuntimeError : it failed.
    """
    command = [*EAVCTL, *map(str, words), "--quiet"]
    variables: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
