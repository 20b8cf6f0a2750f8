"""Occluded windows, bands, channels and patches, with a classifier of which it is known where it looks."""

import numpy as np
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.explaining.effects import Effects
from eavctl.explaining.judging import Judged
from eavctl.explaining.occlusion import occlusion_of
from eavctl.extraction.recipe import Recipe
from eavctl.storage.metadata import FeatureMeta
from tests.explaining.made_tables import keys_of

CHANNELS = ["C3", "Cz", "C4", "nowhere"]


def meta_of(features, **settings):
    return FeatureMeta.from_json(Recipe(features, settings).meta(), "the table")


def eeg_of(**settings):
    return meta_of("eeg-epochs", channels=CHANNELS, rate=100, **settings)


class Looking:
    """Answers by the mean of some values of a sample, which is above 0 for the second class."""

    classes_ = np.array(["calm", "loud"])

    def __init__(self, *where):
        self.where = (slice(None), *where)

    def predict_proba(self, x):
        means = x[self.where].astype(np.float64).reshape(len(x), -1).mean(axis=1)
        loud = 1 / (1 + np.exp(-4 * means))
        return np.column_stack([1 - loud, loud])

    def decide(self, proba):
        return proba.argmax(axis=1)


def findings(x, predictor, meta, keys):
    rows = Rows.of(x, keys["label"], classes=("calm", "loud"))
    rows = Rows(rows.x, rows.y, rows.classes, keys=keys)
    effects = Effects(rows, rows.classes, {}, occlusion_of(meta, x), None, 0)
    effects(Judged(predictor, rows, np.arange(len(rows)), 0))
    return {
        view["name"]: {part["name"]: part for part in view["parts"]}
        for view in effects.findings(None)["views"]
    }


@pytest.fixture
def keys():
    return keys_of(6, 4, classes=("calm", "loud"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_window_and_the_channel_where_the_class_stands_are_found(keys, rng):
    x = rng.normal(size=(48, 4, 200)).astype(np.float32)
    sign = np.where(keys["label"] == "loud", 1, -1)
    x[:, 2, 60:80] += sign[:, None]
    found = findings(x, Looking(2, slice(60, 80)), eeg_of(), keys)
    assert list(found) == ["time", "channel"]
    assert list(found["channel"]) == CHANNELS
    for view, name in (("time", "0.60-0.80 s"), ("channel", "C4")):
        own = found[view][name]
        assert own["drop"]["value"] > 0.4
        assert own["drop"]["low"] > 0.3
        assert own["probability"]["low"] > 0.2
        for other, part in found[view].items():
            if other != name:
                assert part["drop"] == {"value": 0.0, "low": 0.0, "high": 0.0}
                assert part["probability"]["value"] == 0.0
                assert part["p_value"] == 1


def test_a_region_is_replaced_by_the_mean_of_its_band_and_the_rest_is_kept(rng):
    x = (5 + rng.normal(size=(10, 4, 30))).astype(np.float32)
    occlusion = occlusion_of(eeg_of(), x)
    region = next(each for each in occlusion.regions if each.name == "C4")
    changed, before = occlusion(x, region), x.copy()
    np.testing.assert_allclose(changed[:, 2], x[:, 2].mean(), rtol=1e-6)
    np.testing.assert_array_equal(np.delete(changed, 2, axis=1), np.delete(x, 2, axis=1))
    np.testing.assert_array_equal(x, before)


def test_windows_and_bands_cover_everything_once(rng):
    for meta, shape in ((eeg_of(), (4, 137)), (meta_of("logmel", n_mels=20, n_frames=33), (20, 33))):
        seen = {}
        for region in occlusion_of(meta, np.zeros((2, *shape), np.float32)).regions:
            seen.setdefault(region.view, np.zeros(shape, int))[region.where] += 1
        assert len(seen) == 2
        for counts in seen.values():
            np.testing.assert_array_equal(counts, 1)


@pytest.mark.parametrize("standardised", [False, True])
def test_padding_is_no_signal_and_stays(rng, standardised):
    meta = meta_of("logmel", n_mels=16, n_frames=40)
    padding = -80.0
    if standardised:
        meta, padding = meta._replace(normalized={"axis": 0, "padding": padding}), 0.0
    x = rng.normal(-20, 3, size=(6, 16, 40)).astype(np.float32)
    x[:3, :, 25:] = padding
    occlusion = occlusion_of(meta, x)
    last = [each for each in occlusion.regions if each.view == "time"][-1]
    assert last.name == "0.36-0.40 s"
    changed = occlusion(x, last)
    np.testing.assert_array_equal(changed[:3], x[:3])
    own = [x[:3, 5, :25].ravel(), x[3:, 5].ravel()]
    np.testing.assert_allclose(changed[3:, 5, 36:], np.concatenate(own).mean(), rtol=1e-5)


def test_the_patch_where_the_class_stands_is_found(keys, rng):
    x = rng.integers(0, 256, size=(48, 14, 14, 3)).astype(np.uint8)
    x[:, 4:6, 8:10] = np.where(keys["label"] == "loud", 250, 5)[:, None, None, None]

    class Brightness(Looking):
        def predict_proba(self, pictures):
            return super().predict_proba((pictures.astype(np.float32) - 127) / 64)

    found = findings(x, Brightness(slice(4, 6), slice(8, 10)), meta_of("images"), keys)
    parts = found["patch"]
    assert len(parts) == 49
    assert max(parts, key=lambda name: parts[name]["probability"]["value"]) == "row 3, column 5"
    assert sum(part["drop"]["value"] != 0 for part in parts.values()) == 1


def test_films_have_windows_and_patches(rng):
    x = rng.integers(0, 256, size=(3, 5, 8, 8, 3)).astype(np.uint8)
    occlusion = occlusion_of(meta_of("faces", n_frames=5, size=8), x)
    assert [each.view for each in occlusion.regions] == ["time"] * 5 + ["patch"] * 49
    changed = occlusion(x, occlusion.regions[1])
    assert changed.dtype == np.uint8
    np.testing.assert_allclose(changed[:, 1], np.tile(x[:, 1].mean(axis=0), (3, 1, 1, 1)), atol=0.51)


def test_columns_have_no_regions():
    assert occlusion_of(meta_of("means180"), np.zeros((2, 180), np.float32)) is None
