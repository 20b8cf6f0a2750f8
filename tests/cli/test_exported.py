"""Exported models in ``predict``, ``live``, ``serve`` and ``show``: the same answers, without torch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from test_live import ANSWER
from test_predict_fusion import RECIPES, save_fusion

from eavctl.cli import start
from eavctl.serving.answers import Answers
from eavctl.serving.messages import Message
from eavctl.stages.export import export_model
from eavctl.storage import tables

NEEDLESS = (
    "torch", "onnx", "onnxscript", "google.protobuf", "sklearn", "librosa", "numba", "pandas", "pyarrow",
    "matplotlib", "mne", "av", "PIL", "h5py", "transformers", "scipy", "soundfile", "typer", "hashlib",
)  # fmt: skip


@pytest.fixture(scope="module")
def models(made, traced_once, tmp_path_factory):
    """Folder with a network and an SVM, and what was exported from them."""
    folder, before = tmp_path_factory.mktemp("models"), os.getcwd()
    os.chdir(folder)
    try:
        words = ["train-dnn", str(made / "seed33.parquet"), "-o", "net.pt", "--encoder", "mlp"]
        assert start.run([*words, "--epochs", "1", "--folds", "2", "--keep-folds"]) == 0
    finally:
        os.chdir(before)
    (folder / "svm.joblib").write_bytes((made / "seed33.joblib").read_bytes())
    for name in ("net.pt", "svm.joblib"):
        export_model(
            folder / name, folder / f"{name.partition('.')[0]}.onnx", check=[made / "seed33.parquet"]
        )
    return folder


@pytest.fixture(scope="module")
def fusion(traced_once, tmp_path_factory):
    """Folder with a fusion network, and what was exported from it."""
    folder = tmp_path_factory.mktemp("fusion")
    recipes = {name: RECIPES[name] for name in ("eeg", "audio")}
    save_fusion(folder / "m.pt", recipes, biases=[[0.3, 0.0, -0.2]], priors=[0.5, 0.3, 0.2])
    export_model(folder / "m.pt", folder / "m.onnx")
    return folder


def close(answers, others):
    """Whether two lists of answers are equal, but for rounding of probabilities and weights."""
    assert len(answers) == len(others) > 0
    for one, other in zip(answers, others, strict=True):
        for key, limit in (("proba", 1e-5), ("modalities", 1e-4)):
            mine, theirs = one.pop(key, {}), other.pop(key, {})
            assert mine.keys() == theirs.keys()
            assert list(mine.values()) == pytest.approx(list(theirs.values()), abs=limit)
        assert json.dumps(one) == json.dumps(other)  # the keys are in one order too


ORIGINALS = pytest.mark.parametrize("name", ["net.pt", "svm.joblib"])


@ORIGINALS
def test_predict_gives_the_same_json(run, made, models, name):
    clip, model = made / "dataset/sad/sad_sample_1.wav", models / name
    for words in ((), ("--segment", 1.5, "--hop", 0.5), ("--abstain", 0.9)):
        one, other = (
            json.loads(run("predict", clip, "--model", path, "--json", *words).out)
            for path in (model, model.with_suffix(".onnx"))
        )
        unsure = [each.pop("unsure") for each in (*one["predictions"], *other["predictions"])]
        assert unsure[: len(unsure) // 2] == unsure[len(unsure) // 2 :]
        close(one.pop("predictions"), other.pop("predictions"))
        assert other.pop("model") == os.fspath(model.with_suffix(".onnx"))
        assert one.pop("model") == os.fspath(model)
        assert one == other


@ORIGINALS
def test_tables_of_recordings_and_of_features_are_the_same(run, made, models, name):
    found = []
    for ending in (name, f"{name.partition('.')[0]}.onnx"):
        for source in (made / "dataset", made / "seed33.parquet"):
            assert run("predict", source, "--model", models / ending, "-o", "p.parquet", "--force").code == 0
            found.append(tables.read_predictions("p.parquet"))
    for one, other in zip(found[:2], found[2:], strict=True):
        assert np.allclose(one.proba, other.proba, atol=1e-5)
        assert np.array_equal(one.pred, other.pred)
        assert one.keys.equals(other.keys)
        assert one.about == other.about


def test_judging_by_an_exported_network_imports_neither_torch_nor_onnx(made, models, tmp_path):
    clip, model = str(made / "dataset/sad/sad_sample_1.wav"), str(models / "net.onnx")
    script = f"""
