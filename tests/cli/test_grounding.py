"""Phrases on the command line: scenes to a table, a model, and boxes in pictures and films."""

from __future__ import annotations

import io
import json
import re
import shutil

import av
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from eavctl.classifiers.training_loop import Training
from eavctl.errors import DataError
from eavctl.grounding.model import GroundModel
from eavctl.stages.train_ground import score
from eavctl.storage import artifacts, onnx_files
from eavctl.storage.grounding_tables import read_grounding


@pytest.fixture
def picture(grounded):
    return grounded / "scene.jpg"


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


def test_a_picture_in_two_splits_is_a_leak_also_beside_the_training(run, grounded, tmp_path):
    shutil.copytree(grounded / "scenes", tmp_path / "both")
    path = tmp_path / "both" / "refs.json"
    refs = json.loads(path.read_text())
    one = next(ref for ref in refs if ref["split"] == "val")
    shutil.copy(path.parent / "images" / one["image"], path.parent / "images" / "test" / "again.jpg")
    path.write_text(json.dumps([*refs, {**one, "image": "test/again.jpg", "split": "test"}]))
    assert run("extract", "both", "-o", "both.parquet", "--set", "size=32").code == 0
    leak = run("train-ground", "both.parquet", "-o", "b.pt", "-n")
    assert leak.code == 3
    assert "in val and, perhaps as a copy, in test" in leak.err


