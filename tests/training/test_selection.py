"""Rows by values of their keys."""

from __future__ import annotations

import pandas as pd
import pytest

from eavctl.errors import DataError, UsageError
from eavctl.storage.tables import key_frame
from eavctl.training.selection import Selection

KEYS = key_frame(
    pd.DataFrame(
        {
            "sample_id": list("abcde"),
            "dataset": ["one", "one", "two", "two", None],
            "subject": ["1", "2", "1", "2", "3"],
            "fold": [0, 1, 0, 1, None],
        }
    )
)


@pytest.mark.parametrize(
    ("where", "without", "taken"),
    [
        ({}, {}, [0, 1, 2, 3, 4]),
        ({"dataset": ["one"]}, {}, [0, 1]),
        ({"dataset": ["one", "two"]}, {"subject": ["2"]}, [0, 2]),
        ({}, {"dataset": ["one"]}, [2, 3, 4]),
        ({"fold": ["1"]}, {}, [1, 3]),
        ({"subject": ["1", "3"]}, {"dataset": ["two"]}, [0, 4]),
    ],
)
def test_values_of_a_key_are_alternatives_and_keys_hold_together(where, without, taken):
    assert Selection(where, without).rows(KEYS).tolist() == taken


def test_what_cannot_be_meant_is_named():
    with pytest.raises(UsageError, match="unknown key 'person'"):
        Selection({"person": ["1"]})
    with pytest.raises(UsageError, match="did you mean two"):
        Selection({}, {"dataset": ["twoo"]}).rows(KEYS)
    with pytest.raises(DataError, match="no row"):
        Selection({"dataset": ["one"]}, {"subject": ["1", "2"]}).rows(KEYS)


def test_the_order_of_values_makes_no_other_selection():
    assert Selection({"subject": ["1", "2"]}).describe() == Selection({"subject": ["2", "1"]}).describe()
    assert not Selection()
    assert Selection({}, {"subject": ["1"]})
