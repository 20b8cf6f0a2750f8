from __future__ import annotations

import json

import pandas as pd
import pytest

from eavctl.evaluation import trained_on as module
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


@pytest.mark.parametrize("lacking", [(), ("dataset",), ("subject",), ("recording",), ("clip_id", "dataset")])
def test_the_columns_of_a_table_tell_what_its_rows_tell(lacking: tuple[str, ...]) -> None:
    keys = pd.concat([KEYS, KEYS]).drop(columns=[*lacking])
    rows = (
        {name: value for name, value in row.items() if not pd.isna(value)} for row in keys.to_dict("records")
    )
    assert TrainedOn.of_keys(keys) == TrainedOn.of_rows(rows)


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


def test_too_many_names_leave_a_count_and_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    trained = TrainedOn.of_keys(KEYS)  # of two people, three clips and three recordings
    meta = json.loads(json.dumps(trained.to_meta()))
    found = TrainedOn.from_meta(meta)
    assert found.subjects == trained.subjects
    assert not found.clips
    assert not found.recordings
    assert [found.count(kind) for kind in ("subjects", "clips")] == [{"one": 2}, {"one": 2, "": 1}]
    assert found.doubt
    assert not trained.doubt
    other = KEYS.assign(clip_id=["a", "b", "d"])
    assert TrainedOn.of_keys(other).to_meta()["clips"][""]["hash"] != meta["clips"][""]["hash"]
    assert TrainedOn.of_keys(other).to_meta()["clips"]["one"] == meta["clips"]["one"]
    assert (found | trained).unnamed == found.unnamed


def test_the_same_is_collected_from_a_table_and_from_its_rows() -> None:
    rows = KEYS.astype(object).where(KEYS.notna(), None).to_dict("records")
    assert TrainedOn.of_keys(KEYS) == TrainedOn.of_rows(rows)
