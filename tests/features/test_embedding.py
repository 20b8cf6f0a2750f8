"""Feature set ``embedding``: what an encoder of pretrain gives, repeated exactly, and no other's."""

import json
import pickle

import numpy as np
import pytest
import torch

from eavctl.errors import DataError, SettingsError, SignalError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.embedding import _kept
from eavctl.pretraining.encoder_model import EncoderModel
from eavctl.storage import artifacts
from eavctl.storage.metadata import FeatureMeta

RATE = 16000
SEED33 = Recipe("seed33")
EEG = Recipe("eeg-bands", {"channels": ["Fz", "Cz"]})
AUDIO = {"": (SEED33, (33,))}


def voice(seconds=1.0, seed=0):
    noise = np.random.default_rng(seed).normal(size=round(seconds * RATE))
    return (0.1 * noise).astype(np.float32)


@pytest.fixture
def encoder(tmp_path, write_encoder):
    return write_encoder(tmp_path / "encoder.pt", AUDIO)


def test_the_embedding_is_that_of_the_features_which_the_encoder_takes(encoder):
    recipe = Recipe("embedding").with_weights(encoder)
    inner = SEED33.compute(voice(), RATE)
    wanted = EncoderModel.load(encoder).embed(inner[None])[0]
    found = recipe.compute(voice(), RATE)
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert recipe.columns == tuple(f"embedding_{i}" for i in range(6))
    assert (recipe.modality, recipe.rate) == ("audio", SEED33.rate)


def test_settings_of_the_inner_features_come_from_the_file(tmp_path, write_encoder):
    path = write_encoder(tmp_path / "e.pt", {"": (EEG, (len(EEG.columns),))})
    recipe = Recipe("embedding").with_weights(path)
    assert recipe.base.settings["channels"] == ["Fz", "Cz"]
    assert recipe.base.meta()["features_hash"] == EEG.meta()["features_hash"]
    assert recipe.margin_s == EEG.margin_s


def test_a_recipe_is_rebuilt_from_its_meta_without_the_file(encoder):
    recipe = Recipe("embedding").with_weights(encoder)
    meta = json.loads(json.dumps(recipe.meta()))
    encoder.unlink()
    found = Recipe.from_meta(FeatureMeta.from_json(meta, "t.parquet"))
    assert found == recipe
    assert found.modality == "audio"
    with pytest.raises(DataError, match=recipe.settings["weights"]):
        found.compute(voice(), RATE)


def test_the_identity_is_of_the_content_and_not_of_the_place(tmp_path, write_encoder):
    one = Recipe("embedding").with_weights(write_encoder(tmp_path / "a.pt", AUDIO))
    same = Recipe("embedding").with_weights(write_encoder(tmp_path / "b.pt", AUDIO, training_hash="00"))
    other = Recipe("embedding").with_weights(write_encoder(tmp_path / "c.pt", AUDIO, seed=1))
    assert one.meta() == same.meta()
    assert one.meta()["features_hash"] != other.meta()["features_hash"]
    assert str(tmp_path) not in json.dumps(one.meta())


def test_other_input_statistics_are_another_encoder(tmp_path, write_encoder):
    path = write_encoder(tmp_path / "a.pt", AUDIO)
    meta, model = artifacts.load_encoder(path)
    with torch.no_grad():
        model.encoder().mean += 1
    artifacts.save(tmp_path / "b.pt", model, {k: v for k, v in meta.json.items() if k != "model"})
    one, other = (Recipe("embedding").with_weights(tmp_path / name) for name in ("a.pt", "b.pt"))
    assert one.settings["weights"] != other.settings["weights"]


def test_another_encoder_is_refused_by_both_names(tmp_path, encoder, write_encoder):
    recipe = Recipe("embedding").with_weights(encoder)
    wanting = Recipe.from_meta(FeatureMeta.from_json(recipe.meta(), "m.joblib"))
    other = write_encoder(tmp_path / "other.pt", AUDIO, seed=1)
    theirs = Recipe("embedding").with_weights(other).settings["weights"]
    with pytest.raises(DataError) as caught:
        wanting.with_weights(other)
    assert recipe.settings["weights"] in str(caught.value)
    assert theirs in str(caught.value)
    assert wanting.with_weights(other, encoder).settings == recipe.settings


