"""How one recording becomes features: kept in every table and model, so that predict repeats extract."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from eavctl import registry
from eavctl.errors import DataError, RecordingWarning, SettingsError, SignalError, UsageError
from eavctl.extraction.open_recording import Source, Stretch, channels_of, open_recording
from eavctl.settings import Within, checked
from eavctl.signals.segments import FRAME_S, LONGEST_S, ROUNDING, SHORTEST_S, cut
from eavctl.storage.provenance import canonical_json, hash_json

if TYPE_CHECKING:
    from eavctl.datasets.manifest import Manifest  # judging single recordings needs no Arrow


@dataclass(frozen=True)
class Sample:
    """One segment of a recording: ``start`` and ``end`` in seconds, and its features or why it has none.

    ``account`` says by numbers how the features came about, such as the share of frames with a face.
    """

    start: float
    end: float
    x: np.ndarray | None
    reason: str = ""
    account: dict[str, float] = field(default_factory=dict)


Describe = Callable[..., list[Sample]]


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
    UsageError : no such set or setting, a value that the setting does not take, a hop without a segment,
        or either shorter than 0.01 s or longer than 100000 s.
    """

    features: str = "functionals"
    settings: dict[str, Any] = field(default_factory=dict)
    segment: float | None = None
    hop: float | None = None

    def __post_init__(self) -> None:
        if self.hop is not None and self.segment is None:
            raise UsageError("--hop needs --segment")
        for name, seconds in (("segment", self.segment), ("hop", self.hop)):
            if seconds is not None:
                checked("segments", f"--{name}", seconds, Annotated[float, Within(SHORTEST_S, LONGEST_S)])
        object.__setattr__(self, "settings", self.entry.with_defaults(self.settings))
        object.__setattr__(self, "hop", self.hop or self.segment)

    @property
    def entry(self) -> registry.Entry:
        """The registered feature set."""
        return registry.get("features", self.features)

    @property
    def modality(self) -> str:
        """What the features describe: ``eeg``, ``audio`` or ``video``."""
        return str(self.entry.facts["modality"])

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features, or None where they are a tensor."""
        name = self.entry.facts["columns"]
        return tuple(name(**self.settings)) if name else None

    def identity(self) -> dict[str, Any]:
        """What tells features apart: they can meet where all of this is equal."""
        facts = self.entry.facts
        return {
            "modality": facts["modality"],
            "features": self.features,
            "features_version": facts["version"],
            "settings": self.settings,
            "rate": facts["rate"],
            "units": facts["units"],
        }

    def meta(self) -> dict[str, Any]:
        """What tables and models keep of the recipe."""
        identity = self.identity()
        segment = {"seconds": self.segment, "hop": self.hop} if self.segment else None
        return {**identity, "features_hash": hash_json(identity), "segment": segment}

    @classmethod
    def from_meta(cls, meta: dict[str, Any]) -> Recipe:
        """The recipe that a table or a model was made by.

        Raises
        ------
        SettingsError : this eavctl computes the set otherwise than the one that wrote ``meta``.
        DataError : settings that this eavctl does not take.
        """
        segment = meta["segment"] or {"seconds": None, "hop": None}
        try:
            recipe = cls(meta["features"], dict(meta["settings"]), segment["seconds"], segment["hop"])
        except UsageError as error:  # not the user's: the file was made by another version, or is damaged
            raise DataError(f"this eavctl cannot compute these features: {error}") from error
        identity = recipe.identity()
        if _plain(identity) != _plain({name: meta.get(name) for name in identity}):
            raise SettingsError(
                f"features {meta['features']!r} were made by version {meta['features_version']} of the set, "
                f"and this eavctl has version {recipe.entry.facts['version']}; extract and train again"
            )
        return recipe

    def for_data(self, manifest: Manifest) -> Recipe:
        """The recipe with the settings that the data decides: which EEG channels, and in which order.

        They are those of the first recording that can be read, unless the settings name them.
        """
        if "channels" not in self.settings or self.settings["channels"]:
            return self
        for path in dict.fromkeys(record["eeg_path"] for record in manifest.records()):
            with contextlib.suppress(SignalError), noting():
                channels = list(channels_of(manifest.root / path))
                return replace(self, settings={**self.settings, "channels": channels})
        return self

    @contextlib.contextmanager
    def open(self, source: Source) -> Iterator[Describe]:
        """Open a recording; yields a function that describes it, or a part of it, as samples.

        The function takes the start and the end in seconds of the part that counts (None for the whole)
        and the index of a trial, and returns samples in order of time. What is odd about a recording but
        does not stop the reading is a `RecordingWarning`.

        Parameters
        ----------
        source : a file's path, or an open binary file with a ``name``.

        Raises
        ------
        SignalError : the recording cannot be used at all; the function raises it for a trial.
        """
        with open_recording(source, self.entry, self.settings) as take:

            def describe(
                start: float | None = None, end: float | None = None, trial: int | None = None
            ) -> list[Sample]:
                whole = take(trial)
                spans = self._spans(source, start or 0.0, end, whole.duration)
                return [self._sample(whole, a, b) for a, b in spans]

            yield describe

    def _spans(
        self, source: Source, start: float, end: float | None, duration: float
    ) -> list[tuple[float, float]]:
        """Starts and ends of the samples in the part of a recording that counts, in seconds."""
        asked = duration if end is None else end
        first, last = max(start, 0.0), min(asked, duration)
        if last <= first:
            raise SignalError(f"{source}: has nothing between its start and end in the manifest")
        is_near = max(first - start, asked - last) <= FRAME_S + ROUNDING
        if not is_near:
            warnings.warn(
                f"{source}: the part from {start:.2f} to {asked:.2f} s of the manifest is not all in the "
                f"recording; {first:.2f} to {last:.2f} s are used",
                RecordingWarning,
                stacklevel=2,
            )
        if not self.segment:
            return [(start, asked) if is_near else (first, last)]
        if end is not None and is_near:  # the manifest says where it ends, for every modality alike
            spans = cut(end - first, self.segment, self.hop, lack=0.0)
        else:
            spans = cut(last - first, self.segment, self.hop)
        return [(first + a, first + b) for a, b in spans]

    def _sample(self, whole: Stretch, start: float, end: float) -> Sample:
        try:
            found = self.entry.thing(whole.cut(start, end), whole.rate, **self.settings)
        except SignalError as error:
            return Sample(start, end, None, str(error))
        x, account = found if isinstance(found, tuple) else (found, {})
        if not np.isfinite(x).all():
            return Sample(start, end, None, "its features are not finite numbers")
        return Sample(start, end, x, account=account)


def _plain(identity: dict[str, Any]) -> Any:
    """As JSON gives it back; numbers are compared by their value, for 40 and 40.0 are one setting."""
    return json.loads(canonical_json(identity))


@contextlib.contextmanager
def noting() -> Iterator[list[str]]:
    """Collect what is odd about recordings that are read in the block."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RecordingWarning)
        yield notes
        notes += [str(warning.message) for warning in caught]
