"""The default encoder for a table, and the settings of its sizes, from the facts that encoders register."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl import registry
from eavctl.errors import UsageError

if TYPE_CHECKING:
    from eavctl.encoders.state_dicts import StateDict  # imports torch


def settings_of_size(name: str, size: str) -> dict[str, Any]:
    """The keyword settings of a named size of an encoder.

    Raises
    ------
    UsageError : unknown encoder, or it has no such size.
    """
    sizes = registry.get("encoders", name).facts.get("sizes", {})
    if size in sizes:
        return dict(sizes[size])
    if sizes:
        raise UsageError(f"encoder {name!r} has the sizes {' and '.join(sizes)}, not {size!r}")
    entries = (registry.get("encoders", other) for other in registry.names("encoders"))
    with_sizes = ", ".join(entry.name for entry in entries if entry.facts.get("sizes"))
    raise UsageError(f"encoder {name!r} has one size only: omit --size. Encoders with sizes: {with_sizes}")


def settings_of_weights(name: str, weights: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings, and those with which an encoder computes what published weights were trained for.

    Raises
    ------
    DataError : weights that the encoder cannot load, or that need other settings than those given.
    UsageError : an encoder that cannot load any.
    """
    found = _state_dict(name, weights)
    return dict(given) if found is None else {**given, **found.settings(given)}


def words_of_weights(name: str, weights: Path, settings: Mapping[str, Any]) -> str:
    """What the public weights of an encoder with these settings are, such as ``resnet50 of timm``.

    Raises
    ------
    DataError, UsageError : as `settings_of_weights`.
    """
    found = _state_dict(name, weights)
    return "a checkpoint of transformers" if found is None else found.words(settings)


def _state_dict(name: str, weights: Path) -> StateDict | None:
    """The state dict of public weights; None of a folder that an encoder reads by itself."""
    encoder = registry.get("encoders", name).thing
    if not hasattr(encoder, "load_weights"):
        raise UsageError(f"encoder {name!r} has no pretrained body: no --weights")
    if not hasattr(encoder, "state_dict_of"):
        return None
    found: StateDict | None = encoder.state_dict_of(weights)
    return found


def default_encoder(features: str, columns: bool, *, tokens: bool) -> str:
    """The default encoder of a table: the first one registered for its feature set, else mlp for columns.

    Parameters
    ----------
    features : name of the feature set.
    columns : whether the table has one column per feature, and not tensors.
    tokens : consider only encoders that run layer by layer, see `eavctl.encoders.tokens`.

    Raises
    ------
    UsageError : there is none; the message lists the encoders and their feature sets.
    """
    candidates = [name for name in registry.names("encoders") if not tokens or runs_by_layers(name)]
    for name in candidates:
        if features in _feature_sets(name):
            return name
    if columns and not tokens:
        return "mlp"
    which = " that runs layer by layer" if tokens else ""
    known = ", ".join(
        f"{name} ({', '.join(_feature_sets(name))})" for name in candidates if _feature_sets(name)
    )
    raise UsageError(f"no encoder{which} is known for the feature set {features!r}; known: {known}")


def check_modality(name: str, modality: str, columns: bool) -> None:
    """Check that an encoder fits the modality of a table.

    Parameters
    ----------
    name : name of the encoder.
    modality : modality of the table.
    columns : whether the table has one column per feature, and not tensors.

    Raises
    ------
    UsageError : it does not fit; the message lists the encoders that do.
    """
    own = _modality(name)
    if own in (modality, None):
        return
    accepted = {modality, None} if columns else {modality}
    others = [other for other in registry.names("encoders") if _modality(other) in accepted]
    raise UsageError(
        f"encoder {name!r} is for {own}, but the table holds {modality}: choose --encoder "
        f"{' or '.join(others)}"
    )


def runs_by_layers(name: str) -> bool:
    """Whether an encoder runs layer by layer and accepts guest tokens; see `eavctl.encoders.tokens`."""
    from eavctl.encoders.tokens import TokenEncoder

    return issubclass(registry.get("encoders", name).thing, TokenEncoder)


def _modality(name: str) -> str | None:
    """The modality of an encoder; None for any."""
    found: str | None = registry.get("encoders", name).facts["modality"]
    return found


def _feature_sets(name: str) -> tuple[str, ...]:
    """The feature sets for which an encoder is the default."""
    found: tuple[str, ...] = registry.get("encoders", name).facts["features"]
    return found
