"""What eavctl wrote is known by its marks; inputs, files of others and of other kinds are not replaced."""

import os

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError, UsageError
from eavctl.storage import ownership, tables
from eavctl.storage.ownership import Output


def refused(outputs, inputs=(), *, force=False):
    with pytest.raises(UsageError) as caught:
        ownership.guard([Output(*each) for each in outputs], inputs, force=force)
    return str(caught.value)


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    """A file of each kind, by the commands themselves."""
    from eavctl.cli import start

    folder, before = tmp_path_factory.mktemp("written"), os.getcwd()
    os.chdir(folder)
    try:
        clip = str(next((made / "dataset").rglob("*.wav")))
        for line in (
            ["extract", str(made / "dataset"), "-o", "features.parquet", "--rejected", "rejected.csv"],
            ["predict", clip, "--model", str(made / "svm.joblib"), "--plot", "picture.png"],
            ["report", str(made / "preds.parquet"), "-o", "report.html"],
            ["train-dnn", str(made / "feats.parquet"), "-o", "model.pt", "--epochs", "1", "--folds", "2"],
        ):
            assert start.run(line) == 0, line
    finally:
        os.chdir(before)
    files = {path.stem: path for path in folder.iterdir() if not path.name.startswith(".")}
    return files | {"joblib": made / "svm.joblib", "predictions": made / "preds.parquet"}


def test_each_kind_is_known_by_its_mark(written):
    found = {name: ownership.kind_of(path) for name, path in written.items()}
    assert found == {name: name for name in written} | {"joblib": "model"}


@pytest.mark.parametrize(
    ("name", "kind"), [("notes.html", "report"), ("bad.csv", "rejected"), ("p.png", "picture")]
)
def test_a_file_that_only_speaks_of_eavctl_is_not_its_own(tmp_path, name, kind):
    path = tmp_path / name
    path.write_text("how to use eavctl\neavctl model tEXtSoftware eavctl clip_id,path,start,reason\n" * 20)
    assert ownership.kind_of(path) is None
    assert "--force" in refused([(path, kind)])
    ownership.guard([Output(path, kind)], force=True)


def test_parquet_of_others_and_broken_parquet_are_kept(tmp_path):
    theirs, broken = tmp_path / "theirs.parquet", tmp_path / "broken.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(theirs)
    broken.write_bytes(b"PAR1 eavctl and then nothing")
    for path in (theirs, broken):
        assert "--force" in refused([(path, "features")])


def test_a_file_of_another_kind_is_replaced_by_force_alone(written, tmp_path):
    for name, kind in (("features", "predictions"), ("predictions", "rejected"), ("predictions", "features")):
        assert "--force" in refused([(written[name], kind)])
        ownership.guard([Output(written[name], kind)], force=True)
        ownership.guard([Output(written[name], name)])


@pytest.mark.parametrize("force", [False, True])
def test_what_is_read_is_never_written(written, tmp_path, force):
    table = written["features"]
    link = tmp_path / "link.parquet"
    link.symlink_to(table)
    hard = tmp_path / "hard.parquet"
    os.link(table, hard)
    for output in (table, link, hard, table.parent / "." / table.name):
        assert str(output) in refused([(output, "features")], ["other.parquet", table], force=force)


def test_two_outputs_have_two_names(tmp_path):
    path = tmp_path / "a.parquet"
    refused([(path, "predictions"), (str(path), "rejected")], force=True)


def test_only_one_input_is_stdin():
    refused([], ["-", "a.parquet", "-"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("p.csv", "grounding"),
        ("p.txt", "predictions"),
        ("c.txt", "report"),
        ("a.jpg", "picture"),
        ("f", "features"),
        ("r.html", "rejected"),
        ("m.parquet", "model"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_an_ending_says_what_is_in_a_file(tmp_path, name, kind, force):
    refused([(tmp_path / name, kind)], force=force)


def test_folders_and_what_lies_nowhere_are_named(tmp_path):
    (tmp_path / "d.parquet").mkdir()
    assert "folder" in refused([(tmp_path / "d.parquet", "features")])
    assert "folder" in refused([(tmp_path / "no" / "a.parquet", "features")])
    with pytest.raises(DataError, match="/proc"):
        ownership.guard([Output("/proc/self/fd/99999", "features")])


def test_a_table_of_rejected_recordings_is_written_twice(tmp_path):
    for name in ("bad.csv", "bad.parquet"):
        for _ in range(2):
            ownership.guard([Output(tmp_path / name, "rejected")])
            tables.write_rejected([{"clip_id": "a", "path": "a.wav", "reason": "silent"}], tmp_path / name)


def test_files_are_described_for_errors(written, tmp_path):
    assert ownership.describe(tmp_path) == "a folder"
    assert ownership.describe(written["joblib"]) == "a model"
    assert "table" in ownership.describe(written["features"])
    np.save(tmp_path / "a.npy", np.ones(3))
    assert "not" in ownership.describe(tmp_path / "a.npy")
