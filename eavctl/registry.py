"""Names to things: layouts, feature sets, encoders and fusers, each in one file with one ``@register``."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eavctl.errors import UsageError

PACKAGES = {
    "layouts": "eavctl.datasets",
    "features": "eavctl.features",
    "encoders": "eavctl.encoders",
    "fusers": "eavctl.fusion",
    "fusion networks": "eavctl.fusion.networks",  # apart: late fusion needs no torch
}

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What is registered under a name: the thing itself and the facts given with it."""

    kind: str
    name: str
    thing: Any
    facts: dict[str, Any] = field(default_factory=dict)

    def with_defaults(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The thing's keyword settings: those given, and its defaults for the rest.

        Raises
        ------
        UsageError : it has no such setting.
        """
        defaults = {
            parameter.name: parameter.default
            for parameter in inspect.signature(self.thing).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        unknown = sorted(settings.keys() - defaults.keys())
        if unknown:
            known = ", ".join(defaults) or "none"
            raise UsageError(f"{self.name!r} has no setting {unknown[0]!r}; known: {known}")
        return defaults | dict(settings)


_entries: dict[str, dict[str, Entry]] = {kind: {} for kind in PACKAGES}


def register(kind: str, name: str, **facts: Any) -> Callable[[T], T]:
    """Register the decorated function or class as ``name`` among the ``kind``, with its facts."""

    def remember(thing: T) -> T:
        if name in _entries[kind]:
            raise ValueError(f"{kind} has two entries named {name!r}")
        _entries[kind][name] = Entry(kind, name, thing, facts)
        return thing

    return remember


def names(kind: str) -> list[str]:
    """All registered names of a kind, sorted."""
    return sorted(_homes(kind).keys() | _entries[kind].keys())


def get(kind: str, name: str) -> Entry:
    """Look a name up.

    Raises
    ------
    UsageError : no such name; the message lists the known ones and the nearest.
    """
    if name not in _entries[kind] and name in _homes(kind):
        importlib.import_module(_homes(kind)[name])
    if name in _entries[kind]:
        return _entries[kind][name]
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"no {name!r} among the {kind}: {', '.join(known)}.{hint}")


@functools.cache
def _homes(kind: str) -> dict[str, str]:
    """The module that registers each name, told by its text: to import them all takes far longer.

    A module without text is imported, so that it registers what it holds.
    """
    package = importlib.import_module(PACKAGES[kind])
    registers = re.compile(rf'^@register\(\s*"{re.escape(kind)}",\s*"([^"]+)"', re.MULTILINE)
    homes: dict[str, str] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        loader: Any = module.module_finder.find_spec(module.name, None).loader  # type: ignore[union-attr]
        source = loader.get_source(module.name)
        if source is None:
            importlib.import_module(module.name)
        homes |= dict.fromkeys(registers.findall(source or ""), module.name)
    return homes
