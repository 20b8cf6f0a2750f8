import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.features import face_stats as module
from eavctl.features.face_stats import MOVES, NAMES, SIDE, face_stats
from eavctl.signals.mtcnn import Faces
from eavctl.signals.video import VideoSpan, open_video
from tests.features.marked_faces import marked, span


def face_stats_of(monkeypatch, faces, **settings):
    """Column by column, with a detector that knows where the faces are."""
    pictures = [picture for picture, _ in faces]
    answers = {id(picture): found for picture, found in faces}
    monkeypatch.setattr(module, "detector", lambda model: lambda picture, near: answers[id(picture)])
    values, account = face_stats(span(pictures), 25, n_frames=len(pictures), **settings)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    return dict(zip(NAMES, values.tolist(), strict=True)), account


def group(stats, start, end):
    return np.array([value for name, value in stats.items() if name.startswith(start) and name.endswith(end)])


def test_names_are_distinct_and_in_a_sensible_number():
    assert len(set(NAMES)) == len(NAMES) == 427
    assert {"edges_brows_1_1_0deg_mean", "edges_mouth_4_2_90deg_apex", "motion_cheeks_2_1_mean"} < set(NAMES)


def test_a_still_face_has_no_deviations(monkeypatch):
    stats, account = face_stats_of(monkeypatch, [marked()] * 6)
    assert account == {"faces_found": 1.0, "people": 1}
    assert group(stats, "", "_std") == pytest.approx(0, abs=1e-6)
    for apex in (name for name in NAMES if name.endswith("_apex")):
        assert stats[apex] == pytest.approx(stats[apex.replace("_apex", "_mean")], abs=1e-5)
    assert group(stats, "motion", "_mean") == pytest.approx(0)
    assert [stats[name] for name in MOVES] == pytest.approx([0] * 4, abs=1e-6)
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


def test_a_mouth_that_widens_is_motion_below_and_the_apex(monkeypatch):
    faces = [marked(mouth=mouth) for mouth in (8, 8, 8, 8, 8, 14, 14, 8, 8, 8)]
    stats, _ = face_stats_of(monkeypatch, faces)
    assert group(stats, "motion_mouth", "").mean() > 10 * group(stats, "motion_brows", "").mean()
    assert stats["mouth_width_mean"] == pytest.approx(0.46)
    assert stats["mouth_width_std"] == pytest.approx(0.12)
    assert stats["mouth_width_apex"] == pytest.approx(0.7)  # 28 pixels, over 40 between the eyes
    wide, _ = face_stats_of(monkeypatch, [marked(mouth=14)])
    np.testing.assert_allclose(group(stats, "edges", "_apex"), group(wide, "edges", "_mean"), atol=1e-5)


def test_a_tilted_face_has_the_features_of_an_upright_one(monkeypatch):
    upright, _ = face_stats_of(monkeypatch, [marked()] * 3)
    aslant, _ = face_stats_of(monkeypatch, [marked(angle=0.4)] * 3)
    assert aslant["roll_mean"] == pytest.approx(0.4, abs=1e-5)
    ours, theirs = (group(s, "edges", "_mean") for s in (upright, aslant))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95


def test_a_mirrored_face_has_the_same_edges_and_motion(monkeypatch):
    def mirrored(picture, found):
        points = (found.points * (-1, 1) + (picture.shape[1], 0))[:, [1, 0, 2, 4, 3]]
        boxes = np.stack([picture.shape[1] - found.boxes[:, 2 - 2 * i] for i in (0, 1)], axis=1)
        box = np.concatenate([boxes[:, :1], found.boxes[:, 1:2], boxes[:, 1:], found.boxes[:, 3:]], axis=1)
        return np.ascontiguousarray(picture[:, ::-1]), Faces(box, found.scores, points)

    rng = np.random.default_rng(0)
    faces = []
    for mouth in (8, 12, 9):
        picture, found = marked(mouth=mouth)
        spots = rng.integers(0, 60, (24, 32, 1)).repeat(10, axis=0).repeat(10, axis=1)
        faces.append((np.minimum(picture + spots, 255).astype(np.uint8), found))
    plain, _ = face_stats_of(monkeypatch, faces)
    other, _ = face_stats_of(monkeypatch, [mirrored(*face) for face in faces])
    for start in ("edges", "motion"):
        ours, theirs = group(plain, start, "_mean"), group(other, start, "_mean")
        np.testing.assert_allclose(ours, theirs, atol=0.05 * np.ptp(ours))


def test_light_and_contrast_matter_little(monkeypatch):
    plain = [marked(mouth=m) for m in (8, 12, 9)]
    dim = [((picture * 0.6 + 20).astype(np.uint8), found) for picture, found in plain]
    one, other = (face_stats_of(monkeypatch, faces)[0] for faces in (plain, dim))
    for start in ("edges", "motion"):
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


def test_face_stats_of_real_clips(shared_data):
    with open_video(shared_data / "video" / "face_noface.mov") as file:
        stats, account = face_stats(VideoSpan(file, 0, file.duration), file.fps, n_frames=10)
        named = dict(zip(NAMES, stats, strict=True))
        assert account["faces_found"] == pytest.approx(0.4, abs=0.11)
        assert 0.6 < named["mouth_width_mean"] < 1.2
        assert named["mouth_width_std"] > 0.04  # he begins to smile
        assert abs(named["roll_mean"]) < 0.15


def test_aligned_faces_have_equal_brightness_and_contrast():
    faces = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)
    faces[1] //= 2
    pictures = module._standardised(faces)
    assert pictures.shape == (2, SIDE, SIDE)
    assert pictures.mean(axis=(1, 2)) == pytest.approx(0, abs=1e-5)
    assert pictures.std(axis=(1, 2)) == pytest.approx(1, abs=1e-4)
