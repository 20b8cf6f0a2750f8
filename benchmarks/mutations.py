"""Random damage to files: bits, bytes, blocks, sizes and, in text, lines and values; reproducible by seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]

ENDS = 2048  # bytes at the start and the end, which hold headers and footers
MOST_AT_ONCE = 3
EXTREMES = (0, 1, 2, 3, 255, -1, -2, (1 << 31) - 1, 1 << 31, 1 << 24, (1 << 63) - 1, 1 << 62, 1 << 40)
LONGEST_NUMBER = 64
SETTINGS = (
    b'""', b'"a"', b'"a=b"', b'"\\u0000"', b'"nan"', b'"1"', b'"-"', b'"/"', b'["label=sad"]', b'["a", 1]',
    b"-1", b"0", b"1", b"0.5", b"2.0", b"1e308", b"nan", b"-inf", b"99999999999999999999", b"1" * 400,
    b"true", b"false", b"[]", b"{}", b"[1, [2]]", b"{a = 1}", b"2020-01-01", b"12:00:00",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
SETTING = re.compile(rb"^[\w-]+ *= *(.+)$", re.MULTILINE)
VALUE = re.compile(rb"[^\s,;=\t\"'\[\]]+")
TEXTS = (
    b"", b" ", b"0", b"-1", b"-0.0", b"0.5", b"1e308", b"1e999", b"nan", b"inf", b"-inf", b"None", b"null",
    b"true", b"99999999999999999999", b"0x10", b"1_000", b"1,5", b'"', b"'", b",", b"\t", b"\r", b"\n",
    b"=1+1", b".", b"..", b"/", b"-", b"/dev/zero", b"/dev/stdin", b"../../../../etc/passwd", b"\0", b"\xff",
    b"\xed\xa0\x80", b"\x1b[31m", b"\xef\xbb\xbf", b"[]", b"{}", b"[[", b"a" * 5000, b"1" * 400,
    "é".encode(), "\u202e".encode(), "٣".encode(), "１".encode(), "日本".encode("utf-16"),
)  # fmt: skip


def mutated(content: bytes, rng: np.random.Generator, kinds: Sequence[Mutation]) -> bytes:
    """Content with one to three damages of the given kinds, always different from the original."""
    changed = content
    for _ in range(rng.integers(1, MOST_AT_ONCE + 1)):
        changed = kinds[rng.integers(len(kinds))](changed, rng)
    return changed if changed != content else flip_bits(content or b"\0", rng)


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """Invert one to eight bits near each other."""
    damaged, first = bytearray(content), _place(content, rng)
    for _ in range(rng.integers(1, 9)):
        place = min(first + int(rng.integers(64)), len(damaged) - 1)
        if place >= 0:
            damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    """Put random bytes, or one byte repeated, in place of up to 64 of them."""
    start, length = _place(content, rng), int(rng.integers(1, 65))
    piece = content[start : start + length]
    same = bytes([rng.choice((0, 255, 32))]) * len(piece)
    new = rng.bytes(len(piece)) if rng.random() < 0.5 else same
    return content[:start] + new + content[start + length :]


def set_size(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace 1, 2, 4 or 8 bytes by an extreme number."""
    width = int(rng.choice((1, 2, 4, 4, 8)))
    start = _place(content, rng) // width * width
    number = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(1 << 16))
    written = (number % (1 << 8 * width)).to_bytes(width, rng.choice(("little", "big")))
    return (content[:start] + written + content[start + width :])[: len(content)]


def set_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a number in decimal digits, such as in a header, without changing its length."""
    start = _place(content, rng)
    found = NUMBER.search(content, start) or NUMBER.search(content)
    if found is None:
        return flip_bits(content, rng)
    length = min(found.end() - found.start(), LONGEST_NUMBER)
    choices = (b"9" * length, b"0" * length, b"-" + b"1" * (length - 1), b"1".ljust(length), b" " * length)
    new = choices[rng.integers(len(choices))][:length]
    return content[: found.start()] + new + content[found.start() + length :]


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end."""
    return content[: _place(content, rng)]


