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
from eavctl.signals.eeg_montages import STANDARD, Montage, mne_name, on_a_head

FEWEST_GOOD = 4
MOST_BAD = 0.25  # of the channels with known positions
LEAST_KNOWN = 0.5  # of all channels; other systems, such as BioSemi's A1 to D32, share a few of the names
BLOCK = 1 << 14  # samples: a long recording is not held in memory twice

_Key = str | tuple[tuple[str, tuple[float, ...]], ...]  # a name, or positions by name, as keys of caches


def interpolate(
    signal: np.ndarray,
    names: Sequence[str],
    bad: Collection[str],
    wanted: Sequence[str],
    montage: str | Montage = STANDARD,
) -> None:
    """Interpolate channels, in place, from the good ones whose names are in a montage.

    Parameters
    ----------
    signal : shape (n_chans, n_times), in any unit.
    names : names of the channels of the signal.
    bad : names of all bad channels, which are not used as sources.
    wanted : names of the bad channels to interpolate.
    montage : where electrodes lie, by their names: ``10-05``, a name that MNE knows, or positions.

    Raises
    ------
    SignalError : a wanted channel has no known position, fewer than 4 good channels have one, more than a
        quarter of the channels with one are bad, or fewer than half of all channels have one. The signal is
        unchanged then.
    """
    key = _key(montage)
    known = [name for name in names if name in _known_names(key)]
    good = [name for name in known if name not in bad]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SignalError(f"{unknown[0]} is not a name of {_called(montage)}")
    if len(known) < LEAST_KNOWN * len(names):
        raise SignalError(f"only {len(known)} of {len(names)} names are in {_called(montage)}")
    if len(good) < FEWEST_GOOD or len(known) - len(good) > MOST_BAD * len(known):
        raise SignalError(f"only {len(good)} of {len(known)} channels are good")
    weights = _weights(key, tuple(good), tuple(wanted))
    sources, targets = ([names.index(name) for name in each] for each in (good, wanted))
    for start in range(0, signal.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        signal[targets, block] = weights @ signal[sources, block]


def _called(montage: str | Montage) -> str:
    if montage == STANDARD:
        return f"the {STANDARD} system"
    return f"the montage {montage}" if isinstance(montage, str) else "the montage"


def _key(montage: str | Montage) -> _Key:
    if isinstance(montage, str):
        return montage
    return tuple((name, tuple(position)) for name, position in montage.items())


@functools.lru_cache(maxsize=8)
def _montage(key: _Key) -> Any:
    if not isinstance(key, str):
        return mne.channels.make_dig_montage(
            {name: np.array(position) for name, position in on_a_head(dict(key)).items()}, coord_frame="head"
        )
    return mne.channels.make_standard_montage(mne_name("colin27_1005" if key == STANDARD else key))


@functools.lru_cache(maxsize=8)
def _known_names(key: _Key) -> frozenset[str]:
    return frozenset(_montage(key).ch_names)


def _raw(key: _Key, data: np.ndarray, names: Sequence[str]) -> Any:
    """Channels with their positions, as a recording of MNE."""
    info = mne.create_info(list(names), 1.0, "eeg")
    return mne.io.RawArray(data, info, verbose="ERROR").set_montage(_montage(key), verbose="ERROR")


@functools.lru_cache(maxsize=8)
def _centre(key: _Key) -> np.ndarray:
    """Centre of the sphere fitted to all positions of the montage, in metres.

    Not to the positions of one recording: a few electrodes may lie in one plane.
    """
    names = _montage(key).ch_names
    info = _raw(key, np.zeros((len(names), 1)), names).info
    _, centre, _ = mne.bem.fit_sphere_to_headshape(info, dig_kinds=("eeg",), units="m", verbose="ERROR")
    return np.asarray(centre)


@functools.lru_cache(maxsize=8)  # trials of one file often share their bad channels
def _weights(key: _Key, good: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Weight of each good channel in each wanted one, (n_wanted, n_good).

    Interpolation is linear, so interpolating unit vectors gives its weights, without a copy of the recording.
    """
    data = np.zeros((len(good) + len(wanted), len(good)))
    np.fill_diagonal(data, 1.0)
    raw = _raw(key, data, [*good, *wanted])
    raw.info["bads"] = list(wanted)
    raw.interpolate_bads(origin=_centre(key), method={"eeg": "spline"}, verbose="ERROR")
    return np.asarray(raw.get_data(picks=list(wanted), verbose="ERROR"))


def known_names(montage: str | Montage) -> frozenset[str]:
    """The names of the electrodes of a montage."""
    return _known_names(_key(montage))


def located(names: Sequence[str]) -> tuple[list[str], Any]:
    """The channels whose names are in the 10-05 system, and MNE's description of them with their positions.

    None takes the place of the description where there are none.
    """
    known = [name for name in dict.fromkeys(names) if name in _known_names(STANDARD)]
    return known, _raw(STANDARD, np.zeros((len(known), 1)), known).info if known else None
