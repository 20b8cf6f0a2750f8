"""Valence and arousal of classes: the norms' scale, and how names are found."""

import numpy as np
import pytest

from eavctl.datasets.affect import coordinates, is_emotion


def test_ratings_from_1_to_9_lie_between_minus_1_and_1():
    assert coordinates(["angry"])[0] == pytest.approx([(2.53 - 5) / 4, (6.20 - 5) / 4])
    assert np.abs(coordinates(["happy", "sad", "calm", "neutral", "excited"])).max() <= 1


def test_names_are_found_in_any_case_and_as_nouns():
    assert np.array_equal(coordinates(["Anger", " SADNESS "]), coordinates(["angry", "sad"]))


def test_an_unknown_name_has_no_coordinates_and_is_no_emotion():
    found = coordinates(["happy", "blorp"])
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    assert is_emotion("ANG")
    assert not is_emotion("blorp")


def test_no_classes_have_no_coordinates():
    assert coordinates([]).shape == (0, 2)
