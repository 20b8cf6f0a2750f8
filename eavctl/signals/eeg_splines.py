"""Bad EEG channels made anew from the good ones around them, by spherical splines.

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
MOST_BAD = 0.25  # of the channels whose places are known
LEAST_KNOWN = 0.5  # of all channels; other systems, such as BioSemi's A1 to D32, share a few of the names
AT_ONCE = 1 << 14  # samples: a long recording is not held twice
MONTAGES = ("colin27_1005", "standard_1005")  # one, as newer and older versions of MNE call it


def interpolate(
    signal: np.ndarray, names: Sequence[str], bad: Collection[str], wanted: Sequence[str]
) -> None:
    """Interpolate channels, in place, from the good ones whose places in the 10-05 system are known by name.

    Parameters
    ----------
    signal : shape (n_chans, n_times), in any unit.
    names : of its channels.
    bad : names of all that are bad; they take no part.
    wanted : those of them that are to be interpolated.

    Raises
    ------
    SignalError : a place is not known, fewer than 4 good channels have known places, more than a quarter of
        those with known places are bad, or fewer than half of all names are known. Nothing is changed then.
    """
    known = [name for name in names if name in _places()]
    good = [name for name in known if name not in bad]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SignalError(f"{unknown[0]} is no name of the 10-05 system")
    if len(known) < LEAST_KNOWN * len(names):
        raise SignalError(f"only {len(known)} of {len(names)} names are of the 10-05 system")
    if len(good) < FEWEST_GOOD or len(known) - len(good) > MOST_BAD * len(known):
        raise SignalError(f"only {len(good)} of {len(known)} channels are good")
    weights = _weights(tuple(good), tuple(wanted))
    sources, targets = ([names.index(name) for name in each] for each in (good, wanted))
    for start in range(0, signal.shape[1], AT_ONCE):
        part = slice(start, start + AT_ONCE)
        signal[targets, part] = weights @ signal[sources, part]


@functools.cache
def _montage() -> Any:
    name = next(each for each in MONTAGES if each in mne.channels.get_builtin_montages())
    return mne.channels.make_standard_montage(name)


@functools.cache
def _places() -> frozenset[str]:
    return frozenset(_montage().ch_names)


def _raw(data: np.ndarray, names: Sequence[str]) -> Any:
    """Channels at their places, as a recording of MNE."""
    info = mne.create_info(list(names), 1.0, "eeg")
    return mne.io.RawArray(data, info, verbose="ERROR").set_montage(_montage(), verbose="ERROR")


@functools.cache
def _centre() -> np.ndarray:
    """Of the head, in metre: of the sphere through all places, since few may lie in one plane."""
    names = _montage().ch_names
    info = _raw(np.zeros((len(names), 1)), names).info
    _, centre, _ = mne.bem.fit_sphere_to_headshape(info, dig_kinds=("eeg",), units="m", verbose="ERROR")
    return np.asarray(centre)


@functools.lru_cache(maxsize=8)  # trials of one file often have the same bad channels
def _weights(good: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Weights of the good channels in each one wanted, (n_wanted, n_good).

    Interpolation is linear: what it makes of unit vectors are its weights, and the recording itself need not
    be copied.
    """
    data = np.zeros((len(good) + len(wanted), len(good)))
    np.fill_diagonal(data, 1.0)
    raw = _raw(data, [*good, *wanted])
    raw.info["bads"] = list(wanted)
    raw.interpolate_bads(origin=_centre(), method={"eeg": "spline"}, verbose="ERROR")
    return np.asarray(raw.get_data(picks=list(wanted), verbose="ERROR"))