def test_of_two_pictures_without_splits_none_is_drawn_and_the_warnings_say_so(run, grounded, tmp_path):
    shutil.copytree(grounded / "scenes", tmp_path / "two")
    path = tmp_path / "two" / "refs.json"
    refs = json.loads(path.read_text())
    two = sorted({ref["image"] for ref in refs})[:2]
    kept = [
        {k: v for k, v in ref.items() if k not in ("split", "task")} for ref in refs if ref["image"] in two
    ]
    path.write_text(json.dumps(kept))
    assert run("extract", "two", "-o", "two.parquet", "--set", "size=32").code == 0
    result = run("train-ground", "two.parquet", "-o", "t.pt", "--epochs", "1", "-j", "1", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert told["phrases"] == {"train": len(kept), "val": 0, "test": 0}
    assert told["scores"] is None
    assert len(told["warnings"]) == 2
    assert "tenth" not in result.err


def test_an_interrupted_training_leaves_no_model_and_resumes_to_the_same_file(
    run, grounded, tmp_path, monkeypatch
):
    words = ["train-ground", grounded / "scenes.parquet", "--epochs", "7", "--batch", "16", "-j", "1"]
    run_epoch, done = Training.run_epoch, []

    def counted(training):
        if len(done) == 6:
            done.clear()
            raise KeyboardInterrupt
        found = run_epoch(training)
        done.append(training.epoch)
        return found

    monkeypatch.setattr(Training, "run_epoch", counted)
    assert run(*words, "-o", "cut.pt").code == 130
    assert not (tmp_path / "cut.pt").exists()
    assert run(*words, "-o", "cut.pt").code == 0
    assert done == [6, 7]  # from the checkpoint, which is written every five epochs
    monkeypatch.setattr(Training, "run_epoch", run_epoch)
    assert run(*words, "-o", "whole.pt").code == 0
    assert (tmp_path / "cut.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pt", "whole.pt"]


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (3, 2)])
def test_the_smallest_and_narrowest_pictures_are_answered_inside(run, grounded, tmp_path, size):
    Image.new("RGB", size, (200, 30, 30)).save(tmp_path / "small.png")
    found = run("ground", "small.png", "the left circle", "--model", grounded / "ground.pt", "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told["size"] == list(size)
    (box,) = [each["box"] or [0, 0, *size] for each in told["found"]]
    assert 0 <= box[0] <= box[2] <= size[0]
    assert 0 <= box[1] <= box[3] <= size[1]


def jpeg_film(path, damaged):
    """Twenty frames of noise, each a JPEG of its own, some of them overwritten by zeros."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(20):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        film.mux(stream.encode())
    content = bytearray(path.read_bytes())
    starts = [each.start() for each in re.finditer(b"\xff\xd8\xff", content)]
    for number in damaged:
        end = [*starts, len(content)][number + 1] - 20
        content[starts[number] : end] = bytes(end - starts[number])
    path.write_bytes(content)


def test_a_film_whose_first_frames_are_damaged_is_used_with_a_warning(run, grounded, tmp_path):
    jpeg_film(tmp_path / "first.mkv", range(3))
    words = ["ground", "first.mkv", "the circle", "--model", grounded / "ground.pt"]
    found = run(*words, "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert len(told["found"]) == 10
    assert len(told["warnings"]) == 1
    assert "cannot be decoded" in told["warnings"][0]
    assert f"warning: {told['warnings'][0]}" in found.err.splitlines()
    assert "RecordingWarning" not in found.err
    jpeg_film(tmp_path / "none.mkv", range(20))
    none = run("ground", "none.mkv", *words[2:])
    assert none.code == 3
    assert none.err.startswith("error: none.mkv: ")


def test_a_sheet_of_a_film_goes_to_stdout(run, grounded, tmp_path):
    jpeg_film(tmp_path / "film.mkv", ())
    sheet = run("ground", "film.mkv", "the circle", "--model", grounded / "ground.pt", "-o", "-")
    assert sheet.code == 0
    assert Image.open(io.BytesIO(sheet.bytes)).format == "PNG"


@pytest.mark.parametrize(
    "name", ["truncated.mp4", "random.mp4", "silent.wav", "random.mat", "lying-size.wav"]
)
def test_hostile_recordings_end_in_an_answer_or_one_line(run, grounded, shared_data, name):
    found = run("ground", shared_data / "hostile" / name, "circle", "--model", grounded / "ground.pt")
    if name == "truncated.mp4":
        assert (found.code, found.err[:9]) == (0, "warning: ")
    else:
        assert (found.code, found.err[:7], found.err.count("\n")) == (3, "error: ", 1)


@pytest.mark.parametrize("phrase", ["\u5186", "\U0001f534", "...", "\u202e"])
def test_a_phrase_without_a_known_word_is_refused_and_says_so(run, grounded, picture, phrase):
    found = run("ground", picture, phrase, "--model", grounded / "ground.pt")
    assert found.code == 3
    assert "knows no word" in found.err


def test_accents_capitals_and_unknown_words_beside_known_ones_change_nothing_or_are_drawn(
    run, grounded, picture, tmp_path
):
    words = ["ground", picture, "--model", grounded / "ground.pt"]
    plain, marked = (run(*words, phrase).out for phrase in ("the left circle", "TH\u00c9 l\u0115ft circle"))
    assert plain == marked
    drawn = run(*words, "the circle \u5186 \U0001f534\nleft", "-o", "drawn.png")
    assert drawn.code == 0, drawn.err
    assert Image.open(tmp_path / "drawn.png").format == "PNG"


@pytest.mark.parametrize("kind", ["seed33.joblib", "encoder.pt"])
def test_other_models_find_nothing_and_this_one_is_no_encoder(run, made, grounded, picture, kind):
    wrong = run("ground", picture, "circle", "--model", made / kind)
    assert wrong.code == 3
    assert "make one with 'eavctl train-ground'" in wrong.err
    table = made / "seed33.parquet"
    for words in (
        ["train-dnn", table, "--init", grounded / "ground.pt", "-o", "out.pt"],
        ["probe", grounded / "ground.pt", table, "-o", "out.json"],
    ):
        refused = run(*words)
        assert refused.code == 3
        assert "not a pretrained encoder" in refused.err


def damaged(path, to, change):
    """Copy a model file without its checksum, and with a change of its parts."""
    parts = torch.load(path, weights_only=True)
    del parts["checksum"]  # files of version 1 have none
    change(parts)
    torch.save(parts, to)


WRONG = ("x", -8, 1.5, [], {}, None, 10**12, 64)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("side", WRONG),
        ("size", ("huge", 3, None, [])),
        ("fusion", ("loud", 3, None, {})),
        (
            "vocabulary",
            (
                "x",
                None,
                {"kind": [], "words": []},
                {"kind": "words", "words": "abc"},
                {"kind": "words", "words": [1]},
                {"kind": "words", "words": ["[PAD]", "[UNK]", "[CLS]", "the", "the"]},
                {"kind": "words", "words": ["[PAD]", "[UNK]", "[CLS]"]},
                {"kind": "pieces", "words": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]},
            ),
        ),
    ],
)
def test_a_model_file_with_a_wrong_description_is_refused(grounded, tmp_path, key, values):
    for value in values:
        damaged(
            grounded / "ground.pt",
            tmp_path / "bad.pt",
            lambda parts, value=value: parts["meta"]["model"].update({key: value}),
        )
        with pytest.raises(DataError, match=r"bad\.pt"):
            GroundModel.load(tmp_path / "bad.pt")


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts.pop("state_dict"),
        lambda parts: parts.update(state_dict=None),
        lambda parts: parts.update(state_dict=[]),
        lambda parts: parts.update(arrays={}),
        lambda parts: parts["meta"].pop("model"),
        lambda parts: parts["meta"].update(model="x"),
        lambda parts: parts["meta"].pop("protocol"),
        lambda parts: parts["meta"].update(protocol=3),
        lambda parts: parts["state_dict"].popitem(),
        lambda parts: parts["state_dict"].update(more=torch.ones(2)),
        lambda parts: parts["state_dict"].update({name: "x" for name in [*parts["state_dict"]][:1]}),
    ],
)
def test_a_model_file_without_its_parts_is_refused(grounded, tmp_path, change):
    damaged(grounded / "ground.pt", tmp_path / "bad.pt", change)
    with pytest.raises(DataError, match=r"bad\.pt"):
        GroundModel.load(tmp_path / "bad.pt")


def test_a_cut_or_altered_model_file_is_refused(run, grounded, picture, tmp_path):
    content = (grounded / "ground.pt").read_bytes()
    middle = len(content) // 2
    altered = content[:middle] + bytes(64) + content[middle + 64 :]
    for bad in (content[:middle], content[:100], altered, b""):
        (tmp_path / "bad.pt").write_bytes(bad)
        result = run("ground", picture, "circle", "--model", "bad.pt")
        assert (result.code, result.err[:15]) == (3, "error: bad.pt: ")


def test_an_exported_model_that_calls_itself_a_grounding_one_is_refused(run, made, tmp_path):
    assert run("export", made / "seed33.joblib", "-o", "m.onnx").code == 0
    read = onnx_files.read(tmp_path / "m.onnx")
    content = onnx_files.serialise(onnx.load(tmp_path / "m.onnx"), {**read.meta, "kind": "grounding"})
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.onnx"):
        GroundModel.load(tmp_path / "bad.onnx")
