"""Half precision: which nodes keep float32, and that the answers stay near."""

import numpy as np
import pytest
from onnx import TensorProto
from small_graphs import convolutional, perceptron, recurrent, volts

from eavctl.export.half import halved

SHAPES = {"convolutional": (40, 4, 50), "recurrent": (40, 20, 12)}


def computed(proto, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["proba"], {"x": x})[0]


@pytest.mark.parametrize("made", [convolutional, recurrent])
def test_answers_stay_near_and_ends_stay_float32(made):
    before = made()
    x = np.random.default_rng(0).normal(size=SHAPES[made.__name__]).astype(np.float32)
    found = halved(before)
    ends = [*found.graph.input, *found.graph.output]
    assert {each.type.tensor_type.elem_type for each in ends} == {TensorProto.FLOAT}
    proba = computed(found, x)
    assert proba.dtype == np.float32
    assert np.abs(proba - computed(before, x)).max() < 0.01


def test_weights_have_half_the_size():
    before = perceptron()
    found = halved(before)
    assert found.ByteSize() < 0.55 * before.ByteSize()
    types = {each.name: each.data_type for each in found.graph.initializer}
    assert types["w2"] == TensorProto.FLOAT16
    assert {types["mean"], types["scale"]} == {TensorProto.FLOAT}


def test_small_numbers_are_standardised_in_float32():
    """Volts differ in the fifth decimal, which float16 does not have."""
    before = perceptron()
    assert np.abs(computed(halved(before), volts()) - computed(before, volts())).max() < 0.01


def test_equal_models_give_equal_bytes_and_are_not_changed():
    before = recurrent()
    kept = before.SerializeToString()
    assert halved(before).SerializeToString() == halved(before).SerializeToString()
    assert before.SerializeToString() == kept


def test_nodes_are_in_an_order_that_the_checker_takes():
    import onnx

    for made in (perceptron, convolutional, recurrent):
        onnx.checker.check_model(halved(made()))
