"""Whose face a phrase means: fits by hand, regions, and films of several people with a stand-in model."""

import pickle

import numpy as np
import pytest
from square_scenes import scenes

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError
from eavctl.grounding.fit import Design, fit
from eavctl.grounding.whose import Whose, fits, region
from eavctl.signals.mtcnn import Faces
from eavctl.storage import artifacts

FACES = np.array([[20.0, 30, 60, 70], [120, 40, 160, 80], [220, 30, 260, 70]])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    data = scenes(64)
    settings = TrainSettings(epochs=1, batch=32, device="cpu")
    fitted = fit(data, (np.arange(48), np.arange(48, 64)), Design(settings))
    path = tmp_path_factory.mktemp("model") / "ground.pt"
    meta = {
        "kind": "grounding",
        "training_hash": "0" * 32,
        "protocol": {"name": "given"},
        "versions": {},
        "modality": "video",
        "features": "scenes",
        "features_version": 1,
        "settings": {"size": 32},
        "features_hash": "0" * 32,
    }
    artifacts.save(path, fitted, meta)
    return path


@pytest.mark.parametrize("which", range(3))
def test_the_head_around_a_face_fits_that_face_best(which):
    left, top, right, bottom = FACES[which]
    head = np.array([left - 7, top - 12, right + 7, bottom + 4])
    found = fits(head, FACES)
    assert found.argmax() == which
    assert found[which] > 0.6
    assert (np.delete(found, which) < 0.2).all()


def test_beside_all_faces_the_nearest_fits_a_little():
    found = fits(np.array([170.0, 90, 180, 100]), FACES)
    assert found.argmax() == 1
    assert 0 < found.max() < 0.2


def test_the_region_holds_all_faces_and_stays_inside():
    left, top, right, bottom = region(FACES, (100, 300))
    assert (left, top, right, bottom) == (0, 0, 300, 100)
    left, top, right, bottom = region(FACES, (1000, 1000))
    assert left == 0
    assert (right, bottom) == (260 + 48, 80 + 48)


def test_a_phrase_and_its_model_can_be_sent_to_a_worker_and_identified(model, tmp_path):
    one = Whose.of("the left square", model)
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    copy = tmp_path / "copy.pt"
    copy.write_bytes(model.read_bytes())
    assert Whose.of("the left square", copy).identity == one.identity
    assert Whose.of("the right square", model).identity != one.identity
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (100, 300, 3), np.uint8)
    found = again.load()(picture, Faces(FACES, np.ones(3), np.zeros((3, 5, 2))))
    assert found.shape == (3,)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.array_equal(found, one.load()(picture, Faces(FACES, np.ones(3), np.zeros((3, 5, 2)))))


def test_unknown_words_and_missing_models_are_refused(model, tmp_path):
    with pytest.raises(DataError):
        Whose.of("xylophone", model)
    with pytest.raises(DataError):
        Whose.of("the left square", tmp_path / "missing.pt")


def test_a_model_that_is_trained_again_is_read_again(model, tmp_path):
    path = tmp_path / "ground.pt"
    path.write_bytes(model.read_bytes())
    picture = np.random.default_rng(0).integers(0, 255, (100, 300, 3), np.uint8)
    faces = Faces(FACES, np.ones(3), np.zeros((3, 5, 2)))
    before = Whose.of("the left square", path)
    first = before.load()(picture, faces)
    data, settings = scenes(64), TrainSettings(epochs=2, batch=32, device="cpu", seed=1)
    fitted = fit(data, (np.arange(48), np.arange(48, 64)), Design(settings))
    artifacts.save(path, fitted, artifacts.read_meta(model).json)
    after = Whose.of("the left square", path)
    assert after.content != before.content
    assert not np.array_equal(after.load()(picture, faces), first)
