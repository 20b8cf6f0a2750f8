"""What a prediction table tells of its training, read with care: files come from strangers, too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

DEEPEST = 3  # fusions of fusions whose inputs are told
MOST_NESTED = 8  # dictionaries and lists in settings

_SOURCE = {
    "table": str,
    "layout": str,
    "modality": str,
    "features": str,
    "features_version": int,
    "settings": dict,
    "segment": dict,
    "shape": [int],
    "n_recordings": int,
    "n_without": int,
    "rejected": int,
    "first_rejected": [{"path": str, "reason": str}],
    "versions": dict,
    "who": {"phrase": str},
    "augment": {"alterations": [str], "copies": int, "seed": int},
    "layout_settings": dict,
    "where": dict,
    "events": dict,
    "epoch": [float],
    "distinct_names": bool,
}
_TRAINING = {
    "kind": str,
    "method": str,
    "settings": dict,
    "inputs": [_SOURCE],
    "choices": dict,
    "data": [{"dataset": str, "rows": int, "clips": int, "people": int}],
    "n_only_trained": int,
    "command": {"name": str, "inputs": [str], "options": dict, "python_only": [str]},
}
_ZERO_SHOT = {"held_out": str, "query": str, "space": [str]}


def training_of(meta: Mapping[str, Any], depth: int = 0) -> dict[str, Any] | None:
    """What the metadata of a prediction table tell under ``training`` (`eavctl.training.told.training`).

    Returns
    -------
    JSON-able dictionary with all keys; a value of another type than it should be is None, or left out of its
    list. None for a table that tells nothing, as those of older versions. Of a fusion ``fused`` has for each
    input its ``name``, what its table told as ``training``, and ``versions``.
    """
    told = meta.get("training")
    if not isinstance(told, Mapping) or not isinstance(told.get("kind"), str):
        return None
    found: dict[str, Any] = _fitting(told, _TRAINING)
    fused = told.get("fused") if depth < DEEPEST else None
    found["fused"] = [
        {
            "name": str(each.get("name")),
            "training": training_of(each, depth + 1),
            "versions": versions_of(each),
        }
        for each in (fused if isinstance(fused, list) else [])
        if isinstance(each, Mapping)
    ]
    return found


def versions_of(meta: Mapping[str, Any]) -> dict[str, str]:
    """Versions of the packages that made a table; those that are known."""
    found = meta.get("versions")
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {str(name): version for name, version in pairs if isinstance(version, str)}


def zero_shot_of(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which class was held out of all training, and the modalities; None of other predictions."""
    told = meta.get("zero_shot")
    found = _fitting(told, _ZERO_SHOT) if isinstance(told, Mapping) else None
    return found if found and found["held_out"] and found["query"] else None


def _fitting(value: Any, schema: Any) -> Any:
    """The value, or the parts of it that are of the types of a schema; None, or an empty list, for others."""
    if isinstance(schema, Mapping):
        if not isinstance(value, Mapping):
            return None
        return {key: _fitting(value.get(key), each) for key, each in schema.items()}
    if isinstance(schema, list):
        items = value if isinstance(value, list | tuple) else ()
        return [each for each in (_fitting(item, schema[0]) for item in items) if each is not None]
    if schema is dict:
        return _plain(value) if isinstance(value, Mapping) else None
    if isinstance(value, bool) and schema is not bool:
        return None
    kinds = (int, float) if schema is float else schema
    return value if isinstance(value, kinds) and _is_finite(value) else None


def _plain(value: Any, depth: int = 0) -> Any:
    """A value of JSON without numbers that are not finite, and not nested deeper than any setting."""
    if isinstance(value, Mapping | list) and depth == MOST_NESTED:
        return None
    if isinstance(value, Mapping):
        return {key: _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in value]
    return value if _is_finite(value) else None


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
