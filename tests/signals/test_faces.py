import gc
import itertools
import subprocess
import sys
import types
import weakref
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.reference_mtcnn import Mtcnn
from eavctl.errors import SignalError, UsageError
from eavctl.signals import faces, mtcnn
from eavctl.signals.convolution import pool
from eavctl.signals.faces import detector, follow
from eavctl.signals.mtcnn import Faces, overlaps
from eavctl.signals.pictures import cut_out, turned
from eavctl.signals.video import open_video

BACKGROUND = 120


@pytest.fixture(scope="module")
def portrait(shared_data):
    return np.asarray(Image.open(shared_data / "video" / "single_face.jpg").convert("RGB"))


def pasted(portrait, left, top, scale, size=(720, 960)):
    """The portrait on a plain ground, and the box in which its face must be found."""
    height, width = (round(side * scale) for side in portrait.shape[:2])
    small = np.asarray(Image.fromarray(portrait).resize((width, height), Image.Resampling.LANCZOS))
    ground = np.full((*size, 3), BACKGROUND, np.uint8)
    ground[top : top + height, left : left + width] = small[: size[0] - top, : size[1] - left]
    (box,) = mtcnn.detect(portrait).boxes
    return ground, box * scale + np.array([left, top] * 2)


@pytest.mark.parametrize(
    ("left", "top", "scale"),
    [(0, 0, 1), (380, 150, 1), (500, 30, 0.7), (100, 400, 0.5), (700, 80, 0.4), (420, 300, 0.25)],
)
def test_the_box_follows_the_face_in_place_and_size(portrait, left, top, scale):
    picture, expected = pasted(portrait, left, top, scale)
    found = mtcnn.detect(picture)
    assert len(found) == 1
    assert overlaps(expected, found.boxes)[0] > 0.7
    (eye, other_eye, nose, mouth, other_mouth) = found.points[0]
    assert eye[0] < nose[0] < other_eye[0]
    assert mouth[0] < other_mouth[0]
    assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


def test_small_faces_are_looked_for_when_there_is_no_large_one(portrait):
    picture, expected = pasted(portrait, 400, 300, 0.13)
    assert (expected[2:] - expected[:2]).max() < picture.shape[0] * mtcnn.SMALLEST
    found = mtcnn.detect(picture)
    assert len(found) == 1
    assert overlaps(expected, found.boxes)[0] > 0.6


def test_five_friends(shared_data):
    picture = np.asarray(Image.open(shared_data / "video" / "multi_face.jpg").convert("RGB"))
    found = mtcnn.detect(picture)
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    by_eye = np.array([(260, 115), (363, 295), (476, 262), (582, 370), (735, 357)])
    assert np.abs(centres[np.argsort(centres[:, 0])] - by_eye).max() < 15


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (12, 12), (64, 48), (300, 7)])
def test_pictures_of_any_size(size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    found = mtcnn.detect(noise)
    assert found.boxes.shape == (0, 4)
    assert found.points.shape == (0, 5, 2)


@pytest.mark.parametrize(
    ("shape", "side", "n_out"), [((2, 17, 12, 3), 3, 5), ((1, 9, 24, 8), 2, 4), ((0, 24, 24, 3), 3, 7)]
)
def test_layers_are_those_of_torch(shape, side, n_out):
    import torch
    from torch.nn import functional as F  # noqa: N812

    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    kernel = rng.normal(size=(side, side, shape[-1], n_out)).astype(np.float32)
    bias, slope = rng.normal(size=(2, n_out)).astype(np.float32)
    ours = pool(mtcnn._convolved(x, kernel, bias, slope.reshape(1, 1, -1)), side)
    inner = F.conv2d(
        torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(kernel).permute(3, 2, 0, 1), torch.tensor(bias)
    )
    if len(x):
        theirs = F.max_pool2d(F.prelu(inner, torch.tensor(slope)), side, stride=2, ceil_mode=True)
        np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-4, atol=1e-4)
    else:
        assert ours.shape[0] == 0


def test_overlaps():
    box = np.array([0, 0, 10, 10.0])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [2, 2, 4, 4.0]])
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 3, 0, 0.04])
    np.testing.assert_allclose(overlaps(box, others, of_smaller=True), [1, 0.5, 0, 1])


def test_distinct_keeps_the_best_of_each_heap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [51, 1, 61, 11.0]])
    assert mtcnn._distinct(boxes, np.array([0.8, 0.9, 0.7, 0.6]), 0.5).tolist() == [1, 2]


def fixed(*boxes):
    """A detector's answer."""
    boxes = np.array(boxes, float).reshape(-1, 4)
    return Faces(boxes, np.ones(len(boxes)), np.zeros((len(boxes), 5, 2)))


