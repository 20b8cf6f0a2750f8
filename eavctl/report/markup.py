"""HTML and SVG as nested calls, in which every text is escaped unless it is markup already."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "br", "hr"})


class Markup(str):
    """Text that is markup, and therefore goes into a page as it is."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]


def el(tag: str, *children: Child, **attributes: str | float | None) -> Markup:
    """An element.

    Parameters
    ----------
    children : elements, texts (escaped) or lists of them; None is passed over.
    attributes : an underscore at the end of a name is dropped, others become hyphens; None is passed over.
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
    """Escaped, and free of what UTF-8 or a browser cannot take (half characters from odd file names)."""
    clean = text.encode("utf-8", "replace").decode()
    return escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in clean))
