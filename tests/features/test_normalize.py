"""Standardising by speaker: each band by its own unpadded frames, and padding stays padding."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from eavctl import registry
from eavctl.encoders.ast import Ast
from eavctl.encoders.augmentation import unpadded
from eavctl.errors import SettingsError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.audio import logmel
from eavctl.features.audio_networks import fbank
from eavctl.features.normalize import SHRINKAGE, bands_of, standardize_by_group, standardize_by_speaker
from eavctl.stages.predict import predict
from eavctl.storage import artifacts, tables
from eavctl.storage.metadata import ModelMeta
from eavctl.training.rows import normalized, training_set_of

PADDED = ("fbank", "logmel")


def test_standardising_by_group_takes_away_what_the_group_adds():
    rng = np.random.default_rng(1)
    x, groups = rng.normal(size=(40, 3)), np.repeat(["a", "b"], 20)
    shifted = x + np.where(groups == "a", 5.0, -3.0)[:, None] * [1, 2, 0]
    shifted[groups == "b"] *= 7
    assert standardize_by_group(shifted, groups) == pytest.approx(standardize_by_group(x, groups), abs=1e-5)


def test_standardising_constants_and_single_rows_gives_zeros():
    x = np.array([[1.0, 2.0], [1.0, 4.0], [9.0, 9.0]], np.float32)
    found = standardize_by_group(x, np.array(["a", "a", "b"]))
    assert found.tolist() == [[0, -1], [0, 1], [0, 0]]


def of_two_speakers(n, other=30):
    """Rows of a speaker, of another one, and the names; 300 columns, which are more than one block."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(n + other, 300)) + 1
    x[:n] = x[:n] * 2 + 2
    return (x * rng.uniform(0.1, 9, 300)).astype(np.float32), np.array(["a"] * n + ["b"] * other)


def by_speaker(x, speakers, datasets=None, recordings=None):
    datasets = np.zeros(len(x)) if datasets is None else datasets
    return standardize_by_speaker(
        x, datasets, speakers, np.arange(len(x)) if recordings is None else recordings
    )


@pytest.mark.parametrize("n", [1, 4, 10, 200])
def test_statistics_of_a_speaker_are_shrunk_towards_those_of_the_data_set(n):
    x, speakers = of_two_speakers(n)
    own, k = x[:n].astype(float), SHRINKAGE
    mean = (n * own.mean(axis=0) + k * x.mean(axis=0, dtype=float)) / (n + k)
    variance = (n * own.var(axis=0) + k * x.var(axis=0, dtype=float)) / (n + k)
    np.testing.assert_allclose(by_speaker(x, speakers)[:n], (own - mean) / np.sqrt(variance), atol=1e-4)


def test_many_recordings_of_a_speaker_count_alone_and_none_leaves_the_data_set():
    x, speakers = of_two_speakers(5_000, other=5_000)
    alone = standardize_by_group(x, speakers)
    np.testing.assert_allclose(by_speaker(x, speakers), alone, atol=0.03)
    x, speakers = of_two_speakers(12)
    together = standardize_by_group(x, np.zeros(len(x)))
    assert np.allclose(by_speaker(x, np.full(len(x), "")), together, atol=1e-5)  # of no known speaker
    assert np.allclose(by_speaker(x, np.full(len(x), "only")), together, atol=1e-5)
    unknown = np.where(speakers == "a", "", "b")
    assert np.allclose(by_speaker(x, unknown)[:12], together[:12], atol=1e-5)


def test_segments_of_a_recording_count_as_one():
    x, speakers = of_two_speakers(12)
    one = np.where(speakers == "a", 0, np.arange(len(x)))
    share, own = 1 / (1 + SHRINKAGE), x[:12].astype(float)
    mean = share * own.mean(axis=0) + (1 - share) * x.mean(axis=0, dtype=float)
    variance = share * own.var(axis=0) + (1 - share) * x.var(axis=0, dtype=float)
    found = by_speaker(x, speakers, recordings=one)[:12]
    np.testing.assert_allclose(found, (own - mean) / np.sqrt(variance), atol=1e-4)


def test_scaling_and_shifting_a_data_set_changes_nothing_by_speaker():
    x, speakers = of_two_speakers(15)
    datasets = np.arange(len(x)) % 2
    rng = np.random.default_rng(5)
    factors, offsets = rng.uniform(0.5, 4, (2, 300)), rng.normal(size=(2, 300))
    changed = (x * factors[datasets] + offsets[datasets]).astype(np.float32)
    found = by_speaker(changed, speakers, datasets)
    np.testing.assert_allclose(found, by_speaker(x, speakers, datasets), atol=1e-3)


