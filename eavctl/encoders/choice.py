"""Which encoder for which table, and what its sizes mean; from the facts that encoders register."""

from __future__ import annotations

from typing import Any

from eavctl import registry
from eavctl.errors import UsageError


def settings_of_size(name: str, size: str) -> dict[str, Any]:
    """The keyword settings that a size of an encoder stands for.

    Raises
    ------
    UsageError : no such encoder, or it has no such size.
    """
    sizes = registry.get("encoders", name).facts.get("sizes", {})
    if size in sizes:
        return dict(sizes[size])
    if sizes:
        raise UsageError(f"encoder {name!r} has the sizes {' and '.join(sizes)}, not {size!r}")
    entries = (registry.get("encoders", other) for other in registry.names("encoders"))
    having = ", ".join(entry.name for entry in entries if entry.facts.get("sizes"))
    raise UsageError(f"encoder {name!r} has one size only: leave --size out. Those with sizes: {having}")


def default_encoder(features: str, columns: bool, *, tokens: bool) -> str:
    """The encoder for a table: the first registered for its feature set, else mlp for columns.

    Parameters
    ----------
    features : name of the feature set.
    columns : whether the table has columns, one a feature, rather than tensors.
    tokens : take only encoders that run layer by layer, see `eavctl.encoders.tokens`.

    Raises
    ------
    UsageError : there is none; the message names those there are, and the feature sets that they read.
    """
    able = [name for name in registry.names("encoders") if not tokens or runs_by_layers(name)]
    for name in able:
        if features in _reads(name):
            return name
    if columns and not tokens:
        return "mlp"
    which = " that runs layer by layer" if tokens else ""
    known = ", ".join(f"{name} ({', '.join(_reads(name))})" for name in able if _reads(name))
    raise UsageError(f"no encoder{which} is known for the feature set {features!r}; those there are: {known}")


def check_modality(name: str, modality: str, columns: bool) -> None:
    """Refuse an encoder for tables of another modality.

    Parameters
    ----------
    name : of the encoder.
    modality, columns : of the table, and whether it has columns, one a feature, rather than tensors.

    Raises
    ------
    UsageError : the message names the encoders that would do.
    """
    mine = _modality(name)
    if mine in (modality, None):
        return
    able = {modality, None} if columns else {modality}
    others = [other for other in registry.names("encoders") if _modality(other) in able]
    raise UsageError(
        f"encoder {name!r} is for {mine}, and the table holds {modality}: choose --encoder "
        f"{' or '.join(others)}"
    )


def runs_by_layers(name: str) -> bool:
    """Whether an encoder can take in guests, layer by layer: see `eavctl.encoders.tokens`."""
    from eavctl.encoders.tokens import TokenEncoder

    return issubclass(registry.get("encoders", name).thing, TokenEncoder)


def _modality(name: str) -> str | None:
    """The modality whose rows an encoder takes; None: any."""
    found: str | None = registry.get("encoders", name).facts["modality"]
    return found


def _reads(name: str) -> tuple[str, ...]:
    """The feature sets whose rows an encoder reads by default."""
    found: tuple[str, ...] = registry.get("encoders", name).facts["features"]
    return found
