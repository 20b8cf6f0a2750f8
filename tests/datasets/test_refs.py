"""Layout ``refs``: both forms of the JSON, real expressions, splits, and hostile files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eavctl.datasets.manifest import find
from eavctl.datasets.refs import phrases_of
from eavctl.errors import DataError


def folder(tmp_path, refs, instances=None, names=("a.jpg", "b.jpg")):
    (tmp_path / "images").mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "images" / name)
    (tmp_path / "refs.json").write_text(refs if isinstance(refs, str) else json.dumps(refs))
    if instances is not None:
        (tmp_path / "instances_train.json").write_text(json.dumps(instances))
    return tmp_path


def ref(image="a.jpg", phrase="the dog", box=(1, 2, 10, 20), **more):
    return {"image": image, "phrase": phrase, "bbox_xywh": box and list(box), **more}


COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}],
    "annotations": [
        {"id": 70, "image_id": 7, "bbox": [1, 2, 10, 20], "segmentation": [[1, 2, 11, 2, 11, 22, 1, 22]]},
        {"id": 71, "image_id": 7, "bbox": [30, 2, 10, 20], "segmentation": []},
    ],
}


def test_real_expressions(shared_data):
    manifest = find(shared_data / "coco128-refs")
    assert (manifest.layout, len(manifest), manifest.rejected) == ("refs", 3, ())
    assert manifest.rows["split"].tolist() == ["test", "val", "test"]
    phrases = phrases_of(shared_data / "coco128-refs")
    assert {clip: len(each) for clip, each in phrases.items()} == {
        "000000000154": 14, "000000000309": 4, "000000000605": 12,
    }  # fmt: skip
    (first, *_) = phrases["000000000154"]
    assert first.text == "closest zebra"
    np.testing.assert_allclose(first.box, [11.98, 315.59, 361.07, 640], atol=0.02)
    assert {each.task for each in phrases["000000000154"]} == {"unc+/unc+_testB", "unc/unc_testB"}


def test_plain_form_with_kinds_tasks_and_what_is_not_there(tmp_path):
    refs = [
        ref(kind="place", split="train"),
        ref("b.jpg", "no cat", None, split="test", task="unseen"),
        ref("b.jpg", "a cat", split="test"),
    ]
    root = folder(tmp_path, refs)
    manifest = find(root)
    assert manifest.rows["split"].tolist() == ["train", "test"]
    assert manifest.rows["dataset"].nunique() == 1
    phrases = phrases_of(root)
    assert phrases["a"][0].box == (1, 2, 11, 22)
    assert phrases["a"][0].kind == "place"
    absent, cat = phrases["b"]
    assert (absent.box, absent.task, cat.task) == (None, "unseen", "test")


def test_a_box_of_an_annotation_brings_its_segmentation(tmp_path):
    near, far = ref(box=(2.5, 1, 9, 21)), ref(phrase="far", box=(5, 2, 10, 20))
    phrases = phrases_of(folder(tmp_path, [near, far], COCO))["a"]
    assert phrases[0].segmentation == COCO["annotations"][0]["segmentation"]
    assert phrases[1].segmentation is None


def test_of_several_near_boxes_the_nearest_brings_its_segmentation(tmp_path):
    def annotation(number, left):
        outline = [[left, 2, left + 3, 2, left + 3, 5, left, 5]]
        return {"id": number, "image_id": 7, "bbox": [left, 2, 3, 3], "segmentation": outline}

    annotations = [
        annotation(1, 11.5),
        annotation(2, 10),
        annotation(3, 9),
        annotation(4, 10) | {"segmentation": []},
    ]
    instances = {"images": COCO["images"], "annotations": annotations}
    (found,) = phrases_of(folder(tmp_path, [ref(box=(10.1, 2, 3, 3))], instances))["a"]
    assert found.segmentation == annotations[1]["segmentation"]


def test_refcocos_own_form(tmp_path):
    refs = [
        {"ann_id": 70, "split": "testA", "sentences": [{"sent": "left dog"}, {"sent": "dog"}]},
        {"ann_id": 71, "split": "testA", "sentences": [{"sent": "right one"}]},
    ]
    root = folder(tmp_path, refs, COCO)
    assert find(root).rows["split"].tolist() == ["test"]
    found = phrases_of(root)["a"]
    assert [each.text for each in found] == ["left dog", "dog", "right one"]
    assert found[2].box == (30, 2, 40, 22)
    assert found[0].segmentation
    assert found[2].segmentation is None


def test_a_picture_stays_in_one_split(tmp_path):
    manifest = find(folder(tmp_path, [ref(split="train"), ref(phrase="again", split="val")]))
    assert manifest.rows["split"].tolist() == ["train"]
    assert len(manifest.rejected) == 1
    assert "again" in manifest.rejected[0]["reason"]


def test_missing_pictures_are_rejected_by_name(tmp_path):
    manifest = find(folder(tmp_path, [ref(), ref("gone.jpg")]))
    assert [bad["path"] for bad in manifest.rejected] == ["gone.jpg"]
    assert len(manifest) == 1


@pytest.mark.parametrize(
    "box",
    [
        [1, 2, 0, 5], [1, 2, -3, 5], [1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, None], "box", {"x": 1}, 5,
        [1, 2, 3, 10**400], [1, 2, True, 5],
    ],
)  # fmt: skip
def test_a_box_that_is_none_rejects_its_phrase(tmp_path, box):
    bad = {"image": "a.jpg", "phrase": "bad", "bbox_xywh": box}
    root = folder(tmp_path, [ref(), bad])
    assert len(find(root).rejected) == 1
    assert [each.text for each in phrases_of(root)["a"]] == ["the dog"]


def test_numbers_that_are_none_are_rejected(tmp_path):
    text = json.dumps([ref(), ref(phrase="x", box=(float("nan"), 1, float("inf"), 4))])
    assert len(find(folder(tmp_path, text)).rejected) == 1


@pytest.mark.parametrize("phrase", ["", "  ", None, 5, ["a"], "x" * 5000, "half a pair \ud800"])
def test_a_phrase_that_is_no_text_is_rejected(tmp_path, phrase):
    root = folder(tmp_path, [ref(), ref(phrase=phrase)])
    assert len(find(root).rejected) == 1
    assert len(phrases_of(root)["a"]) == 1


@pytest.mark.parametrize("odd", [{"kind": 5}, {"kind": "\ud800"}, {"task": ["a"]}, {"task": " "}])
def test_a_kind_or_task_that_is_no_text_rejects_its_phrase(tmp_path, odd):
    root = folder(tmp_path, [ref(), ref(phrase="odd", **odd)])
    assert len(find(root).rejected) == 1
    assert [each.text for each in phrases_of(root)["a"]] == ["the dog"]


def test_a_phrase_without_a_box_does_not_mean_that_nothing_is_there(tmp_path):
    root = folder(tmp_path, [ref(), {"image": "a.jpg", "phrase": "odd", "bbox": [1, 2, 3, 4]}])
    assert len(find(root).rejected) == 1
    assert [each.text for each in phrases_of(root)["a"]] == ["the dog"]


def test_of_two_pictures_with_one_name_the_phrases_are_those_of_the_one_that_is_used(tmp_path):
    refs = [ref("c.png", "of the png"), ref("c.jpg", "of the jpg"), ref("./c.jpg", "of the jpg too")]
    root = folder(tmp_path, refs, names=("c.jpg", "c.png"))
    manifest = find(root)
    assert manifest.rows["video_path"].tolist() == ["images/c.jpg"]
    assert [bad["path"] for bad in manifest.rejected] == ["images/c.png"]
    assert [each.text for each in phrases_of(root)["c"]] == ["of the jpg", "of the jpg too"]
    (root / "images" / "c.jpg").unlink()
    assert find(root).rows["video_path"].tolist() == ["images/c.png"]
    assert [each.text for each in phrases_of(root)["c"]] == ["of the png"]


def test_names_with_spaces_around_keep_their_phrases(tmp_path):
    root = folder(tmp_path, [ref(" a.jpg")], names=(" a.jpg",))
    assert phrases_of(root).keys() == set(find(root).rows["clip_id"])


def test_what_is_no_picture_is_rejected_by_name(tmp_path):
    odd = ["refs.json", "film.mp4", "gone.jpg", f"{'x' * 300}.jpg"]
    root = folder(tmp_path, [ref(), *map(ref, odd)])
    (root / "images" / "film.mp4").write_bytes(b"")
    manifest = find(root)
    assert len(manifest) == 1
    assert {Path(bad["path"]).name for bad in manifest.rejected} == set(odd)


def test_a_picture_without_usable_phrases_is_not_read(tmp_path):
    manifest = find(folder(tmp_path, [ref(), ref("b.jpg", "", None)]))
    assert manifest.rows["clip_id"].tolist() == ["a"]
    assert [bad["path"] for bad in manifest.rejected] == ["images/b.jpg"]


@pytest.mark.parametrize(
    "content",
    [
        "no json", "{}", "[]", "[1]", "[[]]", "null", "[" * 100_000,
        '[{"image": "../../etc/passwd", "phrase": "x", "bbox_xywh": null}]',
        '[{"image": "/etc/passwd", "phrase": "x", "bbox_xywh": null}]',
        '[{"image": 5, "phrase": "x"}]',
        '[{"image": "a\\u0000.jpg", "phrase": "x"}]',
        '[{"image": "\\ud800.jpg", "phrase": "x"}]',
        '[{"image": ".", "phrase": "x"}]',
        '[{"image": "a.jpg", "phrase": "x", "bbox_xywh": null, "split": 5}]',
        '[{"sentences": [], "ann_id": 1}]',
    ],
)  # fmt: skip
def test_hostile_files_are_one_error(tmp_path, content):
    with pytest.raises(DataError) as error:
        find(folder(tmp_path, content))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "instances", [[], {}, {"images": 5, "annotations": []}, {"images": [{}], "annotations": [3]}]
)
def test_hostile_annotations_are_one_error(tmp_path, instances):
    with pytest.raises(DataError):
        find(folder(tmp_path, [ref()], instances))
