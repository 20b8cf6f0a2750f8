"""Open a live source by its URI: ``mic:default``, ``camera:0``, ``lsl:NAME``, a file, or ``-`` for stdin."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from eavctl import registry
from eavctl.errors import UsageError
from eavctl.live.chunk import Source

KIND = "live sources"
FILE, STDIN = "file", "-"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=:)")


class Wanted(NamedTuple):
    """What a live source is asked for; the one argument of a registered source.

    Parameters
    ----------
    name : the URI as the user gave it, for errors.
    place : the URI without its scheme and settings, such as ``default`` of ``mic:default``.
    modality : ``audio``, ``eeg`` or ``video``.
    rate : samples a second which the model takes; None leaves it to the source. A source that cannot give it
        gives another.
    """

    name: str
    place: str
    modality: str
    rate: float | None = None


def open_source(uri: str, modality: str, rate: float | None = None) -> Source:
    """Open a live source.

    A path that exists is a file, whatever its name. Settings follow a question mark, as in
    ``-?rate=48000&channels=2`` and ``subject1_eeg.mat?trial=3``.

    Parameters
    ----------
    uri : scheme and place, a path, or ``-``.
    modality : ``audio``, ``eeg`` or ``video``.
    rate : samples a second to ask for; None keeps the source's own.

    Raises
    ------
    UsageError : unknown scheme or setting, or a scheme that does not give the modality.
    SourceError, SignalError : it cannot be opened.
    """
    scheme, place, settings = _parts(uri)
    entry = registry.get(KIND, scheme)
    given = entry.facts["modalities"]
    if modality not in given:
        raise UsageError(f"{uri}: gives {' and '.join(given)}, not {modality}")
    source: Source = entry.build(Wanted(uri, place, modality, rate), **settings)
    return source


def scheme_of(uri: str) -> str:
    """Name of the source that a URI means, such as ``mic``; `FILE` of a path."""
    return _parts(uri)[0]


def _parts(uri: str) -> tuple[str, str, dict[str, Any]]:
    """Scheme, place and settings."""
    if os.path.exists(uri):
        return FILE, uri, {}
    before, mark, query = uri.partition("?")
    settings = _settings(uri, query) if mark else {}
    if before == STDIN:
        return STDIN, before, settings
    scheme = None if os.path.exists(before) else SCHEME.match(before)
    return (scheme[0], before[scheme.end() + 1 :], settings) if scheme else (FILE, before, settings)


def _settings(uri: str, query: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise UsageError(f"{uri}: after '?' come settings as KEY=VALUE, joined by '&'") from None
    return {key: _value(text) for key, text in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
