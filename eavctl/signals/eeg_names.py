"""Names of EEG channels: the usual spelling, and the names of channels that are not EEG."""

from __future__ import annotations

import re
from collections.abc import Sequence

REGIONS = ("Fp", "AF", "F", "FT", "FC", "T", "TP", "C", "CP", "P", "PO", "O", "I", "N")  # 10-10 system
NO_EEG = re.compile(r"[HV]?E(OG|CG|KG|MG)", re.IGNORECASE)


def clean_names(names: Sequence[str]) -> list[str]:
    """Clean every name (see `clean_name`), or none if that would make two names equal."""
    clean = [clean_name(name) for name in names]
    return clean if len(set(clean)) == len(clean) else list(names)


def clean_name(name: str) -> str:
    """Remove dots and spaces around a channel's name, and spell names of the 10-20 system as usual.

    ``Fc5.`` becomes ``FC5``, ``CZ`` becomes ``Cz``, ``FPz`` becomes ``Fpz``.
    """
    name = name.strip(" .")
    match = re.fullmatch(r"([A-Za-z]{1,2})(\d{1,2}|[zZ])", name)
    region = {each.upper(): each for each in REGIONS}.get(match[1].upper()) if match else None
    return region + match[2].lower() if match and region else name
