"""What every registered feature set promises."""

import json

import numpy as np
import pytest

from eavctl import registry
from eavctl.errors import SignalError
from eavctl.stages.recipe import Recipe

SETS = registry.names("features")
AUDIO = [name for name in SETS if registry.get("features", name).facts["modality"] == "audio"]


def voice(rate, seconds=1.5):
    time = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(scale=0.01, size=len(time))
    return (0.3 * np.sign(np.sin(2 * np.pi * 140 * time)) * np.sin(2 * np.pi * 3 * time) + noise).astype(
        np.float32
    )


@pytest.mark.parametrize("name", SETS)
def test_facts_are_complete_and_settings_are_plain(name):
    meta = Recipe(name).meta()
    assert json.loads(json.dumps(meta)) == meta
    assert meta["features_version"] >= 1
    assert meta["units"]
    assert Recipe.from_meta(meta) == Recipe(name)


@pytest.mark.parametrize("name", AUDIO)
def test_pure_finite_float32_and_as_many_as_named(name):
    entry = registry.get("features", name)
    rate = entry.facts["rate"] or 22050
    signal = voice(rate)
    kept = signal.copy()
    one, other = entry.thing(signal, rate), entry.thing(signal, rate)
    assert np.array_equal(signal, kept)
    assert np.array_equal(one, other)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    columns = Recipe(name).columns
    assert one.ndim > 1 if columns is None else one.shape == (len(columns),)
    assert entry.thing(voice(rate, 0.7), rate).shape == one.shape


@pytest.mark.parametrize("name", AUDIO)
@pytest.mark.parametrize("signal", [np.zeros(30000), np.full(30000, 0.5), np.ones(20)])
def test_what_cannot_be_described_raises_a_signal_error(name, signal):
    entry = registry.get("features", name)
    with pytest.raises(SignalError):
        entry.thing(signal.astype(np.float32), entry.facts["rate"] or 22050)
