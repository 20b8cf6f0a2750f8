"""What is read from docstrings: sentences, parameters, references between them."""

from __future__ import annotations

from typing import Any

import pytest

from eavctl import docstrings


def base_of(signal: Any, *, rate: float, low: float) -> None:
    """Prepare a signal.

    Parameters
    ----------
    signal : microvolt.
    rate : to resample to, Hz.
    low : edge of the band, Hz;
        below ``rate / 2``.
    """


def feature(signal: Any, *, rate: float, low: float, size: int, kind: str) -> None:
    """Mean of `signal` over time [1]_, [2]_. A second sentence, which
    goes on.

    More.

    Parameters
    ----------
    signal : shape (n_times,).
    rate, low : settings of `base_of`; the band must be wide.
    size, kind : of the result [1]_: 3 x 3.
        At ``size`` 4 it is larger.

    Returns
    -------
    float32, shape (3,), e.g. 1e-4 of the maximum. Nothing else.

    References
    ----------
    .. [1] Anon: rate : not a parameter.
    """


class Base:
    """A base.

    Parameters
    ----------
    width : of the base.
    depth : of the base, too.
    """


class Derived(Base):
    """A class; after [1]_.

    Parameters
    ----------
    depth : see `Base`.
    loop : see `Derived`.
    lost : see `Nowhere`.
    """


def test_the_first_sentence_has_no_markup_and_no_citations():
    assert docstrings.first_sentence(feature) == "Mean of signal over time."
    assert docstrings.first_sentence(Derived) == "A class."


def test_parameters_are_those_of_their_section_and_follow_references():
    assert docstrings.parameters(feature) == {
        "signal": "shape (n_times,).",
        "rate": "to resample to, Hz; the band must be wide.",
        "low": "edge of the band, Hz; below rate / 2; the band must be wide.",
        "size": "of the result: 3 x 3. At size 4 it is larger.",
        "kind": "of the result: 3 x 3. At size 4 it is larger.",
    }


def test_parameters_that_a_class_does_not_describe_are_those_of_its_bases():
    assert docstrings.parameters(Derived) == {
        "depth": "of the base, too.",
        "loop": "see Derived.",
        "lost": "see Nowhere.",
        "width": "of the base.",
    }


def test_the_result_is_its_first_sentence():
    assert docstrings.result(feature) == "float32, shape (3,), e.g. 1e-4 of the maximum."
    assert docstrings.result(base_of) == ""


@pytest.mark.parametrize("doc", [None, "", "One line", "Parameters\n----------", "x\n---\n---\n---\n", " : "])
def test_any_docstring_is_read(doc: str | None):
    def thing() -> None: ...

    thing.__doc__ = doc
    assert isinstance(docstrings.first_sentence(thing), str)
    assert docstrings.parameters(thing) == {}
    assert docstrings.result(thing) == ""
