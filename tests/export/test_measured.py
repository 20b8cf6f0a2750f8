"""Variants side by side: what is measured, and when a variant is declined."""

import numpy as np
import pandas as pd
import pytest
from small_graphs import CLASSES, about, convolutional, perceptron, recurrent, volts

from eavctl.classifiers.onnx_model import OnnxModel
from eavctl.errors import DataError
from eavctl.export.alone import Alone, measure_alone
from eavctl.export.measured import Change, Cost, Measured, Variant, changed, measure, objections
from eavctl.export.precision import Exported, Wanted, convert
from eavctl.storage import artifacts, onnx_files
from eavctl.storage.tables import key_frame


class Fixed:
    """A predictor whose decisions are the likeliest classes."""

    classes_ = np.array(CLASSES)

    def decide(self, proba):
        return proba.argmax(axis=1)


def sure(answers):
    return np.eye(len(CLASSES))[answers] * 0.7 + 0.1


def keys_of(labels, n_subjects):
    n = len(labels)
    rows = {"sample_id": [f"s{i:04}" for i in range(n)], "label": labels, "dataset": "d"}
    return key_frame(
        pd.DataFrame(
            {**rows, "clip_id": rows["sample_id"], "subject": [f"p{i % n_subjects}" for i in range(n)]}
        )
    )


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).integers(3, size=400)


@pytest.fixture(scope="module")
def keys(truth):
    return keys_of([CLASSES[i] for i in truth], 20)


def measured(change=None, **cost):
    known = {"n_bytes": 100, "load_s": 1.0, "p50_s": 0.1, "p95_s": 0.2, "rows_per_s": 9.0, "peak_mb": 50.0}
    return Measured("m", Cost(**{**known, **cost}), change or Change(400, 0.01, 0))


ORIGINAL = measured()
BETTER = {"n_bytes": 30, "p50_s": 0.05}


def test_a_smaller_and_faster_variant_with_equal_decisions_is_taken():
    assert objections(ORIGINAL, measured(**BETTER)) == []


@pytest.mark.parametrize("cost", [{"n_bytes": 100}, {"p50_s": 0.1}, {"p50_s": 0.099}])
def test_a_variant_that_is_not_smaller_and_faster_is_declined(cost):
    assert len(objections(ORIGINAL, measured(**{**BETTER, **cost}))) == 1


def test_what_is_meant_for_other_processors_need_not_be_faster_here():
    slower = measured(**{**BETTER, "p50_s": 1.0})
    assert objections(ORIGINAL, slower, elsewhere=True) == []
    assert len(objections(ORIGINAL, measured(Change(400, 0.3, 9), n_bytes=30), elsewhere=True)) == 1


def test_without_labels_changed_decisions_decline():
    assert objections(ORIGINAL, measured(Change(400, 0.3, 8), **BETTER)) == []
    assert len(objections(ORIGINAL, measured(Change(400, 0.3, 9), **BETTER))) == 1


def test_a_score_that_surely_falls_declines(truth, keys):
    """One wrong answer more of every person is a small loss, and a sure one."""
    worse = truth.copy()
    worse[:20] = (worse[:20] + 1) % 3
    fallen = changed(Fixed(), sure(truth), sure(worse), keys)
    assert fallen.decisions == 20
    assert fallen.difference["worse"]
    assert fallen.original_uar["value"] == 1.0
    assert len(objections(ORIGINAL, measured(fallen, **BETTER))) == 1


def test_a_large_loss_declines_although_its_interval_is_wide(truth, keys):
    worse = truth.copy()
    person = np.flatnonzero(np.arange(len(truth)) % 20 == 0)
    worse[person] = (worse[person] + 1) % 3
    fallen = changed(Fixed(), sure(truth), sure(worse), keys)
    assert not fallen.difference["worse"]
    assert len(objections(ORIGINAL, measured(fallen, **BETTER))) == 1


def test_changed_decisions_that_lose_nothing_are_taken(truth, keys):
    """As many rows become right as wrong."""
    before, after = truth.copy(), truth.copy()
    before[:40] = (before[:40] + 1) % 3
    after[40:80] = (after[40:80] + 1) % 3
    found = changed(Fixed(), sure(before), sure(after), keys)
    assert found.decisions == 80
    assert objections(ORIGINAL, measured(found, **BETTER)) == []


