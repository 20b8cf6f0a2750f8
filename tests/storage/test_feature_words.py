"""Errors about features of other settings name the settings that differ, and no others."""

from eavctl.storage.metadata import FeatureMeta

CHANNELS = [f"E{i}" for i in range(64)]


def meta(features="eeg-cov", **settings):
    return FeatureMeta("eeg", features, 1, {"low": 1.0, "channels": CHANNELS, **settings}, "hash")


def test_settings_that_are_equal_are_left_out():
    ours, theirs = meta(filter="causal").words_beside(meta())
    assert "filter=causal" in ours
    assert "filter=default" in theirs
    assert "low" not in ours + theirs
    assert "channels" not in ours + theirs


def test_channels_in_another_order_are_told_from_the_first_that_differs():
    swapped = [*CHANNELS[:50], "E51", "E50", *CHANNELS[52:]]
    ours, theirs = meta().words_beside(meta(channels=swapped))
    assert "[..., E50, E51," in ours
    assert "[..., E51, E50," in theirs
    assert "E49" not in ours + theirs
    fewer = meta().words_beside(meta(channels=CHANNELS[:50]))
    assert "64 in all" in fewer[0]
    assert "50 in all" in fewer[1]


def test_positions_of_electrodes_that_differ_are_told():
    ours, theirs = (meta(montage={"E0": [0, 0, z]}) for z in (1, 2))
    assert len({*ours.words_beside(theirs)}) == 2


def test_other_feature_sets_are_told_whole():
    ours, theirs = meta(), meta("eeg-bands")
    assert ours.words_beside(theirs) == (ours.words, theirs.words)
