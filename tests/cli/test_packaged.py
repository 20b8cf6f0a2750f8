"""``predict`` and ``show`` where no model was trained: the packaged ones, by default or by name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import eavctl
from eavctl import Predictor
from eavctl.features.speech_encoders import packaged as encoder
from eavctl.packaged import models
from eavctl.storage import tables

RATE = 16000
SMALL = ("--model", "speech-small")
NEEDLESS = (
    "torch", "sklearn", "scipy.fft", "scipy.signal", "scipy.special", "librosa", "numba", "pandas", "pyarrow",
    "matplotlib", "mne", "PIL", "h5py", "transformers", "onnxruntime", "joblib", "typer", "hashlib", "email",
    "numpy.ma", "importlib.metadata", "importlib.resources", "concurrent.futures", encoder.FILE.folder,
)  # fmt: skip


@pytest.fixture(scope="session")
def speech(shared_data):
    return shared_data / "ravdess-native/03-01-01-01-01-01-01.wav"


@pytest.fixture
def _no_encoder(monkeypatch):
    monkeypatch.setattr(encoder, "FILE", encoder.FILE._replace(folder="no_package_of_this_name"))


@pytest.fixture(params=models.NAMES)
def default(request, monkeypatch):
    """The name of the model that is used by default, with and without the encoder's weights."""
    if request.param == "speech-small":
        monkeypatch.setattr(encoder, "FILE", encoder.FILE._replace(folder="no_package_of_this_name"))
    elif encoder.FILE.find() is None:
        pytest.skip(f"no weights: {encoder.FILE.install}")
    return request.param


def introduced(said):
    """The packaged model that stderr names, with its languages, classes and licence."""
    first = said.splitlines()[0]
    (found,) = [name for name in models.NAMES if f" {name}:" in first]
    card = models.packaged(found)
    assert all(word in first for word in (*card.languages, *card.classes, card.licence, "research"))
    return found


def test_an_empty_folder_gives_an_answer_and_says_by_which_model(run, default, speech, tmp_path):
    done = run("predict", speech)
    assert done.code == 0, done.err
    assert introduced(done.err) == default
    assert done.out.splitlines()[0].split()[-1] in models.packaged(default).classes
    hints = "\n".join(done.err.splitlines()[1:2])
    assert "eavctl train-linear" in hints
    assert (encoder.FILE.install in hints) == (default == "speech-small")
    assert list(tmp_path.iterdir()) == []
    planned = run("predict", speech, "-n")
    assert planned.code == 0
    assert introduced(planned.err) == default


def test_json_names_the_model_and_stdout_holds_nothing_else(run, default, speech):
    for more in ((), ("--dry-run",)):
        done = run("predict", speech, "--json", *more)
        found = json.loads(done.out)
        assert found["model"] == introduced(done.err) == default
        assert found["classes"] == list(models.packaged(default).classes)
        assert not any("packaged" in each for each in found["warnings"])


def test_quiet_prints_the_answer_alone(run, speech):
    done = run("predict", speech, *SMALL, "-q")
    assert (done.code, done.err) == (0, "")


@pytest.mark.usefixtures("_no_encoder")
def test_sound_may_come_from_a_film_a_folder_or_stdin(run, speech, shared_data, tmp_path):
    """The film holds the take of the sound file, through another codec."""
    (film,) = (shared_data / "ravdess-video").glob("*.mp4")
    (tmp_path / "in").mkdir()
    shutil.copy(speech, tmp_path / "in/a.wav")
    of_file = json.loads(run("predict", speech, "--json").out)["predictions"][0]
    for words, stdin in (([film], b""), (["in"], b""), (["-"], speech.read_bytes())):
        done = run("predict", *words, "--json", stdin=stdin)
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)["predictions"]
        assert row["pred"] == of_file["pred"]
        assert row["proba"] == pytest.approx(of_file["proba"], abs=0.2 if film in words else 1e-9)


def test_the_model_of_the_working_folder_comes_first(run, made, speech, tmp_path):
    (tmp_path / "svm.joblib").symlink_to(made / "svm.joblib")
    done = run("predict", speech, "--json")
    assert json.loads(done.out)["model"] == "svm.joblib"
    assert "packaged" not in done.err
    assert json.loads(run("predict", speech, *SMALL, "--json").out)["model"] == "speech-small"


def test_a_file_of_a_packaged_models_name_is_taken(run, made, speech, tmp_path):
    (tmp_path / "speech-small").symlink_to(made / "seed33.joblib")
    done = run("predict", speech, *SMALL, "--json")
    assert done.code == 0, done.err
    assert "packaged" not in done.err
    assert json.loads(done.out)["predictions"][0]["end"] is not None
    assert run("show", "speech-small").out == run("show", made / "seed33.joblib").out.replace(
        str(made / "seed33.joblib"), "speech-small"
    )


def test_the_environment_names_one(run, speech, monkeypatch):
    monkeypatch.setenv("EAVCTL_PREDICT_MODEL", "speech-small")
    done = run("predict", speech)
    assert done.code == 0, done.err
    assert introduced(done.err) == "speech-small"


