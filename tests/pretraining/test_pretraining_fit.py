"""The core of pretraining, by a tiny method: the same weights whole or resumed, and what the loop calls."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from eavctl import registry
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError, TrainingWarning
from eavctl.pretraining.encoder_model import StreamEncoder
from eavctl.pretraining.fit import Design, fit, train_settings

pytestmark = pytest.mark.usefixtures("tiny_methods")
N, D = 48, 6
LABELS = np.arange(N) % 3


def rows(seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    x = (5 + 2 * rng.normal(size=(N, D)) + 4 * np.eye(D)[LABELS]).astype(np.float32)
    return Rows.of(x, None, units=np.arange(N).astype(str))


def design(method: str = "tiny", *, trains: bool = True, **training) -> Design:
    encoder = StreamEncoder("", "mlp", {"units": 16, "dropout": 0.1}, (D,))
    return Design(method, {}, (encoder,), train_settings(method, device="cpu", **training), trains)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    first, again, other = (fit(rows(), design(seed=seed)) for seed in (1, 1, 2))
    assert same(first.state(), again.state())
    assert not same(first.state(), other.state())
    assert first.facts == again.facts


def test_it_leaves_torchs_generator_as_it_was():
    before = torch.get_rng_state()
    fit(rows(), design(epochs=1))
    fit(rows(), design(trains=False))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_killed_pretraining_resumes_to_the_same_weights(tmp_path):
    def kill(epoch):
        if epoch.epoch == 6:
            raise KeyboardInterrupt

    plan, whole = design(epochs=8), fit(rows(), design(epochs=8))
    with pytest.raises(KeyboardInterrupt):
        fit(rows(), plan, keeping=Keeping(tmp_path / "state", on_epoch=kill))
    epochs = []
    keeping = Keeping(tmp_path / "state", on_epoch=lambda epoch: epochs.append(epoch.epoch))
    resumed = fit(rows(), plan, keeping=keeping)
    assert epochs == [6, 7, 8]
    assert same(resumed.state(), whole.state())
    assert resumed.facts == whole.facts
    assert fit(rows(), plan, keeping=keeping).facts == whole.facts  # of the finished one in the checkpoint
    assert epochs == [6, 7, 8]


def test_the_last_epoch_is_kept_and_each_is_reported_without_a_warning():
    epochs = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(rows(), design(epochs=5), labels=LABELS, keeping=Keeping(on_epoch=epochs.append))
    assert [each.epoch for each in epochs] == [1, 2, 3, 4, 5]
    assert all(each.monitored.keys() == {"spread", "rank", "kNN"} for each in epochs)
    assert model.facts["epochs"] == 5
    assert model.facts["loss"] == pytest.approx(epochs[-1].loss)
    assert epochs[-1].loss < epochs[0].loss
    last = epochs[-1].monitored  # of all rows, since there are few
    assert model.facts["spread"] / model.facts["spread_of_chance"] == pytest.approx(last["spread"], rel=1e-5)
    assert model.facts["effective_rank"] == pytest.approx(last["rank"], rel=1e-5)
    assert model.facts["knn"] == pytest.approx(last["kNN"])
    assert model.facts["collapsed"] is False


def test_labels_change_the_knn_score_alone():
    with_labels, without = fit(rows(), design(), labels=LABELS), fit(rows(), design())
    assert same(with_labels.state(), without.state())
    assert {**with_labels.facts, "knn": None} == without.facts
    assert with_labels.facts["knn"] > 0.5


def test_random_weights_are_those_that_the_training_starts_from():
    untrained = fit(rows(), design(seed=7, trains=False))
    assert (untrained.facts["epochs"], untrained.facts["settings"]["epochs"]) == (0, 0)
    assert untrained.facts["loss"] is None
    barely = fit(rows(), design(seed=7, epochs=1, lr=1e-30, weight_decay=0)).state()
    for name, value in untrained.state().items():
        if "running" not in name and "batches" not in name:  # of the batch norm
            torch.testing.assert_close(value, barely[name], msg=name)


def test_the_input_statistics_are_those_of_all_rows_and_random_encoders_have_them_too():
    x = rows().array
    model = fit(rows(), design(seed=3, epochs=2))
    assert model.design().statistics == ("mean", "std")
    assert np.allclose(model.state()["mean"], x.mean(axis=0), atol=1e-5)
    fresh, again, other = (model.random(seed).state_dict() for seed in (3, 3, 4))
    assert same(fresh, again)
    assert not same(fresh, other)
    for name in ("mean", "std"):
        assert torch.equal(other[name], model.state()[name])
    assert same(fresh, fit(rows(), design(seed=3, trains=False)).state())


def test_a_collapse_is_a_warning_at_its_first_epoch_and_in_the_facts():
    with pytest.warns(TrainingWarning, match="collapsed") as caught:
        model = fit(rows(), design("tiny-collapse", epochs=3))
    assert len([each for each in caught if "collapsed" in str(each.message)]) == 1
    assert model.facts["collapsed"] is True
    assert model.facts["spread"] < 0.01 * model.facts["spread_of_chance"]


def test_the_loop_tells_the_progress_and_keeps_constant_rates(monkeypatch):
    seen, rates = [], []
    step = torch.optim.AdamW.step

    def spied(optimizer, *args, **options):
        rates.append([group["lr"] for group in optimizer.param_groups])
        return step(optimizer, *args, **options)

    tiny = registry.get("pretraining methods", "tiny").thing
    monkeypatch.setattr(tiny, "before_step", lambda method, progress: seen.append(progress))
    monkeypatch.setattr(torch.optim.AdamW, "step", spied)
    fit(rows(), design(epochs=4, lr=1e-2))
    n_steps = 4 * math.ceil(N / 16)
    assert seen == pytest.approx([i / n_steps for i in range(n_steps)])
    assert all(constant == 1e-2 for _, constant in rates)
    assert rates[-1][0] < 1e-3 < rates[2][0]


def test_views_are_made_by_the_given_augmentations():
    calls = []

    class Noise:
        def __call__(self, x, generator):
            calls.append(len(x))
            return x + torch.randn(x.shape, generator=generator)

        def describe(self):
            return ["noise"]

    model = fit(rows(), replace(design(epochs=1), make_view=Noise()))
    assert sum(calls) == 2 * N
    assert model.facts["augment"] == ["noise"]
    assert not same(model.state(), fit(rows(), design(epochs=1)).state())


def test_too_few_rows_and_weights_that_are_not_finite_are_errors(monkeypatch):
    with pytest.raises(DataError, match="too few"):
        fit(rows().taking(np.arange(5)), design())
    tiny = registry.get("pretraining methods", "tiny").thing
    loss = tiny.loss
    monkeypatch.setattr(tiny, "loss", lambda method, views: loss(method, views) * math.inf)
    with pytest.raises(DataError, match="--lr"):
        fit(rows(), design())
