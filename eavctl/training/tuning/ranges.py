"""Ranges of settings: the values between which a study chooses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eavctl.errors import UsageError


def _span(low: float, high: float, log: bool) -> str:
    return f"{'log:' if log else ''}{low:g}..{high:g}"


def _check_bounds(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"range {_span(low, high, log)}: the first number must be less than the second")
    if log and low <= 0:
        raise UsageError(f"range {_span(low, high, log)}: a logarithmic range must lie above 0")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _position(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


@dataclass(frozen=True)
class Real:
    """Real numbers from ``low`` to ``high``; with ``log``, uniform in the logarithm.

    Raises
    ------
    UsageError : not finite, ``low`` not less than ``high``, or a logarithmic range that reaches 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def position(self, value: float) -> float:
        """Where a value lies: 0 at the lower bound, 1 at the upper one."""
        return _position(value, self.low, self.high, self.log)

    def __str__(self) -> str:
        return _span(self.low, self.high, self.log)


@dataclass(frozen=True)
class Whole:
    """Whole numbers from ``low`` to ``high``, both included; with ``log``, uniform in the logarithm.

    Raises
    ------
    UsageError : ``low`` not less than ``high``, or a logarithmic range that reaches 0.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def position(self, value: float) -> float:
        """Where a value lies: 0 at the lower bound, 1 at the upper one."""
        return _position(value, self.low, self.high, self.log)

    def __str__(self) -> str:
        return _span(self.low, self.high, self.log)


@dataclass(frozen=True)
class Choice:
    """One of at least two values without an order: numbers, texts, true, false, null or lists of them.

    Raises
    ------
    UsageError : fewer than two values, or one twice.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise UsageError(f"choice of {list(self.values)}: two values or more are needed")
        if any(value in self.values[:i] for i, value in enumerate(self.values)):
            raise UsageError(f"choice of {list(self.values)}: a value is there twice")

    def __str__(self) -> str:
        return ",".join(_written(value) for value in self.values)


@dataclass(frozen=True)
class Fixed:
    """One value, the same in all trials."""

    value: Any

    def __str__(self) -> str:
        return _written(self.value)


Range = Real | Whole | Choice | Fixed
Space = Mapping[str, Range]
