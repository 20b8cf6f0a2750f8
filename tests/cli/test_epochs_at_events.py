"""Epochs around events, from recordings to a table, a model, and predictions of other recordings."""

from __future__ import annotations

import json
import shlex
import shutil

import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.extraction.open_recording import Signal
from eavctl.predicting.notes import epoch_notes
from eavctl.predicting.predictor import Predictor
from eavctl.serving.answers import Answers
from eavctl.serving.messages import Message
from eavctl.storage import tables

LABELS = ["--events", "T1=left,T2=right"]
SPAN = ["--tmin", "-0.2", "--tmax", "0.9"]
CHANNELS = ["--set", "channels=C3,Cz,C4,Fp1"]
# Some epochs of each run are rejected, for blinks.
CORRECTED = ["--set", "baseline=-0.2,0", "--set", "reject=300"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, shared_data):
    """Folder with two runs, and beside it a third."""
    folder = tmp_path_factory.mktemp("recordings") / "runs"
    folder.mkdir()
    for name in ("S001R03", "S001R07"):
        shutil.copy(shared_data / f"eeg/{name}.edf", folder)
    shutil.copy(shared_data / "eeg/S001R04.edf", folder.parent / "S001R04.edf")
    return folder


@pytest.fixture(scope="module")
def trained(make, runs):
    """Folder with tables of epochs, and models: of columns, standardised by speaker, and of tensors."""
    cut = " ".join([*LABELS, *SPAN, *CHANNELS, *CORRECTED])
    return make(
        "trained_at_events",
        [
            f"extract {runs} --features eeg-bands {cut} -o bands.parquet",
            f"extract {runs} --features eeg-epochs {cut} -o tensors.parquet",
            "train-linear bands.parquet -o bands.joblib --predictions bands_preds.parquet",
            "train-svm bands.parquet -o speaker.joblib --normalize speaker",
            "train-dnn tensors.parquet -o tensors.pt --encoder eegnet --epochs 1",
        ],
    )


def predicted(run, *words):
    """The JSON object of a prediction, and the table of the same call."""
    done = run("predict", *words, "--json")
    assert done.code == 0, done.err
    assert run("predict", *words, "-o", "p.parquet", "--force").code == 0
    return json.loads(done.out), tables.read_predictions("p.parquet")


# --- tables -----------------------------------------------------------------------------------------------


def test_the_old_option_gives_the_same_bytes_and_is_not_shown(run, runs, tmp_path):
    words = ["extract", runs, "--features", "eeg-bands", *LABELS, *CHANNELS, "-o"]
    assert run(*words, "new.parquet", "--tmin", 0, "--tmax", 4).code == 0
    assert run(*words, "old.parquet", "--epoch", "0,4").code == 0
    assert (tmp_path / "new.parquet").read_bytes() == (tmp_path / "old.parquet").read_bytes()
    for more in (["--tmin", 0], ["--tmax", 4], ["--tmin", 0, "--tmax", 4]):
        assert run(*words, "both.parquet", "--epoch", "0,4", *more).code == 2
    for command in ("extract", "predict", "check"):
        told = run(command, "--help").out
        assert "--tmin" in told
        assert "--epoch " not in told


def test_a_table_keeps_the_span_that_it_was_cut_at(run, runs, trained):
    words = ["extract", runs, "--features", "eeg-bands", *LABELS, *CHANNELS, "-o"]
    for _ in range(2):  # computed, and up to date
        done = run(*words, "default.parquet", "--json")
        assert json.loads(done.out)["epoch"] == [0, 4.1]
        assert "epochs from 0 to 4.1 s" in done.err
    assert tables.read_meta("default.parquet")["epoch"] == [0, 4.1]  # their events last 4.1 s
    assert tables.read_feature_meta(trained / "bands.parquet").epoch == [-0.2, 0.9]
    for file in ("bands.parquet", "bands.joblib", "tensors.pt"):
        assert "epochs from -0.2 to 0.9 s" in run("show", trained / file).out
    assert (
        run("extract", runs, "--features", "eeg-bands", *CHANNELS, "--segment", 9, "-o", "s.parquet").code
        == 0
    )
    assert "epoch" not in tables.read_meta("s.parquet")


