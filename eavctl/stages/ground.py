"""A phrase and a picture or a film to where the phrase is."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from eavctl.extraction.recipe import noting
from eavctl.grounding.following import kept_track
from eavctl.grounding.model import GroundModel
from eavctl.packaged.models import GROUND
from eavctl.progress import Tick, silent
from eavctl.report import grounding_picture
from eavctl.signals.endings import is_picture
from eavctl.signals.still import read_picture
from eavctl.signals.video import open_video
from eavctl.storage import files
from eavctl.storage.ownership import Output, guard
from eavctl.storage.remote import local

RATE = 5.0  # frames a second of a film that are looked at
MOST_FRAMES = 1000
AT_ONCE = 16  # frames in memory
SHOWN = 12  # frames of a film that are drawn

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Moment:
    """What a frame of a film, or a picture, shows of the phrase.

    Parameters
    ----------
    time : seconds from the start; None of a picture.
    score : probability that the phrase fits something.
    box : left, top, right, bottom in pixels; None where nothing fits, or where the answer of a single frame
        lies beside the track.
    """

    time: float | None
    score: float
    box: Box | None

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        box = None if self.box is None else [round(edge, 1) for edge in self.box]
        return {"time": self.time, "score": round(self.score, 4), "there": self.box is not None, "box": box}


@dataclass(frozen=True)
class Grounded:
    """Where a phrase is.

    Parameters
    ----------
    moments : of a picture one, of a film one for each frame that was looked at.
    size : width and height in pixels.
    warnings : what is odd about the source, such as a film without its end.
    """

    moments: tuple[Moment, ...]
    size: tuple[int, int]
    warnings: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of the moments at which the phrase is there."""
        return sum(each.box is not None for each in self.moments) / len(self.moments)


def ground(
    source: str | os.PathLike[str],
    phrase: str,
    model: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    dry_run: bool = False,
    on_frame: Tick = silent,
) -> Grounded:
    """Find what a phrase describes in a picture, or in a film, frame by frame with the track kept.

    Parameters
    ----------
    source : a picture or a film, of which five frames a second are looked at, at most 1,000.
    phrase : such as ``the woman on the left``.
    model : file of ``eavctl train-ground``; by default the packaged one, for people and simple shapes.
    out : PNG to write: the picture with box and mask, or up to 12 frames of the film.
    force : overwrite a file that eavctl did not write.
    dry_run : check everything, and look at the first frame alone.
    on_frame : called with the number of frames done, and their total.

    Raises
    ------
    SignalError : the source cannot be read.
    DataError : no such model, or it knows no word of the phrase.
    UsageError : ``out`` must not be overwritten.
    """
    named = GROUND if model is None else model
    if out is not None:
        guard([Output(out, "picture")], [source, named], force=force)
    grounder = GroundModel.load(named)
    grounder.check_phrase(phrase)
    seen: list[_Seen] = []
    with noting() as notes, _opened(source) as frames:
        drawn = _drawn(frames.n) if out is not None else frozenset()
        stream = itertools.islice(frames.pictures, 1 if dry_run else None)
        while chunk := list(itertools.islice(stream, AT_ONCE)):
            for picture, found in zip(chunk, grounder.find(chunk, phrase), strict=True):
                panel = (picture, found.mask) if len(seen) in drawn else None
                seen.append(_Seen(found.score, found.box, panel))
                height, width = picture.shape[:2]
            on_frame(len(seen), frames.n, "")
    kept = kept_track(np.array([each.box for each in seen]), np.array([each.score for each in seen]))
    moments = [
        Moment(time, each.score, _plain(each.box) if is_kept else None)
        for time, each, is_kept in zip(frames.times, seen, kept, strict=False)  # a dry run sees one frame
    ]
    if out is not None and not dry_run:
        panels = [
            grounding_picture.Panel(each.panel[0], each.panel[1], moment.box, _label(moment))
            for each, moment in zip(seen, moments, strict=True)
            if each.panel is not None
        ]
        files.write_bytes(out, grounding_picture.png_bytes(panels, phrase))
    return Grounded(tuple(moments), (width, height), tuple(dict.fromkeys(notes)))


class _Seen(NamedTuple):
    """The answer for a frame; of one that is drawn, also its picture and mask."""

    score: float
    box: np.ndarray
    panel: tuple[np.ndarray, np.ndarray] | None


class _Frames(NamedTuple):
    """Pictures to look at: how many, the time of each, and the pictures."""

    n: int
    times: Sequence[float | None]
    pictures: Iterator[np.ndarray]


@contextlib.contextmanager
def _opened(source: str | os.PathLike[str]) -> Iterator[_Frames]:
    """Open a picture or a film; of a URL a local copy."""
    source = local(source)
    if is_picture(os.fspath(source)):
        yield _Frames(1, [None], iter([read_picture(source)]))
        return
    with open_video(source) as film:
        n = min(max(math.ceil(film.duration * RATE), 1), MOST_FRAMES)
        times = [i * film.duration / n for i in range(n)]
        yield _Frames(n, times, film.frames(0.0, film.duration, n))


def _drawn(n: int) -> frozenset[int]:
    """Numbers of the frames that are drawn, evenly spaced."""
    count = min(n, SHOWN)
    return frozenset(i * n // count for i in range(count))


def _plain(box: np.ndarray) -> Box:
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def _label(moment: Moment) -> str:
    time = "" if moment.time is None else f"{moment.time:.1f} s  "
    return f"{time}{moment.score:.2f}" + ("" if moment.box else "  not there")
