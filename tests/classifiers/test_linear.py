"""The logistic regression: equal to scikit-learn's, and the same whatever computes it."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eavctl.classifiers import columns, linear, logistic
from eavctl.classifiers.calibration import fit_calibration
from eavctl.classifiers.inner_folds import InnerRows
from eavctl.classifiers.streams import taken
from eavctl.errors import DataError, TrainingWarning


def make(n_classes=4, per_class=40, n_columns=6, n_groups=8, seed=0, noise=2.0):
    """Rows around centres of classes that do not depend on the seed, in correlated columns of any scale."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    labels = np.repeat([f"c{i}" for i in range(n_classes)], per_class)
    centres = fixed.normal(size=(n_classes, n_columns))
    mixing = fixed.normal(size=(n_columns, n_columns))
    rows = (
        np.repeat(centres, per_class, axis=0)
        + rng.normal(scale=noise, size=(len(labels), n_columns)) @ mixing
    )
    x = rows * fixed.uniform(0.01, 100, n_columns) + fixed.normal(scale=50, size=n_columns)
    groups = np.array([f"g{i % n_groups}" for i in range(len(labels))])
    return x.astype(np.float32), labels, groups


def scikit_learn(penalty, x, weights=None):
    """A pipeline of the same objective: scikit-learn's C is of the summed loss."""
    total = len(x) if weights is None else weights.sum()
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=1 / (penalty * x.shape[1] * total), tol=1e-10, max_iter=10000, class_weight="balanced"
        ),
    )


def standardized(model):
    """The weights for standardised columns."""
    return model.coef * model.scale


@pytest.mark.parametrize(("n_classes", "n_columns"), [(3, 200), (8, 30)])
@pytest.mark.parametrize("penalty", [1e-2, 1e-4])
def test_weights_are_those_of_scikit_learn(n_classes, n_columns, penalty):
    x, labels, groups = make(n_classes, n_columns=n_columns)
    model = linear.fit(x, labels, groups=groups, penalties=[penalty])
    pipeline = scikit_learn(penalty, x).fit(x.astype(float), labels)
    expected = pipeline[-1].coef_
    assert standardized(model) == pytest.approx(expected, abs=1e-3 * np.abs(expected).max())
    new = make(n_classes, n_columns=n_columns, seed=1)[0]
    logits = pipeline.decision_function(new.astype(float))
    logits -= logits.mean(axis=1, keepdims=True)
    found = model.decision_function(new)
    assert found - found.mean(axis=1, keepdims=True) == pytest.approx(
        logits, abs=5e-3 * float(np.abs(logits).max())
    )


@pytest.mark.parametrize("penalty", [1e-2, 1e-4])
def test_weights_of_two_classes_are_those_of_scikit_learn(penalty):
    """Two opposite vectors of weights have half the penalty of the one that scikit-learn fits."""
    x, labels, groups = make(2)
    model = linear.fit(x, labels, groups=groups, penalties=[penalty])
    expected = scikit_learn(penalty / 2, x).fit(x.astype(float), labels)[-1].coef_[0]
    weights = standardized(model)
    assert weights[1] - weights[0] == pytest.approx(expected, abs=1e-3 * np.abs(expected).max())
    assert weights[1] == pytest.approx(-weights[0], abs=1e-6)


def test_weights_of_rows_are_those_of_scikit_learn():
    """A row of weight 2 counts as two equal rows, in the scaling, the loss and the balance of classes."""
    x, labels, groups = make(3)
    weights = np.random.default_rng(0).integers(1, 4, len(x)).astype(float)
    model = linear.fit(x, labels, groups=groups, penalties=[1e-3], weights=weights / weights.mean())
    often = np.repeat(np.arange(len(x)), weights.astype(int))
    expected = scikit_learn(1e-3, x[often]).fit(x[often].astype(float), labels[often])
    assert model.mean == pytest.approx(expected[0].mean_, rel=1e-5)
    assert model.scale == pytest.approx(expected[0].scale_, rel=1e-5)
    assert standardized(model) == pytest.approx(
        expected[-1].coef_, abs=1e-3 * np.abs(expected[-1].coef_).max()
    )


