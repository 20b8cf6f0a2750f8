"""Small networks as exported models, made node by node."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from eavctl.storage import artifacts

EXPORT = {"opset": 20, "precision": "float32", "free_time": False, "source": "ff", "check": {}}
CLASSES = ["calm", "happy", "sad"]


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], name=f"make_{output}", **attributes)


def proto(nodes, shape, **weights):
    """A graph from ``x`` to ``proba``."""
    ends = [("x", shape), ("proba", [len(CLASSES)])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *of]) for name, of in ends]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", infos[:1], infos[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def about(model_meta, shape):
    """What the file of a network says."""
    model = {"classes": CLASSES, "priors": [1 / 3] * 3}
    known = model_meta("dnn", shape=shape, model=model)
    return {"format": artifacts.FORMAT, "format_version": 2, "export": EXPORT, **known}


def perceptron(width=256, n_columns=24):
    """Standardisation, two layers and a softmax."""
    rng = np.random.default_rng(0)
    nodes = [
        node("Sub", "x mean", "centred"),
        node("Div", "centred scale", "standard"),
        node("MatMul", "standard w1", "h"),
        node("Relu", "h", "r"),
        node("MatMul", "r w2", "h2"),
        node("Relu", "h2", "r2"),
        node("MatMul", "r2 w3", "logits"),
        node("Softmax", "logits", "proba", axis=1),
    ]
    return proto(
        nodes,
        [n_columns],
        mean=rng.normal(size=n_columns).astype(np.float32),
        scale=np.full(n_columns, 1e-5, np.float32),
        w1=rng.normal(scale=n_columns**-0.5, size=(n_columns, width)).astype(np.float32),
        w2=rng.normal(scale=width**-0.5, size=(width, width)).astype(np.float32),
        w3=rng.normal(scale=width**-0.5, size=(width, len(CLASSES))).astype(np.float32),
    )


def volts(n_rows=64, n_columns=24):
    """Rows for `perceptron`: small numbers, as EEG in volts, far from 0 in units of their deviation."""
    rng = np.random.default_rng(1)
    mean = np.random.default_rng(0).normal(size=n_columns).astype(np.float32)
    return mean + rng.normal(scale=1e-5, size=(n_rows, n_columns)).astype(np.float32)


def convolutional(spread=1.0, n_channels=16):
    """A pointwise convolution, a depthwise one, and a layer.

    With ``spread``, the filters of the depthwise convolution differ in size by that factor, and its output is
    scaled back, so that one range of the activations for all channels drowns the small ones.
    """
    rng = np.random.default_rng(2)
    sizes = np.geomspace(1, spread, n_channels).astype(np.float32)
    depthwise = rng.uniform(0.2, 1, size=(n_channels, 1, 3)).astype(np.float32) * sizes[:, None, None]
    nodes = [
        node("Conv", "x w1", "h"),
        node("Relu", "h", "r"),
        node("Conv", "r w2", "d", group=n_channels, pads=[1, 1]),
        node("Div", "d sizes", "back"),
        node("GlobalAveragePool", "back", "p"),
        node("Flatten", "p", "flat"),
        node("MatMul", "flat w3", "logits"),
        node("Softmax", "logits", "proba", axis=1),
    ]
    return proto(
        nodes,
        [4, 50],
        w1=rng.normal(size=(n_channels, 4, 5)).astype(np.float32),
        w2=depthwise,
        sizes=sizes[:, None],
        w3=0.05 * rng.normal(size=(n_channels, len(CLASSES))).astype(np.float32),
    )


def recurrent(units=24, n_steps=20, width=12):
    """An LSTM whose outputs are transposed into a product, and a layer."""
    rng = np.random.default_rng(3)
    nodes = [
        node("Transpose", "x", "steps", perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "w", "r"], ["y"], name="lstm", hidden_size=units),
        node("Squeeze", "y one", "s"),
        node("Transpose", "s", "rows", perm=[1, 0, 2]),
        node("MatMul", "rows q", "scores"),
        node("ReduceMean", "scores one", "pooled", keepdims=0),
        node("Softmax", "pooled", "proba", axis=1),
    ]
    return proto(
        nodes,
        [n_steps, width],
        w=rng.normal(scale=0.3, size=(1, 4 * units, width)).astype(np.float32),
        r=rng.normal(scale=0.2, size=(1, 4 * units, units)).astype(np.float32),
        q=rng.normal(size=(units, len(CLASSES))).astype(np.float32),
        one=np.array([1]),
    )
