"""What cannot be meant ends with 2, what is not there with 3; neither begins any work, and none is a bug."""

import pytest

from eavctl.errors import DataError, UsageError
from eavctl.predicting import sources, streams
from eavctl.signals import segments
from eavctl.stages import fuse, predict, report
from eavctl.storage import artifacts
from eavctl.training.fusion_setup import FusionSetup

EXTRACT = ("extract", "absent", "-o", "y.parquet")
LOGMEL = (*EXTRACT, "--features", "logmel")
DNN = ("train-dnn", "absent.parquet", "-o", "y.pt", "--encoder", "eegnet")
FUSION = ("train-fusion", "a.parquet", "b.parquet", "-o", "y.pt")
ZERO_SHOT = ("zero-shot", "a.parquet", "b.parquet", "-o", "y.parquet")


def check(result, code, told):
    assert result.code == code, result.err
    assert told in result.err
    assert "bug" not in result.err
    assert len(result.err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*EXTRACT, "--features", "eeg-bands", "--set", "low=abc"), "low"),
        ((*EXTRACT, "--features", "eeg-bands", "--set", "channels="), "--set"),
        ((*EXTRACT, "--features", "eeg-bands", "--set", "channels=[]"), "channels"),
        ((*EXTRACT, "--features", "eeg-bands", "--set", "channels=" + "[" * 9000), "lacks"),
        ((*LOGMEL, "--set", "n_mels=0"), "n_mels"),
        ((*LOGMEL, "--set", "n_mels=1000000000"), "n_mels"),
        ((*LOGMEL, "--set", "n_mels=NaN"), "n_mels"),
        ((*LOGMEL, "--set", "n_mels=16", "--set", "n_mels=32"), "n_mels"),
        ((*EXTRACT, "--segment", "nan"), "--segment"),
        ((*EXTRACT, "--segment", "inf"), "--segment"),
        ((*EXTRACT, "--segment", "0"), "--segment"),
        ((*EXTRACT, "--segment", "1", "--hop", "0.0000001"), "--hop"),
        ((*EXTRACT, "--segment", "1", "--hop=-inf"), "--hop"),
        ((*EXTRACT, "--events", "T1=a", "--tmin", "nan", "--tmax", "4"), "tmin"),
        ((*EXTRACT, "--events", "T1=a", "--tmax", "inf"), "tmax"),
        ((*EXTRACT, "--events", ","), "events"),
        ((*EXTRACT, "--copies", "2"), "--augment"),
        ((*EXTRACT, "--events", "T1=a,T1=b"), "T1"),
        ((*EXTRACT, "--where", "task=a", "--where", "task=b"), "task"),
        ((*DNN, "--set", "f1=-3"), "f1"),
        ((*DNN, "--set", "f1=true"), "f1"),
        ((*DNN, "--set", "dropout=1e300"), "dropout"),
        ((*DNN, "--lr", "nan"), "--lr"),
        ((*DNN, "--lr", "1e300"), "lr"),
        ((*DNN, "--dropout", "7"), "dropout"),
        ((*DNN, "--batch", "99999999999999999999"), "batch"),
        ((*DNN, "--members", "1000000"), "members"),
        ((*DNN, "--seed", "4294967296"), "--seed"),
        ((*FUSION, "--contrastive", "nan"), "--contrastive"),
        ((*FUSION, "--freeze-epochs", "50"), "50"),
        (ZERO_SHOT, "--held-out"),
        ((*ZERO_SHOT, "--held-out", "sad", "--init", "a.pt"), "--init"),
        ((*ZERO_SHOT, "--held-out", "sad", "--freeze-epochs", "1"), "--freeze-epochs"),
        ((*ZERO_SHOT, "--held-out", "sad", "--partial"), "--partial"),
        (("fuse", "a.parquet", "b.parquet", "-o", "y.parquet", "--epochs", "1"), "--epochs"),
        (("fuse", "a.parquet", "b.parquet", "-o", "y.parquet", "--init", "a.pt"), "--init"),
        (("fuse", "a.parquet", "b.parquet", "-o", "y.parquet", "--save", "f", "--use", "f"), "--use"),
        (("synth", "-n", "--layout", "eav", "--snr", "nan"), "--snr"),
        (("synth", "--layout", "eav", "--seconds", "-1"), "-1.0 s"),
        (("synth", "--layout", "eav", "--seconds", "1e300"), "1e+300"),
        (("train-svm", "absent.parquet", "-o", "y.joblib", "--jobs", "0"), "--jobs"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(run, words, told):
    if told == "lacks":  # a text of brackets is a channel's name, and the folder is not there
        check(run(*words), 3, "absent")
        return
    check(run(*words), 2, told)


@pytest.mark.parametrize(
    "words",
    [
        ("predict", ""),
        ("predict", "", "--model", "svm.joblib"),
        ("predict", "--model", "", "a.wav"),
        ("predict", "a.wav", "--model="),
        ("predict", "--eeg", "", "--audio", "a.wav"),
        ("extract", "", "-o", "y.parquet"),
        ("extract", "dataset", "-o", ""),
        ("extract", "dataset", "-o", "y.parquet", "--rejected", ""),
        ("train-svm", "", "-o", "y.joblib"),
        ("fuse", "a.parquet", "", "-o", "y.parquet"),
        ("fuse", "a.parquet", "b.parquet", "-o", "y.parquet", "--save="),
        ("pretrain", "", "-o", "y.pt"),
        ("train-fusion", "a.parquet", "", "-o", "y.pt"),
        ("train-fusion", "a.parquet", "b.parquet", "-o", "y.pt", "--init", ""),
        ("zero-shot", "a.parquet", "", "--held-out", "sad", "-o", "y.parquet"),
        ("report", "", "-o", "r.html"),
        ("show", ""),
        ("init", ""),
        ("synth", "--out", ""),
    ],
)
def test_an_empty_word_reads_and_writes_nothing(run, made, tmp_path, monkeypatch, words):
    monkeypatch.setattr("os.walk", lambda *_, **__: pytest.fail("a folder was walked"))
    (tmp_path / "svm.joblib").write_bytes((made / "svm.joblib").read_bytes())
    check(run(*words), 2, "variable")
    assert [path.name for path in tmp_path.iterdir()] == ["svm.joblib"]


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "absent.wav", "clip.wav"),
        ("predict", "clip.wav", "absent.wav"),
        ("predict", "absent", "clip.wav"),
        ("predict", "absent.parquet", "clip.wav"),
        ("predict", "absent.csv", "clip.wav"),
        ("predict", "--audio", "absent.wav"),
        ("predict", "clip.wav", "--model", "absent.joblib"),
        ("extract", "absent.csv", "-o", "y.parquet"),
        ("train-svm", "absent.parquet", "-o", "y.joblib"),
        ("train-dnn", "absent.parquet", "-o", "y.pt"),
        ("pretrain", "absent.parquet", "-o", "y.pt"),
        ("fuse", "preds.parquet", "absent.parquet", "-o", "y.parquet"),
        ("fuse", "preds.parquet", "preds.parquet", "-o", "y.parquet", "--use", "absent.joblib"),
        ("train-fusion", "feats.parquet", "absent.parquet", "-o", "y.pt"),
        ("train-fusion", "feats.parquet", "feats.parquet", "-o", "y.pt", "--init", "absent.pt"),
        ("zero-shot", "feats.parquet", "absent.parquet", "--held-out", "sad", "-o", "y.parquet"),
        ("report", "preds.parquet", "absent.parquet", "-o", "y.html"),
        ("show", "absent.parquet"),
    ],
)
def test_what_is_named_and_not_there_ends_with_3_before_work_begins(run, made, tmp_path, monkeypatch, words):
    for name in ("svm.joblib", "preds.parquet", "feats.parquet"):
        (tmp_path / name).symlink_to(made / name)
    (tmp_path / "clip.wav").symlink_to(made / "dataset/sad/sad_sample_1.wav")
    monkeypatch.setattr("eavctl.stages.predict.Predictor.describe", lambda *_: pytest.fail("work began"))
    check(run(*words), 3, "absent")
    assert not list(tmp_path.glob("y.*"))


