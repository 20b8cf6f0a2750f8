"""The span of epochs, as recipes, tables and models keep it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from eavctl.errors import DataError, SignalError, UsageError
from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import Recipe
from eavctl.storage.metadata import FeatureMeta

CHANNELS = ("C3", "C4")


def recording(seconds: float, sfreq: float = 200.0) -> Signal:
    noise = np.random.default_rng(0).normal(scale=20.0, size=(2, round(seconds * sfreq)))
    return Signal(noise, sfreq, CHANNELS)


def rows_of(recipe: Recipe, seconds: float, *span: float) -> list[Any]:
    with recipe.open(recording(seconds)) as stretch_of:
        return recipe.describe(stretch_of(), *span)


def meta_of(recipe: Recipe) -> dict[str, Any]:
    return {**recipe.meta(), "shape": [1], "columns": None}


def test_the_metadata_bring_the_recipe_back() -> None:
    recipe = Recipe("eeg-bands", {"baseline": [-0.2, 0]}, epoch=(-0.2, 0.8))
    assert Recipe.from_meta(FeatureMeta.from_json(meta_of(recipe), "x")) == recipe
    assert recipe.meta()["epoch"] == [-0.2, 0.8]
    assert recipe.cutting.row_s == 1.0


def test_rows_that_are_no_epochs_say_nothing_of_them() -> None:
    assert "epoch" not in Recipe("eeg-bands").meta()
    assert Recipe("eeg-bands").cutting.row_s is None
    assert Recipe("eeg-bands", segment=2.0, epoch=(0, 4)).cutting.row_s == 2.0


def test_a_span_is_no_part_of_what_features_are() -> None:
    """As the length of segments: a model of columns takes rows of other lengths, and says so."""
    assert Recipe("eeg-bands", epoch=(0, 4)).identity() == Recipe("eeg-bands", epoch=(1, 3)).identity()


@pytest.mark.parametrize(
    "epoch", [(1, 0), (1, 1), (0, math.nan), (0, math.inf), (0,), (0, 1, 2), "0", ("a", 1)]
)
def test_a_span_that_is_none_is_refused(epoch: Any) -> None:
    with pytest.raises(UsageError):
        Recipe("eeg-bands", epoch=epoch)
    if isinstance(epoch, str):
        return
    meta = {**meta_of(Recipe("eeg-bands", epoch=(0, 4))), "epoch": list(epoch)}
    with pytest.raises(DataError):  # a file's fault
        Recipe.from_meta(FeatureMeta.from_json(meta, "x"))


def test_a_continuous_recording_is_no_epoch_and_the_error_says_what_to_do() -> None:
    recipe = Recipe("eeg-bands", epoch=(-0.5, 3.5))
    with pytest.raises(
        SignalError, match=r"lasts 20\.00 s.*-0\.5 to 3\.5 s.*--events.*--segment 4"
    ) as caught:
        rows_of(recipe, 20.0)
    assert "\n" not in str(caught.value)
    assert len(rows_of(recipe, 20.0, 3.0, 7.0)) == 1  # a manifest says which part is one
    assert len(rows_of(recipe, 4.02)) == 1  # a recording that is one
    assert len(rows_of(Recipe("eeg-bands", segment=4.0, epoch=(-0.5, 3.5)), 20.0)) == 5


def test_a_segment_has_the_baseline_of_an_epoch() -> None:
    """The first fifth of each, where epochs begin 0.2 s before their events."""
    recipe = Recipe("eeg-epochs", {"baseline": [-0.2, 0], "rate": 200}, segment=1.0, epoch=(-0.2, 0.8))
    rows = rows_of(recipe, 5.0)
    assert len(rows) == 5
    for row in rows:
        assert row.x[:, :41].mean(axis=1) == pytest.approx([0.0, 0.0], abs=1e-4)


def test_the_rows_that_are_rejected_have_the_reason_and_the_others_stay() -> None:
    plain = Recipe("eeg-epochs", {"rate": 200}, segment=1.0)
    spans = [float(np.ptp(row.x, axis=1).max()) for row in rows_of(plain, 20.0)]
    limit = float(np.median(spans))
    rows = rows_of(Recipe("eeg-epochs", {"rate": 200, "reject": limit}, segment=1.0), 20.0)
    assert [row.x is None for row in rows] == [span > limit for span in spans]
    assert all(("microvolt" in row.reason) == (row.x is None) for row in rows)


@pytest.mark.parametrize("features", ["eeg-cov", "eeg-bands"])
@pytest.mark.parametrize("cutting", [{"segment": 0.5}, {"epoch": (-0.2, 0.7)}])
def test_rows_that_are_too_short_for_the_features_are_refused_before_a_recording_is_opened(features, cutting):
    with pytest.raises(UsageError, match="too short"):
        Recipe(features, **cutting)
    Recipe("eeg-epochs", **cutting)
