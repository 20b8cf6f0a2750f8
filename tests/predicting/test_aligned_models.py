"""Models that align each person: answers do not depend on gains, and need enough rows of a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, SettingsError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.covariances import columns_of, matrices_of
from eavctl.features.normalize import LEAST_OF_SUBJECT
from eavctl.predicting.predictor import Predictor
from eavctl.stages.predict import predict, stream
from eavctl.stages.show import show
from eavctl.stages.train_dnn import train_dnn
from eavctl.stages.train_linear import train_linear
from eavctl.storage import artifacts, tables
from eavctl.storage.tables import FeatureTable
from eavctl.training.cross_validation import Evaluation
from eavctl.training.rows import normalized, training_set_of

CHANNELS = ("C3", "Cz", "C4", "Pz")
SETTINGS = {"channels": list(CHANNELS), "rate": 128}
SFREQ, N_CLIPS, N_SEGMENTS = 128, 12, 2


def table_of(features: str, gains: dict[str, float]) -> FeatureTable:
    """Segments of people, of whom each has a gain: alpha is strong at the first channel, or at the last."""
    recipe, keys, x = Recipe(features, SETTINGS), [], []
    for number, (person, gain) in enumerate(gains.items()):
        rng = np.random.default_rng(number)
        for clip in range(N_CLIPS):
            for segment in range(N_SEGMENTS):
                signal = rng.normal(0, 2, (len(CHANNELS), 2 * SFREQ))
                strength = np.exp(rng.normal(0, 0.3))
                signal[-(clip % 2)] += (
                    8 * strength * np.sin(2 * np.pi * 10 * np.arange(2 * SFREQ) / SFREQ + rng.uniform(0, 6))
                )
                x.append(recipe.compute(gain * signal, SFREQ))
                keys.append(
                    {
                        "sample_id": f"{person}/{clip:02}@{segment}",
                        "clip_id": f"{person}/{clip:02}",
                        "dataset": "made",
                        "subject": person,
                        "label": ("left", "right")[clip % 2],
                        "start": 2.0 * segment,
                        "end": 2.0 * segment + 2,
                    }
                )
    rows = np.stack(x)
    columns = recipe.columns
    meta = {**recipe.meta(), "segment": {"seconds": 2.0, "hop": 2.0}}
    meta |= {"shape": list(rows.shape[1:]), "classes": ["left", "right"]}
    return FeatureTable(tables.key_frame(pd.DataFrame(keys)), rows, columns, meta)


GAINS = {"p1": 1.0, "p2": 5.0, "p3": 0.3, "p4": 2.0}


def written(table: FeatureTable, path: Path) -> Path:
    tables.write_features(table, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of four people, and models of it that are aligned and not."""
    made = tmp_path_factory.mktemp("aligned")
    people = written(table_of("eeg-cov", GAINS), made / "people.parquet")
    for name, normalize in (("plain", None), ("aligned", "subject")):
        train_linear(
            people,
            made / f"{name}.joblib",
            predictions=made / f"{name}.parquet",
            evaluation=Evaluation("loso"),
            normalize=normalize,
        )
    return made


def probabilities(path: Path, model: Path) -> np.ndarray:
    return np.stack([row.proba for row in predict(path, model).rows])


def accuracy(path: Path, model: Path) -> float:
    return float(np.mean([row.pred == row.keys["label"] for row in predict(path, model).rows]))


def test_answers_to_a_new_person_do_not_depend_on_the_gains_of_electrodes(
    folder: Path, tmp_path: Path
) -> None:
    table = table_of("eeg-cov", {"new": 1.0})
    new = written(table, tmp_path / "new.parquet")
    gains = np.array([0.1, 1.0, 1.0, 10.0])  # of the channels that tell the classes apart
    n_bands = len(table.meta["settings"]["bands"])
    louder = columns_of(matrices_of(table.x, n_bands) * np.outer(gains, gains)).astype(np.float32)
    other = written(replace(table, x=louder), tmp_path / "other.parquet")
    assert accuracy(new, folder / "plain.joblib") > 0.9
    assert accuracy(other, folder / "plain.joblib") < 0.7
    assert accuracy(new, folder / "aligned.joblib") > 0.9
    assert accuracy(other, folder / "aligned.joblib") > 0.9


def test_predict_aligns_as_the_training_did(folder: Path) -> None:
    """Answers of the model of all rows, to the table that it was trained on."""
    table = tables.read_features(folder / "people.parquet")
    model = artifacts.load(folder / "aligned.joblib").predictor
    judged = predict(folder / "people.parquet", folder / "aligned.joblib").rows
    rows = normalized(training_set_of(table), "subject").rows
    each = model.predict_proba(rows.array)
    clips = rows.key_frame["clip_id"].to_numpy()
    for row in judged:
        np.testing.assert_allclose(row.proba, each[clips == row.clip_id].mean(axis=0), atol=1e-5)


