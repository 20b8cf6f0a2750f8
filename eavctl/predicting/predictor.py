"""A loaded model that judges recordings, or windows of arrays, one by one."""

from __future__ import annotations

import contextlib
import copy
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.errors import DataError, EavctlError, RecordingWarning, SignalError, UsageError
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.extraction.executors import always
from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import noting
from eavctl.jobs import one_thread
from eavctl.packaged import models as packaged
from eavctl.predicting.confidence import Confidence
from eavctl.predicting.describing import describe_recordings, describe_window
from eavctl.predicting.doubts import Doubts
from eavctl.predicting.rows import AbsentStream, Row
from eavctl.predicting.segments import (
    Absence,
    DescribedRecording,
    Rejection,
    Segment,
    features_of,
    streams_of,
    with_sample_id,
)
from eavctl.predicting.sources import (
    Part,
    Recording,
    Selection,
    find_recordings,
    selection,
    without_repeats,
)
from eavctl.predicting.streams import (
    StreamInput,
    at_events,
    noise_for,
    stream_inputs,
    with_segment,
    with_weights,
    with_who,
)
from eavctl.storage import artifacts
from eavctl.storage.paths import named

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice
    from eavctl.extraction.interfaces import Whose

WINDOW = "window"
WINDOW_S = 3.0  # where nothing is known of the training's durations


