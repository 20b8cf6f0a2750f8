"""How a recording becomes features: kept in every table and model, so that predict repeats extract."""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl import registry
from eavctl.errors import DataError, RecordingWarning, SettingsError, SignalError, UsageError
from eavctl.extraction.cutting import Cutting
from eavctl.extraction.interfaces import Weights, Whose
from eavctl.extraction.open_recording import Source, Stretch, StretchOf, open_recording
from eavctl.signals.accounts import FIT
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.provenance import canonical_json, hash_json
from eavctl.storage.remote import local
from eavctl.storage.remote_tree import named_by_url, told

if TYPE_CHECKING:
    from eavctl.datasets.manifest import Manifest  # judging single recordings needs no Arrow
    from eavctl.signals.faces import Chooser


SURE = 0.2  # fit of a face from which on it is said to be the one that was meant


class Sample(NamedTuple):
    """One segment of a recording, or all of it, with its features.

    Parameters
    ----------
    start, end : in seconds.
    x : the features; None where they cannot be computed, for the ``reason``.
    account : what the feature set reports of them, such as the share of frames with a face.
    """

    start: float
    end: float
    x: np.ndarray | None
    reason: str = ""
    account: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Recipe:
    """A feature set with its settings, and how recordings are cut.

    Parameters
    ----------
    features : name of a registered feature set.
    settings : keyword settings of the set; those left out have their defaults.
    segment, hop, epoch : how recordings are cut, see `eavctl.extraction.cutting.Cutting`; extraction fills
        the epoch in.
    only_speech : compute no features of audio without speech.
    who : whose face is followed; None for the largest. It changes which features a recording has, and not
        what they are: a model takes those of any choice.

    Raises
    ------
    UsageError : no such set or setting, a value that the setting does not take, a cutting as `Cutting`
        refuses it, or a face is to be chosen where features follow none.

    Attributes
    ----------
    weights : the weights of a pretrained encoder, as `with_weights` found them; None before, and for feature
        sets without. Their place is no part of the recipe; their identity is, as the setting ``weights``.
    """

    features: str = "functionals"
    settings: dict[str, Any] = field(default_factory=dict)
    segment: float | None = None
    hop: float | None = None
    weights: Weights | None = field(default=None, compare=False)
    only_speech: bool = False
    who: Whose | None = None
    epoch: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hop", self.cutting.hop)
        object.__setattr__(self, "epoch", self.cutting.epoch)
        object.__setattr__(self, "settings", self.entry.with_defaults(self.settings))
        if self.cutting.row_s:
            self._check_rows()
        if self.who is not None and not self.follows_a_face:
            raise UsageError(
                f"--who chooses a face: it is for faces and face-stats, and {self.features!r} with these "
                "settings follows none"
            )

    @cached_property
    def cutting(self) -> Cutting:
        """How recordings are cut into rows."""
        return Cutting(self.segment, self.hop, self.epoch)

    @property
    def entry(self) -> registry.Entry:
        """The registered feature set."""
        return registry.get("features", self.features)

    @cached_property
    def base(self) -> Recipe:
        """The recipe of the features that are computed from the signal itself.

        That of the features which a pretrained encoder embeds, for a feature set of embeddings, and else this
        one.

        Raises
        ------
        UsageError : an encoder is needed, and `with_weights` has found none yet; or it takes features that
            need another.
        DataError, SettingsError : as `from_meta`, of the features that the encoder takes.
        """
        name = self.entry.facts.get("base")
        if name is None:
            return self
        if not (of := self.settings[name]):
            raise UsageError(f"features {self.features!r} need an encoder: name its file with --weights")
        meta = FeatureMeta.from_json({**of, "features_hash": hash_json(of)}, f"features {self.features!r}")
        if "weights" in registry.get("features", meta.features).facts:
            raise UsageError(
                f"features {self.features!r} of {meta.features!r} would need two encoders; pretrain on "
                "features that need none"
            )
        return replace(Recipe.from_meta(meta), who=self.who, epoch=self.epoch)

    @property
    def follows_a_face(self) -> bool:
        """Whether the features are of one person's face, which `who` can choose."""
        base = self.base
        follows = base.entry.facts.get("who")
        return follows is not None and bool(follows(**base.settings))

    @property
    def modality(self) -> str:
        """What recordings the features are of: ``eeg``, ``audio`` or ``video``."""
        return str(self.base.entry.facts["modality"])

    @property
    def rate(self) -> float | None:
        """Samples a second of audio that the features take; None for any, and of other modalities."""
        found: float | None = self.base.entry.facts["rate"]
        return found

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features, or None where they are a tensor."""
        name = self.entry.facts["columns"]
        return tuple(name(**self.settings)) if name else None

    @property
    def margin_s(self) -> float:
        """Seconds that a window needs before it, as `eavctl.extraction.open_recording.Signal.margin`.

        With them, the filter of EEG has settled to a millionth when the window begins. They are whole
        seconds, so that resampled values lie at the same times with and without them; 0 of other modalities.
        """
        margin = self.base.entry.facts.get("margin")
        return float(math.ceil(margin(**self.base.settings))) if margin else 0.0

    def identity(self) -> dict[str, Any]:
        """What must be equal for a model to take the features."""
        facts = self.entry.facts
        # Settings that are younger than the set, so that their defaults change no hash.
        added = facts.get("added", {})
        settings = {k: v for k, v in self.settings.items() if k not in added or v != added[k]}
        return {
            "modality": self.modality,
            "features": self.features,
            "features_version": facts["version"],
            "settings": settings,
            "rate": self.rate,
            "units": facts["units"],
        }

    def meta(self) -> dict[str, Any]:
        """What tables and models keep of the recipe, JSON-able."""
        identity = self.identity()
        segment = {"seconds": self.segment, "hop": self.hop} if self.segment else None
        epoch = {"epoch": list(self.epoch)} if self.epoch else {}
        who = {"who": self.who.identity} if self.who else {}
        return {**identity, "features_hash": hash_json(identity), "segment": segment, **epoch, **who}

    @classmethod
    def from_meta(cls, meta: FeatureMeta) -> Recipe:
        """Rebuild the recipe of a table or a model from its metadata.

        Raises
        ------
        SettingsError : this eavctl has another version of the feature set.
        DataError : this eavctl has no such feature set, or it does not take the settings.
        """
        seconds, hop = (meta.segment["seconds"], meta.segment["hop"]) if meta.segment else (None, None)
        only_speech = meta.modality == "audio" and bool(meta.speech)
        try:
            cutting: dict[str, Any] = {"segment": seconds, "hop": hop, "epoch": meta.epoch}
            recipe = cls(meta.features, dict(meta.settings), only_speech=only_speech, **cutting)
            identity = recipe.identity()
        except UsageError as error:  # not the user's fault: the file is of another version, or damaged
            raise DataError(f"this eavctl cannot compute these features: {error}") from error
        if _plain(identity) != _plain({name: getattr(meta, name) for name in identity}):
            raise SettingsError(
                f"features {meta.features!r} were made by version {meta.features_version} of the set, "
                f"and this eavctl has version {recipe.entry.facts['version']}; extract and train again"
            )
        return recipe

    def for_data(self, manifest: Manifest) -> Recipe:
        """The recipe with the settings filled in that depend on the recordings, unless they are given.

        The EEG channels and their order are those of the first recording that can be read, and the positions
        of electrodes stand instead of their file; size and colour of pictures are those of the data set; an
        epoch is that of the manifest.
        """
        if manifest.epoch != self.epoch:
            return replace(self, epoch=manifest.epoch).for_data(manifest)
        self.base._check_rows()
        if settings_for := self.entry.facts.get("settings_for"):
            paths = dict.fromkeys(record[f"{self.modality}_path"] for record in manifest.records())
            with noting(), named_by_url():  # the extraction will say what is odd about them
                settings = settings_for([manifest.root / path for path in paths], self.settings)
            return replace(self, settings=settings)
        return self

    def told(self) -> list[str]:
        """What the settings do to the recordings, in one line each."""
        tell = self.base.entry.facts.get("told")
        return tell(**self.base.settings) if tell else []

    @property
    def needs_weights(self) -> bool:
        """Whether the feature set computes by the weights of a pretrained encoder."""
        return "weights" in self.entry.facts

    def with_weights(self, *paths: str | os.PathLike[str]) -> Recipe:
        """The recipe with the weights found that its feature set needs, if it needs some.

        Where the weights are chosen by this, recordings are cut as those of the encoder's pretraining.

        Parameters
        ----------
        paths : folders of checkpoints, as transformers writes them, or files of ``eavctl pretrain``; without
            them, the weights of an installed package are taken.

        Raises
        ------
        DataError : the weights are nowhere, or a path is no checkpoint and no encoder.
        UsageError : paths for a feature set that takes no weights; a setting that does not fit the weights;
            or segments of another length than those of the pretraining.
        """
        if not self.needs_weights:
            if paths:
                raise UsageError(f"features {self.features!r} take no --weights, which name {paths[0]}")
            return self
        if self.weights and not paths:
            return self
        found: Weights = self.entry.facts["weights"]([*map(local, paths)], self.settings)
        chosen = replace(self, settings={**self.settings, **found.settings}, weights=found)
        pretrained = getattr(found, "segment", None)
        return chosen if self.settings["weights"] or not pretrained else chosen._cut_as(pretrained)

    def _cut_as(self, pretrained: Mapping[str, float]) -> Recipe:
        """The recipe with the segments of a pretraining, unless it has equally long ones of its own."""
        if self.segment is None:
            return replace(self, segment=pretrained["seconds"], hop=pretrained["hop"])
        if self.segment != pretrained["seconds"]:
            raise UsageError(
                f"--segment {self.segment:g}: the encoder was pretrained on segments of "
                f"{pretrained['seconds']:g} s; omit --segment, or give the same"
            )
        return self

    def _check_rows(self) -> None:
        if check := self.entry.facts.get("check_rows"):
            check(self.cutting.tmin, self.cutting.row_s, **self.settings)
        shortest, seconds = self.entry.facts.get("shortest_s", 0.0), self.cutting.row_s
        if seconds and seconds < shortest:
            raise UsageError(
                f"{seconds:g} s are too short for {self.features!r}: give segments or epochs of "
                f"{shortest:g} s or more"
            )

    def _corrected(self, signal: Any, rate: float) -> Any:
        """A row as the feature set takes it: EEG with its baseline subtracted, unless it is rejected."""
        correct = self.entry.facts.get("correct")
        if correct is None:
            return signal
        given = registry.taken(correct, self.settings)
        return correct(signal, rate, self.cutting.tmin, self.settings["channels"], **given)

    @property
    def chooser(self) -> Chooser | None:
        """How well faces fit, for `who`; it is kept for the next call.

        Raises
        ------
        DataError : the grounding model cannot be read.
        """
        return None if self.who is None else _chooser(self.who)

    def compute(self, signal: Any, rate: float) -> Any:
        """The features of a whole signal: an array, or an array with an account."""
        found = self.with_weights().weights
        encoder = [found.load()] if found else []
        if self.base is self:
            chooser = [self.chooser] if self.who else []
            signal = self._corrected(signal, rate)
            return self.entry.thing(signal, rate, *encoder, *chooser, **self.entry.own(self.settings))
        x, account = _parts(self.base.compute(signal, rate))
        embedded = self.entry.thing(x, rate, *encoder, **self.entry.own(self.settings))
        return embedded if account is None else (embedded, account)

    def open(self, source: Source) -> AbstractContextManager[StretchOf]:
        """Open a recording: ``with recipe.open(path) as stretch_of: recipe.describe(stretch_of())``.

        What is odd about a recording but does not stop the reading is a `RecordingWarning`.

        Parameters
        ----------
        source : a file's path, an open binary file with a ``name``, or arrays, as a
            `eavctl.extraction.open_recording.Signal`.

        Raises
        ------
        SignalError : the recording cannot be used.
        """
        return open_recording(source, self.base.entry, self.base.settings)

    def describe(
        self, stretch: Stretch, start: float | None = None, end: float | None = None
    ) -> list[Sample]:
        """Compute the features of a stretch, cut into the recipe's segments.

        Extraction, prediction, live windows and distributed tasks all call this function.

        Parameters
        ----------
        stretch : of an open recording (see `open`).
        start, end : in seconds, of the part to describe, as a manifest gives them; None for the whole.

        Returns
        -------
        Samples in order of time; one where the recipe takes recordings whole. A sample whose features cannot
        be computed has the reason.

        Raises
        ------
        SignalError : nothing lies between ``start`` and ``end``, there are too many segments, or a recording
            that is not cut at events is longer than the epochs of the recipe.
        """
        samples = [self._sample(stretch, a, b) for a, b in self.cutting.spans(stretch, start or 0.0, end)]
        _tell_of_doubt(stretch.name, samples)
        return samples

    def holds_speech(self, stretch: Stretch, start: float | None = None, end: float | None = None) -> bool:
        """Whether the part of a recording with audio from ``start`` to ``end``, in seconds, holds speech."""
        from eavctl.features.speech_activity import holds_speech

        last = stretch.duration if end is None else min(end, stretch.duration)
        return holds_speech(stretch.cut(max(start or 0.0, 0.0), last), stretch.rate)

    def _sample(self, stretch: Stretch, start: float, end: float) -> Sample:
        try:
            part = stretch.cut(start, end)
            if self.only_speech:
                from eavctl.features.speech_activity import require_speech

                require_speech(part, stretch.rate)
            found = self.compute(part, stretch.rate)
        except SignalError as error:
            return Sample(start, end, None, str(error))
        x, account = _parts(found)
        if not np.isfinite(x).all():
            return Sample(start, end, None, "its features are not finite numbers")
        return Sample(start, end, x, account=account)


@lru_cache(maxsize=1)  # one grounding model in memory
def _chooser(who: Whose) -> Chooser:
    from eavctl.signals.faces import choosing_once

    return choosing_once(who.load())


def _parts(found: Any) -> tuple[np.ndarray, Mapping[str, float] | None]:
    """What a feature set returned, as features and account."""
    return found if isinstance(found, tuple) else (found, None)


def _tell_of_doubt(name: str, samples: Sequence[Sample]) -> None:
    """Warn where no face fits what is wanted well."""
    fit = min((each.account[FIT] for each in samples if each.account and FIT in each.account), default=1.0)
    if fit < SURE:
        text = f"{name}: no face clearly fits --who; the one that fits best is followed"
        warnings.warn(text, RecordingWarning, stacklevel=3)


def _plain(identity: dict[str, Any]) -> Any:
    """As read back from JSON; numbers then compare by value, for 40 and 40.0 are one setting."""
    return json.loads(canonical_json(identity))


@contextlib.contextmanager
def noting() -> Iterator[list[str]]:
    """Collect the `RecordingWarning` messages of the block; other warnings are dropped."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RecordingWarning)
        yield notes
        notes += [told(str(warning.message)) for warning in caught]
