"""Words and pieces of phrases: against transformers' BertTokenizer, and what mirrors what."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.errors import DataError
from eavctl.grounding.vocabulary import Vocabulary, WordPieces, from_meta, split_words

PHRASES = ["the left man", "the right man", "a man!", "the zebra", "Left, of the-man"]
PIECES = [
    *(
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "wo",
        "##man",
        "man",
        "##men",
        "on",
        "left",
        "right",
    ),
    *(
        "##most",
        "u",
        "##n",
        "##aff",
        "##able",
        ",",
        ".",
        "!",
        "-",
        "'",
        "s",
        "e",
        "##e",
        "a",
        "##a",
        "1",
        "##2",
    ),
    *("中", "国", "ss", "$", "`", "^", "i"),
]


def test_words_of_training_phrases_alone():
    vocabulary = Vocabulary.of(PHRASES)
    assert vocabulary.words[:3] == ("[PAD]", "[UNK]", "[CLS]")
    assert set(vocabulary.words[3:]) == {"the", "man", "left", "right"}
    tokens = vocabulary.encode(["the zebra", "THE Man of left"])
    unknown, start = vocabulary.numbers["[UNK]"], vocabulary.numbers["[CLS]"]
    number = vocabulary.numbers.__getitem__
    expected = [
        [start, number("the"), unknown, 0, 0],
        [start, number("the"), number("man"), unknown, number("left")],
    ]
    assert tokens.tolist() == expected
    assert tokens.dtype == np.int64


def test_the_order_of_the_phrases_does_not_matter():
    assert Vocabulary.of(PHRASES).words == Vocabulary.of(PHRASES[::-1]).words


def test_a_phrase_has_at_most_forty_tokens_and_never_none():
    vocabulary = Vocabulary.of(PHRASES)
    assert vocabulary.encode(["man " * 90]).shape == (1, 40)
    assert vocabulary.encode([""]).tolist() == [[vocabulary.numbers["[CLS]"]]]
    assert vocabulary.encode([]).shape == (0, 1)


def test_left_mirrors_right_even_where_training_phrases_have_one_of_them():
    vocabulary = Vocabulary.of(["the leftmost man", "the man"])
    mirrored = vocabulary.mirror[vocabulary.encode(["the leftmost man", "the man"])]
    assert mirrored.tolist() == vocabulary.encode(["the rightmost man", "the man"]).tolist()
    assert (vocabulary.mirror[vocabulary.mirror] == np.arange(len(vocabulary))).all()


@pytest.mark.parametrize("vocabulary", [Vocabulary.of(PHRASES), WordPieces(PIECES)])
def test_json_keeps_a_vocabulary(vocabulary):
    again = from_meta(json.loads(json.dumps(vocabulary.to_meta())))
    assert type(again) is type(vocabulary)
    assert again.words == vocabulary.words


@pytest.mark.parametrize(
    "meta",
    [{}, {"kind": "words"}, {"kind": [], "words": []}, {"kind": "words", "words": [1]},
     {"kind": "words", "words": ["[UNK]", "[PAD]", "[CLS]"]}, {"kind": "words", "words": ["[PAD]", "[UNK]"]},
     {"kind": "pieces", "words": ["[PAD]", "[UNK]", "[CLS]"]},
     {"kind": "words", "words": ["[PAD]", "[UNK]", "[CLS]", "a", "a"]}],
)  # fmt: skip
def test_what_is_no_vocabulary_is_refused(meta):
    with pytest.raises(DataError):
        from_meta(meta)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    transformers = pytest.importorskip("transformers")
    numbers = {piece: number for number, piece in enumerate(PIECES)}
    return WordPieces.read(folder), transformers.BertTokenizer(vocab=numbers, do_lower_case=True)


def same_as_bert(bert, phrase):
    ours, theirs = bert
    expected = theirs(phrase, truncation=True, max_length=40)["input_ids"]
    assert ours.encode([phrase])[0].tolist() == expected


@pytest.mark.parametrize(
    "phrase",
    ["The woman on the left", "leftmost MAN, unaffable!", "women's", "the  zebra\t\nman", "",
     "é É ée 中国man", "a" * 101,
     "ea1212" * 30, "on$the`man^s", "man\u200bman", "ﬁ ß İ", "man\x00man\ufffdman",
     "the\x1cman\x0bman\u2028man", "the-man.the", "…man“s”", "on " * 60],
)  # fmt: skip
def test_pieces_are_those_of_transformers(bert, phrase):
    same_as_bert(bert, phrase)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("thewomanlftrigs12中国éA ,.-'\t\u00a0\u0301\u200d!zß"), max_size=50))
def test_pieces_of_any_text_are_those_of_transformers(bert, text):
    same_as_bert(bert, text)


def test_a_folder_without_a_vocabulary_is_named(tmp_path):
    with pytest.raises(DataError, match=r"vocab\.txt"):
        WordPieces.read(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"vocab\.txt"):
        WordPieces.read(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"vocab\.txt"):
        WordPieces.read(tmp_path)


def test_punctuation_stands_alone():
    assert split_words("The man's left-hand, please") == [
        "the",
        "man",
        "'",
        "s",
        "left",
        "-",
        "hand",
        ",",
        "please",
    ]
