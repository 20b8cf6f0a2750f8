"""What reaches terminals: any name, in any encoding, as text and nothing more."""

import io
import json
import os
import shutil
import unicodedata

import pytest

from eavctl.cli import console, start

FORGED = "a\x1b[31m\nwarning: forged\r\x9b2J\u202e[red].wav"


def lines_of(text):
    """The lines of an output, once it is seen that nothing in it steers a terminal."""
    assert not [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"], text
    assert "\u202e" not in text
    return text.split("\n")[:-1]


@pytest.fixture
def odd(made, tmp_path):
    """A folder of a sound of that name and of a file of it that is none."""
    (tmp_path / "odd/sad").mkdir(parents=True)
    shutil.copy(made / "dataset/sad/sad_sample_1.wav", tmp_path / "odd/sad" / FORGED)
    (tmp_path / "odd/sad" / f"b{FORGED}").write_text("no sound")
    return tmp_path / "odd"


@pytest.mark.parametrize("line", ["extract odd -o f.parquet --features seed33", "predict odd"])
def test_names_in_messages_are_shown_and_not_obeyed(run, made, odd, line):
    shutil.copy(made / "svm.joblib", "svm.joblib")
    result = run(*line.split())
    assert result.code == 0
    said = lines_of(result.err) + lines_of(result.out)
    assert not [each for each in said if each.startswith("warning: forged")]
    assert [each for each in said if r"\x1b[31m\nwarning: forged\r\x9b2J\u202e[red].wav: not a sound" in each]


@pytest.mark.parametrize(
    "words",
    [
        ["predict", f"odd/sad/b{FORGED}", "--model", "svm.joblib"],
        ["predict", f"gone/{FORGED}", "--model", "svm.joblib"],
        ["extract", f"gone/{FORGED}", "-o", "f.parquet"],
        ["show", FORGED],
        ["report", "preds.parquet", "-o", f"{FORGED}/r.html"],
        ["extract", "odd", f"--out={FORGED}/f.parquet"],
        [FORGED],
        ["extract", "odd", "-o", "f.parquet", "--strict"],
    ],
)
def test_names_in_errors_make_no_line_of_their_own(run, made, odd, words):
    shutil.copy(made / "svm.joblib", "svm.joblib")
    shutil.copy(made / "preds.parquet", "preds.parquet")
    result = run(*words)
    assert result.code in (2, 3)
    said = lines_of(result.err)
    assert not [each for each in said if each.startswith("warning: forged")]
    (error,) = [each for each in said if each.startswith("error: ")]
    assert r"\nwarning: forged" in error


def test_names_that_are_not_utf8_are_printed_as_escapes(run, made, tmp_path):
    name = os.fsdecode(b"b\xff.wav")
    shutil.copy(made / "dataset/sad/sad_sample_1.wav", name)
    (tmp_path / os.fsdecode(b"z\xff.wav")).write_text("no sound")
    model = ["--model", made / "svm.joblib"]
    result = run("predict", name, os.fsdecode(b"z\xff.wav"), *model, "--rejected", "bad.csv")
    assert (result.code, result.out.split("\n")[0]) == (0, r"b\xff.wav: sad")
    assert r"z\xff.wav" in (tmp_path / "bad.csv").read_text()
    found = json.loads(run("predict", name, *model, "--json").out)
    assert found["predictions"][0]["recording"] == name
    refused = run("predict", name, *model, "-o", "p.parquet")  # a table holds Unicode alone
    assert (refused.code, r"b\xff.wav" in refused.err) == (3, True)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_the_encoding_lacks_is_escaped(made, tmp_path, monkeypatch, encoding):
    monkeypatch.chdir(tmp_path)
    shutil.copy(made / "dataset/sad/sad_sample_1.wav", "日本.wav")

    def printed(*words):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(f"sys.{name}", stream)
        assert start.run(["predict", "日本.wav", "--model", str(made / "svm.joblib"), *words]) == 0
        for stream in streams.values():
            stream.flush()
        return [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]

    card, said = printed()
    shown = "日本.wav" if encoding == "utf-8" else r"\u65e5\u672c.wav"
    assert card.startswith(f"{shown}: sad")
    assert shown in said
    assert card.count("█" if encoding == "utf-8" else "#") >= console.SHOWN
    found = json.loads(printed("--json")[0])
    assert found["predictions"][0]["recording"] == "日本.wav"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_note_beside_the_bar_is_no_markup(monkeypatch, is_terminal):
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(console, "PLAIN_EVERY_S", -1.0)
    monkeypatch.setenv("COLUMNS", "200")
    console.begin()
    with console.progress("work") as tick:
        tick(1, 2, "[red]a[/blue]\x1b]0;title\x07")
    assert "[red]a[/blue]" in stream.getvalue()
    assert "\x1b]0;" not in stream.getvalue()


def test_a_second_command_line_starts_afresh(capsys):
    console.begin(["-"])
    console.warn("first")
    console.begin()
    console.warn("second")
    console.emit_result("show", ["a", "b"], {"command": "forged", "x": 1})
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "command": "show", "out": ["a", "b"], "up_to_date": False, "dry_run": False, "warnings": ["second"],
        "x": 1,
    }  # fmt: skip