def test_a_column_that_is_constant_in_the_data_set_becomes_zero_by_speaker():
    x, speakers = of_two_speakers(5)
    x[:, 7] = 1e4
    x[:5, 8] = 2.0  # constant for one speaker only
    found = by_speaker(x, speakers)
    assert not found[:, 7].any()
    assert np.isfinite(found).all()
    assert np.ptp(found[:5, 8]) == 0


def test_tensors_are_standardised_by_band_over_rows_and_time():
    x = np.random.default_rng(2).normal(3, 2, size=(4, 5, 50)).astype(np.float32)
    found = standardize_by_group(x, np.array(list("aabb")))
    assert found[:2].mean(axis=(0, 2)) == pytest.approx(np.zeros(5), abs=1e-5)
    assert found[:2].std(axis=(0, 2)) == pytest.approx(np.ones(5), abs=1e-5)


def bands_last(x, features):
    """Rows as (n_rows, n_frames, n_bands), whichever of the two sets they are of."""
    return x if bands_of(features).axis else x.transpose(0, 2, 1)


def rows_of(features, lengths, n_frames, n_bands=6, seed=0):
    """Spectrograms of these numbers of frames, padded as the feature set pads."""
    rng = np.random.default_rng(seed)
    padding = bands_of(features).padding
    x = np.full((len(lengths), n_frames, n_bands), padding, np.float32)
    sounds = rng.normal(-30, 12, size=(len(lengths), max(lengths), n_bands)) + 5 * np.arange(n_bands)
    for row, length in enumerate(lengths):
        x[row, :length] = sounds[row, :length]
    return bands_last(x, features)


@pytest.mark.parametrize("features", PADDED)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=4, max_size=8),
    more=st.integers(0, 30),
    n_groups=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_padding_moves_no_statistic_and_stays_padding(features, lengths, more, n_groups, seed):
    bands, groups = bands_of(features), np.arange(len(lengths)) % n_groups
    short, long = (
        bands_last(standardize_by_group(rows_of(features, lengths, n, seed=seed), groups, bands), features)
        for n in (20, 20 + more)
    )
    assert np.array_equal(short, long[:, :20])
    for row, length in enumerate(lengths):
        assert not long[row, length:].any()  # a run of equal frames, and none of them a unpadded one
        assert length == 1 or np.abs(long[row, length - 1]).max() > 1e-3


@pytest.mark.parametrize("features", PADDED)
def test_unpadded_frames_of_a_speaker_get_mean_0_and_deviation_1_in_each_band(features):
    lengths, groups = [20, 7, 3, 12, 9, 1], np.array(list("aababb"))
    x = rows_of(features, lengths, 25)
    found = bands_last(standardize_by_group(x, groups, bands_of(features)), features)
    before = bands_last(x, features)
    for group in "ab":
        rows = [row for row in range(6) if groups[row] == group]
        frames, made = (
            np.concatenate([each[row, : lengths[row]] for row in rows]) for each in (before, found)
        )
        np.testing.assert_allclose(made, (frames - frames.mean(axis=0)) / frames.std(axis=0), atol=1e-4)


@pytest.mark.parametrize("features", PADDED)
def test_the_encoders_find_the_same_length_after_normalising(features):
    lengths, groups = [20, 7, 3, 12, 9, 18], np.array(list("aababb"))
    x = rows_of(features, lengths, 25)
    found = standardize_by_group(x, groups, bands_of(features))
    before, after = (
        unpadded(torch.from_numpy(np.ascontiguousarray(bands_last(each, features).transpose(0, 2, 1))))
        for each in (x, found)
    )
    assert torch.equal(before, after)
    assert before.sum(dim=1).tolist() == lengths


def clips(n=6):
    """Sounds of 0.4 to 1.1 s, of two speakers who differ in tilt and level."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(n):
        noise = rng.normal(scale=0.02, size=6400 + 2000 * number)
        wave = np.cumsum(noise) / 20 if number % 2 else noise
        made.append((wave * np.hanning(len(wave))).astype(np.float32))
    return made, np.arange(n) % 2


def embedded(x, n_frames, frames_last):
    """By one small transformer, whatever the length: its first positions are the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        longest = Ast((32, 192) if frames_last else (192, 32), size="tiny", frames_last=frames_last).eval()
        encoder = Ast((32, n_frames) if frames_last else (n_frames, 32), size="tiny", frames_last=frames_last)
    state, config = longest.state_dict(), longest.body.config
    key = next(name for name in state if name.endswith("position_embeddings"))
    bands, steps = longest.body.embeddings.get_shape(config)
    _, fewer = encoder.body.embeddings.get_shape(encoder.body.config)
    grid = state[key][:, 2:].reshape(1, bands, steps, -1)[:, :, :fewer].flatten(1, 2)
    encoder.load_state_dict({**state, key: torch.cat([state[key][:, :2], grid], dim=1)})
    encoder.eval()
    with torch.inference_mode():
        x = torch.from_numpy(x)
        encoder.fit_input(x)
        return encoder(x)