def remove(content: bytes, rng: np.random.Generator) -> bytes:
    """Leave out a block."""
    start, stop = _block(content, rng)
    return content[:start] + content[stop:]


def repeat(content: bytes, rng: np.random.Generator) -> bytes:
    """Write a block twice."""
    start, stop = _block(content, rng)
    return content[:stop] + content[start:]


def move(content: bytes, rng: np.random.Generator) -> bytes:
    """Move a block."""
    start, stop = _block(content, rng)
    rest = content[:start] + content[stop:]
    place = _place(rest, rng)
    return rest[:place] + content[start:stop] + rest[place:]


def blank(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a block by zeros, as in an incomplete copy."""
    start, stop = _block(content, rng)
    return content[:start] + bytes(stop - start) + content[stop:]


def insert(content: bytes, rng: np.random.Generator) -> bytes:
    """Insert up to 64 random bytes."""
    place = _place(content, rng)
    return content[:place] + rng.bytes(int(rng.integers(1, 65))) + content[place:]


def change_value(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a value between separators by another text."""
    values = [*VALUE.finditer(content)]
    if not values:
        return content + TEXTS[rng.integers(len(TEXTS))]
    found = values[rng.integers(len(values))]
    return content[: found.start()] + TEXTS[rng.integers(len(TEXTS))] + content[found.end() :]


def change_setting(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a TOML value by another, so that the file remains valid TOML."""
    values = [*SETTING.finditer(content)]
    if not values:
        return change_lines(content, rng)
    found = values[rng.integers(len(values))]
    return content[: found.start(1)] + SETTINGS[rng.integers(len(SETTINGS))] + content[found.end(1) :]


def change_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """Remove, repeat or move a line, or join it to the next."""
    lines = content.split(b"\n")
    place = int(rng.integers(len(lines)))
    match rng.integers(4):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            lines.insert(int(rng.integers(len(lines))), lines.pop(place))
        case 3:
            lines[place : place + 2] = [b"".join(lines[place : place + 2])]
    return b"\n".join(lines)


def insert_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Insert a text with a special meaning to some parsers."""
    place = int(rng.integers(len(content) + 1))
    return content[:place] + TEXTS[rng.integers(len(TEXTS))] + content[place:]


def encode_otherwise(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the encoding or the line endings, as other programs do."""
    text = content.decode("utf-8", errors="replace")
    match rng.integers(4):
        case 0:
            return text.encode("utf-16")
        case 1:
            return text.encode("utf-8-sig")
        case 2:
            return text.replace("\n", "\r\n").encode("utf-8")
        case _:
            return text.replace("\n", "\r").encode("utf-8")


BYTES: tuple[Mutation, ...] = (
    flip_bits, flip_bits, overwrite, set_size, set_size, set_number, truncate, remove, repeat, move, blank,
    insert,
)  # fmt: skip
TEXT: tuple[Mutation, ...] = (
    change_value, change_value, change_value, change_value, change_lines, change_lines, insert_text,
    encode_otherwise, set_number, flip_bits,
)  # fmt: skip
TOML: tuple[Mutation, ...] = (
    change_setting, change_setting, change_setting, change_setting, change_lines, change_value, flip_bits,
)  # fmt: skip


def _place(content: bytes, rng: np.random.Generator) -> int:
    """A random offset in the content, more often near its ends; 0 if it is empty."""
    if not content:
        return 0
    near = min(ENDS, len(content))
    match rng.integers(4):
        case 0:
            return int(rng.integers(min(near, 128)))
        case 1:
            return int(rng.integers(near))
        case 2:
            return len(content) - 1 - int(rng.integers(near))
        case _:
            return int(rng.integers(len(content)))


def _block(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Random start and end of a block, from a few bytes to a large share of the content."""
    start = _place(content, rng)
    longest = max(len(content) - start, 1)
    return start, start + max(1, round(longest ** float(rng.random())))
