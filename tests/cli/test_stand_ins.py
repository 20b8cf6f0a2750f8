"""What stands in for options: the environment and eavctl.toml, checked as the command line is."""

import functools
import json

import pytest
import typer

from eavctl.cli import app, stand_ins, start
from eavctl.errors import UsageError

CHOOSERS = (
    *("force", "out", "predictions", "save", "rejected", "plot", "tensorboard"),
    *("model", "use", "init", "weights", "face_model", "eeg", "audio", "video"),
)


@functools.cache
def commands():
    app._register_commands([])
    return typer.main.get_command(app.app).commands


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("EAVCTL_EXTRACT_FEATURE", "EAVCTL_EXTRACT_FEATURES"),
        ("EAVCTL_SYNHT_SEED", "EAVCTL_SYNTH_SEED"),
        ("EAVCTL_JOB", "EAVCTL_JOBS"),
        ("EAVCTL_SYNTH_AS_JSON", "EAVCTL_SYNTH_JSON"),
        ("EAVCTL_", "EAVCTL"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest(run, monkeypatch, variable, meant):
    monkeypatch.setenv(variable, "1")
    result = run("synth", "--dry-run", "--per-class", "1")
    assert result.code == 2
    assert variable in result.err
    assert meant in result.err
    assert len(result.err.splitlines()) <= 2


def test_variables_of_the_tests_and_empty_ones_are_no_settings(run, monkeypatch):
    for name, value in (("EAVCTL_TEST_DATA", "/data"), ("EAVCTL_REQUIRE_DATA", "1"), ("EAVCTL_JOBS", "")):
        monkeypatch.setenv(name, value)
    assert run("synth", "--dry-run").code == 0
    assert start.plain_prediction(["predict", "a.wav"])
    monkeypatch.setenv("EAVCTL_JOBS", "2")
    assert start.plain_prediction(["predict", "a.wav"]) is None


@pytest.mark.parametrize("name", commands())
def test_every_option_has_a_variable_named_as_its_flag(name, monkeypatch):
    for parameter in commands()[name].params:
        if parameter.param_type_name == "argument" or parameter.is_eager:
            continue
        flag = next(each for each in parameter.opts if each.startswith("--"))
        variable = f"EAVCTL_{name}_{flag[2:]}".replace("-", "_").upper()
        with monkeypatch.context() as patch:
            patch.setenv(variable, "v")
            found = stand_ins.stand_ins(commands())[name][parameter.name]
        assert found == (["v"] if parameter.multiple else "v")


def test_lists_in_the_environment_are_words(run, made, tmp_path, monkeypatch):
    monkeypatch.setenv("EAVCTL_EXTRACT_SET", """n_mels=16 'n_frames= 48'""")
    monkeypatch.setenv("EAVCTL_EXTRACT_FEATURES", "logmel")
    result = run("extract", made / "dataset", "-o", "m.parquet", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["shape"] == [16, 48]
    monkeypatch.setenv("EAVCTL_EXTRACT_SET", "n_mels='16")
    assert run("extract", made / "dataset", "-o", "m.parquet").code == 2


@pytest.mark.parametrize(
    "text",
    [
        '[extract]\nfeatures = "logmel"\nset = ["n_mels=16", "n_frames=48"]\n',
        '[extract]\nfeatures = "logmel"\n[extract.set]\nn_mels = 16\nn_frames = 48\n',
        'features = "logmel"\njson = true\nset = ["n_mels=16", "n_frames=48"]\n',
    ],
)
def test_settings_of_a_feature_set_stand_in_the_file(run, made, tmp_path, text):
    (tmp_path / "eavctl.toml").write_text(text)
    result = run("extract", made / "dataset", "-o", "m.parquet", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["shape"] == [16, 48]


def test_a_list_in_a_table_of_settings_stays_one(run, tmp_path):
    (tmp_path / "eavctl.toml").write_text('[extract.set]\nchannels = ["C3", 4]\n')
    result = run("extract", "x", "--features", "eeg-bands", "-o", "y.parquet")
    assert result.code == 2
    assert "channels must be a list of texts" in result.err


@pytest.mark.parametrize("table", ["", "[predict]\n", "[extract]\n", "[fuse]\n", "[train-dnn]\n"])
@pytest.mark.parametrize("name", CHOOSERS)
def test_the_file_chooses_and_overwrites_nothing(tmp_path, monkeypatch, name, table):
    """It may have come with a downloaded folder."""
    monkeypatch.chdir(tmp_path)
    for value in ("true", '"x.parquet"', '["x.pt"]'):
        (tmp_path / "eavctl.toml").write_text(f"{table}{name} = {value}\n")
        with pytest.raises(UsageError, match="eavctl.toml"):
            stand_ins.stand_ins(commands())


@pytest.mark.parametrize(
    "text",
    [
        '[extract]\nset = ["face_model=x.onnx"]\n',
        '[extract]\nset = [" face_model = x.onnx"]\n',
        '[extract.set]\nface_model = "x.onnx"\n',
        'set = ["face_model=x.onnx"]\n',
    ],
)
def test_nor_does_a_setting_of_the_file(run, tmp_path, text):
    (tmp_path / "eavctl.toml").write_text(text)
    assert run("synth", "--dry-run").code == 2


@pytest.mark.parametrize("name", commands())
def test_no_option_for_a_path_and_no_argument_can_stand_in_the_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for parameter in commands()[name].params:
        if parameter.param_type_name == "argument" or "path" in parameter.type.name:
            (tmp_path / "eavctl.toml").write_text(f'[{name}]\n{parameter.name} = "x"\n')
            with pytest.raises(UsageError, match=parameter.name):
                stand_ins.stand_ins(commands())


@pytest.mark.parametrize(
    "line",
    [
        'quiet = "yes"',
        "quiet = 1",
        "verbose = true",
        "jobs = true",
        "jobs = 2.0",
        'jobs = "2"',
        "seconds = nan",
        "seconds = -inf",
        f"seconds = {10**400}",
        "seconds = true",
        "classes = 3",
        'classes = ["happy"]',
        "per-class = 1979-05-27",
        "json = {a = 1}",
        '[extract]\nset = "n_mels=16"',
        "[extract]\nset = [3]",
        "[extract]\nwhere = {task = 3}",
        "extract = 3",
        "[extract.events]\na = 1",
        "[report]\ntables = []",
        "a = " + "[" * 2000,
    ],
)
def test_values_of_another_type_are_refused(run, tmp_path, line):
    (tmp_path / "eavctl.toml").write_text(line + "\n")
    result = run("synth", "--dry-run")
    assert result.code == 2
    assert "eavctl.toml" in result.err
    assert len(result.err.splitlines()) <= 2
    assert len(result.err) < 400


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"jobs = 2\0", b"\xef\xbb\xbfjobs = 2", b"jobs = 2\njobs = 3"]
)
def test_a_file_that_is_no_toml_is_refused(run, tmp_path, content):
    (tmp_path / "eavctl.toml").write_bytes(content)
    assert run("synth", "--dry-run").code == 2


def test_a_value_out_of_range_says_that_it_is_not_of_the_command_line(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EAVCTL_SEED", "-1")
    told = run("synth", "--dry-run")
    assert told.code == 2
    assert "environment" in told.err
    monkeypatch.delenv("EAVCTL_SEED")
    assert "environment" not in run("synth", "--dry-run", "--seed", "-1").err


def test_a_flag_of_the_environment_is_read_as_one(run, monkeypatch):
    monkeypatch.setenv("EAVCTL_SYNTH_DRY_RUN", "yes")
    assert "would write" in run("synth").err
    monkeypatch.setenv("EAVCTL_SYNTH_DRY_RUN", "perhaps")
    assert run("synth").code == 2
