from __future__ import annotations

import json

import pandas as pd

from eavctl.evaluation.trained_on import TrainedOn
from eavctl.storage.tables import key_frame

KEYS = key_frame(
    pd.DataFrame(
        {
            "sample_id": ["a", "b", "c"],
            "clip_id": ["a", "b", "c"],
            "dataset": ["one", "one", None],
            "subject": ["1", "2", None],
            "recording": ["f1+f2", "f3", None],
        }
    )
)


def test_what_is_kept_comes_back() -> None:
    trained = TrainedOn.of_keys(KEYS)
    assert TrainedOn.from_meta(json.loads(json.dumps(trained.to_meta()))) == trained
    assert trained.to_meta()["subjects"] == {"one": ["1", "2"]}


def test_people_and_clips_of_another_data_set_are_others() -> None:
    trained = TrainedOn.of_keys(KEYS)
    other = TrainedOn.of_rows([{"dataset": "two", "subject": "1", "clip_id": "a"}])
    assert trained.shared_subjects(other) == trained.shared_clips(other) == []
    same = TrainedOn.of_rows([{"dataset": "one", "subject": "1", "clip_id": "z"}])
    assert trained.shared_subjects(same) == ["1"]


def test_a_recording_is_known_under_any_name() -> None:
    trained = TrainedOn.of_keys(KEYS)
    moved = TrainedOn.of_rows([{"dataset": "elsewhere", "clip_id": "z", "recording": "f2+f9"}])
    assert trained.shared_recordings(moved) == {"f2"}


def test_models_of_older_versions_know_names_alone() -> None:
    trained = TrainedOn.from_meta({"subjects": ["1"], "clips": ["a"]})
    assert trained.shared_subjects(TrainedOn.of_rows([{"dataset": "any", "subject": "1"}])) == ["1"]
