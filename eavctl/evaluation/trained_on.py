"""Whom and what a model was trained on, and whether others are among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd  # judging a clip needs none

Named = tuple[str, str]  # data set and name; the data set is "" where it is not known
ANY = "*"  # the data set in models of a version that did not keep it
JOINED = "+"  # between the recordings of a row of several modalities


@dataclass(frozen=True)
class TrainedOn:
    """The people, clips and recordings of some rows.

    A person of one data set is nobody of another, whatever the names. Recordings are told by their content
    (see `eavctl.extraction.fingerprint`), so that one is known again under another name.
    """

    subjects: frozenset[Named] = frozenset()
    clips: frozenset[Named] = frozenset()
    recordings: frozenset[str] = frozenset()

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> TrainedOn:
        """What rows of keys are of; what they do not name is left out."""
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
        """What the rows of a table are of."""
        names = [name for name in ("dataset", "subject", "clip_id", "recording") if name in keys]
        return cls.of_rows(keys[names].astype(object).where(keys[names].notna(), None).to_dict("records"))

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> TrainedOn:
        """Read `to_meta`, also of models that did not keep data sets and recordings."""
        subjects, clips = (_named(meta.get(key, {})) for key in ("subjects", "clips"))
        return cls(subjects, clips, frozenset(meta.get("recordings", ())))

    def to_meta(self) -> dict[str, Any]:
        """JSON-able: names by data set, sorted; and the recordings."""
        return {
            "subjects": _by_dataset(self.subjects),
            "clips": _by_dataset(self.clips),
            "recordings": sorted(self.recordings),
        }

    def shared_subjects(self, other: TrainedOn) -> list[str]:
        """Names of the other's people who are among these, sorted."""
        return _known(other.subjects, self.subjects)

    def shared_clips(self, other: TrainedOn) -> list[str]:
        """Names of the other's clips that are among these, sorted."""
        return _known(other.clips, self.clips)

    def shared_recordings(self, other: TrainedOn) -> frozenset[str]:
        """The other's recordings that are among these, whatever they are called."""
        return self.recordings & other.recordings


def _named(found: Mapping[str, list[str]] | list[str]) -> frozenset[Named]:
    by_dataset = found if isinstance(found, Mapping) else {ANY: found}
    return frozenset((dataset, name) for dataset, names in by_dataset.items() for name in names)


def _known(asked: Collection[Named], known: frozenset[Named]) -> list[str]:
    return sorted(name for dataset, name in asked if (dataset, name) in known or (ANY, name) in known)


def _by_dataset(names: Collection[Named]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for dataset, name in sorted(names):
        found[dataset].append(name)
    return dict(found)
