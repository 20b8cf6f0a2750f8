"""Run ``eavctl live``: the view of a terminal, JSON lines for a pipe, and the summary."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eavctl.cli.console import emit, emit_result, say, say_plan, say_written, warn
from eavctl.cli.judging import find_model, introduce, say_settings
from eavctl.errors import EavctlError
from eavctl.printable import json_escaped
from eavctl.storage.ownership import Output, guard

if TYPE_CHECKING:
    from eavctl.extraction.interfaces import Whose
    from eavctl.live.session import Answered
    from eavctl.live.settings import LiveSettings
    from eavctl.stages.live import LiveRun

UNABLE = ("dumb", "unknown")  # terminals, as rich has them
UPDATES = 4  # a second; drawing takes 1 % of a processor then


def listen(
    sources: Mapping[str, str],
    model: Path | None,
    settings: LiveSettings,
    *,
    weights: Sequence[Path] = (),
    abstain: float = 0.0,
    who: Whose | None = None,
    record: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Judge live sources and print the answers; parameters are the options of ``eavctl live``."""
    from eavctl.live.sources.uri import scheme_of
    from eavctl.stages.live import open_live

    found = find_model(model, weights)
    outputs = [record] if record else []
    read = [found, *weights, *sources.values(), *([who.model] if who else [])]
    guard([Output(path, "predictions") for path in outputs], read, force=force)
    if any(scheme_of(uri) == "lsl" for uri in sources.values()):
        _quieten()
    run = open_live(
        sources, found, settings, weights=weights, abstain=abstain, who=who, keep=record is not None
    )
    with contextlib.closing(run):
        introduce(found, is_named=model is not None)
        say_settings(run.predictor)
        for note in run.notes:
            warn(note)
        if dry_run:
            _say_plan(run, outputs, as_json=as_json)
            return
        try:
            (_lines if as_json or not _can_draw() else _view)(run)
        except BaseException:
            _finish(run, record if run.has_answers else None)
            raise
        _finish(run, record)


def _quieten() -> None:
    """Keep liblsl, where it is installed, from writing into the view."""
    from eavctl.live.lsl_library import load_lsl, quieten_lsl

    with contextlib.suppress(EavctlError):  # told where it is needed
        quieten_lsl(load_lsl("lsl"))


def list_devices(*, as_json: bool) -> None:
    """Print what can be listened to."""
    from eavctl.live.devices import list_devices as find

    _quieten()
    found, reasons = find()
    for reason in reasons:
        warn(reason)
    if as_json:
        emit_result("live", [], {"devices": [each._asdict() for each in found]})
        return
    emit(f"{each.modality:<6}  {each.uri:<24}  {each.description}".rstrip() for each in found)
    if not found:
        say("no microphone, camera or LSL stream found")


def _say_plan(run: LiveRun, outputs: Sequence[Path], *, as_json: bool) -> None:
    """Print what would be judged."""
    predictor, hop_s = run.predictor, run.settings.hop_of(run.predictor.window_s)
    say_plan(f"judge {run.name} by {predictor.path}, {predictor.window_s:g} s every {hop_s:g} s", outputs)
    if as_json:
        facts = {
            "model": str(predictor.path),
            "sources": run.name,
            "who": run.predictor.who and run.predictor.who.phrase,
            "classes": list(predictor.classes),
            "window_s": predictor.window_s,
            "hop_s": hop_s,
        }
        emit_result("live", outputs, facts, dry_run=True)


def _lines(run: LiveRun) -> None:
    """One JSON object a line, each as soon as it is there."""
    for answered in run.answers(warn):
        _tell(answered)
        sys.stdout.write(json_escaped(json.dumps(run.to_json(answered), ensure_ascii=True)) + "\n")
        sys.stdout.flush()


def _can_draw() -> bool:
    """Whether stdout is a terminal whose cursor can be moved."""
    return sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in UNABLE


def _view(run: LiveRun) -> None:
    """A full screen, drawn a few times a second."""
    from rich.live import Live

    from eavctl.live.view import View

    names = " + ".join(os.path.basename(uri) if os.path.exists(uri) else uri for uri in run.sources)
    view = View(run.predictor, run.session, f"{run.predictor.path}: {names}")
    if isinstance(sys.stdout, io.TextIOWrapper):  # whatever the terminal's encoding lacks
        sys.stdout.reconfigure(errors="replace")
    with Live(view, screen=True, refresh_per_second=UPDATES, transient=True):
        for answered in run.answers(view.tell):
            view.add(answered)


def _finish(run: LiveRun, record: Path | None) -> None:
    """The summary, and the table."""
    from eavctl.live.view import source_lines, summary

    status = run.session.status()
    for line in (*source_lines(status), *summary(status, run.session.latencies)):
        say(line)
    if record is None:
        return
    from eavctl.storage.tables import write_predictions

    result = run.predicted()
    write_predictions(result.to_table(), record)
    say_written(f"{len(result.rows)} rows", record)


def _tell(answered: Answered) -> None:
    for note in answered.answer.notes:
        warn(note)
    if answered.changed:
        say(answered.changed)
