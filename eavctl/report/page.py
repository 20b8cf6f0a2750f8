"""The frame of every page that eavctl writes: one self-contained file without scripts."""

from __future__ import annotations

from eavctl.report.markup import Child, Markup, el
from eavctl.report.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
PICTURES = "; img-src data:"  # beside it, on a page that holds pictures itself


def page(title: str, *content: Child, style: str = "", pictures: bool = False) -> str:
    """An HTML page; the same content gives the same text.

    Parameters
    ----------
    title : of the window.
    content : of the body.
    style : rules beside those of every page.
    pictures : the content has pictures, as ``data:`` addresses.
    """
    head = el(
        "head",
        el("meta", name="generator", content="eavctl"),  # first: `ownership` recognises reports by it
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY + (PICTURES if pictures else "")),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Markup(STYLE + style)),
    )
    return "<!doctype html>\n" + el("html", head, el("body", *content), lang="en") + "\n"
