"""Nothing is lost: inputs, files of others, what a full disk or a damaged table could take along."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eavctl.stages import extract as extraction
from eavctl.storage import tables


def digest(path):
    return path.read_bytes()


@pytest.fixture
def mine(made, tmp_path):
    """Copies of a table of features, a model and its predictions, and a few recordings, in a folder."""
    for name in ("feats.parquet", "seed33.parquet", "svm.joblib", "preds.parquet", "seed33_preds.parquet"):
        shutil.copy(made / name, tmp_path / name)
    for kind in ("happy", "sad"):
        for number in (1, 2, 3):
            clip = Path("dataset", kind, f"{kind}_sample_{number}.wav")
            (tmp_path / clip).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made / clip, tmp_path / clip)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "train-svm feats.parquet -o new.joblib --predictions feats.parquet",
        "train-dnn feats.parquet -o new.pt --predictions feats.parquet --epochs 1",
        "predict dataset --model svm.joblib -o svm.joblib",
        "predict feats.parquet --model svm.joblib -o feats.parquet",
        "report preds.parquet -o preds.parquet",
        "fuse preds.parquet seed33_preds.parquet -o preds.parquet",
        "train-fusion feats.parquet seed33.parquet -o f.pt --predictions feats.parquet",
        "zero-shot feats.parquet seed33.parquet --held-out sad -o feats.parquet",
        "extract feats.parquet --layout csv -o feats.parquet",
        "extract dataset -o preds.parquet",
        "extract dataset -o new.parquet --rejected preds.parquet",
        "train-svm feats.parquet -o new.joblib --predictions svm.joblib",
    ],
)
def test_no_command_writes_over_what_it_reads_or_over_another_kind_of_file(run, mine, line):
    before = {path: digest(path) for path in mine.iterdir() if path.is_file()}
    for force in ((), ("--force",)) if "extract" not in line else ((),):
        result = run(*line.split(), *force)
        assert result.code == 2, result.err
        assert {path: digest(path) for path in mine.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "line",
    [
        "predict dataset --model svm.joblib -o p.txt",
        "report preds.parquet -o r.txt",
        "extract dataset -o f.feather",
        "extract dataset -o f.parquet --rejected r.txt",
        "predict dataset/sad/sad_sample_1.wav --model svm.joblib --plot p.jpg",
        "fuse preds.parquet seed33_preds.parquet -o f.txt",
        "train-fusion feats.parquet seed33.parquet -o f.parquet",
        "zero-shot feats.parquet seed33.parquet --held-out sad -o f.txt",
        "train-svm feats.parquet -o m.joblib --predictions p.feather",
    ],
)
def test_endings_that_nothing_writes_are_refused(run, mine, line):
    assert run(*line.split()).code == 2
    assert not list(mine.glob("*.csv")) + list(mine.glob("[fpr].*"))


def test_rejected_recordings_are_written_again_and_again(run, mine):
    (mine / "dataset/sad/broken.wav").write_bytes(b"no sound")
    for ending in ("csv", "parquet"):
        for _ in range(2):
            assert run("extract", "dataset", "-o", "f.parquet", "--rejected", f"bad.{ending}").code == 0


@pytest.mark.parametrize(
    "line",
    [
        "extract dataset --features logmel -o out/x.parquet",
        "extract dataset --features logmel -o out/x.parquet -j 2",
        "train-svm seed33.parquet -o out/x.joblib --folds 2",
        "train-dnn seed33.parquet -o out/x.pt --encoder mlp --epochs 1 --folds 2",
        "predict dataset --model svm.joblib -o out/x.parquet",
        "report preds.parquet -o out/x.html",
        "fuse preds.parquet seed33_preds.parquet -o out/x.parquet",
        "train-fusion seed33.parquet feats.parquet -o out/x.pt --epochs 1 --folds 2",
        "zero-shot seed33.parquet feats.parquet --held-out sad -o out/x.parquet --epochs 1 --folds 2",
    ],
)
def test_a_full_disk_ends_with_3_and_one_line_and_leaves_nothing(run, mine, line):
    """The disk is full after 4 kB of a file: the limit of the shell ends writes in the same way."""
    (mine / "out").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        done = run(*line.split(), "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.code == 3, done.err
    (told,) = [each for each in done.err.splitlines() if each.startswith("error")]
    assert "out/x." in told
    assert os.listdir(mine / "out") == []


def test_a_full_device_and_a_folder_that_takes_nothing_end_with_3(run, mine):
    for out in ("/dev/full", "/proc/x.parquet"):
        result = run("predict", "dataset", "--model", "svm.joblib", "-o", out)
        assert result.code == 3
        assert out in result.err
    result = run("predict", "dataset/sad/sad_sample_1.wav", "--model", "svm.joblib", "--plot", "/dev/full")
    assert result.code == 3
    assert "/dev/full" in result.err


def test_a_link_stays_a_link(run, mine):
    (mine / "elsewhere").mkdir()
    (mine / "link.parquet").symlink_to("elsewhere/p.parquet")
    assert run("predict", "dataset", "--model", "svm.joblib", "-o", "link.parquet").code == 0
    assert (mine / "link.parquet").is_symlink()
    assert len(tables.read_predictions(mine / "elsewhere/p.parquet")) == 6


def test_dev_stdout_is_stdout(mine):
    words = ["predict", "dataset", "--model", "svm.joblib", "-q", "-o"]
    outs = [
        subprocess.run(
            [sys.executable, "-m", "eavctl", *words, out],
            cwd=mine,
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
        ).stdout
        for out in ("-", "/dev/stdout")
    ]
    assert outs[0] == outs[1]
    assert outs[0].startswith(b"PAR1")


# --- an extraction and the versions that made it ----------------------------------------------------------


def test_an_upgrade_of_a_package_extracts_nothing_again(run, mine, monkeypatch):
    assert run("extract", "dataset", "-o", "f.parquet").code == 0
    before = digest(mine / "f.parquet")
    monkeypatch.setattr(extraction, "versions", lambda *packages: dict.fromkeys(packages, "99"))
    result = run("extract", "dataset", "-o", "f.parquet", "--json")
    assert json.loads(result.out)["up_to_date"]
    assert digest(mine / "f.parquet") == before


def test_a_table_of_parts_of_two_versions_tells_both(run, mine, monkeypatch):
    def stop(self, keys, x):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(extraction, "versions", lambda *packages: dict.fromkeys(packages, "1.0"))
        patched.setattr(tables.FeatureWriter, "write", stop)
        assert run("extract", "dataset", "-o", "f.parquet").code == 130
    monkeypatch.setattr(extraction, "versions", lambda *packages: dict.fromkeys(packages, "2.0"))
    assert run("extract", "dataset", "-o", "f.parquet").code == 0
    assert set(tables.read_meta(mine / "f.parquet")["versions"].values()) == {"1.0, 2.0"}


def test_two_extractions_to_one_table_do_not_meet(run, mine):
    from eavctl.storage import files

    with files.keeping_parts(mine / "f.parquet") as parts:
        result = run("extract", "dataset", "-o", "f.parquet")
        assert result.code == 3
        assert "f.parquet" in result.err
        assert parts.is_dir()


def test_a_damaged_table_is_not_up_to_date(run, mine):
    assert run("extract", "dataset", "-o", "f.parquet").code == 0
    whole = digest(mine / "f.parquet")
    damaged = bytearray(whole)
    damaged[1000] ^= 255  # in a page, not in the account at the end
    (mine / "f.parquet").write_bytes(damaged)
    assert run("train-svm", "f.parquet", "-o", "m.joblib").code == 3
    assert run("extract", "dataset", "-o", "f.parquet").code == 0
    assert digest(mine / "f.parquet") == whole


# --- damaged and mixed-up inputs --------------------------------------------------------------------------


def test_damaged_tables_and_models_end_with_3_whoever_reads_them(run, mine):
    rng = np.random.default_rng(7)
    commands = {
        "preds.parquet": [
            "report preds.parquet --json",
            "fuse preds.parquet seed33_preds.parquet -o x.parquet",
        ],
        "svm.joblib": ["predict dataset --model svm.joblib", "show svm.joblib --json"],
    }
    for name, lines in commands.items():
        whole = digest(mine / name)
        outs = {line: run(*line.split()).out for line in lines}
        for _ in range(8):
            damaged = bytearray(whole)
            for at in rng.integers(4, len(whole) - 4, 3):
                damaged[at] ^= 1 << rng.integers(8)
            (mine / name).write_bytes(damaged)
            for line in lines:
                result = run(*line.split(), *(["--force"] if "-o" in line else []))
                if result.code == 0:  # what was changed says nothing, such as a name of the writing program
                    assert result.out == outs[line]
                else:
                    assert result.code == 3, (line, result.err)
                    assert name in result.err
        (mine / name).write_bytes(whole)


@pytest.mark.parametrize(
    ("line", "found", "wanted"),
    [
        ("train-svm svm.joblib -o x.joblib", "a model", "a table of features"),
        ("train-svm preds.parquet -o x.joblib", "a table of predictions", "a table of features"),
        ("report feats.parquet --json", "a table of features", "a table of predictions"),
        ("report svm.joblib --json", "a model", "a table of predictions"),
        ("fuse feats.parquet preds.parquet -o x.parquet", "a table of features", "a table of predictions"),
        ("fuse svm.joblib preds.parquet -o x.parquet", "a model", "a table of predictions"),
        ("train-fusion feats.parquet preds.parquet -o x.pt", "a table of predictions", "a table of features"),
        ("zero-shot feats.parquet preds.parquet --held-out sad -o x.parquet", "predictions", "features"),
        ("predict dataset --model feats.parquet", "a table of features", "a model"),
        ("predict dataset --model dataset", "a folder", "a file"),
        ("fuse preds.parquet seed33_preds.parquet -o x.parquet --use feats.parquet", "a table", "a model"),
        ("show dataset", "a folder", "a file"),
    ],
)
def test_mixed_up_files_are_told_by_what_they_are(run, mine, line, found, wanted):
    result = run(*line.split())
    assert result.code == 3
    assert found in result.err
    assert wanted in result.err


def test_tables_and_models_come_from_stdin_wherever_a_file_fits(run, mine):
    features, predictions, model = (
        digest(mine / name) for name in ("feats.parquet", "preds.parquet", "svm.joblib")
    )
    assert run("show", "-", stdin=features).code == 0
    assert run("show", "-", stdin=model).code == 0
    assert run("report", "-", "--json", stdin=predictions).code == 0
    judged = [
        run("predict", source, "--model", chosen, "--json", stdin=stdin)
        for source, chosen, stdin in (
            ("feats.parquet", "svm.joblib", b""),
            ("-", "svm.joblib", features),
            ("feats.parquet", "-", model),
        )
    ]
    assert [each.code for each in judged] == [0, 0, 0], judged[1].err
    first, *others = (json.loads(each.out)["predictions"] for each in judged)
    assert others == [first, first]
    assert run("fuse", "-", "seed33_preds.parquet", "-o", "x.parquet", stdin=predictions).code == 0
    assert run("fuse", "preds.parquet", "seed33_preds.parquet", "-o", "y.parquet").code == 0
    assert np.array_equal(
        tables.read_predictions("x.parquet").proba, tables.read_predictions("y.parquet").proba
    )
    assert (
        run("train-svm", "-", "-o", "a.joblib", "--folds", "2", stdin=digest(mine / "seed33.parquet")).code
        == 0
    )
    assert run("fuse", "-", "-", "-o", "z.parquet", stdin=predictions).code == 2
