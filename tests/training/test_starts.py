"""Which test rows a model to start from was trained on, by data set and content."""

from __future__ import annotations

import pandas as pd
import pytest

from eavctl.evaluation.trained_on import TrainedOn
from eavctl.storage.artifacts import StoredModel
from eavctl.storage.tables import key_frame
from eavctl.training.fusion_fitter import Start


def keys(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Rows of (data set, subject, clip, recording)."""
    frame = pd.DataFrame(rows, columns=["dataset", "subject", "clip_id", "recording"])
    return key_frame(frame.assign(sample_id=frame["clip_id"]))


TRAINED = keys(("one", "1", "a", "fa"), ("one", "2", "b", "fb"))


def start() -> Start:
    return Start("m.pt", StoredModel(None, TrainedOn.of_keys(TRAINED).to_meta()), ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tested", "is_clear"),
    [
        (("two", "1", "a", "fx"), True),  # names of another data set
        (("one", "1", "c", "fx"), False),  # its own person
        (("one", "3", "a", "fx"), False),  # its own clip
        (("two", "9", "z", "fb"), False),  # its own recording, under another name
        (("one", "3", "c", "fx"), True),
    ],
)
def test_a_start_is_clear_of_people_and_recordings_and_not_of_their_names(
    tested: tuple[str, str, str, str], is_clear: bool
) -> None:
    others = keys(("two", "5", "e", "fe"))
    assert (start().clear_of(keys(tested), others, shares=False) is not None) is is_clear


def test_what_the_split_itself_shares_is_not_the_starts_doing() -> None:
    """Epochs of one run on both sides, where the protocol divides it."""
    tested, mine = keys(("one", "1", "run@9", "fa")), keys(("one", "1", "run@5", "fa"))
    assert start().clear_of(tested, mine, shares=True) is not None
    assert start().clear_of(tested, keys(("one", "1", "other", "fz")), shares=True) is None