def test_another_penalty_than_the_usual_one_must_be_better_by_a_margin():
    x, labels, groups = make(4, noise=3)
    for seed in range(4):
        chosen = linear.fit(x, labels, groups=groups, seed=seed).chosen
        scores = {each["penalty"]: each["uar"] for each in chosen["inner_uar"]}
        gain = scores[chosen["penalty"]] - scores[linear.USUAL]
        assert chosen["penalty"] == linear.USUAL or gain > linear.MARGIN
        assert max(scores.values()) - scores[chosen["penalty"]] <= linear.MARGIN


def test_penalty_and_calibration_are_those_of_a_plain_search():
    """Written anew: scikit-learn fitted for every penalty in every inner fold."""
    x, labels, groups = make(4, noise=3)
    model = linear.fit(x, labels, groups=groups)
    y = np.unique(labels, return_inverse=True)[1]
    folds = InnerRows(y, model.classes_.tolist(), groups).folds(42)
    scores, found = [], []
    for penalty in linear.PENALTIES:
        logits = np.empty((len(y), 4))
        for train, test in folds:
            pipeline = scikit_learn(penalty, x[train]).fit(x[train].astype(float), labels[train])
            logits[test] = pipeline.decision_function(x[test].astype(float))
        scores.append(np.mean([balanced_accuracy_score(y[t], logits[t].argmax(axis=1)) for _, t in folds]))
        found.append(logits)
    tried = model.chosen["inner_uar"]
    assert [each["penalty"] for each in tried] == list(linear.PENALTIES)
    assert [each["uar"] for each in tried] == pytest.approx(scores, abs=0.02)
    usual, best = tried[3], max(tried, key=lambda each: each["uar"])
    assert usual["penalty"] == linear.USUAL
    expected = best if best["uar"] > usual["uar"] + linear.MARGIN else usual
    assert model.chosen["penalty"] == expected["penalty"]
    calibration = fit_calibration(found[tried.index(expected)], y, np.bincount(y))
    assert model.beta == pytest.approx(calibration.scale, rel=0.02)
    assert model.bias == pytest.approx(calibration.bias, abs=0.02)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kept", [0, logistic.KEPT_BYTES])
def test_threads_and_memory_do_not_change_the_model(monkeypatch, jobs, kept):
    x, labels, groups = make(3, per_class=700)
    monkeypatch.setattr(logistic, "EXACT_VALUES", 0)  # in float32, as large tables
    expected = linear.fit(x, labels, groups=groups)
    monkeypatch.setattr(logistic, "KEPT_BYTES", kept)
    found = linear.fit(x, labels, groups=groups, jobs=jobs)
    assert len(x) > 2 * columns.CHUNK
    for name, array in expected.to_arrays().items():
        assert np.array_equal(array, found.to_arrays()[name])
    assert found.to_meta() == expected.to_meta()


