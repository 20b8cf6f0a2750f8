"""Normalise features by the recordings at hand: of a speaker, data set or subject, as a training did."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eavctl.errors import DataError, SettingsError
from eavctl.features.bands import COLUMNS
from eavctl.features.normalize import (
    LEAST_OF_DATASET,
    LEAST_OF_SUBJECT,
    Normalization,
    normalization_of,
)
from eavctl.predicting.segments import DescribedRecording, features_of
from eavctl.storage.metadata import FeatureMeta


class By(NamedTuple):
    """What a group of recordings shares, the keys that identify it, and how many of what it needs."""

    noun: str
    keys: tuple[str, ...]
    least: int
    counted: str = "recordings"


SPEAKER = By("speaker", ("dataset", "subject"), 4)  # fewer say more about the text than about the voice
DATASET = By("data set", ("dataset",), LEAST_OF_DATASET)
SUBJECT = By("subject", ("dataset", "subject"), LEAST_OF_SUBJECT, "segments or epochs")
NORMALIZATIONS = {"speaker": SPEAKER, "dataset": DATASET, "subject": SUBJECT}


def normalized(
    recordings: Sequence[DescribedRecording], normalize: str, meta: FeatureMeta, model: str | os.PathLike[str]
) -> list[DescribedRecording]:
    """Normalise the features of each speaker, data set or subject by its own recordings.

    Parameters
    ----------
    recordings : for a model of one stream.
    normalize : ``"speaker"``, ``"dataset"`` or ``"subject"``, as the training did.
    meta, model : of the features that the model was trained on; and its file, for errors.

    Raises
    ------
    DataError : fewer than four recordings of a speaker, 20 of a data set, or 10 segments of a subject.
    SettingsError : the training normalised otherwise than this eavctl does.
    """
    by = NORMALIZATIONS[normalize]
    why = f"{model} was trained with --normalize {normalize} and"
    advice = "use a model trained without it"
    if by is SUBJECT:
        advice = f"cut recordings by --segment, or {advice}"
    x, groups = rows_of(recordings, groups_of(recordings, by, why, advice))
    if not len(x):
        return [*recordings]
    return with_rows(recordings, _normalization(meta, normalize, model)(x, groups))


def rows_of(recordings: Sequence[DescribedRecording], groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The features of all segments, (n_rows, *shape), and the number of each one's group, (n_rows,)."""
    segments = [segment for recording in recordings for segment in recording.segments]
    of_row = np.repeat(groups, [len(each.segments) for each in recordings])
    return features_of(segments) if segments else np.empty((0, 0), np.float32), of_row


def with_rows(recordings: Sequence[DescribedRecording], x: np.ndarray) -> list[DescribedRecording]:
    """The recordings with other features, in the order of `rows_of`."""
    rows = iter(x)
    return [
        each._replace(segments=tuple(segment._replace(inputs=(next(rows),)) for segment in each.segments))
        for each in recordings
    ]


def groups_of(recordings: Sequence[DescribedRecording], by: By, why: str, advice: str) -> np.ndarray:
    """A number for the group of each recording, int, shape (n_recordings,); those of unknown group are one.

    Parameters
    ----------
    by : what a group shares.
    why, advice : for the error, who needs so many recordings, and what to do besides giving more.

    Raises
    ------
    DataError : too few usable recordings of a group.
    """
    named = [tuple(each.keys.get(key, "") for key in by.keys) for each in recordings]
    numbers = {group: i for i, group in enumerate(dict.fromkeys(named))}
    clips: dict[tuple[str, ...], dict[str, int]] = {}
    for group, each in zip(named, recordings, strict=True):
        if each.segments:
            clips.setdefault(group, {})[each.keys["sample_id"]] = len(each.segments)
    for group, mine in clips.items():
        n = len(mine) if by.counted == "recordings" else sum(mine.values())
        if n < by.least:
            raise DataError(
                f"{why} needs {by.least} or more {by.counted} of a {by.noun};\n"
                f"{group[-1] or 'this call'} has {n}. Give more, or {advice}."
            )
    return np.array([numbers[group] for group in named], int)


def _normalization(meta: FeatureMeta, normalize: str, model: str | os.PathLike[str]) -> Normalization:
    """What the training did to its rows, if this eavctl does the same."""
    found = normalization_of(meta.features, normalize, meta.settings)
    if (meta.normalized or COLUMNS._asdict()) != found.meta:
        raise SettingsError(
            f"{model} was trained with --normalize by another version of eavctl, which normalised "
            f"{meta.features!r} differently; train it again"
        )
    return found