def test_a_file_of_several_encoders_needs_the_name_of_one(tmp_path, write_encoder):
    path = write_encoder(tmp_path / "clip.pt", {"audio": (SEED33, (33,)), "eeg": (EEG, (len(EEG.columns),))})
    with pytest.raises(UsageError, match="stream=audio"):
        Recipe("embedding").with_weights(path)
    with pytest.raises(UsageError, match="eeg"):
        Recipe("embedding", {"stream": "video"}).with_weights(path)
    audio, eeg = (Recipe("embedding", {"stream": each}).with_weights(path) for each in ("audio", "eeg"))
    assert (audio.modality, eeg.modality) == ("audio", "eeg")
    assert audio.settings["weights"] != eeg.settings["weights"]
    inner = SEED33.compute(voice(), RATE)
    wanted = EncoderModel.load(path).embed(inner[None], "audio")[0]
    assert audio.compute(voice(), RATE) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_recordings_are_cut_as_those_of_the_pretraining(tmp_path, write_encoder):
    cut = write_encoder(tmp_path / "cut.pt", {"": (Recipe("seed33", segment=2, hop=0.5), (33,))})
    found = Recipe("embedding").with_weights(cut)
    assert (found.segment, found.hop) == (2, 0.5)
    assert Recipe("embedding", segment=2, hop=1).with_weights(cut).hop == 1
    with pytest.raises(UsageError, match="3"):
        Recipe("embedding", segment=3).with_weights(cut)
    meta = {**found.meta(), "segment": {"seconds": 1, "hop": 1}}  # live windows may have another length
    assert Recipe.from_meta(FeatureMeta.from_json(meta, "m")).with_weights(cut).segment == 1


def test_features_of_another_shape_are_refused(tmp_path, write_encoder):
    recipe = Recipe("embedding").with_weights(write_encoder(tmp_path / "e.pt", {"": (SEED33, (20,))}))
    with pytest.raises(SignalError, match="20"):
        recipe.compute(voice(), RATE)


def test_a_recipe_with_its_encoder_goes_to_other_processes(encoder):
    recipe = Recipe("embedding").with_weights(encoder)
    copy = pickle.loads(pickle.dumps(recipe))
    assert np.array_equal(copy.compute(voice(), RATE), recipe.compute(voice(), RATE))


def test_embeddings_do_not_depend_on_the_number_of_threads(encoder):
    recipe, before = Recipe("embedding").with_weights(encoder), torch.get_num_threads()
    found = []
    for n in (1, 2):
        torch.set_num_threads(n)
        found.append(recipe.compute(voice(), RATE))
        assert torch.get_num_threads() == n
    torch.set_num_threads(before)
    assert np.array_equal(*found)


def test_an_encoder_must_be_named(tmp_path, write_whisper):
    with pytest.raises(UsageError, match="--weights"):
        Recipe("embedding").with_weights()
    with pytest.raises(DataError):
        Recipe("embedding").with_weights(tmp_path / "gone.pt")
    with pytest.raises(DataError):
        Recipe("embedding").with_weights(write_whisper(tmp_path / "whisper"))
    with pytest.raises(UsageError):
        Recipe("embedding", {"weights": "encoder.pt"})


def test_a_file_that_changes_while_it_is_used_is_an_error(tmp_path, encoder, write_encoder):
    recipe = Recipe("embedding").with_weights(encoder)
    write_encoder(encoder, AUDIO, seed=3)
    _kept.cache_clear()  # as in a new process
    with pytest.raises(DataError, match="changed"):
        pickle.loads(pickle.dumps(recipe)).compute(voice(), RATE)


@pytest.mark.parametrize(
    "of",
    [
        {},
        "seed33",
        {"features": "seed33"},
        {"features": 3, "modality": "audio", "features_version": 1, "settings": {}},
        {"features": "gone", "modality": "audio", "features_version": 1, "settings": {}},
        {"features": "seed33", "modality": "audio", "features_version": 1, "settings": {"odd": 1}},
        {"features": "embedding", "modality": "audio", "features_version": 1, "settings": {}},
        {"features": "speech-encoder", "modality": "audio", "features_version": 1, "settings": {}},
    ],
)
def test_damaged_metadata_are_an_error_of_the_data(of, encoder):
    meta = Recipe("embedding").with_weights(encoder).meta()
    meta["settings"] = {**meta["settings"], "of": of}
    with pytest.raises(DataError):
        Recipe.from_meta(FeatureMeta.from_json(meta, "m.joblib"))


def test_features_of_another_version_are_refused(encoder):
    meta = Recipe("embedding").with_weights(encoder).meta()
    of = {**meta["settings"]["of"], "features_version": 99}
    meta["settings"] = {**meta["settings"], "of": of}
    with pytest.raises(SettingsError, match="seed33"):
        Recipe.from_meta(FeatureMeta.from_json(meta, "m.joblib"))
