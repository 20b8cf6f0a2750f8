"""Feature tables of the same recordings with other settings, for a tuning that chooses among them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eavctl import registry
from eavctl.datasets.choice import Choice as Selection
from eavctl.errors import DataError, UsageError
from eavctl.extraction.recipe import Recipe, noting
from eavctl.progress import Tick
from eavctl.stages.extract import extract
from eavctl.storage import tables
from eavctl.storage.metadata import FeatureMeta
from eavctl.training.rows import TrainingSet
from eavctl.training.tuning.ranges import Choice, Space
from eavctl.training.tuning.variants import PREFIX, Variants, joined


@dataclass(frozen=True)
class FeatureTuning:
    """The settings of a table's features, and the recordings from which it can be extracted again.

    Parameters
    ----------
    table : feature table.
    recordings : what it was extracted from.
    folder : for the tables of other settings, which a later run finds there.
    jobs : processes that extract.
    """

    table: str | os.PathLike[str]
    recordings: str | os.PathLike[str]
    folder: Path
    jobs: int

    @property
    def settings(self) -> dict[str, Any]:
        """Annotations of the settings, by their names in a space.

        Raises
        ------
        UsageError : the table has altered copies, which would not be the same in another one.
        """
        meta = tables.read_meta(self.table)
        if meta.get("augment"):
            raise UsageError(f"{self.table} has altered copies: to tune features, extract without --augment")
        entry = registry.get("features", meta["features"])
        return {f"{PREFIX}{name}": each.annotation for name, each in entry.settings.items()}

    def files(self, space: Space) -> dict[Path, tuple[dict[str, Any], Recipe]]:
        """The table of each combination of values but the table's own, with the values and the recipe.

        Raises
        ------
        UsageError : a range, or a single value, of a setting of features.
        """
        found = {}
        for values in _combinations(space):
            recipe = self._recipe(values).with_weights()
            hashed = recipe.meta()["features_hash"]
            if hashed != self._meta.features_hash:
                found[self.folder / f"{hashed[:16]}.parquet"] = (values, recipe)
        return found

    def check(self, own: TrainingSet) -> None:
        """Check, before the extraction, that the recordings have all clips of the table.

        Raises
        ------
        DataError : one is missing, as each clip is of a table that was cut at events.
        """
        with noting():
            manifest = self._selection.of(self.recordings)
        known = set(manifest.table["clip_id"].to_pylist())
        clips = own.rows.key_frame["clip_id"].unique()
        if lacking := [clip for clip in clips if clip not in known]:
            raise DataError(
                f"{self.recordings}: {len(lacking)} of {len(clips)} clips of {self.table} are not there; the "
                f"first is {lacking[0]}.\nName the recordings that the table was extracted from; features of "
                "epochs cut at --events cannot be tuned."
            )

    def extract(self, space: Space, on_clip: Tick) -> None:
        """Extract the tables that are not there yet."""
        files = self.files(space)
        self.folder.mkdir(exist_ok=True)
        for number, (file, (_, recipe)) in enumerate(files.items(), start=1):

            def note(done: int, of: int, text: str, number: int = number) -> None:
                on_clip(done, of, f"features {number} of {len(files)} {text}")

            extract(self.recordings, file, recipe, choice=self._selection, jobs=self.jobs, on_clip=note)

    def joined(
        self, own: TrainingSet, space: Space, read: Callable[[str], TrainingSet]
    ) -> tuple[TrainingSet, Variants]:
        """The table's rows with the features of all variants; ``read`` reads the rows of one.

        Raises
        ------
        DataError : the recordings lack a sample of the table.
        """
        files = self.files(space)
        sets = [own, *(read(os.fspath(file)) for file in files)]
        settings = self._recipe({}).settings
        own_values = {name: settings[name.removeprefix(PREFIX)] for name in names_of_features(space)}
        return joined(sets, [own_values, *(values for values, _ in files.values())])

    @cached_property
    def _selection(self) -> Selection:
        """Of the recordings, as the table's metadata has it."""
        meta = tables.read_meta(self.table)
        return Selection(
            meta["layout"],
            distinct_names=meta.get("distinct_names", False),
            **meta.get("layout_settings", {}),
        )

    @cached_property
    def _meta(self) -> FeatureMeta:
        return tables.read_feature_meta(self.table)

    def _recipe(self, values: Mapping[str, Any]) -> Recipe:
        """The table's recipe with other values of some settings."""
        meta = self._meta
        changed = {name.removeprefix(PREFIX): value for name, value in values.items()}
        seconds, hop = (meta.segment["seconds"], meta.segment["hop"]) if meta.segment else (None, None)
        return Recipe(meta.features, {**meta.settings, **changed}, seconds, hop)


def names_of_features(space: Iterable[str]) -> list[str]:
    """The names in a space that are settings of features."""
    return [name for name in space if name.startswith(PREFIX)]


def _combinations(space: Space) -> list[dict[str, Any]]:
    """Every combination of the values of the features' settings."""
    choices = {name: space[name] for name in names_of_features(space)}
    values = [each.values for each in choices.values() if isinstance(each, Choice)]
    if len(values) < len(choices):
        odd = next(name for name, each in choices.items() if not isinstance(each, Choice))
        raise UsageError(f"--space {odd}: give the values to extract, two or more, such as {odd}=A,B")
    return [dict(zip(choices, found, strict=True)) for found in itertools.product(*values)]
