"""Patterns of names that carry labels, such as ``{subject}_{label}_{take}``.

The grammar is small: text stands for itself, ``{name}`` is a field, ``{}`` any text, and ``*`` any text or
none. ``{name:d}`` holds digits only, ``{name:a}`` letters only, and ``{name:2}`` two characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from eavctl.datasets.column_names import DURATION, PATH, key_of
from eavctl.errors import UsageError
from eavctl.signals.endings import MEDIA_ENDINGS, PICTURE_ENDINGS, split_ending
from eavctl.storage.keys import PATHS

LABEL = "label"
NOT_IN_NAMES = (PATH, *PATHS, DURATION, "sample_id", "eeg_index")
_PART = re.compile(
    r"\{(?P<name>[^{}:]*)(?::(?P<kind>[^{}]*))?\}|(?P<star>\*)|(?P<text>[^{}*]+)|(?P<stray>.)", re.S
)
_KINDS = {"a": r"[^\W\d_]", "d": "[0-9]"}  # letters, digits


@dataclass(frozen=True)
class NamePattern:
    """A pattern, compared with paths without their endings.

    Folders in the pattern are compared with the last folders of a path, and those above may be any. No field
    holds a slash, nor the text that follows it in the pattern, but ``{label}``, which takes as much as it
    can: ``{subject}_{label}_{take}`` finds ``very_angry`` in ``anna_very_angry_01``. A field that occurs
    twice has the same text in both places.

    Parameters
    ----------
    text : the pattern; the ending of a recording at its end is ignored.

    Raises
    ------
    UsageError : it has no such form, or a field that no name can hold.
    """

    text: str

    def __post_init__(self) -> None:
        _ = self._compiled

    @property
    def fields(self) -> tuple[str, ...]:
        """The keys and the names of other fields, in their order."""
        return tuple(dict.fromkeys(self._compiled[1]))

    def match(self, path: str) -> dict[str, str] | None:
        """The text of each field in a path without its ending; None if it does not fit."""
        pattern, names = self._compiled
        found = pattern.fullmatch(path)
        return dict(zip(names, found.groups(), strict=True)) if found else None

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], list[str]]:
        """The regular expression, and the name of each of its groups."""
        stem, ending = split_ending(self.text)
        parts = list(_parts(stem if ending in MEDIA_ENDINGS | PICTURE_ENDINGS else self.text, self.text))
        names: list[str] = []
        expression = "(?:.*/)?"
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            if part.text:
                expression += re.escape(part.text)
            elif part.name in names:
                expression += rf"(?:\{names.index(part.name) + 1})"
            elif part.name:
                names.append(part.name)
                expression += f"({part.expression(following)})"
            else:
                expression += part.expression(following)
        return re.compile(expression, re.S), names


@dataclass(frozen=True)
class _Part:
    """A part of a pattern: text, or a field with or without a name, of a kind or not."""

    text: str = ""
    name: str = ""
    kind: str = ""
    is_star: bool = False

    def expression(self, following: _Part | None) -> str:
        """The regular expression of a field before another part."""
        if self.kind.isdecimal():
            return f"[^/]{{{self.kind}}}"
        if self.kind:
            return f"{_KINDS[self.kind]}+"
        if self.name == LABEL or (following and not following.text):
            return "[^/]+"
        until = f"(?!{re.escape(following.text)})" if following else ""
        return f"(?:{until}[^/])" + ("*+" if self.is_star else "++")  # ends there, or the name does not fit


def _parts(text: str, whole: str) -> Iterator[_Part]:
    before = _Part(text="/")
    for found in _PART.finditer(text):
        if found["stray"]:
            raise UsageError(f"--pattern {whole!r}: a brace without its other; a field is {{name}}")
        part = _Part(found["text"] or "", is_star=bool(found["star"]))
        if found["name"] is not None:
            part = _Part(name=_name(found["name"].strip(), whole), kind=_kind(found["kind"] or "", whole))
        if not part.text and not before.text and not _is_divided(before, part):
            raise UsageError(
                f"--pattern {whole!r}: no text between two fields; say what one holds: {{name:d}} digits, "
                "{name:a} letters, {name:2} two characters"
            )
        yield part
        before = part


def _is_divided(one: _Part, other: _Part) -> bool:
    """Whether it is clear where one field ends and the next begins."""
    kinds = {one.kind, other.kind}
    return kinds == {"a", "d"} or any(kind.isdecimal() for kind in kinds)


def _name(name: str, whole: str) -> str:
    key = key_of(name) or name
    if key in NOT_IN_NAMES:
        raise UsageError(
            f"--pattern {whole!r}: a name holds no {key}; name the field otherwise, or write {{}}"
        )
    return key


def _kind(kind: str, whole: str) -> str:
    if not kind or kind in _KINDS or re.fullmatch("[1-9][0-9]?", kind):
        return kind
    raise UsageError(
        f"--pattern {whole!r}: {kind!r} is not d (digits), a (letters) or a number of characters up to 99"
    )


def fitting(pattern: NamePattern, names: Sequence[str]) -> int:
    """How many names fit a pattern."""
    return sum(pattern.match(name) is not None for name in names)