class Judged(NamedTuple):
    """What a recording gave.

    Parameters
    ----------
    recording : its name, as the user knows it.
    rows : one for the whole, or one for each segment; none where the recording cannot be used.
    rejected : the recording itself, or segments of it, that cannot be used.
    notes : what is odd about its files.
    faults : streams that are absent because something is broken.
    """

    recording: str
    rows: tuple[Row, ...]
    rejected: tuple[Rejection, ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


class _Judgement(NamedTuple):
    """Of each segment: probabilities, weights of the streams, and distance from the training data."""

    proba: np.ndarray
    weights: np.ndarray
    distances: np.ndarray


class Predictor:
    """A model with the recipes of its streams, loaded once and used many times.

    Parameters
    ----------
    model : as `eavctl.storage.artifacts.load` gives it.
    path : its file, or a packaged model, for errors.
    segment, hop : judge segments of this length and hop, in seconds, instead of whole recordings.
    weights : folders of checkpoints, for a model whose features pretrained encoders gave; without
        them, recordings are described by the weights of an installed package.
    abstain : answers of a lower probability are unsure, 0 to 1.
    adapt : adapt recordings to the model by all that are at hand: see `eavctl.classifiers.adaptation`.
    who : whose face is followed in films that show several; None for the largest.

    Attributes
    ----------
    streams : inputs of the model.
    classes : names, in the order of the probabilities.
    each_segment : whether rows are segments, and not whole recordings.

    Raises
    ------
    DataError : the model fuses predictions and judges no recordings, or it is damaged; or ``weights`` are not
        those that it needs.
    SettingsError : it takes features of another version of eavctl.
    UsageError : a hop without a segment, or one of the numbers is out of range; ``weights`` for a model that
        needs none; a model to which recordings cannot be adapted; or ``who`` for one that follows no face.
    """

    def __init__(
        self,
        model: artifacts.Model,
        path: str | os.PathLike[str],
        segment: float | None = None,
        hop: float | None = None,
        *,
        weights: Sequence[str | os.PathLike[str]] = (),
        abstain: float = 0.0,
        adapt: bool = False,
        who: Whose | None = None,
    ) -> None:
        if model.meta.kind == "fuse":
            raise DataError(
                f"{path}: fuses predictions of other models; apply it with 'eavctl fuse --use {path}'"
            )
        self.model, self.path, self.adapts, self.who = model, path, adapt, who
        if adapt:
            from eavctl.predicting import adapting

            adapting.check(model, path)
        self.streams: Sequence[StreamInput] = stream_inputs(model.meta, segment, hop)
        if weights:
            self.streams = with_weights(self.streams, weights, path)
        if who is not None:
            self.streams = with_who(self.streams, who, path)
        self.classes = tuple(str(name) for name in model.classes_)
        self.each_segment = segment is not None
        self._doubts = Doubts(model.novelty, abstain)
        self._check_streams()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        segment: float | None = None,
        hop: float | None = None,
        *,
        weights: Sequence[str | os.PathLike[str]] = (),
        abstain: float = 0.0,
        adapt: bool = False,
        who: Whose | None = None,
    ) -> Predictor:
        """Read a model; parameters and errors are those of the class.

        Parameters
        ----------
        path : a model file, or the name of a packaged model (see `eavctl.packaged.models`); None for the
            better packaged one that can run.
        """
        path = packaged.best(with_weights=bool(weights)) if path is None else packaged.find(path)
        model = artifacts.load(path)
        return cls(model, path, segment, hop, weights=weights, abstain=abstain, adapt=adapt, who=who)

    def _check_streams(self) -> None:
        names = [stream.name for stream in self.streams]
        taken = list(getattr(self.model.predictor, "streams", names))
        if taken != names:
            raise DataError(
                f"{self.path}: the model is damaged (it takes {', '.join(taken)}, and the file names "
                f"{', '.join(names)})"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the streams."""
        return tuple(dict.fromkeys(stream.recipe.modality for stream in self.streams))

    @property
    def is_fusion(self) -> bool:
        """Whether the model has several streams, of which some can be absent."""
        return bool(self.model.meta.streams)

    @property
    def normalize(self) -> str | None:
        """``"speaker"``, ``"dataset"`` or ``"subject"`` where recordings of one are normalised together."""
        return self.model.meta.protocol.normalize

    @property
    def window_s(self) -> float:
        """Length of a window to judge, in seconds.

        That of the segments, or of the epochs; else the middle between the training's shortest and longest
        recording, to 0.1 s; else 3 s.
        """
        recipes = [stream.recipe for stream in self.streams]
        if cut := [row_s for each in recipes if (row_s := each.cutting.row_s)]:
            return max(cut)
        lengths = self.confidence.lengths
        return (round(sum(lengths) / 2, 1) if lengths else 0.0) or WINDOW_S

    def for_windows(self) -> Predictor:
        """The same predictor for windows of `window_s` seconds: each is one segment, and a row of its own.

        How often answers are right is then looked up for single segments, not for recordings of several.
        """
        found = copy.copy(self)
        found.streams = with_segment(self.streams, self.window_s)
        found.each_segment = True
        found.__dict__.pop("confidence", None)  # of whole recordings
        return found

    @cached_property
    def _used_alone(self) -> dict[str, float | None]:
        """The weight of the only stream, which all rows share: there can be a million."""
        return {self.streams[0].name: 1.0}

    @cached_property
    def confidence(self) -> Confidence:
        """How often answers were right in training."""
        return Confidence(self.classes, self.model.meta, self.each_segment)

    def find_weights(self) -> None:
        """Find the weights of pretrained encoders that the features need, if they need some.

        Not done before there are recordings to describe: feature tables are judged without.

        Raises
        ------
        DataError : they are nowhere.
        """
        self.streams = [each._replace(recipe=each.recipe.with_weights()) for each in self.streams]

    # --- finding ------------------------------------------------------------------------------------------

    def select(self, choice: Choice | None = None, trial: int | None = None) -> Selection:
        """Select recordings of the model's modalities; epochs are cut as those of the training.

        Parameters
        ----------
        choice, trial : which recordings of data sets; and the number of the only trial or epoch, from 1.

        Raises
        ------
        UsageError : a trial below 1, or epochs that the model cannot take: their length is not that of the
            training and its features are tensors, they do not include its baseline, or it takes no EEG.
        """
        if choice and choice.epochs:
            choice = replace(choice, epochs=at_events(self.streams, choice.epochs, self.path))
        return selection(self.modalities, choice, trial)

    def find(self, *sources: str | os.PathLike[str], choice: Choice | None = None) -> list[Recording]:
        """Find the recordings that files, folders or manifests stand for, for the modalities of the model.

        Parameters
        ----------
        choice : which recordings of data sets; by default all.

        Raises
        ------
        DataError : no such file or folder, or a data set without recordings that the model can judge.
        UsageError : a choice where there is no data set; otherwise as `select`.
        """
        selected = self.select(choice)
        found = [each for source in named(sources) for each in find_recordings(source, selected)]
        return without_repeats(found)

    # --- judging ------------------------------------------------------------------------------------------

    def judge(
        self, recordings: Iterable[Recording], jobs: int = 1, executor: str = "loky"
    ) -> Iterator[Judged]:
        """Judge recordings, each by itself, and yield each in order as soon as it is judged.

        Only a few recordings are in memory at once, and a recording's rows do not depend on the others:
        unless the model normalises features by speaker, data set or subject, or they are adapted to it; then
        all are described first.

        Parameters
        ----------
        recordings : as `eavctl.predicting.sources.find_recordings` gives them. An iterator is drawn as it is
            needed, a few recordings ahead with several jobs, and need not end.
        jobs, executor : see `eavctl.extraction.executors.map_in_order`; the result is the same for any.

        Raises
        ------
        DataError : probabilities that are not finite; or too few recordings to normalise by them.
        """
        return self.judge_described(self.describe(recordings, jobs, executor))

    def describe(
        self, recordings: Iterable[Recording], jobs: int = 1, executor: str = "loky"
    ) -> Iterator[DescribedRecording]:
        """Compute the features of recordings, as `judge` does."""
        batches = [recordings] if isinstance(recordings, Sequence) else ([each] for each in recordings)
        return self.describe_batches(batches, jobs, executor)

    def describe_batches(
        self,
        batches: Iterable[Sequence[Recording]],
        jobs: int,
        executor: str,
        is_ready: Callable[[], bool] = always,
    ) -> Iterator[DescribedRecording]:
        """Compute the features of batches of recordings; those of a batch can share a file.

        Parameters
        ----------
        jobs, executor, is_ready : see `eavctl.extraction.executors.map_in_order`.
        """
        if not isinstance(batches, Sequence) or any(batches):
            self.find_weights()
        return describe_recordings(batches, self.streams, jobs, executor, is_ready)

    def judge_described(self, recordings: Iterable[DescribedRecording]) -> Generator[Judged]:
        """Judge recordings whose features are known, as `judge` does."""
        if self.normalize:
            from eavctl.predicting.normalizing import normalized

            recordings = normalized(list(recordings), self.normalize, self.streams[0].meta, self.path)
        if self.adapts:
            from eavctl.predicting.adapting import adapted

            scales = self.model.meta.adapted_scales
            for found in adapted(list(recordings), self.model.predictor, scales):
                rows = self._rows(found.recording, self.each_segment, found.proba)
                yield _judged(found.recording, (row._replace(adapted_by=found.by) for row in rows))
            return
        for each in recordings:
            yield _judged(each, self._rows(each, self.each_segment))

    def judge_window(self, signals: Mapping[str, Signal | tuple[Any, ...]]) -> Row:
        """Judge one window of arrays, such as ``{"audio": (signal, rate)}``, as a whole recording.

        Arrays pass through the code that reads files: audio is resampled; EEG is filtered, resampled, and its
        bad channels are interpolated. What is odd about them is a `RecordingWarning`. It is
        `describe_window` followed by `judge_described_window`; parameters and errors are theirs.
        """
        described = self.describe_window(signals)
        row = self.judge_described_window(described)
        for note in (*described.notes, *described.faults):
            warnings.warn(note, RecordingWarning, stacklevel=2)
        return row

    def check_windows(self) -> None:
        """Check that the model can judge single windows.

        Raises
        ------
        DataError : it normalises features by several recordings, or the predictor adapts.
        """
        if self.normalize or self.adapts:
            why = f"was trained with --normalize {self.normalize}" if self.normalize else "is to adapt"
            raise DataError(f"{self.path} {why}: it cannot judge a single window")

    def describe_window(
        self, signals: Mapping[str, Signal | tuple[Any, ...]], absent: Mapping[str, str] = {}
    ) -> DescribedRecording:
        """Compute the features of one window of arrays.

        Parameters
        ----------
        signals : by modality, the fields of a `eavctl.extraction.open_recording.Signal`: audio
            ``(signal, rate)``, EEG ``(signal, sfreq, ch_names)``, video ``(frames, fps)``.
        absent : by modality, why it is not among the signals, such as ``stalled for 1.2 s``; the row's
            ``absent`` repeats it.

        Returns
        -------
        The window as features, and the seconds that each modality took. Where no stream can judge it, it has
        no segments, and ``rejected`` says why.

        Raises
        ------
        UsageError : a modality that the model does not take, or arrays of a wrong shape or type.
        DataError : the model normalises features by several recordings, or the predictor adapts.
        """
        unknown = [modality for modality in signals if modality not in self.modalities]
        if unknown:
            raise UsageError(
                f"{self.path} takes {', '.join(self.modalities)}: it has no use for {unknown[0]}"
            )
        self.check_windows()
        parts = {modality: Part(Signal(*each)) for modality, each in signals.items()}
        window = Recording(WINDOW, {"sample_id": WINDOW, "clip_id": WINDOW}, parts, absent=absent)
        self.find_weights()
        return describe_window(window, self.streams)

    def judge_described_window(
        self, described: DescribedRecording, smooth: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> Row:
        """Judge one window whose features are known, as a whole recording.

        Parameters
        ----------
        smooth : gives the probabilities to answer by, (n_classes,), of those of the window.

        Raises
        ------
        SignalError : no stream can judge it.
        DataError : probabilities that are not finite.
        """
        if not described.segments:
            raise SignalError(f"{described.name}: {described.rejected[0].reason}")
        judgement = self._judgement(described, described.segments)
        if smooth is not None:
            judgement = judgement._replace(proba=smooth(judgement.proba.mean(axis=0))[None])
        return self._row(described, described.segments, judgement, described.keys["sample_id"])

    def _rows(
        self, recording: DescribedRecording, each_segment: bool, proba: np.ndarray | None = None
    ) -> Iterator[Row]:
        """The row of a recording, the mean over its segments, or one for each segment.

        Parameters
        ----------
        proba : of the segments, (n_segments, n_classes), where a model of one stream was adapted to them;
            else the model gives them.
        """
        if not recording.segments:
            return
        segments, whole = recording.segments, recording.keys["sample_id"]
        if not each_segment:
            yield self._row(recording, segments, self._judgement(recording, segments, proba), whole)
            return
        for i, segment in enumerate(segments):
            # One by one, as live windows come: sums of a batch differ in the last bits from those of one row.
            known = None if proba is None else proba[i : i + 1]
            judgement = self._judgement(recording, [segment], known)
            yield self._row(recording, [segment], judgement, f"{whole}@{segment.start:09.3f}")

    def _judgement(
        self, recording: DescribedRecording, segments: Sequence[Segment], proba: np.ndarray | None = None
    ) -> _Judgement:
        x = self._features(segments)
        with one_thread():  # the same bits on any machine; beside live sources, threads would wait
            proba, weights = self._outputs(x) if proba is None else (proba, np.ones((len(x), 1)))
        if not np.isfinite(proba).all():
            raise DataError(f"{recording.name}: the model's probabilities are not finite numbers for it")
        return _Judgement(proba, weights, self._doubts.distances(x))

    def _features(self, segments: Sequence[Segment]) -> Any:
        """The features of segments as the model takes them."""
        return streams_of(segments, self.streams) if self.is_fusion else features_of(segments)

    def _outputs(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of each segment, and weight of each stream in it; NaN where the model has none."""
        if self.is_fusion and hasattr(self.model.predictor, "proba_and_weights"):
            proba, weights = self.model.predictor.proba_and_weights(x)
            return proba, weights
        unknown = np.full(x.present.shape, np.nan) if self.is_fusion else np.ones((len(x), 1))
        return self.model.predict_proba(x), unknown

    def _row(
        self,
        recording: DescribedRecording,
        segments: Sequence[Segment],
        judgement: _Judgement,
        sample_id: str,
    ) -> Row:
        used, absent = self._used(segments, judgement.weights.mean(axis=0))
        mean = judgement.proba.mean(axis=0)
        answer, distance = int(self.model.decide(mean)), float(judgement.distances.mean())
        return Row(
            recording.name,
            with_sample_id(recording.keys, sample_id),
            segments[0].start,
            segments[-1].end,
            mean,
            self.classes[answer],
            used,
            absent,
            distance > 1,
            self._doubts.reasons(distance, float(mean[answer])),
            people=max((each.people for each in segments if each.people is not None), default=None),
        )

    def _used(
        self, segments: Sequence[Segment], mean_weights: np.ndarray
    ) -> tuple[dict[str, float | None], tuple[AbsentStream, ...]]:
        """The weight of each stream that segments have, and the streams that are absent from some."""
        if not self.is_fusion:
            return self._used_alone, ()
        used: dict[str, float | None] = {}
        absent = []
        for i, stream in enumerate(self.streams):
            why = [x for segment in segments if isinstance(x := segment.inputs[i], Absence)]
            if why:
                reasons = dict.fromkeys(each.reason for each in why if each.reason)
                absent.append(AbsentStream(stream.name, "; ".join(reasons), len(why) / len(segments)))
            if len(why) < len(segments):
                used[stream.name] = None if np.isnan(mean_weights[i]) else float(mean_weights[i])
        return used, tuple(absent)

    def warm_up(self) -> None:
        """Describe and judge noise, so that the first window waits for no import, encoder or filter.

        Raises
        ------
        DataError : the model that chooses a face cannot be read.
        """
        signals = {stream.recipe.modality: noise_for(stream.recipe, self.window_s) for stream in self.streams}
        for stream in self.streams:
            _ = stream.recipe.chooser  # noise shows it no face
            with contextlib.suppress(EavctlError), noting():  # noise has neither speech nor a face
                self.judge_window({stream.recipe.modality: signals[stream.recipe.modality]})
            if stream.recipe.only_speech:
                with contextlib.suppress(EavctlError), stream.recipe.open(signals["audio"]) as stretch_of:
                    replace(stream.recipe, only_speech=False).describe(stretch_of())

    @cached_property
    def trained_on(self) -> TrainedOn:
        """The people and recordings that the model was trained on."""
        return TrainedOn.from_meta(self.model.trained_on)

    # --- JSON ---------------------------------------------------------------------------------------------

    def answer(self, row: Row) -> dict[str, Any]:
        """A row as JSON-able values: one object for every way of judging.

        Returns
        -------
        ``recording``, ``start``, ``end``, ``pred``, ``proba`` by class, ``unsure``, the reasons for which the
        answer cannot be relied on, and ``right_out_of_fold`` (see `Confidence.right`); of a fusion also
        ``modalities``, the weight of each stream used, and ``absent``. Where a face was followed there is
        ``people``, the number of them; and ``who``, the phrase that chose, or None for the largest face.
        """
        found = {
            "recording": row.recording,
            "start": row.start,
            "end": row.end,
            "pred": row.pred,
            "proba": dict(zip(self.classes, row.proba.tolist(), strict=True)),
            "unsure": list(row.unsure),
            "right_out_of_fold": self.confidence.right(row),
        }
        if row.people is not None:
            found |= {"people": row.people, "who": self.who and self.who.phrase}
        if not self.is_fusion:
            return found
        absent = [{"name": s.name, "reason": s.reason or None, "share": s.share} for s in row.absent]
        return {**found, "modalities": row.weights, "absent": absent}

    def answers(self, judged: Judged) -> list[dict[str, Any]]:
        """What a recording gave as JSON-able values, in order of time.

        Returns
        -------
        Rows as `answer` gives them; and of what cannot be used ``recording``, ``start`` (None of a whole
        recording) and ``rejected``, the reason.
        """
        found = [self.answer(row) for row in judged.rows]
        found += [
            {"recording": bad.path, "start": bad.start, "rejected": bad.reason} for bad in judged.rejected
        ]
        return sorted(found, key=lambda each: each["start"] or 0.0)


def _judged(recording: DescribedRecording, rows: Iterable[Row]) -> Judged:
    return Judged(recording.name, tuple(rows), recording.rejected, recording.notes, recording.faults)
