"""``eavctl export`` with --int8, --half and --tensorrt, and ``eavctl bench``, on networks of the twin."""

import json

import pytest

from eavctl.export.alone import Alone
from eavctl.storage import onnx_files

pytestmark = pytest.mark.usefixtures("traced_once")


@pytest.fixture(scope="module", autouse=True)
def short_measurements():
    """Times are not judged here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eavctl.export.measured.LATENCY_BUDGET_S", 0.2)
        yield


@pytest.fixture
def no_processes(monkeypatch):
    """What a variant costs a process of its own is not measured, but where forms are shown side by side."""
    monkeypatch.setattr("eavctl.export.measured.measure_alone", lambda path, x: Alone(1.0, 50.0))


@pytest.fixture
def never_faster(monkeypatch, no_processes):
    """No variant counts as faster."""
    monkeypatch.setattr("eavctl.export.measured.FASTER", 0.0)


@pytest.fixture
def always_better(monkeypatch, no_processes):
    """A variant needs only be smaller."""
    monkeypatch.setattr("eavctl.export.measured.FASTER", 1e9)
    monkeypatch.setattr("eavctl.export.measured.MOST_LOSS", 1.0)


def precision(path):
    return onnx_files.read(path).meta["export"]["precision"]


def test_int8_is_taken_where_it_is_better(run, eav, tmp_path, always_better):
    check = ("--check", eav / "bands.parquet")
    result = run("export", eav / "bands.joblib", "-o", "svm.onnx", "--int8", *check, "--json")
    assert result.code == 0, result.err
    answer = json.loads(result.out)
    assert answer["export"]["precision"] == precision(tmp_path / "svm.onnx") == "int8"
    own, other = answer["converted"]["variants"]
    assert answer["size"] == (tmp_path / "svm.onnx").stat().st_size < own["n_bytes"]
    assert own["decisions"] == 0
    assert other["difference"]["n_clusters"] == 2
    assert "training" in result.err  # all rows are those of the model
    alone = json.loads(run("bench", "svm.onnx", *check, "--json").out)["variants"]
    assert [each["name"] for each in alone] == ["int8"]
    assert alone[0]["uar"] == other["uar"]


def test_int8_that_is_not_faster_is_declined_unless_forced(run, eav, tmp_path, never_faster):
    words = ("export", eav / "bands.joblib", "-o", "svm.onnx", "--int8")
    declined = run(*words)
    assert declined.code == 0
    assert "not faster" in declined.err
    assert precision(tmp_path / "svm.onnx") == "float32"
    forced = run(*words, "--force")
    assert "--force" in forced.err
    assert precision(tmp_path / "svm.onnx") == "int8"


def test_calibrated_int8_for_tensorrt(run, eav, tmp_path, monkeypatch, no_processes):
    monkeypatch.setenv("PATH", str(tmp_path))
    words = (
        "export",
        eav / "epochs.pt",
        "-o",
        "eegnet.onnx",
        "--int8",
        "--calibrate",
        eav / "epochs.parquet",
    )
    answer = json.loads(run(*words, "--tensorrt", 11, "--force", "--json").out)
    assert precision(tmp_path / "eegnet.onnx") == "int8"
    assert not answer["engine"]["built"]
    assert "--saveEngine=eegnet.engine" in answer["engine"]["command"]
    assert "--int8" not in answer["engine"]["command"]


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
    result = run("bench", eav / "epochs.pt", "--check", eav / "epochs.parquet", "--json")
    assert result.code == 0, result.err
    answer = json.loads(result.out)
    torch, onnx = answer["variants"]
    assert (torch["name"], onnx["name"]) == ("torch", "onnx")
    assert torch["largest"] == 0
    assert onnx["largest"] < 1e-5
    assert torch["uar"] == onnx["uar"]
    assert torch["peak_mb"] > onnx["peak_mb"]  # torch itself
    assert any("--calibrate" in note for note in answer["notes"])  # int8 is left out


def test_a_plan_of_bench_measures_nothing(run, eav):
    planned = json.loads(run("bench", eav / "faces.pt", "-n", "--json").out)
    assert planned["dry_run"]
    assert "variants" not in planned
    assert run("bench", "none.pt", "-n").code == 3
