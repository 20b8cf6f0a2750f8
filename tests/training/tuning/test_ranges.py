import pytest

from eavctl.errors import UsageError
from eavctl.training.tuning.ranges import Choice, Real, Whole


@pytest.mark.parametrize("make", [Real, Whole])
@pytest.mark.parametrize("bounds", [(1, 1), (2, 1), (0, 1, True), (-1, 1, True)])
def test_a_range_that_holds_nothing_is_refused(make, bounds):
    with pytest.raises(UsageError):
        make(*bounds)


def test_bounds_must_be_finite():
    with pytest.raises(UsageError):
        Real(0.0, float("inf"))
    with pytest.raises(UsageError):
        Real(float("nan"), 1.0)


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 1)])
def test_a_choice_needs_two_different_values(values):
    with pytest.raises(UsageError):
        Choice(values)


def test_position_is_measured_on_the_scale_of_the_range():
    assert Real(1e-5, 1e-3, log=True).position(1e-4) == pytest.approx(0.5)
    assert Real(0.1, 0.5).position(0.2) == pytest.approx(0.25)
    assert Whole(1, 100, log=True).position(10) == pytest.approx(0.5)


def test_as_text_they_are_written_as_for_the_option():
    assert str(Real(1e-5, 1e-3, log=True)) == "log:1e-05..0.001"
    assert str(Whole(8, 64)) == "8..64"
    assert str(Choice(("a", "b"))) == "a,b"
