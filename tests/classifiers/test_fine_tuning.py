"""Fine-tuning of public weights: what stays as it was, and at which rates the rest is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eavctl import registry
from eavctl.classifiers import dnn
from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.classifiers.fine_tuning import FineTuning, fine_tuning
from eavctl.classifiers.network import Network
from eavctl.classifiers.training_loop import _parameter_groups, _shares

NAME, TINY = "resnet50-ca", {"size": "tiny"}
SHAPE = (1, 32, 32, 3)
SETTINGS = TrainSettings(epochs=5, lr=1e-2, ema=0.0, batch=4, validation=0.0, device="cpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    registry.get("encoders", NAME).build(SHAPE, **TINY).body.save_pretrained(tmp_path)
    return tmp_path


def body_after(weights: Path, settings: TrainSettings) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The body after training on 12 rows, and what the model tells of the training."""
    x = np.random.default_rng(0).integers(256, size=(12, *SHAPE), dtype=np.uint8)
    labels = np.where(np.arange(12) % 2, "up", "down")
    model = fit(x, labels, encoder=NAME, encoder_settings=TINY, settings=settings, weights=weights)
    encoder: Any = model.members[0][0].encoder
    return dict(encoder.body.state_dict()), model.to_meta()["training"]


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> tuple[int, int]:
    """Numbers of weights and of statistics of batch norms that differ."""
    differ = [key for key in before if "batches" not in key and not torch.equal(before[key], after[key])]
    n_statistics = sum("running" in key for key in differ)
    return len(differ) - n_statistics, n_statistics


def published(weights: Path) -> dict[str, Tensor]:
    encoder = registry.get("encoders", NAME).build(SHAPE, **TINY)
    encoder.load_weights(weights)
    return dict(encoder.body.state_dict())


def test_with_few_rows_the_body_stays_as_published(weights: Path) -> None:
    after, told = body_after(weights, SETTINGS)
    assert changed(published(weights), after) == (0, 0)
    assert told["settings"]["freeze_epochs"] == SETTINGS.epochs
    assert told["fine_tuning"]["few"] == 200


def test_with_more_rows_weights_change_and_statistics_do_not(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dnn, "fine_tuning", lambda *_, **__: FineTuning(few=12))
    after, told = body_after(weights, SETTINGS)
    n_weights, n_statistics = changed(published(weights), after)
    assert n_weights > 20
    assert n_statistics == 0
    assert told["settings"]["freeze_epochs"] == 1


def test_the_user_s_number_of_frozen_epochs_replaces_the_rule(weights: Path) -> None:
    after, told = body_after(weights, replace(SETTINGS, freeze_epochs=0))
    assert min(changed(published(weights), after)) > 20
    assert "fine_tuning" not in told


def test_the_rule_holds_for_public_weights_only() -> None:
    assert fine_tuning(SETTINGS, has_weights=False) is None
    assert fine_tuning(replace(SETTINGS, freeze_epochs=3), has_weights=True) is None
    rule = fine_tuning(SETTINGS, has_weights=True)
    assert rule is not None
    frozen = [rule.applied(SETTINGS, n_rows).freeze_epochs for n_rows in (1, 199, 200, 10_000)]
    assert frozen == [5, 5, 1, 1]


def test_the_body_has_a_share_of_the_rate_and_every_parameter_one_rate() -> None:
    network = Network(registry.get("encoders", NAME).build(SHAPE, **TINY), 2, 0.0)
    assert len(_parameter_groups(network)) == 1
    network.tune_body(0.1)
    (whole, rest), (share, body) = _shares(network)
    assert (whole, share) == (1.0, 0.1)
    assert {id(each) for each in body} == {id(each) for each in network.body.parameters()}  # type: ignore[union-attr]
    assert len(rest) + len(body) == len(list(network.parameters()))
    assert not {id(each) for each in rest} & {id(each) for each in body}