def test_rows_without_labels_have_no_score(truth):
    found = changed(Fixed(), sure(truth), sure(truth), keys_of([None] * len(truth), 20))
    assert (found.uar, found.difference, found.decisions, found.largest) == (None, None, 0, 0.0)


def test_rows_without_a_label_are_not_scored(truth, keys):
    labels = keys["label"].where(np.arange(len(truth)) % 2 == 0, None)
    wrong = np.where(np.arange(len(truth)) % 2 == 0, truth, (truth + 1) % 3)
    found = changed(Fixed(), sure(truth), sure(wrong), keys.assign(label=labels))
    assert found.decisions == len(truth) // 2
    assert found.uar["value"] == found.original_uar["value"] == 1.0


@pytest.fixture
def exported(model_meta):
    return Exported(perceptron(), about(model_meta, [24]), volts())


def test_files_are_measured_in_processes_of_their_own(exported, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(exported.content(exported.proto, exported.about))
    variants = [Variant(name, path, artifacts.load(path).predictor) for name in ("one", "other")]
    one, other = measure(variants, exported.x, None)
    assert one.cost.n_bytes == path.stat().st_size
    assert min(one.cost.load_s, one.cost.p50_s, one.cost.rows_per_s) > 0
    assert one.cost.p50_s <= one.cost.p95_s
    assert 20 < one.cost.peak_mb < 1000
    assert other.change == Change(len(exported.x), 0.0, 0)


def test_a_process_that_fails_is_an_error(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(DataError, match="ended with"):
        measure_alone(tmp_path / "m.onnx", np.zeros((1, 3), np.float32))


@pytest.fixture
def quick(monkeypatch):
    """Costs are hardly measured."""
    monkeypatch.setattr("eavctl.export.measured.LATENCY_BUDGET_S", 0.1)
    monkeypatch.setattr("eavctl.export.measured.measure_alone", lambda path, x: Alone(1.0, 50.0))


def test_int8_keeps_the_contract_of_the_file(exported, tmp_path, quick):
    found = convert(exported, Wanted("int8"))
    path = tmp_path / "m.onnx"
    path.write_bytes(found.content)
    meta = onnx_files.read(path).meta
    assert meta["export"]["precision"] == "int8"
    assert meta["export"]["change"]["n_rows"] == len(exported.x)
    assert {key: meta[key] for key in exported.meta if key != "export"} == {
        key: value for key, value in exported.meta.items() if key != "export"
    }
    assert len(found.content) < 0.5 * found.measured[0].cost.n_bytes
    proba = artifacts.load(path).predict_proba(exported.x)
    assert np.abs(proba - artifacts.load(path).predict_proba(exported.x)).max() == 0
    assert convert(exported, Wanted("int8")).content == found.content


@pytest.mark.parametrize("faster", [0.0, 1e9])
def test_depthwise_convolutions_stay_float32_where_int8_loses_whatever_the_time(
    model_meta, monkeypatch, quick, faster
):
    monkeypatch.setattr("eavctl.export.measured.FASTER", faster)
    x = np.random.default_rng(0).normal(size=(64, 4, 50)).astype(np.float32)
    proto, meta = convolutional(spread=1e5), about(model_meta, [4, 50])
    proba = OnnxModel.from_bytes(onnx_files.serialise(proto, meta), meta).predict_proba(x)
    meta["model"]["priors"] = proba.mean(axis=0).tolist()  # decisions are divided among the classes
    found = convert(Exported(proto, meta, x), Wanted("int8", x))
    assert "float32" in found.about["way"]
    assert found.measured[1].change.decisions < 10


def test_equal_exports_are_converted_in_the_same_way_whatever_the_time(model_meta, monkeypatch, quick):
    x = np.random.default_rng(0).normal(size=(64, 4, 50)).astype(np.float32)
    exported = Exported(convolutional(), about(model_meta, [4, 50]), x)
    found = []
    for faster in (0.0, 1e9):
        monkeypatch.setattr("eavctl.export.measured.FASTER", faster)
        found.append(convert(exported, Wanted("int8", x)))
    assert found[0].content == found[1].content
    assert len(found[0].reasons) == len(found[1].reasons) + 1


def test_half_is_written_and_measured(model_meta, quick):
    x = np.random.default_rng(0).normal(size=(64, 20, 12)).astype(np.float32)
    found = convert(Exported(recurrent(), about(model_meta, [20, 12]), x), Wanted("float16"))
    assert found.about["precision"] == "float16"
    assert found.measured[1].change.largest < 0.01
