"""What a prediction table tells of the training that made it, and of the command that repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pandas as pd

from eavctl.classifiers.rows import Rows
from eavctl.evaluation.groups import identify, n_identities, rows_of
from eavctl.storage.paths import Paths, listed
from eavctl.training.cross_validation import Evaluation
from eavctl.training.rows import EQUAL, TableFacts
from eavctl.training.sources import changed, file_name

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings  # imports torch

FREEZING, COMPUTING = ("freeze_epochs", "freeze_lr"), ("precision", "compile")
NETWORK_OPTIONS = ("epochs", "batch", "lr", "dropout", "members", "device", *FREEZING, *COMPUTING)
_LACKED = {"train-fusion": {"dropout"}, "zero-shot": {"dropout", *FREEZING, *COMPUTING}}
SEED = 42  # by default
NETWORKS = ("dnn", "fusion", "zero-shot")  # kinds


def command(
    name: str,
    tables: Paths,
    evaluation: Evaluation | None,
    *,
    network: TrainSettings | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    **options: Any,
) -> dict[str, Any]:
    """A command as a table keeps it: options that differ from the defaults, and no outputs.

    Parameters
    ----------
    name : of the command, such as ``train-svm``.
    tables : its inputs; their names are kept without folders.
    evaluation : how rows were split.
    network : settings of a network's training.
    labels, corpora : see `eavctl.training.rows.read_training_set`.
    options : others, by their names on the command line with underscores, JSON-able; a list is an option that
        is repeated. Those that are None, False or empty are left out.

    Returns
    -------
    JSON-able dictionary: ``name``, ``inputs``, ``options``; and ``python_only``, the names of settings that
    differ from the defaults, and that the command line does not have.
    """
    evaluation = evaluation or Evaluation()
    asked = {**differing(evaluation), **(differing(network) if network else {})}
    asked.pop("distinct_names", None)  # the tables' own
    if network is None or network.seed == evaluation.seed:  # the command line has one for both
        asked.pop("seed", None)
    known = {"protocol", "folds", "group", "shared", *NETWORK_OPTIONS} - _LACKED.get(name, set())
    given = {
        **{
            key: ",".join(value) if key == "shared" else value for key, value in asked.items() if key in known
        },
        "labels": ",".join(f"{old}={new or ''}" for old, new in (labels or {}).items()),
        "corpora": corpora if corpora != EQUAL else None,
        **options,
        "seed": evaluation.seed if evaluation.seed != SEED else None,
    }
    return {
        "name": name,
        "inputs": [file_name(path) for path in listed(tables)],
        "options": {
            key: value for key, value in given.items() if value or (value == 0 and value is not False)
        },
        "python_only": sorted(asked.keys() - known),
    }


def differing(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults; those without one are left out."""
    return {
        each.name: getattr(settings, each.name)
        for each in fields(settings)
        if getattr(settings, each.name) != each.default
    }


def assignments(settings: Mapping[str, Any]) -> list[str]:
    """Settings as ``KEY=VALUE``, as ``--set`` takes them."""
    import json

    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()
    ]


def training(
    kind: str, settings: Mapping[str, Any], rows: Rows, facts: TableFacts, asked: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a prediction table keeps under ``training``.

    Parameters
    ----------
    kind : of the model.
    settings : of the fitter, as it describes them.
    rows : that it was trained on.
    facts : of the tables that they are from.
    asked : the `command`; None where no command line does the same.

    Returns
    -------
    JSON-able dictionary: ``kind``; ``settings`` that differ from the defaults; ``inputs``, what is told of
    each table (`eavctl.training.sources.source_of`); ``choices`` of labels and corpora; ``data``, for each
    data set the number of rows, clips and people; ``n_only_trained``, rows that are trained on and never
    tested, such as altered copies; and the ``command``.
    """
    own = rows.key_frame if rows.copies is None else rows_of(rows.key_frame, ~rows.copies)
    chosen = _differing(settings) if kind in NETWORKS else settings
    return {
        "kind": kind,
        "settings": {key: value for key, value in chosen.items() if _is_told(key, value)},
        "inputs": [dict(each) for each in facts.tables],
        "choices": dict(facts.choices),
        "data": data_of(own),
        "n_only_trained": len(rows) - len(own),
        "command": dict(asked) if asked else None,
    }


def data_of(keys: pd.DataFrame) -> list[dict[str, Any]]:
    """For each data set its name, None if unknown, and the number of rows, clips and people."""
    datasets = identify(keys, "dataset")
    found = []
    for name in sorted(set(datasets), key=str):
        mine = rows_of(keys, datasets == name)
        found.append(
            {
                "dataset": name,
                "rows": len(mine),
                "clips": n_identities(mine, "clip_id"),
                "people": n_identities(mine, "subject"),
            }
        )
    return found


def _differing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the fitter of a network describes, without defaults."""
    found = dict(settings)
    if "training" in found:
        from eavctl.classifiers.training_loop import TrainSettings  # imports torch, as the fitter has

        found["training"] = differing(TrainSettings(**found["training"]))
    if "encoder_settings" in found:
        found["encoder_settings"] = changed("encoders", found["encoder"], found["encoder_settings"])
    if "streams" in found:
        found["streams"] = [_stream(each) for each in found["streams"]]
        found["settings"] = changed("fusion networks", found["method"], found["settings"])
    return found


def _stream(stream: Mapping[str, Any]) -> dict[str, Any]:
    """Name and encoder of a fusion's stream."""
    settings = changed("encoders", stream["encoder"], stream["encoder_settings"])
    return {"name": stream["name"], "encoder": stream["encoder"], "encoder_settings": settings}


def _is_told(key: str, value: Any) -> bool:
    """Whether a setting is one that was chosen: not None, empty, nothing but None, or the default seed."""
    values = value if isinstance(value, list | tuple) else [value]
    is_empty = isinstance(value, Mapping) and not value
    return not is_empty and any(each is not None for each in values) and (key, value) != ("seed", SEED)
