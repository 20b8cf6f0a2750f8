"""A small data set, its tables and models, made once by the commands themselves."""

from __future__ import annotations

import copy
import io
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from eavctl.cli import start

EAV_SPEECH = "--segment 2 --where task=speaking"
EAV_LINES = (
    "synth --layout eav --subjects 2 --trials 20 --seconds 4 --out twin",
    f"extract twin --features eeg-bands {EAV_SPEECH} -o bands.parquet",
    f"extract twin --features eeg-epochs {EAV_SPEECH} -o epochs.parquet",
    f"extract twin --features seed33 {EAV_SPEECH} -o speech.parquet",
    f"extract twin --features faces --set n_frames=4 --set size=32 {EAV_SPEECH} -o faces.parquet",
    "train-svm bands.parquet -o bands.joblib --protocol eav-70-30 --predictions bands_preds.parquet",
    "train-svm speech.parquet -o speech.joblib --protocol eav-70-30 --predictions speech_preds.parquet",
    "train-dnn epochs.parquet -o epochs.pt --encoder eegnet --set kernel=50 --set f1=2 --set d=2 --set f2=4 "
    "--epochs 1 --protocol eav-70-30 --keep-folds --predictions epochs_preds.parquet",
    "train-dnn faces.parquet -o faces.pt --encoder vit --size tiny --epochs 1 --protocol eav-70-30 "
    "--keep-folds --predictions faces_preds.parquet",
)


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsysbinary, monkeypatch, tmp_path):
    """Run a command line in a folder of its own; a list of words and, perhaps, bytes for stdin."""
    monkeypatch.chdir(tmp_path)

    def call(*words, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = start.run([str(word) for word in words])
        out, err = capsysbinary.readouterr()
        result = Result(code, out.decode(errors="replace"), err.decode())
        result.bytes = out
        return result

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folder with ``dataset/``, ``feats.parquet``, ``svm.joblib``, ``preds.parquet`` and ``encoder.pt``."""
    folder = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in (
            "synth --per-class 8 --seed 1",
            "extract dataset -o feats.parquet",
            "extract dataset --features seed33 -o seed33.parquet",
            "pretrain seed33.parquet -o encoder.pt --epochs 0",
            "train-svm feats.parquet -o svm.joblib --folds 2 --predictions preds.parquet",
            "train-svm seed33.parquet -o seed33.joblib --folds 2 --predictions seed33_preds.parquet",
        ):
            assert start.run(["-q" if word == "" else word for word in line.split()]) == 0, line
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="session")
def eav(tmp_path_factory):
    """Folder with the twin, four tables, and models and predictions of each."""
    folder = tmp_path_factory.mktemp("eav")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in EAV_LINES:
            assert start.run(["-q" if word == "" else word for word in line.split()]) == 0, line
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="session")
def trace():
    """Traces models as ``eavctl.export.graph.to_proto`` does, each once."""
    from eavctl.export.graph import to_proto

    traced = {}

    def call(model):
        key = model.meta.kind, model.meta.training_hash
        if key not in traced:
            traced[key] = to_proto(model)
        return copy.deepcopy(traced[key])

    return call


@pytest.fixture(scope="module")
def traced_once(trace):
    """In the tests of a module, a model that was traced before is not traced again, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eavctl.export.graph.to_proto", trace)
        yield
