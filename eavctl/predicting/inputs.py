"""What a call judges: the recordings and the rows of feature tables that a user names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from eavctl.errors import DataError, UsageError
from eavctl.extraction.recipe import noting
from eavctl.packaged.models import PackagedModel
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.segments import DescribedRecording
from eavctl.predicting.sources import Recording, Selection, find_recordings, of_files, without_repeats
from eavctl.signals.endings import modalities_of, split_ending
from eavctl.storage import files
from eavctl.storage.ownership import PARQUET
from eavctl.storage.paths import Paths, named
from eavctl.storage.table_folders import is_table

NOT_SPEECH = "EEG, and the packaged models are for speech: train a model of EEG, and name it with --model"


class Inputs(NamedTuple):
    """What a call judges.

    Parameters
    ----------
    recordings : to be described.
    clips : of feature tables.
    notes : what is odd about the data sets.
    n_recordings : recordings, and rows of feature tables.
    """

    recordings: list[Recording]
    clips: list[DescribedRecording]
    notes: list[str]
    n_recordings: int

    def drawn_clips(self) -> Iterator[DescribedRecording]:
        """Take the clips from the list, one by one: a million with their features take much memory."""
        self.clips.reverse()
        while self.clips:
            yield self.clips.pop()


def find_inputs(
    predictor: Predictor,
    sources: Paths,
    separate: Mapping[str, str],
    selected: Selection,
    names: Iterable[str] = (),
) -> Inputs:
    """Find the recordings and read the feature tables that a call names.

    Parameters
    ----------
    sources, separate, names : as `eavctl.stages.predict.predict` takes them.
    selected : of the predictor's modalities.

    Raises
    ------
    DataError, SettingsError, UsageError : as `eavctl.stages.predict.predict`.
    """
    if "eeg" in separate and isinstance(predictor.path, PackagedModel):
        raise UsageError(f"{separate['eeg']}: {NOT_SPEECH}")
    paths = named(sources)
    tables = [path for path in paths if _is_feature_table(path)]
    with noting() as notes:
        recordings = of_files(separate, selected) if separate else []
        for path in paths:
            if path not in tables:
                recordings += find_recordings(path, selected)
    recordings = _taken_by(predictor, recordings)
    for name in names:
        recordings += of_name(predictor, name, selected, notes)
    clips = []
    if tables:
        from eavctl.datasets.choice import Choice
        from eavctl.predicting.feature_tables import read_tables

        clips = read_tables(tables, predictor.streams, predictor.path, selected.choice or Choice())
    recordings = without_repeats(recordings)
    return Inputs(recordings, clips, notes, len(recordings) + sum(len(clip.segments) for clip in clips))


def of_name(predictor: Predictor, name: str, selected: Selection, notes: list[str]) -> list[Recording]:
    """The recordings of a name in a list; where there is none, one with its fault, so that others go on.

    Parameters
    ----------
    notes : gets what is odd about a data set.
    """
    path = os.path.join(os.curdir, name) if name == files.STDIO else name  # in a list it is a file
    try:
        with noting() as noted:
            found = find_recordings(path, selected)
    except (DataError, UsageError) as error:
        fault = " ".join(str(error).removeprefix(f"{path}: ").split("\n"))
        return [Recording(name, dict.fromkeys(("sample_id", "clip_id"), split_ending(name)[0]), {}, fault)]
    notes += noted
    return _taken_by(predictor, found)


def _taken_by(predictor: Predictor, recordings: list[Recording]) -> list[Recording]:
    """The recordings as the model takes them."""
    if isinstance(predictor.path, PackagedModel):
        return [_for_speech_model(each) for each in recordings]
    return recordings


def _for_speech_model(recording: Recording) -> Recording:
    """The recording as a packaged model takes it: a file of EEG cannot be used."""
    if any("eeg" in modalities_of(str(part.file)) for part in recording.parts.values()):
        return recording._replace(parts={}, fault=NOT_SPEECH)
    return recording


def _is_feature_table(source: str) -> bool:
    if source == files.STDIO:
        return files.read_stdin().startswith(PARQUET)  # else it is a recording
    if not (source.endswith(".parquet") and files.is_file(source)) and not is_table(source):
        return False
    from eavctl.storage.tables import read_meta

    # A table of phrases is no manifest either, and is refused by name where it is read as features.
    return read_meta(source).get("kind") in ("features", "grounding")
