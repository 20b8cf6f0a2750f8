"""A picture of one recording: waveform, mel spectrogram, MFCC and chroma, drawn by librosa."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eavctl.features.audio import HOP, N_FFT, N_MELS, N_MFCC
from eavctl.features.chroma import N_CHROMA, chroma
from eavctl.features.spectrum import DYNAMIC_RANGE_DB, decibels, mel_bands, short_time_spectrum
from eavctl.report.sheet import BLUE, LEFT, WIDTH, drawing, png
from eavctl.signals.transforms import dct_matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 8.85  # inches
HEIGHTS = (1.0, 1.7, 1.2, 1.3)  # of the panels
BAR_WIDTH = 0.018  # of a colour bar, relative to a panel
# Shares of the picture; finding them by matplotlib takes as long as everything else.
MARGINS = {"left": LEFT, "right": 0.93, "bottom": 0.048, "top": 0.97, "hspace": 0.21, "wspace": 0.025}
MFCC_PERCENTILE = 95  # of absolute values, at the ends of the colour scale: coefficient 1 can be much larger
MOST_COLUMNS = 2000  # of a matrix, twice the resolution of the picture; more are slow to draw
FRAMES_AT_ONCE = 4096


@dataclass(frozen=True)
class _Panel:
    """A matrix (n_rows, n_columns), and how to draw it.

    Parameters
    ----------
    edges : edges of its rows on the vertical axis, shape (n_rows + 1,).
    axis, label : librosa's name for the kind of the vertical axis, and its label.
    colours, limits : colour map, and the values at its ends.
    unit : label of the colour bar.
    """

    title: str
    matrix: np.ndarray
    edges: np.ndarray
    axis: str | None
    label: str
    colours: str
    limits: tuple[float, float]
    unit: str


def analysis_png(recording: str | os.PathLike[str], answer: str = "") -> bytes:
    """Draw the sound of a recording as `sound_figure` does, as PNG, under its name.

    Parameters
    ----------
    recording : an audio file, or a video with audio.
    answer : prediction of a model, for the title.

    Raises
    ------
    SignalError : the recording cannot be read.
    """
    from eavctl.signals import audio

    signal, rate = audio.read(recording)
    with drawing():
        return png([sound_figure(signal, rate)], [os.path.basename(recording), answer])


def sound_figure(signal: np.ndarray, rate: int, start: float = 0.0) -> Figure:
    """The waveform, mel spectrogram, MFCC and chroma over a common time axis.

    The matrices are those of the feature sets ``seed33`` and ``means180``. For long recordings, a column is
    the mean over several frames.

    Parameters
    ----------
    signal : shape (n_samples,), full scale 1.
    rate : Hz.
    start : time of the first sample in the recording, in seconds.
    """
    from librosa.display import specshow, waveshow
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    power, n_means = _power(signal)
    times = (np.arange(power.shape[1] + 1) * n_means - 0.5) * HOP / rate  # frames are centred on their times
    duration = len(signal) / rate
    times[-1] = max(times[-1], duration)
    times += start
    figure = Figure(figsize=(WIDTH, HEIGHT))
    grid = figure.add_gridspec(len(HEIGHTS), 2, width_ratios=(1, BAR_WIDTH), height_ratios=HEIGHTS, **MARGINS)
    wave = figure.add_subplot(grid[0, 0])
    waveshow(signal, sr=rate, ax=wave, axis="s", offset=start, color=BLUE, linewidth=0.5)
    wave.set(title=f"waveform, {rate} Hz, {duration:.2f} s", ylabel="amplitude")
    wave.label_outer()
    for row, panel in enumerate(_panels(power, rate), start=1):
        axis = figure.add_subplot(grid[row, 0], sharex=wave)
        mesh = specshow(
            panel.matrix,
            x_coords=times,
            y_coords=panel.edges,
            x_axis="s",
            y_axis=panel.axis,
            cmap=panel.colours,
            vmin=panel.limits[0],
            vmax=panel.limits[1],
            ax=axis,
        )
        axis.set(title=panel.title, ylabel=panel.label, ylim=panel.edges[[0, -1]])
        axis.label_outer()
        if panel.axis is None:
            axis.set_yticks(range(2, N_MFCC, 2))
        extend = "both" if panel.matrix.max() > panel.limits[1] else "neither"
        figure.colorbar(mesh, cax=figure.add_subplot(grid[row, 1]), label=panel.unit, extend=extend)
    axis.set(xlim=(start, start + duration), xlabel="time, s")
    axis.xaxis.set_major_formatter(ScalarFormatter())  # librosa's rounds to three digits
    return figure


def _panels(power: np.ndarray, rate: int) -> list[_Panel]:
    """The panels that are computed from a power spectrum (n_bins, n_columns)."""
    from librosa import hz_to_mel, mel_to_hz

    mel = mel_bands(power, rate, N_FFT, N_MELS)
    mfcc = (dct_matrix(N_MFCC, N_MELS) @ decibels(mel))[1:]
    strong = float(np.percentile(np.abs(mfcc), MFCC_PERCENTILE)) or 1.0
    level = decibels(mel, float(mel.max()))
    mel_edges = mel_to_hz((np.arange(N_MELS + 1) + 0.5) / (N_MELS + 1) * hz_to_mel(rate / 2))
    mfcc_edges, chroma_edges = np.arange(N_MFCC) + 0.5, np.arange(N_CHROMA + 1) - 0.5
    tones = chroma(power, rate, N_FFT)
    below, without = (
        "mel spectrogram, below the loudest band",
        f"MFCC 1 to {N_MFCC - 1} (without 0, the level)",
    )
    share = "share of the strongest"
    return [
        _Panel(below, level, mel_edges, "mel", "frequency, Hz", "magma", (-DYNAMIC_RANGE_DB, 0), "dB"),
        _Panel(without, mfcc, mfcc_edges, None, "coefficient", "RdBu_r", (-strong, strong), "dB"),
        _Panel("chroma", tones, chroma_edges, "chroma", "pitch class", "viridis", (0, 1), share),
    ]


def _power(signal: np.ndarray) -> tuple[np.ndarray, int]:
    """Power spectrum (n_bins, n_columns) of a signal, and the number of frames averaged in each column."""
    n_frames = 1 + len(signal) // HOP
    n_means = -(-n_frames // MOST_COLUMNS)
    at_once = max(FRAMES_AT_ONCE // n_means, 1) * n_means
    ahead = N_FFT // 2 // HOP  # frames centred on the first half of a frame
    padded = np.pad(signal, N_FFT // 2)
    columns = []
    for first in range(0, n_frames, at_once):
        n = min(at_once, n_frames - first)
        part = padded[first * HOP : (first + n - 1) * HOP + N_FFT].astype(np.float64)
        power = short_time_spectrum(part, N_FFT, HOP)[:, ahead : ahead + n] ** 2
        starts = np.arange(0, n, n_means)
        columns.append(np.add.reduceat(power, starts, axis=1) / np.diff(starts, append=n))
    return np.concatenate(columns, axis=1), n_means
