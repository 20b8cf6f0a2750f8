"""Phrases to numbers of tokens: a vocabulary of words, or BERT's word pieces."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.errors import DataError

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
PAD_NUMBER = 0
MOST_TOKENS = 40
FEWEST_TIMES = 2  # that a word occurs; rarer ones train the token of unknown words
MOST_WORDS = 30_000
MOST_CHARACTERS = 10_000  # of a phrase; far more than `MOST_TOKENS` need
N_SHOWN = 8  # words in an error
LONGEST_WORD = 100  # characters, as BERT has it
CONTINUED = "##"  # begins a piece that continues a word
LARGEST_FILE = 50_000_000  # bytes of a vocab.txt; BERT's own have less than 2 MB
MIRRORED = (("left", "right"), ("leftmost", "rightmost"), ("lefthand", "righthand"))
MIRROR = {one: other for pair in MIRRORED for one, other in (pair, pair[::-1])}


class Vocabulary:
    """Words of the training phrases, by their numbers.

    Parameters
    ----------
    words : the tokens in the order of their numbers, the first of them ``[PAD]``, and among them ``[UNK]``
        and ``[CLS]``.

    Raises
    ------
    DataError : the first is not ``[PAD]``, one of the others is missing, or a word occurs twice.
    """

    kind = "words"
    needed: tuple[str, ...] = (UNKNOWN, START)

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.numbers = {word: number for number, word in enumerate(self.words)}
        if self.words[:1] != (PAD,) or any(word not in self.numbers for word in self.needed):
            raise DataError(f"not a vocabulary: it must begin with {PAD} and have {', '.join(self.needed)}")
        if len(self.numbers) < len(self.words):
            (word, times), *_ = Counter(self.words).most_common(1)
            raise DataError(f"not a vocabulary: {word!r} occurs {times} times")

    @classmethod
    def of(cls, phrases: Sequence[str]) -> Vocabulary:
        """The words that occur twice or more in training phrases, most frequent first.

        Words that say left or right bring their counterparts, so that every phrase can be mirrored.
        """
        counts = Counter(word for phrase in phrases for word in split_words(phrase))
        for one, other in MIRRORED:
            if both := counts[one] + counts[other]:
                counts[one] = counts[other] = max(both, FEWEST_TIMES)
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        known = [word for word in ordered if counts[word] >= FEWEST_TIMES]
        return cls([PAD, UNKNOWN, START, *known[:MOST_WORDS]])

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        """Numbers of the tokens of phrases, ``[CLS]`` first.

        Returns
        -------
        int64, shape (n_phrases, n_tokens): as many as the longest has, at most 40, and 0 after the end of a
        phrase.
        """
        rows = [self._tokens(phrase) for phrase in phrases]
        tokens = np.full((len(rows), max(map(len, rows), default=1)), PAD_NUMBER)
        for row, numbers in zip(tokens, rows, strict=True):
            row[: len(numbers)] = numbers
        return tokens

    def knows(self, phrase: str) -> bool:
        """Whether any word of a phrase is known."""
        unknown = self.numbers[UNKNOWN]
        return any(number != unknown for word in split_words(phrase) for number in self._numbers(word))

    @property
    def usual(self) -> tuple[str, ...]:
        """The most frequent words, for errors."""
        return self.words[len(self.needed) + 1 :][:N_SHOWN]

    @cached_property
    def mirror(self) -> np.ndarray:
        """For each token the one in a mirrored picture, right for left; int64 (n_words,)."""
        return np.array([self.numbers.get(MIRROR.get(w, w), n) for n, w in enumerate(self.words)], np.int64)

    def to_meta(self) -> dict[str, Any]:
        """The vocabulary, JSON-able; see `from_meta`."""
        return {"kind": self.kind, "words": list(self.words)}

    def _tokens(self, phrase: str) -> list[int]:
        words = split_words(phrase)
        numbers = [number for word in words for number in self._numbers(word)]
        return [self.numbers[START], *numbers[: MOST_TOKENS - 1]]

    def _numbers(self, word: str) -> list[int]:
        """The tokens of a word."""
        return [self.numbers.get(word, self.numbers[UNKNOWN])]


class WordPieces(Vocabulary):
    """BERT's word pieces: the longest pieces of a word that are known, from its beginning [1]_.

    Parameters
    ----------
    words : see `Vocabulary`; pieces that continue a word begin with ``##``. ``[SEP]`` ends a phrase.

    References
    ----------
    .. [1] Wu et al.: Google's neural machine translation system, 2016.
    """

    kind = "pieces"
    needed = (UNKNOWN, START, END)

    @classmethod
    def read(cls, folder: Path) -> WordPieces:
        """Read vocab.txt, one piece a line, from a folder of public weights.

        Raises
        ------
        DataError : no such file, not text, too large, or not such a vocabulary.
        """
        path = folder / "vocab.txt"
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(f"{path}: too large for a vocabulary")
            words = path.read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no readable vocabulary; BERT's weights come with one") from error
        try:
            return cls(words[:-1] if words[-1] == "" else words)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def _tokens(self, phrase: str) -> list[int]:
        return [*super()._tokens(phrase)[: MOST_TOKENS - 1], self.numbers[END]]

    def _numbers(self, word: str) -> list[int]:
        unknown = [self.numbers[UNKNOWN]]
        if len(word) > LONGEST_WORD:
            return unknown
        numbers, start = [], 0
        while start < len(word):
            prefix = CONTINUED if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.numbers), None)
            if end is None:
                return unknown
            numbers.append(self.numbers[prefix + word[start:end]])
            start = end
        return numbers


def from_meta(meta: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that `Vocabulary.to_meta` describes.

    Raises
    ------
    DataError : it describes none.
    """
    kinds = {each.kind: each for each in (Vocabulary, WordPieces)}
    kind, words = meta.get("kind"), meta.get("words")
    is_list = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not isinstance(kind, str) or kind not in kinds or not isinstance(words, list) or not is_list:
        raise DataError("not a vocabulary: it has no kind or no list of words")
    return kinds[kind](words)


def split_words(phrase: str) -> list[str]:
    """Words and punctuation marks of a phrase, in lower case and without accents, as BERT splits them."""
    shown = "".join(_shown(character) for character in phrase[:MOST_CHARACTERS])
    return [part for word in shown.split() for part in _parts(_plain(word))]


def _shown(character: str) -> str:
    """The character, with spaces around it where it is a word of its own, and nothing for control codes."""
    if character in "\t\n\r":
        return " "
    if character == "\ufffd" or unicodedata.category(character).startswith("C"):
        return ""
    if character.isspace():
        return " "
    return f" {character} " if _is_ideograph(ord(character)) else character


def _plain(word: str) -> str:
    """In lower case, without accents."""
    parts = unicodedata.normalize("NFD", word.lower())
    return "".join(part for part in parts if unicodedata.category(part) != "Mn")


def _parts(word: str) -> Iterator[str]:
    """A word cut before and after each punctuation mark."""
    spaced = "".join(f" {each} " if _is_punctuation(each) else each for each in word)
    return iter(spaced.split())


def _is_punctuation(character: str) -> bool:
    is_ascii_mark = character.isascii() and character.isprintable() and not character.isalnum()
    return is_ascii_mark or unicodedata.category(character).startswith("P")


def _is_ideograph(code: int) -> bool:
    """Chinese characters and the blocks that extend them."""
    return (
        0x3400 <= code <= 0x4DBF
        or 0x4E00 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x2FA1F
    )