def scripted(answers):
    """Frames, each of its own grey, and a detector that knows what is in them."""
    frames = [np.full((100, 200, 3), 10 + i, np.uint8) for i in range(len(answers))]
    return frames, lambda picture, near: answers[picture[0, 0, 0] - 10]


def test_one_person_is_followed():
    large, small = (10, 10, 60, 70), (120, 20, 160, 60)
    near_small = (130, 25, 170, 65)
    frames, find = scripted([fixed(small, large), fixed(small), fixed(large, near_small), fixed(large)])
    track = follow(frames, find, 8)
    assert track.boxes.tolist() == np.array([large, small, near_small, large], float).tolist()
    frames, find = scripted([fixed(small), fixed(large, near_small), fixed(large, small)])
    assert follow(frames, find, 8).boxes.tolist() == np.array([small, near_small, small], float).tolist()


def test_the_last_crop_is_carried_over_and_the_first_backwards():
    here, there = (10, 10, 60, 60), (20, 10, 70, 60)
    frames, find = scripted([fixed(), fixed(here), fixed(), fixed(there), fixed()])
    track = follow(frames, find, 8)
    assert track.is_found.tolist() == [False, True, False, True, False]
    assert track.share == 0.4
    assert track.crops[:, 4, 4, 0].tolist() == [11, 11, 11, 13, 13]
    assert track.boxes[:, 0].tolist() == [10, 10, 10, 20, 20]


def test_a_repeated_frame_is_not_searched_again():
    frames, find = scripted([fixed((10, 10, 60, 60)), fixed()])
    seen = []
    track = follow([frames[0]] * 5 + [frames[1]] * 3, lambda p, near: seen.append(p) or find(p, near), 8)
    assert len(seen) == 2
    assert track.is_found.tolist() == [True] * 5 + [False] * 3


def test_no_face_in_any_frame():
    frames, find = scripted([fixed()] * 4)
    with pytest.raises(SignalError, match="no face found in any of 4 frames"):
        follow(frames, find, 8)


def test_crops_are_the_square_around_the_box_with_edges_repeated():
    ramp = np.arange(0, 200, dtype=np.uint8)
    picture = np.repeat(np.repeat(ramp[None, :, None], 100, axis=0), 3, axis=2)
    crop = follow([picture], lambda p, near: fixed((0, 30, 40, 50)), 50, spread=1.25).crops[0]
    expected = np.clip(np.arange(50) - 5, 0, None)  # 40 pixels and 5 on either side: from -5 to 45
    assert np.abs(crop[25, :, 0].astype(int) - expected).max() <= 1
    half = cut_out(picture, (0, 30, 40, 50), (10, 20))
    assert half.shape == (10, 20, 3)
    assert np.abs(half[5, :, 0] - (np.arange(20) * 2 + 0.5)).max() <= 1


def test_cut_out_is_that_of_a_picture_with_endless_edges():
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (20, 30)).astype(np.uint8)
    endless = np.pad(picture, 150, mode="edge")
    for _ in range(200):
        left, top = generator.uniform(-60, 60, 2)
        box = np.array([left, top, left + generator.uniform(1, 70), top + generator.uniform(1, 70)])
        assert np.array_equal(cut_out(picture, box, (5, 7)), cut_out(endless, box + 150, (5, 7)))


def test_resizing_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 96))
    assert np.ptp(cut_out(stripes, (0, 0, 192, 64), (16, 48))[4:-4, 4:-4]) <= 2


def test_turning_levels_what_was_slanted():
    rows, columns = np.mgrid[:101, :101] - 50.0
    for degrees in (-40, -10, 0, 25):
        angle = np.radians(degrees)
        across = np.cos(angle) * rows - np.sin(angle) * columns  # 0 on a line that falls by the angle
        picture = (255 * np.exp(-((across / 6) ** 2))).astype(np.uint8)
        level = turned(picture, np.array([50.5, 50.5]), 50, angle, 40)
        heights = (level * np.arange(40)[:, None]).sum(axis=0) / level.sum(axis=0)
        assert np.abs(heights - 19.5).max() < 0.2


def test_looking_near_the_last_face_finds_the_same_faces_as_searching_all(shared_data):
    for name in ("video/face_noface.mov", "ravdess-video/01-01-01-01-01-01-01.mp4"):
        with open_video(shared_data / name) as file:
            frames = list(file.frames(0, min(file.duration, 4), 10))
        near, all_over = (follow(frames, f, 56) for f in (mtcnn.detect, lambda p, _: mtcnn.detect(p)))
        assert np.array_equal(near.is_found, all_over.is_found)
        pairs = zip(near.boxes, all_over.boxes, strict=True)
        assert min(overlaps(a, b[None])[0] for a, b in pairs) > 0.8
        side = np.ptp(near.boxes[:, ::2], axis=1).mean()
        assert np.abs(near.points - all_over.points).mean() < 0.02 * side


