"""A picture of EEG: traces of channels, the power of the bands over time, and where on the scalp it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.features.eeg_bands import BANDS
from eavctl.features.eeg_preparation import FLOOR
from eavctl.report.sheet import BAR, BLUE, LEFT, RIGHT, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Shown first where there are more channels than traces: the 10-20 system covers the head evenly.
USUAL = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8"),
    *("O1", "Oz", "O2"),
)
MOST_TRACES, MOST_POINTS = 20, 4000
SPREAD = 99.0  # percentile of the deviations, by which traces are apart
WINDOW_S, STEP_S, MOST_STEPS = 1.0, 0.1, 600
FEWEST_PLACES = 4  # channels of the 10-05 system, for maps
COLOURS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#000000")  # of the bands, from Okabe and Ito
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
TRACE, SPECTRA, MAPS, EDGE = 0.19, 1.7, 1.8, 0.75  # inches: a trace, and panels with their titles


def eeg_figure(signal: np.ndarray, sfreq: float, names: Sequence[str], start: float = 0.0) -> Figure:
    """Traces, band powers over time, and a map of the scalp for each band.

    Power is that of Hann windows of a second. Maps are drawn by MNE where at least four channels have names
    of the 10-05 system; else the power of every channel is.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt.
    sfreq : sampling rate, Hz.
    names : of the channels.
    start : time of the first sample in the recording, in seconds.
    """
    from matplotlib.figure import Figure

    shown = _shown(names)
    heights = (TRACE * len(shown) + EDGE, SPECTRA, MAPS)
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts: Any = figure.subfigures(3, 1, height_ratios=heights)
    above, middle, below = parts
    _draw_traces(_panel(above, heights[0]), signal[shown], sfreq, [names[i] for i in shown], start)
    above.axes[0].set_title(f"EEG, {_n_of(len(shown), len(names))}, {signal.shape[1] / sfreq:.2f} s")
    times, power = band_powers(signal, sfreq)
    powers = _panel(middle, heights[1])
    _draw_powers(powers, start + times, power.mean(axis=1))
    powers.set_xlim(above.axes[0].get_xlim())
    _draw_places(below, heights[2], power.mean(axis=2), names)
    return figure


def _n_of(n_shown: int, n_channels: int) -> str:
    return f"{n_channels} channels" if n_shown == n_channels else f"{n_shown} of {n_channels} channels"


def _panel(part: SubFigure, height: float) -> Axes:
    """The axes of a panel, with room for its title above and its labels below."""
    low, high = 0.38 / height, 1 - 0.27 / height
    return part.add_axes((LEFT, low, RIGHT - LEFT, high - low))


def _shown(names: Sequence[str]) -> list[int]:
    """The channels whose traces are drawn: all, or those of the 10-20 system, completed by evenly spaced."""
    if len(names) <= MOST_TRACES:
        return list(range(len(names)))
    usual = [list(names).index(name) for name in USUAL if name in names]
    if len(usual) < MOST_TRACES // 2:
        return [int(i) for i in np.linspace(0, len(names) - 1, MOST_TRACES).round()]
    return usual


def _draw_traces(axis: Axes, signal: np.ndarray, sfreq: float, names: Sequence[str], start: float) -> None:
    """Traces below each other, in the order of their names, and a bar for the scale."""
    centred = signal - np.median(signal, axis=1, keepdims=True)
    apart = float(np.percentile(np.abs(centred), SPREAD)) * 1.6 or 1.0
    for row, trace in enumerate(centred):
        times, values = _thinned(trace, sfreq)
        is_thinned = len(values) < len(trace)
        axis.plot(start + times, values - row * apart, color=BLUE, linewidth=0.25 if is_thinned else 0.5)
    axis.set(
        xlim=(start, start + signal.shape[1] / sfreq),
        ylim=(-(len(names) - 0.2) * apart, 1.1 * apart),
        xlabel="time, s",
    )
    axis.set_yticks(-apart * np.arange(len(names)), labels=[_plain(name) for name in names], parse_math=False)
    _draw_scale(axis, apart)


def _plain(name: str) -> str:
    """A channel's name, cut to what the margin holds."""
    return name if len(name) <= 8 else f"{name[:7]}."


def _draw_scale(axis: Axes, apart: float) -> None:
    """A bar of a round number of microvolts, right of the traces."""
    power = 10.0 ** np.floor(np.log10(2 * apart))
    length = max(step * power for step in (1, 2, 5) if step * power <= 2 * apart)
    x, top = 1.012, 0.8 * apart
    transform = axis.get_yaxis_transform()
    axis.plot([x, x], [top - length, top], color="black", linewidth=1.5, transform=transform, clip_on=False)
    label = f"{length:g} \N{MICRO SIGN}V"
    axis.text(x + 0.008, top - length / 2, label, transform=transform, rotation=90, va="center")


