"""Run ``eavctl live``: the view of a terminal, JSON lines for a pipe, and the summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import detail, emit, emit_result, say, say_plan, warn
from eavctl.cli.judging import find_model, introduce
from eavctl.printable import json_escaped
from eavctl.storage.ownership import Output, guard

if TYPE_CHECKING:
    from eavctl.live.session import Answered
    from eavctl.live.settings import LiveSettings
    from eavctl.stages.live import LiveRun

UPDATES = 4  # a second; drawing takes 1 % of a processor then


def listen(
    sources: Mapping[str, str],
    model: Path | None,
    settings: LiveSettings,
    *,
    weights: Sequence[Path] = (),
    abstain: float = 0.0,
    record: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Judge live sources and print the answers; parameters are the options of ``eavctl live``."""
    from eavctl.stages.live import open_live

    found = find_model(model, weights)
    outputs = [record] if record else []
    guard([Output(path, "predictions") for path in outputs], [found, *weights, *sources.values()], force=force)
    run = open_live(sources, found, settings, weights=weights, abstain=abstain, keep=record is not None)
    with run:
        introduce(found, is_named=model is not None)
        for note in run.notes:
            warn(note)
        if dry_run:
            _plan(run, outputs, as_json=as_json)
            return
        show = _lines if as_json or not sys.stdout.isatty() else _view
        try:
            show(run)
        finally:
            _finish(run, record)


def _lines(run: LiveRun) -> None:
    """One JSON object a line, each as soon as it is there."""
    for answered in run.answers():
        _tell(answered)
        sys.stdout.write(json_escaped(json.dumps(run.to_json(answered), ensure_ascii=True)) + "\n")
        sys.stdout.flush()


def _view(run: LiveRun) -> None:
    """A full screen, drawn a few times a second."""
    from rich.live import Live

    from eavctl.live.view import View

    view = View(run)
    with Live(view, screen=True, refresh_per_second=UPDATES, transient=True):
        for answered in run.answers():
            view.add(answered)


def _finish(run: LiveRun, record: Path | None) -> None:
    """The summary, and the table."""
    from eavctl.live.view import summary

    for line in summary(run.session):
        say(line)
    if record is None:
        return
    from eavctl.storage.tables import write_predictions

    result = run.predicted()
    write_predictions(result.to_table(), record)
    say(f"{len(result.rows)} rows -> {record}")


def _tell(answered: Answered) -> None:
    if answered.changed:
        say(answered.changed)
