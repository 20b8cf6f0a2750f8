"""HTML and SVG from nested calls, in which every text is escaped unless it is already markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "br", "hr", "img", "input"})


class Markup(str):
    """Text that is markup, and is therefore not escaped."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]


def el(tag: str, *children: Child, **attributes: str | float | None) -> Markup:
    """An element.

    Parameters
    ----------
    tag : name of the element.
    children : elements, texts (escaped) or lists of them; None is skipped.
    attributes : a final underscore of a name is dropped, others become hyphens; None is skipped.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_text(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(_flat(children))
    return Markup(f"<{tag}{named}>" if tag in _VOID else f"<{tag}{named}>{inner}</{tag}>")


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str | int):
            yield _text(str(child))
        else:
            yield from _flat(child)


def _text(text: str) -> str:
    """Escape a text, and replace characters that are not valid UTF-8 or not printable."""
    clean = text.encode("utf-8", "replace").decode()
    return escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in clean))