def test_the_report_repeats_the_table_byte_for_byte(run, runs, trained, tmp_path):
    done = run("report", trained / "bands_preds.parquet", "-o", "page.html", "--json")
    assert done.code == 0, done.err
    (line,) = [
        each for each in json.loads(done.out)["models"][0]["commands"] if each.startswith("eavctl extract")
    ]
    words = [str(runs) if word == "RECORDINGS" else word for word in shlex.split(line)]
    assert ["--tmin", "-0.2", "--tmax", "0.9"] == words[words.index("--tmin") : words.index("--tmin") + 4]
    again = run(*words[1:])
    assert again.code == 0, again.err
    assert (tmp_path / "bands.parquet").read_bytes() == (trained / "bands.parquet").read_bytes()


def test_rejected_epochs_are_named_with_their_channel_and_counted(run, runs):
    words = ["extract", runs, "--features", "eeg-bands", *LABELS, *SPAN, *CHANNELS, *CORRECTED]
    done = run(*words, "-o", "b.parquet", "--json")
    found = json.loads(done.out)
    assert 0 < len(found["rejected"]) < 30
    assert found["rows"] + len(found["rejected"]) == 30
    for bad in found["rejected"]:
        assert "reject=300" in bad["reason"]
        assert float(bad["clip_id"].partition("@")[2]) == pytest.approx(bad["start"] + 0.2)
    assert "Fp1" in done.err
    assert run(*words, "-o", "b.parquet", "--strict", "--force").code == 3


