"""Feature set ``eeg-epochs``: the filtered signal, for networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eavctl.features.eeg_alignment import euclidean
from eavctl.features.eeg_preparation import PREPARED, check_segment, check_settings
from eavctl.registry import register


@register(
    "features",
    "eeg-epochs",
    version=2,
    columns=None,
    units="microvolt",
    check=check_settings,
    band_axis=0,
    align=euclidean,
    **PREPARED,
)
def eeg_epochs(
    signal: np.ndarray,
    sfreq: float,
    *,
    channels: Sequence[str] | None = None,
) -> np.ndarray:
    """The signal after `prepare`, that is, band-pass filtered and resampled.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`.
    sfreq : sampling rate, Hz, after `prepare`.
    channels : names of the channels.

    Returns
    -------
    float32, shape (n_chans, n_times), microvolt.

    Raises
    ------
    SignalError : empty, not finite, or a channel is flat (deviates by less than 0.01 microvolt).

    References
    ----------
    Lee et al., EAV: EEG-Audio-Video dataset, Scientific Data 11, 2024 (0.5 to 50 Hz, 100 Hz).
    """
    check_segment(signal, channels)
    return signal.astype(np.float32)
