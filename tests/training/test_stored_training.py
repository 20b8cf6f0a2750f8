"""Trainings on rows that stay on the disk give what they give with rows in memory."""

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers import streams
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError
from eavctl.extraction.recipe import Recipe
from eavctl.features.bands import COLUMNS
from eavctl.features.normalize import standardize_by_group, standardize_by_speaker
from eavctl.features.standardized_rows import StandardizedRows
from eavctl.pretraining.fit import FEWEST_ROWS
from eavctl.stages.pretrain import PretrainingChoice, pretrain
from eavctl.stages.train_dnn import EncoderChoice, train_dnn
from eavctl.stages.train_linear import train_linear
from eavctl.storage import folder_writer, stored_rows, tables
from eavctl.storage.artifacts import load
from eavctl.storage.folder_writer import writer_of
from eavctl.training.cross_validation import Evaluation

CLASSES = ("angry", "calm", "sad")
FEW = {"epochs": 4, "batch": 16, "lr": 1e-2, "ema": 0.0}


def write(path, n_rows=360, features="means180", datasets=("one",), seed=0, labels=True):
    """People whose rows differ, and classes that can be told apart."""
    rng = np.random.default_rng(seed)
    recipe = Recipe(features)
    shape = (64, 300) if recipe.columns is None else (len(recipe.columns),)
    number = np.arange(n_rows)
    y, people = number % 3, number // 3 % 8
    x = rng.normal(size=(n_rows, *shape)).astype(np.float32)
    if recipe.columns is None:
        x[:, :, 200:] = -80  # padding
    of_row = 4 * np.eye(3)[y] + people[:, None] / 4
    x[:, :3] += of_row.reshape(n_rows, 3, *[1] * (x.ndim - 2))
    ids = [f"s{seed}_{i:05d}" for i in number]
    named = [datasets[i // 3 % len(datasets)] for i in number]
    frame = {"sample_id": ids, "clip_id": ids, "dataset": named, "subject": [f"p{seed}{p}" for p in people]}
    label = [CLASSES[i] if labels or j % 7 else None for i, j in zip(y, number, strict=True)]
    keys = tables.key_frame(pd.DataFrame({**frame, "label": label, "recording": ids}))
    meta = {**recipe.meta(), "shape": list(shape), "classes": list(CLASSES)}
    with writer_of(path, recipe.columns, shape, about=meta) as writer:
        writer.write(tables.key_table(keys), x)
        writer.close(meta)
    return str(path)


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(folder_writer, "GROUP_ROWS", 32)
    monkeypatch.setattr(folder_writer, "PART_ROWS", 96)


@pytest.fixture
def on_disk(monkeypatch):
    """A context-free switch: from its call on, no features are read as a whole by a training."""

    def switch():
        monkeypatch.setattr(stored_rows, "IN_MEMORY_BYTES", 0)

        def refuse(x):
            raise AssertionError(f"all {len(x)} rows were read at once")

        monkeypatch.setattr("eavctl.classifiers.rows.in_memory", refuse)

    return switch


CASES = {
    "plain": ({}, {}),
    "unlabelled rows": ({"labels": False}, {}),
    "relabelled": ({}, {"labels": {"calm": "quiet", "sad": None}}),
    "by speaker": ({}, {"normalize": "speaker"}),
    "by data set": ({"datasets": ("one", "two")}, {"normalize": "dataset"}),
    "left-out data sets": ({"datasets": ("one", "two", "three")}, {}),
    "centred": ({"datasets": ("one", "two", "three")}, {"corpora": "centred"}),
    "answers": ({"datasets": ("one", "two")}, {"answers": ("angry", "calm")}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_linear_model_is_that_of_rows_in_memory(tmp_path, on_disk, case):
    made, asked = CASES[case]
    table = write(f"{tmp_path}/t/", **made)
    found = []
    for name in ("memory", "disk"):
        out = tmp_path / f"{name}.joblib"
        predictions = tmp_path / f"{name}.parquet"
        evaluation = Evaluation(folds=2)
        trained = train_linear(table, out, predictions=predictions, evaluation=evaluation, **asked)
        found.append((trained, load(out)))
        on_disk()
    (one, model), (other, stored) = found
    assert np.abs(one.predictions.proba - other.predictions.proba).max() < 1e-6
    assert one.predictions.pred.tolist() == other.predictions.pred.tolist()
    assert one.warnings == other.warnings
    assert one.meta["trained_on"] == other.meta["trained_on"]
    for name, array in model.predictor.to_arrays().items():
        assert np.allclose(array, stored.predictor.to_arrays()[name], atol=1e-6), name
    for name, array in model.novelty.to_arrays().items():
        assert np.allclose(array, stored.novelty.to_arrays()[name], atol=1e-5), name
    scores = [each.meta["out_of_fold"]["uar"]["value"] for each in (one, other)]
    assert scores[0] == scores[1]


def test_stacked_tables_stay_on_the_disk(tmp_path, on_disk):
    paths = [write(f"{tmp_path}/{name}/", 180, datasets=(name,), seed=i) for i, name in enumerate("ab")]
    one = train_linear(paths, None, predictions=tmp_path / "1.parquet").predictions
    on_disk()
    other = train_linear(paths[::-1], None, predictions=tmp_path / "2.parquet").predictions
    pd.testing.assert_frame_equal(one.keys, other.keys)
    assert np.abs(one.proba - other.proba).max() < 1e-6


@pytest.mark.parametrize(
    ("features", "encoder"), [("means180", "mlp"), ("means180", "scnn"), ("logmel", "cnn-lstm")]
)
def test_a_network_standardises_as_in_memory_and_learns(tmp_path, on_disk, features, encoder):
    n_rows = 360 if features == "means180" else 48
    table = write(f"{tmp_path}/t/", n_rows, features)
    choice = EncoderChoice(encoder, settings={"channels": [8, 8, 8, 8]} if encoder == "scnn" else {})
    settings = TrainSettings(**FEW if encoder == "mlp" else {"epochs": 1})
    found = []
    for name in ("memory", "disk"):
        out = tmp_path / f"{name}.pt"
        trained = train_dnn(table, out, encoder=choice, settings=settings, evaluation=Evaluation(folds=2))
        found.append((trained, load(out).predictor.state_dict()))
        on_disk()
    (one, state), (other, stored) = found
    for name in state:
        if name.endswith(("encoder.mean", "encoder.std")):
            assert np.allclose(state[name], stored[name], rtol=1e-6, atol=1e-6), name
    assert one.meta["class_counts"] == other.meta["class_counts"]
    if encoder == "mlp":
        assert min(each.meta["out_of_fold"]["uar"]["value"] for each in (one, other)) > 0.5


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path, on_disk):
    table = write(f"{tmp_path}/t/")
    on_disk()
    whole = train_dnn(table, tmp_path / "1.pt", encoder="mlp", settings=TrainSettings(**FEW))

    def kill(done, of, note):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_dnn(table, tmp_path / "2.pt", encoder="mlp", settings=TrainSettings(**FEW), on_fold=kill)
    again = train_dnn(table, tmp_path / "2.pt", encoder="mlp", settings=TrainSettings(**FEW))
    assert (tmp_path / "1.pt").read_bytes() == (tmp_path / "2.pt").read_bytes()
    assert whole.meta["out_of_fold"] == again.meta["out_of_fold"]


def test_pretraining_streams(tmp_path, on_disk):
    n_rows = max(96, FEWEST_ROWS)
    table = write(f"{tmp_path}/t/", n_rows)
    found = []
    for name in ("memory", "disk"):
        choice = PretrainingChoice(training={"epochs": 2})
        found.append(pretrain(table, tmp_path / f"{name}.pt", choice, force=True).meta)
        on_disk()
    one, other = found
    assert one["n_rows"] == other["n_rows"] == n_rows
    assert one["trained_on"] == other["trained_on"]


@pytest.mark.parametrize("with_copies", [False, True])
def test_lazily_standardised_rows_are_those_of_all_rows(tmp_path, with_copies):
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, size=(700, 6)).astype(np.float32)
    x[:, 2] = 7  # constant
    groups = rng.integers(0, 5, 700).astype(str)
    copies = (rng.random(700) < 0.3) | (groups == "4") if with_copies else None
    x[groups == "3", 4] = 1.5  # constant in a group
    rows = StandardizedRows.of(x, groups, COLUMNS, copies)
    expected = standardize_by_group(x, groups, copies=copies)
    assert np.allclose(rows[:], expected, atol=1e-6)
    some = rng.integers(0, 700, 50)
    assert np.array_equal(rows[some], rows[:][some])


def test_rows_standardised_by_speaker_and_data_set_are_those_of_all_rows():
    rng = np.random.default_rng(1)
    x = rng.normal(5, 3, size=(700, 6)).astype(np.float32)
    datasets, speakers = rng.integers(0, 3, 700).astype(str), rng.choice(["", "a", "b", "c"], 700)
    clips = rng.integers(0, 60, 700)
    x[datasets == "1", 3] = 2
    expected = standardize_by_speaker(x, datasets, speakers, clips)
    rows = StandardizedRows.by_speaker(x, datasets, speakers, clips, 10)
    assert np.allclose(rows[:], expected, atol=1e-6)


def test_what_would_not_fit_in_memory_is_refused_in_a_line(monkeypatch):
    class Huge:
        shape, dtype = (10**9, 1000), np.dtype(np.float32)

        def __len__(self):
            return self.shape[0]

    monkeypatch.setattr(streams, "total_memory", lambda: 8e9)
    with pytest.raises(DataError, match="4000 GB"):
        streams.in_memory(Huge())
