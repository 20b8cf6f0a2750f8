"""Words to stderr: messages, warnings and progress; never a byte of the primary output."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Tick = Callable[[int, int, str], None]

PLAIN_EVERY_S = 10.0


class Verbosity:
    """How much is said, set once by the shared options ``-q`` and ``-v``."""

    quiet = False
    level = 0


def say(text: str) -> None:
    """Say what was done, unless ``-q``."""
    if not Verbosity.quiet:
        print(text, file=sys.stderr)


def detail(text: str) -> None:
    """Say what only ``-v`` wants to know."""
    if Verbosity.level and not Verbosity.quiet:
        print(text, file=sys.stderr)


def warn(text: str) -> None:
    """Name something wrong that did not stop the work; ``-q`` does not silence it."""
    print(f"warning: {text}", file=sys.stderr)


def emit(text: str) -> None:
    """Print primary output."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def emit_json(value: Any) -> None:
    """Print one JSON object, the whole primary output under ``--json``."""
    import json

    emit(json.dumps(value, indent=2, ensure_ascii=False))


@contextlib.contextmanager
def progress(what: str, *, at_once: bool = True) -> Iterator[Tick]:
    """Yield ``tick(done, total, note)``: a bar on a terminal, a line now and then elsewhere.

    The bar is drawn by a thread, and a process with threads starts workers slowly: with ``at_once`` false it
    begins with the first tick.
    """
    if Verbosity.quiet:
        yield _silent
    elif sys.stderr.isatty():
        with _bar(what, at_once) as tick:
            yield tick
    else:
        yield _plain(what)


@contextlib.contextmanager
def _bar(what: str, at_once: bool) -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
    task = bar.add_task(what, total=None, note="")

    def tick(done: int, total: int, note: str = "") -> None:
        bar.start()  # which does nothing when it has begun
        bar.update(task, completed=done, total=total, note=note)

    if at_once:
        bar.start()
    try:
        yield tick
    finally:
        bar.stop()


def _silent(done: int, total: int, note: str = "") -> None:
    pass


def _plain(what: str) -> Tick:
    last = time.monotonic()

    def tick(done: int, total: int, note: str = "") -> None:
        nonlocal last
        if time.monotonic() - last > PLAIN_EVERY_S:
            last = time.monotonic()
            say(f"{what}: {done} of {total} {note}".rstrip())

    return tick
