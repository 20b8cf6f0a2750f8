"""Faces of a video by ``eavctl extract --features faces --segment 5``, compared with a reference MTCNN.

Both decode in one thread and use the same weights. The reference converts every frame and searches all of it
for faces of at least 20 pixels; eavctl searches 25 frames of 5 s, near the last face first.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks.measure import RUNS, Result, Taken
from benchmarks.reference_mtcnn import Mtcnn
from eavctl.features.video import faces
from eavctl.signals.faces import detector, follow
from eavctl.signals.segments import cut
from eavctl.signals.video import VideoSpan, open_video
from eavctl.synthetic.twin_face import HEIGHT, WIDTH, draw_looks, film
from eavctl.synthetic.twin_files import mp4_bytes

FPS, SECONDS, SEGMENT_S = 30, 20, 5
EVERY = 6  # frames: 25 frames of 5 s are searched
GOAL = 15
SIDE = 56  # of crops, pixels


@dataclass(frozen=True)
class Searched:
    """Result of the reference: seconds for decoding and for searching, and the frames that show a face."""

    decoding: float
    searching: float
    has_face: np.ndarray


def measure(small: bool = False) -> list[Result]:
    """Measure the faces of 20 s of 640x480 video.

    Raises
    ------
    AssertionError : the reference finds a face in a frame in which eavctl finds none.
    """
    seconds, runs = (1, 1) if small else (SECONDS, RUNS)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            path.write_bytes(made_up(seconds))
            return _measured(path, seconds, runs)
    finally:
        torch.set_num_threads(n_threads)


def made_up(seconds: int) -> bytes:
    """A synthetic speaking person, with another pose in each frame, as an MP4 file."""
    rng = np.random.default_rng(0)
    pictures = film(draw_looks(rng), np.zeros(5), FPS * seconds, speaks=True, rng=rng)
    return mp4_bytes(pictures, (WIDTH, HEIGHT), fps=FPS, hold=1, n_frames=FPS * seconds)


def with_eavctl(path: Path) -> None:
    """Compute the faces of every segment."""
    with open_video(path) as file:
        for start, end in cut(file.duration, SEGMENT_S):
            faces(VideoSpan(file, start, end), file.fps, n_frames=_n_frames(end - start), size=SIDE)


def by_the_textbook(path: Path, find: Mtcnn) -> Searched:
    """Decode every frame to RGB, and search every sixth; both are timed separately."""
    searching, has_face, start = 0.0, [], time.perf_counter()
    with av.open(path) as file:
        file.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(file.decode(video=0)):
            picture = frame.to_ndarray(format="rgb24", threads=1)
            if number % EVERY == 0:
                before = time.perf_counter()
                has_face.append(len(find.detect(picture)) > 0)
                searching += time.perf_counter() - before
    return Searched(time.perf_counter() - start - searching, searching, np.array(has_face))


def _measured(path: Path, seconds: int, runs: int) -> list[Result]:
    find, ours, theirs = Mtcnn(), [], []
    for _ in range(runs + 1):
        start = time.perf_counter()
        with_eavctl(path)
        ours.append(time.perf_counter() - start)
        theirs.append(by_the_textbook(path, find))
    taken = Taken(statistics.median(ours[1:]))  # the first run of each does not count
    same = Taken(statistics.median(run.decoding + run.searching for run in theirs[1:]))
    every = Taken(statistics.median(run.decoding + EVERY * run.searching for run in theirs[1:]))
    what = f"faces of {seconds} s of {WIDTH}x{HEIGHT} video, 5 a second"
    beside = "MTCNN in torch at its defaults, every frame decoded"
    n_looked = len(theirs[0].has_face)
    note = f"it searched every sixth frame, and the time for that counts {EVERY}-fold"
    return [
        Result(what, f"{beside} and searched", taken, every, goal=GOAL, note=note),
        Result(what, f"{beside}, {n_looked} searched", taken, same, note=_counted(path, theirs[0].has_face)),
    ]


def _counted(path: Path, has_face: np.ndarray) -> str:
    """The number of frames in which each found a face, of those that both searched."""
    with open_video(path) as file:
        tracks = [
            follow(VideoSpan(file, *span).frames(_n_frames(span[1] - span[0])), detector(), SIDE)
            for span in cut(file.duration, SEGMENT_S)
        ]
    is_found = np.concatenate([track.is_found for track in tracks])
    missed = np.flatnonzero(has_face & ~is_found)
    if len(missed):
        raise AssertionError(f"the reference finds a face in frames {EVERY * missed}, eavctl does not")
    return f"a face in {is_found.sum()} of {len(is_found)} frames, in {has_face.sum()} by the reference"


def _n_frames(seconds: float) -> int:
    return round(seconds * FPS / EVERY)
