"""Scenes with phrases: each is read again by its words; splits, unseen pairs, bytes; faces are found."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from eavctl.errors import UsageError
from eavctl.signals.faces import detector
from eavctl.signals.masks import decode
from eavctl.synthetic import scene_pictures
from eavctl.synthetic import scenes as made
from eavctl.synthetic.people import CHANCES, HAIR, draw_person
from eavctl.synthetic.scene_phrases import KINDS, Phrase, Scene, Thing, only, words
from eavctl.synthetic.scene_pictures import COLOURS, SHAPES, box_of, draw_people, draw_shapes
from eavctl.synthetic.scenes import HELD_OUT_PEOPLE, HELD_OUT_SHAPES, synth_scenes

PAIRS = [(colour, shape) for colour in COLOURS for shape in SHAPES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "scenes"
    assert synth_scenes(out, scenes=60, seed=5) == 60 + 3 * 6
    return out


@pytest.fixture(scope="module")
def refs(folder):
    return json.loads((folder / "refs.json").read_text())


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


# --- reading phrases by their words, apart from the grammar that made them ----------------------------------

NOUNS = (*SHAPES, "woman", "man")
SIDES = {"left": ("x", 1), "right": ("x", -1), "top": ("y", 1), "bottom": ("y", -1)}


def reading(text, things, width, height):
    """Numbers of the things of a scene that a phrase can mean, by its words, without margins."""
    text = f" {text.removeprefix('the ')} "
    relation = re.search(r" (left of|right of|above|over|below|under|next to|beside) (.*) ", text)
    told = text[: relation.start() + 1] if relation else text
    noun = next(word for word in told.split() if word in (*NOUNS, "shape", "person", "face"))
    shapes = [i for i, t in enumerate(things) if t["noun"] in SHAPES]
    general = {"shape": shapes, **dict.fromkeys(("person", "face"), {*range(len(things))} - {*shapes})}
    found = [i for i, t in enumerate(things) if noun == t["noun"] or i in general.get(noun, ())]
    colours = r"(\w+)" if noun in (*SHAPES, "shape") else r"(?:in|wearing) (\w+)"
    said = [word for word in re.findall(colours, told) if word in COLOURS]
    found = [i for i in found if not said or things[i]["colour"] == said[0]]
    for pattern, name in (
        (" glasses ", "glasses"), (" a hat ", "hat"), (" a beard | bearded ", "beard"),
        (" dark hair ", "dark hair"), (" blonde? hair ", "blond hair"), (" red hair ", "red hair"),
        (" gr[ea]y hair ", "grey hair"), (" long hair ", "long hair"), (" short hair ", "short hair"),
    ):  # fmt: skip
        if re.search(pattern, told):
            found = [i for i in found if name in things[i]["attributes"]]
    for pattern, size in ((" small | little ", "small"), (" large | big ", "large")):
        if re.search(pattern, told):
            found = [i for i in found if things[i]["size"] == size]
    if relation and found:
        others = reading(relation[2], things, width, height)
        assert len(others) < 2, text
        found = [i for i in found if others and stands(relation[1], things, i, others[0])]
    if re.search(" largest | biggest | closest | nearest ", told):
        found = sorted(found, key=lambda i: -things[i]["area"])[:1]
    if re.search(" smallest | farthest ", told):
        found = sorted(found, key=lambda i: things[i]["area"])[:1]
    if re.search(r" (in the )?(middle|centre|center) ", told):
        found = [i for i in found if abs(things[i]["x"] / width - 0.5) < 0.12]
        found = sorted(found, key=lambda i: abs(things[i]["x"] / width - 0.5))[:1]
    for side, (axis, sign) in SIDES.items():
        row = sorted(found, key=lambda i: sign * things[i][axis])
        if f" second from the {side} " in told or re.search(rf" second .*from the {side} ", told):
            return row[1:2]
        if f" {side}most " in told:
            return row[:1]
        if f" {side} " in told:
            share = things[row[0]][axis] / (width if axis == "x" else height) if row else 0
            return row[:1] if (share < 0.5) == (sign > 0) else []
    return found


def stands(relation, things, this, that):
    """Whether a thing stands so to another; beside each other are those with none between them, across."""
    (x, y), (a, b) = ((things[i]["x"], things[i]["y"]) for i in (this, that))
    if relation in ("next to", "beside"):
        return this != that and not any(min(x, a) < t["x"] < max(x, a) for t in things)
    return {
        "left of": x < a, "right of": x > a, "above": y < b, "over": y < b, "below": y > b, "under": y > b,
    }[relation]  # fmt: skip


def described(drawn):
    """The things of a picture as `reading` takes them: places from the masks, the rest as drawn."""
    things = []
    for thing, mask in zip(drawn.scene.things, drawn.masks, strict=True):
        x, y, wide, tall = box_of(mask)
        area = thing.area if thing.is_person else wide * tall
        about = {name: getattr(thing, name) for name in ("noun", "colour", "size", "attributes")}
        things.append({**about, "area": area, "x": x + wide / 2, "y": y + tall / 2})
    return things


@pytest.mark.parametrize("has_shapes", [True, False])
@pytest.mark.parametrize("part", ["val", "unseen"])
def test_phrases_mean_one_thing_by_their_words_or_surely_nothing(has_shapes, part):
    rng = np.random.default_rng(3)
    read = dict.fromkeys(KINDS, 0)
    lacks = "attribute" if has_shapes else ""
    of_part = () if part == "val" else ("place", "size", *(() if has_shapes else ("colour", "relation")))
    while min(read[kind] for kind in KINDS if kind != lacks and kind not in of_part) < 12:
        drawn = made._draw(rng, 0, part, has_shapes=has_shapes)
        height, width = drawn.picture.shape[:2]
        for kind in KINDS:
            asked = made._ask(rng, 0, part, drawn, kind)
            if asked:
                text, target = words(asked[0], rng), asked[1]
                found = reading(text, described(drawn), width, height)
                assert found == ([] if target is None else [target]), text
                read[kind] += 1
    assert not any(read[kind] for kind in (lacks, *of_part) if kind)


def row(*xs, noun="man", area=0.05):
    """A scene of people side by side, 1 wide and 0.6 high."""
    return Scene(tuple(Thing(noun, "", x, 0.3, area) for x in xs), 1.0, 0.6)


@pytest.mark.parametrize(
    ("place", "xs", "expected"),
    [
        ("left", (0.2, 0.8), 0), ("right", (0.2, 0.8), 1), ("leftmost", (0.6, 0.8), 0),
        ("left", (0.6, 0.8), None), ("left", (0.2, 0.24), None), ("leftmost", (0.2, 0.24), None),
        ("middle", (0.1, 0.5, 0.9), 1), ("middle", (0.1, 0.3, 0.9), None),
        ("second left", (0.5, 0.1, 0.9), 0), ("second right", (0.5, 0.1, 0.9, 0.3), 0),
        ("second left", (0.5,), None), ("middle", (0.1, 0.3, 0.5), None),
    ],
)  # fmt: skip
def test_places_need_a_margin(place, xs, expected):
    assert only(Phrase("man", place=place).fits(row(*xs))) == expected


def test_superlatives_need_a_rival_and_an_absent_side_needs_others_there():
    things = (Thing("man", "", 0.2, 0.3, 0.05), Thing("woman", "", 0.8, 0.3, 0.02))
    scene = Scene(things, 1.0, 0.6)
    assert Phrase("woman", place="leftmost").fits(scene) == [False, None]
    assert Phrase("woman", place="rightmost").fits(scene) == [False, True]
    assert Phrase("woman", size="largest").fits(scene) == [False, None]
    assert Phrase("woman", place="left").fits(scene) == [False, False]
    assert Phrase("woman", place="left").fits(Scene(things[1:], 1.0, 0.6)) == [None]


def test_next_to_is_the_neighbour_and_never_close_calls():
    things = (
        Thing("man", "", 0.2, 0.3, 0.05),
        Thing("woman", "", 0.5, 0.3, 0.05),
        Thing("man", "", 0.9, 0.3, 0.05),
    )
    phrase = Phrase("man", relation="next to", other=Phrase("woman"))
    assert phrase.fits(Scene(things, 1.0, 0.6)) == [True, False, True]
    assert only(phrase.fits(Scene(things[:2], 1.0, 0.6))) == 0


def test_a_relation_to_what_is_not_there_or_not_clear_means_nothing():
    scene = row(0.2, 0.8)
    assert Phrase("man", relation="left of", other=Phrase("woman")).fits(scene) == [False, False]
    assert Phrase("man", relation="left of", other=Phrase("man")).fits(scene) == [None, None]


def test_clothes_that_are_not_seen_are_neither_of_a_colour_nor_not():
    assert Phrase("man", colour="red").fits(row(0.2)) == [None]


# --- the data set -------------------------------------------------------------------------------------------


def test_boxes_are_the_hulls_of_masks_and_nothing_there_has_neither(folder, refs):
    for ref in refs:
        assert (ref["bbox_xywh"] is None) == (ref["segmentation"] is None) == (ref["kind"] == "none")
        if ref["bbox_xywh"]:
            width, height = Image.open(folder / "images" / ref["image"]).size
            mask = decode(ref["segmentation"], height, width)
            assert box_of(mask) == tuple(ref["bbox_xywh"])


def test_no_phrase_twice_in_a_picture_and_all_kinds_occur(refs):
    pairs = [(ref["image"], ref["phrase"]) for ref in refs]
    assert len(set(pairs)) == len(pairs)
    assert {ref["kind"] for ref in refs} == set(KINDS)
    assert 0.08 < np.mean([ref["kind"] == "none" for ref in refs]) < 0.3


def test_training_never_names_what_is_held_out_and_the_unseen_part_does(refs):
    def names_held_out(text):
        words = text.split()
        shapes = any(f"{colour} {shape}" in text for colour, shape in HELD_OUT_SHAPES)
        people = any(
            noun in words[:4] and re.search(rf"\b{noun}\b.*\b{attribute.replace('blond', 'blonde?')}\b", text)
            for noun, attribute in HELD_OUT_PEOPLE
        )
        return bool(shapes or people)

    for ref in refs:
        if ref["kind"] == "none" or ref["kind"] == "relation":
            continue
        assert names_held_out(ref["phrase"]) == (ref["task"] == "unseen"), ref["phrase"]
    assert {ref["split"] for ref in refs if ref["task"] == "unseen"} == {"test"}


def test_pictures_for_training_show_no_held_out_pair():
    usual = [made._person(1, "val", number) for number in range(30)]
    assert not any((person.noun, name) in HELD_OUT_PEOPLE for person in usual for name in person.attributes)
    held_out = [made._person(1, "unseen", number, is_held_out=True) for number in range(12)]
    assert all(any((p.noun, name) in HELD_OUT_PEOPLE for name in p.attributes) for p in held_out)
    rng = np.random.default_rng(2)
    for _ in range(60):
        scene = made._draw(rng, 1, "val", has_shapes=True).scene
        assert not {(t.colour, t.noun) for t in scene.things} & set(HELD_OUT_SHAPES)
        scene = made._draw(rng, 1, "unseen", has_shapes=bool(rng.integers(2))).scene
        first = scene.things[0]
        pairs = {(first.colour, first.noun)} | {(first.noun, name) for name in first.attributes}
        assert pairs & {*HELD_OUT_SHAPES, *HELD_OUT_PEOPLE}


def test_same_seed_same_bytes_and_kept(folder, tmp_path):
    before = contents(folder)
    assert synth_scenes(folder, scenes=60, seed=5) == 78
    assert contents(folder) == before
    synth_scenes(tmp_path / "small", scenes=10, seed=5)
    small = contents(tmp_path / "small")
    shared = [name for name in small if name.startswith("images/train")]
    assert len(shared) == 10
    assert all(small[name] == before[name] for name in shared)  # whatever the number of scenes


def test_any_number_of_processes_makes_the_same_bytes(folder, refs, tmp_path, monkeypatch):
    monkeypatch.setattr(made, "CHUNK", 8)
    assert synth_scenes(tmp_path, scenes=20, seed=5, jobs=2) == 20 + 3 * 2
    pictures = {path.relative_to(tmp_path / "images").as_posix() for path in tmp_path.rglob("*.jpg")}
    assert json.loads((tmp_path / "refs.json").read_text()) == [r for r in refs if r["image"] in pictures]
    one = contents(folder / "images")
    assert all(content == one[name] for name, content in contents(tmp_path / "images").items())


def test_no_picture_is_in_two_splits(refs, folder):
    splits = {}
    for ref in refs:
        assert splits.setdefault(ref["image"], (ref["split"], ref["task"])) == (ref["split"], ref["task"])
    pictures = [content for name, content in contents(folder).items() if name.endswith(".jpg")]
    assert len(pictures) == len(set(pictures)) == len(splits)


def test_other_settings_take_force_and_files_of_others_stay(tmp_path):
    out = tmp_path / "scenes"
    synth_scenes(out, scenes=10, seed=1)
    with pytest.raises(UsageError):
        synth_scenes(out, scenes=10, seed=2)
    synth_scenes(out, scenes=11, seed=2, force=True)
    assert len(list((out / "images" / "train").iterdir())) == 11
    (tmp_path / "own" / "images").mkdir(parents=True)
    own = tmp_path / "own" / "images" / "holiday.jpg"
    own.write_bytes(b"somebody's")
    with pytest.raises(UsageError):
        synth_scenes(tmp_path / "own", scenes=10, force=True)
    assert own.read_bytes() == b"somebody's"
    with pytest.raises(UsageError):
        synth_scenes(tmp_path / "few", scenes=3)


def test_force_removes_scenes_of_other_settings_but_no_other_file(tmp_path):
    synth_scenes(tmp_path, scenes=11, seed=1)
    own = tmp_path / "images" / "train" / "holiday.jpg"
    own.write_bytes(b"somebody's")
    with pytest.raises(UsageError):
        synth_scenes(tmp_path, scenes=10, seed=2, force=True)
    assert own.read_bytes() == b"somebody's"
    assert len(list(own.parent.iterdir())) == 12
    own.unlink()
    synth_scenes(tmp_path, scenes=10, seed=2, force=True)
    assert len(list(own.parent.iterdir())) == 10


def test_what_is_missing_is_made_and_leftovers_go(folder, tmp_path):
    synth_scenes(tmp_path, scenes=10, seed=5)
    before = contents(tmp_path)
    (tmp_path / "images" / "val" / "00000.jpg").unlink()
    (tmp_path / "refs.json").unlink()
    (tmp_path / "images" / "val" / ".00000.jpg.0123abcd.tmp").write_bytes(b"half")
    synth_scenes(tmp_path, scenes=10, seed=5)
    assert contents(tmp_path) == before


def test_an_interrupt_leaves_whole_files_only(tmp_path):
    words = ["synth", "--task", "grounding", "--scenes", "900", "-j", "2", "-o", "scenes"]
    process = subprocess.Popen([sys.executable, "-m", "eavctl", *words], cwd=tmp_path)
    while not list(tmp_path.rglob("*.tmp")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "scenes" / "refs.json").exists()
    for path in tmp_path.rglob("*.jpg"):
        Image.open(path).load()


# --- people -------------------------------------------------------------------------------------------------


def test_people_have_what_they_must_and_nothing_else():
    people = [
        draw_person(np.random.default_rng([9, i]), frozenset({("woman", "glasses")})) for i in range(40)
    ]
    for person in people:
        assert (person.noun, "beard") != ("woman", "beard") or "beard" not in person.attributes
        assert not (person.noun == "woman" and person.attributes & {"glasses", "beard"})
        assert sum(name in (f"{hair} hair" for hair in HAIR) for name in person.attributes) == 1
        assert ("long hair" in person.attributes) == (person.noun == "woman")
        alpha = person.picture[..., 3]
        assert (alpha[person.head] > 127).mean() > 0.97
        assert (alpha[:5] < 40).mean() > 0.5
    assert {name for person in people for name in person.attributes} >= set(CHANCES)


def test_long_hair_makes_nobody_larger():
    by_noun = {"woman": [], "man": []}
    for number in range(30):
        person = draw_person(np.random.default_rng([11, number]))
        by_noun[person.noun].append(person.face / person.picture.shape[1])
    assert np.mean(by_noun["woman"]) == pytest.approx(np.mean(by_noun["man"]), rel=0.02)
    assert all(0.5 < share < 0.6 for shares in by_noun.values() for share in shares)  # of 3.6 half widths, 2


def test_shapes_stand_out_even_in_grey_pictures():
    rng = np.random.default_rng(8)
    scenes = [drawn for drawn in (draw_shapes(rng, PAIRS, None) for _ in range(150)) if drawn]
    assert any(drawn.is_grey for drawn in scenes)
    for drawn in scenes:
        free = drawn.picture[~drawn.masks.any(axis=0)]
        for mask in drawn.masks:
            assert np.abs(drawn.picture[mask].mean(axis=0) - np.median(free, axis=0)).max() > 8


def test_black_bars_move_the_masks_with_the_picture(monkeypatch):
    monkeypatch.setattr(scene_pictures, "BARRED", 1.0)
    rng = np.random.default_rng(1)
    drawn = next(found for found in (draw_shapes(rng, PAIRS, None) for _ in range(50)) if found)
    assert drawn.masks.shape[1:] == drawn.picture.shape[:2]
    rim = np.concatenate([drawn.picture[:, :3].ravel(), drawn.picture[:3].ravel()])
    assert (rim < 60).mean() > 0.3
    for thing, mask in zip(drawn.scene.things, drawn.masks, strict=True):
        left, _, wide, _ = box_of(mask)
        assert thing.x == pytest.approx((left + wide / 2) / max(mask.shape))


def test_faces_are_found_where_the_heads_are():
    rng = np.random.default_rng(4)
    people = [draw_person(np.random.default_rng([5, i])) for i in range(12)]
    find, hits, n = detector(), 0, 0
    for _ in range(12):
        chosen = [people[int(i)] for i in rng.choice(12, 2, replace=False)]
        drawn = draw_people(rng, chosen)
        if drawn is None:
            continue
        image = Image.fromarray(drawn.picture)
        large = np.asarray(image.resize((image.width * 4, image.height * 4)))
        centres = (find(large, None).boxes.reshape(-1, 2, 2).mean(axis=1) / 4).round().astype(int)
        for mask in drawn.masks:
            n += 1
            hits += any(mask[min(y, len(mask) - 1), min(x, mask.shape[1] - 1)] for x, y in centres)
    assert hits / n > 0.7
