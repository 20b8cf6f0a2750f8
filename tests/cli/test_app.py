"""The command line as a whole: help, imports, settings, exit codes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from eavctl.cli import app

HEAVY = ("numpy", "scipy", "librosa", "sklearn", "torch", "pandas", "mne", "pyarrow", "matplotlib", "joblib")


def commands():
    app._register_commands([])
    return typer.main.get_command(app.app).commands


def test_help_and_version_import_nothing_heavy():
    lines = ["--help", "--version", "help", "show --version", "", *(f"{name} --help" for name in commands())]
    script = f"""
import sys
from eavctl.cli.start import run
for line in {lines!r}:
    assert run(line.split()) == (0 if line else 2), line
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (line, heavy)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_completion_imports_nothing_heavy():
    script = f"""
import os, sys
os.environ |= {{"_EAVCTL_COMPLETE": "complete_bash", "COMP_WORDS": "eavctl ext", "COMP_CWORD": "1"}}
from eavctl.cli.start import run
try:
    run([])
finally:
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    print(heavy, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["extract"]
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", commands())
def test_help_opens_with_examples_that_name_the_command(name, run):
    shown = run(name, "--help").out
    assert app.EXAMPLES[name]
    first = shown.index("Examples:")
    assert first < shown.index("Options:")
    for example in app.EXAMPLES[name]:
        assert example.startswith(f"eavctl {name} ")
        assert example in shown


@pytest.mark.parametrize("example", [e for name in commands() for e in app.EXAMPLES[name]])
def test_examples_are_well_formed(example):
    """Every example parses; what it does is tested beside its command and in the README's tour."""
    _, name, *words = shlex.split(example)
    command = commands()[name]
    command.make_context(name, words, resilient_parsing=False)


def test_every_command_is_in_the_readme():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name in commands():
        assert re.search(rf"\| `{name}` ", readme), name


def test_every_option_has_help():
    for name, command in commands().items():
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


SHARED = {
    "quiet": {"-q", "--quiet"},
    "verbose": {"-v", "--verbose"},
    "version": {"--version"},
    "dry_run": {"-n", "--dry-run"},
    "as_json": {"--json"},
}
SOMETIMES = {
    "out": {"-o", "--out"},
    "jobs": {"-j", "--jobs"},
    "seed": {"-s", "--seed"},
    "force": {"-f", "--force"},
    **{
        name: {f"--{name}"}
        for name in ("segment", "hop", "where", "events", "tmin", "tmax", "epoch", "rejected", "layout")
    },
}
COMPUTING = (
    *("extract", "synth", "train-svm", "train-linear", "train-dnn", "train-fusion", "zero-shot", "fuse"),
    *("predict", "serve", "tune", "pretrain", "probe", "train-ground", "check", "explain"),
)


def test_options_are_called_alike_on_every_command():
    known = SHARED | SOMETIMES
    for name, command in commands().items():
        options = {each.name: set(each.opts) for each in command.params if each.param_type_name == "option"}
        assert SHARED.keys() <= options.keys(), name
        assert ("jobs" in options) == (name in COMPUTING), name
        for option, words in options.items():
            clash = {key for key, each in known.items() if each & words}
            assert clash == ({option} if option in known else set()), f"{name} {words}"
            assert words == known.get(option, words)


def test_shared_options_have_one_help():
    found = {}
    for name, command in commands().items():
        for each in command.params:
            if each.name in SHARED or each.name in (
                "force",
                "seed",
                "where",
                "events",
                "segment",
                "rejected",
            ):
                assert found.setdefault(each.name, each.help) == each.help, f"{name} {each.name}"


def test_help_is_plain_ascii_so_that_any_terminal_shows_it(run):
    assert "".join(run(name, "--help").out for name in commands()).isascii()


def test_eavctl_alone_prints_its_help_and_has_not_been_told_what_to_do(run):
    alone = run()
    assert (alone.code, alone.err) == (2, "")
    assert alone.out.strip() == run("--help").out.strip()


def test_help_is_a_command_too(run):
    for words, same in ((["help"], ["--help"]), (["help", "extract"], ["extract", "--help"])):
        asked, expected = run(*words), run(*same)
        assert (asked.code, asked.out, asked.err) == (expected.code, expected.out, expected.err)
        assert asked.code == 0
        assert "Usage: " in asked.out
    assert run("help", "bogus").code == 2


@pytest.mark.parametrize("name", commands())
def test_every_command_tells_the_version(run, name):
    assert run(name, "--version").out == run("--version").out


def test_a_variable_named_version_is_no_option(run, monkeypatch):
    monkeypatch.setenv("EAVCTL_VERSION", "1")
    assert "would " in run("synth", "-n").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bogus"], "No such command"),
        (["extract"], "Missing argument"),
        (["extract", "x", "-o", "y.parquet", "--wrong"], "--wrong"),
        (["train-svm", "x", "-o", "y.joblib", "--folds", "1"], "--folds"),
        (["extract", "x", "-o", "y.parquet", "--hop", "1"], "--segment"),
        (["extract", "x", "-o", "y.parquet", "--features", "functional"], "Did you mean 'functionals'"),
        (["extract", "x", "-o", "y.parquet", "--set", "a=1"], "no setting 'a'"),
    ],
)
def test_wrong_usage_ends_with_2_and_two_lines(run, words, message):
    result = run(*words)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) <= 2
    assert "Traceback" not in result.err


def test_bad_data_ends_with_3_and_names_the_file(run, tmp_path):
    (tmp_path / "bad.parquet").write_text("no table")
    for words in (
        ["train-svm", "bad.parquet", "-o", "m.joblib"],
        ["report", "bad.parquet", "-o", "r.html"],
        ["show", "bad.parquet"],
    ):
        result = run(*words)
        assert result.code == 3
        assert "bad.parquet" in result.err
        assert len(result.err.splitlines()) <= 2


def test_a_bug_ends_with_1_and_shows_its_traceback_on_request(run, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("boo")

    monkeypatch.setattr("eavctl.stages.show.show", broken)
    result = run("show", "x")
    assert result.code == 1
    assert "bug: ZeroDivisionError: boo" in result.err
    assert "Traceback" not in result.err
    assert "Traceback" in run("show", "x", "-v", "-v").err


def test_interruption_ends_with_130(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("eavctl.stages.show.show", interrupted)
    result = run("show", "x")
    assert (result.code, result.err) == (130, "interrupted\n")


def test_flag_beats_environment_beats_file_beats_default(run, tmp_path, monkeypatch):
    def seen(*extra):
        return run("synth", "--dry-run", *extra).err

    assert "50 recordings of happy, " not in seen()
    assert "would write 200 recordings" in seen()
    (tmp_path / "eavctl.toml").write_text('seed = 3\n[synth]\nper-class = 7\nclasses = "happy,sad"\n')
    assert "would write 14 recordings of happy, sad" in seen()
    monkeypatch.setenv("EAVCTL_SYNTH_PER_CLASS", "5")
    assert "would write 10 recordings" in seen()
    assert "would write 4 recordings" in seen("--per-class", "2")


@pytest.mark.parametrize(
    "text", ["[extrat]\njobs = 2\n", "[synth]\nper-clas = 2\n", "jbos = 2\n", "jobs = = 2\n"]
)
def test_settings_nobody_knows_are_refused(run, tmp_path, text):
    (tmp_path / "eavctl.toml").write_text(text)
    result = run("synth", "--dry-run")
    assert result.code == 2
    assert "eavctl.toml" in result.err


def test_quiet_says_nothing(run):
    assert run("synth", "--per-class", "1", "-q").err == ""
