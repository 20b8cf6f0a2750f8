"""Normalisation of features without labels: by speaker, by data set, or, of EEG, by subject."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from eavctl import registry
from eavctl.errors import UsageError
from eavctl.features.bands import COLUMNS, Bands, does_vary, unpadded
from eavctl.features.standardized_rows import StandardizedRows

SUBJECT = "subject"
NORMALIZATIONS = {"speaker": "subject", "dataset": "dataset", SUBJECT: "subject"}  # option, key of rows
LEAST_OF_SUBJECT = 10  # rows; fewer say more about their classes than about the person
WARNINGS = {
    "speaker": "features are standardised by speaker: predicting a recording needs several others of the "
    "same speaker (no labels are used)",
    "dataset": "features are standardised by data set: predicting a recording needs 20 or more of its "
    "data set (no labels are used)",
    SUBJECT: f"features are normalised by subject: predicting needs {LEAST_OF_SUBJECT} or more segments or "
    "epochs of the same subject, with classes mixed as in training (no labels are used)",
}
COLUMNS_AT_ONCE = 256  # in double precision: a second table of many rows is large
LEAST_OF_DATASET = 20  # recordings; fewer say more about their classes than about the data set
SHRINKAGE = 10  # recordings of a speaker whose own statistics weigh as much as those of the data set


def bands_of(features: str) -> Bands:
    """The bands of a registered feature set.

    Raises
    ------
    UsageError : a feature set of tensors without an axis of bands, or of columns that are aligned.
    """
    entry = registry.get("features", features)
    axis, padding = entry.facts.get("band_axis"), entry.facts.get("padding")
    if axis is not None:
        return Bands(axis, padding)
    if "align" in entry.facts:  # columns that make sense together, as the entries of a matrix do
        raise UsageError(f"the columns of {features!r} are normalised together: use --normalize {SUBJECT}")
    if entry.facts["columns"] is not None:
        return COLUMNS
    raise UsageError(f"--normalize does not apply to {features!r}, which has no bands; omit it")


class Normalization(NamedTuple):
    """What ``--normalize`` does to the rows of a feature set.

    Parameters
    ----------
    bands : which features of a group are standardised together; None where its rows are aligned.
    align : the fact ``align`` of the set, with its settings: a function of a group's rows, and of a mask of
        those that count; None where features are standardised.
    name : of the function.
    """

    bands: Bands | None
    align: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    name: str | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """What a model keeps of it, and compares with it when it predicts."""
        return {"align": self.name} if self.bands is None else self.bands._asdict()

    def __call__(self, x: Any, groups: np.ndarray, *, copies: np.ndarray | None = None) -> Any:
        """Normalise the rows of each group by themselves; see `standardize_by_group`.

        Rows on the disk, which are no array, become `StandardizedRows`; they cannot be aligned.
        """
        if self.align is None:
            if not isinstance(x, np.ndarray):
                return StandardizedRows.of(x, groups, self.bands or COLUMNS, copies)
            return standardize_by_group(x, groups, self.bands or COLUMNS, copies=copies)
        result = np.empty_like(x, dtype=np.float32)
        for rows in rows_of_groups(groups):
            counted = np.ones(len(rows), bool)
            if copies is not None and not copies[rows].all():
                counted = ~copies[rows]
            result[rows] = self.align(x[rows], counted)
        return result


def normalization_of(features: str, by: str, settings: Mapping[str, Any]) -> Normalization:
    """What ``--normalize`` does to the rows of a registered feature set.

    Parameters
    ----------
    by : a key of `NORMALIZATIONS`.
    settings : of the feature set.

    Raises
    ------
    UsageError : features that cannot be normalised by it.
    """
    facts = registry.get("features", features).facts
    if by != SUBJECT:
        return Normalization(bands_of(features))
    if facts["modality"] != "eeg":
        raise UsageError(f"--normalize {SUBJECT} is for EEG; for {features!r} use --normalize speaker")
    if (align := facts.get("align")) is None:
        return Normalization(bands_of(features))
    return Normalization(None, functools.partial(align, **settings), align.__name__)


def standardize_by_group(
    x: np.ndarray, groups: np.ndarray, bands: Bands = COLUMNS, *, copies: np.ndarray | None = None
) -> np.ndarray:
    """Standardise the rows of each group to mean 0 and standard deviation 1, band by band.

    Parameters
    ----------
    x : float32 array, shape (n_rows, n_columns); or (n_rows, n_bands, n_times) with the axes of a sample in
        either order, where the statistics of a band are taken over rows and unpadded times.
    groups : shape (n_rows,), the speaker of each row, or its data set.
    bands : axis of the bands, and value of the padding.
    copies : bool, shape (n_rows,), rows that are standardised by the mean and the standard deviation of the
        others; None where there are none.

    Returns
    -------
    float32 array of the shape of ``x``. A feature that is constant in a group (such as every vector feature
    in a group of one row) becomes 0. So does padding, which remains a run of equal frames at the end, by
    which encoders recognise it.
    """
    result = np.empty_like(x, dtype=np.float32)
    band_axis = 1 + bands.axis
    axes = tuple(axis for axis in range(x.ndim) if axis != band_axis)
    for rows in rows_of_groups(groups):
        values = x[rows].astype(np.float64)
        valid = np.array(True) if bands.padding is None else unpadded(values, band_axis, bands.padding)
        counted = valid if copies is None else _without(valid, copies[rows])
        mean = values.mean(axis=axes, keepdims=True, where=counted)
        std = values.std(axis=axes, keepdims=True, where=counted)
        varies = does_vary(std, mean)
        result[rows] = np.where(varies & valid, (values - mean) / np.where(varies, std, 1.0), 0.0)
    return result


def rows_of_groups(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group, ascending, by the names of the groups, shape (n_rows,)."""
    _, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1]) if len(groups) else []


