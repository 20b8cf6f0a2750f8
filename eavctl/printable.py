"""Escaping of text for safe printing: names of files, classes and people may hold any character."""

from __future__ import annotations

import re

# Control characters (C0 and C1), marks that change the direction of text (Unicode UAX #9), line separators,
# and the surrogates in which Python stores bytes of names that are not UTF-8.
_OUTSIDE_ASCII = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = rf"[\x00-\x1f{_OUTSIDE_ASCII}]"
_UNSAFE_IN_JSON = rf"[{_OUTSIDE_ASCII}]"
_SURROGATES = r"[\ud800-\udfff]"
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BYTES = range(0xDC80, 0xDD00)  # surrogates of single bytes (PEP 383)


def printable(text: str) -> str:
    r"""Escape all characters that could control a terminal, such as ``\x1b``; the result is one line.

    Parameters
    ----------
    text : a name, or a line with names in it.
    """
    if text.isprintable():  # the usual case, which needs no pattern
        return text
    return re.sub(_UNSAFE, lambda found: _escaped(found[0]), text)


def utf8(name: str) -> str:
    r"""Escape bytes of a name that are not UTF-8, such as ``\xff``, so that it can be stored."""
    return re.sub(_SURROGATES, lambda found: _escaped(found[0]), name)


def json_escaped(text: str) -> str:
    r"""Escape characters of JSON that could control a terminal, such as ``\u202e``; its value is the same."""
    return re.sub(_UNSAFE_IN_JSON, lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _BYTES:
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
