import numpy as np
import pytest

from eavctl.features import texture
from eavctl.features.texture import cell_means, gradient_histograms

SIDE = 64
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(float)


def grating(degrees, wavelength=8.0):
    """Waves whose gradient points at an angle from the horizontal, clockwise on the screen."""
    angle = np.radians(degrees)
    return 0.5 + 0.4 * np.sin(2 * np.pi * (np.cos(angle) * COLUMNS + np.sin(angle) * ROWS) / wavelength)


@pytest.mark.parametrize("number", range(texture.N_BINS))
def test_a_grating_peaks_in_its_orientation(number):
    cells = gradient_histograms(grating(180 * number / texture.N_BINS)[None], 6)
    assert cells.shape == (1, 6, 6, texture.N_BINS)
    assert (cells.argmax(axis=-1) == number).all()
    assert (cells[..., number] > 0.7).all()


def test_a_grating_between_two_orientations_is_shared_between_their_bins():
    cells = gradient_histograms(grating(180 * 2.5 / texture.N_BINS)[None], 4)
    share = cells[..., 2:4].sum(axis=-1)
    np.testing.assert_allclose(cells[..., 2] / share, 0.5, atol=0.06)
    assert (share > 0.75).all()


def test_gradient_histograms_do_not_change_with_contrast_and_light():
    picture = np.random.default_rng(0).normal(size=(1, SIDE, SIDE))
    one, other = gradient_histograms(picture, 6), gradient_histograms(picture * 3 + 5, 6)
    np.testing.assert_allclose(one, other, atol=2e-3)
    assert not gradient_histograms(np.full((1, SIDE, SIDE), 0.3), 6).any()


def test_gradient_histograms_by_plain_loops():
    picture = np.random.default_rng(1).normal(size=(12, 12))
    cells = np.zeros((2, 2, texture.N_BINS))
    weights = np.zeros((2, 2))
    down, right = np.gradient(picture)
    for row in range(12):
        for column in range(12):
            strength = np.hypot(right[row, column], down[row, column])
            degrees = np.degrees(np.arctan2(down[row, column], right[row, column])) % 180
            place = degrees / 22.5
            lower = int(place) % 8
            shares = {lower: 1 - place % 1, (lower + 1) % 8: place % 1}
            for i in range(2):
                for j in range(2):
                    weight = nearness(row, i) * nearness(column, j)
                    weights[i, j] += weight
                    for k, share in shares.items():
                        cells[i, j, k] += weight * strength * share
    cells /= weights[..., None]
    total = cells.sum(axis=-1)
    padded = np.pad(total, 1, mode="edge")
    scale = [[max(total[i, j], padded[i : i + 3, j : j + 3].mean()) for j in range(2)] for i in range(2)]
    expected = cells / (np.array(scale) + texture.FLAT)[..., None]
    np.testing.assert_allclose(gradient_histograms(picture[None], 2)[0], expected, rtol=1e-4)


def nearness(pixel, cell):
    """1 at a cell's centre and beyond towards the border, 0 at the other cell's; centres at 3 and 9."""
    along = np.clip((pixel + 0.5 - 3) / 6, 0, 1)
    return along if cell else 1 - along


def test_cell_means_of_a_linear_map_are_its_values_inside():
    means = cell_means((2 * ROWS + 3 * COLUMNS)[None], 8)[0]
    centres = (np.arange(8) + 0.5) * 8 - 0.5
    expected = 2 * centres[:, None] + 3 * centres
    np.testing.assert_allclose(means[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-5)