@pytest.mark.parametrize("frames_last", [False, True])
def test_ast_embeds_a_normalised_clip_alike_whatever_it_was_padded_to(frames_last):
    features = "logmel" if frames_last else "fbank"
    describe = logmel if frames_last else fbank
    sounds, speakers = clips()
    found = []
    for n_frames in (112, 144, 192):
        x = np.stack([describe(sound, 16000, n_mels=32, n_frames=n_frames) for sound in sounds])
        found.append(embedded(standardize_by_group(x, speakers, bands_of(features)), n_frames, frames_last))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-5)
    assert (found[0].std(dim=0) > 1e-3).any()


def table(features, x):
    """A feature table of two speakers."""
    recipe = Recipe(features)
    names = [f"c{i}" for i in range(len(x))]
    keys = {"sample_id": names, "clip_id": names, "subject": ["a", "b"] * (len(x) // 2), "label": "calm"}
    facts = {"shape": list(x.shape[1:]), "classes": ["calm"], "content_hash": "", "schema_version": 3}
    meta = {**recipe.meta(), **facts}
    return training_set_of(tables.FeatureTable(tables.key_frame(pd.DataFrame(keys)), x, None, meta))


@pytest.mark.parametrize("features", PADDED)
def test_a_training_standardises_along_the_axis_that_the_set_names(features):
    x = rows_of(features, [20, 7, 3, 12], 25)
    done = normalized(table(features, x))
    expected = standardize_by_group(x, np.array(list("abab")), bands_of(features))
    assert np.array_equal(done.rows.x, expected)
    assert json.loads(json.dumps(done.facts.features["normalized"])) == bands_of(features)._asdict()


def test_pictures_stay_refused():
    with pytest.raises(UsageError, match="not for pictures"):
        normalized(table("faces", np.zeros((4, 2, 8, 8, 3), np.uint8)))


def test_a_tensor_of_which_the_bands_are_not_known_is_refused(monkeypatch):
    entry = registry.get("features", "fbank")
    facts = {key: value for key, value in entry.facts.items() if key != "band_axis"}
    monkeypatch.setattr(registry, "get", lambda kind, name: registry.Entry(kind, name, entry.thing, facts))
    with pytest.raises(UsageError, match="'fbank'"):
        bands_of("fbank")


class Uniform:
    """Judges nothing, and keeps what it was given."""

    def __init__(self):
        self.classes_ = np.array(["calm", "sad"])
        self.x = []

    def predict_proba(self, x):
        self.x += list(x)
        return np.full((len(x), 2), 0.5)

    def decide(self, proba):
        return proba.argmax(axis=-1)


@pytest.mark.parametrize(
    ("features", "kept", "fits"),
    [
        ("fbank", None, False),  # trained by an eavctl that standardised each frame
        ("fbank", {"axis": 0, "padding": None}, False),
        ("fbank", {"axis": 1, "padding": 0.0}, True),
        ("seed33", None, True),
        ("seed33", {"axis": 0, "padding": None}, True),
    ],
)
def test_predict_standardises_as_the_training_did_or_refuses(monkeypatch, tmp_path, features, kept, fits):
    meta = {
        **Recipe(features).meta(),
        "kind": "dnn",
        "protocol": {"name": "random", "normalize": "speaker"},
        "trained_on": {"subjects": [], "clips": []},
        "training_hash": "",
        "versions": {},
        **({"normalized": kept} if kept else {}),
    }
    model = Uniform()
    monkeypatch.setattr(
        artifacts, "load", lambda path: artifacts.Model(ModelMeta.from_json(meta, "m.pt"), model)
    )
    paths, found = [str(tmp_path / f"{number}.wav") for number in range(6)], []
    for path, sound in zip(paths, clips()[0], strict=True):
        soundfile.write(path, sound, 16000)
        with (recipe := Recipe(features)).open(path) as stretch_of:
            found.append(recipe.describe(stretch_of())[0].x)
    if not fits:
        with pytest.raises(SettingsError, match="m.pt was trained"):
            predict(paths, "m.pt")
        return
    assert len(predict(paths, "m.pt").rows) == 6
    expected = standardize_by_group(np.stack(found), np.zeros(6), bands_of(features))
    assert np.array_equal(model.x, expected)
