"""Any JSON-able facts as indented lines: names and values, long lists by their first entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation.formatting import shortened
from eavctl.evaluation.names import BETWEEN

LONGEST = 6  # entries of a list that are shown
INDENT = "  "
NOTHING: tuple[Any, ...] = (None, [], (), {})


def tree(facts: Mapping[str, Any]) -> list[str]:
    """Names and values, nested ones below their name; what is empty is left out."""
    found = []
    for key, value in ((key, shortened(value)) for key, value in facts.items()):
        if isinstance(value, Mapping) and not _is_narrowed(value):
            found += _below(key, tree(value))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            found += _below(key, few(value))
        elif value not in NOTHING:
            found.append(f"{key}: {short(value)}")
    return found


def _below(key: str, lines: list[str]) -> list[str]:
    return [f"{key}:", *(INDENT + line for line in lines)] if lines else []


def short(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, Mapping):
        return ", ".join(few(value["first"], value["count"])) if _is_narrowed(value) else pairs(value)
    if isinstance(value, list | tuple):
        return ", ".join(few(value))
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace(BETWEEN, " ").strip()


def few(values: Sequence[Any], count: int | None = None) -> list[str]:
    """The first values as text, and how many there are where not all are shown."""
    shown = [f"[{short(each)}]" if isinstance(each, list) else short(each) for each in values[:LONGEST]]
    count = count or len(values)
    return [*shown, f"... ({count} in all)"] if count > len(shown) else shown


def pairs(facts: Mapping[str, Any]) -> str:
    """Names and values in one line."""
    return ", ".join(f"{key} {short(value)}" for key, value in facts.items() if value not in NOTHING)


def _is_narrowed(value: Mapping[str, Any]) -> bool:
    """Whether a count and the first names stand for a list (`eavctl.stages.show.show`)."""
    return value.keys() == {"count", "first"}
