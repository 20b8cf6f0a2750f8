"""Predict classes for recordings: find them, judge each by a model, and collect what went wrong."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.errors import UsageError
from eavctl.predicting.inputs import Inputs, find_inputs
from eavctl.predicting.predicted import Predicted, collected, rejections, require_usable
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.segments import Rejection
from eavctl.predicting.sources import known_fault, selection
from eavctl.printable import utf8
from eavctl.storage.paths import Paths

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice  # judging single recordings makes none
    from eavctl.extraction.recipe import Whose


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
        stream; or there are fewer recordings of a speaker or data set than standardising by them needs.
    SettingsError : a feature table of other settings than the model's.
    UsageError : a file of a modality that the model does not take, or a choice where there is none; a hop
        without a segment, or a number out of range (see `eavctl.extraction.recipe.Recipe`); or ``who`` for
        a model that follows no face, or for feature tables.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, adapt=adapt, who=who)
    inputs = find_inputs(predictor, sources, separate or {}, selection(predictor.modalities, choice, trial))
    _check_who(who, inputs)
    described = predictor.describe(inputs.recordings, jobs, executor)
    judged = list(predictor.judge_described(itertools.chain(inputs.clips, described)))
    if rejected:
        _write_rejected(rejections(judged), rejected)
    return collected(predictor, inputs, judged, strict=strict)


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
    who: Whose | None = None,
    strict: bool = False,
) -> Planned:
    """What `predict` would do with the same parameters; no recording is read, and nothing written.

    Raises
    ------
    DataError, SettingsError, UsageError : where `predict` raises them before it reads recordings, or because
        files are missing.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, abstain=abstain, adapt=adapt, who=who)
    inputs = find_inputs(predictor, sources, separate or {}, selection(predictor.modalities, choice, trial))
    _check_who(who, inputs)
    if inputs.recordings:
        predictor.find_weights()
    bad = [Rejection.of(each, fault) for each in inputs.recordings if (fault := known_fault(each))]
    require_usable(inputs.n_recordings - len(bad), inputs.n_recordings, bad, strict)
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


def _write_rejected(rejected: Sequence[Rejection], path: str | os.PathLike[str]) -> None:
    from eavctl.storage.tables import write_rejected

    names = ("clip_id", "path", "reason")
    records = [bad | {name: utf8(bad[name]) for name in names} for bad in map(Rejection.to_dict, rejected)]
    write_rejected(records, path)
