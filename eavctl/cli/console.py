"""Printing: results to stdout; messages, warnings, errors and progress to stderr.

Every line passes through `printable`, and characters that the terminal's encoding lacks are escaped.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from eavctl.printable import json_escaped, printable
from eavctl.progress import Tick, silent

PLAIN_EVERY_S = 10.0
SHOWN = 20  # rejected recordings named on stderr before the rest is counted


class Verbosity:
    """How much is printed, set by the shared options ``-q`` and ``-v``."""

    quiet = False
    level = 0
    prefix = ""  # of errors; a process with one prints nothing else


_warned: list[str] = []  # all warnings of this command line
_broken: list[str] = []  # names in it that have line breaks


def begin(words: Sequence[str] = ()) -> None:
    """Reset the state for a new command line in the same process."""
    Verbosity.quiet, Verbosity.level, Verbosity.prefix = False, 0, ""
    _warned.clear()
    broken = (word for word in words if "\n" in word)
    _broken[:] = [name for word in broken for name in (word, *re.split("[=/]", word)) if "\n" in name]


def be_silent(rank: int) -> None:
    """Print nothing but errors from here on: this process does what rank 0 does, which prints."""
    Verbosity.quiet, Verbosity.prefix = True, f"rank {rank}: "
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # until the process ends


def say(text: str) -> None:
    """Print a line on what was done, unless ``-q``."""
    if not Verbosity.quiet:
        _print(text, sys.stderr)


def say_written(what: str, *outputs: str | os.PathLike[str]) -> None:
    """Print what was written to which files, and which of them eavctl does not read."""
    from eavctl.storage.ownership import FOR_OTHERS

    say(f"{what} -> {' and '.join(map(str, outputs))}")
    for path in outputs:
        if os.path.splitext(path)[1] in FOR_OTHERS:
            say(f"{path} is for other programs: report, fuse and train-* read tables as Parquet")


def detail(text: str) -> None:
    """Print a line with ``-v`` only."""
    if Verbosity.level and not Verbosity.quiet:
        _print(text, sys.stderr)


def warn(text: str) -> None:
    """Print a warning, also with ``-q``."""
    _warned.append(text)
    if not Verbosity.prefix:
        _print(f"warning: {text}", sys.stderr)


def say_plan(work: str, outputs: Sequence[str | os.PathLike[str]], *, up_to_date: bool = False) -> None:
    """Print what a dry run would have done; ``work`` says it in a few words."""
    to = " and ".join(map(str, outputs))
    if up_to_date:
        say(f"would compute nothing: up to date: {to}")
    else:
        say(f"would {work}" + (f" -> {to}" if to else ""))


def warn_of_rejected(rejected: Sequence[Mapping[str, Any]]) -> None:
    """Warn of recordings that cannot be used, by ``path`` and ``reason``; of many, of the first few."""
    for bad in rejected[:SHOWN]:
        at = f" at {bad['start']:.2f} s" if bad.get("start") is not None else ""
        warn(f"{bad['path']}{at}: {bad['reason']}")
    if len(rejected) > SHOWN:
        warn(f"... and {len(rejected) - SHOWN} more; --rejected FILE lists all")


def tell_error(text: str) -> None:
    """Print an error of one or two lines; line breaks in names of the command line are escaped."""
    for name in _broken:
        text = text.replace(name, printable(name))
    for line in text.split("\n"):
        _print(Verbosity.prefix + line, sys.stderr)


def emit(lines: Iterable[str]) -> None:
    """Print primary output for people, line by line."""
    for line in lines:
        _print(line, sys.stdout)


def emit_result(
    command: str,
    outputs: Sequence[str | os.PathLike[str]],
    facts: Mapping[str, Any],
    *,
    up_to_date: bool = False,
    dry_run: bool = False,
) -> None:
    """Print the one JSON object of ``--json``: the shared envelope, then the command's own facts.

    Call last: ``warnings`` are those that came before.

    Parameters
    ----------
    command : its name.
    outputs : files that were written, or would be; ``out`` is the one name, a list of several, or null.
    facts : JSON-able; keys of the envelope are left out of them.
    up_to_date : the outputs were there already, and nothing was computed.
    dry_run : nothing was written.
    """
    names = [os.fspath(path) for path in outputs]
    envelope = {
        "command": command,
        "out": names if len(names) > 1 else next(iter(names), None),
        "up_to_date": up_to_date,
        "dry_run": dry_run,
        "warnings": list(_warned),
    }
    _emit_json(envelope | {key: value for key, value in facts.items() if key not in envelope})


def _emit_json(value: Any) -> None:
    import json

    text = json_escaped(json.dumps(value, indent=2, ensure_ascii=False))
    if not can_show(text, sys.stdout):
        text = json_escaped(json.dumps(value, indent=2))
    sys.stdout.write(text + "\n")


def can_show(text: str, stream: TextIO) -> bool:
    """Whether the encoding of a stream has every character of a text."""
    try:
        text.encode(_encoding(stream))
    except UnicodeEncodeError:
        return False
    return True


def _print(line: str, stream: TextIO) -> None:
    shown = printable(line).encode(_encoding(stream), "backslashreplace").decode(_encoding(stream))
    stream.write(shown + "\n")


def _encoding(stream: TextIO) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


@contextlib.contextmanager
def progress(what: str, *, at_once: bool = True) -> Iterator[Tick]:
    """Yield ``tick(done, total, note)``: a bar on a terminal, elsewhere a line every few seconds.

    A total of 0 is not known.

    A thread draws the bar, and a process with threads starts workers slowly: with ``at_once`` false, the bar
    starts with the first tick.
    """
    if Verbosity.quiet:
        yield silent
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
    note_column = TextColumn("{task.fields[note]}", markup=False)  # a name is no markup
    bar = Progress(*columns, note_column, console=Console(stderr=True), redirect_stdout=False)
    task = bar.add_task(what, total=None, note="")

    def tick(done: int, total: int, note: str = "") -> None:
        bar.start()  # which does nothing when it has begun
        bar.update(task, completed=done, total=total or None, note=printable(note))

    if at_once:
        bar.start()
    try:
        yield tick
    finally:
        bar.stop()


def _plain(what: str) -> Tick:
    last = time.monotonic()

    def tick(done: int, total: int, note: str = "") -> None:
        nonlocal last
        if time.monotonic() - last > PLAIN_EVERY_S:
            last = time.monotonic()
            of_all = f" of {total}" if total else ""
            say(f"{what}: {done}{of_all} {note}".rstrip())

    return tick
