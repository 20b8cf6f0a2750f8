"""The support vector machine: equal to scikit-learn's, and blind to what it must not see."""

import itertools

import numpy as np
import pytest
from scipy import linalg
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from eavctl.classifiers import svm, within_class
from eavctl.classifiers.calibration import fit_calibration
from eavctl.classifiers.inner_folds import InnerRows
from eavctl.errors import DataError, TrainingWarning
from eavctl.evaluation.metrics import classwise_calibration_error


def make(n_classes=4, per_class=30, n_columns=6, n_groups=6, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([f"c{i}" for i in range(n_classes)], per_class)
    centres = rng.normal(scale=2, size=(n_classes, n_columns))
    x = np.repeat(centres, per_class, axis=0) + rng.normal(scale=noise, size=(len(labels), n_columns))
    groups = np.array([f"g{i % n_groups}" for i in range(len(labels))])
    return x.astype(np.float32), labels, groups


class SoftVoting(SVC):
    """Each pair of classes votes the tanh of its decision."""

    def decision_function(self, rows):
        pairs = np.tanh(super().decision_function(rows))
        n = len(self.classes_)
        if n == 2:
            return pairs
        signs = np.zeros((n * (n - 1) // 2, n))
        for row, (i, j) in zip(signs, itertools.combinations(range(n), 2), strict=True):
            row[i], row[j] = 1, -1
        return pairs @ signs


def _wide(decisions):
    """Of two classes scikit-learn gives the second's decisions alone."""
    return decisions if decisions.ndim == 2 else np.column_stack([-decisions, decisions])


class WithinClass(BaseEstimator, TransformerMixin):
    """(I + W / a) ** -1/2 as a whole matrix, then total variance 1."""

    def fit(self, x, y):
        within = x - np.stack([x[y == name].mean(axis=0) for name in y])
        covariance = within.T @ within / len(x)
        mean_variance = np.trace(covariance) / len(covariance)
        whitening = np.eye(len(covariance)) + covariance / (3 * mean_variance)
        self.matrix_ = linalg.fractional_matrix_power(whitening, -0.5)
        self.matrix_ /= np.sqrt((x @ self.matrix_).var(axis=0).sum())
        return self

    def transform(self, x):
        return x @ self.matrix_


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_agrees_with_a_scikit_learn_pipeline(n_classes):
    """Written anew: whole matrices, fitted by scikit-learn in every fold; to libsvm's tolerance."""
    x, y, groups = make(n_classes, noise=2.5)
    model = svm.fit(x, y, groups=groups)
    machine = SoftVoting(
        C=model.chosen["C"],
        gamma=model.chosen["gamma_times_variance"],
        class_weight="balanced",
        decision_function_shape="ovo",
    )
    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(np.arcsinh), WithinClass(), machine)
    numbers = np.unique(y, return_inverse=True)[1]
    folds = InnerRows(numbers, model.classes_.tolist(), groups).folds(42)
    votes = _wide(cross_val_predict(pipeline, x.astype(float), y, cv=folds, method="decision_function"))
    calibration = fit_calibration(votes, numbers, np.bincount(numbers))
    assert (model.beta, *model.bias) == pytest.approx(
        (calibration.scale, *calibration.bias), rel=0.02, abs=5e-3
    )
    reference = pipeline.fit(x.astype(float), y)
    new = make(n_classes, seed=1)[0].astype(float)
    expected = calibration(_wide(reference.decision_function(new)))
    assert model.predict_proba(new) == pytest.approx(expected, abs=5e-3)
    # classes are equally frequent, and whole votes seldom differ from soft ones
    assert (model.predict(new) == reference.predict(new)).mean() > 0.85
    assert (model.classes_ == reference.classes_).all()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_shared_kernels_change_neither_the_choice_nor_the_probabilities(n_classes):
    """A plain search: scikit-learn computes the kernel of every choice anew, from normalised rows."""
    x, labels, groups = make(n_classes, n_columns=40, noise=6)
    model = svm.fit(x, labels, groups=groups)
    y = np.unique(labels, return_inverse=True)[1]
    folds = InnerRows(y, model.classes_.tolist(), groups).folds(42)

    def machine(rows, y, c, gamma):
        gamma /= rows.var(axis=0).sum()
        return SoftVoting(C=c, gamma=gamma, class_weight="balanced", decision_function_shape="ovo").fit(
            rows, y
        )

    def out_of_fold(c, gamma):
        votes = np.empty((len(y), n_classes))
        for train, test in folds:
            normalizer = within_class.learn(x[train], y[train])
            fitted = machine(normalizer(x[train]), y[train], c, gamma)
            votes[test] = _wide(fitted.decision_function(normalizer(x[test])))
        recall = [balanced_accuracy_score(y[test], votes[test].argmax(axis=1)) for _, test in folds]
        return round(np.mean(recall), 6), -c, -gamma, votes

    tried = [out_of_fold(c, gamma) for c in svm.C_GRID for gamma in svm.GAMMA_GRID]
    assert [each["uar"] for each in model.chosen["inner_uar"]] == pytest.approx(
        [each[0] for each in tried], abs=1e-6
    )
    _, c, gamma, votes = max(tried, key=lambda each: each[:3])
    assert (model.chosen["C"], model.chosen["gamma_times_variance"]) == (-c, -gamma)
    calibration = fit_calibration(votes, y, np.bincount(y))
    normalizer = within_class.learn(x, y)
    final = machine(normalizer(x), y, -c, -gamma)
    new = make(n_classes, n_columns=40, noise=6, seed=1)[0]
    expected = calibration(_wide(final.decision_function(normalizer(new))))
    assert model.predict_proba(new) == pytest.approx(expected, abs=1e-7)


def test_predictions_are_those_of_the_machine_that_was_fitted():
    """The very numbers of libsvm's pairwise decisions, from arrays alone."""
    x, y, groups = make(5)
    model = svm.fit(x, y, groups=groups)
    rows = model.normalizer(x)
    machine = SVC(
        C=model.chosen["C"], gamma=model.gamma, class_weight="balanced", decision_function_shape="ovo"
    ).fit(rows, y)
    new = make(5, seed=1)[0]
    expected = svm.soft_votes(machine.decision_function(model.normalizer(new)), 5)
    assert model.decision_function(new) == pytest.approx(expected, abs=1e-9)


def test_what_varies_most_within_classes_weighs_least():
    """Ten copies of a nuisance that swings in every class are shortened, the column that tells is kept."""
    rng = np.random.default_rng(0)
    y = np.tile(["a", "b"], 100)
    nuisance = rng.normal(size=200)
    x = np.column_stack(
        [nuisance + 0.1 * rng.normal(size=200) for _ in range(10)] + [np.where(y == "a", -1.0, 1.0)]
    )
    rows = within_class.learn(x, y)(x)
    assert rows[:, :10].var() < 0.4 * np.arcsinh((x / x.std(axis=0))[:, :10]).var()
    assert rows[:, 10].std() == pytest.approx(np.arcsinh(1), rel=0.02)


@pytest.mark.parametrize("shape", [(40, 200), (200, 40)])
def test_directions_are_orthonormal_for_wide_and_tall_tables(shape):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape), np.tile(["a", "b"], shape[0] // 2)
    normalizer = within_class.learn(x, y)
    gram = normalizer.directions.astype(float) @ normalizer.directions.T
    assert gram == pytest.approx(np.eye(len(gram)), abs=1e-5)
    assert np.all((normalizer.shortening > 0) & (normalizer.shortening < 1))


def test_wild_values_and_constant_columns_do_no_harm():
    x, y, groups = make()
    x = np.hstack([x, np.ones((len(x), 1), np.float32)])
    model = svm.fit(x, y, groups=groups)
    x[:, -1] += 1e-3
    x[0, 0] = 1e9
    proba = model.predict_proba(x)
    assert np.isfinite(proba).all()
    assert (model.classes_[proba.argmax(axis=1)] == y)[1:].mean() > 0.8


def test_sure_answers_are_right_more_often():
    x, y, groups = make(n_classes=8, per_class=60, noise=2.5)
    model = svm.fit(x[::2], y[::2], groups=groups[::2])
    proba = model.predict_proba(x[1::2])
    right = model.classes_[proba.argmax(axis=1)] == y[1::2]
    sure = proba.max(axis=1) > np.median(proba.max(axis=1))
    assert right[sure].mean() > right[~sure].mean() + 0.15
    assert proba.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.08)


def test_rows_that_do_not_differ_give_even_chances():
    model = svm.fit(np.ones((8, 3), np.float32), ["a", "b"] * 4)
    assert model.predict_proba(np.ones((1, 3), np.float32)) == pytest.approx(np.array([[0.5, 0.5]]), abs=0.05)


def test_round_trip_through_parts():
    x, y, groups = make()
    model = svm.fit(x, y, groups=groups)
    again = svm.SvmModel.from_parts(model.to_arrays(), model.to_meta())
    assert np.array_equal(again.predict_proba(x), model.predict_proba(x))


def test_parts_that_do_not_fit_are_refused():
    x, y, groups = make()
    model = svm.fit(x, y, groups=groups)
    with pytest.raises(ValueError, match="do not fit"):
        svm.SvmModel.from_parts({**model.to_arrays(), "dual": np.zeros((1, 1))}, model.to_meta())
    with pytest.raises(ValueError, match="do not fit"):
        svm.SvmModel.from_parts({**model.to_arrays(), "shortening": np.zeros(1)}, model.to_meta())


def test_same_seed_same_model():
    x, y, groups = make()
    one, other = (svm.fit(x, y, groups=groups, jobs=jobs) for jobs in (1, 2))
    for name, array in one.to_arrays().items():
        assert np.array_equal(array, other.to_arrays()[name])
    assert one.to_meta() == other.to_meta()


def test_calibration_is_not_fooled_by_rows_that_tell_the_group():
    """Labels are random but constant in a group, and a column names the group: an inner cut through groups
    would find all rows easy, and answer surely; one that keeps groups whole finds that nothing is known."""
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{i:02d}" for i in range(24)], 6)
    labels = np.repeat(np.array(["a", "b"])[np.arange(24) % 2], 6)
    x = np.repeat(rng.normal(size=(24, 12)), 6, axis=0) + 0.01 * rng.normal(size=(144, 12))
    new = rng.normal(size=(50, 12)).astype(np.float32)
    honest = svm.fit(x, labels, groups=groups).predict_proba(new).max(axis=1).mean()
    fooled = svm.fit(x, labels).predict_proba(new).max(axis=1).mean()
    assert honest < 0.65 < fooled


def test_a_rare_class_is_not_given_up():
    x, y, groups = make(n_classes=2, per_class=60, noise=2.0)
    keep = np.r_[0:60, 60:70]
    model = svm.fit(x[keep], y[keep], groups=groups[keep])
    assert (model.predict(x[60:]) == "c1").mean() > 0.5


def unequal(seed, n=700):
    """Rows of two classes that overlap, one of 15 %, by twenty people."""
    rng = np.random.default_rng(seed)
    is_rare = rng.random(n) < 0.15
    x = rng.normal(size=(n, 6)) + 0.9 * is_rare[:, None] * (np.arange(6) < 2)
    return (
        x.astype(np.float32),
        np.where(is_rare, "rare", "often"),
        np.array([f"s{i % 20}" for i in range(n)]),
    )


def test_a_rare_class_has_probabilities_of_its_frequency_and_is_not_given_up():
    x, labels, groups = unequal(0)
    model = svm.fit(x, labels, groups=groups)
    new, truth, _ = unequal(1, 2000)
    proba, is_rare = model.predict_proba(new), truth == "rare"
    assert proba[:, 1].mean() == pytest.approx(0.15, abs=0.03)
    assert classwise_calibration_error(is_rare.astype(int), proba) < 0.05
    answers = model.predict(new)
    assert min((answers[is_rare] == "rare").mean(), (answers[~is_rare] == "often").mean()) > 0.6
    assert (proba[is_rare].argmax(axis=1) == 1).mean() < 0.4  # the likeliest class would give it up


def test_files_of_older_versions_answer_as_they_did():
    """They have neither biases nor priors: the softmax of beta times the votes, and its likeliest class."""
    x, labels, groups = unequal(0, 200)
    model = svm.fit(x, labels, groups=groups)
    meta = {key: value for key, value in model.to_meta().items() if key not in ("bias", "priors")}
    old = svm.SvmModel.from_parts(model.to_arrays(), meta)
    powers = np.exp(model.beta * model.decision_function(x))
    proba = powers / powers.sum(axis=1, keepdims=True)
    assert old.predict_proba(x) == pytest.approx(proba)
    assert (old.predict(x) == old.classes_[proba.argmax(axis=1)]).all()


def test_rows_that_are_not_finite_have_no_probabilities():
    x, y, groups = make()
    model = svm.fit(x, y, groups=groups)
    x[1, 2] = np.nan
    with pytest.raises(DataError, match="not finite"):
        model.predict_proba(x)


@pytest.mark.parametrize(("rows", "groups"), [(2, None), (2, ["g1", "g2"] * 2), (3, ["g1"] * 6)])
@pytest.mark.filterwarnings("ignore::eavctl.errors.TrainingWarning")
def test_few_rows_a_class_still_work(rows, groups):
    x, y, _ = make(n_classes=2, per_class=rows, noise=0.1)
    assert (svm.fit(x, y, groups=groups).predict(x) == y).all()


def test_a_class_in_one_group_alone_still_works():
    x, y, _ = make(n_classes=3, per_class=10)
    groups = np.where(y == "c0", "only", np.array([f"g{i % 4}" for i in range(len(y))]))
    with pytest.warns(
        TrainingWarning, match=r"settings and calibration.*'c0' occurs in one group only \(only\)"
    ):
        model = svm.fit(x, y, groups=groups)
    assert set(model.classes_) == {"c0", "c1", "c2"}


def test_probabilities_sum_to_one_far_from_everything():
    x, y, groups = make()
    proba = svm.fit(x, y, groups=groups).predict_proba(np.full((1, 6), 1e6, np.float32))
    assert proba.sum() == pytest.approx(1)
    assert np.isfinite(proba).all()


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
    x, y, _ = make()
    with pytest.raises(DataError, match=message):
        svm.fit(*change(x, y))


def test_a_table_of_other_columns_is_refused():
    x, y, groups = make()
    with pytest.raises(DataError, match="6 features"):
        svm.fit(x, y, groups=groups).predict_proba(x[:, :5])
