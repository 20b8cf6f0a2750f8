"""The registry of layouts, feature sets, encoders, augmentations, fusers, ..., each with one ``@register``.

Other packages register theirs by an entry point of the group ``eavctl`` that names a module.
"""

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
from eavctl.settings import checked

PACKAGES = {
    "layouts": "eavctl.datasets",
    "features": "eavctl.features",
    "encoders": "eavctl.encoders",
    "augmentations": "eavctl.augmentations",
    "pretraining methods": "eavctl.pretraining.methods",
    "fusers": "eavctl.fusion",
    "fusion networks": "eavctl.fusion.networks",  # separate, because late fusion does not need torch
    "executors": "eavctl.extraction",
    "live sources": "eavctl.live.sources",
}

ABOUT = {  # what each kind is, and the option that takes a name of it
    "layouts": "how a data set lies on disk: recordings, people, classes (extract --layout)",
    "features": "what is computed from a recording (extract --features)",
    "encoders": "networks from a row of features to an embedding (train-dnn --encoder)",
    "augmentations": "random changes of rows during training (pretrain --augment)",
    "pretraining methods": "training of an encoder without labels (pretrain --method)",
    "fusers": "late fusion: several prediction tables to one (fuse --method)",
    "fusion networks": "early fusion: one network for several tables (train-fusion --method)",
    "executors": "processes that compute features (in Python: extract, executor=)",
    "live sources": "where live recordings come from (live --audio)",
}

GROUP = "eavctl"  # of entry points

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A registered object.

    Parameters
    ----------
    kind, name : the kind, a key of `PACKAGES`, and the name.
    thing : the registered function or class.
    facts : keyword arguments of `register`.
    """

    kind: str
    name: str
    thing: Any
    facts: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def settings(self) -> dict[str, inspect.Parameter]:
        """The settings: keyword-only parameters of the function or class, with default and annotation.

        Those of the functions in the fact ``shared`` are settings too; of one name, its own comes first.
        """
        own = keywords_of(self.thing)
        shared = {name: each for f in self.facts.get("shared", ()) for name, each in keywords_of(f).items()}
        return own | {name: each for name, each in shared.items() if name not in own}

    def own(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that the function itself takes."""
        return taken(self.thing, settings)

    def with_defaults(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Check the given settings and complete them with defaults.

        Each value is checked against its annotation (see `eavctl.settings.checked`); the fact ``check``, if
        any, is a function that checks all of them together.

        Raises
        ------
        UsageError : an unknown setting, or an invalid value.
        """
        unknown = sorted(settings.keys() - self.settings.keys())
        if unknown:
            known = ", ".join(self.settings) or "none"
            raise UsageError(f"{self.name!r} has no setting {unknown[0]!r}; known: {known}")
        chosen = {name: each.default for name, each in self.settings.items()}
        for name, value in settings.items():
            found = checked(repr(self.name), name, value, self.settings[name].annotation)
            if found != chosen[name]:  # 45 for a default of 45.0 keeps the default, and its hash
                chosen[name] = found
        if check := self.facts.get("check"):
            check(**chosen)
        return chosen

    def build(self, *arguments: Any, **settings: Any) -> Any:
        """Call the function or class with checked settings, which may come from a model file.

        Raises
        ------
        UsageError : as `with_defaults`.
        """
        return self.thing(*arguments, **self.with_defaults(settings))


@functools.cache
def keywords_of(thing: Any) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function or class."""
    parameters = inspect.signature(thing, eval_str=True).parameters
    return {name: each for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}


def taken(thing: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a function or class takes by keyword."""
    return {name: settings[name] for name in keywords_of(thing) if name in settings}


_entries: dict[str, dict[str, Entry]] = {kind: {} for kind in PACKAGES}


def register(kind: str, name: str, **facts: Any) -> Callable[[T], T]:
    """Decorator that registers a function or class under a kind and name, with facts about it."""

    def add(thing: T) -> T:
        if name in _entries[kind]:
            raise ValueError(f"{kind} has two entries named {name!r}")
        _entries[kind][name] = Entry(kind, name, thing, facts)
        return thing

    return add


def names(kind: str) -> list[str]:
    """All registered names of a kind, sorted.

    Raises
    ------
    UsageError : an entry point of another package cannot be imported.
    """
    _import_entry_points()
    return sorted(_modules(kind).keys() | _entries[kind].keys())


def get(kind: str, name: str) -> Entry:
    """Look up a name.

    Raises
    ------
    UsageError : an unknown name; the message lists the known names and suggests the nearest.
    """
    if name not in _entries[kind] and name in _modules(kind):
        importlib.import_module(_modules(kind)[name])
    if name not in _entries[kind]:
        _import_entry_points()
    if name in _entries[kind]:
        return _entries[kind][name]
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"no {name!r} among the {kind}: {', '.join(known)}.{hint}")


@functools.cache
def _import_entry_points() -> None:
    """Import the modules that other packages name: only when a name is unknown, or all are listed."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # code of others can fail in any way
            raise UsageError(
                f"the entry point {point.name!r} ({point.value}) cannot be imported: {error}; repair or "
                "uninstall that package"
            ) from error


@functools.cache
def _modules(kind: str) -> dict[str, str]:
    """The module that registers each name, found in the source text: importing all would be much slower.

    A module without source is imported.
    """
    package = importlib.import_module(PACKAGES[kind])
    # A pattern that begins with plain text, and not with ^, is found many times as fast.
    registrations = re.compile(rf'\n@register\(\s*"{re.escape(kind)}",\s*"([^"]+)"')
    modules: dict[str, str] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        loader: Any = module.module_finder.find_spec(module.name, None).loader  # type: ignore[union-attr]
        source = loader.get_source(module.name)
        if source is None:
            importlib.import_module(module.name)
        modules |= dict.fromkeys(registrations.findall(source or ""), module.name)
    return modules
