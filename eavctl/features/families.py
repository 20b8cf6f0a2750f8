"""Families of columns, such as pitch and cepstra, or the bands and channels of EEG.

A feature set says its families itself, by the fact ``families`` of its ``@register``: for each view of its
columns, a function from the name of a column to its family, or to several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from eavctl import registry

FAMILY, BAND, CHANNEL, MEASURE = "family", "band", "channel", "measure"  # views
Naming = Callable[[str], str | tuple[str, ...]]


def families_of(features: str, columns: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """The families of the columns of a feature set.

    Parameters
    ----------
    features : name of the set in the registry.
    columns : names of the columns.

    Returns
    -------
    For each view, the numbers of the columns, int, of each family, in the order of their first columns. A
    column can be in several families of a view, such as an asymmetry in those of its two channels. A set that
    says nothing, such as an embedding, is one family, of its name.

    Raises
    ------
    UsageError : the feature set is not registered.
    """
    views: Mapping[str, Naming] = registry.get("features", features).facts.get("families") or {
        FAMILY: lambda column: features
    }
    found: dict[str, dict[str, list[int]]] = {view: {} for view in views}
    for view, naming in views.items():
        for number, column in enumerate(columns):
            families = naming(column)
            for family in (families,) if isinstance(families, str) else families:
                found[view].setdefault(family, []).append(number)
    return {
        view: {family: np.array(own) for family, own in families.items()} for view, families in found.items()
    }


def sites_of(views: Mapping[str, Mapping[str, np.ndarray]]) -> dict[tuple[str, str], np.ndarray]:
    """Columns of each band at each channel, by band and channel; empty where columns have not both."""
    bands, channels = views.get(BAND, {}), views.get(CHANNEL, {})
    return {
        (band, channel): np.intersect1d(of_band, of_channel)
        for band, of_band in bands.items()
        for channel, of_channel in channels.items()
    }


def prefix(name: str) -> str:
    """The letters with which a column's name begins: ``mfcc`` of ``mfcc12_mean``."""
    return name[: next((i for i, letter in enumerate(name) if not letter.isalpha()), len(name))]
