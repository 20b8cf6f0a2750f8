"""Montages: where on the head electrodes lie, by the name of a system, or read from a file.

Only directions from the centre of the head matter to interpolation, so that files may be in any unit and any
orientation.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.signals.eeg_names import clean_names

Montage = Mapping[str, Sequence[float]]  # by the name of an electrode: x, y and z in metres

STANDARD = "10-05"
OLD, NEW = "standard_", "colin27_"  # beginnings of the same names in older and newer versions of MNE
HEAD_M = 0.095  # radius to which positions are scaled, as MNE does
FEWEST = 5  # with one bad, four good ones remain
MOST_UNEVEN = 0.25  # standard deviation of the distances from the centre, over their mean
MOST_FAR = 2.0  # radius of the sphere over the mean distance of the electrodes from their middle
LEAST_DEPTH = 0.05  # extent in the third direction over that in the first; a plane has no centre
DECIMALS = 5  # of a position in metres: a hundredth of a millimetre
ROUNDING_M = 5e-5
TABLES = (".tsv", ".csv")
FILE_ENDINGS = (".sfp", ".loc", ".locs", ".eloc", ".elc", ".elp", ".csd", ".bvef", ".txt", ".xyz")


def mne_name(name: str) -> str | None:
    """The name that this version of MNE has for one of its montages; None if it has no such montage."""
    known = _built_in()
    other = name.replace(OLD, NEW, 1) if name.startswith(OLD) else name.replace(NEW, OLD, 1)
    return next((each for each in (name, other) if each in known), None)


def _built_in() -> list[str]:
    import mne  # takes a second

    return list(mne.channels.get_builtin_montages())


def check_montage(montage: str | Montage) -> None:
    """Check a montage before a recording is opened; a file is only looked for.

    Raises
    ------
    UsageError : neither a file, nor a name that MNE knows, nor positions on a head.
    """
    if not isinstance(montage, str):
        try:
            on_a_head(montage)
        except SignalError as error:
            raise UsageError(f"montage: {error}") from None
    elif not Path(montage).is_file() and mne_name(montage) is None:
        near = difflib.get_close_matches(montage, _built_in(), n=3, cutoff=0.4)
        raise UsageError(
            f"montage: {montage!r} is neither a file nor a montage of MNE, such as "
            f"{', '.join(near or ('biosemi64', 'easycap-M1', 'GSN-HydroCel-64_1.0'))}"
        )


def kept(montage: str | Montage) -> str | dict[str, list[float]]:
    """A montage as tables and models keep it: a name that MNE knows, or positions instead of a file's path.

    Raises
    ------
    SignalError : the file is not one of electrodes, or they do not lie on a head.
    """
    if isinstance(montage, str):
        return montage if mne_name(montage) else read_montage(montage)
    placed = on_a_head(montage)
    same = np.allclose([*montage.values()], [*placed.values()], rtol=0, atol=ROUNDING_M)
    return {name: list(each) for name, each in montage.items()} if same else placed  # kept before


def read_montage(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Read a file of electrodes, by its ending.

    Tables (``.tsv``, ``.csv``) have the columns name, x, y, z in any unit, as ``electrodes.tsv`` of BIDS; all
    others are read by ``mne.channels.read_custom_montage``.

    Returns
    -------
    By the name of an electrode, its position in metres, on a head of 95 mm.

    Raises
    ------
    SignalError : not a file of electrodes, or they do not lie on a head.
    """
    ending = Path(path).suffix.lower()
    if ending not in (*TABLES, *FILE_ENDINGS):
        raise SignalError(
            f"{path}: not a file of electrodes by its ending; known: {', '.join((*TABLES, *FILE_ENDINGS))}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _table(path, "\t" if ending == ".tsv" else ",") if ending in TABLES else _by_mne(path)
    except Exception as error:  # MNE's readers fail in any way on damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SignalError(f"{path}: not a file of electrodes ({reason})") from None
    try:
        return on_a_head(dict(zip(clean_names(list(found)), found.values(), strict=True)))
    except SignalError as error:
        raise SignalError(f"{path}: {error}") from None


def _by_mne(path: str | os.PathLike[str]) -> dict[str, Sequence[float]]:
    import mne

    montage = mne.channels.read_custom_montage(path, verbose="ERROR")
    return {str(name): position.tolist() for name, position in montage.get_positions()["ch_pos"].items()}


def _table(path: str | os.PathLike[str], delimiter: str) -> dict[str, Sequence[float]]:
    import csv

    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    return positions_of(rows)


def positions_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[float]]:
    """Positions by name, of rows with name, x, y and z; electrodes without a position are left out.

    Raises
    ------
    ValueError : a coordinate is not a number.
    """
    found: dict[str, Sequence[float]] = {}
    for row in rows:
        texts = [row.get(axis) or "n/a" for axis in "xyz"]
        if row.get("name") and "n/a" not in texts:
            found[row["name"].strip()] = [float(text) for text in texts]
    return found


def on_a_head(positions: Montage) -> dict[str, list[float]]:
    """Move and scale positions to a head of 95 mm around the origin, by the sphere of least squares.

    Parameters
    ----------
    positions : x, y and z in any unit, from any origin.

    Returns
    -------
    Positions in metres.

    Raises
    ------
    SignalError : fewer than 5 positions, not finite, in one plane, or far from a sphere.
    """
    places = np.array([tuple(each) for each in positions.values()], np.float64).reshape(-1, 3)
    if len(places) < FEWEST:
        raise SignalError(f"{len(places)} electrodes have a position, and at least {FEWEST} are needed")
    if not np.isfinite(places).all():
        raise SignalError("some positions of electrodes are not finite numbers")
    places -= places.mean(axis=0)
    extents = np.linalg.svd(places, compute_uv=False)
    if extents[-1] <= LEAST_DEPTH * extents[0]:
        raise SignalError("the electrodes lie in one plane or line, and not on a head")
    places /= np.linalg.norm(places, axis=1).mean()
    terms = np.c_[2 * places, np.ones(len(places))]
    places -= np.linalg.lstsq(terms, (places**2).sum(axis=1), rcond=None)[0][:3]
    radii = np.linalg.norm(places, axis=1)
    if radii.std() > MOST_UNEVEN * radii.mean() or radii.mean() > MOST_FAR:
        raise SignalError("the positions of the electrodes do not lie around a head")
    places *= HEAD_M / radii.mean()
    return {
        name: [round(value, DECIMALS) for value in row]
        for name, row in zip(positions, places.tolist(), strict=True)
    }
