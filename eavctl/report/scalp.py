"""Maps of the scalp, seen from above, drawn by MNE: a value at each channel, interpolated between them."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

FEWEST = 4  # channels with known positions, for a map
DPI, SIDE_INCHES, MOST_ACROSS = 110, 2.0, 5


class ScalpMap(NamedTuple):
    """A value at each channel.

    Parameters
    ----------
    title : of the map.
    values : by the name of the channel.
    """

    title: str
    values: Mapping[str, float]


def scalp_maps(maps: Sequence[ScalpMap]) -> tuple[bytes | None, list[str]]:
    """Draw maps in a row or a grid, with one colour scale, as PNG.

    Parameters
    ----------
    maps : each with the same channels.

    Returns
    -------
    The picture, None where fewer than 4 channels have a place in the 10-05 system; and the names of the
    channels that have none.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    from eavctl.signals.eeg_splines import located

    names = list(maps[0].values) if maps else []
    known, info = located(names)
    unknown = [name for name in names if name not in known]
    if len(known) < FEWEST:
        return None, unknown
    return _drawn(maps, known, info), unknown


def _drawn(maps: Sequence[ScalpMap], known: Sequence[str], info: Any) -> bytes:
    import mne
    from matplotlib import style
    from matplotlib.figure import Figure

    values = [np.array([each.values[name] for name in known]) for each in maps]
    limit = max(float(np.abs(own).max()) for own in values) or 1.0
    across = min(len(maps), MOST_ACROSS)
    down = math.ceil(len(maps) / across)
    with style.context(["default", {"font.family": "DejaVu Sans", "font.size": 9}]):
        figure = Figure(figsize=(SIDE_INCHES * across + 0.8, SIDE_INCHES * down + 0.3), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False)
        for axis, own, each in zip(axes.flat, values, maps, strict=False):
            image, _ = mne.viz.plot_topomap(
                own, info, axes=axis, show=False, cmap="RdBu_r", vlim=(-limit, limit), contours=4
            )
            axis.set_title(each.title, parse_math=False)
        for axis in axes.flat[len(maps) :]:
            axis.set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.8, aspect=20 * down)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": "eavctl"})
    return buffer.getvalue()
