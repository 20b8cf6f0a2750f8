"""Names of EEG channels: their usual spelling, and which of them are not EEG."""

from __future__ import annotations

import re
from collections.abc import Sequence

PLACES = ("Fp", "AF", "F", "FT", "FC", "T", "TP", "C", "CP", "P", "PO", "O", "I", "N")  # of the 10-10 system
NO_EEG = re.compile(r"[HV]?E(OG|CG|KG|MG)", re.IGNORECASE)


def clean_names(names: Sequence[str]) -> list[str]:
    """Names without padding and in the usual spelling, where that keeps them distinct."""
    clean = [clean_name(name) for name in names]
    return clean if len(set(clean)) == len(clean) else list(names)


def clean_name(name: str) -> str:
    """Name of a channel without dots and spaces around it; of the 10-20 system, in its usual spelling.

    ``Fc5.`` becomes ``FC5``, ``CZ`` becomes ``Cz``, ``FPz`` becomes ``Fpz``.
    """
    name = name.strip(" .")
    match = re.fullmatch(r"([A-Za-z]{1,2})(\d{1,2}|[zZ])", name)
    place = {p.upper(): p for p in PLACES}.get(match[1].upper()) if match else None
    return place + match[2].lower() if match and place else name
