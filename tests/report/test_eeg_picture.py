"""The picture of EEG: band powers of known waves, traces in their places, maps where places are known."""

from __future__ import annotations

import numpy as np
import pytest

from eavctl.features.eeg_bands import BANDS
from eavctl.report.eeg_picture import MOST_POINTS, MOST_TRACES, band_powers, eeg_figure
from eavctl.report.sheet import drawing

SFREQ = 200.0
HEAD = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")


def wave(hz, amplitude, seconds=4.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * SFREQ)) / SFREQ)


@pytest.mark.parametrize(
    ("hz", "band"), [(3, "delta"), (6, "theta"), (10, "alpha"), (20, "beta"), (40, "gamma")]
)
def test_a_wave_has_half_its_squared_amplitude_in_its_band(hz, band):
    times, power = band_powers(np.stack([wave(hz, 20.0), wave(hz, 10.0)]), SFREQ)
    own = power[list(BANDS).index(band)].mean(axis=1)
    # A Hann window spreads a line over three bins; one of an edge bin can lie in the next band.
    assert own == pytest.approx([200.0, 50.0], rel=0.2)
    assert power.sum(axis=0).mean(axis=1) == pytest.approx([200.0, 50.0], rel=0.02)
    assert power.sum(axis=0).std() / 100 < 1
    assert times[0] == pytest.approx(0.5)
    assert times[-1] == pytest.approx(3.5)


def test_a_band_that_a_short_signal_cannot_resolve_is_not_a_number():
    _, power = band_powers(wave(10, 1.0, seconds=0.3)[None], SFREQ)
    known = np.isfinite(power[:, 0, 0])
    assert dict(zip(BANDS, known, strict=True)) == {
        "delta": False, "theta": True, "alpha": True, "beta": True, "gamma": True
    }  # fmt: skip


def test_power_changes_when_the_signal_does():
    signal = np.concatenate([wave(10, 1.0), wave(10, 10.0)])[None]
    times, power = band_powers(signal, SFREQ)
    alpha = power[list(BANDS).index("alpha"), 0]
    assert alpha[times < 3.5] == pytest.approx(0.5, rel=0.2)
    assert alpha[times > 4.5] == pytest.approx(50, rel=0.2)


def drawn(signal, names, start=0.0):
    with drawing():
        figure = eeg_figure(signal, SFREQ, names, start)
        figure.draw_without_rendering()
    return figure


def labels(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def test_traces_are_named_and_lie_at_their_times():
    rng = np.random.default_rng(0)
    traces, powers = drawn(rng.normal(size=(6, 800)), HEAD, 20.8).axes[:2]
    assert labels(traces) == list(HEAD)
    assert traces.get_xlim() == powers.get_xlim() == pytest.approx((20.8, 24.8))
    assert len(traces.get_lines()) == len(HEAD) + 1  # and the scale
    places = [line.get_ydata().mean() for line in traces.get_lines()[: len(HEAD)]]
    assert places == sorted(places, reverse=True)
    assert np.allclose(places, traces.get_yticks(), atol=0.2 * np.ptp(places) / len(HEAD))


def test_of_many_channels_those_of_the_usual_system_are_drawn_and_it_is_said():
    names = [f"E{n}" for n in range(60)]
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(60, 400))
    traces = drawn(signal, names).axes[0]
    assert len(labels(traces)) == MOST_TRACES
    assert "20 of 60" in traces.get_title(loc="left")
    usual = ["Fz", "Cz", "Pz", "C3", "C4", "F3", "F4", "P3", "P4", "O1", "O2"]
    traces = drawn(signal, [*names[:49], *usual]).axes[0]
    assert set(labels(traces)) == set(usual)


def test_there_is_a_map_for_each_band_where_places_are_known_and_a_table_elsewhere():
    rng = np.random.default_rng(0)
    maps = drawn(rng.normal(size=(6, 800)), HEAD)
    titles = [axis.get_xlabel().split(",")[0] for axis in maps.axes]
    assert [title for title in titles if title in BANDS] == list(BANDS)
    table = drawn(rng.normal(size=(6, 800)), [f"X{n}" for n in range(6)])
    assert not [axis for axis in table.axes if axis.get_xlabel().split(",")[0] in BANDS]
    assert any(labels(axis) == list(BANDS) for axis in table.axes)


@pytest.mark.filterwarnings("error")
def test_flat_short_and_oddly_named_signals_are_drawn():
    drawn(np.zeros((4, 60)), HEAD[:4])
    drawn(np.zeros((1, 7)), ["a $\\frac_{ name"])
    drawn(np.full((5, 400), 1e6), HEAD[:5])


def test_a_long_trace_keeps_its_peaks():
    signal = np.zeros((4, 50 * MOST_POINTS))
    signal[0, 12_345] = 900.0
    trace = drawn(signal, HEAD[:4]).axes[0].get_lines()[0]
    assert len(trace.get_ydata()) <= MOST_POINTS + 2
    assert trace.get_ydata().max() == pytest.approx(900.0)
    assert trace.get_xdata()[trace.get_ydata().argmax()] == pytest.approx(12_345 / SFREQ, abs=0.6)
