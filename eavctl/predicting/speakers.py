"""Standardise features by speaker, for models trained so: all recordings of a speaker are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from eavctl.errors import DataError, SettingsError
from eavctl.features.normalize import COLUMNS, Bands, bands_of, standardize_by_group
from eavctl.predicting.segments import DescribedRecording, features_of
from eavctl.storage.metadata import FeatureMeta

MIN_SPEAKER_CLIPS = 4  # fewer say more about the text than about the voice


def standardized(
    recordings: Sequence[DescribedRecording], meta: FeatureMeta, model: str | os.PathLike[str]
) -> list[DescribedRecording]:
    """Bring each speaker's features to mean 0 and standard deviation 1, as the training did.

    Parameters
    ----------
    recordings : for a model of one stream.
    meta, model : of the features that the model was trained on; and its file, for errors.

    Raises
    ------
    DataError : fewer than four recordings of a speaker.
    SettingsError : the training standardised other bands than this eavctl does.
    """
    segments = [segment for recording in recordings for segment in recording.segments]
    if not segments:
        return list(recordings)
    speakers = np.repeat(speakers_of(recordings, model), [len(each.segments) for each in recordings])
    rows = iter(standardize_by_group(features_of(segments), speakers, _bands(meta, model)))
    return [
        each._replace(segments=tuple(segment._replace(inputs=(next(rows),)) for segment in each.segments))
        for each in recordings
    ]


def speakers_of(recordings: Sequence[DescribedRecording], model: str | os.PathLike[str]) -> np.ndarray:
    """A number for the speaker of each recording, by data set and name; unknown speakers are one.

    Raises
    ------
    DataError : fewer than four usable recordings of a speaker.
    """
    named = [(each.keys.get("dataset", ""), each.keys.get("subject", "")) for each in recordings]
    numbers = {speaker: i for i, speaker in enumerate(dict.fromkeys(named))}
    clips: dict[tuple[str, str], set[str]] = {}
    for speaker, each in zip(named, recordings, strict=True):
        if each.segments:
            clips.setdefault(speaker, set()).add(each.keys["sample_id"])
    for speaker, mine in clips.items():
        if len(mine) < MIN_SPEAKER_CLIPS:
            raise DataError(
                f"{model} was trained with --normalize speaker and needs {MIN_SPEAKER_CLIPS} or more\n"
                f"recordings of a speaker; {speaker[1] or 'this call'} has {len(mine)}. Give more, or use a "
                "model trained without it."
            )
    return np.array([numbers[speaker] for speaker in named])


def _bands(meta: FeatureMeta, model: str | os.PathLike[str]) -> Bands:
    """The bands that the training standardised, if this eavctl has the same."""
    bands = bands_of(meta.features)
    if (meta.normalized or COLUMNS._asdict()) != bands._asdict():
        raise SettingsError(
            f"{model} was trained with --normalize speaker by another version of eavctl, which standardised "
            f"{meta.features!r} differently; train it again"
        )
    return bands
