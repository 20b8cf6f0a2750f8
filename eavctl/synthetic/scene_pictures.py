"""Pictures for grounding: scenes of shapes, and scenes of people, with the mask of each thing."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from eavctl.synthetic.people import Person
from eavctl.synthetic.scene_phrases import Scene, Thing

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
COLOURS = {
    "red": (214, 40, 40), "orange": (240, 140, 30), "yellow": (240, 214, 50), "green": (46, 160, 67),
    "blue": (40, 80, 210), "purple": (140, 60, 180), "pink": (240, 130, 180), "brown": (125, 80, 45),
    "black": (25, 25, 28), "white": (245, 245, 242),
}  # fmt: skip
LONGER, SHORTER = 176, (96, 132)  # pixels of a picture's sides
RADII = {"small": (0.065, 0.08), "large": (0.13, 0.165)}  # of a shape, as shares of the longer side
HEADS = (0.25, 0.7)  # heights of heads with hair, as shares of the picture's height
SPREAD = 1.9  # largest ratio of the heights of heads in one picture
MOST_TRIES = 60
DETAIL = 3  # times the size at which shapes are drawn
CLOTHED = 0.45  # of a head's height, below it, from which on clothes are seen
LEAST_SEEN = 0.85  # share of a thing that nothing may cover
DARKEST, BRIGHTEST = 60, 215  # grey levels of backgrounds
BARRED, BARS = 0.1, (0.03, 0.12)  # share of pictures with black bars, and widths of these, of the longer side
LEAST_CONTRAST = 25  # levels of 255, in one colour channel, between a shape and what is around it


@dataclass(frozen=True)
class Drawn:
    """A picture of a scene.

    Parameters
    ----------
    picture : uint8, shape (height, width, 3).
    scene : what phrases can say of it.
    masks : bool, shape (n_things, height, width).
    is_grey : the picture has no colours, so that phrases must not name any.
    """

    picture: np.ndarray
    scene: Scene
    masks: np.ndarray
    is_grey: bool = False


def draw_shapes(
    rng: np.random.Generator, pairs: Sequence[tuple[str, str]], first: tuple[str, str] | None
) -> Drawn | None:
    """Draw a scene of 2 to 5 shapes that do not touch; None where they find no room, or one is not seen.

    Parameters
    ----------
    pairs : the colours and shapes to draw from.
    first : of the first shape; None draws it too.
    """
    width, height = _size(rng)
    canvas = Image.fromarray(_background(rng, width, height))
    chosen = [pairs[int(rng.integers(len(pairs)))] for _ in range(int(rng.integers(2, 6)))]
    chosen[0] = first or chosen[0]
    placed: list[tuple[float, float, float]] = []
    sizes, masks = [], []
    for colour, noun in chosen:
        size = str(rng.choice([*RADII]))
        radius = rng.uniform(*RADII[size]) * LONGER
        room = _room(rng, width, height, radius, placed)
        if room is None:
            return None
        placed.append((*room, radius))
        sizes.append(size)
        drawn = Image.new("L", (width * DETAIL, height * DETAIL))
        ImageDraw.Draw(drawn).polygon(_outline(noun, room, radius, rng), fill=255)
        shape = drawn.reduce(DETAIL)
        canvas.paste(_near(COLOURS[colour], rng), mask=shape)
        masks.append(np.asarray(shape) > 127)
    canvas, barred = _barred(canvas, np.array(masks), rng)
    picture, is_grey = _photographed(canvas, rng)
    if not all(_stands_out(picture, mask, barred) for mask in barred):
        return None
    things = [
        _thing(noun, colour, mask, size=size)
        for (colour, noun), mask, size in zip(chosen, barred, sizes, strict=True)
    ]
    return Drawn(picture, _scene(things, canvas), barred, is_grey)


def draw_people(rng: np.random.Generator, people: Sequence[Person]) -> Drawn | None:
    """Draw people side by side, in one room or in panels; None where heads cover each other too much."""
    width, height = _size(rng)
    n = len(people)
    has_panels = n > 1 and rng.random() < 0.4
    canvas = Image.fromarray(_background(rng, width, height))
    slots = rng.dirichlet(np.full(n, 12.0)) * width
    lefts = np.concatenate([[0], np.cumsum(slots)])
    top_height = rng.uniform(*HEADS)
    scales = []
    for number, person in enumerate(people):
        own = np.asarray(person.head.any(axis=1)).sum()
        tall = max(top_height / rng.uniform(1, SPREAD), HEADS[0]) * height
        scale = min(tall / own, 1.15 * slots[number] / person.head.any(axis=0).sum())
        if scale * own < HEADS[0] * height * 0.8:
            return None
        scales.append(scale)
    masks = np.zeros((n, height, width), bool)
    for number in np.argsort(scales):  # the nearer ones are before the others
        panel = (int(lefts[number]), int(lefts[number + 1])) if has_panels else (0, width)
        if has_panels:
            canvas.paste(Image.fromarray(_background(rng, panel[1] - panel[0], height)), (panel[0], 0))
        middle = (lefts[number] + lefts[number + 1]) / 2 + rng.normal(0, 0.05) * slots[number]
        _paste(canvas, masks, number, people[number], scales[number], middle, panel, rng)
    whole = [_whole(person, scale) for person, scale in zip(people, scales, strict=True)]
    if any(mask.sum() < LEAST_SEEN * size for mask, size in zip(masks, whole, strict=True)):
        return None
    clothes = [_shown_clothes(person, mask) for person, mask in zip(people, masks, strict=True)]
    canvas, masks = _barred(canvas, masks, rng)
    things = [
        _thing(p.noun, colour, mask, face=p.face * scale, attributes=p.attributes)
        for p, colour, mask, scale in zip(people, clothes, masks, scales, strict=True)
    ]
    picture, is_grey = _photographed(canvas, rng)
    return Drawn(picture, _scene(things, canvas), masks, is_grey)


def _shown_clothes(person: Person, mask: np.ndarray) -> str:
    """The colour of the clothes, where the picture goes on far enough below the head to show them."""
    _, top, _, tall = box_of(mask)
    return person.clothes if len(mask) - top - tall > CLOTHED * tall else ""


def _whole(person: Person, scale: float) -> float:
    """Pixels of a head that nothing covers."""
    return float(person.head.sum() * scale**2)


def _paste(
    canvas: Image.Image, masks: np.ndarray, number: int, person: Person, scale: float, middle: float,
    panel: tuple[int, int], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Paste a person into the picture, before those that are there already."""
    height, width = person.head.shape
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    figure = Image.fromarray(person.picture).resize(
        size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR
    )
    head = (
        np.asarray(Image.fromarray(person.head.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
        > 127
    )
    rows = np.flatnonzero(head.any(axis=1))
    lowest = canvas.height - rows[-1] - 2
    top = int(rng.uniform(min(-rows[0] + 2, lowest), lowest))
    left = round(middle - size[0] / 2)
    layer = Image.new("RGBA", canvas.size)
    layer.paste(figure, (left, top))
    alpha = np.asarray(layer)[..., 3].copy()
    alpha[:, : panel[0]] = alpha[:, panel[1] :] = 0
    below = top + size[1]  # the body goes on below what was cut out
    if below < canvas.height and rng.random() < 0.8:
        bottom = np.asarray(figure)[-1]
        body = np.repeat(bottom[None], canvas.height - below, axis=0)
        layer.paste(Image.fromarray(body), (left, below))
        alpha = np.asarray(layer)[..., 3].copy()
        alpha[:, : panel[0]] = alpha[:, panel[1] :] = 0
    canvas.paste(layer.convert("RGB"), mask=Image.fromarray(alpha))
    masks &= alpha < 128
    shown = Image.new("L", canvas.size)
    shown.paste(Image.fromarray(head.astype(np.uint8) * 255), (left, top))
    masks[number] = (np.asarray(shown) > 127) & (alpha >= 128)


def _scene(things: Sequence[Thing], picture: Image.Image) -> Scene:
    longer = max(picture.size)
    return Scene(tuple(things), picture.width / longer, picture.height / longer)


def _thing(
    noun: str, colour: str, mask: np.ndarray, *, size: str = "", face: float = 0.0,
    attributes: frozenset[str] = frozenset(),
) -> Thing:  # fmt: skip
    """What phrases can say of a thing, with the width of its face in pixels, if it is a person."""
    height, width = mask.shape
    left, top, wide, tall = box_of(mask)
    longer = max(width, height)
    x, y = (left + wide / 2) / longer, (top + tall / 2) / longer
    area = face**2 if face else max(wide * tall, 1)
    return Thing(noun, colour, x, y, area / (width * height), size, attributes)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width and height of a mask's hull in pixels; zeros where it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height, mostly lying, sometimes standing or square."""
    shorter = int(rng.integers(*SHORTER))
    kind = rng.random()
    if kind < 0.75:
        return LONGER, shorter
    return (shorter, LONGER) if kind < 0.85 else (LONGER * 3 // 4, LONGER * 3 // 4)


def _room(
    rng: np.random.Generator,
    width: int,
    height: int,
    radius: float,
    placed: Sequence[tuple[float, float, float]],
) -> tuple[float, float] | None:
    """A place for a circle that touches no other, if one is found."""
    for _ in range(MOST_TRIES):
        x, y = rng.uniform(radius + 1, width - radius - 1), rng.uniform(radius + 1, height - radius - 1)
        if all(math.hypot(x - a, y - b) > 1.15 * (radius + r) for a, b, r in placed):
            return x, y
    return None


def _outline(
    noun: str, centre: tuple[float, float], radius: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Corners of a shape within a circle, slightly turned, at `DETAIL` times the size."""
    x, y, radius = DETAIL * centre[0], DETAIL * centre[1], DETAIL * radius
    turn = rng.normal(0, 0.08)
    if noun == "circle":
        polar = [(radius * 0.95, 2 * math.pi * i / 48) for i in range(48)]
    elif noun == "square":
        polar = [(radius, math.pi / 4 + math.pi / 2 * i) for i in range(4)]
    elif noun == "diamond":
        polar = [(radius * (1 if i % 2 else 0.62), math.pi / 2 * i) for i in range(4)]
    elif noun == "triangle":
        polar = [(radius, -math.pi / 2 + 2 * math.pi / 3 * i) for i in range(3)]
    elif noun == "star":
        polar = [(radius * (1 if i % 2 == 0 else 0.42), -math.pi / 2 + math.pi / 5 * i) for i in range(10)]
    else:
        arm, inner = math.atan2(1, 3), math.hypot(1 / 3, 1 / 3)
        one = [(1.0, -arm), (1.0, arm), (inner, math.pi / 4)]
        polar = [(radius * r, angle + math.pi / 2 * i) for i in range(4) for r, angle in one]
    return [(x + r * math.cos(a + turn), y + r * math.sin(a + turn)) for r, a in polar]


def _near(colour: tuple[int, int, int], rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, 8, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Pale or dark grey with a tint: plain, a gradient, soft clouds, or stripes; uint8 (height, width, 3)."""
    base = rng.uniform(DARKEST, BRIGHTEST) + rng.normal(0, 9, 3)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    kind = int(rng.integers(4))
    along = x * math.cos(turn := rng.uniform(0, 2 * math.pi)) + y * math.sin(turn)
    if kind == 0:
        pattern = np.zeros((height, width))
    elif kind == 1:
        pattern = rng.uniform(20, 60) * (along - along.mean())
    elif kind == 2:
        rough = rng.normal(0, 18, (5, 6)).astype(np.float32)
        pattern = np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))
    else:
        pattern = rng.uniform(4, 14) * np.sign(np.sin(2 * math.pi * rng.uniform(4, 14) * along))
    return np.clip(base + pattern[..., None], 0, 255).astype(np.uint8)


def _barred(
    image: Image.Image, masks: np.ndarray, rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    """Put black bars at the sides, or above and below, of some pictures and their masks."""
    if rng.random() >= BARRED:
        return image, masks
    wide, is_lying = round(rng.uniform(*BARS) * LONGER), rng.random() < 0.5
    across, down = (0, wide) if is_lying else (wide, 0)
    return ImageOps.expand(image, (across, down)), np.pad(masks, ((0, 0), (down, down), (across, across)))


def _stands_out(picture: np.ndarray, mask: np.ndarray, masks: np.ndarray) -> bool:
    """Whether a thing can be told from the background of its rows."""
    _, top, _, tall = box_of(mask)
    around = np.asarray(~masks.any(axis=0))
    around[:top] = around[top + tall :] = False
    apart = picture[mask].mean(axis=0) - picture[around].mean(axis=0)
    return bool(np.abs(apart).max() >= LEAST_CONTRAST)


def _photographed(image: Image.Image, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """The picture with brightness, contrast, tint, blur and noise by chance, or without colours."""
    image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.7, 1.2)))
    image = ImageEnhance.Contrast(image).enhance(float(rng.uniform(0.7, 1.2)))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.1))))
    is_grey = bool(rng.random() < 0.08)
    values = np.asarray(image.convert("L").convert("RGB") if is_grey else image)
    tint = 1 if is_grey else rng.uniform(0.9, 1.1, 3)
    noisy = values * tint + rng.normal(0, rng.uniform(0, 7), values.shape[:2])[..., None]
    return np.clip(noisy, 0, 255).astype(np.uint8), is_grey


def jpeg_bytes(picture: np.ndarray, quality: int) -> bytes:
    """A picture, uint8 (height, width, 3), as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()
