"""``--weights``: extract writes of which content they are, and predict takes no others."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eavctl.cli import start
from eavctl.errors import DataError, UsageError
from eavctl.features.speech_encoders import packaged
from eavctl.predicting.predictor import Predictor
from eavctl.storage import tables

REPOSITORY = Path(start.__file__).parents[2]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, write_whisper, made):
    """Folder with two checkpoints, and a table and a model by the first."""
    folder, before = tmp_path_factory.mktemp("spoken"), Path.cwd()
    (folder / "dataset").symlink_to(made / "dataset")
    write_whisper(folder / "whisper")
    write_whisper(folder / "other", seed=1)
    os.chdir(folder)
    try:
        for line in (
            "extract dataset --features speech-encoder --set layers=1,2 --weights whisper -o f.parquet",
            "train-svm f.parquet -o svm.joblib --folds 2",
        ):
            assert start.run(line.split()) == 0, line
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(spoken, run, monkeypatch):
    """That folder, as the working folder."""
    monkeypatch.chdir(spoken)
    return spoken


@pytest.fixture
def _no_package(monkeypatch):
    monkeypatch.setattr(packaged, "FILE", packaged.FILE._replace(folder="no_package_of_this_name"))


EXTRACT = ("extract", "dataset", "--features", "speech-encoder")
PREDICT = ("predict", "dataset", "--model", "svm.joblib")


def identity(folder):
    return tables.read_meta(folder / "f.parquet")["settings"]["weights"]


def test_table_and_model_hold_the_identity_and_no_path(here):
    found = identity(here)
    assert found.startswith("whisper-3x16-")
    for name in ("f.parquet", "svm.joblib"):
        content = (here / name).read_bytes()
        assert found.encode() in content
        assert str(here).encode() not in content
        assert b"other" not in content


def test_the_same_weights_elsewhere_are_up_to_date_and_others_are_not(here, run, tmp_path):
    shutil.copy(here / "f.parquet", tmp_path / "f.parquet")
    shutil.copytree(here / "whisper", tmp_path / "moved")
    words = [*EXTRACT, "--set", "layers=1,2", "-o", tmp_path / "f.parquet", "--json", "--weights"]
    again = run(*words, tmp_path / "moved")
    assert json.loads(again.out)["up_to_date"]
    planned = run(*words, "other", "--dry-run")
    assert not json.loads(planned.out)["up_to_date"]
    shutil.copytree(here / "other", tmp_path / "moved", dirs_exist_ok=True)
    changed = run(*words, tmp_path / "moved")
    assert not json.loads(changed.out)["up_to_date"]
    assert identity(tmp_path) != identity(here)


def test_processes_do_not_change_a_byte(here, run, tmp_path):
    for jobs in ("1", "2"):
        done = run(
            *EXTRACT,
            "--weights",
            "whisper",
            "--segment",
            "0.5",
            "-j",
            jobs,
            "-o",
            tmp_path / f"{jobs}.parquet",
        )
        assert done.code == 0
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_predict_takes_the_weights_of_the_training(here, run):
    one = run(*PREDICT, "--weights", "whisper", "--json")
    two = run(*PREDICT, "--weights", "whisper", "--json", "-j", "2")
    assert one.code == 0
    assert one.out == two.out
    assert len(json.loads(one.out)["predictions"]) == 32


@pytest.mark.usefixtures("_no_package")
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_predict_without_weights_says_which_are_needed_and_how(dry, here, run):
    done = run(*PREDICT, *dry)
    assert done.code == 3
    assert identity(here) in done.err
    assert "--weights" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_predict_with_other_weights_names_both(dry, here, run, tmp_path):
    other = run(*EXTRACT, "--weights", "other", "-o", tmp_path / "f.parquet")
    assert other.code == 0
    done = run(*PREDICT, *dry, "--weights", "other")
    assert done.code == 3
    assert identity(here) in done.err
    assert identity(tmp_path) in done.err
    unused = run(*PREDICT, *dry, "--weights", "whisper", "--weights", "other")
    assert unused.code == 3
    assert identity(tmp_path) in unused.err


@pytest.mark.usefixtures("_no_package")
def test_a_feature_table_is_judged_without_weights(here, run):
    done = run("predict", "f.parquet", "--model", "svm.joblib", "--json")
    assert done.code == 0
    recordings = run(*PREDICT, "--weights", "whisper", "--json")
    ours, theirs = (json.loads(each.out)["predictions"] for each in (done, recordings))
    for a, b in zip(ours, theirs, strict=True):
        assert a["proba"] == pytest.approx(b["proba"])


@pytest.mark.parametrize(
    "line",
    [
        "extract dataset --weights whisper -o g.parquet",
        "extract dataset --features speech-encoder --set weights=whisper -o g.parquet",
        "extract dataset --features speech-encoder --weights whisper --set layers=1,4 -o g.parquet",
        "predict dataset --model {made}/svm.joblib --weights whisper",
    ],
)
@pytest.mark.parametrize("dry", ["", " --dry-run"])
def test_wrong_usage(line, dry, here, run, made):
    done = run(*(line + dry).format(made=made).split())
    assert done.code == 2
    assert ("layer" if "layers" in line else "weights") in done.err


@pytest.mark.usefixtures("_no_package")
@pytest.mark.parametrize("weights", ["", " --weights gone", " --weights dataset", " --weights f.parquet"])
@pytest.mark.parametrize("dry", ["", " --dry-run"])
def test_weights_that_are_not_there(weights, dry, here, run):
    done = run(*f"extract dataset --features speech-encoder -o g.parquet{weights}{dry}".split())
    assert done.code == 3
    assert "weights" in done.err
    assert not (here / "g.parquet").exists()


def test_an_output_must_not_be_an_input(here, run):
    assert run(*EXTRACT, "--weights", "whisper", "-o", "whisper", "--force").code == 2
    assert run(*PREDICT, "--weights", "whisper", "-o", "whisper", "--force").code == 2


def test_the_settings_file_names_no_weights_and_the_environment_may(here, run, monkeypatch, tmp_path):
    monkeypatch.setenv("EAVCTL_PREDICT_WEIGHTS", "whisper")
    assert run(*PREDICT).code == 0
    monkeypatch.delenv("EAVCTL_PREDICT_WEIGHTS")
    monkeypatch.chdir(tmp_path)
    for text in (
        '[extract]\nweights = "w"\n',
        '[predict]\nweights = ["w"]\n',
        '[extract.set]\nweights = "w"\n',
    ):
        (tmp_path / "eavctl.toml").write_text(text)
        assert run("predict", here / "dataset").code == 2


# --- the library ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["serial", "fork", "loky"])
def test_a_predictor_gives_its_weights_to_every_worker(executor, here):
    predictor = Predictor.load("svm.joblib", weights=["whisper"])
    found = predictor.find("dataset")[:6]
    wanted = list(Predictor.load("svm.joblib", weights=["whisper"]).judge(found))
    got = list(predictor.judge(found, jobs=2, executor=executor))
    for a, b in zip(wanted, got, strict=True):
        assert np.array_equal(a.rows[0].proba, b.rows[0].proba)


def test_a_window_is_judged_as_the_file(here):
    import soundfile

    predictor = Predictor.load("svm.joblib", weights=["whisper"])
    (recording,) = predictor.find(min(here.glob("dataset/*/*.wav")))
    (judged,) = predictor.judge([recording])
    signal, rate = soundfile.read(recording.parts["audio"].file, dtype="float32")
    row = predictor.judge_window({"audio": (signal, rate)})
    assert row.proba == pytest.approx(judged.rows[0].proba, abs=1e-9)


def test_a_predictor_refuses_other_weights_at_once(here, made):
    with pytest.raises(DataError, match=identity(here)):
        Predictor.load("svm.joblib", weights=["other"])
    with pytest.raises(UsageError, match="weights"):
        Predictor.load(made / "svm.joblib", weights=["whisper"])


# --- a cold process ---------------------------------------------------------------------------------------


def test_a_prediction_imports_nothing_heavy(here):
    script = """
import sys
from eavctl.cli import start
clip = "dataset/sad/sad_sample_1.wav"
code = start.run(["predict", clip, "--model", "svm.joblib", "--weights", "whisper"])
heavy = ("torch", "transformers", "scipy", "pandas", "sklearn", "librosa", "numpy.ma", "email")
print([name for name in heavy if name in sys.modules], code, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == "[] 0"


def test_the_packaged_weights_are_used_without_importing_the_package(here, run, tmp_path):
    if packaged.FILE.find() is None:
        pytest.skip(f"pipecat-ai is not installed: {packaged.FILE.install}")
    done = run(*EXTRACT, "-o", tmp_path / "f.parquet", "--where", "label=sad")
    assert done.code == 0, done.err
    meta = tables.read_meta(tmp_path / "f.parquet")
    chosen = {"layers": [1, 2, 3], "statistics": ["mean", "std"]}
    assert meta["settings"] == {**chosen, "weights": packaged.IDENTITY}
    assert meta["shape"] == [2 * 3 * 384]
    assert packaged.FILE.folder not in sys.modules
