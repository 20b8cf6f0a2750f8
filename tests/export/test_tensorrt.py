"""The trtexec command as text, against the options that NVIDIA documents; no TensorRT runs here."""

import os

import pytest

from eavctl.errors import DataError, UsageError
from eavctl.export import tensorrt
from eavctl.storage.metadata import ModelMeta

# Options of trtexec that its documentation lists, and those that version 11 removed.
DOCUMENTED = {"--onnx", "--saveEngine", "--fp16", "--int8", "--memPoolSize"}
DOCUMENTED |= {"--minShapes", "--optShapes", "--maxShapes"}
REMOVED_BY_11 = {"--fp16", "--bf16", "--int8", "--fp8", "--int4", "--best", "--calib", "--stronglyTyped"}
SHAPES = {"x": ((1, 64, 75), (8, 64, 300), (32, 64, 1200))}


def options(words):
    return {word.partition("=")[0] for word in words[1:]}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("version", [10, 11])
def test_options_are_documented_for_the_version(version, precision):
    words = tensorrt.command(version, "m.onnx", "m.engine", SHAPES, precision)
    assert words[0] == "trtexec"
    assert options(words) <= (DOCUMENTED if version == 10 else DOCUMENTED - REMOVED_BY_11)
    assert {"--onnx=m.onnx", "--saveEngine=m.engine", "--memPoolSize=workspace:4096"} <= set(words)
    assert "--workspace" not in options(words)


def test_precisions_of_version_10_are_options():
    found = {p: options(tensorrt.command(10, "m", "e", SHAPES, p)) for p in ("float32", "float16", "int8")}
    assert all("--fp16" in each for each in found.values())
    assert [p for p, each in found.items() if "--int8" in each] == ["int8"]


def test_shapes_are_written_with_every_input():
    shapes = {**SHAPES, "present": ((1, 2), (8, 2), (32, 2))}
    words = tensorrt.command(11, "m", "e", shapes, "float32")
    assert "--minShapes=x:1x64x75,present:1x2" in words
    assert "--optShapes=x:8x64x300,present:8x2" in words
    assert "--maxShapes=x:32x64x1200,present:32x2" in words


def test_another_version_is_refused():
    with pytest.raises(UsageError, match="10 or 11"):
        tensorrt.command(9, "m", "e", SHAPES, "float32")


def test_shapes_come_from_the_meta(model_meta):
    columns = model_meta("svm", columns=["a", "b", "c"], model={})
    found = tensorrt.shapes_of(ModelMeta.from_json(columns, "m"))
    assert found == {"x": ((1, 3), (8, 3), (32, 3))}
    fixed = model_meta("dnn", shape=[30, 500], model={"encoder": "eegnet", "shape": [30, 500]})
    found = tensorrt.shapes_of(ModelMeta.from_json(fixed, "m"))
    assert found == {"x": ((1, 30, 500), (8, 30, 500), (32, 30, 500))}


def test_a_free_time_axis_has_a_range(model_meta):
    free = model_meta("dnn", shape=[64, 300], model={"encoder": "cnn-lstm", "shape": [64, 300]})
    least, best, most = tensorrt.shapes_of(ModelMeta.from_json(free, "m"))["x"]
    assert (best, most[:2]) == ((8, 64, 300), (32, 64))
    assert least[2] < 300 < most[2]


def test_streams_have_shapes_and_a_mask(model_meta):
    known = {"features": "f", "features_version": 1, "settings": {}, "features_hash": ""}
    names = {"eeg": "eegnet", "audio": "cnn-lstm"}
    design = [{"name": n, "encoder": e, "shape": [6, 96]} for n, e in names.items()]
    streams = [{**known, "name": n, "modality": n} for n in names]
    parts = {"streams": streams, "model": {"design": {"streams": design}}}
    found = tensorrt.shapes_of(ModelMeta.from_json(model_meta("fusion") | parts, "m"))
    assert list(found) == ["eeg", "audio", "present"]
    assert found["present"] == ((1, 2), (8, 2), (32, 2))
    assert found["eeg"][2] == (32, 6, 96)


@pytest.fixture
def trtexec(tmp_path, monkeypatch):
    """Puts a stand-in for trtexec on the path, which prints a text and ends with a code."""

    def install(shown, code=0):
        script = tmp_path / "trtexec"
        script.write_text(f"#!/bin/sh\necho '{shown}'\nexit {code}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return install


@pytest.mark.parametrize(
    ("banner", "version"), [("v101600] [b72]", 10), ("v110401]", 11), ("v8601]", 8), ("v100300]", 10)]
)
def test_the_installed_version_is_read(trtexec, banner, version):
    trtexec(f"&&&& RUNNING TensorRT.trtexec [TensorRT {banner} # trtexec --help")
    assert tensorrt.installed_version() == version


def test_without_trtexec_there_is_no_version(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tensorrt.installed_version() is None
    assert not tensorrt.check_version(10)


def test_a_mismatch_is_an_error(trtexec):
    trtexec("&&&& RUNNING TensorRT.trtexec [TensorRT v101600]")
    assert tensorrt.check_version(10)
    with pytest.raises(UsageError, match="10"):
        tensorrt.check_version(11)


def test_a_trtexec_that_states_no_version_is_an_error(trtexec):
    trtexec("hello")
    with pytest.raises(DataError, match="version"):
        tensorrt.check_version(10)


def test_a_failed_build_shows_the_last_line(trtexec):
    trtexec("[E] Model missing", code=1)
    with pytest.raises(DataError, match="Model missing"):
        tensorrt.build(["trtexec", "--onnx=m.onnx"])
