"""The way round typer: the plainest prediction, and nothing else, with the same outcome."""

from pathlib import Path

import pytest

from eavctl.cli import start


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("predict a.wav", ("a.wav", None)),
        ("predict -", ("-", None)),
        ("predict a.wav --model m.joblib", ("a.wav", Path("m.joblib"))),
        ("predict --model m.joblib a.wav", ("a.wav", Path("m.joblib"))),
        ("predict", None),
        ("predict --help", None),
        ("predict a.wav b.wav", None),
        ("predict a.wav --json", None),
        ("predict a.wav --model --json", None),
        ("predict a.wav --plot a.png", None),
        ("extract a.wav", None),
        ("--help", None),
        ("", None),
    ],
)
def test_what_is_plain(line, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start.plain_prediction(line.split()) == expected


def test_nothing_is_plain_where_settings_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EAVCTL_PREDICT_JSON", "1")
    assert start.plain_prediction(["predict", "a.wav"]) is None
    monkeypatch.delenv("EAVCTL_PREDICT_JSON")
    assert start.plain_prediction(["predict", "a.wav"])
    (tmp_path / "eavctl.toml").write_text("[predict]\njson = true\n")
    assert start.plain_prediction(["predict", "a.wav"]) is None


@pytest.mark.parametrize("clip", ["dataset/sad/sad_sample_1.wav", "dataset", "absent.wav", "svm.joblib"])
@pytest.mark.parametrize("model", ["svm.joblib", "absent.joblib", "preds.parquet"])
def test_the_way_round_ends_where_the_long_way_does(run, made, clip, model):
    words = ["predict", made / clip, "--model", made / model]
    short = run(*words)
    long = run(*words, "--verbose")
    assert start.plain_prediction([str(word) for word in words])
    assert (short.code, short.out, short.err) == (long.code, long.out, long.err)
