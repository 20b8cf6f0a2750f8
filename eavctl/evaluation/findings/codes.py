"""The codes of findings, with severity and advice: the only place that defines them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eavctl.errors import UsageError

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)  # from the most severe
SHOWN = 3  # names in a sentence
MOST_SHORT = 5  # findings that a command other than `check` prints


@dataclass(frozen=True)
class Code:
    """What a code stands for.

    Parameters
    ----------
    severity : ``error``: recordings will be rejected, or no score could be trusted. ``warning``: probably a
        mistake, or a score is worth less. ``note``: good to know.
    title : what is found, in a few words.
    advice : what to do, in a sentence.
    """

    severity: str
    title: str
    advice: str


GROUPS = {  # by the first digit
    "1": "files",
    "2": "labels",
    "3": "people",
    "4": "lengths, rates and shortcuts",
    "5": "duplicates",
    "6": "splits",
}

CODES = {
    "EAV010": Code(ERROR, "missing files", "Correct the paths, or remove these rows."),
    "EAV011": Code(ERROR, "empty files", "Copy them again from their source, or remove them."),
    "EAV012": Code(ERROR, "unreadable files", "Convert or copy them again, or remove them."),
    "EAV013": Code(ERROR, "silent recordings", "Remove them, or look for the channel that was recorded."),
    "EAV014": Code(WARNING, "clipped recordings", "Listen to them; record again at a lower level."),
    "EAV015": Code(WARNING, "damaged recordings", "Copy them again; only what is left of them is used."),
    "EAV016": Code(WARNING, "rows left out", "Rename the recordings, or correct their rows."),
    "EAV017": Code(NOTE, "missing modalities", "Early fusion needs every modality of a recording."),
    "EAV020": Code(
        WARNING, "no labels", "Put recordings into one folder a class, give a manifest, or use --events."
    ),
    "EAV021": Code(WARNING, "some rows without a label", "Label them; trainings leave them out."),
    "EAV022": Code(ERROR, "labels that look alike", "Use one spelling; or extract with --distinct-names."),
    "EAV023": Code(ERROR, "a single class", "Add recordings of another class."),
    "EAV024": Code(WARNING, "classes with few rows", "Add recordings, merge classes, or leave them out."),
    "EAV025": Code(NOTE, "imbalanced classes", "Read the UAR, not the accuracy."),
    "EAV026": Code(
        WARNING, "labels that look like people", "Name labels and subjects in a manifest (data/README.md)."
    ),
    "EAV027": Code(NOTE, "data sets that lack classes", "Rename classes with --labels, or leave some out."),
    "EAV028": Code(WARNING, "labels that look like missing values", "Leave these cells empty."),
    "EAV030": Code(WARNING, "no subjects", "Name a subject for every recording in a manifest."),
    "EAV031": Code(WARNING, "some rows without a subject", "Name their subjects, or leave these rows out."),
    "EAV032": Code(ERROR, "subjects that look alike", "Use one spelling; or extract with --distinct-names."),
    "EAV033": Code(ERROR, "one subject a class", "Record every class of several people."),
    "EAV034": Code(
        WARNING, "one class a subject", "Record every person in several classes, or hold people out."
    ),
    "EAV035": Code(WARNING, "a single subject", "Record more people; the score holds for this one only."),
    "EAV036": Code(WARNING, "classes of a single subject", "Record these classes of other people too."),
    "EAV037": Code(NOTE, "two subjects", "Intervals need three people or more."),
    "EAV038": Code(WARNING, "subjects that look like missing values", "Leave these cells empty."),
    "EAV040": Code(WARNING, "very short recordings", "Check that they are whole, or remove them."),
    "EAV041": Code(WARNING, "very long recordings", "Cut them with --segment, or name parts in a manifest."),
    "EAV042": Code(NOTE, "several sampling rates", "Nothing, if each class has all of them."),
    "EAV043": Code(NOTE, "several numbers of audio channels", "Nothing: channels are averaged."),
    "EAV044": Code(WARNING, "several sets of EEG channels", "Name common ones with --set 'channels=[...]'."),
    "EAV045": Code(WARNING, "file type tells the class", "Convert all recordings alike, from their sources."),
    "EAV046": Code(WARNING, "sampling rate tells the class", "Record all classes at the same rate."),
    "EAV047": Code(WARNING, "channels tell the class", "Record all classes with the same channels."),
    "EAV048": Code(WARNING, "length tells the class", "Cut all recordings alike with --segment."),
    "EAV050": Code(WARNING, "the same recording twice", "Remove one of each; no split separates them."),
    "EAV051": Code(ERROR, "the same recording with two labels", "Correct or remove one of each."),
    "EAV052": Code(ERROR, "the same recording of two people", "Correct the subject, or remove one of each."),
    "EAV053": Code(NOTE, "overlapping segments", "Nothing: no split separates them."),
    "EAV054": Code(WARNING, "overlapping segments of two classes", "Correct the times or the labels."),
    "EAV060": Code(ERROR, "a given split with people on both sides", "Assign each person to one side."),
    "EAV061": Code(ERROR, "a given split with recordings on both sides", "Assign each to one side."),
    "EAV062": Code(WARNING, "a given split that cannot be used", "Correct the column split or fold."),
    "EAV063": Code(ERROR, "no protocol can be used", "Add recordings, people or labels, as the reason says."),
    "EAV064": Code(WARNING, "folds trained without a class", "Record these classes of more people."),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A finding on a data set.

    Parameters
    ----------
    code : a key of `CODES`.
    text : a sentence that names the first few items and counts them.
    items : the names of all files, classes, people or rows concerned.
    """

    code: str
    text: str
    items: tuple[str, ...] = ()

    @property
    def severity(self) -> str:
        """``error``, ``warning`` or ``note``."""
        return CODES[self.code].severity

    @property
    def advice(self) -> str:
        """What to do."""
        return CODES[self.code].advice

    @property
    def short(self) -> str:
        """The finding in one line, as commands other than `check` print it."""
        return f"{self.text} ({self.code})"

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {**asdict(self), "items": list(self.items), "severity": self.severity, "advice": self.advice}


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by severity, then by code."""
    return sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), each.code))


def short_forms(findings: Iterable[Finding]) -> list[str]:
    """Errors and warnings in one line each, the most severe first; of many, the first and a count."""
    found = [each.short for each in by_severity(findings) if each.severity != NOTE]
    if len(found) <= MOST_SHORT:
        return found
    return [*found[: MOST_SHORT - 1], f"{len(found) - MOST_SHORT + 1} more findings: see 'eavctl check'"]


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def read_codes(text: str | None) -> tuple[str, ...]:
    """Codes given as ``EAV012,EAV030``; none where nothing is given.

    Raises
    ------
    UsageError : no such code.
    """
    found = tuple(part.strip().upper() for part in (text or "").split(",") if part.strip())
    for code in found:
        if code not in CODES:
            near = difflib.get_close_matches(code, CODES, n=1)
            hint = f"; did you mean {near[0]} ({CODES[near[0]].title})?" if near else ""
            raise UsageError(f"--ignore: no such code as {code!r}{hint}")
    return found
