"""What the rows of a batch are, and the order of axes in which augmentations take them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from eavctl import registry
from eavctl.storage.metadata import FeatureMeta

IMAGES, SPECTROGRAMS, EEG = "images", "spectrograms", "eeg"
CHANNELS = (1, 3)  # of pictures: grey, or RGB


@dataclass(frozen=True)
class Kind:
    """What rows are.

    Parameters
    ----------
    name : ``images``, ``spectrograms`` or ``eeg``.
    frames_first : rows of a spectrogram are (n_frames, n_mels) instead of (n_mels, n_frames).
    padding : value of the frames that pad a short clip's spectrogram.
    decibels : dB that one unit of a spectrogram is; None where that is not known.
    band : edges of the pass-band of EEG, Hz.
    sfreq : sampling rate of EEG, Hz; None where that is not known.
    """

    name: str
    frames_first: bool = False
    padding: float = 0.0
    decibels: float | None = None
    band: tuple[float, float] = (0.0, math.inf)
    sfreq: float | None = None

    @classmethod
    def of(cls, features: FeatureMeta | Mapping[str, Any]) -> Self | None:
        """The kind of a table's rows, by its metadata; None for columns, and other rows of no known kind.

        Raises
        ------
        UsageError : the feature set is not registered.
        """
        known = features._asdict() if isinstance(features, FeatureMeta) else features
        if known.get("columns") is not None:
            return None
        modality, shape = known["modality"], tuple(known["shape"])
        if modality == "video":
            return cls(IMAGES) if _holds_pictures(shape) else None
        facts = registry.get("features", known["features"]).facts
        if len(shape) != 2 or facts.get("band_axis") is None:
            return None
        if modality == "eeg":
            settings = known["settings"]
            band = (settings.get("low", 0.0), settings.get("high", math.inf))
            return cls(EEG, band=band, sfreq=settings.get("rate"))
        if known.get("normalized"):  # standardised values have no unit, and padding of 0
            return cls(SPECTROGRAMS, facts["band_axis"] == 1)
        return cls(SPECTROGRAMS, facts["band_axis"] == 1, facts.get("padding") or 0.0, facts.get("decibels"))

    def unpacked(self, x: Tensor) -> Tensor:
        """Rows in the order of axes that augmentations take, float32.

        Pictures are (batch, n_frames, channels, height, width), of values from 0 to 255; spectrograms
        (batch, n_mels, n_frames); EEG (batch, n_chans, n_times). The result may share the memory of ``x``.
        """
        if self.name == IMAGES:
            clips = x if x.ndim == 5 else x[:, None]
            return clips.to(torch.float32).permute(0, 1, 4, 2, 3).contiguous()
        return (x.transpose(1, 2) if self.frames_first else x).to(torch.float32)

    def packed(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """What `unpacked` gave, with the axes in the order that rows (batch, *shape) have."""
        if self.name == IMAGES:
            return x.permute(0, 1, 3, 4, 2).reshape(len(x), *shape)
        return x.transpose(1, 2).contiguous() if self.frames_first else x


def _holds_pictures(shape: Sequence[int]) -> bool:
    """Whether rows are pictures (height, width, channels), or clips of them (n_frames, ...)."""
    return len(shape) in (3, 4) and shape[-1] in CHANNELS
