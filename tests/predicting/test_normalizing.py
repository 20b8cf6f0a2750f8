"""Which recordings are of one speaker, where features are standardised by speaker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eavctl.errors import DataError
from eavctl.predicting.normalizing import SPEAKER, groups_of
from eavctl.predicting.segments import DescribedRecording, Segment


def clip(name: str, keys: dict[str, Any]) -> DescribedRecording:
    return DescribedRecording(name, keys, (Segment(0.0, 1.0, ()),))


def test_namesakes_of_two_data_sets_are_two_speakers() -> None:
    def clips(n: int) -> list[DescribedRecording]:
        return [
            clip(f"{d}{i}", {"dataset": d, "subject": "1", "sample_id": f"{d}{i}"})
            for d in ("one", "two")
            for i in range(n)
        ]

    found = groups_of(clips(4), SPEAKER, "m.joblib", "")
    assert len(np.unique(found)) == 2
    with pytest.raises(DataError, match="1 has 3"):
        groups_of(clips(3), SPEAKER, "m.joblib", "")


def test_parts_of_one_file_are_several_recordings_of_a_speaker() -> None:
    parts = [clip("talk.wav", {"subject": "1", "sample_id": f"talk:{i}"}) for i in range(4)]
    assert set(groups_of(parts, SPEAKER, "m.joblib", "")) == {0}


def test_recordings_that_cannot_be_used_do_not_count() -> None:
    parts = [clip("talk.wav", {"subject": "1", "sample_id": f"talk:{i}"}) for i in range(4)]
    with pytest.raises(DataError, match="1 has 3"):
        groups_of([*parts[:3], parts[3]._replace(segments=())], SPEAKER, "m.joblib", "")
