"""Models as ONNX graphs."""

import copy
import dataclasses

import numpy as np
import onnx
import pytest
import small_models
import torch
from torch import nn

from eavctl import registry
from eavctl.classifiers.network import CPU, as_batch
from eavctl.classifiers.onnx_model import OnnxModel
from eavctl.encoders.face_clips import Resized
from eavctl.errors import DataError, UsageError
from eavctl.export import graph
from eavctl.export.check import check
from eavctl.export.modules import exportable
from eavctl.export.rows import check_rows
from eavctl.storage import onnx_files

MADE = {
    "svm": lambda: small_models.of_columns("svm"),
    "linear": lambda: small_models.of_columns("linear"),
    "mlp": lambda: small_models.network("mlp", members=2),
    "attention": lambda: small_models.fusion("attention", {"eeg": "eegnet", "audio": "mlp"}),
    "pooled": small_models.pooled,
}
ALL = [pytest.param(name, marks=pytest.mark.slow if name == "linear" else ()) for name in MADE]


@pytest.fixture(scope="module")
def exported():
    """Models and their graphs, each made once."""
    made = {}

    def get(name):
        if name not in made:
            model = MADE[name]()
            made[name] = model, graph.to_proto(model)
        return made[name]

    return get


@pytest.fixture(scope="module")
def checked(exported):
    """What was found by the check of a model's graph, once for each."""
    found = {}

    def get(name):
        if name not in found:
            model, proto = exported(name)
            found[name] = check(model, runtime(model, proto), check_rows(model))
        return found[name]

    return get


def runtime(model, proto):
    about = {**model.meta.json, "export": {}}
    return OnnxModel.from_bytes(onnx_files.serialise(proto, about), about)


@pytest.mark.parametrize("name", ALL)
def test_a_graph_gives_the_answers_of_its_model(checked, name):
    found = checked(name)
    assert found["rows"] == 256
    assert set(found["batches"]) == {1, 2, 7, 32}
    assert 0 < found["largest_change"]["proba"] < 1e-5


@pytest.mark.parametrize("name", ALL)
def test_a_graph_keeps_the_contract_of_names_types_and_free_batches(exported, name):
    model, proto = exported(name)
    streams = [each.name for each in model.meta.streams]
    outputs = ["proba", *(["weights"] if streams else ["distance"] if model.novelty else [])]
    assert [each.name for each in proto.graph.input] == ([*streams, "present"] if streams else ["x"])
    assert [each.name for each in proto.graph.output] == outputs
    for each in (*proto.graph.input, *proto.graph.output):
        assert each.type.tensor_type.shape.dim[0].dim_param == "batch"
    types = {each.data_type for each in proto.graph.initializer}
    types |= {each.type.tensor_type.elem_type for each in (*proto.graph.input, *proto.graph.output)}
    known = onnx.TensorProto
    assert types <= {known.FLOAT, known.INT64, known.BOOL, known.UINT8}
    assert not any(a.type == onnx.AttributeProto.INT and a.name == "to" and a.i == known.DOUBLE
                   for node in proto.graph.node for a in node.attribute)  # fmt: skip
    onnx.checker.check_model(proto, full_check=True)


def test_equal_models_give_equal_bytes_without_paths_of_this_machine(exported):
    model, proto = exported("mlp")
    again = graph.to_proto(MADE["mlp"]())
    meta = {**model.meta.json, "export": {}}
    content = onnx_files.serialise(proto, meta)
    assert onnx_files.serialise(again, meta) == content
    assert str(torch.__file__).rpartition("/")[0].encode() not in content
    assert b".py" not in content


def test_every_subset_of_streams_is_compared(checked):
    changed = checked("attention")["changed_rows"]
    assert [sum(word in each for each in changed) for word in ("frames", "alone")] == [0, 3]


def test_what_stands_in_a_missing_stream_has_no_effect(exported):
    model, proto = exported("attention")
    rows = check_rows(model).x
    other = copy.deepcopy(rows)
    for stream, array in enumerate(other.arrays):
        array[~rows.present[:, stream]] = 1e3
    session = runtime(model, proto)._graph
    answers = [
        session.run(
            {**dict(zip(("eeg", "audio"), each.arrays, strict=True)), "present": each.present}, "proba"
        )
        for each in (rows, other)
    ]
    assert np.array_equal(*answers)
    assert (~rows.present).any()


@pytest.mark.parametrize(("shape", "side"), [((20, 24), 32), ((40, 30), 16), ((16, 16), 16)])
def test_pictures_are_resized_by_products_as_without_them(shape, side):
    resized = Resized(shape, side)
    pictures = torch.from_numpy(np.random.default_rng(0).random((3, 3, *shape), np.float32))
    kept = exportable([nn.Sequential(resized)])[0][0]
    if shape == (side, side):
        assert isinstance(kept, Resized)
        return
    across = torch.einsum("nchw,sw->nchs", pictures, kept.columns)
    found = torch.einsum("nchw,sh->ncsw", across, kept.rows)
    assert torch.allclose(found, resized(pictures), atol=1e-6)


