"""The selection of recordings from a data set, shared by `extract` and `predict`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eavctl.errors import UsageError
from eavctl.storage.remote_tree import named_by_url

if TYPE_CHECKING:  # predicting a single recording needs neither these nor Arrow
    from eavctl.datasets.events import Epochs
    from eavctl.datasets.manifest import Manifest

PATTERN = "pattern"  # the layout of names that carry labels


@dataclass(frozen=True)
class Choice:
    """A selection of recordings from a data set.

    Parameters
    ----------
    layout : name of the layout; None detects it.
    where : values of keys or extra columns that the recordings must have, such as ``{"task": "speaking"}``.
    epochs : events at which to cut continuous EEG.
    distinct_names : accept labels and subjects that look alike as different ones.
    columns : what columns of a manifest mean, see `eavctl.datasets.csv.scan`.
    pattern : what names of recordings mean, see `eavctl.datasets.pattern.scan`; it chooses this layout.
    tell : callback for how a data set was understood, in one line, where it leaves a choice.

    Raises
    ------
    UsageError : ``pattern`` stands beside another layout or ``columns``.
    """

    layout: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    epochs: Epochs | None = None
    distinct_names: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    pattern: str | None = None
    tell: Callable[[str], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.pattern is not None:
            if self.columns or self.layout not in (None, PATTERN):
                other = "--columns" if self.columns else f"--layout {self.layout}"
                raise UsageError(f"--pattern reads names, and {other} reads something else; leave one out")
            object.__setattr__(self, "layout", PATTERN)

    @property
    def is_made(self) -> bool:
        """Whether the selection needs a data set, not only single recordings."""
        return bool(self.layout or self.where or self.epochs or self.columns)

    @property
    def layout_settings(self) -> dict[str, Any]:
        """The settings of the layout, JSON-able; empty where all have their defaults."""
        pattern = {} if self.pattern is None else {"pattern": self.pattern}
        return pattern | ({"columns": dict(self.columns)} if self.columns else {})

    def takes(self, keys: Mapping[str, Any]) -> bool:
        """Whether a row with these keys is selected by ``where``."""
        return all(key in keys and str(keys[key]) == value for key, value in self.where.items())

    def of(self, source: str | os.PathLike[str]) -> Manifest:
        """Scan a data set and select from it.

        Raises
        ------
        DataError : as in `eavctl.datasets.manifest.find`; nothing is selected; or labels or subjects look
            alike.
        UsageError : as in `eavctl.datasets.manifest.find`; or ``where`` names no column.
        """
        from eavctl.datasets.events import cut_at_events
        from eavctl.datasets.manifest import find
        from eavctl.evaluation.names import BETWEEN, check_spelling

        manifest = find(source, self.layout, **self.layout_settings)
        if self.tell is not None and manifest.understood:
            self.tell(manifest.understood)
        manifest = manifest.where(self.where)
        if self.epochs:
            with named_by_url():
                manifest = cut_at_events(manifest.holding("eeg"), self.epochs)
        if not self.distinct_names:
            labels = (label for (label,) in manifest.distinct("label"))
            people = manifest.distinct("dataset", "subject")
            named = (BETWEEN.join((dataset or "", name)) for dataset, name in people if name is not None)
            check_spelling(labels, named, str(source))
        return manifest
