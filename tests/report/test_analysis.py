"""The picture of a recording: librosa's axes around our features, one time axis, a title taken literally."""

from __future__ import annotations

import re
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import soundfile

from eavctl.cli.judging import _title
from eavctl.features.audio import HOP, N_FFT, N_MFCC
from eavctl.features.spectrum import short_time_spectrum
from eavctl.report import analysis, sheet
from eavctl.report.analysis import analysis_png
from eavctl.report.sheet import TITLE_LENGTH, UNDRAWABLE
from eavctl.storage.ownership import kind_of

RATE, TONE_HZ = 16000, 440


def tone(seconds=1.0, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(seconds * rate)) / rate)


@pytest.fixture(scope="module")
def figure():
    """Waveform, mel, MFCC and chroma of a tone, and the colour bars, laid out."""
    with mpl.rc_context():
        drawn = analysis.sound_figure(tone(), RATE)
        drawn.draw_without_rendering()
    return drawn


def panels(figure):
    """The four panels by the first word of their titles."""
    titled = [(axis.get_title(loc="left") or axis.get_title(), axis) for axis in figure.axes]
    return {title.split()[0].strip(","): axis for title, axis in titled if title}


def row_of(axis, column=10):
    """Where the highest cell of a column begins and ends on the vertical axis."""
    mesh = axis.collections[0]
    values, edges = mesh.get_array(), mesh.get_coordinates()[:, 0, 1]
    row = int(values[:, column].argmax())
    return edges[row], edges[row + 1]


def test_a_tone_lies_at_its_frequency_and_at_its_note(figure):
    found = panels(figure)
    low, high = row_of(found["mel"])
    assert low - 10 < TONE_HZ < high + 10  # a bin is 7.8 Hz wide
    chroma = found["chroma"]
    low, high = row_of(chroma)
    assert chroma.yaxis.get_major_formatter()((low + high) / 2) == "A"
    assert {"C", "D", "E", "F", "G", "A", "B"} == {label.get_text() for label in chroma.get_yticklabels()}


def test_all_panels_have_one_axis_of_time_and_as_wide(figure):
    axes = list(panels(figure).values())
    assert len(axes) == 4
    assert {axis.get_xlim() for axis in axes} == {(0.0, 1.0)}
    assert len({(axis.get_position().x0, axis.get_position().x1) for axis in axes}) == 1
    for axis in axes[1:]:
        times = np.asarray(axis.collections[0].get_coordinates()[0, :, 0])
        assert times[0] <= 0
        assert times[-1] >= 1
        assert times[1:-1] == pytest.approx((np.arange(1, len(times) - 1) - 0.5) * HOP / RATE)
    assert [axis.get_xlabel() != "" for axis in axes] == [False, False, False, True]


def test_a_part_of_a_recording_has_its_own_times():
    drawn = panels(analysis.sound_figure(tone(), RATE, 2.5))
    assert {axis.get_xlim() for axis in drawn.values()} == {(2.5, 3.5)}
    times = np.asarray(drawn["mel"].collections[0].get_coordinates()[0, :, 0])
    assert times[1] == pytest.approx(2.5 + 0.5 * HOP / RATE)


def test_the_level_is_not_among_the_coefficients_nor_in_their_colours(figure):
    mesh = panels(figure)["MFCC"].collections[0]
    assert mesh.get_array().shape[0] == N_MFCC - 1
    low, high = mesh.get_clim()
    assert low == -high
    assert 0 < high <= np.abs(mesh.get_array()).max()


def test_colour_bars_name_their_unit(figure):
    bars = [axis for axis in figure.axes if axis not in panels(figure).values()]
    assert [axis.get_ylabel() for axis in bars].count("dB") == 2


@pytest.mark.parametrize("seconds", [0.1, 3.0])
def test_a_column_of_a_long_recording_is_the_mean_of_its_frames(seconds, monkeypatch):
    signal = np.random.default_rng(0).normal(size=round(seconds * RATE)).astype(np.float32)
    frames = short_time_spectrum(signal.astype(np.float64), N_FFT, HOP) ** 2
    whole, n_means = analysis._power(signal)
    assert n_means == 1
    np.testing.assert_array_equal(whole, frames)
    monkeypatch.setattr(analysis, "MOST_COLUMNS", 30)
    monkeypatch.setattr(analysis, "FRAMES_AT_ONCE", 10)
    thin, n_means = analysis._power(signal)
    starts = range(0, frames.shape[1], n_means)
    expected = np.stack([frames[:, i : i + n_means].mean(axis=1) for i in starts], axis=1)
    np.testing.assert_allclose(thin, expected, rtol=1e-9)
    assert thin.shape[1] <= 30


@pytest.mark.filterwarnings("error:Glyph:UserWarning")
def test_names_are_drawn_literally_and_the_bytes_stay_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "DPI", 40)  # quicker
    clip = tmp_path / "a$\\frac_{ 漢 é.wav"
    soundfile.write(clip, tone(0.2), RATE)
    first = analysis_png(clip, "fe$ar$_^ 83%")
    with mpl.rc_context({"text.usetex": True, "font.size": 30, "image.cmap": "gray"}):  # the user's own
        assert analysis_png(clip, "fe$ar$_^ 83%") == first
    (tmp_path / "a.png").write_bytes(first)
    assert kind_of(tmp_path / "a.png") == "picture"


def test_a_line_of_the_title_is_one_line_that_fits():
    assert sheet._line("a_$b$ é ß Ω.wav") == "a_$b$ é ß Ω.wav"
    assert sheet._line("a\nb\x1b[1m\u202ec\udcff漢").count(UNDRAWABLE) == 5
    long = sheet._line("start" + "x" * 300 + "end.wav")
    assert len(long) <= TITLE_LENGTH + 1
    assert long.startswith("start")
    assert long.endswith("end.wav")


def test_the_title_gives_the_answer_its_probability_and_how_often_it_is_right():
    row = SimpleNamespace(pred="sad", proba=np.array([0.25, 0.75]), unsure=())
    right = {"right": 0.6, "measured_on": {"held_out": "subject", "datasets": ["emodb"]}}
    known = SimpleNamespace(rows=[row], classes=("joy", "sad"), right=lambda row: right)
    assert re.findall(r"sad|\d+%", _title(known)) == ["sad", "75%", "60%"]
    unknown = SimpleNamespace(rows=[row], classes=("joy", "sad"), right=lambda row: None)
    assert re.findall(r"\d+%", _title(unknown)) == ["75%"]
    other = SimpleNamespace(pred="joy", unsure=())
    windows = SimpleNamespace(rows=[row, other, row], classes=("joy", "sad"))
    assert re.findall(r"\d+|sad|joy", _title(windows)) == ["3", "sad", "2", "joy", "1"]
