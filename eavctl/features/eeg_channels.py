"""Channels of EEG before they are filtered: which ones are used, bad ones, and the reference.

The keyword-only parameters of `recorded` and `chosen` are settings of every feature set of EEG.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eavctl.errors import DataError, SignalError, UsageError
from eavctl.registry import taken
from eavctl.signals import eeg
from eavctl.signals.eeg_file import Dropouts, EegFile, Mending, listed
from eavctl.signals.eeg_montages import check_montage, kept
from eavctl.signals.eeg_names import clean_name
from eavctl.signals.eeg_outliers import NOISY, UNCORRELATED
from eavctl.signals.eeg_reference import AVERAGE, MASTOIDS, electrodes_of, named

FOUND = "found"  # among the bads: those that are found
FEWEST_AVERAGED = 2

Placing = str | Mapping[str, tuple[float, float, float]]  # name or file of a montage, or its positions

ADDED = {"reference": None, "montage": None, "bads": None, "bad_channels": "interpolate"}


def recorded(
    file: EegFile,
    trial: int | None,
    channels: Sequence[str],
    *,
    reference: str | None = None,
    montage: Placing | None = None,
    bads: Sequence[str] | None = None,
) -> tuple[np.ndarray, Dropouts]:
    """Read channels of EEG: bad ones are interpolated, and then the reference is subtracted.

    With spherical splines, which keep a constant, it is the same to interpolate after the reference is
    subtracted, as long as bad channels are no part of it.

    Parameters
    ----------
    file : the open recording.
    trial : index of the trial, from 0; None for a continuous recording.
    channels : names of the channels, as `chosen` returns them.
    reference : what is subtracted from every channel: ``average`` (the mean of the channels that are not
        bad), a channel such as ``Cz``, the mean of several such as ``M1+M2``, or ``mastoids``, the pair of
        M1+M2, TP9+TP10, A1+A2 that the recording has; None leaves the reference of the recording. The
        channels of the reference leave the features.
    montage : where the electrodes lie, for the interpolation of bad channels: a montage of MNE such as
        ``biosemi64``, a file of electrodes (``.sfp``, ``.elc``, ``.loc``, ``.bvef``, ``electrodes.tsv``,
        ...), or positions by name; None takes ``electrodes.tsv`` of BIDS, or else the 10-05 system.
    bads : names of channels that are bad in every recording. The name ``found`` adds those of each
        recording of 8 channels and 10 s or more that are of far larger amplitude than the others, or
        correlated with no other, see `eavctl.signals.eeg_outliers.outlying`.

    Returns
    -------
    float64, shape (n_chans, n_times), microvolt; and the dropouts of the channels and the reference, found
    before the reference is subtracted, because a flat channel is no longer flat after it.

    Raises
    ------
    SignalError : as `EegFile.read`; or the reference is bad or is no channel of the recording.

    References
    ----------
    Yao et al., Which reference should we use for EEG and ERP practice?, Brain Topography 32, 2019.
    """
    against = _reference(file, reference)
    wanted = [*channels, *against]
    mending = Mending([name for name in _names(bads) if name != FOUND], FOUND in (bads or ()), montage)
    signal, bad = file.read_mended(trial, wanted, mending)
    dropouts = Dropouts.of(signal[:, file.n_before :], file.sfreq, wanted, file.gaps)
    if reference is None:
        return signal, dropouts
    if broken := [name for name in against if name in bad]:
        raise SignalError(f"{file.path}: the reference {listed(broken)} is a bad channel; choose another")
    used = np.array([name not in bad if reference == AVERAGE else name in against for name in wanted], float)
    if reference == AVERAGE and used.sum() < FEWEST_AVERAGED:
        raise SignalError(f"{file.path}: an average reference needs {FEWEST_AVERAGED} good channels or more")
    own = signal[: len(channels)]
    own -= used / used.sum() @ signal
    return own, dropouts


def chosen(
    ch_names: Sequence[str],
    channels: Sequence[str] | None,
    *,
    reference: str | None = None,
    bads: Sequence[str] | None = None,
    bad_channels: Literal["interpolate", "drop"] = "interpolate",
) -> tuple[str, ...]:
    """The channels that the features have, of those that a recording has.

    Parameters
    ----------
    ch_names : names of the channels of the recording.
    channels : names of those asked for; None for all.
    reference : its channels are left out: they would be flat.
    bads : names of channels that are bad in every recording.
    bad_channels : ``interpolate`` them; or ``drop`` those that ``bads`` names from all recordings, so that
        all have equal channels. Channels that are bad in some recordings only are interpolated in any case.

    Returns
    -------
    Names in the order of ``channels``, or else of the recording.

    Raises
    ------
    SignalError : the recording does not have the reference, or no channel is left.
    """
    left_out = {*electrodes_of(reference, ch_names), *(_names(bads) if bad_channels == "drop" else ())}
    found = tuple(name for name in channels or ch_names if name not in left_out)
    if not found:
        raise SignalError("no channels are left beside the reference and the bad ones")
    return found


def channels_of(file: EegFile, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The channels that the features of an open recording have, see `chosen`.

    Parameters
    ----------
    file : the open recording.
    settings : of the feature set.

    Raises
    ------
    SignalError : as `chosen`; or some of them are missing in the recording.
    """
    try:
        found = chosen(file.ch_names, settings["channels"], **taken(chosen, settings))
    except SignalError as error:
        raise SignalError(f"{file.path}: {error}") from None
    file.places(found)
    return found


