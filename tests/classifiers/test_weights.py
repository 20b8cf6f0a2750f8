"""Weights of rows: how they are made, and that every fit goes by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.classifiers import weighting, within_class
from eavctl.classifiers.fitting import Keeping, fit_members
from eavctl.classifiers.network import Criterion, build_network
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import TrainingWarning

LABELS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3)), min_size=1, max_size=60)


@given(LABELS)
@settings(deadline=None)
def test_each_data_set_and_in_it_each_class_has_an_equal_share(rows: list[tuple[str, int]]) -> None:
    datasets, y = np.array([name for name, _ in rows]), np.array([label for _, label in rows])
    weights = weighting.of_corpora(datasets, y)
    assert weights.mean() == pytest.approx(1)
    for name in set(datasets):
        mine = datasets == name
        assert weights[mine].sum() == pytest.approx(len(y) / len(set(datasets)))
        shares = [weights[mine & (y == label)].sum() for label in set(y[mine])]
        assert shares == pytest.approx([shares[0]] * len(shares))


def test_class_weights_balance_the_weights_of_rows() -> None:
    y, weights = np.array([0, 0, 0, 2]), np.array([0.5, 0.5, 0.5, 2.5])
    found = weighting.of_classes(y, 3, weights)
    assert found[1] == 0
    assert (found[y] * weights)[:3].sum() == pytest.approx((found[y] * weights)[3])
    assert (found[y] * weights).mean() == pytest.approx(1)


def test_a_row_of_weight_two_is_two_rows_for_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, y = torch.randn(5, 3, generator=generator), torch.tensor([0, 1, 2, 1, 0])
    class_weights = torch.tensor([1.0, 0.5, 2.0])
    weighed = Criterion(class_weights, 0.1, torch.tensor([2.0, 1, 1, 1, 1]))
    again = torch.tensor([0, 0, 1, 2, 3, 4])
    torch.testing.assert_close(weighed(logits, y), Criterion(class_weights, 0.1)(logits[again], y[again]))
    some = torch.tensor([0, 3])
    expected = Criterion(class_weights, 0.1, torch.tensor([2.0, 1]))(logits[some], y[some])
    torch.testing.assert_close(weighed.taking(some)(logits[some], y[some]), expected)


def test_a_row_of_weight_two_is_two_rows_for_the_normaliser() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), np.tile([0, 1], 20)
    weights = np.where(np.arange(40) < 10, 2.0, 1.0)
    one = within_class.learn(x, y, weights / weights.mean())
    twice = np.concatenate([np.arange(10), np.arange(40)])
    other = within_class.learn(x[twice], y[twice])
    np.testing.assert_allclose(one(x), other(x), rtol=1e-5, atol=1e-6)


def test_a_network_fits_the_rows_that_weigh_most() -> None:
    """The same features have contradicting labels in two halves, of which one has all the weight."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    labels = np.where(x[:, 0] > 0, "a", "b")
    other = np.where(x[:, 0] > 0, "b", "a")
    few = TrainSettings(epochs=30, lr=0.02, validation=0.0, ema=0.0, dropout=0.0, device="cpu")
    meta = {
        "encoder": "mlp",
        "encoder_settings": {"units": 8, "dropout": 0.0},
        "shape": [4],
        "classes": ["a", "b"],
        "dropout": 0.0,
    }
    for heavy, answers in ((slice(0, 64), labels), (slice(64, 128), other)):
        weights = np.full(128, 0.02)
        weights[heavy] = 1.98
        rows = Rows.of(np.tile(x, (2, 1)), np.concatenate([labels, other]), weights=weights)
        (result,) = fit_members(lambda member: build_network(meta), rows, few, {}, Keeping())
        network = build_network(meta).eval()
        network.load_state_dict(result["weights"])
        with torch.inference_mode():
            found = network(torch.from_numpy(x)).argmax(dim=1).numpy()
        assert (np.array(["a", "b"])[found] == answers).mean() > 0.9


def rows_of(datasets: str, y: list[int]) -> Rows:
    people = np.array([f"{name}{i % 2}" for i, name in enumerate(datasets)])
    return Rows(
        np.zeros((len(y), 2), np.float32),
        np.array(y),
        ("a", "b"),
        groups=np.array(list(datasets)),
        weights=weighting.of_corpora(np.array(list(datasets)), np.array(y)),
        people=people,
    )


def test_inner_splits_keep_data_sets_whole_if_each_class_is_in_two() -> None:
    rows = rows_of("xxxxyyyyzz", [0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    assert rows.with_inner_groups().groups is rows.groups
    assert rows.speakers is rows.people  # what a network is validated on
    one = rows.taking(np.arange(4)).with_inner_groups()
    assert one.groups is not None
    assert set(one.groups) == {"x0", "x1"}
    with pytest.warns(TrainingWarning, match=r"'b' .*\(x\)"):  # class b is in x only
        lonely = rows.taking(np.array([0, 1, 2, 3, 8, 9])).with_inner_groups()
    assert lonely.groups is not None
    assert set(lonely.groups) == {"x0", "x1", "z0", "z1"}


def test_a_part_of_the_rows_has_weights_of_mean_one() -> None:
    rows = rows_of("xxxxyyyyzz", [0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    part = rows.taking(np.arange(3, 9))
    assert part.weights is not None
    assert part.weights.mean() == pytest.approx(1)
    assert rows.weights is not None
    np.testing.assert_allclose(part.weights, rows.weights[3:9] / rows.weights[3:9].mean())
