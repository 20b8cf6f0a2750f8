"""Names that carry labels: patterns, the layout of them, and the pattern that a flat folder is offered."""

import os
from collections import Counter

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from eavctl.datasets.manifest import find
from eavctl.datasets.name_inference import suggest
from eavctl.datasets.name_patterns import NamePattern
from eavctl.errors import DataError, UsageError

quick = settings(max_examples=200, deadline=None)


@pytest.mark.parametrize(
    ("pattern", "name", "fields"),
    [
        ("{subject}_{label}_{take}", "anna_angry_01", "anna angry 01"),
        ("{subject}_{label}_{take}", "anna_very_angry_01", "anna very_angry 01"),
        ("{subject}_{take}", "anna_b_01", "anna b_01"),
        ("{subject}_{label}_{take}", "any/where/anna_angry_01", "anna angry 01"),
        ("{subject}_{label}_{take}", "anna_angry", None),
        ("{speaker}/{emotion}_{}", "corpus/anna/angry_x_1", "anna angry_x"),
        ("{subject}/{label}_{}", "angry_1", None),
        ("{subject}/{subject}_{label}", "anna/anna_angry", "anna angry"),
        ("{subject}/{subject}_{label}", "anna/ben_angry", None),
        ("{label}*", "angry", None),
        ("*_{label}", "_angry", "angry"),
        ("{}_{label}", "_angry", None),
        ("{subject:2}{}{label:1}{:1}", "03a01Fa", "03 F"),
        ("{subject}_{label:a}{take:d}", "DC_sa01", "DC sa 01"),
        ("{subject}_{label:a}{take:d}", "DC_01", None),
        ("{subject}_{label}.WAV", "anna_angry", "anna angry"),
        ("spk{subject}-{label}", "spk7-wütend", "7 wütend"),
        ("{subject}.{label}", "a.b.c", "a b.c"),
        ("{subject} ({label})", "anna (sad)", "anna sad"),
        ("{label}\n", "sad\n", "sad"),
    ],
)
def test_what_a_pattern_finds(pattern, name, fields):
    if "}*" in pattern:
        with pytest.raises(UsageError):
            NamePattern(pattern)
        return
    found = NamePattern(pattern).match(name)
    assert (found and list(found.values())) == (fields and fields.split(" "))


