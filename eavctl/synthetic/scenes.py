"""A synthetic data set for grounding: made-up scenes with phrases, boxes and masks, in the layout ``refs``.

Training never shows certain pairs: of colour and shape, and of persons and attributes. A part of the test
pictures, the task ``unseen``, asks for just these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.errors import UsageError
from eavctl.jobs import useful
from eavctl.progress import Tick, silent
from eavctl.signals.masks import run_lengths
from eavctl.storage import files
from eavctl.synthetic import scene_phrases, scene_pictures
from eavctl.synthetic.people import Person, draw_person
from eavctl.synthetic.scene_phrases import KINDS, NONE, Phrase
from eavctl.synthetic.scene_pictures import COLOURS, SHAPES, Drawn, box_of
from eavctl.synthetic.workers import ended_with

RECIPE = 2  # increases when the same settings give other files
MARK, REFS, IMAGES = "SCENES.json", "refs.json", "images"
SEEN, UNSEEN = "seen", "unseen"
# Folder, split and task of each part, its number of people to draw from, and its scenes a training scene.
PARTS = {
    "train": ("train", SEEN, 150, 1.0),
    "val": ("val", SEEN, 50, 0.1),
    "test": ("test", SEEN, 50, 0.1),
    "unseen": ("test", UNSEEN, 50, 0.1),
}
HELD_OUT_SHAPES = tuple((colour, shape) for i, shape in enumerate(SHAPES) for colour in [*COLOURS][i::5])
HELD_OUT_PEOPLE = (("woman", "hat"), ("man", "blond hair"))
SHAPES_SHARE = 0.5  # of the scenes; the others are of people
N_PEOPLE = (1, 2, 2, 2, 3, 3, 4)  # in a picture, each as often
PHRASES = 3  # of a scene, at most
ABSENT = 1 / 6  # share of the phrases that fit nothing
OTHER_SORT = 0.2  # of the absent things: shapes where there are people, or people where there are shapes
TRIES, ABSENT_TRIES = 12, 12  # for a phrase of a kind, and for one that fits nothing
QUALITIES = (70, 96)  # of JPEG
MOST_SCENES = 99_999  # their numbers have five digits
CHUNK = 100  # scenes that a process draws at once


@dataclass(frozen=True)
class Settings:
    """The settings on which the bytes of the files depend."""

    scenes: int
    seed: int
    recipe: int = RECIPE

    def names(self) -> Iterator[tuple[str, int]]:
        """Part and number of each scene."""
        for part, (*_, share) in PARTS.items():
            for number in range(max(1, round(self.scenes * share))):
                yield part, number


def synth_scenes(
    out: Path,
    *,
    scenes: int = 3000,
    seed: int = 42,
    jobs: int = 1,
    force: bool = False,
    dry_run: bool = False,
    on_scene: Tick = silent,
) -> int:
    """Write ``out/images/<part>/<number>.jpg``, ``out/refs.json``, and ``out/SCENES.json``.

    Every phrase describes exactly one thing of its scene, or surely none.

    Parameters
    ----------
    out : folder to write to.
    scenes : pictures for training; a tenth as many each for validation, for the test, and for the test of
        what training never shows.
    seed : random seed.
    jobs : number of processes.
    force : overwrite files of other settings.
    dry_run : check everything, but write nothing.
    on_scene : called with the number of scenes done, and their total.

    Returns
    -------
    The number of scenes.

    Raises
    ------
    UsageError : invalid settings; files of other settings or origin exist, without ``force``, or would remain
        beside the new ones.
    """
    if not 10 <= scenes <= MOST_SCENES or seed < 0:
        raise UsageError(
            f"{scenes} scenes, seed {seed}: 10 to {MOST_SCENES} scenes are needed, and a seed from 0"
        )
    settings = Settings(scenes, seed)
    wanted = [*settings.names()]
    is_done = _prepare(out, settings, {_path(out, *name) for name in wanted}, force, dry_run)
    if dry_run or is_done:
        return len(wanted)
    for part in PARTS:
        files.make_folder(out / IMAGES / part)
    chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
    refs: list[dict[str, Any]] = []
    with ended_with(out, f"{IMAGES}/*"):
        for done, found in enumerate(_drawn(out, settings, chunks, jobs), start=1):
            refs += found
            on_scene(min(done * CHUNK, len(wanted)), len(wanted), "")
    files.write_bytes(out / REFS, (json.dumps(refs) + "\n").encode())
    return len(wanted)


def _drawn(
    out: Path, settings: Settings, chunks: list[list[tuple[str, int]]], jobs: int
) -> Iterator[list[dict[str, Any]]]:
    if useful(jobs) == 1 or len(chunks) == 1:
        yield from (_write_scenes(out, settings, chunk) for chunk in chunks)
        return
    from joblib import Parallel, delayed

    work = (delayed(_write_scenes)(out, settings, chunk) for chunk in chunks)
    yield from Parallel(n_jobs=useful(jobs), return_as="generator")(work)


def _prepare(out: Path, settings: Settings, wanted: set[Path], force: bool, dry_run: bool) -> bool:
    """Check or, with ``force``, remove files of other settings; whether everything is there already."""
    about = {"made_by": "eavctl synth", "task": "grounding", "note": "Made up: no person was recorded."}
    content = (json.dumps({**about, "settings": asdict(settings)}, indent=2) + "\n").encode()
    mark, refs, images = out / MARK, out / REFS, out / IMAGES
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder with --out")
    for folder in (out, *(images / part for part in PARTS)):
        files.clear_leftovers(folder)
    existing = sorted(path for path in images.rglob("*") if path.is_file())
    if mark.exists() and mark.read_bytes() == content:
        return refs.exists() and wanted <= set(existing)
    if (existing or mark.exists() or refs.exists()) and not force:
        first = existing[0] if existing else refs if refs.exists() else mark
        raise UsageError(f"{first}: exists with other settings; use --force, or another --out")
    own = wanted if not mark.exists() else {*wanted, *(path for path in existing if _is_scene(path, images))}
    foreign = [path for path in existing if path not in own]
    if foreign:
        raise UsageError(
            f"{foreign[0]}: would remain beside files of other settings; remove it, or use another --out"
        )
    if dry_run:
        return False
    mark.unlink(missing_ok=True)  # first: without it, remaining files are not taken for whole
    refs.unlink(missing_ok=True)
    for path in existing:
        path.unlink()
    files.make_folder(out)
    files.write_bytes(mark, content)
    return False


def _path(out: Path, part: str, number: int) -> Path:
    return out / IMAGES / part / f"{number:05d}.jpg"


def _is_scene(path: Path, images: Path) -> bool:
    """Whether a file in the folder of pictures has the name of a scene."""
    part, name = path.parent.name, path.name
    return path.parent.parent == images and part in PARTS and re.fullmatch(r"\d{5}\.jpg", name) is not None


def _write_scenes(out: Path, settings: Settings, names: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Draw scenes and write their pictures; returns the entries of ``refs.json``."""
    refs = []
    for part, number in names:
        rng = np.random.default_rng([settings.seed, [*PARTS].index(part), number])
        drawn, phrases = _scene(rng, settings.seed, part)
        path = _path(out, part, number)
        quality = int(rng.integers(*QUALITIES))
        files.write_bytes(path, scene_pictures.jpeg_bytes(drawn.picture, quality))
        refs += [_entry(drawn, part, path, each, rng) for each in phrases]
    return refs