def first(table: FeatureTable, n: int) -> FeatureTable:
    return FeatureTable(table.keys.iloc[:n].reset_index(drop=True), table.x[:n], table.columns, table.meta)


def test_segments_count_and_not_recordings(folder: Path, tmp_path: Path) -> None:
    new = table_of("eeg-cov", {"new": 1.0})
    enough = written(first(new, LEAST_OF_SUBJECT), tmp_path / "enough.parquet")
    assert len(predict(enough, folder / "aligned.joblib").rows) == LEAST_OF_SUBJECT // N_SEGMENTS
    few = written(first(new, LEAST_OF_SUBJECT - 1), tmp_path / "few.parquet")
    with pytest.raises(DataError, match=f"new has {LEAST_OF_SUBJECT - 1}"):
        predict(few, folder / "aligned.joblib")


def test_each_of_two_people_needs_enough(folder: Path, tmp_path: Path) -> None:
    both = table_of("eeg-cov", {"one": 1.0, "two": 2.0})
    path = written(first(both, N_CLIPS * N_SEGMENTS + 3), tmp_path / "both.parquet")
    with pytest.raises(DataError, match="two has 3"):
        predict(path, folder / "aligned.joblib")


def test_a_training_on_people_whom_predict_would_refuse_says_so(folder: Path) -> None:
    table = tables.read_features(folder / "people.parquet")
    assert not normalized(training_set_of(table), "subject").facts.notes
    person = table.keys["subject"].iloc[0]
    of_others = (table.keys["subject"] != person).to_numpy()
    kept = np.sort(np.concatenate([np.flatnonzero(of_others), np.flatnonzero(~of_others)[:8]]))
    keys = table.keys.iloc[kept].reset_index(drop=True)
    few = training_set_of(replace(table, keys=keys, x=table.x[kept]))
    (note,) = normalized(few, "subject").facts.notes
    assert f"{person} (8)" in note


def test_what_judges_one_by_one_refuses(folder: Path) -> None:
    model = folder / "aligned.joblib"
    with pytest.raises(UsageError, match="subject"):
        stream([folder / "people.parquet"], model)
    with pytest.raises(UsageError, match="subject"):
        predict(folder / "people.parquet", model, adapt=True)
    with pytest.raises(UsageError, match="covariances"):
        predict(folder / "people.parquet", folder / "plain.joblib", adapt=True)
    with pytest.raises(DataError, match="subject"):
        Predictor.load(model).check_windows()


def test_a_model_that_was_aligned_otherwise_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = artifacts.load(folder / "aligned.joblib")
    own = model.meta.inputs[0]._replace(normalized={"align": "another"})
    model.meta = model.meta._replace(features=own)
    monkeypatch.setattr(artifacts, "load", lambda path: model)
    with pytest.raises(SettingsError, match="another version"):
        predict(folder / "people.parquet", "m.joblib")


def test_outputs_say_that_people_were_aligned(folder: Path) -> None:
    for name in ("aligned.joblib", "aligned.parquet"):
        told = show(folder / name)
        assert told["protocol"]["normalize"] == "subject"
        assert any("subject" in each for each in told["protocol"]["warnings"])
    found = predict(folder / "people.parquet", folder / "aligned.joblib")
    assert any("by subject" in note for note in found.notes)


def test_recordings_without_a_subject_are_said_to_be_of_one_person(folder: Path, tmp_path: Path) -> None:
    table = table_of("eeg-cov", {"new": 1.0})
    table.keys["subject"] = None
    found = predict(written(table, tmp_path / "new.parquet"), folder / "aligned.joblib")
    assert any(f"{N_CLIPS} recordings without a subject" in note for note in found.notes)
    named = predict(folder / "people.parquet", folder / "aligned.joblib")
    assert not any("without a subject" in note for note in named.notes)


def test_a_network_is_trained_on_aligned_epochs(tmp_path: Path) -> None:
    people = written(table_of("eeg-epochs", GAINS), tmp_path / "people.parquet")
    model = tmp_path / "m.pt"
    train_dnn(
        people, model, settings=TrainSettings(epochs=1), evaluation=Evaluation(folds=2), normalize="subject"
    )
    assert artifacts.load(model).meta.inputs[0].normalized == {"align": "euclidean"}
    one, other = (
        written(table_of("eeg-epochs", {"new": gain}), tmp_path / f"{gain}.parquet") for gain in (1.0, 9.0)
    )
    np.testing.assert_allclose(probabilities(one, model), probabilities(other, model), atol=1e-3)
