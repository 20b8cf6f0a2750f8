"""Altered copies are trained on with their clip, and never tested: remembering them gains nothing."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers import linear, svm, weighting
from eavctl.classifiers.inner_folds import InnerRows
from eavctl.classifiers.rows import Rows
from eavctl.errors import TrainingWarning
from eavctl.evaluation.groups import copies
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.protocols import splits
from eavctl.extraction.recipe import Recipe
from eavctl.features.normalize import standardize_by_group
from eavctl.stages.show import show
from eavctl.stages.train_svm import train_svm
from eavctl.storage import artifacts, tables
from eavctl.storage.keys import AUGMENT
from eavctl.storage.tables import FeatureTable
from eavctl.training.cross_validation import Evaluation, Fit, cross_validate
from eavctl.training.joined_tables import join_features
from eavctl.training.rows import training_set_of

CLASSES = ("angry", "happy", "sad")
N_COPIES, N_COLUMNS = 2, 12
PROTOCOLS = ("auto", "group-kfold", "loso", "stratified", "random", "eav-50-50", "given")
RECIPE = Recipe("seed33")


def plain_keys() -> pd.DataFrame:
    """Six people with four trials of each class, each of two segments."""
    rows = [
        {
            "sample_id": f"p{person}/{label}{take}@{start:09.3f}",
            "clip_id": f"p{person}/{label}{take}",
            "dataset": "planted",
            "subject": f"p{person}",
            "trial": f"{label}{take}",
            "recording": f"rec p{person} {label}{take}",
            "start": start,
            "end": start + 1,
            "label": label,
            "fold": person % 3 + 1,
        }
        for person in range(6)
        for label in CLASSES
        for take in range(4)
        for start in (0.0, 1.0)
    ]
    return tables.key_frame(pd.DataFrame(rows))


def with_copies(keys: pd.DataFrame) -> pd.DataFrame:
    """Each row with its copies after it."""
    names = [None, *(f"{number}-noise" for number in range(1, N_COPIES + 1))]
    repeated = keys.loc[keys.index.repeat(len(names))].reset_index(drop=True)
    repeated[AUGMENT] = pd.Series(names * len(keys), dtype=object)
    copied = repeated[AUGMENT].notna()
    repeated.loc[copied, "sample_id"] += "#" + repeated.loc[copied, AUGMENT]
    return repeated


def table_of(keys: pd.DataFrame, x: np.ndarray) -> FeatureTable:
    names = [f"f{i}" for i in range(x.shape[1])]
    meta = RECIPE.meta() | {"classes": list(CLASSES), "shape": [x.shape[1]], "content_hash": "c"}
    return FeatureTable(keys, x.astype(np.float32), tuple(names), {"schema_version": 3, **meta})


@pytest.fixture
def noise() -> FeatureTable:
    """A table with copies whose features say nothing of the class; a copy is its clip, nearly or exactly."""
    keys, rng = with_copies(plain_keys()), np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(len(plain_keys()), N_COLUMNS)), 1 + N_COPIES, axis=0)
    x[2 :: 1 + N_COPIES] += 1e-3 * rng.normal(size=x[2 :: 1 + N_COPIES].shape)
    return table_of(keys, x)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_splits_are_those_of_the_clips_with_copies_added_to_training(protocol: str) -> None:
    keys = plain_keys()
    own, whole = splits(keys, protocol, folds=3), splits(with_copies(keys), protocol, folds=3)
    assert whole.warnings == own.warnings
    assert len(whole.folds) == len(own.folds)
    for a, b in zip(own.folds, whole.folds, strict=True):
        assert np.array_equal(b.test, a.test * (1 + N_COPIES))
        every = np.arange(1 + N_COPIES)
        assert np.array_equal(b.train, (a.train[:, None] * (1 + N_COPIES) + every).ravel())
    assert np.array_equal(whole.groups[:: 1 + N_COPIES], own.groups)
    assert np.array_equal(whole.units, np.repeat(own.units, 1 + N_COPIES))


@pytest.mark.parametrize("kept", ["groups", "units", "neither"])
def test_inner_folds_test_clips_alone_and_never_beside_their_copies(kept: str) -> None:
    """Also where groups or units cannot be kept whole, and single rows are split."""
    n = 60
    y = np.arange(n) % 3
    groups = {"groups": np.arange(n) // 6, "units": np.zeros(n), "neither": np.zeros(n)}[kept]
    units = {"groups": np.arange(n), "units": np.arange(n) // 3, "neither": y}[kept]
    plain = InnerRows(y, CLASSES, groups, units)
    clip = np.repeat(np.arange(n), 3)
    copy = np.arange(3 * n) % 3 > 0
    whole = InnerRows(y[clip], CLASSES, groups[clip], units[clip], copy)
    with pytest.warns(TrainingWarning) if kept != "groups" else nullcontext():
        pairs = [(plain.folds(0), whole.folds(0)), (plain.validation(0.2, 0), whole.validation(0.2, 0))]
    for expected, found in pairs:
        assert len(expected) == len(found)
        for (train, test), (train_too, test_too) in zip(expected, found, strict=True):
            assert np.array_equal(test_too, 3 * test)
            assert np.array_equal(train_too[~copy[train_too]], 3 * train)
            assert not set(clip[train_too]) & set(clip[test_too])
            if kept != "neither":
                assert set(clip[train_too[copy[train_too]]]) == set(train)
    assert whole.own.tolist() == list(range(0, 3 * n, 3))


def test_members_are_not_validated_on_copies() -> None:
    groups, copy = np.repeat(["a", "b"], 6), np.tile([False, True, True], 4)
    rows = InnerRows(np.tile([0, 0, 0, 1, 1, 1], 2), ("x", "y"), groups, np.repeat(range(4), 3), copy)
    fold = rows.holding({"a"})
    assert fold is not None
    assert fold[1].tolist() == [0, 3]
    assert fold[0].tolist() == list(range(6, 12))
    assert rows.groups_tested(fold) == ["a"]


class _Remembers:
    """The nearest training row's class."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.classes_ = rows, np.array(CLASSES)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        distances = np.square(x[:, None] - self.rows.array[None]).sum(axis=2)
        return np.eye(len(CLASSES))[self.rows.y[distances.argmin(axis=1)]]

    def decide(self, proba: np.ndarray) -> np.ndarray:
        return np.asarray(proba.argmax(axis=1))