def settings_for(files: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as tables and models keep them.

    The channels and their order are those of the first recording that can be read, unless they are given;
    without those of the reference, and without the bad ones that are dropped. Instead of the path of a file
    of electrodes, there are their positions.

    Raises
    ------
    UsageError : the file of electrodes cannot be read; or the first recording lacks a channel that ``bads``
        names, or fewer than half of its channels are in the montage.
    DataError : no recording has the reference and the channels asked for.
    """
    montage = settings["montage"]
    if montage is not None:
        try:
            montage = kept(montage)
        except SignalError as error:
            raise UsageError(f"montage: {error}") from None
    found = {**settings, "montage": montage}
    lacking: SignalError | None = None
    for path in files:
        with contextlib.suppress(SignalError), eeg.open_eeg(path) as file:
            try:
                channels = channels_of(file, settings)
            except SignalError as error:
                lacking = lacking or error
                continue
            _check_names(file, montage, settings["bads"])
            return {**found, "channels": list(channels)}
    if lacking:
        raise DataError(f"{lacking}; and no other recording fits")
    return found


def _check_names(file: EegFile, montage: Placing | None, bads: Sequence[str] | None) -> None:
    absent = [name for name in _names(bads) if name not in (*file.ch_names, FOUND)]
    if absent:
        raise UsageError(
            f"bads: {file.path} has no channel {listed(absent)}; it has {len(file.ch_names)}, such as "
            f"{listed(file.ch_names[:5])}"
        )
    if montage is not None:
        from eavctl.signals.eeg_splines import LEAST_KNOWN, known_names  # imports MNE, which takes a second

        known = known_names(montage)
        n_known = sum(name in known for name in file.ch_names)
        if n_known < LEAST_KNOWN * len(file.ch_names):
            raise UsageError(
                f"montage: it has {n_known} of the {len(file.ch_names)} channels of {file.path}, such as "
                f"{listed(file.ch_names[:3])}; its own names are {listed(sorted(known)[:5])}, ..."
            )


def check_channels(
    *,
    channels: Sequence[str] | None,
    reference: str | None,
    montage: Placing | None,
    bads: Sequence[str] | None,
    bad_channels: str,
) -> None:
    """Check the settings together before a recording is opened.

    Raises
    ------
    UsageError : they contradict each other, or the montage is unknown.
    """
    if channels and len(set(channels)) < len(channels):
        raise UsageError(f"channels: a name is repeated: {listed(channels)}")
    against = named(reference) if reference else ()
    if "" in against or len(set(against)) < len(against):
        raise UsageError(f"reference: {reference!r}; give average, mastoids, or names such as Cz or M1+M2")
    if both := [name for name in against if name in _names(bads)]:
        raise UsageError(f"reference: {listed(both)} is one of the bads")
    if bad_channels == "drop" and not set(_names(bads)) - {FOUND}:
        raise UsageError("bad_channels=drop drops the channels that are named, such as bads=[T9,T10]")
    if channels and reference == AVERAGE and len(channels) < FEWEST_AVERAGED:
        raise UsageError("reference: the average needs more channels than one")
    if montage is not None:
        check_montage(montage)


def told(
    *,
    reference: str | None,
    montage: Placing | None,
    bads: Sequence[str] | None,
    bad_channels: str,
) -> list[str]:
    """What the settings do to the channels, in one line each."""
    lines = []
    names = [name for name in _names(bads) if name != FOUND]
    if names:
        done = "dropped from every recording" if bad_channels == "drop" else "interpolated in every recording"
        lines.append(f"bad channels {listed(names)}: {done}")
    if FOUND in (bads or ()):
        lines.append(f"bad channels are also found: {NOISY}, or {UNCORRELATED}")
    if montage is not None:
        where = montage if isinstance(montage, str) else f"{len(montage)} positions"
        lines.append(f"montage for the interpolation of bad channels: {where}")
    if reference == AVERAGE:
        lines.append("reference: the average of the channels that are not bad")
    elif reference is not None:
        lines.append(f"reference: {'mean of the ' if reference == MASTOIDS else ''}{reference}")
    return lines


def _reference(file: EegFile, reference: str | None) -> tuple[str, ...]:
    try:
        return electrodes_of(reference, file.ch_names)
    except SignalError as error:
        raise SignalError(f"{file.path}: {error}") from None


def _names(bads: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys(clean_name(name) for name in bads or ()))
