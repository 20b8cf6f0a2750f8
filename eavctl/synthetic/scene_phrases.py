"""Phrases that describe one thing of a scene, or none, and what they mean: unambiguous by construction.

A phrase is a noun with conditions. Each condition says of a thing that it fits, that it does not, or, where
the answer is close, neither; a phrase is used only where one thing fits and all others do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

PEOPLE = ("woman", "man")
ANYBODY, ANYTHING = ("person", "face"), ("shape",)  # nouns for all people, and for all shapes
EXTREMES = ("largest", "smallest")  # sizes that compare
LENGTHS = ("long hair", "short hair")  # attributes that grey pictures show, unlike the colours of hair
SIDES = ("left", "right", "top", "bottom", "middle")
ENDS = {"leftmost": "left", "rightmost": "right"}
RELATIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
OUTER = 0.43  # share of the picture within which lies what is on a side
CLOSE = 0.09  # share of the picture's longer side: places nearer than this to each other are not told apart
MIDDLE = 0.12  # share within which the middle lies
TIMES = 1.35  # areas closer than this factor are not told apart
NONE, COMBINED = "none", "combined"  # kinds of phrases, besides those of one condition
KINDS = ("place", "colour", "size", "attribute", "relation", COMBINED, NONE)

Fit = bool | None  # whether a thing fits; None where it is close


@dataclass(frozen=True)
class Thing:
    """A shape or a head in a scene, by what phrases can say of it.

    Parameters
    ----------
    noun : such as ``circle`` or ``woman``.
    colour : of a shape, or of a person's clothes; "" where these cannot be seen.
    x, y : centre, as shares of the picture's longer side.
    area : of a shape's box, or of a square as wide as a face, whatever its hair; as a share of the picture.
    size : ``small`` or ``large`` of shapes, which have two sizes; "" of people.
    attributes : such as ``glasses``, ``blond hair``.
    """

    noun: str
    colour: str
    x: float
    y: float
    area: float
    size: str = ""
    attributes: frozenset[str] = frozenset()

    @property
    def is_person(self) -> bool:
        """Whether it is the head of a person."""
        return self.noun in PEOPLE


@dataclass(frozen=True)
class Scene:
    """The things of a picture, whose width and height are shares of the longer of the two."""

    things: tuple[Thing, ...]
    width: float
    height: float


@dataclass(frozen=True)
class Phrase:
    """A noun with conditions; those that are empty say nothing.

    Superlatives compare things of which all else is true. Of one that has no rival they are used only where
    it is foremost among all things: nobody calls the only circle, at the right, the leftmost one.

    Parameters
    ----------
    noun : of one thing, or of all people or shapes.
    colour, size, attribute : as `Thing` has them; `EXTREMES` are sizes too.
    place : of `SIDES`, ``leftmost``, ``rightmost``, or ``second left`` and ``second right``.
    relation, other : of `RELATIONS` or ``next to``, and the phrase for the thing it leads to.
    """

    noun: str
    colour: str = ""
    size: str = ""
    attribute: str = ""
    place: str = ""
    relation: str = ""
    other: Phrase | None = None

    @property
    def kind(self) -> str:
        """Of `KINDS`: the one condition, ``relation`` with any others, or ``combined`` of several."""
        if self.relation:
            return "relation"
        given = [name for name in ("colour", "size", "attribute", "place") if getattr(self, name)]
        return given[0] if len(given) == 1 else COMBINED

    def fits(self, scene: Scene) -> list[Fit]:
        """Of each thing whether the phrase describes it."""
        things = scene.things
        found = [
            _all(_is_called(self.noun, t), _has(self.colour, t.colour), self._is_sized(t)) for t in things
        ]
        if self.attribute:
            found = [_all(fit, self.attribute in t.attributes) for fit, t in zip(found, things, strict=True)]
        if self.relation:
            leads = self._leads(scene)
            found = [_all(fit, lead) for fit, lead in zip(found, leads, strict=True)]
        if self.size in EXTREMES:
            sign = 1 if self.size == "largest" else -1
            found = _superlative(found, [sign * float(np.log(t.area)) for t in things], float(np.log(TIMES)))
        return _placed(self.place, found, scene) if self.place else found

    def _is_sized(self, thing: Thing) -> Fit:
        return self.size in ("", *EXTREMES, thing.size)

    def _leads(self, scene: Scene) -> list[Fit]:
        """Of each thing whether it stands so to the other, which must be clear itself."""
        assert self.other is not None
        others = self.other.fits(scene)
        at = only(others)
        if at is None:
            return [False if fits_nothing(others) else None] * len(scene.things)
        mark = scene.things[at]
        if self.relation == "next to":
            return _neighbours(scene.things, at)
        across, down = RELATIONS[self.relation]
        aways = [across * (t.x - mark.x) + down * (t.y - mark.y) for t in scene.things]
        return [False if number == at else _beyond(away, CLOSE) for number, away in enumerate(aways)]


def only(fits: Sequence[Fit]) -> int | None:
    """The number of the one thing that fits, where all others do not."""
    may = [number for number, fit in enumerate(fits) if fit is not False]
    return may[0] if len(may) == 1 and fits[may[0]] else None


def fits_nothing(fits: Sequence[Fit]) -> bool:
    """Whether it is clear of every thing that it does not fit."""
    return all(fit is False for fit in fits)


def _all(*fits: Fit) -> Fit:
    if any(fit is False for fit in fits):
        return False
    return None if any(fit is None for fit in fits) else True


def _is_called(noun: str, thing: Thing) -> bool:
    return noun == thing.noun or noun in (ANYBODY if thing.is_person else ANYTHING)


def _has(wanted: str, own: str) -> Fit:
    return True if not wanted else None if not own else wanted == own


def _beyond(value: float, margin: float) -> Fit:
    """Whether a value is above 0; None within the margin."""
    return None if abs(value) < margin else value > 0


def _extreme(fits: Sequence[Fit], values: Sequence[float], margin: float) -> list[Fit]:
    """Of those that may fit, whether each has the highest value by a margin."""
    found: list[Fit] = []
    for number, fit in enumerate(fits):
        rivals = [v for i, v in enumerate(values) if i != number and fits[i] is not False]
        lead = _beyond(values[number] - max(rivals), margin) if rivals else True
        found.append(_all(fit, lead))
    return found


def _superlative(fits: Sequence[Fit], values: Sequence[float], margin: float) -> list[Fit]:
    """As `_extreme`; unclear of one thing without a rival that has not the highest value of all things."""
    if only(fits) is None:
        return _extreme(fits, values, margin)
    foremost = _extreme([True] * len(fits), values, margin)
    return [_all(fit, is_first or None) for fit, is_first in zip(fits, foremost, strict=True)]


def _neighbours(things: Sequence[Thing], at: int) -> list[Fit]:
    """Whether each thing is the nearest on one side of the one with the number ``at``."""
    order = sorted(range(len(things)), key=lambda number: things[number].x)
    place = order.index(at)
    beside = {order[i] for i in (place - 1, place + 1) if 0 <= i < len(order)}
    gaps = [things[b].x - things[a].x for a, b in itertools.pairwise(order)]
    is_clear = min(gaps, default=1.0) >= CLOSE
    return [number in beside if is_clear else None for number in range(len(things))]


def _placed(place: str, fits: Sequence[Fit], scene: Scene) -> list[Fit]:
    """Of those that may fit, whether each is at a place."""
    if place == "middle":
        return _in_the_middle(fits, scene)
    second, side = place.startswith("second "), ENDS.get(place, place.removeprefix("second "))
    along = [(t.x / scene.width if side in ("left", "right") else t.y / scene.height) for t in scene.things]
    if side in ("right", "bottom"):
        along = [1 - share for share in along]
    margin = CLOSE / (scene.width if side in ("left", "right") else scene.height)
    if second:
        first = _superlative(fits, [-share for share in along], margin)
        rest = [False if is_first else fit for fit, is_first in zip(fits, first, strict=True)]
        if only(first) is None:
            return [_all(fit, None) for fit in fits]
        return _extreme(rest, [-share for share in along], margin)
    if place in ENDS:
        return _superlative(fits, [-share for share in along], margin)
    found = _extreme(fits, [-share for share in along], margin)
    foremost = _extreme([True] * len(fits), [-share for share in along], margin)
    on_side = [_is_on_side(*each) for each in zip(along, foremost, strict=True)]
    return [_all(fit, is_there) for fit, is_there in zip(found, on_side, strict=True)]


def _is_on_side(share: float, is_foremost: Fit) -> Fit:
    """Whether a thing is on a side, at a share of the way across; unclear if all others are farther."""
    if share < OUTER:
        return True
    return False if share > 1 - OUTER and is_foremost is False else None


def _in_the_middle(fits: Sequence[Fit], scene: Scene) -> list[Fit]:
    """Whether each is near the middle, across; unclear where it is another than the middle one in order."""
    aways = [abs(t.x / scene.width - 0.5) for t in scene.things]
    nearest = _extreme(fits, [-away for away in aways], CLOSE)
    found = [_all(fit, _beyond(MIDDLE - away, 0.02)) for fit, away in zip(nearest, aways, strict=True)]
    row = sorted((n for n, fit in enumerate(fits) if fit is not False), key=lambda n: scene.things[n].x)
    if len(row) < 3 or len(row) % 2 == 0:
        return found
    median = row[len(row) // 2]
    return [fit if fit is (number == median) else None for number, fit in enumerate(found)]


# --- words --------------------------------------------------------------------------------------------------


# What is said before ("left *") or after ("* on the left") the noun, one of several ways by chance.
SIZES_SAID = {
    "small": ("small *", "little *"),
    "large": ("large *", "big *"),
    "largest": ("largest *", "biggest *"),
    "smallest": ("smallest *",),
}
DISTANCES_SAID = {"largest": ("closest *", "nearest *"), "smallest": ("farthest *",)}  # of people
ATTRIBUTES_SAID = {
    "glasses": ("* with glasses", "* wearing glasses"),
    "hat": ("* with a hat", "* wearing a hat"),
    "beard": ("* with a beard", "bearded *"),
    "blond hair": ("* with blond hair", "* with blonde hair"),
    "grey hair": ("* with grey hair", "* with gray hair"),
}
CLOTHES_SAID = ("* in {}", "* in {}", "* wearing {}")
SIDES_SAID = ("{} *", "* on the {}", "* on the {}", "* on the {} side", "* at {}")
HEIGHTS_SAID = ("{} *", "* at the {}", "* at the {}", "* at {}")
PLACES_SAID = {
    "left": SIDES_SAID,
    "right": SIDES_SAID,
    "top": HEIGHTS_SAID,
    "bottom": HEIGHTS_SAID,
    "middle": ("middle *", "* in the middle", "* in the middle", "* in the centre", "* in the center"),
    "second left": ("second * from the left", "* second from the left"),
    "second right": ("second * from the right", "* second from the right"),
}
RELATIONS_SAID = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside"),
}


def words(phrase: Phrase, rng: np.random.Generator) -> str:
    """Say a phrase, in one of several ways."""
    is_person = phrase.noun in (*PEOPLE, *ANYBODY)
    ways: list[Sequence[str]] = []  # of what stands next to the noun first
    if phrase.colour and is_person:
        known = CLOTHES_SAID[:1] if phrase.attribute else CLOTHES_SAID  # not "wearing red wearing a hat"
        ways.append([way.format(phrase.colour) for way in known])
    elif phrase.colour:
        ways.append([f"{phrase.colour} *"])
    if phrase.attribute:
        ways.append(ATTRIBUTES_SAID.get(phrase.attribute, [f"* with {phrase.attribute}"]))
    if phrase.size:
        ways.append(SIZES_SAID[phrase.size] + (DISTANCES_SAID.get(phrase.size, ()) if is_person else ()))
    if phrase.place:
        ways.append([way.format(phrase.place) for way in PLACES_SAID.get(phrase.place, ["{} *"])])
    said = phrase.noun
    for way in ways:
        said = str(rng.choice(way)).replace("*", said)
    if phrase.other:
        said += f" {rng.choice(RELATIONS_SAID[phrase.relation])} {words(phrase.other, rng)}"
    return f"the {said}" if rng.random() < 0.8 else said


# --- drawing phrases ----------------------------------------------------------------------------------------


def draw_phrase(
    kind: str, scene: Scene, target: int, rng: np.random.Generator, *, says_colour: bool = True
) -> Phrase | None:
    """Draw a phrase of a kind for one thing of a scene; None where that thing has none that is clear.

    Parameters
    ----------
    kind : of `KINDS`, but ``none``.
    target : number of the thing.
    says_colour : whether phrases may name colours, which grey pictures do not show.
    """
    thing = scene.things[target]
    general = ANYBODY if thing.is_person else ANYTHING
    own_noun = rng.random() < (0.6 if thing.is_person else 0.8)
    phrase = Phrase(thing.noun if own_noun else str(rng.choice(general)))
    for condition in _conditions(kind, thing, rng):
        phrase = _with(condition, phrase, scene, target, rng, says_colour)
    if phrase.place and phrase.size in EXTREMES:
        return None  # which of the two is to be found first is not clear
    is_clear = phrase.kind == kind and only(phrase.fits(scene)) == target
    return phrase if is_clear else None


def draw_absent(
    scene: Scene, other: Scene, rng: np.random.Generator, *, says_colour: bool = True
) -> Phrase | None:
    """Draw a phrase for a thing of another scene that surely fits nothing in this one; None without luck."""
    kind = str(rng.choice([kind for kind in KINDS if kind != NONE]))
    target = int(rng.integers(len(other.things)))
    phrase = draw_phrase(kind, other, target, rng, says_colour=says_colour)
    is_absent = phrase is not None and fits_nothing(phrase.fits(scene))
    return phrase if is_absent else None


def _conditions(kind: str, thing: Thing, rng: np.random.Generator) -> list[str]:
    if kind == COMBINED:
        names = ["colour", "attribute" if thing.is_person else "size", "place"]
        return [str(name) for name in rng.permutation(names)[: int(rng.integers(2, 4))]]
    if kind == "relation":
        return [*(["colour"] if rng.random() < 0.4 else []), "relation"]
    return [kind]


def _with(
    condition: str, phrase: Phrase, scene: Scene, target: int, rng: np.random.Generator, says_colour: bool
) -> Phrase:
    """The phrase with a condition that is true of the target, where it has such a thing to say."""
    thing = scene.things[target]
    if condition == "colour":
        return replace(phrase, colour=thing.colour) if says_colour else phrase
    if condition == "size":
        sizes = [*EXTREMES, *([thing.size] * 3 if thing.size else [])]
        return replace(phrase, size=str(rng.choice(sizes)))
    if condition == "attribute":
        known = [
            name
            for name in sorted(thing.attributes)
            if says_colour or name in LENGTHS or not name.endswith("hair")
        ]
        return replace(phrase, attribute=str(rng.choice(known))) if known else phrase
    if condition == "place":
        seconds = [f"second {side}" for side in ("left", "right")]
        ups = [] if thing.is_person else ["top", "bottom"] * 2
        return replace(
            phrase, place=str(rng.choice([*["left", "right", "middle", *ENDS] * 2, *ups, *seconds]))
        )
    return _related(phrase, scene, target, rng, says_colour)


def _related(
    phrase: Phrase, scene: Scene, target: int, rng: np.random.Generator, says_colour: bool
) -> Phrase:
    marks = [number for number in range(len(scene.things)) if number != target]
    if not marks:
        return phrase
    at = int(rng.choice(marks))
    kinds = ["colour", "attribute"] if scene.things[at].is_person else ["colour", "size"]
    other = Phrase(scene.things[at].noun)
    if rng.random() < 0.5:
        other = _with(str(rng.choice(kinds)), other, scene, at, rng, says_colour)
    is_person = scene.things[target].is_person
    known = ["left of", "right of", "next to"] if is_person else [*RELATIONS]
    return replace(phrase, relation=str(rng.choice(known)), other=other)
