import numpy as np
import pytest

from eavctl.errors import SignalError, UsageError
from eavctl.features import texture, video
from eavctl.features.texture import cell_means, gradient_histograms, pattern_histograms
from eavctl.signals.faces import Track
from eavctl.signals.mtcnn import Faces
from eavctl.signals.video import VideoSpan, open_video

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


def test_patterns_of_a_spot_an_edge_and_a_flat():
    flat = np.zeros((1, SIDE, SIDE))
    assert pattern_histograms(flat, 1)[0, 0, 0, 8] == pytest.approx(1)
    ramp = COLUMNS[None]  # of the eight neighbours, five are at least as bright
    assert pattern_histograms(ramp, 3)[0, ..., 5] == pytest.approx(1)
    spots = np.zeros((1, SIDE, SIDE))
    spots[:, ::4, ::4] = 1
    assert pattern_histograms(spots, 1)[0, 0, 0, 0] == pytest.approx(1 / 16, abs=0.01)


def test_patterns_do_not_change_with_light_and_quarter_turns():
    picture = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    one = pattern_histograms(picture[None], 2)[0]
    np.testing.assert_allclose(pattern_histograms(np.exp(picture)[None], 2)[0], one)
    quarter = pattern_histograms(np.rot90(picture)[None], 2)[0]
    np.testing.assert_allclose(np.rot90(quarter, -1), one, atol=1e-5)
    np.testing.assert_allclose(one.sum(axis=-1), 1, atol=1e-5)
    # Of random neighbours, 58 of 256 codes have at most two changes; a random middle favours these.
    assert 0.3 < one[..., -1].mean() < 0.75


def test_cell_means_of_a_linear_map_are_its_values_inside():
    means = cell_means((2 * ROWS + 3 * COLUMNS)[None], 8)[0]
    centres = (np.arange(8) + 0.5) * 8 - 0.5
    expected = 2 * centres[:, None] + 3 * centres
    np.testing.assert_allclose(means[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-5)


class FakeFile:
    """A video of still or moving pictures, in the form of `VideoFile`."""

    def __init__(self, pictures):
        self.pictures = pictures

    def frames(self, start, end, n):
        return (self.pictures[int(start + i * (end - start) / n)] for i in range(n))


def span(pictures):
    return VideoSpan(FakeFile(pictures), 0, len(pictures))


def marked(left=100, top=60, side=80, angle=0.0, mouth=10, size=(240, 320)):
    """A picture with five bright points as of a face, and the answer of a detector that finds them."""
    x, y = left + side / 2, top + side / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array([(-20, -15), (20, -15), (0, 5), (-mouth, 25), (mouth, 25)]) * side / 80 @ turn.T + (
        x,
        y,
    )
    rows, columns = np.mgrid[: size[0], : size[1]]
    near = [np.exp(-((columns + 0.5 - px) ** 2 + (rows + 0.5 - py) ** 2) / 60) for px, py in points]
    picture = np.repeat((30 + 200 * np.minimum(sum(near), 1))[..., None], 3, axis=2).astype(np.uint8)
    box = np.array([[left, top, left + side, top + side]], float)
    return picture, Faces(box, np.ones(1), points[None])


def face_stats_of(monkeypatch, faces, **settings):
    """Column by column, with a detector that knows where the faces are."""
    pictures = [picture for picture, _ in faces]
    answers = {id(picture): found for picture, found in faces}
    monkeypatch.setattr(video, "detector", lambda model: lambda picture, near: answers[id(picture)])
    values, account = video.face_stats(span(pictures), 25, n_frames=len(pictures), **settings)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    return dict(zip(video.FACE_STATS_NAMES, values.tolist(), strict=True)), account


def group(stats, start, end):
    return np.array([value for name, value in stats.items() if name.startswith(start) and name.endswith(end)])


def test_names_are_distinct_and_in_a_sensible_number():
    names = video.FACE_STATS_NAMES
    assert len(set(names)) == len(names) == 942
    assert "hog_1_6_0deg_mean" in names
    assert "lbp_4_4_mixed_std" in names


def test_a_still_face_has_no_deviations(monkeypatch):
    stats, account = face_stats_of(monkeypatch, [marked()] * 6)
    assert account == {"faces_found": 1.0, "people": 1}
    assert group(stats, "", "_std") == pytest.approx(0, abs=1e-6)
    assert group(stats, "motion", "_mean") == pytest.approx(0)
    assert [stats[name] for name in video.MOVES] == pytest.approx([0] * 4, abs=1e-6)
    assert stats["mouth_width_mean"] == pytest.approx(0.5)
    assert stats["eyes_to_mouth_mean"] == pytest.approx(1)
    assert stats["eyes_to_nose_mean"] == pytest.approx(0.5)
    assert stats["nose_aside_mean"] == pytest.approx(0, abs=1e-6)


def test_a_moving_head_moves_the_box_and_not_the_face(monkeypatch):
    faces = [marked(left=40 + 8 * i, top=60 + 4 * i) for i in range(10)]
    stats, _ = face_stats_of(monkeypatch, faces)
    assert stats["move_across"] == pytest.approx(np.std(8 * np.arange(10)) / 80, rel=1e-4)
    assert stats["move_down"] == pytest.approx(np.std(4 * np.arange(10)) / 80, rel=1e-4)
    assert stats["move_path"] == pytest.approx(np.hypot(8, 4) / 80, rel=1e-4)
    assert group(stats, "motion", "_mean").max() < 0.1  # of a contrast of 1


def test_a_mouth_that_opens_is_motion_below(monkeypatch):
    faces = [marked(mouth=mouth) for mouth in (8, 14, 8, 14, 8, 14)]
    stats, _ = face_stats_of(monkeypatch, faces)
    motion = group(stats, "motion", "_mean").reshape(4, 4)
    assert motion[2:].mean() > 10 * motion[:2].mean()
    assert stats["mouth_width_mean"] == pytest.approx(0.55)
    assert stats["mouth_width_std"] == pytest.approx(0.15)


def test_a_tilted_face_has_the_features_of_an_upright_one(monkeypatch):
    upright, _ = face_stats_of(monkeypatch, [marked()] * 3)
    aslant, _ = face_stats_of(monkeypatch, [marked(angle=0.4)] * 3)
    assert aslant["roll_mean"] == pytest.approx(0.4, abs=1e-5)
    ours, theirs = (group(s, "hog", "_mean") for s in (upright, aslant))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95


def test_light_and_contrast_matter_little(monkeypatch):
    plain = [marked(mouth=m) for m in (8, 12, 9)]
    dim = [((picture * 0.6 + 20).astype(np.uint8), found) for picture, found in plain]
    one, other = (face_stats_of(monkeypatch, faces)[0] for faces in (plain, dim))
    for start in ("hog", "motion"):
        ours, theirs = group(one, start, "_mean"), group(other, start, "_mean")
        assert np.abs(ours - theirs).max() < 0.1


def test_only_frames_with_a_face_count(monkeypatch):
    none = (np.zeros((240, 320, 3), np.uint8), Faces(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2))))
    faces = [marked(mouth=m) for m in (8, 10, 12)]
    whole, _ = face_stats_of(monkeypatch, faces)
    holes, account = face_stats_of(monkeypatch, [none, *faces[:2], (none[0].copy(), none[1]), faces[2]])
    assert account == {"faces_found": 0.6, "people": 1}
    assert holes == whole
    with pytest.raises(SignalError, match="no face found"):
        face_stats_of(monkeypatch, [none])


