"""Checks of the values of settings against the annotations of the function or class that has them.

An annotation is the full specification of a value: ``Annotated[int, Within(1, 512)]``,
``Literal["face", "frame"]``, ``Sequence[str] | None``. A value that does not fit is a `UsageError` before
anything is computed.
"""

from __future__ import annotations

import json
import math
import reprlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from eavctl.errors import UsageError


class Within(NamedTuple):
    """Inclusive bounds of a number, for ``Annotated``."""

    least: float
    most: float

    @property
    def words(self) -> str:
        """The bounds as text that follows the name of the type."""
        least, most = (f"{each:.10g}" for each in (self.least, self.most))
        return f" from {least} to {most}"


Share = Annotated[float, Within(0, 0.9)]  # such as a dropout rate
MOST_SEED = 2**32 - 1  # largest seed of numpy and scikit-learn


class _MisfitError(Exception):
    """The value does not fit the annotation."""


def checked(owner: str, name: str, value: Any, annotation: Any) -> Any:
    """Check the value of a setting and convert it to its type.

    Text for a list is split at commas: ``C3,C4`` becomes ``["C3", "C4"]``, and so does ``[C3,C4]``. A number
    becomes a list of one. Whole numbers become int, so that 40.0 and 40 are the same setting.

    Parameters
    ----------
    owner, name : owner and name of the setting, for the error.
    value : the value to check.
    annotation : plain types, ``None``, ``Literal``, sequences, mappings by name and unions of them, and
        ``Annotated`` with `Within`; ``Any`` accepts every value.

    Raises
    ------
    UsageError : wrong type, empty text or list, not finite, or out of bounds.
    """
    try:
        return _fitted(value, annotation)
    except _MisfitError:
        shown = reprlib.repr(value)
        raise UsageError(f"{owner}: {name} must be {words(annotation)}, not {shown}") from None


def _fitted(value: Any, annotation: Any) -> Any:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(_fitted(value, parts[0]), parts[1:])
    if origin in (Union, types.UnionType):
        return _first_fit(value, parts)
    if origin is Literal:
        return _require(value, isinstance(value, str) and value in parts)
    if origin in (Sequence, list, tuple):
        return _list(value, parts)
    if origin is Mapping:
        _require(value, isinstance(value, Mapping) and len(value) > 0)
        return {_fitted(name, parts[0]): _fitted(each, parts[1]) for name, each in value.items()}
    fit = _PLAIN.get(annotation)
    return fit(value) if fit else value


def _require(value: Any, is_fit: bool) -> Any:
    if not is_fit:
        raise _MisfitError
    return value


def _bounded(value: Any, facts: Sequence[Any]) -> Any:
    bounds = [fact for fact in facts if isinstance(fact, Within)]
    return _require(value, all(each.least <= value <= each.most for each in bounds))


def _first_fit(value: Any, annotations: Sequence[Any]) -> Any:
    for annotation in annotations:
        try:
            return _fitted(value, annotation)
        except _MisfitError:
            continue
    raise _MisfitError


def _list(value: Any, parts: Sequence[Any]) -> list[Any]:
    """A list that is not empty, of fixed length if the annotation is a tuple of fixed length."""
    is_fixed = len(parts) > 1 and parts[-1] is not Ellipsis
    if isinstance(value, str):
        texts = value.removeprefix("[").removesuffix("]").split(",")
        value = [_item(text.strip(), parts[0]) for text in texts]
    if isinstance(value, int | float) and not is_fixed:
        value = [value]
    _require(value, isinstance(value, list | tuple) and len(value) > 0)
    _require(value, not is_fixed or len(value) == len(parts))
    return [_fitted(each, parts[i if is_fixed else 0]) for i, each in enumerate(value)]


def _item(text: str, annotation: Any) -> Any:
    """One item of a comma-separated list, parsed as JSON unless the annotation is str."""
    try:
        return text if annotation is str else json.loads(text)
    except ValueError:
        return text


def _float(value: Any) -> float:
    """A finite number; whole numbers as int, so that 40 and 40.0 give the same hash of settings."""
    _require(value, isinstance(value, int | float) and not isinstance(value, bool))
    try:
        _require(value, math.isfinite(value))
    except OverflowError:  # an integer too large for a float
        raise _MisfitError from None
    return int(value) if float(value).is_integer() else value


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    bool: lambda value: _require(value, isinstance(value, bool)),
    int: lambda value: _require(value, isinstance(value, int) and not isinstance(value, bool)),
    float: _float,
    str: lambda value: _require(value, isinstance(value, str) and value != ""),
    type(None): lambda value: _require(value, value is None),
}
ANYTHING = ("any value", "values")
_NAMES: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    type(None): ("null", "null"),
}


def words(annotation: Any, *, plural: bool = False) -> str:
    """The values that an annotation allows, as text, such as ``a whole number from 1 to 512``."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = "".join(fact.words for fact in parts[1:] if isinstance(fact, Within))
        return f"{words(parts[0], plural=plural)}{bounds}"
    if origin in (Union, types.UnionType):
        return " or ".join(words(part) for part in parts)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (Sequence, list, tuple):
        is_fixed = len(parts) > 1 and parts[-1] is not Ellipsis
        of = f"{f'{len(parts)} ' if is_fixed else ''}{words(parts[0], plural=True)}"
        return f"{'lists' if plural else 'a list'} of {of}"
    if origin is Mapping:
        return f"{words(parts[1], plural=True)} by name"
    return _NAMES.get(annotation, ANYTHING)[plural]
