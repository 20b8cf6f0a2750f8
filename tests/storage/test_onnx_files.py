"""Exported model files: what is written comes back without ``onnx``, and what does not fit is refused."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eavctl.errors import DataError, UsageError
from eavctl.storage import artifacts, onnx_files, ownership
from eavctl.storage.ownership import Output

META = {"format": artifacts.FORMAT, "format_version": 2, "kind": "linear", "kept_folds": 2, "name": "ä"}


def graph(*nodes, weights=None):
    weights = np.arange(6, dtype=np.float32).reshape(3, 2) if weights is None else weights
    nodes = nodes or (
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["proba"], axis=1),
    )
    return helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("proba", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "w")],
    )


def proto(*nodes, weights=None):
    return helper.make_model(graph(*nodes, weights=weights), opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_files.serialise(proto(), META))
    return path


def test_meta_and_graph_come_back_and_onnx_reads_the_same(path):
    found = onnx_files.read(path)
    assert found.meta == {key: value for key, value in META.items() if key != "kept_folds"}
    assert found.content == path.read_bytes()
    read = onnx.load(path)
    onnx.checker.check_model(read, full_check=True)
    assert read.graph == proto().graph
    assert read.producer_name == "eavctl"
    assert {each.key for each in read.metadata_props} == {"eavctl", "eavctl_checksum"}


def test_equal_graphs_and_metas_give_equal_bytes(path):
    again = proto()
    again.producer_name = "another"
    again.metadata_props.add(key="onnx.infer", value="onnxruntime.quant")
    before = again.SerializeToString()
    assert onnx_files.serialise(again, dict(reversed(META.items()))) == path.read_bytes()
    assert again.SerializeToString() == before


def test_reading_needs_no_onnx(path, monkeypatch):
    for name in ("onnx", "google.protobuf", "onnxruntime", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    assert onnx_files.read(path).meta["kind"] == "linear"


def test_the_file_is_known_as_a_model(path, tmp_path):
    assert ownership.kind_of(path) == "model"
    ownership.guard([Output(path, "model")])
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(proto().SerializeToString())
    assert ownership.kind_of(foreign) is None
    with pytest.raises(UsageError, match="--force"):
        ownership.guard([Output(foreign, "model")])
    with pytest.raises(DataError, match=r"foreign\.onnx"):
        artifacts.read_meta(foreign)


def test_damage_is_never_silent(path):
    whole, known = path.read_bytes(), onnx_files.read(path).meta
    rng = np.random.default_rng(5)
    for at in rng.choice(len(whole), min(len(whole), 400), replace=False):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            found = onnx_files.read(path)
        except DataError:
            continue
        assert found.meta == known
        assert onnx.load(path).graph == proto().graph


def test_a_cut_file_is_damaged(path):
    whole = path.read_bytes()
    for length in range(12, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"m\.onnx"):
            artifacts.read_meta(path)


def test_other_weights_under_the_same_meta_are_damage(path):
    read = onnx.load(path)
    read.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((3, 2), np.float32), "w"))
    path.write_bytes(read.SerializeToString())
    with pytest.raises(DataError, match="checksum"):
        onnx_files.read(path)


def test_a_file_with_eavctls_name_and_without_its_meta_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    bare = proto()
    bare.producer_name = "eavctl"
    path.write_bytes(bare.SerializeToString())
    with pytest.raises(DataError, match="eavctl export"):
        artifacts.load(path)


def _elsewhere(name="w"):
    tensor = numpy_helper.from_array(np.zeros((3, 2), np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def _as_initializer():
    found = proto()
    found.graph.initializer[0].CopyFrom(_elsewhere())
    return found


def _as_constant():
    return proto(helper.make_node("Constant", [], ["proba"], value=_elsewhere()))


def _with_branches():
    return proto(helper.make_node("If", ["x"], ["proba"], then_branch=graph(), else_branch=graph()))


def _with_a_loop():
    return proto(helper.make_node("Loop", ["", "true", "x"], ["proba"], body=graph()))


def _with_a_function():
    found = proto()
    constant = helper.make_node("Constant", [], ["y"], value=_elsewhere())
    found.functions.append(
        helper.make_function("own", "f", [], ["y"], [constant], [helper.make_opsetid("", 20)])
    )
    return found


@pytest.mark.parametrize("make", [_with_branches, _with_a_loop, _with_a_function])
def test_code_that_may_never_end_is_refused(tmp_path, make):
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_files.serialise(make(), META))
    with pytest.raises(DataError, match="loops"):
        onnx_files.read(path)


@pytest.mark.parametrize("make", [_as_initializer, _as_constant])
def test_weights_in_other_files_are_refused(tmp_path, make):
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_files.serialise(make(), META))
    with pytest.raises(DataError, match="other files"):
        onnx_files.read(path)


def test_the_numbers_of_the_fields_are_those_of_onnx():
    messages = {"tensor": "TensorProto", "sparse tensor": "SparseTensorProto", "function": "FunctionProto"}
    names = messages | {kind: f"{kind.title()}Proto" for kind in onnx_files.PARTS if kind not in messages}
    kinds = {name: kind for kind, name in names.items()}
    for kind, parts in onnx_files.PARTS.items():
        known = getattr(onnx, names[kind]).DESCRIPTOR.fields
        of_kinds = {
            each.number: kinds[each.message_type.name]
            for each in known
            if each.message_type and each.message_type.name in kinds
        }
        code = {
            n for n, held in of_kinds.items() if held == "function" or (kind, held) == ("attribute", "graph")
        }
        assert onnx_files.CODE.get(kind, set()) == code
        assert parts == {n: held for n, held in of_kinds.items() if n not in code}


def test_a_graph_over_two_gigabytes_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_files, "LARGEST", 20)
    with pytest.raises(DataError, match="2 GB"):
        onnx_files.serialise(proto(), META)


def test_an_empty_file_and_a_folder_are_named(tmp_path):
    empty = tmp_path / "m.onnx"
    empty.touch()
    for path in (empty, tmp_path, Path(tmp_path / "absent.onnx")):
        with pytest.raises(DataError, match=path.name):
            artifacts.load(path)
