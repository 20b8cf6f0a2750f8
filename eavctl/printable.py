"""Text that is safe to print: names of files, classes and people may hold anything at all."""

from __future__ import annotations

import re

# Control characters of both sets, marks that change the direction of text (Unicode UAX #9), separators of
# lines, and the surrogates by which Python holds the bytes of names that are not UTF-8.
_OUTSIDE_ASCII = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = rf"[\x00-\x1f{_OUTSIDE_ASCII}]"
_UNSAFE_IN_JSON = rf"[{_OUTSIDE_ASCII}]"
_SURROGATES = r"[\ud800-\udfff]"
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BYTES = range(0xDC80, 0xDD00)  # surrogates of single bytes (PEP 383)


def printable(text: str) -> str:
    r"""One line that a terminal shows and never obeys: what could steer it is escaped, as in ``\x1b``.

    Parameters
    ----------
    text : a name, or a whole line with names in it.
    """
    if text.isprintable():  # as nearly all are: no pattern is compiled
        return text
    return re.sub(_UNSAFE, lambda found: _escaped(found[0]), text)


def utf8(name: str) -> str:
    r"""A name that can be stored: bytes in it that are not UTF-8 are escaped, as in ``\xff``."""
    return re.sub(_SURROGATES, lambda found: _escaped(found[0]), name)


def json_escaped(text: str) -> str:
    r"""JSON in which what could steer a terminal is escaped, as in ``\u202e``; it reads back the same."""
    return re.sub(_UNSAFE_IN_JSON, lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _BYTES:
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
