"""The ranges that a tuning searches: the method's own, with those of ``--space`` in their place."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

from eavctl.errors import UsageError
from eavctl.settings import Within, checked
from eavctl.training.tuning.ranges import Choice, Fixed, Range, Real, Space, Whole

BETWEEN = re.compile(r"(log:)?([-+.0-9eE]+?)\.\.([-+.0-9eE]+)")
EDGE = 0.02  # of the range, at each of its ends


def searched(default: Space, given: Iterable[str], settings: Mapping[str, Any]) -> dict[str, Range]:
    """The default ranges, with those that are given.

    Parameters
    ----------
    default : ranges of the method.
    given : texts ``NAME=RANGE``: ``lr=log:1e-5..1e-3``, ``dropout=0.1..0.5``, ``units=8..64`` (whole numbers
        for a setting that takes them), ``batch=8,16,32`` (one of these), ``epochs=10`` (fixed). Values are
        JSON or, failing that, texts.
    settings : annotation of each setting that can be given (see `eavctl.settings.checked`).

    Raises
    ------
    UsageError : no ``NAME=RANGE``, a name that is not among the settings or is given twice, or a range with
        values that the setting does not take.
    """
    space = dict(default)
    names = set()
    for text in given:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not (name and equals and values):
            raise UsageError(
                f"--space takes NAME=RANGE, such as lr=log:1e-5..1e-3 or batch=8,16,32, not {text!r}"
            )
        if name in names:
            raise UsageError(f"--space gives {name} two ranges: leave one out")
        names.add(name)
        space[name] = _range(name, values, _annotation(name, settings))
    if all(isinstance(each, Fixed) for each in space.values()):
        raise UsageError("--space fixes every setting, and nothing is left to tune")
    return space


def edge_of(name: str, each: Range, value: Any, settings: Mapping[str, Any]) -> float | None:
    """The end of a range that a value lies at, where the setting could go beyond it; None if at neither.

    Parameters
    ----------
    name : of the setting.
    settings : as in `searched`.
    """
    if isinstance(each, Choice | Fixed):
        return None
    position = each.position(value)
    if EDGE < position < 1 - EDGE:
        return None
    end = each.low if position <= EDGE else each.high
    return None if end in _limits(settings[name]) else end


def _annotation(name: str, settings: Mapping[str, Any]) -> Any:
    if name in settings:
        return settings[name]
    near = difflib.get_close_matches(name, settings, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"--space {name}: no such setting; known: {', '.join(sorted(settings))}.{hint}")


def _range(name: str, text: str, annotation: Any) -> Range:
    """The range that a text stands for, its values checked against the annotation of the setting."""
    between = BETWEEN.fullmatch(text)
    try:
        found = [_number(end) for end in between.groups()[1:]] if between else _values(text)
    except ValueError:
        raise UsageError(f"--space {name}: {text!r} is no range of numbers, such as 0.1..0.5") from None
    values: list[Any] = [checked("--space", name, value, annotation) for value in found]
    try:
        if between:
            low, high = values
            return (Whole if _is_whole(annotation) else Real)(low, high, log=between[1] is not None)
        return Choice(tuple(values)) if len(values) > 1 else Fixed(values[0])
    except UsageError as error:
        raise UsageError(f"--space {name}: {error}") from None


def _number(text: str) -> float:
    """A whole number as int, so that settings of whole numbers take it."""
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _values(text: str) -> list[Any]:
    """Values between commas: ``8,16``, ``face,frame``, ``[16,32],[32,64]``."""
    try:
        found: list[Any] = json.loads(f"[{text}]")
        return found
    except (ValueError, RecursionError):
        return [_value(part.strip()) for part in text.split(",")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_whole(annotation: Any) -> bool:
    """Whether a setting takes whole numbers, and no others."""
    kinds = _plain(annotation)
    return int in kinds and float not in kinds


def _plain(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _plain(parts[0])
    return set().union(*map(_plain, parts)) if parts else {annotation}


def _limits(annotation: Any) -> set[float]:
    """The bounds of an annotation's numbers."""
    own = [fact for fact in getattr(annotation, "__metadata__", ()) if isinstance(fact, Within)]
    inner = [_limits(part) for part in get_args(annotation)]
    return {limit for fact in own for limit in fact}.union(*inner)
