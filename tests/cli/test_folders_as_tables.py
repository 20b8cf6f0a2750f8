"""A table that is a folder gives what the same table as a file gives, whatever the command."""

import io
import re
import shutil

import pandas as pd
import pytest

from eavctl.storage.table_folders import COMMON

LINES = (
    "train-svm {t} --folds 2 -o m.joblib --predictions p.parquet",
    "train-linear {t} --folds 2 -o m.joblib --predictions p.parquet",
    "train-dnn {t} --encoder mlp --folds 2 --epochs 2 --jobs 1 -o m.pt --predictions p.parquet",
    "train-fusion {t} {other} --folds 2 --epochs 1 --jobs 1 -o m.pt --predictions p.parquet",
    "tune {t} --folds 2 --trials 2 -o m.joblib",
    "pretrain {t} --epochs 1 --jobs 1 -o m.pt",
    "zero-shot {t} {other} --folds 2 --epochs 1 --jobs 1 --held-out sad -o z.parquet",
    "predict {t} --model {made}/seed33.joblib -o p.parquet",
    "check {t} --json",
    "show {t}",
    "map {t} -o m.html",
    "convert {t} t.csv",
    "explain {made}/seed33.joblib {t} -o x.html --json",
    "probe {made}/encoder.pt {t} --labels 3 --arms probe,random --folds 2 --shared all -o p.json",
    "export {made}/seed33.joblib -o m.onnx --check {t}",
    "fuse {t} {t} --method mean -o f.parquet",
)


@pytest.fixture(scope="module")
def tables(made, make):
    """The table of one data set as a file and as a folder, of the same name but for its ending."""
    return make("folders", [f"extract {made}/dataset --features seed33 -o seed33/"])


@pytest.mark.parametrize("line", LINES)
def test_a_folder_gives_what_a_file_gives(run, made, tables, tmp_path, line):
    found = []

    def alike(text):
        """Without what says where the table is, and that one is a folder."""
        return re.sub(
            r"seed33(\.parquet|/)", "seed33", text.replace(f"{made}/", "").replace(f"{tables}/", "")
        )

    for table in (f"{made}/seed33.parquet", f"{tables}/seed33/"):
        words = line.format(t=table, made=made, other=f"{made}/feats.parquet").split()
        result = run(*words, "-q")  # progress depends on how long it takes
        files = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
        found.append((result.code, alike(result.out), alike(result.err), files))
        for each in tmp_path.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    one, many = found
    assert one[:3] == many[:3]
    assert one[0] == (3 if line.startswith("fuse") else 0), one[2]
    assert one[3].keys() == many[3].keys()
    for name, content in one[3].items():
        if name.endswith((".html", ".json")):
            assert alike(content.decode()) == alike(many[3][name].decode())
        elif name.endswith(".parquet"):  # the metadata name the table
            pd.testing.assert_frame_equal(*(pd.read_parquet(io.BytesIO(each[3][name])) for each in found))
        elif not name.endswith((".onnx", ".study")):  # which name the table of a check, and the time
            assert content == many[3][name], name


def test_an_extraction_to_a_folder_is_resumed_found_up_to_date_and_replaced(run, made, tmp_path):
    words = ("extract", f"{made}/dataset", "--features", "seed33", "-o", "t/")
    assert run(*words).code == 0
    first = (tmp_path / "t" / COMMON).read_bytes()
    assert "up to date" in run(*words).err
    assert "up to date" in run(*words, "-n").err
    part = tmp_path / "t" / "dataset" / "part-00000.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert "up to date" not in run(*words).err
    assert "up to date" in run(*words[:-1], "t").err  # a folder that is a table needs no slash
    assert (tmp_path / "t" / COMMON).read_bytes() == first
    assert run(*words, "--where", "label=sad").code == 0
    assert len(pd.read_parquet(tmp_path / "t")) == 8
    assert [each.name for each in tmp_path.iterdir()] == ["t"]


def test_a_folder_is_not_taken_for_a_table_of_another_kind(run, made, tmp_path):
    for words in (
        ("train-svm", f"{made}/seed33.parquet", "-o", "m.joblib", "--predictions", "p/"),
        ("predict", f"{made}/dataset/sad", "--model", f"{made}/seed33.joblib", "-o", "p/"),
        ("extract", f"{made}/dataset", "-o", f"{made}/dataset"),
        ("extract", f"{made}/dataset", "-o", "nowhere/t/"),
    ):
        result = run(*words)
        assert result.code == 2
        assert "Traceback" not in result.err
    assert not list(tmp_path.iterdir())
