"""A picture of one recording as a model takes it: its sound, its EEG and its film, one below the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.extraction.open_recording import Stretch
from eavctl.extraction.recipe import Recipe, noting
from eavctl.predicting.inputs import find_inputs
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.sources import Recording
from eavctl.storage import files
from eavctl.storage.paths import Paths
from eavctl.storage.remote_tree import RemoteFile, fetched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eavctl.datasets.choice import Choice
    from eavctl.extraction.interfaces import Whose
    from eavctl.report.film_picture import Search, Shot
    from eavctl.signals.faces import Track

N_SHOTS, MOST_SPANS = 8, 40  # frames drawn, and segments in which a face is looked for
CROP_SIDE = 8  # pixels of crops that nobody sees
SAME_FACE = 0.3  # overlap


@dataclass(frozen=True)
class Drawn:
    """A recording, and the recipes of the model that judges it.

    Parameters
    ----------
    recording : as `eavctl.predicting.sources.find_recordings` gives it.
    recipes : one a modality.
    """

    recording: Recording
    recipes: Mapping[str, Recipe]

    def draw(self, out: str | os.PathLike[str], answer: str) -> None:
        """Write the picture.

        Parameters
        ----------
        out : file to write (.png), or ``-``.
        answer : of the model, for the title.

        Raises
        ------
        SignalError : nothing of the recording can be read.
        """
        from eavctl.report.sheet import drawing, png

        with drawing(), noting():
            figures, faults = [], []
            for modality, recipe in self.recipes.items():
                part = self.recording.parts[modality]
                try:
                    with fetched(part.file) as file:
                        figures.append(_FIGURES[modality](recipe, file, part.trial, self.recording.keys))
                except SignalError as error:  # the other modalities were judged without it
                    faults.append(str(error))
            if not figures:
                raise SignalError(faults[0])
            files.write_bytes(out, png(figures, [self._name, answer]))

    @property
    def _name(self) -> str:
        """The recording, and which part of its file it is."""
        keys, names = self.recording.keys, {str(part.file) for part in self.recording.parts.values()}
        name = os.path.basename(self.recording.name) if len(names) == 1 else self.recording.name
        is_part = keys.get("start") is not None and keys.get("end") is not None
        return f"{name}, {keys['start']:.2f} to {keys['end']:.2f} s" if is_part else name


def find_drawn(
    sources: Paths,
    model: str | os.PathLike[str],
    *,
    separate: Mapping[str, str],
    weights: Sequence[str | os.PathLike[str]] = (),
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    who: Whose | None = None,
) -> Drawn:
    """Find the one recording that a call of `eavctl.stages.predict.predict` judges, to draw it.

    Parameters are those of the call.

    Raises
    ------
    DataError, SettingsError, UsageError : as the call.
    UsageError : it judges several recordings, a feature table, or stdin.
    """
    predictor = Predictor.load(model, segment, hop, weights=weights, who=who)
    inputs = find_inputs(predictor, sources, separate, predictor.select(choice, trial))
    if inputs.clips:
        raise UsageError(f"{inputs.clips[0].name}: --plot draws a recording, and this is a table of features")
    if len(inputs.recordings) != 1:
        raise UsageError(
            f"--plot draws one recording, and {len(inputs.recordings)} are named: name the file of one, or "
            "choose it with --trial or --where"
        )
    (recording,) = inputs.recordings
    if not all(isinstance(part.file, Path | RemoteFile) for part in recording.parts.values()):
        raise UsageError("--plot draws a file, and cannot read stdin again; name the file")
    predictor.find_weights()
    order = ("audio", "eeg", "video")
    recipes = {stream.recipe.modality: stream.recipe.base for stream in predictor.streams}
    return Drawn(recording, {each: recipes[each] for each in order if each in recording.parts})


@contextlib.contextmanager
def _judged(
    recipe: Recipe, file: Any, trial: int | None, keys: Mapping[str, Any]
) -> Iterator[tuple[Stretch, list[tuple[float, float]]]]:
    """The stretch of a recording, and the starts and ends of what is judged of it, in seconds."""
    with recipe.open(file) as stretch_of:
        stretch = stretch_of(trial)
        yield stretch, recipe.cutting.spans(stretch, keys.get("start") or 0.0, keys.get("end"))


def _sound(recipe: Recipe, file: Any, trial: int | None, keys: Mapping[str, Any]) -> Figure:
    from eavctl.report.analysis import sound_figure
    from eavctl.signals import audio

    signal, rate = audio.read(file)  # at its own rate
    start, end = keys.get("start") or 0.0, keys.get("end")
    last = len(signal) if end is None else round(end * rate)
    return sound_figure(signal[round(start * rate) : last], rate, start)


def _eeg(recipe: Recipe, file: Any, trial: int | None, keys: Mapping[str, Any]) -> Figure:
    from eavctl.extraction.open_recording import channels_of
    from eavctl.report.eeg_picture import eeg_figure

    with _judged(recipe, file, trial, keys) as (stretch, spans):
        start, end = spans[0][0], spans[-1][1]
        names = channels_of(file, recipe.settings)
        return eeg_figure(stretch.cut(start, end), stretch.rate, names, start)


def _film(recipe: Recipe, file: Any, trial: int | None, keys: Mapping[str, Any]) -> Figure:
    from eavctl.report.film_picture import film_figure

    with _judged(recipe, file, trial, keys) as (stretch, spans):
        chosen = np.unique(np.linspace(0, len(spans) - 1, MOST_SPANS).round().astype(int))
        shots, search = _watched(recipe, stretch, [spans[i] for i in chosen])
        return film_figure(shots, (spans[0][0], spans[-1][1]), search)


def _watched(
    recipe: Recipe, stretch: Stretch, spans: Sequence[tuple[float, float]]
) -> tuple[list[Shot], Search | None]:
    """Some of the frames that the features are made of, and where the face was found in all of them."""
    from eavctl.report.film_picture import Search, Shot
    from eavctl.signals.faces import detector, follow

    n = recipe.settings.get("n_frames", 1)
    times = np.concatenate([start + np.arange(n) * (end - start) / n for start, end in spans])
    wanted = set(np.linspace(0, len(times) - 1, N_SHOTS).round().astype(int).tolist())
    pictures: dict[int, np.ndarray] = {}
    boxes: dict[int, np.ndarray] = {}
    is_found = np.zeros(len(times), bool)
    tracks: list[Track] = []
    find = detector(recipe.settings.get("face_model"))
    for number, (start, end) in enumerate(spans):
        frames = _keeping(stretch.cut(start, end).frames(n), wanted, number * n, pictures)
        if not recipe.follows_a_face:
            for _ in frames:
                pass
            continue
        try:
            track = follow(frames, find, CROP_SIDE, choose=recipe.chooser)
        except SignalError:
            continue  # no face in any frame of the segment
        is_found[number * n : (number + 1) * n] = track.is_found
        boxes |= {number * n + i: box for i, box in enumerate(track.boxes) if track.is_found[i]}
        tracks.append(track)
    shown = _distinct(pictures)
    if not recipe.follows_a_face:
        return [Shot(times[i], pictures[i], None, np.empty((0, 4))) for i in shown], None
    shots = [_shot(times[i], pictures[i], boxes.get(i), find) for i in shown]
    n_people = max((track.n_people for track in tracks), default=0)
    return shots, Search(times, is_found, _whose(recipe, tracks), n_people)


def _distinct(pictures: Mapping[int, np.ndarray]) -> list[int]:
    """Numbers of the frames, without those that show the same picture again."""
    first: dict[int, int] = {}
    for number in sorted(pictures):
        first.setdefault(id(pictures[number]), number)
    return list(first.values())


def _keeping(
    frames: Iterator[np.ndarray], wanted: set[int], first: int, kept: dict[int, np.ndarray]
) -> Iterator[np.ndarray]:
    """The frames, of which those that are wanted by their numbers are kept."""
    for number, frame in enumerate(frames, start=first):
        if number in wanted:
            kept[number] = frame
        yield frame


def _shot(time: float, picture: np.ndarray, followed: np.ndarray | None, find: Any) -> Shot:
    """A frame with all its faces."""
    from eavctl.report.film_picture import Shot
    from eavctl.signals.mtcnn import overlaps

    others = find(picture, None).boxes
    if followed is not None and len(others):
        others = others[overlaps(followed, others) < SAME_FACE]
    return Shot(time, picture, followed, others)


def _whose(recipe: Recipe, tracks: Sequence[Track]) -> str:
    if recipe.who is None:
        return "the largest face"
    fits = [track.fit for track in tracks if track.fit is not None]
    return f"{recipe.who.phrase!r}" + (f" (fit {np.mean(fits):.2f})" if fits else "")


_FIGURES = {"audio": _sound, "eeg": _eeg, "video": _film}
