"""Checks of names: two spellings of one name, and names of speakers in the place of classes."""

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
BETWEEN = "\x1f"  # parts of an identity, such as data set and subject; no name holds it


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that differ in case, spacing or the form of their characters alone, in sorted groups.

    Names may be identities, of parts with `BETWEEN` between them. Unicode writes some characters in several
    ways, which NFKC makes one.
    """
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[BETWEEN.join(map(_folded, name.split(BETWEEN)))].add(name)
    return sorted(tuple(sorted(group)) for group in alike.values() if len(group) > 1)


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] not in "ZC")


def check_spelling(labels: Iterable[str | None], subjects: Iterable[str | None], where: str = "") -> None:
    """Refuse labels and subjects of which two are most likely one.

    Parameters
    ----------
    labels, subjects : names, or identities of subjects; None counts as none.
    where : what the message begins with, such as the data set's folder.

    Raises
    ------
    DataError : names that differ in case or spacing alone.
    """
    for what, names in (("labels", labels), ("subjects", subjects)):
        found = look_alikes({name for name in names if name is not None})
        if found:
            shown = "; ".join(
                " and ".join(repr(name.replace(BETWEEN, " ").strip()) for name in group)
                for group in found[:SHOWN]
            )
            raise DataError(
                f"{where}{': ' if where else ''}{what} that differ in case or spacing alone: {shown}.\n"
                "Correct the names; or, if they are different ones, extract with --distinct-names."
            )


def class_line(counts: Mapping[str, int]) -> str:
    """The classes with their counts, for people."""
    return "classes: " + ", ".join(f"{name} {n}" for name, n in counts.items())


def suspicions(pairs: Mapping[tuple[str, str | None], int]) -> list[str]:
    """What suggests that the classes are speakers, one sentence each.

    Parameters
    ----------
    pairs : number of rows by label and subject; the subject is None where it is not known.
    """
    people: defaultdict[str, set[str]] = defaultdict(set)
    for label, subject in pairs:
        people[label] |= {subject} if subject is not None else set()
    classes = sorted(people)
    found = []
    if len(classes) > 1 and all(SPEAKER.fullmatch(name) for name in classes):
        shown = ", ".join(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")
        found.append(
            f"the classes ({shown}) look like names of speakers: if they are, name labels and subjects in a "
            "manifest (see data/README.md)"
        )
    everyone = set[str]().union(*people.values())
    if len(everyone) > 1 and all(len(mine) == 1 for mine in people.values()):
        found.append(
            "every class is of one person alone: classes and people cannot be told apart in these rows"
        )
    return found


def counts_of(pairs: Mapping[tuple[str, str | None], int]) -> dict[str, int]:
    """Rows of each class, in the order of the classes' names."""
    counts: Counter[str] = Counter()
    for (label, _), n in pairs.items():
        counts[label] += n
    return dict(sorted(counts.items()))
