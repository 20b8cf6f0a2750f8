"""The subjects, clips and recordings that a model was trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd  # predicting a clip does not need it

Named = tuple[str, str]  # data set and name; the data set is "" if unknown
ANY = "*"  # stands for the data set in models of versions that did not store it
JOINED = "+"  # separates the recordings of a row of several modalities


@dataclass(frozen=True)
class TrainedOn:
    """The subjects, clips and recordings of some rows.

    Subjects of different data sets are different people, even with the same name. Recordings are identified
    by their content (see `eavctl.extraction.fingerprint`), so that a renamed one is recognised.
    """

    subjects: frozenset[Named] = frozenset()
    clips: frozenset[Named] = frozenset()
    recordings: frozenset[str] = frozenset()

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> TrainedOn:
        """Collect from rows of keys; missing keys are skipped."""
        subjects, clips, recordings = set(), set(), set[str]()
        for row in rows:
            dataset = row.get("dataset") or ""
            if row.get("subject"):
                subjects.add((dataset, row["subject"]))
            if row.get("clip_id"):
                clips.add((dataset, row["clip_id"]))
            recordings |= set((row.get("recording") or "").split(JOINED)) - {""}
        return cls(frozenset(subjects), frozenset(clips), frozenset(recordings))

    @classmethod
    def of_keys(cls, keys: pd.DataFrame) -> TrainedOn:
        """Collect from the rows of a key table."""
        names = [name for name in ("dataset", "subject", "clip_id", "recording") if name in keys]
        return cls.of_rows(keys[names].astype(object).where(keys[names].notna(), None).to_dict("records"))

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> TrainedOn:
        """Read the result of `to_meta`, also from models that did not store data sets and recordings."""
        subjects, clips = (_named(meta.get(key, {})) for key in ("subjects", "clips"))
        return cls(subjects, clips, frozenset(meta.get("recordings", ())))

    def to_meta(self) -> dict[str, Any]:
        """JSON-able dictionary of sorted names by data set, and of the recordings."""
        return {
            "subjects": _by_dataset(self.subjects),
            "clips": _by_dataset(self.clips),
            "recordings": sorted(self.recordings),
        }

    def __or__(self, other: TrainedOn) -> TrainedOn:
        """All that is in either."""
        return TrainedOn(
            self.subjects | other.subjects, self.clips | other.clips, self.recordings | other.recordings
        )

    def shared_subjects(self, other: TrainedOn) -> list[str]:
        """Sorted names of the subjects of ``other`` that are also in this one."""
        return _common(other.subjects, self.subjects)

    def shared_clips(self, other: TrainedOn) -> list[str]:
        """Sorted names of the clips of ``other`` that are also in this one."""
        return _common(other.clips, self.clips)

    def shared_recordings(self, other: TrainedOn) -> frozenset[str]:
        """The recordings of ``other`` that are also in this one."""
        return self.recordings & other.recordings


def _named(found: Mapping[str, list[str]] | list[str]) -> frozenset[Named]:
    by_dataset = found if isinstance(found, Mapping) else {ANY: found}
    return frozenset((dataset, name) for dataset, names in by_dataset.items() for name in names)


def _common(names: Collection[Named], known: frozenset[Named]) -> list[str]:
    return sorted(name for dataset, name in names if (dataset, name) in known or (ANY, name) in known)


def _by_dataset(names: Collection[Named]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for dataset, name in sorted(names):
        found[dataset].append(name)
    return dict(found)
