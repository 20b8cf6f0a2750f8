"""Standardise features by the recordings at hand: of a speaker or a data set, as a training did."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eavctl.errors import DataError, SettingsError
from eavctl.features.normalize import COLUMNS, LEAST_OF_DATASET, Bands, bands_of, standardize_by_group
from eavctl.predicting.segments import DescribedRecording, features_of
from eavctl.storage.metadata import FeatureMeta


class By(NamedTuple):
    """What a group of recordings shares, the keys that identify it, and how many it needs."""

    noun: str
    keys: tuple[str, ...]
    least: int


SPEAKER = By("speaker", ("dataset", "subject"), 4)  # fewer say more about the text than about the voice
DATASET = By("data set", ("dataset",), LEAST_OF_DATASET)
NORMALIZATIONS = {"speaker": SPEAKER, "dataset": DATASET}


def standardized(
    recordings: Sequence[DescribedRecording], normalize: str, meta: FeatureMeta, model: str | os.PathLike[str]
) -> list[DescribedRecording]:
    """Bring the features of each speaker, or data set, to mean 0 and standard deviation 1.

    Parameters
    ----------
    recordings : for a model of one stream.
    normalize : ``"speaker"`` or ``"dataset"``, as the training did.
    meta, model : of the features that the model was trained on; and its file, for errors.

    Raises
    ------
    DataError : fewer than four recordings of a speaker, or 20 of a data set.
    SettingsError : the training standardised other bands than this eavctl does.
    """
    by = NORMALIZATIONS[normalize]
    why = f"{model} was trained with --normalize {normalize} and"
    advice = "use a model trained without it"
    x, groups = rows_of(recordings, groups_of(recordings, by, why, advice))
    if not len(x):
        return [*recordings]
    return with_rows(recordings, standardize_by_group(x, groups, _bands(meta, model)))


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
    clips: dict[tuple[str, ...], set[str]] = {}
    for group, each in zip(named, recordings, strict=True):
        if each.segments:
            clips.setdefault(group, set()).add(each.keys["sample_id"])
    for group, mine in clips.items():
        if len(mine) < by.least:
            raise DataError(
                f"{why} needs {by.least} or more recordings of a {by.noun};\n"
                f"{group[-1] or 'this call'} has {len(mine)}. Give more, or {advice}."
            )
    return np.array([numbers[group] for group in named], int)


def _bands(meta: FeatureMeta, model: str | os.PathLike[str]) -> Bands:
    """The bands that the training standardised, if this eavctl has the same."""
    bands = bands_of(meta.features)
    if (meta.normalized or COLUMNS._asdict()) != bands._asdict():
        raise SettingsError(
            f"{model} was trained with --normalize by another version of eavctl, which standardised "
            f"{meta.features!r} differently; train it again"
        )
    return bands
