"""``eavctl probe`` and ``train-dnn --init`` on a planted table and encoder."""

import json
import os
import signal
import subprocess
import sys

import pytest

from eavctl.storage.ownership import kind_of
from tests.training.probing import planted


@pytest.fixture
def folder(run, tmp_path):
    """Working folder with ``table.parquet``, ``encoder.pt``, and ``met.pt``, which has met two people."""
    planted.write_table(tmp_path / "table.parquet")
    planted.write_encoder(tmp_path / "encoder.pt")
    planted.write_encoder(tmp_path / "met.pt", met=planted.frame(2))
    return tmp_path


LINEAR = ("--folds", 2, "--arms", "probe,random,raw", "--labels", "3,all")


def test_a_table_of_scores_is_printed_and_the_file_has_them_all(run, folder):
    done = run("probe", "encoder.pt", "table.parquet", *LINEAR, "-o", "probe.json")
    assert done.code == 0, done.err
    facts = json.loads((folder / "probe.json").read_text())
    assert kind_of(folder / "probe.json") == "probe"
    head, three, every, *_ = done.out.splitlines()
    assert head.split() == ["labels", "probe", "random", "raw"]
    for line, share in zip((three, every), facts["shares"], strict=True):
        assert line.split()[0] == share["labels"]
        assert f"{share['scores']['probe']['value']:.3f}" in line
    assert done.out.count("against") == len(facts["comparisons"]) == 4
    assert "people: " in done.out
    again = run("probe", "encoder.pt", "table.parquet", *LINEAR, "-o", "probe.json")
    assert "up to date" in again.err
    assert again.out == done.out


def test_stdout_takes_the_table_and_nothing_is_left_behind(run, folder):
    before = set(os.listdir(folder))
    done = run("probe", "encoder.pt", "table.parquet", *LINEAR)
    assert done.code == 0, done.err
    assert set(os.listdir(folder)) == before


def test_what_the_encoder_has_met_is_refused_by_name_and_shared_by_name(run, folder):
    for flag in ((), ("-n",)):
        refused = run("probe", "met.pt", "table.parquet", *LINEAR, *flag)
        assert refused.code == 3
        assert "p0, p1" in refused.err
        assert "--shared" in refused.err
    for shared in ("all", "p0,p1", "one"):
        done = run("probe", "met.pt", "table.parquet", *LINEAR, "--shared", shared, "-n")
        assert done.code == 0, done.err
        assert "p0, p1" in done.err
    trained = ("train-dnn", "table.parquet", "--init", "met.pt", "-o", "m.pt", "--folds", 2, "--epochs", 1)
    assert run(*trained).code == 3
    done = run(*trained, "--shared", "all")
    assert done.code == 0, done.err
    assert "warning: met.pt" in done.err
    assert "met.pt" in run("show", "m.pt").out


@pytest.mark.parametrize(
    "line",
    [
        "encoder.pt table.parquet --labels 0",
        "encoder.pt table.parquet --labels ,",
        "encoder.pt table.parquet --arms probe,svm",
        "encoder.pt table.parquet -o probe.txt",
        "encoder.pt table.parquet -o table.parquet",
        "encoder.pt table.parquet -o mine.json",
        "table.parquet table.parquet",
        "gone.pt table.parquet",
        "encoder.pt gone.parquet",
        "encoder.pt encoder.pt",
        "encoder.pt table.parquet --protocol given",
        "encoder.pt table.parquet --lr 100",
    ],
)
def test_a_dry_run_fails_where_the_real_one_does(run, folder, line):
    (folder / "mine.json").write_text("{}")
    planned, done = (run("probe", *line.split(), *flag) for flag in (("-n",), ()))
    assert planned.code == done.code in (2, 3)
    assert planned.err == done.err
    assert len(done.err.splitlines()) <= 2
    assert (folder / "mine.json").read_text() == "{}"


def test_a_killed_probe_goes_on_from_its_finished_fits(run, folder):
    words = ["probe", "encoder.pt", "table.parquet", "--protocol", "random", "--arms", "scratch", "--epochs",
             "1", "--labels", "3", "--device", "cpu"]  # fmt: skip
    assert run(*words, "-o", "whole.json").code == 0
    slow = "import time, eavctl.training.probing.fits as f; old = f.Fits.write\n" \
           "def write(*a): old(*a); print('fit', flush=True); time.sleep(60)\n" \
           "f.Fits.write = write\nfrom eavctl.cli.start import main; main()"  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *words, "-o", "killed.json"], stdout=subprocess.PIPE, cwd=folder
    )
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "killed.json").exists()
    assert len(list((folder / ".killed.json.parts").glob("*.json"))) == 1
    assert run(*words, "-o", "killed.json").code == 0
    assert (folder / "killed.json").read_bytes() == (folder / "whole.json").read_bytes()
    assert not (folder / ".killed.json.parts").exists()
