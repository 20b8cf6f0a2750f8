"""What a terminal shows of a live session: bars, the last minute's course, sources, latency, and losses."""

from __future__ import annotations

from collections import deque

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eavctl.evaluation.reliability import is_cross_corpus, measured_on
from eavctl.live.latencies import Latencies
from eavctl.live.session import Answered, Session
from eavctl.live.status import ModalityStatus, Status
from eavctl.predicting.predictor import Predictor
from eavctl.printable import printable

COURSE_S = 60.0
PLACES = 40  # characters of a course, and of a bar
STEPS = "▁▂▃▄▅▆▇█"
COLOURS = ("red", "yellow", "cyan", "blue", "magenta", "green", "bright_red", "bright_cyan")


class View:
    """The last answer and the course of the session, as rich draws them.

    Parameters
    ----------
    predictor, session : that judge.
    title : the model and the sources.
    """

    def __init__(self, predictor: Predictor, session: Session, title: str) -> None:
        self._predictor, self._session, self._title = predictor, session, title
        self._last: Answered | None = None
        self._course: deque[tuple[float, np.ndarray | None]] = deque()
        self._news: deque[str] = deque(maxlen=3)

    def add(self, answered: Answered) -> None:
        """Take a new answer."""
        self._last = answered
        self._news.extend(filter(None, (*answered.answer.notes, answered.changed)))
        row, end = answered.answer.row, answered.answer.end
        self._course.append((end, None if row is None else row.proba))
        while self._course[0][0] <= end - COURSE_S:
            self._course.popleft()

    def __rich__(self) -> RenderableType:
        """The whole view, as it is now."""
        parts: list[RenderableType] = [Text(printable(self._title), style="bold"), Text()]
        if self._last is None:
            parts.append(Text("waiting for the first window ..."))
        else:
            parts += [*self._answer(self._last), Text(), self._bars(self._last), Text()]
        status = self._session.status()
        parts += [_sources(status), Text(), *map(Text, summary(status, self._session.latencies))]
        return Group(*parts, *(Text(printable(each), style="dim") for each in self._news))

    def _answer(self, answered: Answered) -> list[Text]:
        answer, row = answered.answer, answered.answer.row
        when = f"{answer.start:.1f} to {answer.end:.1f} s: "
        if row is None:
            return [Text(f"{when}no answer", style="bold"), Text(printable(answer.reason), style="dim")]
        right = self._predictor.confidence.right(row)
        name = f"unsure (likeliest: {row.pred})" if row.unsure else row.pred
        if row.unsure:
            why = "; ".join(row.unsure)
        elif right is None:
            why = "how often such answers are right is not known"
        else:
            kind = "recordings from elsewhere" if is_cross_corpus(right["measured_on"]) else "held-out ones"
            why = (
                f"of {right['n_rows']} such answers, {right['right']:.0%} [{right['low']:.0%}, "
                f"{right['high']:.0%}] were right ({kind}: {measured_on(right['measured_on'])})"
            )
        return [Text(when + printable(name), style="bold"), Text(printable(why), style="dim")]

    def _bars(self, answered: Answered) -> Table:
        row = answered.answer.row
        table = Table.grid(padding=(0, 2))
        table.add_row("", "", "", Text(f"the last {COURSE_S:.0f} s".rjust(PLACES), style="dim"))
        for i, name in enumerate(self._predictor.classes):
            share = 0.0 if row is None else float(row.proba[i])
            colour = COLOURS[i % len(COLOURS)]
            bar = Text(_bar(share), style=colour if row is not None else "dim")
            course = Text(self._course_of(i, answered.answer.end), style=colour)
            table.add_row(printable(name), bar, "" if row is None else f"{share:.0%}", course)
        return table

    def _course_of(self, i: int, now: float) -> str:
        """A class's probability over the last minute, as characters; blank where there was no answer."""
        shown = [" "] * PLACES
        for end, proba in self._course:
            place = PLACES - 1 - int((now - end) / COURSE_S * PLACES)
            if proba is not None and 0 <= place < PLACES:
                shown[place] = STEPS[min(int(proba[i] * len(STEPS)), len(STEPS) - 1)]
        return "".join(shown)


def _bar(share: float) -> str:
    eighths = round(share * PLACES * 8)
    partial = " ▏▎▍▌▋▊▉"[eighths % 8]
    return ("█" * (eighths // 8) + partial).ljust(PLACES)[:PLACES]


def _sources(status: Status) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, of in status.modalities.items():
        table.add_row(name, of.state, *_facts(of))
    return table


def _facts(of: ModalityStatus) -> list[str]:
    """What is to be said of a source's clock and of its losses."""
    lost = [f"{of.lost} lost"] if of.lost else []
    lost += [f"{of.missing_s:.2f} s missing"] if of.missing_s else []
    lost += [f"late {of.late}, absent {of.absent} times"] if of.late or of.absent else []
    jumps = f", {of.jumps} jumps of the clock" if of.jumps else ""
    return [
        f"delay {1000 * of.delay_s:.0f} ms",
        f"drift {of.drift_ppm:+.0f} ppm{jumps}",
        ", ".join(lost) or "nothing lost",
    ]


def summary(status: Status, latencies: Latencies) -> list[str]:
    """Windows and latencies in words, for the view and for the end of a session."""
    lines = [f"{status.windows} windows" + (f", {status.dropped} dropped" if status.dropped else "")]
    spreads = latencies.spreads()
    if spreads:
        told = [f"{stage} {1000 * each.p50:.0f} / {1000 * each.p95:.0f}" for stage, each in spreads.items()]
        lines.append(f"latency in ms, p50 / p95: {', '.join(told)}")
    return lines


def source_lines(status: Status) -> list[str]:
    """A line for each source, for the end of a session."""
    return [f"{name}: {of.state}, {', '.join(_facts(of))}" for name, of in status.modalities.items()]
