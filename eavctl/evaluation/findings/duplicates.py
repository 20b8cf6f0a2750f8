"""Findings on recordings that are there twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from eavctl.evaluation.findings.codes import SHOWN, Finding

TWICE, TWO_LABELS, TWO_PEOPLE = "EAV050", "EAV051", "EAV052"


class Named(NamedTuple):
    """A recording, or a segment of one: the name of its clip, its label, and who is recorded."""

    clip: str
    label: str | None
    subject: str | None


def duplicate_findings(pairs: Iterable[tuple[Named, Named]]) -> Iterator[Finding]:
    """Findings on pairs of different clips with the same content.

    A pair is a contradiction of labels first, else of subjects where both are known.
    """
    found: dict[str, list[str]] = {TWICE: [], TWO_LABELS: [], TWO_PEOPLE: []}
    for a, b in pairs:
        if a.label != b.label:
            found[TWO_LABELS].append(f"{a.clip} ({a.label}) and {b.clip} ({b.label})")
        elif a.subject and b.subject and a.subject != b.subject:
            found[TWO_PEOPLE].append(f"{a.clip} and {b.clip}")
        else:
            found[TWICE].append(f"{a.clip} and {b.clip}")
    for code, what in (
        (TWICE, "are the same recording under two names"),
        (TWO_LABELS, "are the same recording with contradicting labels"),
        (TWO_PEOPLE, "are the same recording under two subjects"),
    ):
        if names := found[code]:
            more = f" (and {len(names) - SHOWN} more pairs)" if len(names) > SHOWN else ""
            yield Finding(code, f"{'; '.join(names[:SHOWN])} {what}{more}", tuple(names))