import sys
from eavctl.cli.start import run
assert run(["predict", {clip!r}, "--model", {model!r}]) == 0
heavy = [name for name in {NEEDLESS!r} if name in sys.modules]
assert not heavy, heavy
assert run(["predict", {clip!r}, "--model", {model!r}, "--json"]) == 0
heavy = [name for name in ("torch", "onnx", "pandas", "pyarrow", "scipy") if name in sys.modules]
assert not heavy, heavy
assert run(["live", "--audio", {clip!r}, "--model", {model!r}, "--speed", "10", "--window", "30"]) == 0
from eavctl.serving.answers import Answers
Answers.load({model!r}).predictor.warm_up()
heavy = [name for name in ("torch", "onnx") if name in sys.modules]
assert not heavy, heavy
"""
    environment = {**os.environ, "TMPDIR": os.fspath(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [(), ("--audio",)])
def test_a_fusion_judges_by_what_there_is_with_the_same_weights(run, eav, fusion, words):
    (sound,) = (eav / "twin/subject1/Audio").glob("002_*")
    sources = (*words, sound) if words else (eav / "twin/subject1", "--trial", 2)
    found = [
        json.loads(run("predict", *sources, "--model", fusion / name, "--json").out)["predictions"]
        for name in ("m.pt", "m.onnx")
    ]
    assert bool(found[1][0]["absent"]) == bool(words)
    close(*found)


def test_live_gives_the_same_objects(run, made, models):
    clip, found = made / "dataset/happy/happy_sample_2.wav", []
    for name in ("net.pt", "net.onnx"):
        result = run("live", "--audio", clip, "--model", models / name, "--speed", 10, "--window", 30)
        assert result.code == 0, result.err
        answers = [json.loads(line) for line in result.out.splitlines()]
        found.append([{key: each[key] for key in ANSWER} for each in answers])
    close(*found)


def test_the_service_answers_as_the_original(made, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # which a request empties
    clip = (made / "dataset/happy/happy_sample_2.wav").read_bytes()
    request = Message({"job": "recording", "files": {"file": "clip.wav"}}, [clip])
    one, other = (Answers.load(os.fspath(models / name)) for name in ("net.pt", "net.onnx"))
    about = [each.about() for each in (one, other)]
    assert [each.pop("name") for each in about] == ["net", "net"]
    assert about[0] == about[1]
    found = [json.loads(each.answer(request).blocks[0])["predictions"] for each in (one, other)]
    close(*found)


@ORIGINALS
def test_show_says_what_the_original_says_and_what_was_exported(run, models, name):
    one, other = (
        json.loads(run("show", path, "--json").out)
        for path in (models / name, (models / name).with_suffix(".onnx"))
    )
    assert other.pop("export")["opset"] >= 18
    for key in ("file", "kept_folds"):
        one.pop(key, None)
    other.pop("file")
    assert one == other


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "{made}/dataset", "--model", "{models}/svm.onnx", "--adapt"),
        (
            "train-fusion",
            "{made}/seed33.parquet",
            "{made}/feats.parquet",
            "--init",
            "{models}/net.onnx",
            "-o",
            "f.pt",
        ),
        ("export", "{models}/net.onnx", "-o", "again.onnx"),
        ("train-svm", "{made}/seed33.parquet", "-o", "m.onnx"),
    ],
)
def test_what_an_exported_model_cannot_do_is_refused(run, made, models, words, tmp_path):
    result = run(*(word.format(made=made, models=models) for word in words))
    assert result.code == 2
    assert "bug" not in result.err
    assert not list(tmp_path.glob("*.onnx"))


def test_without_onnxruntime_one_line_says_what_to_install(run, made, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run("predict", made / "dataset/sad/sad_sample_1.wav", "--model", models / "net.onnx")
    assert result.code == 3
    assert "eavctl[export]" in result.err
