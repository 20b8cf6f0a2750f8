"""Sentences on what limits the predictions of a model, as every way of judging tells them."""

from __future__ import annotations

from collections.abc import Sequence

from eavctl.evaluation.trained_on import JOINED, TrainedOn
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.rows import Row


def notes_on(predictor: Predictor, rows: Sequence[Row]) -> list[str]:
    """Sentences on what limits the predictions.

    They tell of whose face was followed, normalisation, segments in place of epochs, overlap with the
    training, and durations.
    """
    most: dict[str, int] = {}  # people in each recording
    for row in rows:
        if row.people:
            most[row.recording] = max(most.get(row.recording, 0), row.people)
    notes = [people_note(predictor, name, n_people) for name, n_people in most.items() if n_people > 1]
    if predictor.normalize:
        from eavctl.features.normalize import SUBJECT, WARNINGS

        notes.append(WARNINGS[predictor.normalize])
        unknown = {row.recording for row in rows if not row.keys.get("subject")}
        if predictor.normalize == SUBJECT and len(unknown) > 1:
            notes.append(f"{len(unknown)} recordings without a subject count as those of one person")
    if predictor.adapts:
        from eavctl.predicting.adapting import note

        notes.append(note(rows))
    notes += epoch_notes(predictor)
    notes += _overlap_with_training(predictor.trained_on, rows)
    confidence = predictor.confidence
    return [*notes, *confidence.length_note(rows), *confidence.adaptation_note(rows)]


def epoch_notes(predictor: Predictor) -> list[str]:
    """A sentence where a model of epochs judges segments, which begin anywhere."""
    return [
        f"{predictor.path} was trained on {stream.meta.cut} at events: segments that begin elsewhere are "
        "unlike them, and fewer answers may be right"
        for stream in predictor.streams
        if stream.meta.epoch and stream.recipe.segment and not stream.meta.segment
    ][:1]


def people_note(predictor: Predictor, name: str, n_people: int) -> str:
    """A sentence on a recording that shows several people: whose face is followed."""
    if predictor.who is not None:
        return f"{name}: {n_people} people; the face that fits {predictor.who.phrase!r} best is followed"
    return f"{name}: {n_people} people; the largest face is followed, --who names another"


def _overlap_with_training(trained: TrainedOn, rows: Sequence[Row]) -> list[str]:
    """A sentence if the model was trained on these people or recordings, under these or other names."""
    ours = TrainedOn.of_rows(row.keys for row in rows)
    shared = trained.shared_subjects(ours) or trained.shared_clips(ours)
    if not shared and (known := trained.shared_recordings(ours)):
        names = (r.recording for r in rows if not known.isdisjoint(r.keys.get("recording", "").split(JOINED)))
        shared = list(dict.fromkeys(names))
    if not shared:
        return [f"the model: {trained.doubt}"] if trained.doubt else []
    names_shared = shared[0] + (f" and {len(shared) - 1} more" if len(shared) > 1 else "")
    return [f"the model was trained on {names_shared}: how well it does on them says nothing about others"]