@pytest.mark.usefixtures("_no_encoder")
def test_the_better_one_without_its_weights_says_how_to_get_them(run, speech, shared_data):
    refused = run("predict", speech, "--model", "speech")
    assert refused.code == 3
    assert encoder.FILE.install in refused.err
    checkpoint = shared_data / "speech-encoder/whisper-tiny-8s"
    done = run("predict", speech, "--weights", checkpoint, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["model"] == "speech"


def test_what_is_no_speech_is_not_judged_and_said_so(run, speech, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(speech, tmp_path / "in/a.wav")
    soundfile.write(tmp_path / "in/silent.wav", np.zeros(2 * RATE), RATE)
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE)
    soundfile.write(tmp_path / "in/tone.wav", tone, RATE)
    done = run("predict", "in", *SMALL, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [row["recording"] for row in found["predictions"]] == ["in/a.wav"]
    assert [bad["path"] for bad in found["rejected"]] == ["in/silent.wav", "in/tone.wav"]
    alone = run("predict", "in/tone.wav", *SMALL)
    assert (alone.code, alone.out) == (3, "")
    assert "no speech" in alone.err


@pytest.mark.parametrize("more", [[], ["-n"]])
def test_of_eeg_it_is_said_that_the_models_are_for_speech(run, speech, shared_data, more):
    eeg = shared_data / "eeg/S001R03.edf"
    alone = run("predict", eeg, *SMALL, "-q", *more)
    assert alone.code == 3
    named = run("predict", "--eeg", eeg, *SMALL, "-q", *more)
    assert named.code == 2
    for done in (alone, named):
        assert len(done.err.splitlines()) == 1
        assert "for speech" in done.err
    beside = run("predict", speech, eeg, *SMALL, "-q", *more)
    assert beside.code == 0
    assert "for speech" in beside.err


def test_a_table_is_judged_by_a_packaged_model(run, speech):
    assert run("extract", speech.parent, "--features", "functionals-core", "-o", "f.parquet").code == 0
    done = run("predict", "f.parquet", *SMALL, "-o", "p.parquet")
    assert done.code == 0, done.err
    assert tables.read_predictions("p.parquet").classes == tuple(models.packaged("speech-small").classes)
    other = run("predict", "f.parquet", "--model", "speech")
    assert other.code == 3
    assert "speech was trained on features 'speech-encoder'" in other.err


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("source", ["absent.wav", "empty", "text.wav", "in"])
def test_an_error_stands_alone(run, source, more, tmp_path):
    for folder in ("empty", "in"):
        (tmp_path / folder).mkdir()
    for path in ("text.wav", "in/text.wav"):
        (tmp_path / path).write_text("not a sound")
    done = run("predict", source, *more)
    assert (done.code, done.out) == (3, "")
    first, *rest = done.err.splitlines()
    assert first.startswith("error: ")
    assert len(rest) <= 1


def test_several_recordings_cannot_be_drawn(run, speech, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav"):
        shutil.copy(speech, tmp_path / "in" / name)
    done = run("predict", "in", *SMALL, "--plot", "p.png")
    assert (done.code, done.out) == (2, "")
    assert [line.startswith("error: ") for line in done.err.splitlines()] == [True]


@pytest.mark.parametrize("name", ["sound", "sound-small"])
@pytest.mark.parametrize("words", [("predict", "a.wav", "--model"), ("show",)])
def test_a_mistyped_name_gives_those_of_the_packaged_models(run, words, name):
    done = run(*words, name)
    assert done.code == 3
    assert all(each in done.err for each in (name, *models.NAMES))


@pytest.mark.parametrize("name", models.NAMES)
def test_show_prints_the_card(run, name):
    card = models.packaged(name)
    shown = run("show", name)
    assert shown.code == 0, shown.err
    assert all(source["citation"] in shown.out for source in card.sources.values())
    found = json.loads(run("show", name, "--json").out)
    assert found["card"] == json.loads(json.dumps(card.card))
    assert found["file"] == os.fspath(card)


def test_the_library_answers_as_the_command(run, default, speech):
    predictor = Predictor.load()
    (judged,) = predictor.judge(predictor.find(speech))
    (row,) = json.loads(run("predict", speech, "--json").out)["predictions"]
    assert predictor.answer(judged.rows[0]) == row
    assert str(predictor.path) == default
    result = eavctl.predict(speech)
    assert [result.predictor.answer(each) for each in result.rows] == [row]


@pytest.mark.parametrize("name", models.NAMES)
def test_a_cold_prediction_imports_nothing_that_it_does_not_need(name, speech, tmp_path):
    if name == "speech" and encoder.FILE.find() is None:
        pytest.skip(f"no weights: {encoder.FILE.install}")
    script = f"""
import sys
from eavctl.cli.start import run
from eavctl.features.speech_encoders import packaged
if {name!r} == "speech-small":
    packaged.FILE = packaged.FILE._replace(folder="no_package_of_this_name")
assert run(["predict", {str(speech)!r}]) == 0
heavy = [each for each in {NEEDLESS!r} if each in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert introduced(done.stderr) == name


def test_a_built_package_has_the_models():
    """The patterns of pyproject.toml take every model and card, as setuptools reads them."""
    import tomllib

    root = Path(models.__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["eavctl.packaged"]
    taken = {path.name for pattern in patterns for path in models.FOLDER.glob(pattern)}
    speech = {f"{name}{ending}" for name in models.NAMES for ending in (".joblib", ".json")}
    assert taken == {*speech, models.GROUND.name}
