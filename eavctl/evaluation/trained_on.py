"""The subjects, clips and recordings that a model was trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd  # predicting a clip does not need it

Named = tuple[str, str]  # data set and name; the data set is "" if unknown
ANY = "*"  # stands for the data set in models of versions that did not store it
JOINED = "+"  # separates the recordings of a row of several modalities
MOST_NAMES = 100_000  # of people, clips or recordings that a model's file lists; of more it has a hash
FIRST_NAMES = 3


@dataclass(frozen=True)
class TrainedOn:
    """The subjects, clips and recordings of some rows.

    Subjects of different data sets are different people, even with the same name. Recordings are identified
    by their content (see `eavctl.extraction.fingerprint`), so that a renamed one is recognised.

    Parameters
    ----------
    unnamed : numbers by data set of the ``"subjects"``, ``"clips"`` and ``"recordings"`` that a file has too
        many of to name them: whether one of them is among others is not known.
    """

    subjects: frozenset[Named] = frozenset()
    clips: frozenset[Named] = frozenset()
    recordings: frozenset[str] = frozenset()
    unnamed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

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
        names = (name for (name,) in _distinct(keys, "recording"))
        recordings = frozenset(name for joined in names for name in joined.split(JOINED)) - {""}
        subjects, clips = (_distinct(keys, "dataset", kind) for kind in ("subject", "clip_id"))
        return cls(frozenset(subjects), frozenset(clips), recordings)

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> TrainedOn:
        """Read the result of `to_meta`, also from models that did not store data sets and recordings."""
        found = {kind: _listed(meta.get(kind, ())) for kind in ("subjects", "clips", "recordings")}
        subjects, clips = (_named(found[kind]) for kind in ("subjects", "clips"))
        recordings = frozenset(name for names in found["recordings"].values() for name in names)
        counts = {kind: _counts(meta.get(kind, ())) for kind in found}
        return cls(subjects, clips, recordings, {kind: each for kind, each in counts.items() if each})

    def to_meta(self) -> dict[str, Any]:
        """JSON-able dictionary of sorted names by data set, and of the recordings.

        Of a kind with more than `MOST_NAMES` names, a count, the first names and a hash stand for each list.
        """
        return {
            "subjects": _narrowed(_by_dataset(self.subjects)),
            "clips": _narrowed(_by_dataset(self.clips)),
            "recordings": _narrowed({"": sorted(self.recordings)})[""],
        }

    def __or__(self, other: TrainedOn) -> TrainedOn:
        """All that is in either."""
        kinds = {*self.unnamed, *other.unnamed}
        unnamed = {kind: Counter(self.unnamed.get(kind)) | Counter(other.unnamed.get(kind)) for kind in kinds}
        return TrainedOn(
            self.subjects | other.subjects,
            self.clips | other.clips,
            self.recordings | other.recordings,
            unnamed,
        )

    def count(self, kind: str) -> Counter[str]:
        """Numbers by data set of the ``"subjects"`` or ``"clips"``, named or not."""
        return Counter(dataset for dataset, _ in getattr(self, kind)) + Counter(self.unnamed.get(kind))

    @property
    def doubt(self) -> str:
        """What is not known of those that are not named, as a sentence; empty where all are."""
        if not self.unnamed:
            return ""
        kind, counts = next(iter(self.unnamed.items()))
        return (
            f"its file does not name its {sum(counts.values())} {kind}: whether it has met some of these "
            "rows is told by people's names alone"
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


def _distinct(keys: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the combinations of values in these columns, "" for none, that have one in the last."""
    if names[-1] in keys:
        known = keys.reindex(columns=[*names]).drop_duplicates().astype(object)
        known = known.where(known.notna(), "")
        yield from known[known[names[-1]] != ""].itertuples(index=False, name=None)


def _named(found: Mapping[str, Iterable[str]]) -> frozenset[Named]:
    return frozenset((dataset, name) for dataset, names in found.items() for name in names)


def _lists(found: Any) -> Mapping[str, Any]:
    """The lists of names by data set, or what stands for them; old files have one list."""
    return found if isinstance(found, Mapping) and not _is_narrowed(found) else {ANY: found}


def _listed(found: Any) -> dict[str, Iterable[str]]:
    return {dataset: names for dataset, names in _lists(found).items() if not _is_narrowed(names)}


def _counts(found: Any) -> dict[str, int]:
    """Numbers of the names that are not listed, by data set."""
    return {dataset: int(each["count"]) for dataset, each in _lists(found).items() if _is_narrowed(each)}


def _is_narrowed(names: Any) -> bool:
    return isinstance(names, Mapping) and {"count", "first", "hash"} == names.keys()


def _narrowed(by_dataset: dict[str, list[str]]) -> dict[str, Any]:
    """The lists; where they have too many names in all, what stands for each (`eavctl.stages.show.show`)."""
    if sum(map(len, by_dataset.values())) <= MOST_NAMES:
        return dict(by_dataset)
    from eavctl.storage.provenance import hash_json  # loads what a prediction does not need

    return {
        dataset: {"count": len(names), "first": names[:FIRST_NAMES], "hash": hash_json(names)}
        for dataset, names in by_dataset.items()
    }


def _common(names: Collection[Named], known: frozenset[Named]) -> list[str]:
    return sorted(name for dataset, name in names if (dataset, name) in known or (ANY, name) in known)


def _by_dataset(names: Collection[Named]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for dataset, name in sorted(names):
        found[dataset].append(name)
    return dict(found)
