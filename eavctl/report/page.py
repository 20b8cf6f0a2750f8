"""The frame of every page that eavctl writes: one self-contained file without scripts."""

from __future__ import annotations

from eavctl.report.markup import Child, Markup, el
from eavctl.report.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, *content: Child, style: str = "") -> str:
    """An HTML page; the same content gives the same text.

    Parameters
    ----------
    title : of the window.
    content : of the body.
    style : rules beside those of every page.
    """
    head = el(
        "head",
        el("meta", name="generator", content="eavctl"),  # first: `ownership` recognises reports by it
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Markup(STYLE + style)),
    )
    return "<!doctype html>\n" + el("html", head, el("body", *content), lang="en") + "\n"
