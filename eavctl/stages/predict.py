"""Predict classes for recordings: find them, judge each by a model, and collect what went wrong."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.errors import UsageError
from eavctl.extraction.executors import always, probe
from eavctl.predicting.inputs import Inputs, find_inputs, of_name
from eavctl.predicting.names import Names
from eavctl.predicting.predicted import Predicted, collected, rejections, require_usable
from eavctl.predicting.predictor import Judged, Predictor
from eavctl.predicting.segments import Rejection
from eavctl.predicting.sources import Recording, known_fault
from eavctl.printable import utf8
from eavctl.storage.paths import Paths

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice  # judging single recordings makes none
    from eavctl.extraction.interfaces import Whose


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
    names: Iterable[str] = (),
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    abstain: float = 0.0,
    adapt: bool = False,
    who: Whose | None = None,
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
    names : of more recordings; one that cannot be found is rejected, where a source is an error.
    choice, trial : which recordings of data sets and tables, all by default; and the only trial to judge.
        The spelling of labels and subjects is not checked.
    segment, hop : judge segments of this length instead of whole recordings, one every ``hop`` seconds.
    abstain : answers of a lower probability are unsure, 0 to 1.
    adapt : standardise the features by the recordings at hand, 20 of a data set or more, and by speaker where
        speakers are named, without labels; see `eavctl.classifiers.adaptation`.
    who : whose face is followed in films that show several; None for the largest.
    jobs, executor : processes that compute features, and what starts them (see
        `eavctl.extraction.executors.map_in_order`); the result is the same for any.
    strict : a single bad recording is an error.
    rejected : also write the recordings that cannot be used to this table.

    Raises
    ------
    DataError : no such source; no recording can be used, or, with ``strict``, one cannot, or not by every
        stream; or there are fewer recordings of a speaker, data set or subject than normalising by it needs.
    SettingsError : a feature table of other settings than the model's.
    UsageError : a file of a modality that the model does not take, or a choice where there is none; a hop
        without a segment, or a number out of range (see `eavctl.extraction.recipe.Recipe`); or ``who`` for
        a model that follows no face, or for feature tables.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, adapt=adapt, who=who)
    selected = predictor.select(choice, trial)
    inputs = find_inputs(predictor, sources, separate or {}, selected, names)
    _check_who(who, inputs)
    described = predictor.describe(inputs.recordings, jobs, executor)
    judged = list(predictor.judge_described(itertools.chain(inputs.drawn_clips(), described)))
    if rejected:
        write_rejections(rejections(judged), rejected)
    return collected(predictor, inputs, judged, strict=strict)


class Streamed(NamedTuple):
    """A prediction whose recordings are judged while they are read off ``judged``.

    Parameters
    ----------
    predictor : that judges.
    judged : what each recording gave, in order; close it to end the workers.
    notes : what is odd about the data sets that were found so far, in sentences.
    n_recordings : of the sources; those that are named come in addition.
    """

    predictor: Predictor
    judged: Generator[Judged]
    notes: list[str]
    n_recordings: int


def stream(
    sources: Paths,
    model: str | os.PathLike[str] | None = None,
    *,
    names: Names | None = None,
    watch: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    executor: str = "loky",
    weights: Sequence[str | os.PathLike[str]] = (),
    separate: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    abstain: float = 0.0,
    who: Whose | None = None,
) -> Streamed:
    """Judge recordings one by one: each answer is there before the next recording is needed.

    Parameters
    ----------
    names : of more recordings, which can come one by one; one that cannot be found is rejected in its place.
    watch : judge the recordings that are written to this folder from now on, without end.
    sources, model, weights, separate, choice, trial, segment, hop, abstain, who, jobs, executor : as in
        `predict`.

    Raises
    ------
    DataError, SettingsError, UsageError : as `predict`, before the first recording is judged; a UsageError
        also for a model that normalises features by several recordings.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, who=who)
    if predictor.normalize:
        raise UsageError(
            f"{predictor.path} was trained with --normalize {predictor.normalize}: it needs all recordings "
            "before the first answer; use --json or -o instead"
        )
    selected = predictor.select(choice, trial)
    inputs = find_inputs(predictor, sources, separate or {}, selected)
    _check_who(who, inputs)
    if watch is not None:
        from eavctl.predicting.watching import WatchedFolder

        names = WatchedFolder(watch, predictor.modalities)
    batches: Iterable[Sequence[Recording]] = [inputs.recordings]
    if names is not None:
        named = (of_name(predictor, name, selected, inputs.notes) for name in names)
        batches = itertools.chain(batches, named)
    is_ready = names.is_ready if names else always
    described = predictor.describe_batches(batches, jobs, executor, is_ready)
    judged = predictor.judge_described(itertools.chain(inputs.drawn_clips(), described))
    return Streamed(predictor, judged, inputs.notes, inputs.n_recordings)


def plan(
    sources: Paths,
    model: str | os.PathLike[str] | None = None,
    *,
    weights: Sequence[str | os.PathLike[str]] = (),
    separate: Mapping[str, str] | None = None,
    names: Iterable[str] = (),
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    abstain: float = 0.0,
    adapt: bool = False,
    who: Whose | None = None,
    executor: str = "loky",
    strict: bool = False,
) -> Planned:
    """What `predict` would do with the same parameters; no recording is read, and nothing written.

    Raises
    ------
    DataError, SettingsError, UsageError : where `predict` raises them before it reads recordings, or because
        files are missing.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, adapt=adapt, who=who)
    selected = predictor.select(choice, trial)
    inputs = find_inputs(predictor, sources, separate or {}, selected, names)
    _check_who(who, inputs)
    if inputs.recordings:
        predictor.find_weights()
    bad = [Rejection.of(each, fault) for each in inputs.recordings if (fault := known_fault(each))]
    require_usable(inputs.n_recordings - len(bad), inputs.n_recordings, bad, strict)
    probe(executor)
    return Planned(
        predictor.classes,
        inputs.n_recordings,
        tuple(each.to_dict() for each in bad),
        tuple(inputs.notes),
    )


def _check_who(who: Whose | None, inputs: Inputs) -> None:
    """Refuse to choose faces in feature tables, which hold those of one person a recording."""
    if who is not None and inputs.clips:
        raise UsageError(
            f"{inputs.clips[0].name}: --who {who.phrase!r} is for films, and a feature table has none; "
            "give it to 'eavctl extract'"
        )


def write_rejections(rejected: Sequence[Rejection], path: str | os.PathLike[str]) -> None:
    """Write recordings that cannot be used, with their reasons, as a table."""
    from eavctl.storage.tables import write_rejected

    names = ("clip_id", "path", "reason")
    records = [bad | {name: utf8(bad[name]) for name in names} for bad in map(Rejection.to_dict, rejected)]
    write_rejected(records, path)