@pytest.mark.parametrize(
    "pattern",
    ["{subject", "label}", "{label:0}", "{label:100}", "{subject}{label}", "{a:a}{b:a}", "{path}",
     "{eeg_path}", "{sample_id}", "{label:z}", "{{label}}", "{start}{}", "**"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(UsageError, match="--pattern"):
        NamePattern(pattern)


texts = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6)


@quick
@given(st.lists(texts, min_size=1, max_size=3), st.lists(texts, min_size=4, max_size=4), st.booleans())
@example(["_", "__"], ["a", "b_", "c", "d"], True)
def test_names_made_by_a_pattern_are_divided_by_it(between, values, has_label):
    """An independent truth: text put together from fields that do not hold what follows them."""
    assume(not any(set(text) & set("{}*") for text in between))
    names = ["a0", "a1", "label" if has_label else "a2", "a3"][: len(between) + 1]
    for name, value, after in zip(names, values, [*between, None], strict=False):
        if after is not None and name != "label":
            # what follows must begin at its first place, and not within the field
            assume((value + after).find(after) == len(value))
    pattern = "".join(
        t for pair in zip((f"{{{n}}}" for n in names), [*between, ""], strict=True) for t in pair
    )
    name = "".join(t for pair in zip(values, [*between, ""], strict=False) for t in pair)
    assume(not NamePattern(pattern).text.lower().endswith((".wav", ".png")))
    if has_label and len(names) > 2:  # takes all up to the last place from which the rest fits
        assume(all(text not in value for text in between for value in values))
        assume(len(set("".join(between)) & set("".join(values))) == 0)
    found = NamePattern(pattern).match(name)
    assert found is not None
    assert list(found.values()) == values[: len(names)]


def test_long_names_take_no_long_time():
    pattern = NamePattern("_".join("{" + c + "}" for c in "abcdefgh") + "_{label}_end")
    assert pattern.match("_" * 20_000) is None
    assert pattern.match("a_" * 10_000 + "x") is None


# --- the layout -------------------------------------------------------------------------------------------


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_a_folder_for_each_speaker(tmp_path):
    touch(tmp_path, "in/anna/angry_1.wav", "in/anna/angry_1.mp4", "in/ben/very_sad_2.wav", "in/notes/x.wav")
    found = find(tmp_path / "in", "pattern", pattern="{speaker}/{emotion}_{take}")
    rows = list(found.records())
    assert [(row["subject"], row["label"], row["take"]) for row in rows] == [
        ("anna", "angry", "1"),
        ("ben", "very_sad", "2"),
    ]
    assert [row["clip_id"] for row in rows] == ["anna/angry_1", "ben/very_sad_2"]
    assert (rows[0]["audio_path"], rows[0]["video_path"]) == ("anna/angry_1.mp4", "anna/angry_1.mp4")
    assert "notes/x.wav" in {bad["path"] for bad in found.rejected}
    assert {row["dataset"] for row in rows} == {"in"}
    assert "2 of " in found.understood


def test_fields_that_are_numbers_must_be_numbers(tmp_path):
    touch(tmp_path, "1_sad.wav", "x_sad.wav")
    found = find(tmp_path, "pattern", pattern="{fold}_{label}")
    assert found.rows["fold"].tolist() == [1]
    assert [bad["path"] for bad in found.rejected] == ["x_sad.wav"]


def test_pictures_are_read_where_there_are_no_recordings(tmp_path):
    touch(tmp_path, "KA.AN1.39.png", "KA.HA1.29.png")
    found = find(tmp_path, "pattern", pattern="{subject}.{label:a}{:d}.{}")
    assert found.rows["label"].tolist() == ["AN", "HA"]


def test_a_pattern_that_fits_no_name_shows_two_and_a_better_one(tmp_path):
    touch(
        tmp_path,
        *(f"{who}_{what}_{i}.wav" for who in ("anna", "ben") for what in ("sad", "joy") for i in "12"),
    )
    with pytest.raises(
        DataError, match=r"anna_joy_1.wav' and 'anna_joy_2.wav'(?s:.*){subject}_{label}_{take}"
    ):
        find(tmp_path, "pattern", pattern="{subject}-{label}")
    with pytest.raises(DataError, match=r"8 of 8 names fit --pattern '{subject}_{label}_{take}'"):
        find(tmp_path)


def test_a_folder_of_people_is_offered_a_label_with_a_doubt(tmp_path):
    touch(tmp_path, *(f"{who}_{i:02d}.wav" for who in ("anna", "ben") for i in range(3)))
    with pytest.raises(DataError, match="if 'anna' and 'ben' are classes and no people"):
        find(tmp_path)


@pytest.mark.parametrize("pattern", ["{pred}_{}", "{proba_a}_{}", "{recording}_{}"])
def test_fields_with_names_of_our_own_columns_are_refused(tmp_path, pattern):
    touch(tmp_path, "a_b.wav")
    with pytest.raises(DataError, match="name"):
        find(tmp_path, "pattern", pattern=pattern)


# --- the pattern that is offered --------------------------------------------------------------------------

GERMAN = dict(W="anger", L="boredom", E="disgust", A="fear", F="happiness", T="sadness", N="neutral")
NAMES = ("anna", "ben", "clara", "dora", "emil", "frank", "greta", "hans", "ida", "jo")
PEOPLE = dict(zip(("03", "08", "09", *map(str, range(10, 17))), NAMES, strict=True))


def emodb_names(root, form):
    """Names of the real recordings, by a form; and how often each person has each label."""
    parts = [
        (name[:2], name[2:5], name[5], name[6]) for name in sorted(os.listdir(root)) if name.endswith("flac")
    ]
    counts = Counter((PEOPLE[who], GERMAN[what]) for who, _, what, _ in parts)
    names = [
        form.format(who=PEOPLE[who], nr=who, what=GERMAN[what], text=text, version=version, i=i)
        for i, (who, text, what, version) in enumerate(parts)
    ]
    return names, counts


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("person{who}_{what}_{i:03d}", "{subject}_{label}_{take}"),
        ("{what}-{text}-{version}-{who}", "{label}-{take}-{}-{subject}"),
        ("emodb_{nr}_{what}_{i}", "emodb_{subject}_{label}_{take}"),
        ("spk {who} {what}{i}", "spk {subject} {label:a}{take:d}"),
        ("{nr}/{what}_{text}{version}", "{subject}/{label}_{take}"),
    ],
)
def test_real_names_in_other_forms_are_understood(shared_data, form, pattern):
    names, counts = emodb_names(shared_data / "emodb", form)
    assert len(names) == 535
    found = suggest(names)
    assert (found.pattern, found.n_fitting) == (pattern, 535)
    read = [NamePattern(found.pattern).match(name) for name in names]
    assert Counter(row["label"] for row in read) == sum(
        (Counter({what: n}) for (_, what), n in counts.items()), Counter()
    )
    assert sorted(Counter((row["subject"], row["label"]) for row in read).values()) == sorted(counts.values())


def test_real_names_of_nemo_are_understood(shared_data):
    names = [os.path.splitext(name)[0] for name in sorted(os.listdir(shared_data / "nemo")) if "_" in name]
    found = suggest(names)
    assert found == ("{subject}_{label}_{take}", len(names))


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["angry_1", "angry_2", "sad_1", "sad_2"], "{label}_{take}"),
        (["anna_angry_01", "anna_very_sad_02", "ben_angry_01"], "{subject}_{label}_{take}"),
        (["take_angry_1", "take_sad_1"], "take_{label}_{take}"),
        (["anna_wut", "anna_freude", "ben_wut", "ben_freude"], "{subject}_{label}"),
        (["Anna_wut_1", "Anna_freude_2", "Ben_wut_3", "Ben_freude_4"], "{subject}_{label}_{take}"),
        (
            ["a_very_sad_1", "a_joy_1", "b_joy_1", "b_joy_2", "a_joy_2", "b_very_sad_1"],
            "{subject}_{label}_{take}",
        ),
        (["f{1}_sad", "f{1}_joy"], "{take}_{label}"),
        (["01", "02", "03"], None),
        (["03-01-02", "03-01-05"], None),
        (["one"], None),
        ([], None),
        (["x" * 300, "_" * 300, "é_ü"], None),
    ],
)
def test_few_names(names, pattern):
    found = suggest(names)
    assert (found and found.pattern) == pattern


@quick
@given(st.lists(st.text("ab1_-. {}*/é", max_size=8), max_size=8))
def test_any_names_have_a_pattern_that_fits_them_or_none(names):
    found = suggest(names)
    if found is not None:
        assert 2 * found.n_fitting >= len(names)
        assert "label" in NamePattern(found.pattern).fields
