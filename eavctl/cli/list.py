"""``eavctl list``: what eavctl knows by name."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say_plan
from eavctl.cli.options import DryRun, Json

WIDTH, LONGEST = 100, 30  # characters of a line, and of a default
SHOWN = {  # facts of --json that are shown, with what stands before them
    "modality": "modality",
    "modalities": "modality",
    "of": "rows of",
    "features": "features",
    "input": "input",
    "gives": "gives",
    "units": "units",
    "rate": "rate",
    "columns": "columns",
    "sizes": "sizes",
    "defaults": "defaults",
}


@command("list", "eavctl list features", "eavctl list layouts", "eavctl list methods --json")
def list_known(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Kind: layouts, features, encoders, augmentations, methods, fusers, networks, executors, "
            "sources or protocols.",
            show_default="all kinds",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """List layouts, feature sets, encoders and others, each with its settings, defaults and units.

    Those of installed packages that extend eavctl are among them.
    """
    from eavctl.stages.list import catalogue

    found = catalogue(kind)
    if dry_run:
        say_plan(f"list {found.get('kind', 'all kinds')}", [])
    if as_json:
        emit_result("list", [], found, dry_run=dry_run)
    elif not dry_run:
        emit(_overview(found["kinds"]) if kind is None else _lines(found))


def _overview(kinds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [(each["kind"], str(len(each["names"])), each["about"]) for each in kinds]
    return _table(rows, "")


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield from textwrap.wrap(f"{found['kind']}: {found['about']}", WIDTH)
    if found["settings"]:
        yield ""
        yield from _settings(found["settings"])
    for entry in found["entries"]:
        yield ""
        yield entry["name"]
        yield from textwrap.wrap(entry["about"], WIDTH, initial_indent="  ", subsequent_indent="  ")
        facts = entry["facts"]
        rows = [(title, _text(name, facts[name])) for name, title in SHOWN.items() if facts.get(name)]
        yield from _table(rows, "  ")
        yield from _settings(entry["settings"])


def _settings(settings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name, default, values and meaning of each setting."""
    if settings:
        yield "  settings:"
    rows = []
    for each in settings:
        default = each["default"]
        shown = default if isinstance(default, str) else json.dumps(default)
        shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
        rows.append((each["name"], shown, "; ".join(filter(None, (each["takes"], each["about"])))))
    yield from _table(rows, "    ")


def _table(rows: Sequence[tuple[str, ...]], indent: str) -> Iterator[str]:
    """Aligned columns, of which the last is wrapped."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, last in rows:
        start = indent + "".join(f"{cell:<{n}}  " for cell, n in zip(cells, widths, strict=True))
        yield from textwrap.wrap(last, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [
            start.rstrip()
        ]


def _text(name: str, value: Any) -> str:
    """A fact in words: of columns their number, of lists the items, of dictionaries the keys with values."""
    if name == "columns":
        return str(len(value))
    if name == "rate":
        return f"{value} samples a second"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} {each}".strip() if name == "defaults" else key for key, each in value.items()
        )
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
