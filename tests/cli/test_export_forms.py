"""``eavctl export`` with --int8, --half and --tensorrt, and ``eavctl bench``, on networks of the twin."""

import json

import pytest

from eavctl.storage import artifacts, onnx_files


@pytest.fixture(scope="module", autouse=True)
def short_measurements():
    """Times are not judged here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eavctl.export.measured.LATENCY_BUDGET_S", 0.2)
        yield


@pytest.fixture
def never_faster(monkeypatch):
    """No variant counts as faster."""
    monkeypatch.setattr("eavctl.export.measured.FASTER", 0.0)


@pytest.fixture
def always_better(monkeypatch):
    """A variant needs only be smaller."""
    monkeypatch.setattr("eavctl.export.measured.FASTER", 1e9)
    monkeypatch.setattr("eavctl.export.measured.MOST_LOSS", 1.0)


def precision(path):
    return onnx_files.read(path).meta["export"]["precision"]


def test_int8_is_taken_where_it_is_better(run, eav, tmp_path, always_better):
    check = ("--check", eav / "faces.parquet")
    result = run("export", eav / "faces.pt", "-o", "vit.onnx", "--int8", *check, "--json")
    assert result.code == 0, result.err
    answer = json.loads(result.out)
    assert answer["export"]["precision"] == precision(tmp_path / "vit.onnx") == "int8"
    own, other = answer["converted"]["variants"]
    assert answer["size"] == (tmp_path / "vit.onnx").stat().st_size < 0.6 * own["n_bytes"]
    assert own["decisions"] == 0
    assert other["difference"]["n_clusters"] == 2
    assert "training" in result.err  # all rows are those of the model
    assert artifacts.load(tmp_path / "vit.onnx").classes_.size == 5


def test_int8_that_is_not_faster_is_declined_unless_forced(run, eav, tmp_path, never_faster):
    words = ("export", eav / "faces.pt", "-o", "vit.onnx", "--int8")
    declined = run(*words)
    assert declined.code == 0
    assert "not faster" in declined.err
    assert precision(tmp_path / "vit.onnx") == "float32"
    forced = run(*words, "--force")
    assert "--force" in forced.err
    assert precision(tmp_path / "vit.onnx") == "int8"


def test_convolutional_networks_need_calibration(run, eav, tmp_path, always_better):
    words = ("export", eav / "epochs.pt", "-o", "eegnet.onnx", "--int8")
    refused = run(*words)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "--calibrate" in refused.err
    assert not (tmp_path / "eegnet.onnx").exists()
    done = run(*words, "--calibrate", eav / "epochs.parquet", "--force")
    assert done.code == 0, done.err
    assert precision(tmp_path / "eegnet.onnx") == "int8"


def test_half_with_a_tensorrt_command(run, eav, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ("export", eav / "epochs.pt", "-o", "eegnet.onnx", "--half", "--tensorrt", 11, "--force")
    answer = json.loads(run(*words, "--json").out)
    assert precision(tmp_path / "eegnet.onnx") == "float16"
    assert not answer["engine"]["built"]
    assert "--saveEngine=eegnet.engine" in answer["engine"]["command"]
    assert not any(word.startswith("--fp16") for word in answer["engine"]["command"])


@pytest.mark.parametrize(
    "options",
    [
        ["--int8", "--half"],
        ["--calibrate", "t.parquet"],
        ["--tensorrt", 9],
        ["--half", "-o", "m.safetensors"],
    ],
)
def test_options_that_cannot_be_meant(run, eav, options):
    assert run("export", eav / "epochs.pt", "-o", "m.onnx", *options, "-n").code == 2


def test_an_engine_that_is_there_is_not_overwritten(run, eav, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "m.engine").write_text("mine")
    words = ("export", eav / "epochs.pt", "-o", "m.onnx", "--tensorrt", 10, "-n")
    assert run(*words).code == 2
    assert run(*words, "--force").code == 0


def test_bench_shows_the_forms_side_by_side(run, eav):
    result = run("bench", eav / "faces.pt", "--check", eav / "faces.parquet", "--json")
    assert result.code == 0, result.err
    answer = json.loads(result.out)
    assert [each["name"].split(",")[0] for each in answer["variants"]] == ["torch", "onnx", "int8"]
    torch, onnx, _ = answer["variants"]
    assert torch["largest"] == 0
    assert onnx["largest"] < 1e-5
    assert all(0 <= each["uar"]["value"] <= 1 for each in answer["variants"])
    assert torch["peak_mb"] > onnx["peak_mb"]  # torch itself


def test_bench_of_columns_and_of_an_exported_model(run, eav, tmp_path):
    shown = run("bench", eav / "bands.joblib")
    assert shown.code == 0, shown.err
    assert "numpy" in shown.out
    assert run("export", eav / "bands.joblib", "-o", "m.onnx").code == 0
    answer = json.loads(run("bench", "m.onnx", "--json").out)
    assert [each["name"] for each in answer["variants"]] == ["float32"]
    assert answer["rows"]["made_up"]


def test_a_plan_of_bench_measures_nothing(run, eav):
    planned = json.loads(run("bench", eav / "faces.pt", "-n", "--json").out)
    assert planned["dry_run"]
    assert "variants" not in planned
    assert run("bench", "none.pt", "-n").code == 3
