"""Exported models, on graphs that are made here node by node."""

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from eavctl.classifiers import onnx_model
from eavctl.classifiers.calibration import softmax
from eavctl.classifiers.onnx_model import OnnxModel
from eavctl.classifiers.streams import RowsOf, Streams
from eavctl.errors import DataError
from eavctl.storage import artifacts, onnx_files

WEIGHTS = np.array([[1, -1], [0.5, 2], [-3, 0.25]], np.float32)
EXPORT = {"opset": 20, "precision": "float32", "free_time": False}
FLOAT, BYTES, BOOL = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.BOOL


def written(path, meta, nodes, inputs, outputs, **constants):
    """A model file of a graph; inputs and outputs are (name, type, shape of a row)."""
    infos = [
        [helper.make_tensor_value_info(name, dtype, ["batch", *shape]) for name, dtype, shape in each]
        for each in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", *infos, weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    about = {"format": artifacts.FORMAT, "format_version": 2, "export": EXPORT, **meta}
    path.write_bytes(onnx_files.serialise(proto, about))
    return path


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


@pytest.fixture
def linear(tmp_path, model_meta):
    """Three columns to two classes, with the sum of the columns for a distance."""
    novelty = {"energy": 1.0, "threshold": 2.0, "measured": {"over": "subjects", "false_alarms": 0.05}}
    model = {"classes": ["calm", "sad"], "priors": [0.9, 0.1]}
    nodes = [
        node("MatMul", "x w", "logits"),
        node("Softmax", "logits", "proba", axis=1),
        node("ReduceSum", "x axes", "distance", keepdims=0),
    ]
    return written(
        tmp_path / "m.onnx",
        model_meta("linear", shape=[3], model=model, novelty=novelty),
        nodes,
        [("x", FLOAT, [3])],
        [("proba", FLOAT, [2]), ("distance", FLOAT, [])],
        w=WEIGHTS,
        axes=np.array([1]),
    )


@pytest.fixture
def fusion(tmp_path, model_meta):
    """The means of two streams, one of pictures: logits are the weighted means of those that are there."""
    known = {"features": "f", "features_version": 1, "settings": {}, "features_hash": ""}
    streams = [{**known, "name": name, "modality": name} for name in ("audio", "video")]
    nodes = [
        node("Cast", "present", "there", to=FLOAT),
        node("ReduceSum", "there axes", "n", keepdims=1),
        node("Div", "there n", "weights"),
        node("Cast", "video", "pixels", to=FLOAT),
        node("ReduceMean", "audio axes", "a", keepdims=1),
        node("ReduceMean", "pixels all", "v0", keepdims=0),
        node("Unsqueeze", "v0 axes", "v"),
        node("Concat", "a v", "both", axis=1),
        node("Mul", "both weights", "logits"),
        node("Softmax", "logits", "proba", axis=1),
    ]
    return written(
        tmp_path / "fusion.onnx",
        {**model_meta("fusion"), "streams": streams, "model": {"classes": ["a", "b"]}},
        nodes,
        [("audio", FLOAT, [3]), ("video", BYTES, [2, 2]), ("present", BOOL, [2])],
        [("proba", FLOAT, [2]), ("weights", FLOAT, [2])],
        axes=np.array([1]),
        all=np.array([1, 2]),
    )


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(size=(150, 3)).astype(np.float32)


def test_it_gives_what_the_graph_computes(linear, rows):
    model = artifacts.load(linear)
    proba = model.predict_proba(rows)
    assert proba.dtype == np.float64
    assert np.allclose(proba, softmax(rows @ WEIGHTS), atol=1e-6)
    assert model.classes_.tolist() == ["calm", "sad"]
    assert model.priors.tolist() == [0.9, 0.1]
    assert model.meta.kind == "linear"
    assert model.meta.export == EXPORT


def test_decisions_are_relative_to_the_priors(linear, rows):
    model = artifacts.load(linear)
    proba = model.predict_proba(rows)
    assert model.predict(rows).tolist() == np.where(proba[:, 0] > 0.9, "calm", "sad").tolist()


def test_a_row_has_the_same_answer_in_any_batch(linear, rows):
    model = artifacts.load(linear)
    whole = model.predict_proba(rows)
    for start, end in ((0, 1), (63, 65), (149, 150), (10, 10)):
        assert np.allclose(model.predict_proba(rows[start:end]), whole[start:end], atol=1e-7)
    some = RowsOf(rows, np.array([149, 3, 70]))
    assert np.allclose(model.predict_proba(some), whole[[149, 3, 70]], atol=1e-7)


def test_novelty_is_the_distance_of_the_graph(linear, rows):
    novelty = artifacts.load(linear).novelty
    assert np.allclose(novelty.distance(rows), rows.sum(axis=1), atol=1e-6)
    assert (novelty.threshold, novelty.measured["over"]) == (2.0, "subjects")


@pytest.mark.parametrize("shape", [(4,), (2,), (3, 1), ()])
def test_rows_of_another_shape_are_refused(linear, shape):
    with pytest.raises(DataError, match="shape"):
        artifacts.load(linear).predict_proba(np.zeros((2, *shape), np.float32))


def test_values_that_are_not_finite_are_refused(linear, rows):
    rows[70, 1] = np.nan
    model = artifacts.load(linear)
    with pytest.raises(DataError, match="not finite"):
        model.predict_proba(rows)
    with pytest.raises(DataError, match="not finite"):
        model.novelty.distance(rows)


def test_values_that_are_not_finite_are_refused_where_the_graph_hides_them(tmp_path, model_meta):
    path = written(
        tmp_path / "m.onnx",
        model_meta("dnn", shape=[2], model={"classes": ["a", "b"]}),
        [node("Greater", "x zero", "positive"), node("Cast", "positive", "proba", to=FLOAT)],
        [("x", FLOAT, [2])],
        [("proba", FLOAT, [2])],
        zero=np.zeros(1, np.float32),
    )
    model = artifacts.load(path)
    assert model.predict_proba(np.array([[1, -1]], np.float32)).tolist() == [[1, 0]]
    with pytest.raises(DataError, match="not finite"):
        model.predict_proba(np.array([[1, np.nan]], np.float32))


def test_free_axes_take_any_length(tmp_path, model_meta):
    path = written(
        tmp_path / "m.onnx",
        model_meta("dnn", shape=[2, 5], model={"classes": ["a", "b"]}),
        [node("ReduceMean", "x axes", "means", keepdims=0), node("Softmax", "means", "proba", axis=1)],
        [("x", FLOAT, [2, "time"])],
        [("proba", FLOAT, [2])],
        axes=np.array([2]),
    )
    model = artifacts.load(path)
    for length in (5, 1, 40):
        x = np.random.default_rng(length).normal(size=(3, 2, length)).astype(np.float32)
        assert np.allclose(model.predict_proba(x), softmax(x.mean(axis=2)), atol=1e-6)
    with pytest.raises(DataError, match="2xany"):
        model.predict_proba(np.zeros((3, 3, 5), np.float32))


def test_any_subset_of_streams_is_judged_and_missing_values_are_not_read(fusion):
    model = artifacts.load(fusion).predictor
    audio = np.array([[1, 2, 3], [np.nan] * 3, [0, 0, 3]], np.float32)
    video = np.array([np.full((2, 2), 4), np.full((2, 2), 2), np.full((2, 2), 255)], np.uint8)
    present = np.array([[True, True], [False, True], [True, False]])
    proba, weights = model.proba_and_weights(Streams((audio, video), present))
    assert model.streams == ("audio", "video")
    assert weights.tolist() == [[0.5, 0.5], [0, 1], [1, 0]]
    assert np.allclose(proba, softmax(np.array([[1.0, 2], [0, 2], [1, 0]])), atol=1e-6)
    assert np.array_equal(model.predict_proba(Streams((audio, video), present)), proba)
    assert np.isnan(audio[1]).all()


def test_streams_that_do_not_fit_are_refused(fusion):
    model = artifacts.load(fusion).predictor
    audio, video = np.zeros((2, 3), np.float32), np.zeros((2, 2, 2), np.uint8)
    present = np.array([[True, True], [True, False]])
    for arrays, there, words in (
        ((audio,), present[:, :1], "2 streams"),
        ((audio[:, :2], video), present, "shape"),
        ((audio, video.astype(np.float32)), present, "uint8"),
        ((audio, video), present & False, "without any"),
    ):
        with pytest.raises(DataError, match=words):
            model.predict_proba(Streams(arrays, there))


def test_a_graph_that_does_not_fit_its_meta_is_damaged(tmp_path, model_meta):
    nodes = [node("Softmax", "x", "proba", axis=1)]
    for classes, sizes in ((["a", "b", "c"], [2]), (["a", "b"], ["free"])):
        path = written(
            tmp_path / "m.onnx",
            model_meta("dnn", shape=[2], model={"classes": classes}),
            nodes,
            [("x", FLOAT, sizes)],
            [("proba", FLOAT, sizes)],
        )
        with pytest.raises(DataError, match="damaged"):
            artifacts.load(path)


def test_a_graph_that_onnxruntime_does_not_know_is_an_error(tmp_path, model_meta):
    path = written(
        tmp_path / "m.onnx",
        model_meta("dnn", shape=[2], model={"classes": ["a", "b"]}),
        [node("NoSuchOperator", "x", "proba")],
        [("x", FLOAT, [2])],
        [("proba", FLOAT, [2])],
    )
    with pytest.raises(DataError, match="NoSuchOperator"):
        artifacts.load(path)


def test_without_onnxruntime_the_error_says_what_to_install(linear, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r"eavctl\[export\]"):
        artifacts.load(linear)
    assert artifacts.read_meta(linear).kind == "linear"


def test_it_has_no_models_of_folds(linear):
    with pytest.raises(DataError, match="exported from"):
        artifacts.load_folds(linear)


def test_it_is_built_from_bytes(linear, rows):
    found = onnx_files.read(linear)
    model = OnnxModel.from_bytes(found.content, found.meta)
    assert np.array_equal(model.predict_proba(rows), artifacts.load(linear).predict_proba(rows))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Identity", "x", "proba")],  # not probabilities
        [node("Sigmoid", "x", "proba")],  # of each class alone
        [node("Concat", "x x", "both", axis=1), node("Softmax", "both", "proba", axis=1)],  # of others
        [node("ReduceMean", "x axis", "mean"), node("Softmax", "mean", "proba", axis=1)],  # of one row
    ],
)
def test_answers_that_are_no_probabilities_of_the_classes_are_refused(tmp_path, model_meta, nodes):
    path = written(
        tmp_path / "m.onnx",
        model_meta("dnn", shape=[2], model={"classes": ["a", "b"]}),
        [node("Identity", "given", "x"), *nodes],
        [("given", FLOAT, ["columns"])],
        [("proba", FLOAT, [2])],
        axis=np.array([0]),
    )
    with pytest.raises(DataError, match="damaged"):
        artifacts.load(path).predict_proba(np.array([[1, -3], [2, 5]], np.float32))


