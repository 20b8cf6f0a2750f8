"""Chains of augmentations, by their names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor

from eavctl import registry
from eavctl.augmentations.kind import Kind
from eavctl.errors import UsageError

NONE, DEFAULT = "none", "default"
NEEDS = {"decibels": "levels in dB", "sfreq": "a sampling rate"}  # by the field of `Kind` that has it


@dataclass(frozen=True)
class Step:
    """One augmentation with all its settings."""

    name: str
    augmentation: Callable[..., Tensor]
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        """The step as `pipeline` takes it."""
        return ":".join([self.name, *(f"{key}={json.dumps(value)}" for key, value in self.settings.items())])


@dataclass(frozen=True)
class Pipeline:
    """Augmentations one after another; each row draws its own random numbers.

    Parameters
    ----------
    kind : of the rows; None where there are no steps.
    steps : in the order in which they are applied.
    """

    kind: Kind | None
    steps: tuple[Step, ...]

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        x : shape (batch, *shape); pictures as bytes or floats from 0 to 255.
        generator : random generator on the device of ``x``.

        Returns
        -------
        float32, shape (batch, *shape); ``x`` itself where there are no steps.
        """
        if self.kind is None or not self.steps:
            return x
        found = self.kind.unpacked(x)
        for step in self.steps:
            found = step.augmentation(found, generator, self.kind, **step.settings)
        return self.kind.packed(found, x.shape[1:])

    def describe(self) -> list[str]:
        """The steps with all their settings, as `pipeline` takes them; ``["none"]`` without steps."""
        return [str(step) for step in self.steps] or [NONE]


def pipeline(kind: Kind | None, names: Sequence[str] = ()) -> Pipeline:
    """Chain augmentations in the order in which they are registered.

    Parameters
    ----------
    kind : of the rows; None of rows that only ``none`` is known for.
    names : such as ``jitter``, ``jitter:0.2`` (its first setting), or ``jitter:strength=0.2:p=1``; or
        ``default``, the default augmentations of the kind, which no names mean, too. A repeated name has the
        last settings. ``none`` alone gives no augmentation.

    Raises
    ------
    UsageError : an unknown augmentation or setting, or one of another kind of rows.
    """
    if list(names) == [NONE]:
        return Pipeline(kind, ())
    if kind is None:
        raise UsageError(
            "these features have no augmentations to choose from; only tensors of pictures, spectrograms and "
            "EEG have"
        )
    steps: dict[str, Step] = {}
    for text in names or (DEFAULT,):
        added = _defaults(kind) if text == DEFAULT else [_step(kind, text)]
        steps |= {step.name: step for step in added}
    return Pipeline(kind, tuple(sorted(steps.values(), key=lambda step: _facts(step.name)["order"])))


def known(kind: Kind) -> list[str]:
    """Names of the augmentations that a kind of rows has, in order."""
    fitting = [name for name in registry.names("augmentations") if not _misfit(kind, name)]
    return sorted(fitting, key=lambda name: _facts(name)["order"])


def _defaults(kind: Kind) -> list[Step]:
    return [_step(kind, name) for name in known(kind) if _facts(name)["default"]]


def _step(kind: Kind, text: str) -> Step:
    """The step that a text names, with its settings."""
    name, *parts = (part.strip() for part in text.split(":"))
    if name == NONE:
        raise UsageError("'none' stands alone: name it, or augmentations")
    entry = registry.get("augmentations", name)
    if misfit := _misfit(kind, name):
        raise UsageError(f"augmentation {name!r} {misfit}; these rows have {', '.join(known(kind))}")
    given = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            key, value = next(iter(entry.settings)), part
        given[key.strip()] = _number(text, value)
    return Step(name, entry.thing, entry.with_defaults(given))


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"{text!r}: {value!r} is not a number; write NAME:VALUE or NAME:KEY=VALUE") from None


def _misfit(kind: Kind, name: str) -> str:
    """Why an augmentation does not apply to a kind of rows; empty where it does."""
    facts = _facts(name)
    if kind.name not in facts["of"]:
        return f"is for {' and '.join(facts['of'])}, not for {kind.name}"
    needs = facts.get("needs")
    if needs and getattr(kind, needs) is None:
        return f"needs {NEEDS[needs]}, which these rows have not"
    return ""


def _facts(name: str) -> dict[str, Any]:
    return registry.get("augmentations", name).facts
