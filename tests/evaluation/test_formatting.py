"""Values as text: what is long is shortened, and nothing else is."""

import pytest

from eavctl.evaluation.formatting import MOST_LISTS, shortened

PLACES = {f"E{i}": [0.0, 0.0, 0.1] for i in range(MOST_LISTS + 1)}


def test_many_lists_by_name_are_their_names():
    assert shortened(PLACES) == list(PLACES)


@pytest.mark.parametrize(
    "value", [dict(list(PLACES.items())[1:]), {**PLACES, "n": 3}, {}, list(PLACES), 3.0, None, "Cz"]
)
def test_other_values_stay(value):
    assert shortened(value) == value
