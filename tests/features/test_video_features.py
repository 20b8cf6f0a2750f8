import numpy as np
import pytest

from eavctl.errors import UsageError
from eavctl.features import video
from eavctl.signals.video import VideoSpan, open_video
from tests.features.marked_faces import span


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


def test_aligned_faces_of_a_real_clip_are_steadier(shared_data):
    with open_video(shared_data / "ravdess-video" / "01-01-01-01-01-01-01.mp4") as file:
        film = VideoSpan(file, 0, 3.2)
        crops = {
            crop: video.faces(film, file.fps, n_frames=12, size=96, crop=crop) for crop in ("face", "aligned")
        }
    assert all(account == {"faces_found": 1.0, "people": 1} for _, account in crops.values())
    eyes = {
        crop: x[:, 30:48, 20:76].astype(float) for crop, (x, _) in crops.items()
    }  # around two fifths down
    moved = {crop: np.abs(x - x.mean(axis=0)).mean() / x.std() for crop, x in eyes.items()}
    assert crops["aligned"][0].shape == crops["face"][0].shape
    assert moved["aligned"] < 0.9 * moved["face"]
