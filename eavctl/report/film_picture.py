"""A picture of a film: some of its frames with the faces found, and when the one that is followed was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eavctl.report.sheet import BLUE, LEFT, ORANGE, RIGHT, SKY, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, GAP = 4, 0.1  # frames in a row, and inches between them
MOST_SIDE = 640  # pixels of a frame that is drawn
CAPTION, TITLE, STRIP, TALLEST = 0.25, 0.3, 0.75, 4.0  # inches
HEIGHT_OF_WIDTH = (0.4, 1.4)  # limits of a frame's height over its width, beyond which it has margins
THICK, THIN = 2.2, 1.4


class Shot(NamedTuple):
    """A frame with the faces found in it.

    Parameters
    ----------
    time : seconds.
    picture : uint8 RGB, shape (height, width, 3).
    followed : left, top, right, bottom, in pixels, of the face that is followed; None where it was not found.
    others : of the other faces, shape (n, 4).
    """

    time: float
    picture: np.ndarray
    followed: np.ndarray | None
    others: np.ndarray


class Search(NamedTuple):
    """When the face that is followed was found.

    Parameters
    ----------
    times : of the frames that were searched, in seconds, ascending, shape (n,).
    is_found : bool, shape (n,).
    whose : whom it is, in words.
    n_people : the most people that are shown together.
    """

    times: np.ndarray
    is_found: np.ndarray
    whose: str
    n_people: int


def film_figure(shots: Sequence[Shot], span: tuple[float, float], search: Search | None) -> Figure:
    """Frames in rows of four with their times and faces, and a strip of when the face was found.

    One shot is a still picture, without times.

    Parameters
    ----------
    shots : one at least, in order of time.
    span : start and end of what was judged, in seconds.
    search : None where the features follow no face.
    """
    from matplotlib.figure import Figure

    across = min(len(shots), ACROSS)
    height, width = shots[0].picture.shape[:2]
    wide = (RIGHT - LEFT) * WIDTH
    ratio = float(np.clip(height / width, *HEIGHT_OF_WIDTH))
    each = min((wide - (across - 1) * GAP) / across, TALLEST / ratio)
    tall = each * ratio
    rows = math.ceil(len(shots) / across)
    has_strip = search is not None and len(shots) > 1
    total = TITLE + rows * (tall + CAPTION) + (STRIP if has_strip else 0.1)
    figure = Figure(figsize=(WIDTH, total))
    figure.text(LEFT, 1 - 0.22 / total, _title(shots, search), fontsize=10, parse_math=False)
    for number, shot in enumerate(shots):
        row, column = divmod(number, across)
        low = total - TITLE - (row + 1) * (tall + CAPTION) + CAPTION
        left = LEFT * WIDTH + column * (each + GAP)
        axis = figure.add_axes((left / WIDTH, low / total, each / WIDTH, tall / total))
        _draw_shot(axis, shot)
        if len(shots) > 1:
            note = ", not found" if search is not None and shot.followed is None else ""
            axis.set_xlabel(f"{shot.time:.2f} s{note}", labelpad=2)
    if search is not None and has_strip:
        strip = figure.add_axes((LEFT, 0.4 / total, RIGHT - LEFT, 0.2 / total))
        _draw_search(strip, search, span)
    return figure


def _title(shots: Sequence[Shot], search: Search | None) -> str:
    if search is None:
        return "frames, which are judged whole" if len(shots) > 1 else "the picture, which is judged whole"
    found = f"face found in {int(search.is_found.sum())} of {len(search.times)} frames; " * (len(shots) > 1)
    among = f" of {search.n_people} people" if search.n_people > 1 else ""
    others = ", others dashed" if any(len(shot.others) for shot in shots) else ""
    return f"{found}followed: {search.whose}{among}{others}"


def _draw_shot(axis: Axes, shot: Shot) -> None:
    from matplotlib.patches import Rectangle

    step = max(1, max(shot.picture.shape[:2]) // MOST_SIDE)
    height, width = shot.picture.shape[:2]
    axis.imshow(shot.picture[::step, ::step], extent=(0, width, height, 0))
    faces = [(box, SKY, THIN, "--") for box in shot.others]
    faces += [(shot.followed, ORANGE, THICK, "-")] if shot.followed is not None else []
    for (left, top, right, bottom), colour, thick, dash in faces:
        axis.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=colour,
                linewidth=thick,
                linestyle=dash,
            )
        )
    axis.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def _draw_search(axis: Axes, search: Search, span: tuple[float, float]) -> None:
    """A bar over time: found in blue, not found in orange and hatched."""
    ends = np.append(search.times[1:], span[1])
    kinds = ((search.is_found, BLUE, "", "found"), (~search.is_found, ORANGE, "///", "not found"))
    for chosen, colour, hatch, label in kinds:
        if chosen.any():
            bars = list(zip(search.times[chosen], (ends - search.times)[chosen], strict=True))
            axis.broken_barh(
                bars, (0, 1), facecolor=colour, edgecolor="white", linewidth=0.4, hatch=hatch, label=label
            )
    axis.set(xlim=span, ylim=(0, 1), yticks=[], xlabel="time, s", ylabel="face")
    axis.yaxis.label.set(rotation=0, horizontalalignment="right", verticalalignment="center")
    axis.legend(ncol=2, loc="lower right", bbox_to_anchor=(1.01, 0.9), frameon=False)