def _entry(
    drawn: Drawn, part: str, path: Path, asked: tuple[Phrase, int | None], rng: np.random.Generator
) -> dict[str, Any]:
    phrase, target = asked
    split, task, *_ = PARTS[part]
    mask = None if target is None else drawn.masks[target]
    return {
        "image": f"{part}/{path.name}",
        "phrase": scene_phrases.words(phrase, rng),
        "kind": NONE if target is None else phrase.kind,
        "split": split,
        "task": task,
        "bbox_xywh": None if mask is None else list(box_of(mask)),
        "segmentation": None if mask is None else run_lengths(mask),
    }


Asked = tuple[Phrase, int | None]  # a phrase, and the number of the thing that it describes, if there is one


def _scene(rng: np.random.Generator, seed: int, part: str) -> tuple[Drawn, list[Asked]]:
    """Draw a scene until there are phrases for it."""
    while True:
        drawn = _draw(rng, seed, part, has_shapes=rng.random() < SHAPES_SHARE)
        asked: list[Asked] = []
        kinds = [str(kind) for kind in rng.permutation(KINDS[:-1])]
        kinds.sort(key=lambda kind: kind != "attribute")  # first where there are people, as shapes have none
        for kind in [NONE] * int(rng.binomial(PHRASES, ABSENT)) + kinds:
            found = _ask(rng, seed, part, drawn, kind)
            if found and found[0] not in [phrase for phrase, _ in asked]:
                asked.append(found)
            if len(asked) == PHRASES:
                break
        if any(target is not None for _, target in asked):
            return drawn, asked


