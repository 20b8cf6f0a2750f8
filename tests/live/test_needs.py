"""What models take of windows, from the recipes of their streams."""

from types import SimpleNamespace

import numpy as np

from eavctl.extraction.recipe import Recipe
from eavctl.live.chunk import Chunk
from eavctl.live.frame_track import FrameTrack
from eavctl.live.needs import Needs

WINDOW_S, RATE, SPARE_S = 2.0, 100.0, 1.0


def needs_of(*recipes):
    streams = [SimpleNamespace(recipe=recipe) for recipe in recipes]
    return Needs.of(SimpleNamespace(streams=streams, window_s=WINDOW_S))


def source(modality, ch_names=()):
    return SimpleNamespace(name="x", modality=modality, rate=RATE, ch_names=ch_names, is_recorded=False)


def test_of_several_streams_of_a_modality_the_most_counts():
    bands = Recipe("eeg-bands", {"channels": ["C3"]})
    causal = Recipe("eeg-bands", {"channels": ["C3"], "filter": "causal"})
    few, many = (Recipe("faces", {"n_frames": n}) for n in (3, 8))
    needs = needs_of(few, bands, many, causal)
    assert needs == (WINDOW_S, 8, max(bands.margin_s, causal.margin_s))
    assert needs.margin_s > 0
    assert needs_of(Recipe("means180")) == (WINDOW_S, 0, 0.0)
    assert needs_of(Recipe("images")) == (WINDOW_S, 1, 0.0)


def test_tracks_keep_a_window_its_margin_and_the_spare_seconds():
    needs = Needs(WINDOW_S, 4, 3.0)
    for modality, names, kept_s in (("audio", (), 3.0), ("eeg", ("C3", "C4"), 6.0)):
        track = needs.track(source(modality, names), SPARE_S)
        for i in range(20):
            data = np.full((*((2,) if names else ()), round(RATE)), float(i))
            track.push(Chunk(data, float(i), float(i)))
        assert track.cover(0.0, 20.0).begin == 20.0 - kept_s
    assert isinstance(needs.track(source("video"), SPARE_S), FrameTrack)
