"""Int8 weights: how networks are quantised, and that their answers stay near."""

import numpy as np
import pytest
from small_graphs import convolutional, perceptron, recurrent, volts

from eavctl.errors import UsageError
from eavctl.export.folding import folded
from eavctl.export.quantised import DYNAMIC, FOR_TENSORRT, PARTLY, WHOLE, quantised, ways_of


def computed(proto, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["proba"], {"x": x})[0]


def types_of(proto):
    return {each.name: each.data_type for each in proto.graph.initializer}


@pytest.fixture(scope="module")
def signals():
    return np.random.default_rng(0).normal(size=(40, 4, 50)).astype(np.float32)


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(0).normal(size=(40, 20, 12)).astype(np.float32)


def test_networks_of_matrices_are_quantised_dynamically_with_signed_weights():
    from onnx import TensorProto

    before = folded(perceptron())
    assert ways_of(before) == (DYNAMIC,)
    found = quantised(before, DYNAMIC)
    assert "MatMulInteger" in {node.op_type for node in found.graph.node}
    kinds = set(types_of(found).values())
    assert TensorProto.INT8 in kinds
    weights = [each for each in found.graph.initializer if each.name.endswith("_quantized")]
    assert len(weights) == 3
    assert {each.data_type for each in weights} == {TensorProto.INT8}
    assert found.ByteSize() < 0.4 * before.ByteSize()
    assert np.abs(computed(found, volts()) - computed(before, volts())).max() < 0.05


def test_an_lstm_is_quantised_dynamically(sequences):
    before = folded(recurrent())
    assert ways_of(before) == (DYNAMIC,)
    found = quantised(before, DYNAMIC)
    assert "DynamicQuantizeLSTM" in {node.op_type for node in found.graph.node}
    assert np.abs(computed(found, sequences) - computed(before, sequences)).max() < 0.05


def test_convolutional_networks_need_rows_to_calibrate_on(signals):
    before = folded(convolutional())
    assert ways_of(before) == (WHOLE, PARTLY)
    with pytest.raises(UsageError, match="--calibrate"):
        quantised(before, WHOLE)
    found = quantised(before, WHOLE, signals)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in found.graph.node}
    assert np.abs(computed(found, signals) - computed(before, signals)).max() < 0.1


def test_depthwise_convolutions_can_stay_in_float32(signals):
    from onnx import TensorProto

    before = folded(convolutional(spread=1e4))
    whole, partly = (quantised(before, way, signals) for way in (WHOLE, PARTLY))
    assert types_of(partly)["w2"] == TensorProto.FLOAT
    assert "w2" not in types_of(whole)
    expected = computed(before, signals)
    near, far = (np.abs(computed(found, signals) - expected).max() for found in (partly, whole))
    assert 5 * near < far


def test_tensorrt_gets_symmetric_static_quantisation(signals):
    from onnx import numpy_helper

    for before, rows in ((folded(perceptron()), volts()), (folded(convolutional()), signals)):
        assert ways_of(before, tensorrt=True) == (FOR_TENSORRT,)
        found = quantised(before, FOR_TENSORRT, rows)
        assert not {"MatMulInteger", "DynamicQuantizeLinear"} & {node.op_type for node in found.graph.node}
        zeros = [each for each in found.graph.initializer if each.name.endswith("zero_point")]
        assert zeros
        assert all(not numpy_helper.to_array(each).any() for each in zeros)


def test_equal_models_give_equal_bytes_and_are_not_changed(signals):
    before = convolutional()
    kept = before.SerializeToString()
    one, other = (quantised(folded(before), WHOLE, signals).SerializeToString() for _ in range(2))
    assert one == other
    assert before.SerializeToString() == kept


def test_a_model_without_weights_is_refused():
    from small_graphs import node, proto

    with pytest.raises(UsageError, match="--int8"):
        ways_of(proto([node("Softmax", "x", "proba", axis=1)], [3]))
