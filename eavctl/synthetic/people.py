"""Made-up people for scenes: the twin's faces with hair, hats, glasses and beards, cut out of pictures.

In these pictures a woman is a person with long hair and a man one with short hair: the words need something
to mean, and this says nothing about anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from eavctl.synthetic.twin_face import (
    EYE_U,
    HEIGHT,
    WIDTH,
    Colour,
    Light,
    Looks,
    Portrait,
    Pose,
    draw_light,
    draw_looks,
    head_radius,
)

HAIR: dict[str, Colour] = {
    "dark": (0.16, 0.11, 0.09),
    "blond": (0.86, 0.70, 0.38),
    "red": (0.62, 0.24, 0.10),
    "grey": (0.68, 0.68, 0.70),
}
CLOTHES: dict[str, Colour] = {
    "red": (0.78, 0.12, 0.12),
    "green": (0.14, 0.55, 0.20),
    "blue": (0.13, 0.25, 0.75),
    "yellow": (0.90, 0.78, 0.15),
    "black": (0.08, 0.08, 0.09),
    "white": (0.92, 0.92, 0.90),
}
HATS: tuple[Colour, ...] = ((0.15, 0.15, 0.2), (0.5, 0.1, 0.15), (0.1, 0.3, 0.25), (0.75, 0.68, 0.5))
LENGTHS = {"woman": "long hair", "man": "short hair"}
CHANCES = {"glasses": 0.35, "hat": 0.3, "beard": 0.3}
BEARDED = "man"
Pairs = frozenset[tuple[str, str]]  # of nouns and attributes
WALLS = (0.2, 0.8)  # grey levels before which a person is drawn twice: what is alike in both is the person
CUT = (-1.8, 1.8, -1.7, 2.2)  # left, right, top, bottom of a cut-out, in half widths of the head
REDUCED = 2  # pixels of a portrait, across and down, that become one of a cut-out
SOFT = 0.05  # width of edges, in half widths of the head
BLACK = (0.05, 0.05, 0.06)


@dataclass(frozen=True)
class Person:
    """A person who can be pasted into a scene.

    Parameters
    ----------
    noun : ``woman`` or ``man``.
    attributes : of `CHANCES`, and the hair: its colour, such as ``dark hair``, and its length.
    clothes : name of a colour, of `CLOTHES`.
    picture : uint8 RGBA, shape (height, width, 4), head and shoulders.
    head : bool, shape (height, width), the head with hair and hat.
    face : width of the face in ``picture``, without hair and hat, in pixels.
    """

    noun: str
    attributes: frozenset[str]
    clothes: str
    picture: np.ndarray
    head: np.ndarray
    face: float


def draw_person(
    rng: np.random.Generator,
    never: Pairs = frozenset(),
    always: tuple[str, str] | None = None,
) -> Person:
    """Draw a person by chance.

    Parameters
    ----------
    never : nouns and attributes that nobody has together.
    always : noun and attribute that the person has.
    """
    noun = always[0] if always else str(rng.choice(["woman", "man"]))
    hair = str(rng.choice([name for name in HAIR if (noun, f"{name} hair") not in never]))
    drawn = {name for name, chance in CHANCES.items() if rng.random() < chance}
    if always and always[1] in CHANCES:
        drawn.add(always[1])
    elif always:
        hair = always[1].removesuffix(" hair")
    fitting = {name for name in drawn if (noun, name) not in never and (name != "beard" or noun == BEARDED)}
    attributes = frozenset({*fitting, f"{hair} hair", LENGTHS[noun]})
    clothes = str(rng.choice([*CLOTHES]))
    looks = replace(draw_looks(rng), hair=_near(HAIR[hair], rng), cloth=_near(CLOTHES[clothes], rng))
    portrayed = _portrayed(looks, draw_light(rng), _pose(rng), int(rng.integers(2**32)))
    hat = HATS[int(rng.integers(len(HATS)))]
    if noun == "woman":
        _long_hair(portrayed, looks.hair)
    paints: dict[str, Callable[[_Portrayed], None]] = {
        "beard": lambda person: _beard(person, looks.hair),
        "glasses": lambda person: _glasses(person, looks.eye_gap),
        "hat": lambda person: _hat(person, hat),
    }
    for name, paint in paints.items():
        if name in attributes:
            paint(portrayed)
    picture = np.clip(portrayed.picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return Person(noun, attributes, clothes, picture, portrayed.head > 0.5, 2 * looks.size / REDUCED)


class _Portrayed(NamedTuple):
    """A portrait without a wall, cut to `CUT`.

    Parameters
    ----------
    picture : float RGBA from 0 to 1, shape (height, width, 4).
    head : share of each pixel that is the head's, shape (height, width).
    u, v : coordinates, see `eavctl.synthetic.twin_face`, shape (width,) and (height, 1).
    """

    picture: np.ndarray
    head: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def paint(self, share: np.ndarray, colour: Colour, shade: np.ndarray | float = 1.0) -> None:
        """Paint a share of each pixel, which becomes a part of the head."""
        goal = np.dstack([np.broadcast_to(level * shade, share.shape) for level in colour])
        self.picture[..., :3] += share[..., None] * (goal - self.picture[..., :3])
        for part in (self.picture[..., 3], self.head):
            np.maximum(part, share, out=part)


def _portrayed(looks: Looks, light: Light, pose: Pose, seed: int) -> _Portrayed:
    """Draw a portrait before two walls: where these differ, they shine through."""
    u = (np.arange(WIDTH, dtype=np.float32) - light.centre[0]) / looks.size
    v = (np.arange(HEIGHT, dtype=np.float32) - light.centre[1]) / looks.size / looks.long
    left, right, top, bottom = CUT
    (rows, v), (columns, u) = _cut(v, top, bottom), _cut(u, left, right)
    v = v[:, None]
    drawn = []
    for level in WALLS:
        before = replace(looks, wall=(level,) * 3)
        portrait = Portrait(before, light, np.random.default_rng(seed)).draw(pose)[rows, columns]
        small = Image.fromarray(np.ascontiguousarray(portrait)).reduce(REDUCED)
        drawn.append(np.asarray(small) / np.float32(255))
    dark, bright = drawn
    fall = light.strength * (1 - 0.05 * v + 0.03 * u)
    wall = 1 - np.clip((bright - dark).mean(axis=2) / ((WALLS[1] - WALLS[0]) * fall), 0, 1)
    alpha = np.clip(wall * 1.1 - 0.05, 0, 1)
    seen = np.maximum(alpha, 0.02)[..., None]
    colours = np.clip((dark - (1 - alpha[..., None]) * WALLS[0] * fall[..., None]) / seen, 0, 1)
    crown = _step(1.14 - np.hypot(u, (v + 0.12) / 1.06)) * _step(0.6 - v)
    ears = _step(1 - np.hypot((np.abs(u) - 0.97) / 0.12, (v - 0.16) / 0.26), 0.2)
    head = np.maximum(np.maximum(_step(1 - head_radius(u, v)), ears), crown)
    return _Portrayed(np.dstack([colours, alpha]), head, u, v)


def _cut(along: np.ndarray, first: float, last: float) -> tuple[slice, np.ndarray]:
    """The pixels between two coordinates, and the coordinates of those that they are reduced to."""
    start, stop = np.searchsorted(along, (first, last))
    stop -= (stop - start) % REDUCED
    return slice(int(start), int(stop)), along[start:stop].reshape(-1, REDUCED).mean(axis=1)


def _pose(rng: np.random.Generator) -> Pose:
    smile, brows, frown, gaze = rng.normal(0, (0.6, 0.5, 0.5, 0.3))
    return Pose(
        smile,
        max(rng.normal(0.2, 0.3), 0.0),
        brows,
        frown,
        rng.uniform(0.7, 1.2),
        float(np.clip(gaze, -1, 1)),
    )


def _long_hair(person: _Portrayed, colour: Colour) -> None:
    """Hair that falls beside the face to the shoulders."""
    u, v = person.u, person.v
    side = np.abs(u)
    outer = 1.2 + 0.12 * np.clip(v, 0, 2)
    falls = (
        _step(outer - side)
        * _step(side - 0.72 - 0.1 * np.clip(1.2 - v, 0, 1))
        * _step(1.75 - v, 0.3)
        * _step(v + 0.35, 0.4)
    )
    before = falls * (1 - _step(0.97 - head_radius(u, v)))
    person.paint(before, colour, 0.85 + 0.2 * np.sin(26 * u + 2 * np.sin(3 * v)))


def _beard(person: _Portrayed, colour: Colour) -> None:
    """A full beard around the mouth."""
    u, v = person.u, person.v
    grown = _step(1.04 - head_radius(u, v)) * _step(v - 0.62 - 0.25 * (1 - np.abs(u)), 0.15)
    mouth = _step(1 - np.hypot(u / 0.34, (v - 0.84) / 0.1), 0.3)
    person.paint(0.9 * grown * (1 - mouth), colour, 0.75 + 0.15 * np.sin(31 * u + 17 * v))


def _glasses(person: _Portrayed, eye_gap: float) -> None:
    """Two rims, a bridge and the temples."""
    u, v = person.u, person.v
    across = np.abs(u) - EYE_U * eye_gap
    rim = _step(0.05 - np.abs(np.hypot(across / 1.08, v + 0.01) - 0.285))
    bridge = _step(0.045 - np.abs(v + 0.05)) * _step(EYE_U * eye_gap - 0.27 - np.abs(u))
    temples = (
        _step(0.045 - np.abs(v + 0.08)) * _step(np.abs(u) - EYE_U * eye_gap - 0.28) * _step(1.0 - np.abs(u))
    )
    person.paint(np.maximum(np.maximum(rim, bridge), temples), BLACK)


def _hat(person: _Portrayed, colour: Colour) -> None:
    """A crown and a brim over the forehead."""
    u, v = person.u, person.v
    crown = _step(-0.55 - v) * _step(1 - np.abs(u / 1.02) ** 3 - (np.clip(-0.55 - v, 0, 2) / 1.02) ** 3, 0.1)
    brim = _step(0.1 - np.abs(v + 0.55 - 0.12 * u**2)) * _step(1.5 - np.abs(u))
    person.paint(np.maximum(crown, brim), colour, 0.85 - 0.15 * u + 0.1 * v)


def _near(colour: Colour, rng: np.random.Generator) -> Colour:
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, 0.025, 3), 0.02, 0.98)
    return float(red), float(green), float(blue)


def _step(distance: np.ndarray, edge: float = SOFT) -> np.ndarray:
    """1 well inside of an edge, 0 well outside, linear between."""
    return np.asarray(np.clip(distance / edge + 0.5, 0, 1))
