"""Markdown with front matter, in which names from files are plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eavctl.printable import printable

# Characters that mark up; brackets do so before a parenthesis alone, and underscores not within a word.
_ACTIVE = re.compile(r"[\\`*<>|#~&]|\](?=\()|(?<!\w)_|_(?!\w)")


def text(value: object) -> str:
    """A name from a file as plain text: nothing in it is markup."""
    return _ACTIVE.sub(lambda found: f"\\{found[0]}", printable(str(value)))


def code(value: object) -> str:
    """A name as code."""
    return f"`{printable(str(value)).replace('`', chr(39))}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, with an empty line after it; none without rows.

    Parameters
    ----------
    heads, rows : cells as markdown; names from files by `text` or `code`.
    """
    lines = [_row(row) for row in rows]
    return [_row(heads), _row(["---"] * len(heads)), *lines, ""] if lines else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def front_matter(facts: Mapping[str, Any]) -> list[str]:
    """Lines of YAML between marks; values that are None or empty are left out.

    JSON is YAML, so that every value is written as one line of JSON.
    """
    given = {key: value for key, value in facts.items() if value not in (None, [], {}, "")}
    return ["---", *(f"{key}: {_json(value)}" for key, value in given.items()), "---", ""]


def _json(value: Any) -> str:
    return json.dumps(_clean(value), ensure_ascii=False)


def _clean(value: Any) -> Any:
    """The value with all names printable: YAML allows no control characters."""
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return printable(value) if isinstance(value, str) else value
