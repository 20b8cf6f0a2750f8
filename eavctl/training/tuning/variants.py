"""The same samples with features of other settings, among which a tuning chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError
from eavctl.training.rows import TableFacts, TrainingSet

PREFIX = "features."  # of the names of these settings in a space


@dataclass(frozen=True)
class Variants:
    """What is known of each variant; the rows hold the features of all as `Streams`, in the same order.

    Parameters
    ----------
    settings : of each variant, the values of the settings that differ, by their names in the space.
    facts : of each variant's table. The first one has the features without tuning.
    """

    settings: tuple[Mapping[str, Any], ...]
    facts: tuple[TableFacts, ...]

    def number(self, values: Mapping[str, Any]) -> int:
        """The number of the variant with a trial's values, of which those of other settings are ignored."""
        return self.settings.index({name: values[name] for name in self.settings[0]})

    @property
    def hashes(self) -> list[str]:
        """Hashes of the variants' contents."""
        return [each.content_hash for each in self.facts]


def rows_of(rows: Rows, number: int) -> Rows:
    """The rows with the features of one variant."""
    return replace(rows, x=rows.streams.arrays[number])


def joined(
    sets: Sequence[TrainingSet], settings: Sequence[Mapping[str, Any]]
) -> tuple[TrainingSet, Variants]:
    """The samples of the first set, with the features that all sets have of them.

    Raises
    ------
    DataError : a set lacks a sample of the first one, or has another label for it.
    """
    first = sets[0].rows
    samples = first.key_frame["sample_id"].tolist()
    arrays = [first.array]
    for found, chosen in zip(sets[1:], settings[1:], strict=True):
        row_of = {sample: i for i, sample in enumerate(found.rows.key_frame["sample_id"])}
        shown = ", ".join(f"{name}={value}" for name, value in chosen.items())
        if lacking := [sample for sample in samples if sample not in row_of]:
            raise DataError(
                f"{len(lacking)} of {len(samples)} samples of the table are not among the recordings' with "
                f"{shown}; the first is {lacking[0]}.\nName the recordings that the table was extracted from."
            )
        numbers = np.array([row_of[sample] for sample in samples])
        if odd := np.flatnonzero(found.rows.labels[numbers] != first.labels).tolist():
            raise DataError(f"{samples[odd[0]]} has another label in the recordings than in the table")
        arrays.append(found.rows.array[numbers])
    x = Streams(tuple(arrays), np.ones((len(samples), len(arrays)), bool))
    variants = Variants(tuple(settings), tuple(each.facts for each in sets))
    return replace(sets[0], rows=replace(first, x=x)), variants
