"""Run ``eavctl predict`` where answers are printed as they are there: JSON lines, and watched folders."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import emit, emit_result, progress, say, say_plan, warn, warn_of_rejected
from eavctl.cli.judging import check_sources, find_model, introduce, line_of, listed_names, say_settings
from eavctl.errors import DataError
from eavctl.printable import json_escaped

if TYPE_CHECKING:
    from eavctl.predicting.predictor import Judged, Predictor
    from eavctl.predicting.rows import Row
    from eavctl.predicting.segments import Rejection
    from eavctl.stages.predict import Streamed

NOTED = 10_000  # rows after which notes on them are printed: a list of names need not end


def stream(
    sources: Sequence[str],
    model: Path | None = None,
    *,
    weights: Sequence[Path] = (),
    separate: Mapping[str, str] | None = None,
    files_from: str | None = None,
    watch: Path | None = None,
    as_lines: bool = False,
    rejected: Path | None = None,
    strict: bool = False,
    force: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    **options: Any,
) -> None:
    """Judge recordings and print each answer at once.

    Parameters
    ----------
    watch : judge the recordings that appear in this folder, until Ctrl-C.
    as_lines : print JSON lines, else lines for people.
    as_json : print what a dry run found as one JSON object.
    sources and all others : as `eavctl.cli.judging.judge` takes them.
    """
    from eavctl.stages import predict as stage
    from eavctl.storage.ownership import Output, guard

    check_sources(sources, separate or {}, files_from, watch)
    found = find_model(model, weights)
    outputs = [Output(rejected, "rejected")] if rejected else []
    who = options["who"]
    read = [*sources, *(separate or {}).values(), found, *weights, *([who.model] if who else [])]
    guard(outputs, [*read, *([files_from] if files_from else [])], force=force)
    streamed = stage.stream(
        sources,
        found,
        weights=weights,
        separate=separate,
        names=listed_names(files_from),
        watch=watch,
        **options,
    )
    introduce(found, is_named=model is not None)
    say_settings(streamed.predictor)
    if dry_run:
        _print_plan(streamed, watch, rejected, as_json=as_json)
        return
    told = _Told(streamed.predictor, 1 if watch else NOTED)
    if watch:
        say(f"watching {watch}, until Ctrl-C")
    total = None if watch or sys.stdout.isatty() else 0 if files_from else streamed.n_recordings
    try:
        _print(streamed, told, total, as_lines=as_lines)
    except KeyboardInterrupt:
        if watch:  # there is no other end
            told.finish(rejected)
        raise
    told.finish(rejected)
    told.check(strict=strict)


def _print_plan(streamed: Streamed, watch: Path | None, rejected: Path | None, *, as_json: bool) -> None:
    """Print what would be judged as it comes."""
    outputs = [rejected] if rejected else []
    say_plan(f"judge what is written to {watch} by {streamed.predictor.path}", outputs)
    if as_json:
        facts = {"model": str(streamed.predictor.path), "classes": list(streamed.predictor.classes)}
        emit_result("predict", outputs, facts, dry_run=True)


def _print(streamed: Streamed, told: _Told, total: int | None, *, as_lines: bool) -> None:
    """Print the answers as they come.

    Parameters
    ----------
    total : number of recordings, for a progress bar; 0 where it is not known, None for no bar.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(streamed.judged))
        tick = stack.enter_context(progress("predict", at_once=False)) if total is not None else None
        for judged in streamed.judged:
            if as_lines:
                for answer in streamed.predictor.answers(judged):
                    sys.stdout.write(json_escaped(json.dumps(answer)) + "\n")
            else:
                is_cut = streamed.predictor.each_segment
                emit(line_of(streamed.predictor, row, is_cut=is_cut) for row in judged.rows)
            sys.stdout.flush()
            told.tell(judged, streamed.notes)
            if tick and total is not None:
                tick(told.n_recordings, total, "")


class _Told:
    """What is said on stderr of the recordings that were judged, and their number.

    Parameters
    ----------
    predictor : that judges.
    noted : rows after which notes on them are printed.
    """

    def __init__(self, predictor: Predictor, noted: int) -> None:
        self._predictor, self._noted = predictor, noted
        self._sentences: set[str] = set()
        self._rows: list[Row] = []
        self._bad: list[Rejection] = []
        self._faults: list[str] = []
        self.n_recordings = self.n_rows = 0

    def tell(self, judged: Judged, notes: Sequence[str]) -> None:
        """Count a recording, and print what is odd about it.

        Parameters
        ----------
        notes : on the data sets.
        """
        self.n_recordings, self.n_rows = self.n_recordings + 1, self.n_rows + len(judged.rows)
        self._bad += judged.rejected
        self._faults += judged.faults
        self._rows += judged.rows
        self._warn(*notes, *judged.notes, *judged.faults)
        if len(self._rows) >= self._noted:
            self._warn_of_rows()

    def _warn_of_rows(self) -> None:
        from eavctl.predicting.notes import notes_on

        self._warn(*notes_on(self._predictor, self._rows))
        self._rows.clear()

    def _warn(self, *sentences: str) -> None:
        for sentence in sentences:
            if sentence not in self._sentences:
                self._sentences.add(sentence)
                warn(sentence)

    def finish(self, rejected: Path | None) -> None:
        """Print notes on the last rows and what cannot be used, and write the table of it."""
        from eavctl.stages.predict import write_rejections

        self._warn_of_rows()
        warn_of_rejected([each.to_dict() for each in self._bad])
        if rejected:
            write_rejections(self._bad, rejected)
        say(f"{self.n_rows} rows, {len(self._bad)} rejected")

    def check(self, *, strict: bool) -> None:
        """Check that enough could be used.

        Raises
        ------
        DataError : no recording could be used, or, with ``strict``, one could not, or not by every stream.
        """
        from eavctl.predicting.predicted import require_usable

        require_usable(self.n_rows, self.n_recordings, self._bad, strict)
        if not self.n_rows:
            raise DataError("nothing to judge: no recording is named")
        if strict and self._faults:
            raise DataError(f"not every stream of every recording can be used: {self._faults[0]}")