def test_whole_frames_need_no_detector(monkeypatch):
    monkeypatch.setattr(video, "detector", None)
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:, 35:125] = 200
    x, account = video.faces(span([picture] * 4), 25, n_frames=4, size=30, crop="frame")
    assert x.shape == (4, 30, 30, 3)
    assert x.dtype == np.uint8
    assert (x == 200).all()
    assert account == {}


@pytest.mark.parametrize("settings", [{"crop": "head"}, {"n_frames": 0}, {"size": 0}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(UsageError):
        video.faces(span([np.zeros((9, 9, 3), np.uint8)]), 25, **settings)


def test_faces_of_a_real_clip(shared_data):
    with open_video(shared_data / "ravdess-video" / "01-01-01-01-01-01-01.mp4") as file:
        whole, account = video.faces(VideoSpan(file, 0, 3.2), file.fps, n_frames=8)
        assert account == {"faces_found": 1.0, "people": 1}
        assert whole.shape == (8, 56, 56, 3)
        assert whole.dtype == np.uint8
        halves = [video.faces(VideoSpan(file, s, s + 1.6), file.fps, n_frames=4)[0] for s in (0, 1.6)]
        apart = np.abs(np.concatenate(halves).astype(int) - whole).mean(axis=(1, 2, 3))
        assert (apart[:4] == 0).all()  # after the cut, the face is searched for anew
        assert (apart[4:] < 20).all()
        red, green, blue = whole[:, 20:36, 20:36].mean(axis=(0, 1, 2))
        assert red > green > blue  # skin


def test_face_stats_of_real_clips(shared_data):
    with open_video(shared_data / "video" / "face_noface.mov") as file:
        stats, account = video.face_stats(VideoSpan(file, 0, file.duration), file.fps, n_frames=10)
        named = dict(zip(video.FACE_STATS_NAMES, stats, strict=True))
        assert account["faces_found"] == pytest.approx(0.4, abs=0.11)
        assert 0.6 < named["mouth_width_mean"] < 1.2
        assert named["mouth_width_std"] > 0.04  # he begins to smile
        assert abs(named["roll_mean"]) < 0.15


def test_smoothing_keeps_lines_and_calms_trembling():
    line = np.arange(10.0)
    assert video._smooth(line)[1:-1] == pytest.approx(line[1:-1])
    assert np.ptp(video._smooth(np.tile([0.0, 1.0], 5))[1:-1]) == 0


def test_aligned_faces_have_equal_brightness_and_contrast(monkeypatch):
    faces = [marked(mouth=m) for m in (8, 12)]
    crops = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3)).astype(np.uint8)
    boxes, points = (np.concatenate([getattr(f, k) for _, f in faces]) for k in ("boxes", "points"))
    pictures = video._aligned(Track(crops, boxes, points, np.array([True, True])))
    assert pictures.shape == (2, video.SIDE, video.SIDE)
    assert pictures.mean(axis=(1, 2)) == pytest.approx(0, abs=1e-5)
    assert pictures.std(axis=(1, 2)) == pytest.approx(1, abs=1e-4)