@pytest.mark.parametrize("shape", [(300, 20), (60, 900)])
def test_float32_finds_the_same_weights(monkeypatch, shape):
    x, labels, groups = make(3, per_class=shape[0] // 3, n_columns=shape[1])
    exact = linear.fit(x, labels, groups=groups, penalties=[1e-3])
    monkeypatch.setattr(logistic, "EXACT_VALUES", 0)
    rounded = linear.fit(x, labels, groups=groups, penalties=[1e-3])
    expected = standardized(exact)
    assert standardized(rounded) == pytest.approx(expected, abs=2e-3 * float(np.abs(expected).max()))


def test_a_fit_leaves_its_table_unchanged():
    x, labels, groups = make()
    before = x.copy()
    linear.fit(x, labels, groups=groups)
    assert np.array_equal(x, before)


def test_rows_do_not_depend_on_those_beside_them():
    x, labels, groups = make(3, per_class=400)
    model = linear.fit(x, labels, groups=groups)
    alone = np.vstack([model.decision_function(row[None]) for row in x[::100]])
    assert model.decision_function(x)[::100] == pytest.approx(alone, rel=1e-9, abs=1e-9)


def test_constant_columns_and_wild_values_do_no_harm():
    x, labels, groups = make()
    x = np.hstack([x, np.full((len(x), 1), 0.1, np.float32), np.zeros((len(x), 1), np.float32)])
    model = linear.fit(x, labels, groups=groups)
    assert (model.coef[:, -2:] == 0).all()
    assert (model.scale > 0).all()
    changed = x.copy()
    changed[:, -2:] = 7
    assert np.array_equal(model.predict_proba(changed), model.predict_proba(x))
    changed[0, 0] = 3e38
    assert np.isfinite(model.predict_proba(changed)).all()


def test_a_column_that_only_rounding_varies_does_not_spoil_the_calibration():
    x, labels, groups = make(noise=0.3)
    noisy = np.random.default_rng(3).normal(scale=1e-7, size=(len(x), 1)).astype(np.float32)
    noisy[5] = 0.1  # a million deviations of the other rows
    spoiled = linear.fit(np.hstack([x, noisy]), labels, groups=groups)
    right = spoiled.predict(np.hstack([x, np.zeros_like(noisy)])) == labels
    proba = spoiled.predict_proba(np.hstack([x, np.zeros_like(noisy)])).max(axis=1)
    assert right.mean() > 0.95
    assert np.median(proba) > 0.8


def test_columns_of_large_means_keep_their_digits():
    """A column of mean 1e6 and deviation 1 tells the classes apart; float32 has steps of 1/16 there."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 200)
    offset = np.where(labels == "a", -2.0, 2.0)
    x = np.column_stack([offset + rng.normal(size=400) * 0.5 + 1e6, rng.normal(size=400)]).astype(np.float32)
    assert (linear.fit(x, labels).predict(x) == labels).mean() > 0.98


def test_rows_that_do_not_differ_give_even_chances():
    model = linear.fit(np.ones((8, 3), np.float32), ["a", "b"] * 4)
    assert model.predict_proba(np.ones((1, 3), np.float32)) == pytest.approx(np.array([[0.5, 0.5]]), abs=0.05)


def test_round_trip_through_parts():
    x, labels, groups = make()
    model = linear.fit(x, labels, groups=groups)
    again = linear.LinearModel.from_parts(model.to_arrays(), model.to_meta())
    assert np.array_equal(again.predict_proba(x), model.predict_proba(x))


@pytest.mark.parametrize("name", ["coef", "intercept", "mean", "scale"])
def test_parts_that_do_not_fit_are_refused(name):
    x, labels, groups = make()
    model = linear.fit(x, labels, groups=groups)
    arrays = model.to_arrays()
    with pytest.raises(ValueError, match="do not fit"):
        linear.LinearModel.from_parts({**arrays, name: arrays[name][..., :2]}, model.to_meta())


def test_a_rare_class_has_probabilities_of_its_frequency_and_is_not_given_up():
    def draw(seed, n):
        rng = np.random.default_rng(seed)
        is_rare = rng.random(n) < 0.15
        x = rng.normal(size=(n, 6)) + 0.9 * is_rare[:, None] * (np.arange(6) < 2)
        return (
            x.astype(np.float32),
            np.where(is_rare, "rare", "often"),
            np.array([f"s{i % 20}" for i in range(n)]),
        )

    x, labels, groups = draw(0, 700)
    model = linear.fit(x, labels, groups=groups)
    new, truth, _ = draw(1, 2000)
    assert model.predict_proba(new)[:, 1].mean() == pytest.approx(0.15, abs=0.03)
    answers, is_rare = model.predict(new), truth == "rare"
    assert min((answers[is_rare] == "rare").mean(), (answers[~is_rare] == "often").mean()) > 0.6


def test_calibration_is_not_fooled_by_rows_that_tell_the_group():
    """Labels are random but constant in a group, and the columns name the group."""
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{i:02d}" for i in range(24)], 6)
    labels = np.repeat(np.array(["a", "b"])[np.arange(24) % 2], 6)
    x = np.repeat(rng.normal(size=(24, 12)), 6, axis=0) + 0.01 * rng.normal(size=(144, 12))
    new = rng.normal(size=(50, 12)).astype(np.float32)
    honest = linear.fit(x, labels, groups=groups).predict_proba(new).max(axis=1).mean()
    fooled = linear.fit(x, labels).predict_proba(new).max(axis=1).mean()
    assert honest < 0.65 < fooled


def test_a_class_in_one_group_alone_still_works():
    x, labels, _ = make(n_classes=3, per_class=10)
    groups = np.where(labels == "c0", "only", np.array([f"g{i % 4}" for i in range(len(labels))]))
    with pytest.warns(TrainingWarning, match=r"'c0' occurs in one group only \(only\)"):
        model = linear.fit(x, labels, groups=groups)
    assert set(model.classes_) == {"c0", "c1", "c2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, np.full(len(y), "a")), "single class"),
        (lambda x, y: (np.where(x == x[0, 0], np.nan, x), y), "not finite"),
        (lambda x, y: (x[:5], y), "do not fit"),
        (lambda x, y: (x, np.r_[["rare"], y[1:]]), "single row"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    x, labels, _ = make()
    with pytest.raises(DataError, match=message):
        linear.fit(*change(x, labels))


def test_features_that_do_not_fit_are_refused():
    x, labels, groups = make()
    model = linear.fit(x, labels, groups=groups)
    with pytest.raises(DataError, match="6 features"):
        model.predict_proba(x[:, :5])
    x[1, 2] = np.nan
    with pytest.raises(DataError, match="not finite"):
        model.predict_proba(x)


def test_centred_data_sets_give_the_weights_of_rows_without_their_offsets():
    """Shifts of whole data sets change no weight, and logits by the mean of the shifts alone."""
    x, labels, groups = make(3)
    datasets = np.tile(["a", "b"], len(x) // 2)
    shift = np.where(datasets[:, None] == "a", 5.0, -3.0) * x.std(axis=0)
    options = {"groups": groups, "penalties": [1e-3], "datasets": datasets}
    plain = linear.fit(x, labels, **options)
    shifted = linear.fit((x + shift).astype(np.float32), labels, **options)
    assert shifted.coef == pytest.approx(plain.coef, rel=2e-3, abs=1e-3 * float(np.abs(plain.coef).max()))
    assert shifted.scale == pytest.approx(plain.scale, rel=1e-4)
    new = make(3, seed=1)[0]
    moved = (new + x.std(axis=0)).astype(np.float32)  # the mean of the two shifts
    assert shifted.decision_function(moved) == pytest.approx(plain.decision_function(new), abs=0.02)


def test_data_sets_that_differ_in_their_means_alone_teach_a_centred_model_nothing():
    """Column 0 tells the data sets apart, and one data set has more of one class: a false clue."""
    rng = np.random.default_rng(0)
    datasets = np.repeat(["a", "b"], 300)
    labels = np.where(rng.random(600) < np.where(datasets == "a", 0.8, 0.2), "x", "y")
    x = rng.normal(size=(600, 2))
    x[:, 0] += np.where(datasets == "a", 10, -10)
    x[:, 1] += np.where(labels == "x", 1, -1)
    groups = np.array([f"g{i % 10}" for i in range(600)])
    plain = linear.fit(x, labels, groups=groups, penalties=[1e-3])
    centred = linear.fit(x, labels, groups=groups, penalties=[1e-3], datasets=datasets)
    clue = [np.abs(np.diff(standardized(model)[:, 0]))[0] for model in (plain, centred)]
    assert clue[0] > 0.5
    assert clue[1] < 0.15


def test_classes_that_are_not_answered_are_ruled_out():
    """The answered classes' probabilities are those of all classes, given that it is none of the others."""
    x, labels, groups = make(4)
    untested = np.isin(labels, ["c1"])
    options = {"groups": groups, "penalties": [1e-3]}
    some = linear.fit(x, labels, copies=untested, **options)
    assert some.classes_.tolist() == ["c0", "c2", "c3"]
    # The same rows and scales, of which the reference answers all classes.
    own = ~untested
    scaled = (x - x[own].mean(axis=0)) / x[own].std(axis=0)
    reference = LogisticRegression(
        C=1 / (1e-3 * x.shape[1] * len(x)), tol=1e-10, max_iter=10000, class_weight="balanced"
    ).fit(scaled, labels)
    logits = reference.decision_function(scaled)[:, [0, 2, 3]]
    found = some.decision_function(x)
    centred = [each - each.mean(axis=1, keepdims=True) for each in (found, logits)]
    assert centred[0] == pytest.approx(centred[1], abs=5e-3 * float(np.abs(logits).max()))
    assert some.predict_proba(x).sum(axis=1) == pytest.approx(1)
    assert some.priors == pytest.approx([1 / 3] * 3)


def test_some_rows_of_a_table_give_the_model_of_their_copy():
    x, labels, groups = make(3)
    first = np.random.default_rng(0).permutation(len(x))[:100]
    rows = taken(taken(x, first), np.arange(10, 100))
    numbers = first[10:]
    found = linear.fit(rows, labels[numbers], groups=groups[numbers])
    expected = linear.fit(x[numbers], labels[numbers], groups=groups[numbers])
    np.testing.assert_array_equal(found.coef, expected.coef)
    np.testing.assert_array_equal(found.predict_proba(x), expected.predict_proba(x))
