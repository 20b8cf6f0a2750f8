"""Interpolation of bad EEG channels from good ones by spherical splines.

Reference: Perrin, Pernier, Bertrand, Echallier, Spherical splines for scalp potential and current density
mapping, Electroencephalography and Clinical Neurophysiology 72, 1989. The weights are MNE's.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

import mne
import numpy as np

from eavctl.errors import SignalError

FEWEST_GOOD = 4
MOST_BAD = 0.25  # of the channels with known positions
LEAST_KNOWN = 0.5  # of all channels; other systems, such as BioSemi's A1 to D32, share a few of the names
BLOCK = 1 << 14  # samples: a long recording is not held in memory twice
MONTAGES = ("colin27_1005", "standard_1005")  # the same montage in newer and older versions of MNE


def interpolate(
    signal: np.ndarray, names: Sequence[str], bad: Collection[str], wanted: Sequence[str]
) -> None:
    """Interpolate channels, in place, from the good ones whose names are in the 10-05 system.

    The name gives the position of an electrode.

    Parameters
    ----------
    signal : shape (n_chans, n_times), in any unit.
    names : names of the channels of the signal.
    bad : names of all bad channels, which are not used as sources.
    wanted : names of the bad channels to interpolate.

    Raises
    ------
    SignalError : a wanted channel has no known position, fewer than 4 good channels have one, more than a
        quarter of the channels with one are bad, or fewer than half of all channels have one. The signal is
        unchanged then.
    """
    known = [name for name in names if name in _known_names()]
    good = [name for name in known if name not in bad]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SignalError(f"{unknown[0]} is not a name of the 10-05 system")
    if len(known) < LEAST_KNOWN * len(names):
        raise SignalError(f"only {len(known)} of {len(names)} names are in the 10-05 system")
    if len(good) < FEWEST_GOOD or len(known) - len(good) > MOST_BAD * len(known):
        raise SignalError(f"only {len(good)} of {len(known)} channels are good")
    weights = _weights(tuple(good), tuple(wanted))
    sources, targets = ([names.index(name) for name in each] for each in (good, wanted))
    for start in range(0, signal.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        signal[targets, block] = weights @ signal[sources, block]


@functools.cache
def _montage() -> Any:
    name = next(each for each in MONTAGES if each in mne.channels.get_builtin_montages())
    return mne.channels.make_standard_montage(name)


@functools.cache
def _known_names() -> frozenset[str]:
    return frozenset(_montage().ch_names)


def _raw(data: np.ndarray, names: Sequence[str]) -> Any:
    """Channels with their positions, as a recording of MNE."""
    info = mne.create_info(list(names), 1.0, "eeg")
    return mne.io.RawArray(data, info, verbose="ERROR").set_montage(_montage(), verbose="ERROR")


@functools.cache
def _centre() -> np.ndarray:
    """Centre of the sphere fitted to all positions of the montage, in metres.

    Not to the positions of one recording: a few electrodes may lie in one plane.
    """
    names = _montage().ch_names
    info = _raw(np.zeros((len(names), 1)), names).info
    _, centre, _ = mne.bem.fit_sphere_to_headshape(info, dig_kinds=("eeg",), units="m", verbose="ERROR")
    return np.asarray(centre)


@functools.lru_cache(maxsize=8)  # trials of one file often share their bad channels
def _weights(good: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Weight of each good channel in each wanted one, (n_wanted, n_good).

    Interpolation is linear, so interpolating unit vectors gives its weights, without a copy of the recording.
    """
    data = np.zeros((len(good) + len(wanted), len(good)))
    np.fill_diagonal(data, 1.0)
    raw = _raw(data, [*good, *wanted])
    raw.info["bads"] = list(wanted)
    raw.interpolate_bads(origin=_centre(), method={"eeg": "spline"}, verbose="ERROR")
    return np.asarray(raw.get_data(picks=list(wanted), verbose="ERROR"))


def located(names: Sequence[str]) -> tuple[list[str], Any]:
    """The channels whose names are in the 10-05 system, and MNE's description of them with their positions.

    None takes the place of the description where there are none.
    """
    known = [name for name in dict.fromkeys(names) if name in _known_names()]
    return known, _raw(np.zeros((len(known), 1)), known).info if known else None