@dataclass(frozen=True)
class _Attack:
    """A fitter that remembers its training rows."""

    def check(self, rows: Rows, plan: Plan) -> None:
        """Any rows will do."""

    def fit(self, rows: Rows, fit: Fit) -> _Remembers:
        return _Remembers(rows)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_remembering_copies_gives_chance(noise: FeatureTable, protocol: str) -> None:
    """And the predictions are of the clips alone."""
    data = training_set_of(noise)
    found = cross_validate(data.rows, _Attack(), Evaluation(protocol, 3)).predictions
    own = noise.keys[~copies(noise.keys)]
    assert set(found.keys["sample_id"]) <= set(own["sample_id"])
    right = found.pred == found.keys["label"].to_numpy()
    assert right.mean() < 0.34 + 3 * np.sqrt(0.22 / (len(found) / 2))
    # The attack works where it can: the same rows as clips of their own, to a split by rows.
    torn = with_keys_of_their_own(noise)
    leaked = cross_validate(training_set_of(torn).rows, _Attack(), Evaluation("stratified", 3)).predictions
    assert (leaked.pred == leaked.keys["label"].to_numpy()).mean() > 0.8


def with_keys_of_their_own(table: FeatureTable) -> FeatureTable:
    """The copies that differ from their clip, as clips of other names: a planted leak."""
    kept = np.flatnonzero(table.keys[AUGMENT] != "1-noise")
    keys = table.keys.iloc[kept].reset_index(drop=True).drop(columns=AUGMENT)
    keys = keys.assign(clip_id=keys["sample_id"], trial=None, recording=None, start=np.nan, end=np.nan)
    return replace(table, keys=keys, x=table.x[kept])


