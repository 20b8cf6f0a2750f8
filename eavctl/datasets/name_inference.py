"""Which pattern the names of recordings may have, for the error that offers it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from eavctl.datasets.affect import is_emotion
from eavctl.datasets.name_patterns import NamePattern, fitting

SEPARATORS = re.compile(r"([_\-. ]+|/)")
MOST_NAMES = 2000  # that are looked at
MOST_CLASSES, MOST_SHAPES = 20, 3
FEW = 8  # names, of which some people have one each
LEAST_SHARE = 0.5  # of the names, for what is said of all


class Suggestion(NamedTuple):
    """A pattern, and how many of the names fit it."""

    pattern: str
    n_fitting: int


def suggested(names: Sequence[str]) -> str:
    """A sentence that offers the pattern of names; empty if there is none."""
    found = suggest(names)
    if found is None:
        return ""
    pattern = NamePattern(found.pattern)
    labels = sorted({fields["label"] for name in names if (fields := pattern.match(name))})
    are_known = any(map(is_emotion, labels))
    doubt = "" if are_known else f", if {' and '.join(map(repr, labels[:2]))} are classes and no people"
    return (
        f"{found.n_fitting} of {len(names)} names fit --pattern {shlex.quote(found.pattern)}{doubt}: check "
        "it with -n, which shows the first rows."
    )


def suggest(names: Sequence[str]) -> Suggestion | None:
    """The pattern that fits most names and has a label; None if there is none that fits half of them.

    Names are divided at ``_ - .`` and spaces. Of those with the most frequent separators, a field whose
    values are words for emotions is the label, or else one of few values; another that repeats is the
    subject; what is always the same is text.

    Parameters
    ----------
    names : paths without their endings; their last folder counts, if all have one.
    """
    stems = [_last(name) for name in names[:: len(names) // MOST_NAMES + 1]]
    shapes: dict[tuple[str, ...], list[list[str]]] = {}
    for stem in stems:
        parts = SEPARATORS.split(stem)
        shapes.setdefault(tuple(parts[1::2]), []).append(parts[::2])
    most = sorted(shapes, key=lambda shape: -len(shapes[shape]))[:MOST_SHAPES]
    texts = filter(None, (_pattern(shape, shapes[shape]) for shape in most))
    found = [Suggestion(text, fitting(NamePattern(text), names)) for text in texts]
    best = max(found, key=lambda each: each.n_fitting, default=None)
    return best if best and best.n_fitting >= LEAST_SHARE * len(names) else None


def _last(name: str) -> str:
    """The last folder, if any, and the name."""
    return "/".join(name.split("/")[-2:])


def _pattern(separators: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """The pattern of names that have these separators between the texts of a row; None without a label."""
    if len(rows) < 2:
        return None
    columns = [list(column) for column in zip(*rows, strict=True)]
    fields = [_field(column) for column in columns]
    label = _label(columns, fields)
    if label is None:
        return None
    fields[label] = _label_field(columns[label])
    subject = _subject(columns, fields, label)
    if separators[0:1] == ("/",) and fields[0] == "{}" and label != 0:
        subject = 0  # a folder for each person
    if subject is not None:
        fields[subject] = "{subject}"
    free = [i for i, field in enumerate(fields) if field == "{}"]
    numbered = [i for i in free if all(any(c.isdigit() for c in text) for text in columns[i])]
    if len(numbered) == 1:
        fields[numbered[0]] = "{take}"
    return "".join(text for pair in zip(fields, [*separators, ""], strict=True) for text in pair)


def _field(column: Sequence[str]) -> str:
    """Text that is always the same, or a field without a name."""
    text = column[0]  # a number may be the same by chance in few names
    is_text = len(set(column)) == 1 and text and not re.search("[{}*]", text)
    return text if is_text and (len(column) >= FEW or not text.isdecimal()) else "{}"


def _label(columns: Sequence[Sequence[str]], fields: Sequence[str]) -> int | None:
    """The number of the column that holds the label."""
    for read in (str, _letters):
        shares = [sum(is_emotion(read(text)) for text in column) / len(column) for column in columns]
        best = max(range(len(columns)), key=shares.__getitem__)
        if shares[best] >= LEAST_SHARE:
            return best
    likely = [
        i
        for i, column in enumerate(columns)
        if fields[i] == "{}"
        and 2 <= len(set(column)) <= min(MOST_CLASSES, len(column) // 2)
        and all(text.isalpha() for text in column)
    ]  # where words have capitals, they are names of people rather than of classes
    is_lower = {i: all(text.islower() for text in columns[i]) for i in likely}
    return min(likely, key=lambda i: (not is_lower[i], len(set(columns[i])), -i), default=None)


def _letters(text: str) -> str:
    """The letters before a number, as ``angry`` of ``angry01``; empty where text has another form."""
    found = re.fullmatch(r"([^\W\d_]+)\d+", text)
    return found[1] if found else ""


def _label_field(column: Sequence[str]) -> str:
    """The field of a label, which a number may follow."""
    share = sum(bool(_letters(text)) for text in column) / len(column)
    return "{label:a}{take:d}" if share >= LEAST_SHARE else "{label}"


def _subject(columns: Sequence[Sequence[str]], fields: Sequence[str], label: int) -> int | None:
    """The number of the column that holds the person: its values repeat, and numbers with each label too."""
    counts = [Counter(zip(column, columns[label], strict=True)) for column in columns]
    likely = [
        i
        for i, column in enumerate(columns)
        if fields[i] == "{}"
        and _may_be_people(column)
        and (not all(text.isdecimal() for text in column) or len(counts[i]) <= len(column) / 1.5)
    ]
    return min(likely, key=lambda i: (_unlikeness(columns[i]), i), default=None)


def _may_be_people(column: Sequence[str]) -> bool:
    n = len(set(column))
    if len(column) >= FEW:
        return 2 <= n <= len(column) // 2
    return n >= 2 and (n < len(column) or _unlikeness(column) == 0)


def _unlikeness(column: Sequence[str]) -> int:
    """How little the texts look like names of people: words least, then a letter with a number, ..."""
    forms = (r"[^\W\d_]{2,}", r"[^\W\d_]+\d+", r".*[^\W\d_].+|.+[^\W\d_].*", r"[^\W_]", ".*")
    return next(i for i, form in enumerate(forms) if all(re.fullmatch(form, text, re.S) for text in column))