def _ask(rng: np.random.Generator, seed: int, part: str, drawn: Drawn, kind: str) -> Asked | None:
    """A phrase of a kind; in the part of what training never shows, one for just that."""
    if kind == NONE:
        for _ in range(ABSENT_TRIES):
            has_shapes = (rng.random() < OTHER_SORT) == drawn.scene.things[0].is_person
            other = _draw(rng, seed, part, has_shapes=has_shapes)
            absent = scene_phrases.draw_absent(drawn.scene, other.scene, rng, says_colour=not drawn.is_grey)
            if absent:
                return absent, None
        return None
    for _ in range(TRIES):
        target = 0 if part == "unseen" else int(rng.integers(len(drawn.scene.things)))
        phrase = scene_phrases.draw_phrase(kind, drawn.scene, target, rng, says_colour=not drawn.is_grey)
        if phrase and (part != "unseen" or _is_held_out(phrase)):
            return phrase, target
    return None


def _is_held_out(phrase: Phrase) -> bool:
    """Whether a phrase names a pair that training never shows."""
    return (phrase.colour, phrase.noun) in HELD_OUT_SHAPES or (
        phrase.noun,
        phrase.attribute,
    ) in HELD_OUT_PEOPLE


def _draw(rng: np.random.Generator, seed: int, part: str, *, has_shapes: bool) -> Drawn:
    """Draw a scene of shapes or people; its first thing is one that training never shows, in that part."""
    is_unseen = part == "unseen"
    while True:
        if has_shapes:
            pairs = [(colour, shape) for colour in COLOURS for shape in SHAPES]
            usual = [pair for pair in pairs if pair not in HELD_OUT_SHAPES]
            first = HELD_OUT_SHAPES[int(rng.integers(len(HELD_OUT_SHAPES)))] if is_unseen else None
            drawn = scene_pictures.draw_shapes(rng, usual, first)
        else:
            n, count = N_PEOPLE[int(rng.integers(len(N_PEOPLE)))], PARTS[part][2]
            chosen = [_person(seed, part, int(i)) for i in rng.choice(count, n, replace=False)]
            if is_unseen:
                chosen[0] = _person(seed, part, int(rng.integers(count)), is_held_out=True)
            drawn = scene_pictures.draw_people(rng, chosen)
        if drawn is not None:
            return drawn


@lru_cache(maxsize=1024)
def _person(seed: int, part: str, number: int, *, is_held_out: bool = False) -> Person:
    """One of the people of a part; of those whom training never shows, one with a held-out pair."""
    rng = np.random.default_rng([seed, 100 + [*PARTS].index(part), number, int(is_held_out)])
    if is_held_out:
        return draw_person(rng, always=HELD_OUT_PEOPLE[number % len(HELD_OUT_PEOPLE)])
    return draw_person(rng, frozenset(HELD_OUT_PEOPLE))