def test_faces_are_those_that_textbook_mtcnn_finds(shared_data):
    textbook = Mtcnn()
    for name, n in (
        ("video/face_noface.mov", 4),
        ("video/single_face.mp4", 2),
        ("ravdess-video/01-01-01-01-01-01-01.mp4", 1),
    ):
        with open_video(shared_data / name) as file:
            pictures = list(file.frames(0, file.duration, n))
        for picture in pictures:
            found, expected = mtcnn.detect(picture), textbook.detect(picture)
            assert len(found) == len(expected) <= 1
            assert all(overlaps(box, found.boxes)[0] > 0.7 for box in expected[:, :4])


def test_a_face_that_is_gone_is_not_seen_where_it_was(shared_data):
    with open_video(shared_data / "video/single_face.mp4") as file:
        frame = next(iter(file.frames(0, file.duration, 1)))
    (box,) = mtcnn.detect(frame).boxes
    left, top, right, bottom = box.round().astype(int)
    empty = frame.copy()
    empty[max(top - 30, 0) : bottom + 30, max(left - 30, 0) : right + 30] = 90
    assert len(mtcnn.detect(frame, box)) == 1
    assert len(mtcnn.detect(empty, box)) == 0


def test_share_of_faces_in_real_clips(shared_data):
    def share(name, n=4):
        with open_video(shared_data / name) as file:
            return follow(file.frames(0, file.duration, n), detector(), 56).share

    assert share("video/single_face.mp4") == 1
    assert share("ravdess-video/01-01-01-01-01-01-01.mp4") == 1
    assert share("video/face_noface.mov", 10) == pytest.approx(0.4, abs=0.06)  # a face until 2.4 s of 6.4 s
    with pytest.raises(SignalError, match="no face found in any of 4 frames"):
        share("video/no_face.mp4")


def test_a_missing_detector_says_how_to_get_it(monkeypatch):
    mtcnn._nets.cache_clear()
    monkeypatch.setattr(mtcnn, "PACKAGE", "no_such_package")
    with pytest.raises(UsageError, match="pip install mtcnn"):
        mtcnn.detect(np.zeros((50, 50, 3), np.uint8))
    mtcnn._nets.cache_clear()


def test_reading_the_weights_leaves_nothing_to_complain_of(monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)  # Python 3.13 prints a traceback
    assert set(mtcnn._nets.__wrapped__()) == {"pnet", "rnet", "onet"}
    gc.collect()
    assert not complaints


def test_the_package_of_the_weights_is_not_imported():
    code = "from eavctl.signals import mtcnn; mtcnn._nets(); import sys; print('mtcnn' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


class FakeYuNet:
    """OpenCV's side of a YuNet model, in its documented form; it sees one face in a bright picture."""

    size = None

    @classmethod
    def create(cls, path, config, size, score, overlap, most):
        if Path(path).read_bytes() != b"onnx":
            raise fake_cv2.error("OpenCV(5.0): it is no network")
        made = cls()
        made.size = size
        return made

    def setInputSize(self, size):  # noqa: N802
        self.size = size

    def detect(self, picture):
        assert self.size == picture.shape[1::-1]
        if picture[0, 0, 0] < 100:  # blue comes first
            return 1, None
        row = [20, 30, 40, 50, 25, 40, 45, 41, 35, 55, 28, 70, 42, 71, 0.9]
        return 1, np.array([row], np.float32)


fake_cv2 = types.SimpleNamespace(FaceDetectorYN=FakeYuNet, error=RuntimeError)


def test_a_yunet_model_by_its_path(tmp_path, monkeypatch):
    model = tmp_path / "yunet.onnx"
    model.write_bytes(b"onnx")
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2)
    find = detector(str(model))
    blue = np.zeros((120, 160, 3), np.uint8)
    assert len(find(blue)) == 0
    blue[..., 2] = 255
    found = find(blue)
    assert found.boxes.tolist() == [[20, 30, 60, 80]]
    assert found.scores == pytest.approx(0.9)
    assert found.points[0].tolist() == [[25, 40], [45, 41], [35, 55], [28, 70], [42, 71]]
    faces.detector.cache_clear()
    faces._yunet.cache_clear()


def test_what_is_no_yunet_model(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2)
    (tmp_path / "bad.onnx").write_bytes(b"text")
    with pytest.raises(UsageError, match="not a YuNet model"):
        detector(str(tmp_path / "bad.onnx"))
    with pytest.raises(UsageError, match="no such file"):
        detector(str(tmp_path / "none.onnx"))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match="pip install opencv-python-headless"):
        detector(str(tmp_path / "bad.onnx"))


