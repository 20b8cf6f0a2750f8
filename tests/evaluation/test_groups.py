"""What belongs together: clips, trials, and rows that overlap in one recording."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.evaluation.groups import (
    epochs_share_recordings,
    identify,
    identity_numbers,
    n_identities,
    overlaps,
    unit_numbers,
    units,
)
from eavctl.storage.tables import key_frame


def rows(*spans: tuple[str, float | None, float | None], **columns: list[object]) -> pd.DataFrame:
    """A row for each (recording, start, end), each a clip of its own."""
    names = [f"c{i:03d}" for i in range(len(spans))]
    recordings, starts, ends = zip(*spans, strict=True)
    frame = {"sample_id": names, "clip_id": names, "recording": recordings, "start": starts, "end": ends}
    return key_frame(pd.DataFrame(frame | columns))


def partition(names: np.ndarray) -> list[list[int]]:
    return sorted(np.flatnonzero(names == name).tolist() for name in set(names))


def brute_force(keys: pd.DataFrame) -> list[list[int]]:
    """Merge rows pair by pair until no two groups have two rows that overlap."""
    groups = [{i} for i in range(len(keys))]

    def bound(a: int, b: int) -> bool:
        one, other = keys.iloc[a], keys.iloc[b]
        if one["clip_id"] == other["clip_id"]:
            return True
        shared = set(one["recording"].split("+")) & set(other["recording"].split("+"))
        return bool(shared) and one["start"] < other["end"] - 1e-6 and other["start"] < one["end"] - 1e-6

    while True:
        pair = next(
            ((a, b) for a, b in itertools.combinations(groups, 2) if any(bound(i, j) for i in a for j in b)),
            None,
        )
        if pair is None:
            return sorted(sorted(group) for group in groups)
        groups.remove(pair[1])
        pair[0].update(pair[1])


span = st.tuples(
    st.sampled_from(["r", "s", "r+t", "t+s"]), st.integers(0, 12), st.integers(1, 4), st.integers(0, 4)
)


@given(st.lists(span, min_size=1, max_size=14))
@settings(max_examples=120, deadline=None)
def test_units_are_what_merging_pair_by_pair_comes_to(spans: list[tuple[str, int, int, int]]) -> None:
    keys = rows(
        *((name, float(start), float(start + length)) for name, start, length, _ in spans),
        clip_id=[f"{clip}-{i}" if clip else "shared" for i, (*_, clip) in enumerate(spans)],
    )
    assert partition(units(keys)) == brute_force(keys)


odd_name = st.sampled_from([None, "", "1", "a", "a+b"])


@given(st.lists(st.tuples(odd_name, odd_name, odd_name, odd_name), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_numbers_stand_for_the_identities(values: list[tuple[str | None, ...]]) -> None:
    keys = pd.DataFrame(values, columns=["dataset", "subject", "trial", "recording"], dtype=object)
    keys = keys.assign(clip_id=[f"c{number}" for number in range(len(keys))])
    for name in ("dataset", "subject", "trial", "recording", "clip_id", "session"):
        identities, numbers = identify(keys, name), identity_numbers(keys, name)
        assert [each is None for each in identities] == (numbers < 0).tolist()
        pairs = set(zip(identities, numbers.tolist(), strict=True)) - {(None, -1)}
        assert (
            len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs) == n_identities(keys, name)
        )
    assert partition(units(keys)) == partition(unit_numbers(keys))


def test_rows_that_only_touch_or_are_of_other_recordings_stay_apart() -> None:
    keys = rows(("r", 0.0, 4.0), ("r", 4.0, 8.0), ("s", 2.0, 6.0), ("r", 7.9, 9.0))
    assert partition(units(keys)) == [[0], [1, 3], [2]]


def test_a_row_without_times_is_all_of_its_recording() -> None:
    assert partition(units(rows(("r", 0.0, 1.0), ("r", None, None), ("s", 0.0, 1.0)))) == [[0, 1], [2]]


def test_without_recordings_the_clip_stands_for_them() -> None:
    keys = rows((None, 0.0, 4.0), (None, 1.0, 5.0), clip_id=["a", "b"])
    assert partition(units(keys)) == [[0], [1]]
    assert len(set(overlaps(keys.assign(clip_id="a"))[1])) == 1


def test_trials_of_a_person_are_one_unit() -> None:
    keys = rows(("r", 0.0, 1.0), ("s", 0.0, 1.0), ("t", 0.0, 1.0), subject=["p", "p", "q"], trial=["1"] * 3)
    assert partition(units(keys)) == [[0, 1], [2]]


def test_names_do_not_depend_on_the_order_of_the_rows() -> None:
    keys = rows(("r", 0.0, 4.0), ("s", 0.0, 1.0), ("r", 2.0, 8.0), ("r", 7.0, 9.0))
    order = [3, 1, 0, 2]
    shuffled = keys.iloc[order].reset_index(drop=True)
    assert units(shuffled).tolist() == units(keys)[order].tolist()


def test_rows_of_several_modalities_share_a_recording_by_any_file() -> None:
    keys = rows(("eeg+wav1", 0.0, 1.0), ("eeg+wav2", 5.0, 6.0), ("wav3", 0.0, 1.0))
    assert partition(identify(keys, "recording")) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("spans", "clips", "share"),
    [
        ([("r", 0.0, 4.0), ("r", 5.0, 9.0)], ["a", "b"], True),
        ([("r", 0.0, 4.0), ("s", 5.0, 9.0)], ["a", "b"], False),
        ([("r", 0.0, 4.0), ("r", 5.0, 9.0)], ["a", "a"], False),  # segments of one clip
        ([("r", 0.0, 4.0), ("r", 0.0, 4.0)], ["a", "copy of a"], False),
        ([("r#1", 0.0, 4.0), ("r#2", 0.0, 4.0)], ["a", "b"], False),  # trials in a file of many
    ],
)
def test_epochs_are_told_from_segments_copies_and_trials(
    spans: list[tuple[str, float, float]], clips: list[str], share: bool
) -> None:
    assert epochs_share_recordings(rows(*spans, clip_id=clips)) is share