def test_an_svm_is_chosen_and_calibrated_on_clips() -> None:
    """Also where one class alone has copies."""
    rng, n = np.random.default_rng(1), 90
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 6)) + np.eye(3)[y] @ rng.normal(size=(3, 6))
    people, labels = np.arange(n) // 9, np.array(CLASSES)[y]
    uneven = np.repeat(np.arange(n), 1 + (y == 0))  # only one class has copies
    copy = np.r_[False, uneven[1:] == uneven[:-1]]
    plain = svm.fit(x, labels, groups=people, units=np.arange(n))
    found = svm.fit(x[uneven], labels[uneven], groups=people[uneven], units=uneven, copies=copy)
    assert found.priors.tolist() == plain.priors.tolist()
    assert len(found.chosen["inner_uar"]) == len(plain.chosen["inner_uar"])
    expected = InnerRows(y, CLASSES, people, np.arange(n)).folds(42)
    inner = InnerRows(y[uneven], CLASSES, people[uneven], uneven, copy)
    assert [uneven[test].tolist() for _, test in inner.folds(42)] == [test.tolist() for _, test in expected]


@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_unit_counts_as_much_with_copies_as_without(is_weighted: bool) -> None:
    n = 40
    clip = np.repeat(np.arange(n), 1 + np.arange(n) % 3)
    copy = np.r_[False, clip[1:] == clip[:-1]]
    weights = np.random.default_rng(0).uniform(0.2, 2, n) if is_weighted else None
    shared = None if weights is None else weights[clip]
    rows = Rows(clip[:, None], clip % 2, ("a", "b"), units=clip, weights=shared, copies=copy)
    assert rows.fit_weights is not None
    assert rows.fit_weights.mean() == pytest.approx(1)
    totals = np.bincount(clip, rows.fit_weights)
    expected = np.ones(n) if weights is None else weights
    assert totals / totals.sum() == pytest.approx(expected / expected.sum())
    assert rows.counts.tolist() == pytest.approx([expected[::2].sum(), expected[1::2].sum()])


def test_data_sets_are_weighed_by_their_clips() -> None:
    """Also where one of them alone has copies."""
    y, datasets = np.arange(60) % 3, np.array(["x"] * 40 + ["y"] * 20)
    clip = np.repeat(np.arange(60), np.where(datasets == "x", 3, 1))
    copy = np.r_[False, clip[1:] == clip[:-1]]
    found = weighting.of_corpora(datasets[clip], y[clip], copy)
    assert found == pytest.approx(weighting.of_corpora(datasets, y)[clip])


@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_linear_model_of_clips_and_equal_copies_is_that_of_the_clips(is_weighted: bool) -> None:
    rng, n = np.random.default_rng(1), 180
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 6)) + np.eye(3)[y] @ rng.normal(size=(3, 6))
    people, labels = np.arange(n) // 18, np.array(CLASSES)[y]
    weights = rng.uniform(0.5, 1.5, n) if is_weighted else None
    clip = np.repeat(np.arange(n), 1 + np.arange(n) % 4)
    copy = np.r_[False, clip[1:] == clip[:-1]]
    plain = linear.fit(x, labels, weights=weights, groups=people, units=np.arange(n), penalties=[1e-3])
    found = linear.fit(
        x[clip], labels[clip], weights=None if weights is None else weights[clip], groups=people[clip],
        units=clip, copies=copy, penalties=[1e-3],
    )  # fmt: skip
    assert found.priors == pytest.approx(plain.priors)
    assert found.mean == pytest.approx(plain.mean)
    assert found.decision_function(x) == pytest.approx(plain.decision_function(x), abs=1e-3)
    assert found.beta == pytest.approx(plain.beta, rel=0.05)
    assert found.bias == pytest.approx(plain.bias, abs=0.02)


