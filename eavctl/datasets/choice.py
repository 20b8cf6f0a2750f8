"""Which recordings of a data set are meant, alike for `extract` and `predict`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eavctl.errors import UsageError
from eavctl.storage.keys import KEYS

if TYPE_CHECKING:  # judging a single recording needs none of these, and no Arrow
    from eavctl.datasets.events import Epochs
    from eavctl.datasets.manifest import Manifest


@dataclass(frozen=True)
class Choice:
    """Which recordings of a data set are meant.

    Parameters
    ----------
    layout : name of the layout, where it is not to be recognised.
    where : keys that the recordings must have, such as ``{"task": "speaking"}``.
    epochs : cut continuous EEG at these events.
    distinct_names : labels and subjects that differ in case or spacing alone are different ones.

    Raises
    ------
    UsageError : ``where`` names what is no key.
    """

    layout: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    epochs: Epochs | None = None
    distinct_names: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(self.where.keys() - set(KEYS))
        if unknown:
            raise UsageError(f"--where: no key is named {unknown[0]!r}; known: {', '.join(KEYS)}")

    @property
    def is_made(self) -> bool:
        """Whether anything is asked for that only a data set has."""
        return bool(self.layout or self.where or self.epochs)

    def takes(self, keys: Mapping[str, Any]) -> bool:
        """Whether a row with these keys is one of those meant."""
        return all(key in keys and str(keys[key]) == value for key, value in self.where.items())

    def of(self, source: str | os.PathLike[str]) -> Manifest:
        """Scan the data set and choose.

        Raises
        ------
        DataError : as `eavctl.datasets.manifest.find`; or labels or subjects differ in case or spacing alone.
        """
        from eavctl.datasets.events import cut_at_events
        from eavctl.datasets.manifest import find
        from eavctl.evaluation.names import BETWEEN, check_spelling

        manifest = find(source, self.layout).where(self.where)
        manifest = cut_at_events(manifest.holding("eeg"), self.epochs) if self.epochs else manifest
        if not self.distinct_names:
            labels = (label for (label,) in manifest.distinct("label"))
            people = manifest.distinct("dataset", "subject")
            named = (BETWEEN.join((dataset or "", name)) for dataset, name in people if name is not None)
            check_spelling(labels, named, str(source))
        return manifest
