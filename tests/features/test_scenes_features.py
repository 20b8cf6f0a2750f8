"""``scenes``: the whole picture in a square."""

import numpy as np
import pytest

from eavctl.errors import UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.scenes import scenes
from eavctl.signals.pictures import Letterbox
from eavctl.signals.still import Still
from eavctl.signals.video import VideoSpan


def test_it_is_the_letterbox_of_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    found = scenes(VideoSpan(Still(picture), 0.0, 0.04), 25.0, size=64)
    assert np.array_equal(found, Letterbox(40, 70, 64).picture(picture))


@pytest.mark.parametrize("size", [60, 31, 8, 4096, "64"])
def test_sides_that_no_network_takes_are_refused(size):
    with pytest.raises(UsageError):
        Recipe("scenes", {"size": size})
