"""A small data set, its tables and models, made once by the commands themselves."""

from __future__ import annotations

import contextlib
import copy
import io
import shutil
from dataclasses import dataclass

import pytest

from eavctl.cli import start

MADE_LINES = (
    "synth --per-class 8 --seed 1",
    "extract dataset -o feats.parquet",
    "extract dataset --features seed33 -o seed33.parquet",
    "pretrain seed33.parquet -o encoder.pt --epochs 0",
    "train-svm feats.parquet -o svm.joblib --folds 2 --predictions preds.parquet",
    "train-svm seed33.parquet -o seed33.joblib --folds 2 --predictions seed33_preds.parquet",
)
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
GROUNDED_LINES = (
    "synth --task grounding --scenes 16 --out scenes",
    "extract scenes -o scenes.parquet --set size=32",
    "train-ground scenes.parquet -o ground.pt --epochs 1 --batch 16 --jobs 1",
)


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _few_settings(few_settings):
    with few_settings():
        yield


@pytest.fixture(scope="session")
def make(tmp_path_factory, few_settings):
    """Runs command lines in a new folder of that name."""

    def call(name, lines):
        folder = tmp_path_factory.mktemp(name)
        with contextlib.chdir(folder), few_settings():
            for line in lines:
                assert start.run(line.split()) == 0, line
        return folder

    return call


@pytest.fixture
def run(capsysbinary, monkeypatch, tmp_path):
    """Run a command line in a folder of its own; a list of words and, perhaps, bytes for stdin."""
    monkeypatch.chdir(tmp_path)

    def call(*words, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()  # what a fixture has printed that is made while the test runs
        code = start.run([str(word) for word in words])
        out, err = capsysbinary.readouterr()
        result = Result(code, out.decode(errors="replace"), err.decode())
        result.bytes = out
        return result

    return call


@pytest.fixture(scope="session")
def made(make):
    """Folder with ``dataset/``, ``feats.parquet``, ``svm.joblib``, ``preds.parquet`` and ``encoder.pt``."""
    return make("made", MADE_LINES)


@pytest.fixture(scope="session")
def eav(make):
    """Folder with the twin, four tables, and models and predictions of each."""
    return make("eav", EAV_LINES)


@pytest.fixture(scope="session")
def grounded(make):
    """Folder with ``scenes/``, ``scene.jpg``, one of them, ``scenes.parquet`` and ``ground.pt``."""
    folder = make("grounded", GROUNDED_LINES)
    shutil.copy(next((folder / "scenes" / "images" / "train").iterdir()), folder / "scene.jpg")
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