def test_an_output_of_texts_is_damage(tmp_path, model_meta):
    path = written(
        tmp_path / "m.onnx",
        model_meta("dnn", shape=[2], model={"classes": ["a", "b"]}),
        [node("Cast", "x", "proba", to=TensorProto.STRING)],
        [("x", FLOAT, [2])],
        [("proba", TensorProto.STRING, [2])],
    )
    with pytest.raises(DataError, match="damaged"):
        artifacts.load(path)


def test_large_rows_are_computed_a_few_at_a_time():
    clips, spectra = (onnx_model.GraphInput("x", (), each) for each in (onnx_model.PICTURE, onnx_model.FLOAT))
    many = [np.zeros((100, 64, 300), np.float32)]
    few = [np.zeros((100, 25, 56, 56, 3), np.uint8)]
    assert onnx_model._fitting(many, [spectra]) == onnx_model.BATCH
    assert 1 <= onnx_model._fitting(few, [clips]) < 8
    assert onnx_model._fitting([*many, *few], [spectra, clips]) <= onnx_model._fitting(few, [clips])
    assert onnx_model._fitting([np.zeros((2, 5000, 5000), np.float32)], [spectra]) == 1


def test_answers_do_not_depend_on_how_many_rows_are_computed_together(linear, rows):
    model = artifacts.load(linear).predictor
    (whole,) = model.outputs(rows, "proba")
    for batch in (1, 7, 150):
        assert np.allclose(model.outputs(rows, "proba", batch=batch)[0], whole, atol=1e-7)


def test_streams_that_are_no_list_are_damage(tmp_path, model_meta):
    path = written(
        tmp_path / "m.onnx",
        {**model_meta("dnn", shape=[2], model={"classes": ["a", "b"]}), "streams": 3},
        [node("Softmax", "x", "proba", axis=1)],
        [("x", FLOAT, [2])],
        [("proba", FLOAT, [2])],
    )
    for read in (artifacts.load, artifacts.read_meta):
        with pytest.raises(DataError, match="damaged"):
            read(path)