def _without(valid: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """The mask without the rows of copies; with them in a group that has no other rows."""
    if copies.all():
        return valid
    own = ~copies.reshape(-1, *[1] * max(valid.ndim - 1, 1))
    return np.asarray(valid & own)


def standardize_by_speaker(
    x: np.ndarray, datasets: np.ndarray, speakers: np.ndarray, recordings: np.ndarray
) -> np.ndarray:
    """Standardise columns by the statistics of each speaker, shrunk towards those of the data set.

    With n recordings of a speaker, and k = `SHRINKAGE`, the mean is ``(n * own + k * all) / (n + k)``, and
    so is the variance, where each is about its own mean. So a speaker of few recordings is standardised by
    the data set, and one of many by their own. Scaling and shifting a column of a data set changes nothing.

    Parameters
    ----------
    x : shape (n_rows, n_columns).
    datasets, speakers : names, str, shape (n_rows,); a speaker of the name ``""`` is not known, and is
        standardised by the data set alone.
    recordings : what each row is a part of, shape (n_rows,).

    Returns
    -------
    float32 array of the shape of ``x``. A column that is constant in a data set becomes 0.
    """
    result = np.empty(x.shape, np.float32)
    for dataset in np.unique(datasets):
        rows = np.flatnonzero(datasets == dataset)
        members = list(_members(speakers[rows], recordings[rows]))
        for start in range(0, x.shape[1], COLUMNS_AT_ONCE):
            columns = slice(start, start + COLUMNS_AT_ONCE)
            values = x[rows, columns].astype(np.float64)
            mean, variance = values.mean(axis=0), values.var(axis=0)
            varies = does_vary(np.sqrt(variance), mean)
            for mine, share in members:
                own = values[mine]
                centre = share * own.mean(axis=0) + (1 - share) * mean
                spread = np.sqrt(share * own.var(axis=0) + (1 - share) * variance)
                standard = (own - centre) / np.where(varies, spread, 1.0)
                result[rows[mine], columns] = np.where(varies, standard, 0.0)
    return result


def _members(speakers: np.ndarray, recordings: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Row numbers of each speaker, and the weight of their own statistics, 0 to 1."""
    for rows in rows_of_groups(speakers):
        n = len(np.unique(recordings[rows])) if speakers[rows[0]] else 0
        yield rows, n / (n + SHRINKAGE)
