"""``pretrain --method clip``: EEG, audio and video of the twin's trials find each other, without labels."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from eavctl.extraction.recipe import Recipe
from eavctl.pretraining.encoder_model import EncoderModel
from eavctl.storage import artifacts, tables

QUICK = ("--method", "clip", "--batch", "16", "--jobs", "1", "--device", "cpu")
TWO = ("--encoder", "mlp,mlp", "--epochs", "8", *QUICK)


@pytest.fixture
def here(eav, run, monkeypatch):
    """The folder of the twin's tables, as the working folder."""
    monkeypatch.chdir(eav)
    return eav


@pytest.fixture
def video(here, tmp_path):
    """The twin's video as columns: its mean brightness in a grid, a few values a frame."""
    faces = tables.read_features("faces.parquet")
    n_rows, n_frames, side, _, _ = faces.x.shape
    cells = faces.x.reshape(n_rows, n_frames, 8, side // 8, 8, side // 8, 3).mean(axis=(3, 5, 6))
    x = cells.reshape(n_rows, -1).astype(np.float32)
    columns = tuple(f"cell_{i}" for i in range(x.shape[1]))
    meta = {**Recipe("face-stats").meta(), "shape": [len(columns)], "classes": faces.meta["classes"]}
    tables.write_features(tables.FeatureTable(faces.keys, x, columns, meta), tmp_path / "video.parquet")
    return tmp_path / "video.parquet"


def test_three_modalities_are_aligned_above_chance(here, run, tmp_path, video):
    out, subjects = tmp_path / "clip.pt", tables.read_keys("bands.parquet")["subject"].unique()
    words = ("--encoder", "mlp,mlp,mlp", "--epochs", "20", "--without", f"subject={subjects[0]}", *QUICK)
    done = run("pretrain", "bands.parquet", "speech.parquet", video, "-o", out, *words, "--json")
    assert done.code == 0, done.err
    model = EncoderModel.load(out)
    assert model.streams == ("eeg", "audio", "video")
    assert json.loads(done.out)["pretraining"] == model.facts
    pairs = model.facts["retrieval"]
    assert [list(pair["recall_at_1"]) for pair in pairs] == [
        ["eeg to audio", "audio to eeg"],
        ["eeg to video", "video to eeg"],
        ["audio to video", "video to audio"],
    ]
    for pair in pairs:
        assert pair["chance"] == pytest.approx(1 / model.meta.json["n_rows"])
        assert np.mean([each["value"] for each in pair["recall_at_1"].values()]) > 3 * pair["chance"]
    held_out = model.facts["retrieval_held_out"]
    assert [pair["n_rows"] for pair in held_out] == [20] * 3
    trained = model.meta.trained_on["subjects"]
    assert [name for names in trained.values() for name in names] == [subjects[1]]


def test_each_stream_embeds_its_table_and_recordings(here, run, tmp_path):
    out = tmp_path / "clip.pt"
    assert run("pretrain", "bands.parquet", "speech.parquet", "-o", out, *TWO).code == 0
    words = ("twin", "--features", "embedding", "--weights", out, "--where", "task=speaking")
    done = run("extract", *words, "--set", "stream=audio", "-o", tmp_path / "emb.parquet")
    assert done.code == 0, done.err
    speech, found = tables.read_features("speech.parquet"), tables.read_features(tmp_path / "emb.parquet")
    assert found.keys.equals(speech.keys)
    assert found.x == pytest.approx(EncoderModel.load(out).embed(speech.x, "audio"), rel=1e-4, abs=1e-5)
    assert run("extract", *words, "-o", tmp_path / "g.parquet").code == 2  # which stream is not said


def test_labels_are_not_used(here, run, tmp_path):
    for name in ("bands", "speech"):
        table = tables.read_features(f"{name}.parquet")
        keys = table.keys.assign(label=None)
        tables.write_features(replace(table, keys=tables.key_frame(keys)), tmp_path / f"{name}.parquet")
    words = ("bands.parquet", "speech.parquet", "-o")
    assert run("pretrain", *words, tmp_path / "with.pt", *TWO).code == 0
    unlabelled = [tmp_path / name for name in words[:2]]
    assert run("pretrain", *unlabelled, "-o", tmp_path / "without.pt", *TWO).code == 0
    one, other = (artifacts.load_encoder(tmp_path / f"{name}.pt")[1] for name in ("with", "without"))
    assert all(torch.equal(other.state_dict()[key], value) for key, value in one.state_dict().items())


@pytest.mark.parametrize(
    "line",
    [
        "bands.parquet",
        "bands.parquet epochs.parquet",
        "bands.parquet speech.parquet --encoder mlp",
        "bands.parquet speech.parquet --encoder mlp,eegnet",
        "bands.parquet speech.parquet --set units=3",
        "bands.parquet speech.parquet --method-set dim=0",
    ],
)
@pytest.mark.parametrize("dry", ["", " --dry-run"])
def test_wrong_usage(line, dry, here, run, tmp_path):
    done = run("pretrain", *(line + dry).split(), "-o", tmp_path / "clip.pt", *QUICK)
    assert done.code == 2, done.err
    assert not (tmp_path / "clip.pt").exists()


def test_each_modality_has_augmentations_of_its_own(here, run, tmp_path):
    words = ("pretrain", "epochs.parquet", "faces.parquet", "speech.parquet", "-o", tmp_path / "c.pt", *QUICK)
    encoders = ("--encoder", "eegnet,vit,mlp", "--size", "tiny", "-n", "--json")

    def views(*more):
        done = run(*words, *encoders, *more)
        assert done.code == 0, done.err
        return json.loads(done.out)["design"]["augment"]

    defaults = views()
    assert {text.split()[0] for text in defaults} == {"eeg", "video"}  # columns have none
    named = views("--augment", "flip:0.5,noise")
    assert [text.split(":")[0] for text in named] == ["eeg noise", "video flip", "audio none"]
    assert views("--augment", "none") == ["eeg none", "video none", "audio none"]
    assert run(*words, *encoders, "--augment", "nosuch").code == 2


def test_a_dry_run_names_the_encoders(here, run, tmp_path):
    done = run("pretrain", "bands.parquet", "speech.parquet", "-o", tmp_path / "c.pt", *TWO, "-n", "--json")
    assert done.code == 0, done.err
    assert [each["name"] for each in json.loads(done.out)["design"]["encoders"]] == ["mlp", "mlp"]
