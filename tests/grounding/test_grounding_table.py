"""Pictures with phrases to a table and to examples: where boxes and masks are, resuming, bytes and damage."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from eavctl.errors import DataError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.grounding.examples import MASK
from eavctl.grounding.table import examples_of
from eavctl.grounding.vocabulary import Vocabulary
from eavctl.signals.masks import run_lengths
from eavctl.stages.extract import extract, plan
from eavctl.stages.show import show
from eavctl.storage import grounding_tables, tables
from eavctl.storage.grounding_tables import read_grounding
from eavctl.storage.parquet import META_KEY
from eavctl.synthetic.scenes import synth_scenes

RECIPE = Recipe("scenes")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "scenes"
    synth_scenes(out, scenes=20, seed=3)
    return out


@pytest.fixture(scope="module")
def table(scenes, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "scenes.parquet"
    extract(scenes, path, RECIPE)
    return path


def entries(scenes):
    return json.loads((scenes / "refs.json").read_text())


def test_a_row_a_phrase_with_the_picture_of_its_own(scenes, table):
    found = read_grounding(table)
    refs = entries(scenes)
    assert sorted(found.phrases) == sorted(ref["phrase"] for ref in refs)
    by_row = {(ref["image"][:-4], ref["phrase"]): ref for ref in refs}
    assert found.keys["sample_id"].is_monotonic_increasing
    for row in range(len(found)):
        clip = found.keys["clip_id"][row]
        ref = by_row[clip, found.phrases[row]]
        assert (found.keys["split"][row], found.keys["task"][row]) == (ref["split"], ref["task"])
        assert found.kinds[row] == ref["kind"]
        assert found.there[row] == (ref["bbox_xywh"] is not None) == found.has_mask[row]
        picture = np.asarray(Image.open(scenes / "images" / ref["image"]))
        square = found.pictures[found.picture_of[row]]
        height, width = picture.shape[:2]
        scale = 64 / max(height, width)
        corner = (64 - round(height * scale)) // 2, (64 - round(width * scale)) // 2
        small = square[corner[0] : 64 - corner[0], corner[1] : 64 - corner[1]]
        assert abs(small.mean() - picture.mean()) < 6
        if not found.there[row]:
            assert np.isnan(found.boxes[row]).all()
            continue
        x, y, wide, tall = ref["bbox_xywh"]
        centre = np.array([x + wide / 2, y + tall / 2]) * scale + corner[::-1]
        np.testing.assert_allclose(found.boxes[row] * 64, [*centre, wide * scale, tall * scale], atol=0.8)
        mask = np.unpackbits(found.masks[row], axis=1)
        rows, columns = mask.nonzero()
        assert abs(columns.mean() + 0.5 - 64 * found.boxes[row, 0]) < 0.2 * wide * scale + 1
        assert abs(rows.mean() + 0.5 - 64 * found.boxes[row, 1]) < 0.2 * tall * scale + 1


def test_the_table_is_of_a_kind_of_its_own(table):
    meta = tables.read_meta(table)
    assert (meta["kind"], meta["features"], meta["shape"]) == ("grounding", "scenes", [64, 64, 3])
    with pytest.raises(DataError):
        tables.read_features(table)
    columns = pq.read_schema(table).names
    assert columns[-6:] == ["phrase", "kind", "there", "box", "mask", "x"]


def test_examples_hold_each_picture_once_and_no_split_divides_it(scenes, table):
    found = read_grounding(table)
    assert len(found.pictures) == len({ref["image"] for ref in entries(scenes)})
    examples = examples_of(found)
    rows = examples.rows(Vocabulary.of(found.phrases))
    assert len(rows) == len(found)
    assert rows.streams.present[:, MASK].tolist() == found.has_mask.tolist()
    assert len(np.unique(examples.clips)) == len(found.pictures)


def test_workers_and_batches_do_not_change_the_bytes_and_nothing_is_done_twice(scenes, table, tmp_path):
    again = tmp_path / "again.parquet"
    extract(scenes, again, RECIPE, jobs=2)
    assert again.read_bytes() == table.read_bytes()
    assert extract(scenes, again, RECIPE).up_to_date
    assert plan(scenes, again, RECIPE).up_to_date


def test_an_interrupted_run_leaves_no_table_and_goes_on_to_the_same_bytes(scenes, table, tmp_path):
    out = tmp_path / "out.parquet"

    def stop(n_done, n_all, words):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(scenes, out, RECIPE, on_clip=stop)
    assert not out.exists()
    assert any(tmp_path.rglob("*.npz"))
    extract(scenes, out, RECIPE)
    assert out.read_bytes() == table.read_bytes()
    assert list(tmp_path.iterdir()) == [out]


def test_boxes_and_masks_are_those_of_a_picture_turned_upright(tmp_path):
    """Stored on its side, 60 pixels wide and 40 high, and shown 40 wide and 60 high."""
    upright = np.full((60, 40, 3), 90, np.uint8)
    upright[6:30, 20:36] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=exif)
    outline = [[20, 6, 36, 6, 36, 30, 20, 30]]
    ref = {"image": "a.png", "phrase": "bright", "bbox_xywh": [20, 6, 16, 24], "segmentation": outline}
    (tmp_path / "refs.json").write_text(json.dumps([ref]))
    extract(tmp_path, tmp_path / "out.parquet", RECIPE)
    found = read_grounding(tmp_path / "out.parquet")
    bright = found.pictures[0, :, :, 0] > 170
    mask = np.unpackbits(found.masks[0], axis=1).astype(bool)
    assert (bright & mask).sum() > 0.9 * (bright | mask).sum()
    x, y, wide, tall = found.boxes[0] * 64
    rows, columns = bright.nonzero()
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], edges, atol=1)


def test_changed_phrases_are_read_anew(scenes, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(scenes, copy)
    out = tmp_path / "out.parquet"
    first = extract(copy, out, RECIPE)
    refs = entries(copy)
    (copy / "refs.json").write_text(json.dumps(refs[1:]))
    second = extract(copy, out, RECIPE)
    assert not second.up_to_date
    assert second.n_rows == first.n_rows - 1


def test_phrases_that_cannot_be_used_are_named_and_the_rest_goes_on(tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "images" / "a.png")
    good = {"image": "a.png", "phrase": "good", "bbox_xywh": [10, 10, 20, 20]}
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:30] = True
    refs = [
        good | {"segmentation": run_lengths(mask)},
        good | {"phrase": "far away", "bbox_xywh": [100, 100, 5, 5]},
        good | {"phrase": "thinner than a float", "bbox_xywh": [0, 0, 1e-60, 5]},
        good | {"phrase": "damaged", "segmentation": {"size": [40, 60], "counts": [5]}},
        good | {"phrase": "half outside", "bbox_xywh": [50, 30, 30, 30]},
    ]
    (tmp_path / "refs.json").write_text(json.dumps(refs))
    result = extract(tmp_path, tmp_path / "out.parquet", RECIPE)
    reasons = " ".join(bad["reason"] for bad in result.rejected)
    assert result.n_rows == 2
    assert (result.n_recordings, len(result.rejected)) == (1, 3)
    for name in ("far away", "thinner than a float", "damaged"):
        assert name in reasons
    found = read_grounding(tmp_path / "out.parquet")
    assert found.phrases == ("good", "half outside")
    assert found.has_mask.tolist() == [True, False]
    x, wide = found.boxes[1, ::2] * 64
    assert x + wide / 2 == pytest.approx(64, abs=1e-4)
    np.testing.assert_allclose([x, wide], [55 * 64 / 60, 10 * 64 / 60], rtol=1e-5)


def test_names_are_sorted_as_the_rows_are(tmp_path):
    """A picture "p" comes before "p (1)", and its first phrase "p#0001" after "p (1)#0001"."""
    pictures = {"p.png": 10, "p (1).png": 200, "p!.png": 90, "pa.png": 40}
    for name, level in pictures.items():
        Image.fromarray(np.full((40, 60, 3), level, np.uint8)).save(tmp_path / name)
    refs = [{"image": name, "phrase": name, "bbox_xywh": [0, 0, 9, 9]} for name in pictures for _ in range(2)]
    (tmp_path / "refs.json").write_text(json.dumps(refs))
    extract(tmp_path, tmp_path / "out.parquet", RECIPE)
    found = read_grounding(tmp_path / "out.parquet")
    assert found.keys["sample_id"].is_monotonic_increasing
    centre = found.pictures[found.picture_of, 32, 32, 0]
    assert centre.tolist() == [pictures[phrase] for phrase in found.phrases]
    assert len(found.pictures) == len(pictures)


def test_a_picture_can_have_more_phrases_than_four_digits_count(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    refs = [{"image": "a.png", "phrase": f"p{n}", "bbox_xywh": None} for n in range(1, 10_003)]
    (tmp_path / "refs.json").write_text(json.dumps(refs))
    extract(tmp_path, tmp_path / "out.parquet", Recipe("scenes", {"size": 32}))
    found = read_grounding(tmp_path / "out.parquet")
    number = found.keys["sample_id"].str.removeprefix("a#").astype(int)
    assert found.phrases == tuple(f"p{n}" for n in number)
    assert sorted(number) == list(range(1, 10_003))


def test_pictures_with_phrases_are_whole_and_other_features_are_ordinary(scenes, tmp_path):
    with pytest.raises(UsageError):
        extract(scenes, tmp_path / "a.parquet", Recipe("scenes", segment=1.0))
    extract(scenes, tmp_path / "b.parquet", Recipe("images", {"size": 16}))
    assert tables.read_meta(tmp_path / "b.parquet")["kind"] == "features"


def test_real_expressions_on_real_pictures(shared_data, tmp_path):
    out = tmp_path / "coco.parquet"
    extract(shared_data / "coco128-refs", out, Recipe("scenes", {"size": 448}))
    found = read_grounding(out)
    assert len(found) == 30
    assert found.pictures.shape == (3, 448, 448, 3)
    assert found.there.all()
    assert not found.has_mask.any()
    zebra = found.phrases.index("closest zebra")
    assert found.boxes[zebra, 1] > 0.6  # at the bottom of the picture


def test_damage_is_an_error(table, tmp_path):
    content = bytearray(table.read_bytes())
    rng = np.random.default_rng(0)
    errors = []
    for number in range(60):
        changed = bytearray(content)
        changed[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(changed)
        try:
            read_grounding(path)
        except DataError as error:
            errors.append(str(error))
    assert len(errors) > 50
    assert all(len(error.splitlines()) <= 2 for error in errors)


def rewritten(table, path, **columns):
    """The table with other columns, by another program: without a checksum, and with the same metadata."""
    arrow = pq.read_table(table)
    for name, values in columns.items():
        place = arrow.schema.get_field_index(name)
        kind = arrow.schema.field(place)
        arrow = arrow.set_column(place, kind.with_nullable(True), pa.array(values, kind.type))
    return written(arrow, table, path)


def written(arrow, table, path):
    """Write columns with the metadata of a table."""
    meta = {META_KEY: pq.read_metadata(table).metadata[META_KEY]}
    pq.write_table(arrow.replace_schema_metadata(meta), path)
    return path


def test_a_table_that_another_program_rewrote_is_read(table, tmp_path):
    one, other = read_grounding(table), read_grounding(rewritten(table, tmp_path / "same.parquet"))
    for name in ("boxes", "masks", "pictures", "picture_of"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "boxes")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("phrase", None), ("kind", None), ("there", None), ("there", False), ("clip_id", None), ("box", None),
        ("box", [0.5, 0.5, 0.0, 0.1]), ("box", [0.5, 0.5, 1.5, 0.1]), ("box", [-0.1, 0.5, 0.1, 0.1]),
        ("box", [0.5, None, 0.1, 0.1]), ("box", [0.5, float("nan"), 0.1, 0.1]), ("mask", b"\0" * 512),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_are_refused(table, tmp_path, column, value):
    values = pq.read_table(table)[column].to_pylist()
    row = int(np.flatnonzero(read_grounding(table).has_mask)[0])
    values[row] = value
    with pytest.raises(DataError) as error:
        read_grounding(rewritten(table, tmp_path / "odd.parquet", **{column: values}))
    assert "odd.parquet" in str(error.value)


def test_columns_are_missed_by_name(tmp_path, table):
    arrow = pq.read_table(table)
    assert arrow.schema.field("box").type == grounding_tables.BOX
    for name in ("box", "phrase", "x"):
        with pytest.raises(DataError, match="lacks"):
            read_grounding(written(arrow.drop_columns([name]), table, tmp_path / "less.parquet"))
    with pytest.raises(DataError):
        read_grounding(written(arrow[:0], table, tmp_path / "empty.parquet"))


def test_counts_are_those_of_the_phrases(scenes, table):
    refs, found = entries(scenes), show(table)
    assert found["phrases"] == len(refs)
    assert found["pictures"] == len({ref["image"] for ref in refs})
    assert found["absent"] == sum(ref["bbox_xywh"] is None for ref in refs)
    assert found["masks"] == sum("segmentation" in ref for ref in refs if ref["bbox_xywh"])
    for name, key in (("kinds", "kind"), ("splits", "split"), ("tasks", "task")):
        assert found[name] == dict(Counter(ref[key] for ref in refs))


def test_where_features_are_needed_the_table_is_refused_by_what_it_is(table):
    for read in (tables.read_features, tables.read_feature_meta):
        with pytest.raises(DataError, match="train-ground"):
            read(table)
