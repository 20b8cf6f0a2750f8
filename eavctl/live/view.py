"""What a terminal shows of a live session: bars, the last minute's course, sources, latency, and losses."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from eavctl.evaluation.reliability import is_cross_corpus, measured_on
from eavctl.live.latencies import Latencies
from eavctl.live.session import Answered, Session
from eavctl.live.status import ModalityStatus, Status
from eavctl.predicting.predictor import Predictor
from eavctl.printable import printable

COURSE_S = 60.0
PLACES, FEWEST_PLACES = 40, 10  # characters of a course, and of a bar
BESIDE = 12  # columns of a table of bars for percentages and what is between columns
STEPS, ASCII_STEPS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
COLOURS = ("red", "yellow", "cyan", "blue", "magenta", "green", "bright_red", "bright_cyan")


class View:
    """The last answer and the course of the session, as rich draws them, in a thread of its own.

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
        self._changing = threading.Lock()

    def add(self, answered: Answered) -> None:
        """Take a new answer."""
        with self._changing:
            self._last = answered
            self._news.extend(filter(None, (*answered.answer.notes, answered.changed)))
            row, end = answered.answer.row, answered.answer.end
            self._course.append((end, None if row is None else row.proba))
            while self._course[0][0] <= end - COURSE_S:
                self._course.popleft()

    def tell(self, sentence: str) -> None:
        """Show a sentence that belongs to no answer."""
        with self._changing:
            self._news.append(sentence)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The whole view, as it is now; what matters most stands first, for low terminals."""
        status = self._session.status()
        yield Text(printable(self._title), style="bold")
        with self._changing:
            parts, news = self._parts(options), tuple(self._news)
        yield from (*parts, Text(), _sources(status), Text())
        yield from map(Text, summary(status, self._session.latencies))
        yield from (Text(printable(each), style="dim") for each in news)

    def _parts(self, options: ConsoleOptions) -> list[RenderableType]:
        if self._last is None:
            return [Text("waiting for the first window ...")]
        answer, why = self._answer(self._last)
        return [answer, self._bars(self._last, options), Text(), why]

    def _answer(self, answered: Answered) -> tuple[Text, Text]:
        """The answer, and how far it is to be trusted."""
        answer, row = answered.answer, answered.answer.row
        when = f"{answer.start:.1f} to {answer.end:.1f} s: "
        if row is None:
            return Text(f"{when}no answer", style="bold"), Text(printable(answer.reason), style="dim")
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
        return Text(when + printable(name), style="bold"), Text(printable(why), style="dim")

    def _bars(self, answered: Answered, options: ConsoleOptions) -> Table:
        names = [printable(name) for name in self._predictor.classes]
        left = options.max_width - BESIDE - max(map(len, names))
        places = max(min(PLACES, left // 2), FEWEST_PLACES)
        row = answered.answer.row
        table = Table.grid(padding=(0, 2))
        table.add_row("", "", "", Text(f"last {COURSE_S:.0f} s".rjust(places), style="dim"))
        for i, name in enumerate(names):
            share = 0.0 if row is None else float(row.proba[i])
            colour = COLOURS[i % len(COLOURS)]
            bar = Text(_bar(share, places, options.ascii_only), style=colour if row is not None else "dim")
            steps = ASCII_STEPS if options.ascii_only else STEPS
            course = Text(self._course_of(i, answered.answer.end, places, steps), style=colour)
            table.add_row(name, bar, "" if row is None else f"{share:.0%}", course)
        return table

    def _course_of(self, i: int, now: float, places: int, steps: str) -> str:
        """A class's probability over the last minute, as characters; blank where there was no answer."""
        shown = [" "] * places
        for end, proba in self._course:
            place = places - 1 - int((now - end) / COURSE_S * places)
            if proba is not None and 0 <= place < places:
                shown[place] = steps[min(int(proba[i] * len(steps)), len(steps) - 1)]
        return "".join(shown)


def _bar(share: float, places: int, is_ascii: bool) -> str:
    if is_ascii:
        return ("#" * round(share * places)).ljust(places)
    eighths = round(share * places * 8)
    partial = " ▏▎▍▌▋▊▉"[eighths % 8]
    return ("█" * (eighths // 8) + partial).ljust(places)[:places]


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
        f"clock {of.offset_s:+.3f} s {of.drift_ppm:+.0f} ppm{jumps}",
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
