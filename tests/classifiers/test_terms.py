"""Sums over columns give the very probabilities of the classifier."""

import numpy as np
import pytest

from eavctl.classifiers import linear, svm
from eavctl.classifiers.terms import terms_of
from eavctl.evaluation.importance import draw_donors, without, without_terms


def fitted(kind, n_classes):
    rng = np.random.default_rng(n_classes)
    y = np.arange(90) % n_classes
    x = (rng.normal(size=(90, 100)) + y[:, None] * rng.normal(size=100)).astype(np.float32)
    names = np.array(["a", "b", "c"])[y]
    if kind == "svm":
        return svm.fit(x, names, c_grid=(1.0,), gamma_grid=(0.1,)), x
    return linear.fit(x, names, penalties=(1e-2,)), x


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["svm", "linear"])
def test_terms_and_their_parts_give_the_classifiers_probabilities(kind, n_classes):
    model, x = fitted(kind, n_classes)
    terms, every = terms_of(model), np.arange(100)
    np.testing.assert_allclose(terms.proba(terms.of(x, every)), model.predict_proba(x), atol=1e-9)
    some, rest = every[::3], np.setdiff1d(every, every[::3])
    own, others = terms.of(x, some), terms.of(x, rest)
    np.testing.assert_allclose(own + others, terms.of(x, every), atol=1e-8)
    donors = draw_donors(np.zeros(90), np.random.default_rng(0), 5)
    np.testing.assert_allclose(
        without_terms(terms, others, own, donors), without(model.predict_proba, x, some, donors), atol=1e-8
    )


def test_columns_without_weight_change_nothing_at_all():
    model, x = fitted("linear", 2)
    model.coef[:, 7] = 0
    terms = terms_of(model)
    own = terms.of(x, np.array([7]))
    donors = draw_donors(np.zeros(90), np.random.default_rng(0), 5)
    total = terms.of(x, np.arange(100))
    np.testing.assert_array_equal(without_terms(terms, total - own, own, donors), terms.proba(total))


def test_other_classifiers_have_none():
    assert terms_of(object()) is None
