"""``images``: the central square of a picture, in the size and colour of the data set."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eavctl.errors import UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.images import images, settings_for
from eavctl.signals.still import Still, as_rgb
from eavctl.signals.video import VideoSpan

AUTOMATIC = {"size": None, "colour": None}


def span(picture: np.ndarray) -> VideoSpan:
    return VideoSpan(Still(picture), 0.0, 0.04)


def test_grey_levels_and_colours_come_out_as_they_are() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    assert np.array_equal(images(span(as_rgb(levels)), 25.0, colour="grey"), levels[:, :, None])
    assert np.array_equal(
        images(span(np.repeat(levels[:, :, None], 3, 2)), 25.0, colour="grey"), levels[:, :, None]
    )
    coloured = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    assert np.array_equal(images(span(coloured), 25.0), coloured)
    luma = coloured @ [0.299, 0.587, 0.114]
    assert np.abs(images(span(coloured), 25.0, colour="grey")[:, :, 0] - luma).max() < 1


def test_the_largest_central_square_is_taken_and_resized() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = np.arange(20, dtype=np.uint8)[:, None] * 10
    assert np.array_equal(images(span(wide), 25.0), wide[:, 20:40])
    small = images(span(wide), 25.0, size=10)
    assert small.shape == (10, 10, 3)
    assert np.abs(small[1:-1, :, 0].astype(int) - wide[::2, 20:40:2, 0][1:-1] - 5).max() <= 2


def picture(path: Path, width: int, height: int, mode: str) -> Path:
    Image.new(mode, (width, height)).save(path)
    return path


def test_size_and_colour_are_those_of_the_data_set(tmp_path: Path) -> None:
    grey = [picture(tmp_path / f"{i}.png", 32, 40, "L") for i in range(3)]
    assert settings_for(grey, AUTOMATIC) == {"size": 32, "colour": "grey"}
    assert settings_for(grey, {"size": 8, "colour": "rgb"}) == {"size": 8, "colour": "rgb"}
    mixed = [*grey, picture(tmp_path / "c.png", 32, 32, "RGB")]
    assert settings_for(mixed, AUTOMATIC) == {"size": 32, "colour": "rgb"}
    sizes = [*grey, picture(tmp_path / "d.png", 48, 48, "L")]
    assert settings_for(sizes, AUTOMATIC) == {"size": 64, "colour": "grey"}
    large = [picture(tmp_path / "e.png", 900, 700, "RGB")]
    assert settings_for(large, AUTOMATIC) == {"size": 64, "colour": "rgb"}
    idx = tmp_path / "train-images-idx3-ubyte.gz"
    idx.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 2, 30, 20) + bytes(1200)))
    assert settings_for([idx], AUTOMATIC) == {"size": 20, "colour": "grey"}
    (tmp_path / "broken.png").write_bytes(b"")
    assert settings_for([tmp_path / "broken.png"], AUTOMATIC) == {"size": 64, "colour": "rgb"}


def test_a_frame_of_a_film_is_a_picture(shared_data: Path) -> None:
    film = next((shared_data / "ravdess-video").glob("*.mp4"))
    assert settings_for([film], AUTOMATIC) == {"size": 64, "colour": "rgb"}
    recipe = Recipe("images", {"size": 64, "colour": "rgb"}, segment=1.0)
    with recipe.open(film) as stretch_of:
        samples = recipe.describe(stretch_of())
    assert len(samples) == 3
    assert {each.x.shape for each in samples if each.x is not None} == {(64, 64, 3)}


@pytest.mark.parametrize("settings", [{"size": 0}, {"size": 5000}, {"colour": "sepia"}])
def test_other_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Recipe("images", settings)
