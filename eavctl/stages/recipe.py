"""How one recording becomes features: kept in every table and model, so that predict repeats extract."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from eavctl import registry
from eavctl.errors import SettingsError, SignalError, UsageError
from eavctl.provenance import hash_json


@dataclass(frozen=True)
class Sample:
    """One segment of a recording: ``start`` and ``end`` in seconds, and its features or why it has none."""

    start: float
    end: float
    x: np.ndarray | None
    reason: str = ""


@dataclass(frozen=True)
class Recipe:
    """A feature set with its settings, and how recordings are cut.

    Parameters
    ----------
    features : name of a registered feature set.
    settings : keyword settings of the set that differ from its defaults.
    segment, hop : length and distance of the segments in seconds; None takes recordings whole.

    Raises
    ------
    UsageError : no such set or setting, or a hop without a segment.
    """

    features: str = "functionals"
    settings: dict[str, Any] = field(default_factory=dict)
    segment: float | None = None
    hop: float | None = None

    def __post_init__(self) -> None:
        if self.hop is not None and self.segment is None:
            raise UsageError("--hop needs --segment")
        if any(seconds is not None and seconds <= 0 for seconds in (self.segment, self.hop)):
            raise UsageError("--segment and --hop must be above 0 seconds")
        object.__setattr__(self, "settings", self.entry.with_defaults(self.settings))
        object.__setattr__(self, "hop", self.hop or self.segment)

    @property
    def entry(self) -> registry.Entry:
        """The registered feature set."""
        return registry.get("features", self.features)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features, or None where they are a tensor."""
        name = self.entry.facts["columns"]
        return tuple(name(**self.settings)) if name else None

    def meta(self) -> dict[str, Any]:
        """What tables and models keep of the recipe; ``features_hash`` is equal where features can meet."""
        facts = self.entry.facts
        identity = {
            "modality": facts["modality"],
            "features": self.features,
            "features_version": facts["version"],
            "settings": self.settings,
            "rate": facts["rate"],
            "units": facts["units"],
        }
        segment = {"seconds": self.segment, "hop": self.hop} if self.segment else None
        return {**identity, "features_hash": hash_json(identity), "segment": segment}

    @classmethod
    def from_meta(cls, meta: dict[str, Any]) -> Recipe:
        """The recipe that a table or a model was made by.

        Raises
        ------
        SettingsError : this eavctl computes the set otherwise than the one that wrote ``meta``.
        """
        segment = meta["segment"] or {"seconds": None, "hop": None}
        recipe = cls(meta["features"], dict(meta["settings"]), segment["seconds"], segment["hop"])
        if recipe.meta()["features_hash"] != meta["features_hash"]:
            raise SettingsError(
                f"features {meta['features']!r} were made by version {meta['features_version']} of the set, "
                f"and this eavctl has version {recipe.entry.facts['version']}; extract and train again"
            )
        return recipe

    def describe(
        self,
        recording: str | os.PathLike[str] | BinaryIO,
        span: tuple[float | None, float | None] = (None, None),
    ) -> tuple[list[Sample], list[str]]:
        """Read a recording and compute the features of its segments.

        Parameters
        ----------
        recording : a file's path, or an open binary file with a ``name``.
        span : start and end, in seconds, of the part that counts; None for the whole.

        Returns
        -------
        Samples in order of time, and what was odd about the recording but did not stop the reading.

        Raises
        ------
        SignalError : the recording cannot be used at all.
        """
        from eavctl.signals import audio

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", audio.RecordingWarning)
            signal, rate = audio.read(recording, self.entry.facts["rate"])
        first = round((span[0] or 0.0) * rate)
        last = len(signal) if span[1] is None else round(span[1] * rate)
        signal = signal[first:last]
        if not len(signal):
            raise SignalError(f"{recording}: has no sound between its start and end in the manifest")
        samples = list(self._cut(signal, rate, first / rate))
        return samples, [str(warning.message) for warning in caught]

    def _cut(self, signal: np.ndarray, rate: int, offset: float) -> Iterator[Sample]:
        from eavctl.signals.audio import segments

        whole = [(0.0, len(signal) / rate)]
        for start, end in segments(len(signal), rate, self.segment, self.hop) if self.segment else whole:
            part = signal[round(start * rate) : round(end * rate)]
            try:
                x = self.entry.thing(part, rate, **self.settings)
                yield Sample(offset + start, offset + end, x)
            except SignalError as error:
                yield Sample(offset + start, offset + end, None, str(error))
