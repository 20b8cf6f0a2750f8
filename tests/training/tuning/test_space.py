"""Ranges of settings as texts."""

import pytest

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import UsageError
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.tuning.method import linear_method, svm_method
from eavctl.training.tuning.networks import dnn_method
from eavctl.training.tuning.ranges import Choice, Fixed, Real, Whole
from eavctl.training.tuning.space import edge_of, searched


def of(method, *texts):
    return searched(method.space, texts, method.settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=log:1e-5..1e-3", Real(1e-5, 1e-3, log=True)),
        ("lr=.001...01", Real(0.001, 0.01)),
        ("dropout=0.1..0.5", Real(0.1, 0.5)),
        ("dropout = 0..0.9", Real(0, 0.9)),
        ("lstm_units=8..64", Whole(8, 64)),
        ("lstm_units=log:8..64", Whole(8, 64, log=True)),
        ("batch=8,16,32", Choice((8, 16, 32))),
        ("epochs=10", Fixed(10)),
        ("channels=[16,32],[32,64]", Choice(([16, 32], [32, 64]))),
        ("channels=[16,32]", Fixed([16, 32])),
        ("encoder.dropout=0.2,0.4", Choice((0.2, 0.4))),
    ],
)
def test_a_range_is_read_and_written_alike(text, expected):
    method = dnn_method(DnnFitter("cnn-lstm"))
    name = text.partition("=")[0].strip()
    space = of(method, text)
    assert space[name] == expected
    assert of(method, f"{name}={space[name]}")[name] == expected
    assert {each: space[each] for each in method.space if each != name} == {
        each: found for each, found in method.space.items() if each != name
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lr", "NAME=RANGE"),
        ("lr=", "NAME=RANGE"),
        ("learning_rate=1..2", "known"),
        ("drop_out=0.1..0.2", "'dropout'"),
        ("lr=0.1..0.01", "lr"),
        ("lr=log:0..0.1", "lr"),
        ("lr=1..100", "lr"),
        ("lr=1e..2", "lr"),
        ("dropout=0.1..0.95", "0.9"),
        ("batch=8.5..16", "whole"),
        ("batch=8,8", "batch"),
        ("batch=many", "whole"),
        ("channels=[16]", "channels"),
        ("seed=1,2", "known"),
        ("epochs=10,nan", "epochs"),
    ],
)
def test_a_range_that_does_not_fit_is_refused_by_name(text, named):
    with pytest.raises(UsageError) as caught:
        of(dnn_method(DnnFitter("cnn-lstm")), text)
    assert named in str(caught.value)


def test_a_name_has_one_range_and_something_must_be_left_to_tune():
    method = linear_method(LinearFitter())
    with pytest.raises(UsageError, match="penalty"):
        of(method, "penalty=1e-3,1e-2", "penalty=log:1e-3..1")
    with pytest.raises(UsageError):
        of(method, "penalty=1e-3")


def test_every_default_space_holds_values_that_its_settings_take():
    from eavctl import registry

    methods = [svm_method(SvmFitter()), linear_method(LinearFitter())]
    methods += [dnn_method(DnnFitter(name)) for name in registry.names("encoders")]
    for method in methods:
        again = of(method, *(f"{name}={each}" for name, each in method.space.items()))
        assert again == method.space
        ends = {name: values_of(each)[0] for name, each in method.space.items()}
        method.with_values(ends)
    space = methods[-1].space
    assert space["lr"].low <= 1e-5 < 1e-3 <= space["lr"].high
    assert space["weight_decay"].low <= 1e-6 < 1e-3 <= space["weight_decay"].high
    assert space["dropout"].low <= 0.1 < 0.5 <= space["dropout"].high


def values_of(each):
    return each.values if isinstance(each, Choice) else (each.low, each.high)


def test_values_reach_the_training_and_the_encoder():
    method = dnn_method(DnnFitter("cnn-lstm", settings=TrainSettings(seed=7)))
    fitter = method.with_values({"lr": 0.02, "dropout": 0.1, "encoder.dropout": 0.2, "lstm_units": 8})
    assert (fitter.settings.lr, fitter.settings.dropout, fitter.settings.seed) == (0.02, 0.1, 7)
    assert fitter.encoder_settings["dropout"] == 0.2
    assert fitter.encoder_settings["lstm_units"] == 8
    assert svm_method(SvmFitter()).with_values({"C": 2.0, "gamma": None}).settings.C == 2.0


def test_edges_are_found_where_a_setting_could_go_beyond_them():
    settings = dnn_method(DnnFitter("mlp")).settings
    lr = Real(1e-5, 1e-1, log=True)
    assert edge_of("lr", lr, 1.1e-5, settings) == 1e-5
    assert edge_of("lr", lr, 0.099, settings) == 0.1
    assert edge_of("lr", lr, 1e-3, settings) is None
    assert edge_of("dropout", Real(0, 0.8), 0.0, settings) is None
    assert edge_of("dropout", Real(0, 0.8), 0.8, settings) == 0.8
    assert edge_of("units", Whole(8, 64), 64, settings) == 64
    assert edge_of("batch", Choice((8, 16)), 8, settings) is None
