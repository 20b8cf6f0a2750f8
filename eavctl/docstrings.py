"""Read numpydoc docstrings: the first sentence, and what is said of each parameter and result."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from typing import Any

UNDERLINE = re.compile(r"^-{3,}$")
ITEM = re.compile(r"^([\w*]+(?:, [\w*]+)*) : (.*)$")
REFERENCE = re.compile(r"(?:see|settings of) `(\w+)`")  # to where a parameter is described
CITATION = re.compile(r"(?:[;,] after)? \[\d+\]_(?:, \[\d+\]_)*")
SENTENCE = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z`\"(])")


def first_sentence(thing: Any) -> str:
    """The first sentence of a docstring, without markup and citations; empty if there is none."""
    paragraph = _doc(thing).partition("\n\n")[0]
    return _unmarked(SENTENCE.split(_plain(paragraph))[0])


def parameters(thing: Any) -> dict[str, str]:
    """What the docstring says of each parameter, without markup and citations.

    Parameters of a class that it does not describe are those of its bases. "See `Base`" and "settings of
    `function`" are replaced by what is said there, of a base or a name in the same module.
    """
    owners = thing.__mro__ if inspect.isclass(thing) else (thing,)
    found: dict[str, str] = {}
    for each in owners:
        named = vars(sys.modules[each.__module__]) | {base.__name__: base for base in owners}
        for name, text in _items(_section(_doc(each), "Parameters")):
            match = REFERENCE.match(text)
            there = named.get(match[1]) if match else None
            known = parameters(there).get(name) if callable(there) and there is not each else None
            rest = text[match.end() :] if match and known else ""
            found.setdefault(name, f"{known.rstrip('.')}{_unmarked(rest)}" if known else _unmarked(text))
    return found


def result(thing: Any) -> str:
    """What the docstring says of the result, its first sentence; empty if nothing."""
    text = "\n".join(_section(_doc(thing), "Returns")).partition("\n\n")[0]
    return _unmarked(SENTENCE.split(_plain(text))[0])


def _doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")  # its own, never that of a base


def _section(doc: str, title: str) -> list[str]:
    """The lines below a title that is underlined, up to the next one."""
    lines = doc.splitlines()
    starts = [i for i, line in enumerate(lines) if UNDERLINE.match(line) and i] + [len(lines) + 1]
    for start, end in itertools.pairwise(starts):
        if lines[start - 1] == title:
            return lines[start + 1 : end - 1]
    return []


def _items(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Name and text of each parameter in the lines of a section; several can share a text."""
    names: list[str] = []
    texts: list[str] = []
    for line in [*lines, "end : "]:
        if match := ITEM.match(line):
            yield from ((name, _plain(" ".join(texts))) for name in names)
            names, texts = match[1].split(", "), [match[2]]
        else:
            texts.append(line.strip())


def _plain(text: str) -> str:
    """Text in one line without citations."""
    return CITATION.sub("", " ".join(text.split()))


def _unmarked(text: str) -> str:
    return text.replace("`", "")
