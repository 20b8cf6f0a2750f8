"""What eavctl knows by name: layouts, feature sets, encoders, ..., those of other packages among them."""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from eavctl import docstrings, registry
from eavctl.errors import UsageError
from eavctl.settings import words

PROTOCOLS = "protocols"
ABOUT = {**registry.ABOUT, PROTOCOLS: "which rows train a model and which test it (train-svm --protocol)"}
INTERNAL = re.compile(r"example_|order$|priority$|fused$|added$|shared$")  # facts that only the code needs
SHARED = ("folds", "group", "seed")  # settings of protocols that the command line has
BULLET = re.compile(r"^ *- (``.+?): (.+?)[;.]$", re.MULTILINE | re.DOTALL)


def catalogue(kind: str | None = None) -> dict[str, Any]:
    """The kinds of things that eavctl knows by name, or all things of one kind.

    Everything is taken from the registry and from docstrings and annotations of what is registered.

    Parameters
    ----------
    kind : such as ``features`` or ``pretraining methods``, or a word of it, ``methods``; None for all kinds.

    Returns
    -------
    JSON-able: ``kinds``, each with ``kind``, ``about`` and ``names``; or ``kind``, ``about``, ``settings``
    (of the kind as a whole) and ``entries``, each with ``name``, ``about``, ``facts`` and ``settings``. A
    setting has ``name``, ``default``, ``takes`` (its values) and ``about``.

    Raises
    ------
    UsageError : an unknown kind, or an entry point of another package cannot be imported.
    """
    if kind is None:
        return {"kinds": [{"kind": each, "about": ABOUT[each], "names": _names(each)} for each in ABOUT]}
    found = _kind(kind)
    head = {"kind": found, "about": ABOUT[found]}
    if found == PROTOCOLS:
        return head | _protocols()
    entries = [_entry(registry.get(found, name)) for name in registry.names(found)]
    return head | {"settings": [], "entries": entries}


def _kind(asked: str) -> str:
    """The kind that is meant: by its name, or by a word that no other kind has."""
    name = asked.strip().lower().replace("-", " ")
    fitting = [name] if name in ABOUT else [kind for kind in ABOUT if name in kind.split()]
    if len(fitting) == 1:
        return fitting[0]
    near = difflib.get_close_matches(name, ABOUT, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"no kind {asked!r}; known: {', '.join(ABOUT)}.{hint}")


def _names(kind: str) -> list[str]:
    return [each["name"] for each in _protocols()["entries"]] if kind == PROTOCOLS else registry.names(kind)


def _entry(entry: registry.Entry) -> dict[str, Any]:
    settings = entry.settings
    facts = {name: _jsonable(value) for name, value in entry.facts.items() if not INTERNAL.match(name)}
    facts = {name: value for name, value in facts.items() if value is not None}
    described: dict[str, str] = {}
    for each in (*entry.facts.get("shared", ()), entry.thing):
        described |= docstrings.parameters(each)
    if entry.kind == "features":
        facts |= {"columns": _columns(entry), "gives": docstrings.result(entry.thing)}
    if entry.kind == "encoders":
        facts["input"] = described.get("shape", "")
    return {
        "name": entry.name,
        "about": docstrings.first_sentence(entry.thing),
        "facts": facts,
        "settings": _settings(settings, described),
    }


def _settings(
    settings: Mapping[str, inspect.Parameter], described: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "default": _jsonable(each.default),
            "takes": words(each.annotation),
            "about": described.get(name, ""),
        }
        for name, each in settings.items()
    ]


def _columns(entry: registry.Entry) -> list[str] | None:
    """The names of the columns with default settings; None for a tensor, and where the data decide."""
    names = entry.facts["columns"]
    try:
        found = list(names(**entry.with_defaults({}))) if names else []
    except Exception:  # an encoder is missing, of whatever the function needs of it
        return None
    return found or None


def _jsonable(value: Any) -> Any:
    """The value as JSON gives it back; None for what JSON cannot hold, such as a function."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None


def _protocols() -> dict[str, Any]:
    """The protocols, as the docstring of `eavctl.evaluation.protocols.splits` lists them."""
    from eavctl.evaluation.protocols import splits

    described = docstrings.parameters(splits)
    parameters = inspect.signature(splits, eval_str=True).parameters
    entries = []
    for names, about in BULLET.findall(inspect.getdoc(splits) or ""):
        for name in re.findall(r"``([\w-]+)``", names):
            text = " ".join(about.replace("`", "").split())
            entries.append({"name": name, "about": text, "facts": {}, "settings": []})
    return {"settings": _settings({n: parameters[n] for n in SHARED}, described), "entries": entries}