def test_a_file_that_a_manifest_lacks_is_a_rejected_recording(run, made, tmp_path):
    clip = made / "dataset/sad/sad_sample_1.wav"
    (tmp_path / "m.csv").write_text(f"path\n{clip}\nabsent.wav\n")
    result = run("predict", "m.csv", "--model", made / "svm.joblib")
    assert result.code == 0, result.err
    assert "absent.wav" in result.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--hop", "1"), "--hop needs"),
        (("--segment", "0"), "--segment must"),
        (("--segment", "-1"), "--segment must"),
        (("--segment", "1", "--hop", "0"), "--hop must"),
        (("--segment", "1", "--hop", "0.0000001"), "--hop must"),
        (("--trial", "0"), "--trial"),
        (("--trial", "2"), "--trial"),
    ],
)
def test_segments_and_trials_that_cannot_be(run, made, words, told):
    result = run("predict", made / "dataset/sad/sad_sample_1.wav", "--model", made / "svm.joblib", *words)
    check(result, 2, told)


def test_a_recording_of_too_many_segments_is_rejected_with_the_reason(run, made, monkeypatch):
    monkeypatch.setattr(segments, "MOST_SEGMENTS", 3)
    result = run("extract", made / "dataset", "-o", "y.parquet", "--segment", "0.2")
    assert result.code == 3
    assert "lengthen the hop" in result.err