def test_a_linear_model_keeps_mean_and_deviation_of_the_clips() -> None:
    """By which ``predict --adapt`` maps recordings."""
    rng = np.random.default_rng(0)
    x, clip = rng.normal(size=(60, 4)), np.repeat(np.arange(30), 2)
    copy = np.arange(60) % 2 == 1
    x[copy] += 100
    labels = np.array(CLASSES)[clip % 3]
    found = linear.fit(x, labels, groups=clip // 5, units=clip, copies=copy)
    assert found.mean == pytest.approx(x[~copy].mean(axis=0), abs=1e-5)
    assert found.scale == pytest.approx(x[~copy].std(axis=0), abs=1e-5)


def test_speakers_are_standardised_by_their_clips() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype(np.float32)
    copy = np.arange(40) % 2 == 1
    x[copy] = 3 * x[~copy] + 7
    people = np.repeat(["a", "b"], 20)
    found = standardize_by_group(x, people, copies=copy)
    assert np.array_equal(found[~copy], standardize_by_group(x[~copy], people[~copy]))
    for name in ("a", "b"):
        own = x[~copy & (people == name)].astype(float)
        expected = (x[copy & (people == name)] - own.mean(axis=0)) / own.std(axis=0)
        assert found[copy & (people == name)] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("normalize", [None, "speaker"])
def test_a_training_counts_clips_alone(noise: FeatureTable, tmp_path: Path, normalize: str | None) -> None:
    """The model takes plain recordings, and predict on the table leaves copies out."""
    x = noise.x + 2 * np.pad(np.eye(3), ((0, 0), (0, 9)))[[CLASSES.index(c) for c in noise.keys["label"]]]
    whole = table_of(noise.keys, x)
    own = ~copies(noise.keys)
    plain = table_of(plain_keys(), x[own])
    found = {}
    for name, table in (("whole", whole), ("plain", plain)):
        path, model = tmp_path / f"{name}.parquet", tmp_path / f"{name}.joblib"
        tables.write_features(replace(table, meta=table.meta | {"features": "seed33"}), path)
        found[name] = train_svm(
            path, model, predictions=tmp_path / f"{name}-oof.parquet", evaluation=Evaluation(folds=3),
            normalize=normalize,
        )  # fmt: skip
    meta, expected = (found[name].meta for name in ("whole", "plain"))
    assert meta["class_counts"] == expected["class_counts"]
    assert meta["out_of_fold"]["n_rows"] == expected["out_of_fold"]["n_rows"]
    trained_on = [{**each["trained_on"], "table": None} for each in (meta, expected)]
    assert trained_on[0] == trained_on[1]
    assert meta["features_hash"] == expected["features_hash"]
    keys = [tables.read_predictions(tmp_path / f"{name}-oof.parquet").keys for name in ("whole", "plain")]
    assert keys[0].equals(keys[1])
    shown = show(tmp_path / "whole.parquet")
    assert (shown["rows"], shown["copies"]) == (len(plain), N_COPIES * len(plain))
    assert shown["labels"] == show(tmp_path / "plain.parquet")["labels"]
    model, other = (artifacts.load(tmp_path / f"{name}.joblib") for name in ("whole", "plain"))
    assert model.predictor.priors == pytest.approx(np.full(3, 1 / 3))
    assert model.novelty.to_meta() == other.novelty.to_meta()


def test_a_fusion_pairs_copies_with_what_other_tables_have_of_the_clip(
    noise: FeatureTable, tmp_path: Path
) -> None:
    other = table_of(plain_keys(), np.arange(len(plain_keys()))[:, None] * np.ones(N_COLUMNS))
    for name, table in (("audio", noise), ("video", other)):
        tables.write_features(table, tmp_path / f"{name}.parquet")
    joined = join_features([tmp_path / "audio.parquet", tmp_path / "video.parquet"], ["a", "b"])
    rows = joined.data.rows
    assert set(joined.left_out.values()) == {0}
    assert rows.copies is not None
    assert np.array_equal(rows.copies, copies(noise.keys))
    assert np.array_equal(rows.streams.arrays[1], np.repeat(other.x, 1 + N_COPIES, axis=0))
    assert np.array_equal(rows.streams.arrays[0], noise.x)