def _thinned(trace: np.ndarray, sfreq: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a trace; of a long one the lowest and highest value of each of many stretches."""
    n_times = len(trace)
    if n_times <= MOST_POINTS:
        return np.arange(n_times) / sfreq, trace
    each = -(-n_times // (MOST_POINTS // 2))
    starts = np.arange(0, n_times, each)
    ends = np.stack([np.minimum.reduceat(trace, starts), np.maximum.reduceat(trace, starts)], axis=1)
    return np.repeat(starts / sfreq, 2), ends.ravel()


def band_powers(signal: np.ndarray, sfreq: float) -> tuple[np.ndarray, np.ndarray]:
    """The power of each band and channel in windows of a second, or of the whole of a shorter signal.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt.
    sfreq : sampling rate, Hz.

    Returns
    -------
    Centres of the windows in seconds, shape (n_windows,), and power in microvolt^2, shape (n_bands, n_chans,
    n_windows). A band that the window cannot resolve, or above half the rate, is not a number.
    """
    n_times = signal.shape[1]
    length = min(round(WINDOW_S * sfreq), n_times)
    step = max(round(STEP_S * sfreq), -(-(n_times - length) // MOST_STEPS), 1)
    taper = np.hanning(length + 2)[1:-1]
    starts = np.arange(0, n_times - length + 1, step)
    frequencies = np.fft.rfftfreq(length, 1 / sfreq)
    found = np.full((len(BANDS), len(signal), len(starts)), np.nan)
    inside = [(low <= frequencies) & (frequencies < high) for low, high in BANDS.values()]
    for column, first in enumerate(starts):
        part = signal[:, first : first + length]
        spectrum = np.abs(np.fft.rfft((part - part.mean(axis=1, keepdims=True)) * taper)) ** 2
        density = 2 * spectrum / (sfreq * (taper**2).sum())  # one-sided
        for band, (chosen, (low, _)) in enumerate(zip(inside, BANDS.values(), strict=True)):
            if chosen.any() and low * length >= sfreq:
                found[band, :, column] = density[:, chosen].sum(axis=1) * sfreq / length
    return (starts + length / 2) / sfreq, found


def _decibels(power: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(np.maximum(power, FLOOR)))


def _draw_powers(axis: Axes, times: np.ndarray, power: np.ndarray) -> None:
    """The power of each band over time, shape (n_bands, n_windows)."""
    marker = "o" if len(times) == 1 else None
    for name, values, colour, dash in zip(BANDS, power, COLOURS, DASHES, strict=True):
        if np.isfinite(values).all():
            axis.plot(times, _decibels(values), color=colour, linestyle=dash, marker=marker, label=name)
    axis.set(
        title="power, mean of the channels",
        ylabel="dB re 1 \N{MICRO SIGN}V\N{SUPERSCRIPT TWO}",
        xlabel="time, s",
    )
    axis.grid(axis="y", color="#d9dfe6", linewidth=0.6)
    if axis.get_lines():
        axis.legend(
            ncol=len(BANDS), loc="lower right", bbox_to_anchor=(1.01, 0.97), frameon=False, columnspacing=1.4
        )


def _draw_places(part: SubFigure, height: float, power: np.ndarray, names: Sequence[str]) -> None:
    """The power of each band and channel, shape (n_bands, n_chans): maps of the scalp, or a table."""
    from eavctl.signals.eeg_splines import located

    whole = np.isfinite(power).all(axis=1)
    bands = [name for name, is_whole in zip(BANDS, whole, strict=True) if is_whole]
    level = _decibels(power[whole])
    known, info = located(names)
    if len(known) >= FEWEST_PLACES and bands:
        rows = [list(names).index(name) for name in known]
        note = "" if len(known) == len(names) else f", {len(known)} of {len(names)} channels have places"
        _draw_maps(part, height, level[:, rows], bands, info, note)
    elif bands:
        _draw_table(_panel(part, height), part, level, bands, names)


def _draw_maps(
    part: SubFigure, height: float, level: np.ndarray, bands: Sequence[str], info: Any, note: str
) -> None:
    import mne

    level = level - level.mean(axis=1, keepdims=True)
    limit = float(np.abs(level).max()) or 1.0
    width = (RIGHT - LEFT) / len(BANDS)
    low, side = 0.3 / height, 1.15 / height
    for column, (band, values) in enumerate(zip(bands, level, strict=True)):
        axis = part.add_axes((LEFT + column * width, low, width * 0.9, side))
        image, _ = mne.viz.plot_topomap(
            values, info, axes=axis, show=False, cmap="RdBu_r", vlim=(-limit, limit), contours=4
        )
        edges = BANDS[band]
        axis.set_xlabel(f"{band}, {edges[0]:g} to {edges[1]:g} Hz")
    bar = part.add_axes((BAR, low, 0.0145, side))
    part.colorbar(image, cax=bar, label="dB")
    part.text(
        LEFT, 1 - 0.22 / height, f"power of the bands, from the mean of the channels{note}", fontsize=10
    )


def _draw_table(
    axis: Axes, part: SubFigure, level: np.ndarray, bands: Sequence[str], names: Sequence[str]
) -> None:
    """Bands and channels as a matrix, where the places of the channels are not known."""
    mesh = axis.pcolormesh(level, cmap="viridis")
    axis.invert_yaxis()
    axis.set_yticks(np.arange(len(bands)) + 0.5, labels=bands)
    every = -(-len(names) // MOST_TRACES)
    axis.set_xticks(
        np.arange(0, len(names), every) + 0.5,
        labels=[_plain(name) for name in names[::every]],
        parse_math=False,
    )
    axis.set_title("power of the bands by channel (their places on the scalp are not known)")
    box = axis.get_position()
    part.colorbar(mesh, cax=part.add_axes((BAR, box.y0, 0.0145, box.height)), label="dB")
