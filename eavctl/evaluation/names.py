"""Checks of names: two spellings of the same name, and names that look like those of speakers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from eavctl.errors import DataError

SPEAKER = re.compile(
    r"(?:speaker|spk|subject|subj|sub|actor|actress|participant|person|patient|user|[spmf])[ _-]?\d+|\d{2,}",
    re.IGNORECASE,
)
SHOWN = 4
DIFFERENCE = "case or spacing, or in how a number is written"
LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
WHOLE = re.compile(r"\d+\.0")
PLACEHOLDERS = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "?", "unknown", "missing")
BETWEEN = "\x1f"  # separates the parts of an identity, such as data set and subject; no name holds it


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Sorted groups of names that differ only in case, spacing, Unicode form, or how a number is written.

    Names may be identities, with parts separated by `BETWEEN`. NFKC unifies the ways in which Unicode writes
    the same character. Numbers lose the zeros at their start, as a spreadsheet takes them from ``01``, and a
    name that is a number loses the fraction ``.0``.
    """
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[BETWEEN.join(map(_folded, name.split(BETWEEN)))].add(name)
    return sorted(tuple(sorted(group)) for group in alike.values() if len(group) > 1)


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(c for c in folded if unicodedata.category(c)[0] not in "ZC")
    return LEADING_ZEROS.sub("", text.removesuffix(".0") if WHOLE.fullmatch(text) else text)


def is_placeholder(name: str) -> bool:
    """Whether a name is a common way to write that a value is missing, such as ``NA`` or ``nan``."""
    return _folded(name) in PLACEHOLDERS


def check_spelling(labels: Iterable[str | None], subjects: Iterable[str | None], where: str = "") -> None:
    """Check that no two labels, and no two subjects, look alike: see `look_alikes`.

    Parameters
    ----------
    labels, subjects : names, or identities of subjects; None is skipped.
    where : start of the message, such as the folder of the data set.

    Raises
    ------
    DataError : two names look alike.
    """
    for what, names in (("labels", labels), ("subjects", subjects)):
        found = look_alikes({name for name in names if name is not None})
        if found:
            shown = "; ".join(
                " and ".join(repr(name.replace(BETWEEN, " ").strip()) for name in group)
                for group in found[:SHOWN]
            )
            raise DataError(
                f"{where}{': ' if where else ''}{what} differ only in {DIFFERENCE}: {shown}.\n"
                "Correct the names; or, if they are meant to be different, extract with --distinct-names."
            )


def class_line(counts: Mapping[str, int]) -> str:
    """The classes with their counts, as one line of text."""
    return "classes: " + ", ".join(f"{name} {n}" for name, n in counts.items())


def counts_of(pairs: Mapping[tuple[str | None, str | None], int]) -> dict[str, int]:
    """Number of rows per class, sorted by the name of the class; rows without a label are not counted.

    Parameters
    ----------
    pairs : number of rows by label and subject.
    """
    counts: Counter[str] = Counter()
    for (label, _), n in pairs.items():
        if label is not None:
            counts[label] += n
    return dict(sorted(counts.items()))
