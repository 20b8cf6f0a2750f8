"""Predict classes for recordings: find them, judge each by a model, and collect what went wrong."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.errors import DataError, UsageError
from eavctl.extraction.recipe import noting
from eavctl.packaged.models import PackagedModel
from eavctl.predicting.predicted import Predicted
from eavctl.predicting.predictor import Judged, Predictor
from eavctl.predicting.segments import DescribedRecording, Rejection
from eavctl.predicting.sources import (
    Recording,
    Selection,
    find_recordings,
    known_fault,
    of_files,
    selection,
    without_repeats,
)
from eavctl.printable import printable, utf8
from eavctl.signals.endings import modalities_of
from eavctl.storage import files
from eavctl.storage.ownership import PARQUET
from eavctl.storage.paths import Paths, named

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice  # judging single recordings makes none

NOT_SPEECH = "EEG, and the packaged models are for speech: train a model of EEG, and name it with --model"


class Planned(NamedTuple):
    """What a prediction would do.

    Parameters
    ----------
    classes : that the model knows.
    n_recordings : recordings, and rows of feature tables, that would be judged.
    rejected : recordings that are known to be unusable before any is opened, as in `Predicted`.
    notes : what is odd about the data sets, in sentences.
    """

    classes: tuple[str, ...]
    n_recordings: int
    rejected: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def predict(
    sources: Paths,
    model: str | os.PathLike[str] | None = None,
    *,
    weights: Sequence[str | os.PathLike[str]] = (),
    separate: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    abstain: float = 0.0,
    adapt: bool = False,
    jobs: int = 1,
    executor: str = "loky",
    strict: bool = False,
    rejected: str | os.PathLike[str] | None = None,
) -> Predicted:
    """Judge recordings.

    A model of several streams judges by those that a recording has; rows list the absent ones.

    Parameters
    ----------
    sources : files, folders (read by their layout if it is known), manifests, feature tables, or ``-`` for a
        recording on stdin; one alone or several.
    model : a model file, or the name of a packaged model; None for the better packaged one that can run.
    weights : see `eavctl.predicting.predictor.Predictor`.
    separate : one more recording, whose modalities are in separate files: a file by modality.
    choice, trial : which recordings of data sets and tables, all by default; and the only trial to judge.
        The spelling of labels and subjects is not checked.
    segment, hop : judge segments of this length instead of whole recordings, one every ``hop`` seconds.
    abstain : answers of a lower probability are unsure, 0 to 1.
    adapt : standardise the features by the recordings at hand, 20 of a data set or more, and by speaker where
        speakers are named, without labels; see `eavctl.classifiers.adaptation`.
    jobs, executor : processes that compute features, and what starts them (see
        `eavctl.extraction.executors.map_in_order`); the result is the same for any.
    strict : a single bad recording is an error.
    rejected : also write the recordings that cannot be used to this table.

    Raises
    ------
    DataError : no such source; no recording can be used, or, with ``strict``, one cannot, or not by every
        stream; or there are fewer recordings of a speaker or data set than standardising by them needs.
    SettingsError : a feature table of other settings than the model's.
    UsageError : a file of a modality that the model does not take, or a choice where there is none; a hop
        without a segment, or a number out of range (see `eavctl.extraction.recipe.Recipe`).
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, adapt=adapt)
    inputs = _find_inputs(predictor, sources, separate or {}, selection(predictor.modalities, choice, trial))
    described = predictor.describe(inputs.recordings, jobs, executor)
    judged = list(predictor.judge_described(itertools.chain(inputs.clips, described)))
    return _collected(predictor, inputs, judged, strict, rejected)


