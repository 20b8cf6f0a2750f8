"""Settings of a live session."""

from __future__ import annotations

from dataclasses import dataclass

from eavctl.errors import UsageError

HOP_S = 1.0
BOUNDS = {  # seconds; of speed, times its own
    "window": (0.1, 60.0),
    "hop": (0.05, 60.0),
    "tolerance": (0.0, 5.0),
    "speed": (0.1, 1000.0),
    "smooth": (0.0, 600.0),
}


@dataclass(frozen=True)
class LiveSettings:
    """How windows are made and judged.

    Parameters
    ----------
    window : seconds; None takes the model's (see `Predictor.window_s`).
    hop : seconds from the start of one window to the next; None is one second, or the window where that is
        shorter.
    tolerance : seconds by which the times of modalities may differ, and for which a window waits.
    speed : of files, times their own.
    is_adaptive : lower the quality where answers come late; never at a speed above 1.
    smooth : seconds over which probabilities are smoothed; 0 for none.

    Raises
    ------
    UsageError : a number is out of range.
    """

    window: float | None = None
    hop: float | None = None
    tolerance: float = 0.1
    speed: float = 1.0
    is_adaptive: bool = True
    smooth: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UsageError(f"--{name} must be from {least:g} to {most:g}, not {value:g}")

    def hop_of(self, window_s: float) -> float:
        """Seconds from one window of that length to the next."""
        return min(HOP_S, window_s) if self.hop is None else self.hop
