"""Judge live sources, or files at their own speed, window by window."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eavctl.errors import DataError, UsageError
from eavctl.extraction.interfaces import Whose
from eavctl.extraction.recipe import noting
from eavctl.live.answering import Judge, to_json
from eavctl.live.chunk import Source, SourceError
from eavctl.live.clocks import MonotonicClock
from eavctl.live.needs import Needs
from eavctl.live.quality import Quality, QualityController
from eavctl.live.session import Answered, Session
from eavctl.live.settings import LiveSettings
from eavctl.live.sources.uri import open_source
from eavctl.live.synchroniser import Synchroniser
from eavctl.predicting.notes import epoch_notes
from eavctl.predicting.predicted import Predicted
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.rows import Row

WAITING_S = 2.0  # that a window may wait to be judged before its data are overwritten


@dataclass
class LiveRun:
    """A live session whose sources are open; iterate `answers` once.

    Parameters
    ----------
    predictor : that judges.
    session : of the sources.
    settings : of the session.
    sources : their URIs.
    notes : what limits the answers, in sentences.
    keeps : whether answers are kept for `predicted`.
    """

    predictor: Predictor
    session: Session
    settings: LiveSettings
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()
    keeps: bool = False
    _rows: list[Row] = field(default_factory=list)
    _rejected: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the session: its sources."""
        return " + ".join(self.sources)

    @property
    def has_answers(self) -> bool:
        """Whether `predicted` has any."""
        return bool(self._rows)

    def answers(self, tell: Callable[[str], None] = lambda _: None) -> Iterator[Answered]:
        """Yield an answer a window, until all sources have ended.

        Parameters
        ----------
        tell : called with a sentence on a source that broke, or that gives nothing.

        Raises
        ------
        SourceError : every source broke, or ended, before there was a window.
        """
        judge = Judge(self.predictor, self.name, self.settings.smooth)
        for answered in self.session.answers(judge, tell):
            if self.keeps:
                self._keep(answered)
            yield answered

    def close(self) -> None:
        """Close the sources; `answers` does so at its end."""
        self.session.close()

    def to_json(self, answered: Answered) -> dict[str, Any]:
        """An answer as JSON-able values: see `eavctl.live.answering.to_json`."""
        return to_json(self.predictor, answered.answer, answered.latency_s, answered.quality)

    def predicted(self) -> Predicted:
        """The answers so far, as those of one recording cut into segments.

        Raises
        ------
        DataError : no window was answered.
        """
        if not self._rows:
            raise DataError(f"{self.name}: no window was answered, so there is no table")
        return Predicted(
            self.predictor, tuple(self._rows), tuple(self._rejected), self.notes, len(self._rows)
        )

    def _keep(self, answered: Answered) -> None:
        answer = answered.answer
        if answer.row is not None:
            self._rows.append(answer.row)
            return
        self._rejected.append(
            {"clip_id": self.name, "path": self.name, "start": answer.start, "reason": answer.reason}
        )


def open_live(
    sources: Mapping[str, str],
    model: str | os.PathLike[str] | None = None,
    settings: LiveSettings | None = None,
    *,
    weights: Sequence[str | os.PathLike[str]] = (),
    abstain: float = 0.0,
    who: Whose | None = None,
    keep: bool = False,
) -> LiveRun:
    """Load a model and open live sources; answers come from `LiveRun.answers`.

    Parameters
    ----------
    sources : a URI by modality: ``mic:default``, ``camera:0``, ``lsl:NAME``, a file, or ``-``.
    model, weights, abstain, who : see `eavctl.predicting.predictor.Predictor`.
    settings : of windows; None for the defaults.
    keep : keep the answers for `LiveRun.predicted`.

    Raises
    ------
    DataError : a source that cannot be opened, or a model that cannot judge single windows.
    UsageError : a modality that the model does not take, or a speed for devices; or ``who`` for a model that
        follows no face.
    """
    settings = settings or LiveSettings()
    predictor = Predictor.load(
        model, settings.window, weights=weights, abstain=abstain, who=who
    ).for_windows()
    predictor.check_windows()
    for modality, uri in sources.items():
        if modality not in predictor.modalities:
            takes = ", ".join(predictor.modalities)
            raise UsageError(f"{predictor.path} takes {takes}; leave out --{modality} {uri}")
    predictor.find_weights()
    predictor.warm_up()
    opened: list[Source] = []
    try:
        with noting() as odd:
            for modality, uri in sources.items():
                opened.append(_opened(predictor, modality, uri))
        _check_speed(opened, settings)
        session = _session(predictor, opened, settings)
    except BaseException:
        for source in opened:
            source.close()
        raise
    uris = tuple(dict.fromkeys(sources.values()))
    return LiveRun(predictor, session, settings, uris, (*odd, *_notes(predictor, settings)), keep)


def _opened(predictor: Predictor, modality: str, uri: str) -> Source:
    """A source at the rate that the model's features take, if it can give it."""
    rates = {stream.recipe.rate for stream in predictor.streams if stream.recipe.modality == modality}
    return open_source(uri, modality, rate=rates.pop() if len(rates) == 1 else None)


def _check_speed(sources: Sequence[Source], settings: LiveSettings) -> None:
    devices = [source.name for source in sources if not source.is_recorded]
    if devices and settings.speed != 1:
        raise UsageError(f"--speed {settings.speed:g} is for files; {devices[0]} is a device")


def _session(predictor: Predictor, sources: Sequence[Source], settings: LiveSettings) -> Session:
    needs = Needs.of(predictor)
    hop_s = settings.hop_of(needs.seconds)
    tracks = {each.modality: needs.track(each, hop_s + WAITING_S) for each in sources}
    synchroniser = Synchroniser(
        tracks,
        needs.seconds,
        hop_s,
        settings.tolerance,
        needs.margins,
        skip=not all(source.is_recorded for source in sources),
        patience_s=None if any(source.can_stall for source in sources) else math.inf,
    )

    def reopen(source: Source) -> Source:
        again = _opened(predictor, source.modality, source.name)
        if (again.rate, again.ch_names) == (source.rate, source.ch_names):
            return again
        again.close()
        raise SourceError(f"{source.name}: came back with another rate or other channels; start again")

    best = Quality(needs.frames if "video" in tracks else 0, None, hop_s)
    is_adaptive = settings.is_adaptive and settings.speed <= 1  # faster, lateness says nothing
    controller = QualityController(best, tuple(tracks)) if is_adaptive else None
    return Session(sources, synchroniser, MonotonicClock(settings.speed), reopen, controller)


def _notes(predictor: Predictor, settings: LiveSettings) -> tuple[str, ...]:
    """What limits the answers of the session, in sentences."""
    notes = epoch_notes(predictor)
    if settings.smooth:
        notes.append(f"probabilities are smoothed over {settings.smooth:g} s: answers follow the last ones")
    for stream in predictor.streams:
        if stream.recipe.base.settings.get("filter") == "zero":
            notes.append(
                f"{predictor.path} was trained on EEG filtered forward and backward, which live EEG cannot "
                "be: near a window's end its features differ; train on features of --set filter=causal"
            )
    return tuple(notes)
