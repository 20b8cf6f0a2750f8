"""What ``predict`` shares with ``extract``: which recordings, how many at once, and what cannot be used."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from eavctl import registry
from eavctl.predicting import describing
from eavctl.storage import tables


@pytest.fixture
def model(made):
    return ["--model", made / "seed33.joblib"]


def answers(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_many_processes_give_what_one_gives_in_the_same_order(run, made, tmp_path, model, monkeypatch):
    (tmp_path / "bad.wav").write_text("no sound")
    clips = sorted((made / "dataset/sad").glob("*.wav"), reverse=True)
    words = ["predict", clips[0], "bad.wav", made / "dataset/angry", "-", *model, "--json"]
    used = []
    fork = registry.get("executors", "fork")
    counted = replace(fork, thing=lambda jobs: used.append(jobs) or fork.thing(jobs))
    monkeypatch.setitem(registry._entries["executors"], "fork", counted)
    one, two = (answers(run(*words, "-j", jobs, stdin=clips[1].read_bytes())) for jobs in (1, 2))
    assert one == two
    assert used == [1, 2]
    assert one["predictions"][0]["recording"] == str(clips[0])
    assert one["predictions"][-1]["recording"] == "stdin"
    assert [bad["path"] for bad in one["rejected"]] == ["bad.wav"]


def test_features_are_those_of_the_extraction_to_the_last_bit(run, made, model, monkeypatch):
    """Sums depend on the number of threads: an extraction has one."""
    from threadpoolctl import threadpool_info, threadpool_limits

    threads = []
    monkeypatch.setattr(
        describing,
        "_samples",
        lambda *_: threads.extend(each["num_threads"] for each in threadpool_info()) or (),
    )
    with threadpool_limits(2):
        run("predict", made / "dataset/sad/sad_sample_1.wav", *model)
    assert set(threads) == {1}


def test_what_cannot_be_used_is_listed_in_a_table(run, made, tmp_path, model):
    clip = made / "dataset/sad/sad_sample_1.wav"
    (tmp_path / "bad.wav").write_text("no sound")
    (tmp_path / "m.csv").write_text(
        f"path,label,clip_id\nbad.wav,sad,a\n{clip},sad,b\n{clip},angry,c\ngone.wav,sad,d\n"
        f"{made}/dataset/sad/sad_sample_2.wav,sad,e\n"
    )
    result = run("predict", "m.csv", *model, "--rejected", "bad.csv", "--json")
    found = answers(result)
    assert [row["recording"][-8:] for row in found["predictions"]] == ["le_2.wav"]
    table = pd.read_csv(tmp_path / "bad.csv", dtype=object, keep_default_na=False)
    assert table.columns.tolist() == ["clip_id", "path", "start", "reason"]
    assert sorted(table["clip_id"]) == ["a", "b", "c", "d"]  # b and c: one recording with two labels
    assert table["reason"].tolist() == [bad["reason"] for bad in found["rejected"]]
    assert all(f"{bad['path']}: {bad['reason']}" in result.err for bad in found["rejected"])
    assert run("predict", "m.csv", *model, "--strict").code == 3
    (tmp_path / "bad.csv").unlink()
    nothing = run("predict", "bad.wav", *model, "--rejected", "bad.csv")
    assert (nothing.code, (tmp_path / "bad.csv").exists()) == (3, True)


def test_of_many_that_cannot_be_used_the_first_are_named(run, made, tmp_path, model):
    for number in range(30):
        (tmp_path / f"bad{number:02d}.wav").write_text("no sound")
    result = run("predict", made / "dataset/sad/sad_sample_1.wav", *sorted(tmp_path.glob("*.wav")), *model)
    assert result.err.count("not a sound file") == 20
    assert "10 more" in result.err


def test_recordings_of_a_data_set_and_rows_of_a_table_are_chosen_by_their_keys(run, made, model):
    chosen = ["--where", "label=sad", *model, "-o"]
    for source, out in (("dataset", "a.parquet"), ("seed33.parquet", "b.parquet")):
        assert run("predict", made / source, *chosen, out).code == 0
    clips, rows = (tables.read_predictions(name) for name in ("a.parquet", "b.parquet"))
    assert clips.keys["sample_id"].tolist() == rows.keys["sample_id"].tolist()
    assert clips.keys["clip_id"].str.startswith("sad/").all()
    assert len(clips) == 8


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["dataset", "--where", "label=glad"], 3, "glad"),
        (["seed33.parquet", "--where", "label=glad"], 3, "glad"),
        (["dataset", "--where", "mood=glad"], 2, "mood"),
        (["dataset/sad/sad_sample_1.wav", "--where", "label=sad"], 2, "--where"),
        (["-", "--where", "label=sad"], 2, "--where"),
        (["--audio", "dataset/sad/sad_sample_1.wav", "--where", "label=sad"], 2, "--where"),
        (["dataset", "--events", "T1=left"], 2, "--events"),
        (["seed33.parquet", "--events", "T1=left"], 2, "--events"),
        (["dataset", "--tmin", "0"], 2, "--events"),
        (["dataset", "--hop", "1"], 2, "--segment"),
        (["dataset", "--segment", "0"], 2, "--segment"),
        (["dataset", "--window", "1"], 2, "--window"),
    ],
)
def test_choices_that_cannot_be_made(run, made, model, monkeypatch, words, code, message):
    monkeypatch.chdir(made)
    result = run("predict", *words, *model)
    assert (result.code, message in result.err, result.out) == (code, True, ""), result.err


@pytest.mark.parametrize("words", [["train-dnn"], ["train-fusion", "mel.parquet"]])
def test_jobs_of_networks_are_threads_of_torch(run, made, tmp_path, monkeypatch, words):
    import torch

    from eavctl.stages import train_dnn, train_fusion

    before, seen = torch.get_num_threads(), []

    def spy(*_, **__):
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    for module, name in ((train_dnn, "train_dnn"), (train_fusion, "train_fusion")):
        monkeypatch.setattr(module, name, spy)
    shutil.copy(made / "seed33.parquet", tmp_path / "mel.parquet")
    line = [*words, made / "seed33.parquet", "-o", "m.pt"]
    assert [run(*line, "--jobs", 3).code, run(*line).code] == [130, 130]
    assert seen == [3, before]
    assert torch.get_num_threads() == before
