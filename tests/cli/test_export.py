"""``eavctl export``: what it writes, prints and refuses."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from eavctl.cli import start
from eavctl.export import check
from eavctl.packaged.models import find
from eavctl.storage import artifacts

pytestmark = pytest.mark.usefixtures("traced_once")


@pytest.fixture(scope="module")
def exported(made, traced_once, tmp_path_factory):
    """An exported model, checked on the table that it was trained on, and what the command printed."""
    out = tmp_path_factory.mktemp("exported") / "svm.onnx"
    words = ["export", made / "svm.joblib", "-o", out, "--check", made / "feats.parquet", "--json"]
    answer, notes = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(answer), contextlib.redirect_stderr(notes):
        assert start.run([str(word) for word in words]) == 0
    answer.seek(0)
    return out, json.loads(answer.read()), notes.getvalue()


def test_it_tells_opset_size_and_what_was_checked(exported):
    out, facts, notes = exported
    assert facts["size"] == out.stat().st_size
    about = facts["export"]
    assert about == artifacts.read_meta(out).export
    assert about["opset"] >= 18
    assert about["check"]["rows"] == 32
    assert "feats.parquet" in about["check"]["what"]
    assert "fewer than 256" in notes
    assert about["source"] == artifacts.read_meta(out).training_hash


@pytest.mark.slow
def test_another_process_writes_equal_bytes(exported, made, tmp_path):
    out, again = exported[0], tmp_path / "again.onnx"
    words = ["export", made / "svm.joblib", "-o", again, "--check", made / "feats.parquet"]
    subprocess.run([sys.executable, "-m", "eavctl", *map(str, words)], check=True)
    assert again.read_bytes() == out.read_bytes()


def test_weights_of_a_network_are_written(run, eav):
    result = run("export", eav / "epochs.pt", "-o", "m.safetensors", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["size"] == Path("m.safetensors").stat().st_size


@pytest.mark.parametrize("words", [["-n"], []])
def test_calibration_rows_that_int8_needs_are_missed_before_the_check(run, eav, monkeypatch, words):
    monkeypatch.setattr(check, "check", None)  # not called
    for more in (["--tensorrt", "11"], []):
        result = run("export", eav / "bands.joblib" if more else eav / "epochs.pt", "-o", "m.onnx", "--int8",
                     *more, *words)  # fmt: skip
        assert result.code == 2
        assert "--calibrate" in result.err


def test_it_judges_recordings_as_the_model_does(exported, made, run):
    out, *_ = exported
    words = ("predict", made / "dataset" / "sad", "--json", "--model")
    one, other = (json.loads(run(*words, model).out) for model in (made / "svm.joblib", out))
    assert str(other.pop("model")).endswith(".onnx")
    del one["model"]
    assert_close(other, one)


def assert_close(found, wanted):
    """Equal JSON, whose numbers differ by no more than 1e-5."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_close(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for each, other in zip(found, wanted, strict=True):
            assert_close(each, other)
    else:
        assert found == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)


def test_the_packaged_model_is_exported_by_name_and_made_up_rows_are_named(run):
    result = run("export", "speech-small", "-o", "m.onnx")
    assert result.code == 0, result.err
    assert "made-up" in result.err
    wanted = artifacts.load(find("speech-small")).novelty.threshold
    assert artifacts.load("m.onnx").novelty.threshold == wanted


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("export {made}/svm.joblib -o m.txt", 2, ".onnx"),
        ("export {made}/svm.joblib -o m.safetensors", 2, "networks"),
        ("export {made}/feats.parquet -o m.onnx", 3, "a table of features"),
        ("export {made}/svm.joblib -o m.onnx --check {made}/seed33.parquet", 3, "seed33"),
        ("export {made}/svm.joblib -o mine.onnx", 2, "not written by eavctl"),
        ("export missing.joblib -o m.onnx", 3, "missing.joblib"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["-n"]])
def test_what_cannot_be_exported_is_said_before_any_work(run, made, line, code, message, dry):
    Path("mine.onnx").write_text("my diary")
    result = run(*line.format(made=made).split(), *dry)
    assert result.code == code
    assert message in result.err
    assert len(result.err.splitlines()) <= 2
    assert not Path("m.onnx").exists()


def test_an_exported_model_is_not_exported_again(exported, run):
    result = run("export", exported[0], "-o", "m.onnx")
    assert result.code == 2
    assert "exported" in result.err


def test_without_the_packages_one_line_says_what_to_install(run, made, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = run("export", made / "svm.joblib", "-o", "m.onnx")
    assert result.code == 3
    assert "eavctl[export]" in result.err


def test_a_difference_is_an_error_and_leaves_no_file(run, made, monkeypatch):
    monkeypatch.setitem(check.MOST, "proba", -1.0)
    result = run("export", made / "svm.joblib", "-o", "m.onnx")
    assert result.code == 3
    assert "differs in the probability" in result.err
    assert not Path("m.onnx").exists()