def plan(
    sources: Paths,
    model: str | os.PathLike[str] | None = None,
    *,
    weights: Sequence[str | os.PathLike[str]] = (),
    separate: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    abstain: float = 0.0,
    adapt: bool = False,
    strict: bool = False,
) -> Planned:
    """What `predict` would do with the same parameters; no recording is read, and nothing written.

    Raises
    ------
    DataError, SettingsError, UsageError : where `predict` raises them before it reads recordings, or because
        files are missing.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, adapt=adapt)
    inputs = _find_inputs(predictor, sources, separate or {}, selection(predictor.modalities, choice, trial))
    if inputs.recordings:
        predictor.find_weights()
    bad = [Rejection.of(each, fault) for each in inputs.recordings if (fault := known_fault(each))]
    _require_usable(inputs.n_recordings - len(bad), inputs.n_recordings, bad, strict)
    return Planned(
        predictor.classes,
        inputs.n_recordings,
        tuple(each.to_dict() for each in bad),
        tuple(inputs.notes),
    )


class _Inputs(NamedTuple):
    """What a call judges: recordings, clips of feature tables, and what is odd about the data sets."""

    recordings: list[Recording]
    clips: list[DescribedRecording]
    notes: list[str]

    @property
    def n_recordings(self) -> int:
        """Recordings, and rows of feature tables."""
        return len(self.recordings) + sum(len(clip.segments) for clip in self.clips)


def _find_inputs(
    predictor: Predictor, sources: Paths, separate: Mapping[str, str], selected: Selection
) -> _Inputs:
    if "eeg" in separate and isinstance(predictor.path, PackagedModel):
        raise UsageError(f"{separate['eeg']}: {NOT_SPEECH}")
    paths = named(sources)
    tables = [path for path in paths if _is_feature_table(path)]
    with noting() as notes:
        recordings = of_files(separate, selected) if separate else []
        for path in paths:
            if path not in tables:
                recordings += find_recordings(path, selected)
    if isinstance(predictor.path, PackagedModel):
        recordings = [_for_speech_model(each) for each in recordings]
    clips = []
    if tables:
        from eavctl.datasets.choice import Choice
        from eavctl.predicting.feature_tables import read_tables

        clips = read_tables(tables, predictor.streams, predictor.path, selected.choice or Choice())
    return _Inputs(without_repeats(recordings), clips, notes)


def _for_speech_model(recording: Recording) -> Recording:
    """The recording as a packaged model takes it: a file of EEG cannot be used."""
    if any("eeg" in modalities_of(str(part.file)) for part in recording.parts.values()):
        return recording._replace(parts={}, fault=NOT_SPEECH)
    return recording


def _is_feature_table(source: str) -> bool:
    if source == files.STDIO:
        return files.read_stdin().startswith(PARQUET)  # else it is a recording
    if not (source.endswith(".parquet") and Path(source).is_file()):
        return False
    from eavctl.storage.tables import read_meta

    return read_meta(source).get("kind") == "features"


def _collected(
    predictor: Predictor,
    inputs: _Inputs,
    judged: Sequence[Judged],
    strict: bool,
    rejected: str | os.PathLike[str] | None,
) -> Predicted:
    """All recordings of a call as one result, if enough of them can be used."""
    bad = list(_once_a_cause(rejection for each in judged for rejection in each.rejected))
    if rejected:
        _write_rejected(bad, rejected)
    faults = [fault for each in judged for fault in each.faults]
    rows = tuple(row for each in judged for row in each.rows)
    _require_usable(len(rows), inputs.n_recordings, bad, strict)
    if not rows:
        raise DataError("nothing to judge: the tables have no rows")
    if strict and faults:
        raise DataError(f"not every stream of every recording can be used: {faults[0]}")
    notes = [*inputs.notes, *(note for each in judged for note in each.notes), *faults]
    return Predicted(
        predictor,
        rows,
        tuple(each.to_dict() for each in bad),
        (*dict.fromkeys(notes), *predictor.notes_on(rows)),
        inputs.n_recordings,
    )


def _once_a_cause(rejections: Iterable[Rejection]) -> Iterable[Rejection]:
    """A broken file of many recordings is listed once."""
    causes = set()
    for each in rejections:
        if each.cause not in causes:
            yield each
        if each.cause:
            causes.add(each.cause)


def _require_usable(n_usable: int, n_recordings: int, rejected: Sequence[Rejection], strict: bool) -> None:
    """Raise DataError if nothing can be judged, or, where ``strict``, not everything can."""
    if rejected and (strict or not n_usable):
        n_bad, first = len({each.path for each in rejected}), rejected[0]
        fault = f"{printable(first.path)}: {printable(first.reason)}"
        if n_recordings == 1:
            raise DataError(fault)
        raise DataError(f"{n_bad} of {n_recordings} recordings cannot be used; the first is {fault}")


def _write_rejected(rejected: Sequence[Rejection], path: str | os.PathLike[str]) -> None:
    from eavctl.storage.tables import write_rejected

    names = ("clip_id", "path", "reason")
    records = [bad | {name: utf8(bad[name]) for name in names} for bad in map(Rejection.to_dict, rejected)]
    write_rejected(records, path)