def test_eegnet_is_exported_without_fourier_transforms(exported):
    _, proto = exported("attention")
    assert {node.op_type for node in proto.graph.node}.isdisjoint({"DFT", "STFT", "FFT"})


def test_a_fuser_of_predictions_is_refused():
    model = small_models.network("mlp")
    fuser = model.meta._replace(kind="fuse")
    with pytest.raises(UsageError, match="predictions"):
        graph.to_proto(type(model)(fuser, model.predictor))


def test_a_network_that_fixes_the_batch_is_refused(monkeypatch):
    model = small_models.network("mlp")
    network = model.predictor.members[0][0]
    monkeypatch.setattr(type(network), "forward", lambda self, x: self.head(self.encoder(x[: len(x)])))
    with pytest.raises(DataError, match="cannot be exported"):
        graph.to_proto(model)


def test_a_network_that_cannot_be_traced_is_refused_in_two_lines(monkeypatch):
    model = small_models.network("mlp")
    network = model.predictor.members[0][0]
    monkeypatch.setattr(type(network), "forward", lambda self, x: x[: int(x.sum())])
    with pytest.raises(DataError, match="cannot be exported") as caught:
        graph.to_proto(model)
    assert len(str(caught.value).splitlines()) <= 2


# --- the paths that encoders and fusion networks take while they are traced -------------------------------


@pytest.mark.parametrize("name", registry.names("encoders"))
def test_an_encoder_gives_the_same_while_it_is_traced(monkeypatch, name):
    facts = registry.get("encoders", name).facts
    network = small_models.network(name).predictor.members[0][0]
    x = small_models.values(facts["example_shape"], facts, 5, 1)
    if len(x.shape) == 3:  # padding, which the traced path never cuts off
        x[0, :, 20:], x[1, 40:] = x[0, :, 20:21], x[1, 40:41]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(x))
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        given = network(torch.from_numpy(x))
    assert torch.allclose(given, wanted, atol=2e-5)


@pytest.mark.parametrize("method", registry.names("fusion networks"))
def test_a_fusion_network_gives_the_same_while_it_is_traced(monkeypatch, method):
    kinds = {
        "ambt-mean": ["shallow-transformer"] * 3,
        "ambt-concat": ["shallow-transformer"] * 3,
        "law": ["shallow-transformer", "mlp", "shallow-transformer"],
    }.get(method, ["eegnet", "mlp", "cnn-lstm"])
    model = small_models.fusion(method, dict(zip("abc", kinds, strict=True)))
    network, x = model.predictor.members[0][0], as_batch(check_rows(model).x[:40], CPU)
    with torch.inference_mode():
        wanted = network.logits_and_weights(x)
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        given = network.logits_and_weights(x)
    assert torch.allclose(given, wanted, atol=2e-5)


# --- every encoder and fusion network, checked on a few rows ----------------------------------------------


def checked_on_few_rows(model, proto):
    rows = check_rows(model)
    return check(model, runtime(model, proto), dataclasses.replace(rows, x=rows.x[np.arange(48)]))


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names("encoders"))
def test_every_encoder_is_exported(name):
    model = small_models.network(name)
    proto = graph.to_proto(model)
    assert 0 < checked_on_few_rows(model, proto)["largest_change"]["proba"] < 1e-5
    assert "Resize" not in {node.op_type for node in proto.graph.node}  # TensorRT has no antialiased one


@pytest.mark.slow
def test_time_is_free_where_the_network_allows_it():
    model = small_models.fusion("attention", {"eeg": "eegnet", "audio": "cnn-lstm"})
    proto = graph.to_proto(model)
    axes = {each.name: each.type.tensor_type.shape.dim for each in proto.graph.input}
    assert axes["audio"][2].dim_param
    assert axes["eeg"][2].dim_value == 96
    assert [node.op_type for node in proto.graph.node].count("LSTM") == 1
    changed = checked_on_few_rows(model, proto)["changed_rows"]
    assert [sum(word in each for each in changed) for word in ("frames", "alone")] == [3, 3]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["channel-attention", "ambt-mean", "law"])
def test_other_fusion_networks_are_exported(method):
    by_layers = method in ("ambt-mean", "law")
    encoders = (
        {"video": "vit", "eeg": "shallow-transformer"} if by_layers else {"audio": "mlp", "eeg": "scnn"}
    )
    model = small_models.fusion(method, encoders)
    assert len(checked_on_few_rows(model, graph.to_proto(model))["changed_rows"]) == 3