def test_tables_of_other_spans_are_not_stacked(run, runs, trained):
    words = ["extract", runs, "--features", "eeg-bands", *LABELS, *CHANNELS, *CORRECTED, "--tmin", "-0.2"]
    assert run(*words, "--tmax", 2, "-o", "long.parquet").code == 0
    done = run("train-svm", "long.parquet", trained / "bands.parquet", "-o", "m.joblib")
    assert done.code == 3
    assert "epochs from -0.2 to 0.9 s" in done.err
    assert "epochs from -0.2 to 2 s" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*LABELS, "--tmin", 0, "--tmax", 2, "--set", "baseline=-0.2,0"], "baseline"),
        ([*LABELS, "--tmin", "-0.2", "--set", "baseline=4,9"], "baseline"),
        ([*LABELS, "--segment", 2, "--set", "baseline=0,1"], "--segment"),
        (["--set", "baseline=-0.2,0"], "--events"),
        (["--segment", 2, "--set", "baseline=0,3"], "baseline"),
        (["--events", "T1", "--tmin", 0], "KEY=VALUE"),
        ([*LABELS, "--tmin", 5], "after the start"),
        (["--tmin", 0], "--events"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(run, runs, tmp_path, words, says):
    for more in ([], ["-n"]):
        done = run("extract", runs, "--features", "eeg-bands", *words, "-o", "x.parquet", *more)
        assert done.code == 2
        assert says in done.err
    assert not (tmp_path / "x.parquet").exists()


# --- predictions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["bands.joblib", "tensors.pt", "speaker.joblib"])
def test_predict_cuts_and_corrects_as_extract_did(run, runs, trained, model):
    """The recordings of the training give the rows of its table, with the same probabilities."""
    table = trained / ("tensors.parquet" if model == "tensors.pt" else "bands.parquet")
    found, rows = predicted(run, runs, "--events", "T1,T2", "--model", trained / model)
    _, expected = predicted(run, table, "--model", trained / model)
    assert rows.keys["sample_id"].tolist() == expected.keys["sample_id"].tolist()
    assert np.abs(rows.proba - expected.proba).max() < 1e-6
    assert len(found["predictions"]) + len(found["rejected"]) == 30
    assert {each["reason"][:11] for each in found["rejected"]} == {"channel Fp1"}
    assert rows.keys["label"].isna().all()


def test_labels_of_events_are_those_of_a_manifest(run, runs, trained):
    _, rows = predicted(run, runs, *LABELS, "--model", trained / "bands.joblib")
    expected = tables.read_keys(trained / "bands.parquet")
    assert rows.keys["label"].tolist() == expected["label"].tolist()
    done = run("report", "p.parquet", "-o", "page.html", "--json")
    assert done.code == 0, done.err
    assert 0 <= json.loads(done.out)["models"][0]["uar"]["value"] <= 1


def test_lines_lists_and_several_files_give_the_same_answers(run, runs, trained):
    source, model = runs.parent / "S001R04.edf", ["--events", "T1,T2", "--model", trained / "tensors.pt"]
    found, _ = predicted(run, source, *model)
    lines = [json.loads(line) for line in run("predict", source, *model, "--jsonl").out.splitlines()]
    assert [each for each in lines if "pred" in each] == found["predictions"]
    listed = run("predict", "--files-from", "-", *model, "--jsonl", stdin=f"{source}\nnowhere.edf\n".encode())
    listed = [json.loads(line) for line in listed.out.splitlines()]
    assert [each for each in listed if "pred" in each] == found["predictions"]
    assert any(each.get("recording") == "nowhere.edf" for each in listed)
    alone, _ = predicted(run, "--eeg", source, *model)
    assert alone["predictions"] == found["predictions"]


def test_without_events_a_recording_is_refused_in_one_line_that_says_what_to_do(run, runs, trained):
    for model in ("bands.joblib", "tensors.pt"):
        done = run("predict", runs.parent / "S001R04.edf", "--model", trained / model)
        assert done.code == 3
        assert len(done.err.splitlines()) == 1
        assert "--events" in done.err
        assert "--segment 1.1" in done.err
    done = run("predict", runs.parent / "S001R04.edf", "--segment", 1.1, "--model", trained / model, "--json")
    found = json.loads(done.out)
    assert len(found["predictions"]) + len(found["rejected"]) == 113  # of 125 s
    assert any("epochs from -0.2 to 0.9 s" in warning for warning in found["warnings"])


def test_other_ends_are_for_features_that_have_no_shape(run, runs, trained):
    source = runs.parent / "S001R04.edf"
    for ends, code in ((["--tmax", 2], 2), (["--tmin", "-0.3", "--tmax", 0.8], 0), (["--tmin", 0.5], 2)):
        done = run("predict", source, "--events", "T1,T2", *ends, "--model", trained / "tensors.pt")
        assert done.code == code, done.err
    longer = run("predict", source, "--events", "T1,T2", "--tmax", 2, "--model", trained / "bands.joblib")
    assert longer.code == 0
    assert "trained on 1.1 s" in longer.err
    unbased = run("predict", source, "--events", "T1", "--tmin", 0, "--model", trained / "bands.joblib")
    assert unbased.code == 2
    assert "baseline" in unbased.err


def test_events_without_a_class_need_not_all_occur(run, runs, trained):
    source, model = runs.parent / "S001R04.edf", ["--model", trained / "bands.joblib"]
    done = run("predict", source, "--events", "T1,T9", *model)
    assert done.code == 0
    assert "'T9'" in done.err
    assert run("predict", source, "--events", "T8,T9", *model).code == 3
    assert run("predict", source, "--events", "T1=left,T9=right", *model).code == 3


def test_live_windows_are_as_long_as_epochs_and_say_why_they_are_rejected(trained):
    predictor = Predictor.load(trained / "bands.joblib")
    assert predictor.window_s == pytest.approx(1.1)
    noise = np.random.default_rng(0).normal(scale=20.0, size=(4, 220))
    window = Signal(noise, 200.0, ("C3", "Cz", "C4", "Fp1"))
    assert not epoch_notes(predictor)
    assert "from -0.2 to 0.9 s" in epoch_notes(predictor.for_windows())[0]
    assert predictor.for_windows().judge_window({"eeg": window}).pred in ("left", "right")
    noise[3, 100:120] += 900
    with pytest.raises(SignalError, match=r"Fp1.*reject=300"):
        predictor.for_windows().judge_window({"eeg": window})


def test_the_service_judges_epochs_too(run, runs, trained, tmp_path):
    content = (runs.parent / "S001R04.edf").read_bytes()
    answers = Answers(Predictor.load(trained / "bands.joblib"))
    header = {"job": "recording", "files": {"file": "S001R04.edf"}, "events": "T1, T2"}
    reply = answers.answer(Message(header, [content]))
    found = json.loads(reply.blocks[0])
    (tmp_path / "S001R04.edf").write_bytes(content)
    printed, _ = predicted(run, "S001R04.edf", "--events", "T1,T2", "--model", trained / "bands.joblib")
    assert found["predictions"] == printed["predictions"]
    assert found["rejected"] == printed["rejected"]
