"""Figures for adapted answers: measured on data sets held out, and shown where answers are adapted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.cli.scores import adapted_lines
from eavctl.evaluation.metrics import confusion_matrix, uar
from eavctl.evaluation.reliability import is_cross_corpus, measured_on
from eavctl.extraction.recipe import Recipe
from eavctl.stages.predict import predict
from eavctl.stages.train_linear import train_linear
from eavctl.storage import artifacts, tables
from eavctl.storage.tables import FeatureTable, key_frame
from eavctl.training.cross_validation import Evaluation

N_COLUMNS, N_SPEAKERS = 9, 4
NAMES = ("one", "two", "three")


def write(path: Path, *, n_rows: int = 96, has_speakers: bool = True, parts: int = 1) -> Path:
    """A table of two classes, whose speakers and data set have a scale and an offset of their own."""
    rng = np.random.default_rng([*path.stem.encode()])
    rows = np.arange(n_rows)
    clips, part = [f"{path.stem}{row // parts:03d}" for row in rows], rows % parts
    sad, speaker = rows // parts % 2, rows // parts // 2 % N_SPEAKERS
    x = rng.normal(size=(n_rows, N_COLUMNS)) + 0.8 * sad[:, None] + rng.normal(size=(4, N_COLUMNS))[speaker]
    x = x * rng.uniform(0.2, 4, N_COLUMNS) + rng.normal(size=N_COLUMNS)
    frame = pd.DataFrame(
        {
            "sample_id": [f"{clip}@{i}" for clip, i in zip(clips, part, strict=True)],
            "clip_id": clips,
            "dataset": path.stem,
            "label": np.array(["calm", "sad"])[sad],
            "start": part.astype(float),
            "end": part + 1.0,
        }
    )
    frame = frame.assign(subject=[f"s{i}" for i in speaker]) if has_speakers else frame
    facts = {"shape": [N_COLUMNS], "classes": ["calm", "sad"], "schema_version": tables.SCHEMA_VERSION}
    meta = {**Recipe("seed33").meta(), **facts}
    columns = tuple(f"x{i}" for i in range(N_COLUMNS))
    tables.write_features(FeatureTable(key_frame(frame), x.astype(np.float32), columns, meta), path)
    return path


def trained(folder: Path, names: tuple[str, ...] = NAMES, **given: Any) -> dict[str, Any]:
    """The scores of adapted answers in a training on these data sets, and a model file."""
    paths = [folder / f"{name}.parquet" for name in names]
    train_linear(paths, folder / "m.joblib", force=True, **given)
    return dict(artifacts.read_meta(folder / "m.joblib").out_of_fold_adapted)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        write(tmp_path / f"{name}.parquet")
    return tmp_path


def test_a_held_out_data_set_is_scored_as_predict_would_answer(folder: Path) -> None:
    per_dataset = trained(folder)["speaker"]["per_dataset"]
    trained(folder, ("two", "three"))  # what the fold was fitted on that holds out the first
    rows = predict(folder / "one.parquet", folder / "m.joblib", adapt=True).rows
    answers = {row.keys["sample_id"]: ["calm", "sad"].index(row.pred) for row in rows}
    keys = tables.read_features(folder / "one.parquet").keys
    pred = np.array([answers[sample] for sample in keys["clip_id"]])
    truth = (keys["label"] == "sad").to_numpy(int)
    (one,) = [each for each in per_dataset if each["dataset"] == "one"]
    assert one["uar"]["value"] == pytest.approx(uar(confusion_matrix(truth, pred, 2)))


def test_adapting_by_speaker_is_measured_apart_from_adapting_by_data_set(folder: Path) -> None:
    found = trained(folder)
    assert list(found) == ["dataset", "speaker"]
    assert all(each["n_rows"] == 3 * 96 for each in found.values())
    plain = artifacts.read_meta(folder / "m.joblib").out_of_fold
    assert plain is not None
    uars = [each["over_datasets"]["uar"]["value"] for each in (plain, *found.values())]
    assert uars == sorted(uars)
    for by, line in zip(("data set", "speaker"), adapted_lines(found), strict=True):
        assert by in line


def test_the_accuracy_shown_is_that_of_answers_adapted_alike(folder: Path) -> None:
    found = trained(folder)
    for has_speakers, by in ((True, "speaker"), (False, "dataset")):
        here = write(folder / "here.parquet", has_speakers=has_speakers)
        predicted = predict(here, folder / "m.joblib", adapt=True)
        rights = [right for row in predicted.rows if (right := predicted.right(row))]
        assert len(rights) > 0.9 * len(predicted.rows)
        known = [part for parts in found[by]["reliability"]["rows"]["classes"].values() for part in parts]
        for right in rights:
            measured = right["measured_on"]
            assert measured["adapted_by"] == by
            assert is_cross_corpus(measured)
            assert "adapted" in measured_on(measured)
            assert {key: value for key, value in right.items() if key != "measured_on"} in known
        assert not any("without --adapt" in note for note in predicted.notes)
        plain = predict(here, folder / "m.joblib")
        shown = [right["measured_on"] for row in plain.rows if (right := plain.right(row))]
        assert shown
        assert not any("adapted_by" in measured for measured in shown)


@pytest.mark.parametrize("evaluation", [Evaluation("group-kfold", 3), Evaluation("lodo")])
def test_a_model_without_such_figures_claims_none(folder: Path, evaluation: Evaluation) -> None:
    if evaluation.protocol == "lodo":
        for name in NAMES:
            write(folder / f"{name}.parquet", n_rows=18)  # too few to adapt by
    assert trained(folder, evaluation=evaluation) == {}
    here = write(folder / "here.parquet")
    predicted = predict(here, folder / "m.joblib", adapt=True)
    assert all(predicted.right(row) is None for row in predicted.rows)
    plain = predict(here, folder / "m.joblib")
    is_known = any(plain.right(row) for row in plain.rows)
    assert any("without --adapt" in note for note in predicted.notes) is is_known


def test_models_that_standardise_by_themselves_have_none(folder: Path) -> None:
    assert trained(folder, normalize="dataset") == {}


def test_clips_of_several_rows_are_measured_as_clips_too(tmp_path: Path) -> None:
    for name in NAMES:
        write(tmp_path / f"{name}.parquet", n_rows=192, parts=2)
    levels = trained(tmp_path)["dataset"]["reliability"]
    assert set(levels) == {"rows", "clips"}
    assert all(level["measured_on"]["adapted_by"] == "dataset" for level in levels.values())


def test_of_speakers_without_names_or_with_few_clips_only_data_sets_are_measured(folder: Path) -> None:
    write(folder / "one.parquet", has_speakers=False)
    found = trained(folder)
    assert [each["dataset"] for each in found["dataset"]["per_dataset"]] == ["one", "three", "two"]
    assert [each["dataset"] for each in found["speaker"]["per_dataset"]] == ["three", "two"]
