"""The packaged models: each file fits its card, and the choice between them."""

import os
from pathlib import Path

import pytest

from eavctl import Predictor
from eavctl.features.speech_encoders import packaged as encoder
from eavctl.packaged import models
from eavctl.storage import artifacts

MOST_BYTES = 5_000_000
IS_RESTRICTED = "BY-NC-SA"


@pytest.fixture
def _no_encoder(monkeypatch):
    monkeypatch.setattr(encoder, "FILE", encoder.FILE._replace(folder="no_package_of_this_name"))


needs_encoder = pytest.mark.skipif(encoder.FILE.find() is None, reason=f"no weights: {encoder.FILE.install}")


@pytest.mark.parametrize("name", models.NAMES)
def test_a_model_is_what_its_card_says(name):
    card, model = models.packaged(name), artifacts.load(models.packaged(name))
    assert card.name == str(card) == name
    assert list(card.classes) == model.classes_.tolist()
    assert model.meta.features.settings.get("weights") == card.weights
    assert model.meta.features.speech is True
    assert model.novelty is not None
    assert os.path.getsize(card) < MOST_BYTES
    assert model.trained_on["subjects"].keys() <= {source.lower() for source in card.sources}


@pytest.mark.parametrize("name", models.NAMES)
def test_a_model_is_shared_alike_where_a_corpus_asks_for_it(name):
    card = models.packaged(name)
    asked = {source["licence"] for source in card.sources.values() if IS_RESTRICTED in source["licence"]}
    assert asked == {card.licence}
    assert all(source["citation"] for source in card.sources.values())


def test_every_file_of_the_folder_is_a_models():
    files = {path.name for path in models.FOLDER.iterdir() if path.suffix in (".joblib", ".json")}
    assert files == {f"{name}{ending}" for name in models.NAMES for ending in (".joblib", ".json")}


@needs_encoder
def test_the_better_model_is_taken_where_its_encoder_is():
    assert str(models.best()) == "speech"
    assert str(Predictor.load().path) == "speech"


@pytest.mark.usefixtures("_no_encoder")
def test_without_the_encoder_the_small_one_is_taken_unless_weights_are_named():
    assert str(models.best()) == "speech-small"
    assert str(Predictor.load().path) == "speech-small"
    assert str(models.best(with_weights=True)) == "speech"


def test_an_encoder_of_other_weights_is_none(monkeypatch):
    monkeypatch.setattr(encoder, "IDENTITY", "whisper-4x384-0000000000000000")
    assert str(models.best()) == "speech-small"


def test_a_file_of_the_name_is_taken_and_a_folder_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("speech").mkdir()
    assert isinstance(models.find("speech"), models.PackagedModel)
    Path("speech-small").write_text("mine")
    assert models.find(Path("speech-small")) == Path("speech-small")
    assert models.find("other.joblib") == "other.joblib"
