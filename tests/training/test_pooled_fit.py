"""Early fusion that starts as the late fusion: what its parts are fitted on, and what the file keeps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import TrainingWarning
from eavctl.evaluation.plan import Plan
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign
from eavctl.fusion.pool import Pool
from eavctl.fusion.pooled import PooledFusion
from eavctl.training.cross_validation import Fit
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.pooled_fit import fit_pooled

CLASSES = ("sad", "happy", "calm")  # not in the order of the alphabet
N_PEOPLE, N_ROWS, N_COLUMNS = 6, 90, 8
QUICK = TrainSettings(epochs=3, batch=16, validation=0.34, device="cpu")
FIT = Fit("all rows", pd.DataFrame(), shares=False)
DESIGN = Design(
    "attention",
    tuple(StreamDesign(name, "linear", {}, (N_COLUMNS,)) for name in ("audio", "video")),
)


@dataclass(frozen=True)
class Spy:
    """Fits as another fitter does, and keeps the first column of the rows of each fit."""

    fitter: LinearFitter = field(default_factory=LinearFitter)
    fits: list[np.ndarray] = field(default_factory=list)
    kind = "linear"
    seed = 42

    def check(self, rows: Rows, plan: Plan) -> None:
        """Any rows will do."""

    def fit(self, rows: Rows, fit: Fit) -> Any:
        self.fits.append(rows.array[:, 0])
        return self.fitter.fit(rows, fit)


def rows_of(seed: int = 0, missing: bool = False) -> Rows:
    """Rows of two streams that show the class independently; the first column of each numbers the rows."""
    rng = np.random.default_rng(seed)
    y = np.arange(N_ROWS) % len(CLASSES)
    people = np.array([f"p{i // len(CLASSES) % N_PEOPLE}" for i in range(N_ROWS)])
    arrays = []
    for _ in range(2):
        x = rng.normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32)
        x[:, 1:4] += 1.5 * np.eye(3)[y]
        x[:, 0] = np.arange(N_ROWS)
        arrays.append(x)
    present = np.ones((N_ROWS, 2), dtype=bool)
    if missing:
        present[::5, 1] = False
    labels = np.array(CLASSES)[y]
    units = [f"c{i}" for i in range(N_ROWS)]
    return Rows.of(Streams(tuple(arrays), present), labels, people, CLASSES, units)


def fitted(
    rows: Rows, columns: dict[int, Any] | None = None, settings: TrainSettings = QUICK
) -> PooledFusion:
    columns = columns or {0: LinearFitter(), 1: LinearFitter()}
    return fit_pooled(rows, DESIGN, columns, [None, None], settings, Keeping(), FIT)


@pytest.fixture(scope="module")
def fusion() -> PooledFusion:
    return fitted(rows_of())


def test_single_models_are_the_classifiers_of_all_rows_and_classes_keep_their_order(fusion):
    rows = rows_of()
    assert fusion.classes_.tolist() == fusion.network.classes_.tolist() == list(CLASSES)
    for stream, single in enumerate(fusion.singles):
        alone = LinearFitter().fit(replace(rows, x=rows.streams.arrays[stream]), FIT)
        x = rows_of(1).streams.arrays[stream]
        assert np.array_equal(single.model.predict_proba(x), alone.predict_proba(x))


def test_the_network_knows_the_classes_by_the_same_names_as_the_single_models():
    rows, later = rows_of(), rows_of(1)
    model = fitted(rows, settings=replace(QUICK, epochs=40))
    alone = replace_pool(model, Pool(np.zeros(2), 1e6))
    right = np.array(CLASSES)[alone.predict_proba(later.streams).argmax(axis=1)] == later.labels
    assert right.mean() > 0.6  # of three classes


def replace_pool(model: PooledFusion, pool: Pool) -> PooledFusion:
    return PooledFusion(model.singles, model.network, {**model.to_meta(), "pool": pool.to_meta()})


def test_rows_are_answered_by_classifiers_that_were_not_fitted_on_their_people():
    spy, rows = Spy(), rows_of()
    fitted(rows, {0: spy, 1: LinearFitter()})
    people = [set(rows.groups[first.astype(int)]) for first in spy.fits]
    everyone = set(rows.groups)
    (whole,) = (number for number, names in enumerate(people) if names == everyone)
    assert whole == len(people) - 1  # the last: what predicts
    validation = people[-2]  # of the training people
    left_out = everyone - validation
    assert left_out
    for names in people[:-2]:  # out of fold, of the training people alone
        assert names < validation


def test_what_a_person_left_out_says_changes_no_classifier_before_the_last():
    rows = rows_of()
    spy = Spy()
    fitted(rows, {0: spy, 1: LinearFitter()})
    trained = spy.fits[-2].astype(int)
    left_out = np.setdiff1d(np.arange(N_ROWS), trained)
    arrays = [array.copy() for array in rows.streams.arrays]
    for array in arrays:
        array[left_out, 1:] = np.random.default_rng(9).normal(size=(len(left_out), N_COLUMNS - 1))
    other = Spy()
    fitted(replace(rows, x=Streams(tuple(arrays), rows.streams.present)), {0: other, 1: LinearFitter()})
    assert all(np.array_equal(a, b) for a, b in zip(spy.fits, other.fits, strict=True))


def test_without_people_to_leave_out_it_is_the_late_fusion_and_a_warning_says_so():
    rows = rows_of()
    with pytest.warns(TrainingWarning, match="late fusion"):
        model = fitted(rows, settings=replace(QUICK, validation=0))
    said = [single.said(x, CLASSES) for single, x in zip(model.singles, rows.streams.arrays, strict=True)]
    late = np.sqrt(np.exp(np.mean(np.log(said), axis=0)) * np.mean(said, axis=0)) * model.priors
    assert model.predict_proba(rows.streams) == pytest.approx(late / late.sum(axis=1, keepdims=True))


def test_weights_sum_to_one_and_a_missing_stream_has_none_and_no_effect(fusion):
    x = rows_of(2).streams.only([0])
    proba, weights = fusion.proba_and_weights(x)
    assert weights == pytest.approx(np.tile([1.0, 0.0], (N_ROWS, 1)))
    other = Streams((x.arrays[0], np.full_like(x.arrays[1], 1e6)), x.present)
    assert np.array_equal(fusion.predict_proba(other), proba)
    assert fusion.weights(rows_of(2).streams).sum(axis=1) == pytest.approx(1)


def test_rows_that_lack_a_stream_are_trained_on():
    model = fitted(rows_of(missing=True))
    assert np.isfinite(model.predict_proba(rows_of(3, missing=True).streams)).all()


def test_it_is_rebuilt_from_its_parts_and_damaged_parts_are_refused(fusion):
    state, meta = fusion.state_dict(), fusion.to_meta()
    again = PooledFusion.from_parts(state, meta)
    x = rows_of(4).streams
    assert isinstance(again, PooledFusion)
    assert np.array_equal(again.predict_proba(x), fusion.predict_proba(x))
    with pytest.raises((KeyError, ValueError, RuntimeError, TypeError)):
        PooledFusion.from_parts({k: v for k, v in state.items() if not k.startswith("0.")}, meta)
    with pytest.raises((KeyError, ValueError)):
        PooledFusion.from_parts(state, {**meta, "pool": {**meta["pool"], "network": -1}})
    network = fusion.network
    assert isinstance(PooledFusion.from_parts(network.state_dict(), network.to_meta()), FusionModel)


def test_equal_seeds_give_equal_bytes(fusion):
    again = fitted(rows_of())
    assert again.to_meta() == fusion.to_meta()
    pairs = zip(again.state_dict().items(), fusion.state_dict().items(), strict=True)
    assert all(a == b and np.array_equal(x.numpy(), y.numpy()) for (a, x), (b, y) in pairs)
