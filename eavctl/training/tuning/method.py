"""What can be tuned: a classifier's default fitter, the settings that it has, and where to look for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, get_type_hints

from eavctl.classifiers import svm_cost
from eavctl.settings import Within
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import TableFacts
from eavctl.training.svm_fitter import SvmFitter, SvmSettings
from eavctl.training.train import TableFitter
from eavctl.training.tuning.ranges import Real, Space


@dataclass(frozen=True)
class Method:
    """A classifier whose settings are tuned.

    Parameters
    ----------
    name : of the classifier, such as ``svm`` or ``cnn-lstm``.
    default : fits it with the settings that it has without tuning.
    settings : the settings that can be tuned, each with its annotation (see `eavctl.settings.checked`).
    space : the ranges that are searched unless others are asked for.
    with_values : the fitter with some settings changed.
    epochs : most epochs of a fit by default; 0 for classifiers without epochs.
    facts : what outputs say of the features, with some settings changed.
    seconds : what a fit of a trial takes at least, on a number of rows with a number of columns; None where
        that is not known.
    """

    name: str
    default: TableFitter
    settings: Mapping[str, Any]
    space: Space
    with_values: Callable[[Mapping[str, Any]], TableFitter]
    epochs: int = 0
    facts: Callable[[Mapping[str, Any], TableFacts], TableFacts] = lambda values, facts: facts
    seconds: Callable[[int, int], float] | None = None


def svm_method(fitter: SvmFitter) -> Method:
    """The support vector machine: C, gamma, and the shrinkage of its within-class normalisation."""
    return Method(
        fitter.name,
        fitter,
        get_type_hints(SvmSettings, include_extras=True),
        {
            "C": Real(0.1, 100, log=True),
            "gamma": Real(0.005, 2, log=True),
            "shrinkage": Real(0.3, 30, log=True),
        },
        lambda values: replace(fitter, settings=replace(fitter.settings, **values)),
        seconds=svm_cost.least_seconds,
    )


def linear_method(fitter: LinearFitter) -> Method:
    """The logistic regression: its penalty."""
    return Method(
        fitter.name,
        fitter,
        {"penalty": Annotated[float, Within(1e-12, 1e6)] | None, "centred": bool},
        {"penalty": Real(1e-5, 0.1, log=True)},
        lambda values: replace(fitter, **values),
    )
