"""Phrases on the command line: scenes to a table, a model, and boxes in pictures and films."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from eavctl.grounding.model import GroundModel
from eavctl.stages.train_ground import score
from eavctl.storage import artifacts
from eavctl.storage.grounding_tables import read_grounding

LINES = (
    "synth --task grounding --scenes 16 --out scenes",
    "extract scenes -o scenes.parquet --set size=32",
    "train-ground scenes.parquet -o ground.pt --epochs 1 --batch 16 --jobs 1",
)


@pytest.fixture(scope="module")
def grounded(make):
    return make("grounded", LINES)


@pytest.fixture
def picture(grounded):
    return next((grounded / "scenes" / "images" / "train").iterdir())


def test_the_model_says_what_it_was_trained_on_and_how_good_it_is(run, grounded):
    meta = artifacts.read_meta(grounded / "ground.pt").json
    table = read_grounding(grounded / "scenes.parquet")
    counts = {name: int((table.keys["split"] == name).sum()) for name in ("train", "val", "test")}
    assert meta["n_phrases"] == counts
    assert meta["features"] == "scenes"
    parts = meta["scores"]["parts"]
    assert parts.keys() == {"all", "seen", "unseen"}
    assert parts["all"]["n_phrases"] == counts["test"]
    found = parts["all"]["mIoU"]
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert set(meta["scores"]["kinds"]) == {
        kind for kind, s in zip(table.kinds, table.keys["split"], strict=True) if s == "test"
    }
    shown = run("show", grounded / "ground.pt")
    assert shown.code == 0
    assert "grounding" in shown.out


def test_its_scores_are_those_of_the_file_applied_to_the_test_pictures(grounded):
    model, table = GroundModel.load(grounded / "ground.pt"), read_grounding(grounded / "scenes.parquet")
    from eavctl.grounding.table import examples_of

    rows = np.flatnonzero(table.keys["split"] == "test")
    again = score(model, table, examples_of(table), rows).summary()
    assert again == artifacts.read_meta(grounded / "ground.pt").json["scores"]


def test_training_is_up_to_date_until_something_changes(run, grounded, tmp_path):
    table = grounded / "scenes.parquet"
    words = ["train-ground", table, "-o", "g.pt", "--epochs", "1", "--batch", "16", "-j", "1"]
    assert "would train" in run(*words, "-n").err
    first = run(*words, "--json")
    assert first.code == 0, first.err
    assert json.loads(first.out)["up_to_date"] is False
    assert (tmp_path / "g.pt").read_bytes() == (grounded / "ground.pt").read_bytes()
    assert json.loads(run(*words, "--json").out)["up_to_date"] is True
    for change in (["--fusion", "late"], ["--seed", "1"], ["--lr", "0.1"]):
        assert "up to date" not in run(*words, *change, "-n").err


def test_a_picture_is_answered_and_drawn(run, grounded, picture, tmp_path):
    words = ["ground", picture, "the left circle", "--model", grounded / "ground.pt"]
    found = run(*words, "--json", "-o", "found.png")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    (moment,) = told["found"]
    width, height = Image.open(picture).size
    assert told["size"] == [width, height]
    assert 0 <= moment["score"] <= 1
    assert moment["there"] == (moment["score"] >= 0.5) == (moment["box"] is not None)
    assert moment["time"] is None
    drawn = Image.open(tmp_path / "found.png")
    assert drawn.size[0] > width
    assert run(*words, "-o", "found.png").code == 0
    plain = run(*words)
    assert f"{moment['score']:.3f}" in plain.out
    (tmp_path / "mine.png").write_bytes(picture.read_bytes())
    assert run(*words, "-o", "mine.png").code == 2
    assert "would find" in run(*words, "-n").err


def test_a_film_is_answered_frame_by_frame(run, grounded, shared_data, tmp_path):
    film = shared_data / "video" / "single_face.mp4"
    words = ["ground", film, "the face", "--model", grounded / "ground.pt", "-o", "sheet.png"]
    told = json.loads(run(*words, "--json").out)
    times = [each["time"] for each in told["found"]]
    assert times == sorted(times)
    assert np.allclose(np.diff(times), times[1] - times[0])
    assert times[1] - times[0] <= 0.2 + 1e-6
    assert Image.open(tmp_path / "sheet.png").size[0] > 600


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["ground", "missing.jpg", "the face", "--model", "{made}/ground.pt"], 3),
        (["ground", "{picture}", "xylophone", "--model", "{made}/ground.pt"], 3),
        (["ground", "{picture}", " ", "--model", "{made}/ground.pt"], 3),
        (["ground", "{picture}", "the face", "--model", "{made}/scenes.parquet"], 3),
        (["ground", "{picture}", "the face", "--model", "missing.pt"], 3),
        (["ground", "{picture}", "the face", "--model", "{made}/ground.pt", "-o", "out.jpg"], 2),
        (["train-ground", "{made}/scenes.parquet", "-o", "g.joblib"], 2),
        (["train-ground", "{made}/scenes.parquet", "-o", "g.pt", "--fusion", "loud"], 2),
        (["train-ground", "{made}/scenes.parquet", "-o", "g.pt", "--size", "huge"], 2),
        (["train-ground", "{made}/scenes.parquet", "-o", "g.pt", "--weights", "nowhere"], 3),
        (["train-ground", "{made}/scenes.parquet", "-o", "g.pt", "--size", "base"], 2),
        (["train-ground", "{made}/ground.pt", "-o", "g.pt"], 3),
        (["train-svm", "{made}/scenes.parquet", "-o", "s.joblib"], 3),
        (["predict", "{picture}", "--model", "{made}/ground.pt"], 3),
        (["extract", "{made}/scenes", "-o", "x.parquet", "--segment", "1"], 2),
        (
            [
                "extract",
                "{made}/scenes",
                "-o",
                "x.parquet",
                "--who",
                "man",
                "--who-model",
                "{made}/ground.pt",
            ],
            2,
        ),
        (["extract", "{made}/scenes", "-o", "x.parquet", "--who-model", "{made}/ground.pt"], 2),
        (["synth", "--task", "singing"], 2),
        (["show", "{made}/ground.pt", "--markdown"], 2),
        (["export", "{made}/ground.pt", "-o", "g.onnx"], 3),
        (["bench", "{made}/ground.pt"], 3),
    ],
)
def test_wrong_input_ends_with_its_code_and_two_lines(run, grounded, picture, words, code):
    filled = [word.format(made=grounded, picture=picture) for word in words]
    result = run(*filled)
    assert result.code == code, result.err
    assert len(result.err[result.err.index("error: ") :].splitlines()) <= 2
    assert "Traceback" not in result.err


def test_pictures_without_splits_are_divided_and_copies_are_found(run, grounded, tmp_path):
    refs = json.loads((grounded / "scenes" / "refs.json").read_text())
    bare = [{k: v for k, v in ref.items() if k not in ("split", "task")} for ref in refs]
    root = tmp_path / "bare"
    (root / "images").mkdir(parents=True)
    for path in (grounded / "scenes" / "images").rglob("*.jpg"):
        target = root / "images" / path.relative_to(grounded / "scenes" / "images")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (root / "refs.json").write_text(json.dumps(bare))
    assert run("extract", "bare", "-o", "bare.parquet", "--set", "size=32").code == 0
    planned = run("train-ground", "bare.parquet", "-o", "b.pt", "-n", "--json")
    assert planned.code == 0
    counts = json.loads(planned.out)["phrases"]
    assert counts["train"] > 3 * counts["val"] > 0
    assert sum(counts.values()) == len(bare)
    twin = next(ref for ref in refs if ref["split"] == "train")
    (root / "images" / "test" / "twin.jpg").write_bytes((root / "images" / twin["image"]).read_bytes())
    leaking = [*refs, {**twin, "image": "test/twin.jpg", "split": "test"}]
    (root / "refs.json").write_text(json.dumps(leaking))
    assert run("extract", "bare", "-o", "leak.parquet", "--set", "size=32").code == 0
    leak = run("train-ground", "leak.parquet", "-o", "b.pt", "-n")
    assert leak.code == 3
    assert "twin" in leak.err or twin["image"][:-4] in leak.err