def test_init_wants_a_folder(run, tmp_path):
    (tmp_path / "manifest.csv").write_text("path\n")
    check(run("init", "manifest.csv"), 2, "manifest.csv")
    check(run("init", "manifest.csv/below"), 3, "manifest.csv")
    check(run("init", "p" * 300), 3, "ppp")
    assert (tmp_path / "manifest.csv").read_text() == "path\n"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.csv"]


# --- the same in Python


def test_a_single_path_is_one_source(made, tmp_path):
    clip, model = made / "dataset/sad/sad_sample_1.wav", made / "svm.joblib"
    one = [predict.predict(each, model).rows for each in (str(clip), clip, [clip])]
    assert [len(rows) for rows in one] == [1, 1, 1]
    assert len({rows[0].proba.tobytes() for rows in one}) == 1
    assert report.make_report(str(made / "preds.parquet")) == report.make_report([made / "preds.parquet"])
    with pytest.raises(UsageError, match=r"two"):  # tables are wanted, and none is called "p"
        fuse.fuse(str(made / "preds.parquet"), tmp_path / "fused.parquet")
    setup = FusionSetup(made / "feats.parquet", encoders="mlp")
    assert (list(setup.tables), list(setup.encoders)) == ([str(made / "feats.parquet")], ["mlp"])


def test_an_empty_or_absent_path_is_refused_in_python_too(made, monkeypatch):
    monkeypatch.setattr("os.walk", lambda *_, **__: pytest.fail("a folder was walked"))
    model = made / "svm.joblib"
    for empty in ("", [""], ["-", ""]):
        with pytest.raises(UsageError):
            predict.predict(empty, model)
    with pytest.raises(UsageError):
        predict.predict([], model, separate={"audio": ""})
    with pytest.raises(DataError, match=r"/absent\.wav"):
        predict.predict("/absent.wav", model)
    with pytest.raises(UsageError):
        report.make_report("")


@pytest.mark.parametrize("cutting", [(0, None), (None, 1.0), (float("nan"), None), (1.0, 1e-7)])
def test_a_cutting_that_cannot_be_is_refused_for_every_model(made, cutting):
    with pytest.raises(UsageError):
        streams.stream_inputs(artifacts.read_meta(made / "svm.joblib"), *cutting)


@pytest.mark.parametrize("trial", [0, -1])
def test_trials_are_counted_from_one(trial):
    with pytest.raises(UsageError, match="from 1"):
        sources.selection(("eeg",), None, trial)
