"""What a model takes of a window, and the tracks that keep it: of live sessions, and of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from eavctl.live.frame_track import FrameTrack
from eavctl.live.tracks import SampledTrack, Track

if TYPE_CHECKING:  # the service's parent process has no predictor
    from eavctl.predicting.predictor import Predictor


class Given(Protocol):
    """What is known of a source before its data; see `eavctl.live.chunk.Source`."""

    @property
    def name(self) -> str:
        """For errors."""
        ...

    @property
    def modality(self) -> str:
        """``audio``, ``eeg`` or ``video``."""
        ...

    @property
    def rate(self) -> float:
        """Samples or frames a second."""
        ...

    @property
    def ch_names(self) -> Sequence[str]:
        """Of EEG."""
        ...

    @property
    def is_recorded(self) -> bool:
        """Whether it is a file or a pipe."""
        ...


class Needs(NamedTuple):
    """What a model takes of a window.

    Parameters
    ----------
    seconds : its length.
    frames : of video; 0 where the model takes none.
    margin_s : of EEG, before the window.
    """

    seconds: float
    frames: int
    margin_s: float

    @classmethod
    def of(cls, predictor: Predictor) -> Needs:
        """What a model takes; of several streams of one modality, the most."""
        recipes = [stream.recipe for stream in predictor.streams]
        frames = (each.base.settings.get("n_frames", 1) for each in recipes if each.modality == "video")
        return cls(predictor.window_s, max(frames, default=0), max(each.margin_s for each in recipes))

    @property
    def margins(self) -> dict[str, float]:
        """Seconds before the window, by modality."""
        return {"eeg": self.margin_s}

    def track(self, source: Given, spare_s: float) -> Track:
        """The track of a source, of samples for windows that wait for so many seconds to be judged."""
        if source.modality == "video":
            return FrameTrack(self.frames, self.seconds, source.rate, source.is_recorded, source.name)
        kept_s = self.seconds + spare_s + self.margins.get(source.modality, 0.0)
        n_chans = len(source.ch_names) if source.modality == "eeg" else None
        return SampledTrack(n_chans, source.rate, kept_s, source.ch_names, source.name)