def test_a_read_only_picture_is_searched_once_for_each_box_and_not_kept():
    searched = []
    find = faces._searching_once(lambda picture, near: searched.append(near) or len(searched))
    picture, other, box = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), np.arange(4.0)
    picture.flags.writeable = False
    assert [find(picture), find(picture, box), find(picture), find(picture, box.copy())] == [1, 2, 1, 2]
    assert [find(other), find(other), find(picture, box + 1)] == [3, 4, 5]
    alive = weakref.ref(picture)
    del picture
    assert alive() is None
    again = np.zeros((8, 8, 3), np.uint8)  # it may lie where the first one lay
    again.flags.writeable = False
    assert find(again) == 6


def leftmost(picture, faces):
    """A chooser by place."""
    return 1 - faces.boxes[:, 0] / picture.shape[1]


LEFT, RIGHT, TALL = (10, 10, 40, 40), (120, 10, 150, 40), (60, 5, 110, 80)


def test_the_face_that_fits_best_is_followed_whatever_the_order_and_the_sizes():
    for order in itertools.permutations([LEFT, TALL, RIGHT]):
        frames, find = scripted([fixed(*order), fixed(*order[::-1]), fixed(*order)])
        track = follow(frames, find, 8, choose=leftmost)
        assert track.boxes.tolist() == [list(LEFT)] * 3
        assert track.n_people == 3
        assert track.fit == pytest.approx(1 - 10 / 200)
        assert follow(frames, find, 8).boxes.tolist() == [list(TALL)] * 3


def test_a_track_goes_on_where_the_face_is_missed_moves_or_comes_back():
    moved = (30, 12, 60, 42)
    frames, find = scripted(
        [fixed(LEFT, RIGHT), fixed(RIGHT), fixed(moved, RIGHT), fixed(), fixed(RIGHT, LEFT)]
    )
    track = follow(frames, find, 8, choose=leftmost)
    assert track.is_found.tolist() == [True, False, True, False, True]
    assert track.boxes[:, 0].tolist() == [10, 10, 30, 30, 10]


def test_two_who_pass_each_other_keep_their_names():
    steps = range(0, 120, 12)
    frames, find = scripted([fixed((10 + s, 10, 40 + s, 40), (130 - s, 50, 160 - s, 80)) for s in steps])

    def first_left(picture, faces):
        """The upper one fits: it begins on the left and ends on the right."""
        return (faces.boxes[:, 1] < 30).astype(float)

    track = follow(frames, find, 8, choose=first_left)
    assert track.boxes[:, 0].tolist() == [10 + s for s in steps]
    assert track.n_people == 2


def test_who_is_seen_in_one_frame_of_many_is_not_chosen():
    frames, find = scripted([fixed(RIGHT)] * 4 + [fixed(LEFT, RIGHT)] + [fixed(RIGHT)] * 5)
    assert follow(frames, find, 8, choose=leftmost).boxes[:, 0].tolist() == [120] * 10


def test_a_choice_searches_every_frame_whole_and_repeated_ones_once():
    frames, find = scripted([fixed(LEFT, RIGHT)] * 3)
    nears = []
    shown = [frames[0], frames[0], frames[1], frames[2], frames[2]]
    track = follow(shown, lambda p, near: nears.append(near) or find(p, near), 8, choose=leftmost)
    assert nears == [None] * 3
    assert track.is_found.all()
    assert track.crops.shape == (5, 8, 8, 3)


@given(st.lists(st.lists(st.tuples(*[st.integers(0, 12)] * 2), max_size=3), min_size=1, max_size=8))
@hypothesis.settings(max_examples=60, deadline=None)
def test_without_a_choice_a_loop_finds_the_same(places):
    answers = [fixed(*[(10 * x, 4 * y, 10 * x + 20 + y, 4 * y + 25) for x, y in each]) for each in places]
    frames, find = scripted(answers)
    boxes, is_found = [], []
    for each in answers:
        if len(each):
            areas = (each.boxes[:, 2:] - each.boxes[:, :2]).prod(axis=1)
            near = overlaps(boxes[-1], each.boxes) if boxes else areas
            if not near.any():
                centres = each.boxes[:, :2] + each.boxes[:, 2:] - boxes[-1][:2] - boxes[-1][2:]
                near = -(centres**2).sum(axis=1)
            boxes.append(each.boxes[np.argmax(near)])
        is_found.append(len(each) > 0)
    if not boxes:
        with pytest.raises(SignalError):
            follow(frames, find, 8)
        return
    track = follow(frames, find, 8)
    order = np.maximum(np.cumsum(is_found) - 1, 0)
    assert np.array_equal(track.boxes, np.array(boxes)[order])
    assert np.array_equal(track.is_found, is_found)
