"""A picture of one recording: waveform, mel spectrogram, MFCC and chroma."""

from __future__ import annotations

import io
import os

from eavctl import files


def draw_analysis(recording: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Draw a recording's waveform, mel spectrogram (dB), MFCC and chroma over time, as PNG.

    Raises
    ------
    SignalError : the recording cannot be read.
    """
    import matplotlib as mpl
    import numpy as np
    from matplotlib.figure import Figure

    from eavctl.features.audio import HOP, N_FFT, N_MELS, N_MFCC
    from eavctl.features.chroma import chroma
    from eavctl.features.spectrum import decibels, mel_bands, short_time_spectrum
    from eavctl.signals import audio
    from eavctl.signals.transforms import dct_matrix

    signal, rate = audio.read(recording)
    power = short_time_spectrum(signal.astype(np.float64), N_FFT, HOP) ** 2
    mel = mel_bands(power, rate, N_FFT, N_MELS)
    mfcc = dct_matrix(N_MFCC, N_MELS) @ decibels(mel)
    panels = [
        ("mel spectrogram, dB below the loudest", decibels(mel, float(mel.max())), "magma", "mel band"),
        ("MFCC", mfcc, "RdBu_r", "coefficient"),
        ("chroma, share of the strongest pitch class", chroma(power, rate, N_FFT), "viridis", "pitch class"),
    ]  # fmt: skip
    duration = len(signal) / rate
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"}):
        figure = Figure(figsize=(9, 9), layout="constrained")
        axes = figure.subplots(4, 1, sharex=True)
        axes[0].plot(np.arange(len(signal)) / rate, signal, linewidth=0.4, color="#1f4e79")
        axes[0].set(
            title=f"{os.path.basename(recording)}: waveform, {rate} Hz",
            ylabel="amplitude",
            xlim=(0, duration),
        )
        for axis, (title, matrix, colours, ylabel) in zip(axes[1:], panels, strict=True):
            extent = (0.0, duration, -0.5, len(matrix) - 0.5)
            image = axis.imshow(
                matrix, origin="lower", aspect="auto", extent=extent, cmap=colours, interpolation="nearest"
            )
            axis.set(title=title, ylabel=ylabel)
            figure.colorbar(image, ax=axis, pad=0.01)
        strong = float(np.percentile(np.abs(mfcc[1:]), 99))  # coefficient 0, the level, would drown the rest
        axes[2].images[0].set_clim(-strong, strong)
        axes[-1].set_xlabel("time, s")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": "eavctl"})
    files.write_bytes(out, buffer.getvalue())
