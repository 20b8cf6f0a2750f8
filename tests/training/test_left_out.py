"""How sure answers are on data sets left out, plain and adapted, and what `predict` shows of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.adaptation import Origin, adapt
from eavctl.classifiers.calibration import Calibration, decide
from eavctl.classifiers.rows import Rows
from eavctl.cli.scores import adapted_lines
from eavctl.evaluation.metrics import confusion_matrix, uar
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.reliability import is_cross_corpus, measured_on
from eavctl.evaluation.summary import summarize
from eavctl.extraction.recipe import Recipe
from eavctl.stages.predict import predict
from eavctl.stages.train_linear import train_linear
from eavctl.storage import artifacts, tables
from eavctl.storage.tables import FeatureTable, key_frame
from eavctl.training.cross_validation import CrossValidation, Evaluation, Fit, cross_validate
from eavctl.training.left_out import LeftOutDatasets

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


def test_predict_answers_adapted_rows_with_the_scale_that_was_measured(folder: Path) -> None:
    scales = {by: each["scale"] for by, each in trained(folder).items()}
    table = tables.read_features(folder / "one.parquet")
    names = [table.keys[key].to_numpy(str) for key in ("dataset", "subject", "clip_id")]
    classifier = artifacts.load(folder / "m.joblib").predictor
    expected = dict(zip(names[2], adapt(table.x, Origin(*names), classifier, scales).proba, strict=True))
    for row in predict(folder / "one.parquet", folder / "m.joblib", adapt=True).rows:
        np.testing.assert_allclose(row.proba, expected[row.keys["sample_id"]], atol=1e-6)
    assert not np.allclose(
        [*expected.values()], adapt(table.x, Origin(*names), classifier).proba, atol=1e-3
    )  # nor with the model's own


def test_the_scores_of_a_data_set_are_of_its_rows_and_of_the_model_that_did_not_have_them(
    folder: Path,
) -> None:
    per_dataset = trained(folder)["dataset"]["per_dataset"]
    others = [folder / "two.parquet", folder / "three.parquet"]
    train_linear(others, folder / "others.joblib", evaluation=Evaluation("lodo"))
    classifier = artifacts.load(folder / "others.joblib").predictor
    table = tables.read_features(folder / "one.parquet")
    names = [table.keys[key].to_numpy(str) for key in ("dataset", "subject", "clip_id")]
    origin = Origin(*names).without_speakers()
    truth = (table.keys["label"] == "sad").to_numpy(int)
    (one,) = [each for each in per_dataset if each["dataset"] == "one"]
    scores = [  # the scale, which others than its own rows gave, has little effect on answers
        uar(confusion_matrix(truth, classifier.decide(proba), 2))
        for scale in (1.0, 3.0)
        for proba in (adapt(table.x, origin, classifier, {"dataset": scale}).proba,)
    ]
    assert min(scores) - 0.02 <= one["uar"]["value"] <= max(scores) + 0.02


class Known:
    """A classifier of two classes whose decision value is the first column."""

    classes_ = np.array(["calm", "sad"])
    mean, scale, priors = np.zeros(1), np.ones(1), np.array([0.5, 0.5])

    def __init__(self, own_scale: float) -> None:
        self.calibration = Calibration(own_scale, np.zeros(2))

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return np.column_stack([-x[:, 0], x[:, 0]]).astype(np.float64)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return self.calibration(self.decision_function(x))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        return decide(proba, self.priors)


class KnownFitter:
    """Gives `Known`, far too sure of itself."""

    def check(self, rows: Rows, plan: Plan) -> None:
        pass

    def fit(self, rows: Rows, fit: Fit) -> Known:
        return Known(20.0)


def known_rows(scales: dict[str, float], n_rows: int = 4000) -> Rows:
    """Rows of data sets, whose decision values times a scale are the logits of their classes."""
    rng = np.random.default_rng(0)
    datasets = np.repeat([*scales], n_rows)
    x = rng.normal(size=len(datasets))
    p_sad = 1 / (1 + np.exp(-2 * np.array([scales[name] for name in datasets]) * x))
    labels = np.where(rng.random(len(x)) < p_sad, "sad", "calm")
    clips = [f"c{i:05d}" for i in range(len(x))]
    keys = key_frame(
        pd.DataFrame({"sample_id": clips, "clip_id": clips, "dataset": datasets, "label": labels})
    )
    return replace(Rows.of(x[:, None].astype(np.float32), labels), keys=keys)


def validated(scales: dict[str, float]) -> tuple[CrossValidation, CrossValidation, LeftOutDatasets]:
    """Predictions before and after their scales were taken from the other data sets."""
    rows = known_rows(scales)
    left_out = LeftOutDatasets(rows.answered, adapts=True)
    before = cross_validate(rows, KnownFitter(), Evaluation("lodo"), callbacks=[left_out])
    return before, left_out.rescaled(before), left_out


def scales_of(found: CrossValidation, scales: dict[str, float]) -> dict[str, float]:
    """The scale of the decision values behind the probabilities of each data set."""
    x, odds = known_rows(scales).array[:, 0], found.predictions.proba
    ratios = np.log(odds[:, 1] / odds[:, 0]) / (2 * x)
    names = found.predictions.keys["dataset"].to_numpy(str)
    return {name: float(np.median(ratios[names == name])) for name in scales}


def test_the_scale_of_a_data_set_is_that_of_the_others() -> None:
    scales = {"a": 1.0, "b": 1.0, "c": 3.0}
    before, after, left_out = validated(scales)
    found = scales_of(after, scales)
    assert found["c"] == pytest.approx(1.0, rel=0.1)
    assert 1.2 < found["a"] < 2.8
    assert found["a"] == pytest.approx(found["b"], rel=0.1)
    np.testing.assert_array_equal(before.predictions.pred, after.predictions.pred)
    np.testing.assert_array_equal(after.clips.proba, after.predictions.proba)
    assert set(left_out.adapted({"protocol": {"name": "lodo", "group": "dataset"}})) == {"dataset"}


def test_labels_of_a_data_set_have_no_part_in_its_own_scale() -> None:
    scales = {"a": 1.0, "b": 1.0, "c": 3.0}
    found, other = (scales_of(validated(each)[1], each) for each in (scales, {**scales, "c": 0.3}))
    assert found["c"] == other["c"]
    assert found["a"] > other["a"]


def test_probabilities_that_were_too_sure_are_right_as_often_as_they_say() -> None:
    scales = dict.fromkeys("abc", 1.0)
    before, after, _ = validated(scales)
    error_before, error_after = (
        summarize(each.predictions)["calibration_error"]["value"] for each in (before, after)
    )
    assert error_before > 0.15
    assert error_after < 0.02


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
