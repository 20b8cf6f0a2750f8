"""Synthetic faces of the EAV twin: a shaded head with moving brows, eyes and mouth.

The head is a surface, an ellipsoid with a nose, sockets, cheeks, lips and a chin, with Lambert shading from
one side, so that detectors trained on photographs find a face. It is drawn once per trial; for each pose only
the areas of the eyes and of the mouth are drawn again.

Coordinates are in half widths of the head from between the eyes: u to the picture's right, v down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 640, 480  # pixels
MARGIN, SWAY = 12, 5.0  # pixels drawn around the picture, so that it can move, and amplitude of the movement
BLINKS = 0.06  # share of poses
EDGE = 0.03  # width of soft edges
TOP, CHIN = -0.95, 1.32  # v of the head's ends
EYE_U, EYE_V, BROW_V, MOUTH_V = 0.4, 0.0, -0.27, 0.83
HEAD_AREA = (-1.35, 1.35, -1.42, 1.45)  # left, right, top, bottom
EYES_AREA, MOUTH_AREA = (-0.8, 0.8, -0.55, 0.22), (-0.62, 0.62, 0.55, 1.2)
DARK = (0.06, 0.04, 0.04)

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Looks:
    """The constants of a person; colours are RGB from 0 to 1.

    Parameters
    ----------
    size : half width of the head, pixels.
    long, eye_gap, eye_size, brow_weight, lip_weight, mouth_width : factors on the default geometry.
    fringe : shift of the hairline.
    """

    skin: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    wall: Colour
    size: float
    long: float
    eye_gap: float
    eye_size: float
    brow_weight: float
    lip_weight: float
    mouth_width: float
    fringe: float


@dataclass(frozen=True)
class Light:
    """Light and position in a trial: direction to the light, its strength, centre of the head in pixels."""

    direction: tuple[float, float, float]
    strength: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """The pose of a face.

    Parameters
    ----------
    smile : height of the mouth's corners, about -1 to 1.
    mouth : opening of the mouth, 0 closed to 1.
    brows : height of the brows, about -1 to 1.
    frown : lowering of the brows' inner ends, about -1 to 1.
    eyes : opening of the eyes, 0 closed, 1 normal.
    gaze : position of the irises, to the picture's right, about -1 to 1.
    """

    smile: float = 0.0
    mouth: float = 0.0
    brows: float = 0.0
    frown: float = 0.0
    eyes: float = 1.0
    gaze: float = 0.0


def draw_looks(rng: np.random.Generator) -> Looks:
    """Draw a person: colours and geometry."""
    tone = rng.uniform(0, 1)  # from dark to light skin
    skin = (0.55 + 0.35 * tone, 0.38 + 0.32 * tone, 0.29 + 0.29 * tone)
    grey = rng.uniform(0.06, 0.22)
    wall = rng.uniform(0.45, 0.75) + rng.uniform(-0.05, 0.05, 3)
    return Looks(
        skin=skin,
        hair=(grey * 1.25, grey * 0.95, grey * 0.75),
        iris=(rng.uniform(0.15, 0.35), rng.uniform(0.15, 0.3), rng.uniform(0.1, 0.3)),
        cloth=_colour(rng.uniform(0.1, 0.6, 3)),
        wall=_colour(wall),
        size=rng.uniform(74, 88),
        long=rng.uniform(0.95, 1.06),
        eye_gap=rng.uniform(0.94, 1.07),
        eye_size=rng.uniform(0.9, 1.12),
        brow_weight=rng.uniform(0.8, 1.4),
        lip_weight=rng.uniform(0.8, 1.3),
        mouth_width=rng.uniform(0.9, 1.12),
        fringe=rng.uniform(-0.1, 0.1),
    )


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light and the position of the head in a trial."""
    x, y = rng.uniform(-0.45, 0.45), rng.uniform(-0.6, -0.25)
    norm = float(np.sqrt(x * x + y * y + 1))
    centre = (WIDTH / 2 + rng.uniform(-20, 20), HEIGHT * 0.42 + rng.uniform(-10, 10))
    return Light((x / norm, y / norm, 1 / norm), rng.uniform(0.92, 1.08), centre)


class Portrait:
    """One person in one trial, ready to be drawn in any pose."""

    def __init__(self, looks: Looks, light: Light, rng: np.random.Generator) -> None:
        self.looks, self.light = looks, light
        rows = (np.arange(HEIGHT + 2 * MARGIN, dtype=np.float32) - MARGIN - light.centre[1]) / looks.size
        columns = (np.arange(WIDTH + 2 * MARGIN, dtype=np.float32) - MARGIN - light.centre[0]) / looks.size
        self._v, self._u = rows / looks.long, columns
        self._base = self._still(rng.standard_normal((len(rows), len(columns)), dtype=np.float32))
        self._bytes = _to_bytes(self._base)

    def draw(self, pose: Pose, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Draw a pose, shifted by at most `MARGIN` pixels to the right and down.

        Returns
        -------
        uint8, shape (480, 640, 3), RGB.
        """
        picture = self._bytes.copy()
        for area, paint in ((EYES_AREA, self._eyes), (MOUTH_AREA, self._mouth)):
            rows, columns = self._within(area)
            part = self._base[:, rows, columns].copy()
            paint(part, self._u[None, columns], self._v[rows, None], pose)
            picture[rows, columns] = _to_bytes(part)
        top, left = MARGIN - shift[1], MARGIN - shift[0]
        return picture[top : top + HEIGHT, left : left + WIDTH]

    def _within(self, area: tuple[float, float, float, float]) -> tuple[slice, slice]:
        left, right, top, bottom = area
        rows = np.searchsorted(self._v, (top, bottom))
        columns = np.searchsorted(self._u, (left, right))
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))

    def _still(self, noise: np.ndarray) -> np.ndarray:
        """The static part, float32 (3, height, width): wall, neck, clothes, head."""
        u, v = self._u[None, :], self._v[:, None]
        picture = np.empty((3, *noise.shape), np.float32)
        picture[:] = np.multiply(self.looks.wall, self.light.strength)[:, None, None]
        picture *= 1 - 0.05 * v + 0.03 * u
        self._body(picture, u, v)
        rows, columns = self._within(HEAD_AREA)
        self._head(picture[:, rows, columns], u[:, columns], v[rows], noise[rows, columns])
        picture += 0.008 * noise
        return picture

    def _head(self, part: np.ndarray, u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> None:
        """Paint hair, ears, the static part of the face, fringe and nostrils."""
        looks, radius = self.looks, head_radius(u, v)
        strands = 1 + 0.25 * np.sin(23 * u + 3 * np.sin(4 * v)) * np.sin(9 * u - 2 * v) + 0.1 * noise
        behind = _inside(1.14 - np.hypot(u, (v + 0.12) / 1.06)) * _inside(0.6 - v, 0.5)
        _blend(part, behind, looks.hair, strands)
        ears = np.hypot((np.abs(u) - 0.97) / 0.12, (v - 0.16) / 0.26)
        _blend(part, _inside(1 - ears, 0.2), looks.skin, 0.5 + 0.15 * ears)
        face = _inside((1 - radius) * 0.6)
        _blend(part, face, looks.skin, self._shade(u, v, radius) * (1 + 0.012 * noise))
        part[1:] *= 1 - 0.05 * face * _bump(np.abs(u) - 0.5, v - 0.42, 0.22, 0.2)  # red cheeks
        line = TOP + 0.42 + looks.fringe + 0.42 * u**2 + 0.03 * np.sin(13 * u)
        _blend(part, _inside(line - v, 0.08) * _inside((1.06 - radius) * 0.6), looks.hair, strands)
        nostrils = _bump(np.abs(u) - 0.115, v - 0.475, 0.045, 0.026)
        _blend(part, np.minimum(1.3 * nostrils, 0.85), _times(looks.skin, 0.28))

    def _body(self, picture: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
        """Paint the neck, darker in the shadow of the chin, and the shoulders."""
        looks = self.looks
        neck = _inside(0.56 + 0.12 * np.clip(v - 1.4, 0, 1) ** 2 - np.abs(u)) * _inside(v - 0.7)
        fall = 0.5 + 0.25 * np.clip((v - 1.25) / 0.6, 0, 1) - 0.18 * u**2 + 0.15 * self.light.direction[0] * u
        _blend(picture, neck, looks.skin, fall)
        shoulder = v - 1.62 - 0.25 * np.abs(u) ** 1.6 - 0.35 * np.exp(-((u / 0.45) ** 2))
        _blend(
            picture,
            _inside(shoulder * 0.7),
            looks.cloth,
            0.85 - 0.08 * np.abs(u) + 0.1 * np.sin(3 * u + 2 * v),
        )

    def _shade(self, u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
        """Brightness of the skin: Lambert shading, reduced in the sockets and below nose and lip."""
        height = _height(u, v, radius, self.looks)
        slope_v, slope_u = np.gradient(height, v[:, 0], u[0])
        x, y, z = self.light.direction
        lambert = (z - x * slope_u - y * slope_v) / np.sqrt(1 + slope_u**2 + slope_v**2)
        shade = 0.42 + 0.68 * self.light.strength * np.clip(lambert, 0, None)
        gap = EYE_U * self.looks.eye_gap
        sockets = _bump(np.abs(u) - gap, v + 0.06, 0.24, 0.13)
        shade = shade * (1 - 0.25 * sockets) * (1 - 0.28 * _bump(u, v - 0.52, 0.17, 0.045))
        return np.asarray(shade * (1 - 0.22 * _bump(u, v - 1.06, 0.2, 0.05)))

    def _eyes(self, part: np.ndarray, u: np.ndarray, v: np.ndarray, pose: Pose) -> None:
        """Paint brows and eyes, both sides at once, since everything but the gaze is symmetric."""
        looks = self.looks
        across = np.abs(u) - EYE_U * looks.eye_gap  # from the eye's centre outwards
        self._brows(part, across, v, pose)
        wide = 0.2 * looks.eye_size
        arch = np.clip(1 - (across / wide) ** 2, 0, None)
        opening = 0.098 * looks.eye_size * max(pose.eyes, 0.04)
        upper, lower = EYE_V - opening * arch**0.8, EYE_V + 0.035 + 0.02 * min(pose.eyes, 1) * arch
        lids = _inside(np.minimum(v - upper, lower - v)) * (arch > 0)
        _blend(part, lids, (0.86, 0.83, 0.81), 0.55 + 0.45 * np.clip((v - upper) / 0.08, 0, 1))
        sideways = across - np.sign(u) * 0.06 * pose.gaze
        far = np.hypot(sideways, v - EYE_V + 0.01)
        _blend(part, lids * _inside(0.092 * looks.eye_size - far), looks.iris, 0.75 + 2.5 * far)
        _blend(part, lids * _inside(0.042 - far), DARK)
        _blend(
            part,
            lids * 0.9 * _inside(0.016 - np.hypot(across - 0.025 * np.sign(u), v - EYE_V + 0.035)),
            (1, 1, 1),
        )
        lash = _bump(0 * across, v - upper, 1, 0.018) * (np.abs(across) < wide * 1.02)
        _blend(part, 0.9 * lash, DARK)
        _blend(part, 0.35 * _bump(across, v - upper + 0.055, wide * 0.8, 0.016), _times(looks.skin, 0.45))
        _blend(part, 0.3 * _bump(across, v - lower - 0.008, wide * 0.8, 0.014), _times(looks.skin, 0.4))

    def _brows(self, part: np.ndarray, across: np.ndarray, v: np.ndarray, pose: Pose) -> None:
        inner = np.clip(-across / 0.24, -1, 1)  # 1 at the inner end, -1 at the outer one
        middle = BROW_V - 0.085 * pose.brows + 0.055 * pose.frown * (inner + 0.5) + 0.05 * inner**2
        thick = 0.036 * self.looks.brow_weight * (1.15 + 0.35 * inner)
        brow = _inside(thick - np.abs(v - middle), 0.045) * _inside(0.27 - np.abs(across), 0.1)
        _blend(part, 0.85 * brow, _times(self.looks.hair, 0.8))

    def _mouth(self, part: np.ndarray, u: np.ndarray, v: np.ndarray, pose: Pose) -> None:
        looks = self.looks
        wide = 0.37 * looks.mouth_width * (1 + 0.12 * pose.smile) * (1 - 0.12 * pose.mouth)
        x = u / wide
        arch = np.clip(1 - x**2, 0, None)
        inside = np.abs(x) < 1.02
        middle = MOUTH_V - 0.11 * pose.smile * (x**2 - 0.35) + 0 * v
        gap = 0.13 * max(pose.mouth, 0) * arch
        above, below = middle - 0.35 * gap, middle + 0.65 * gap
        upper = above - 0.075 * looks.lip_weight * arch**0.7 * (1 - 0.18 * np.exp(-((x / 0.14) ** 2)))
        lower = below + 0.1 * looks.lip_weight * arch**0.6
        red = (min(looks.skin[0] * 0.82, 1), looks.skin[1] * 0.56, looks.skin[2] * 0.6)
        bright = float(self.light.strength)
        _blend(part, _inside(np.minimum(v - upper, above - v), 0.04) * inside, red, 0.78 * bright)
        lit = 0.88 + 0.16 * _bump(u, v - (below + lower) / 2, 0.18, 0.03)
        _blend(part, _inside(np.minimum(v - below, lower - v), 0.04) * inside, red, lit * bright)
        hole = _inside(np.minimum(v - above, below - v), 0.02) * inside
        _blend(part, hole, (0.16, 0.05, 0.05))
        teeth = hole * _inside(above + 0.05 - v, 0.02) * (np.abs(x) < 0.75)
        _blend(part, 0.85 * teeth, (0.85, 0.82, 0.78), bright)
        _blend(
            part,
            0.75 * _bump(0 * u, v - (above + below) / 2, 1, 0.016) * inside * (gap < 0.02),
            _times(red, 0.3),
        )
        corners = _bump(np.abs(x) - 1, v - middle, 0.1, 0.03)
        _blend(part, 0.5 * corners, _times(looks.skin, 0.35))
        fold = _bump(np.abs(u) - 0.36 - 0.2 * (v - 0.6), 0 * v, 0.022, 1) * _bump(0 * u, v - 0.68, 1, 0.12)
        _blend(part, (0.12 + 0.2 * max(pose.smile, 0)) * fold, _times(looks.skin, 0.45))


def film(
    looks: Looks, course: np.ndarray, n_poses: int, speaks: bool, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Draw one trial pose by pose; the expression varies around a constant mean.

    Parameters
    ----------
    looks : constants of the person.
    course : latent variables, shape (5,): smile, opening of the mouth, height of the brows, frown, opening
        of the eyes, in standard deviations.
    n_poses : number of poses.
    speaks : whether the mouth moves.
    rng : random generator.

    Yields
    ------
    uint8, shape (480, 640, 3), RGB.
    """
    portrait = Portrait(looks, draw_light(rng), rng)
    smile, mouth, brows, frown, eyes = course
    moments = np.arange(n_poses)
    vigour = 1 + 0.2 * np.sin(moments * rng.uniform(0.5, 1) + rng.uniform(0, 6))
    sway = SWAY * np.sin(np.outer(moments, rng.uniform(0.1, 0.4, 2)) + rng.uniform(0, 6, 2))
    for i, strength in enumerate(vigour):
        loose = rng.normal(0, 0.08, 4)
        syllable = 0.3 * abs(rng.normal()) if speaks else 0.0
        yield portrait.draw(
            Pose(
                smile=0.32 * smile * strength + loose[0],
                mouth=max(0.3 + 0.16 * mouth * strength + syllable, 0),
                brows=0.32 * brows * strength + loose[1],
                frown=0.32 * frown * strength + loose[2],
                eyes=0.05 if rng.random() < BLINKS else 0.95 + 0.14 * eyes * strength,
                gaze=float(np.clip(rng.normal(0, 0.3), -1, 1)),
            ),
            (round(sway[i, 0]), round(sway[i, 1])),
        )


def head_radius(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Distance from the centre of the head, 1 at its outline: an ellipse, narrower towards the chin."""
    middle, half = (TOP + CHIN) / 2, (CHIN - TOP) / 2
    down = np.clip((v - 0.3) / (CHIN - 0.3), 0, 1.5)
    return np.asarray(np.sqrt((u / (0.98 - 0.2 * down**1.5)) ** 2 + np.abs((v - middle) / half) ** 2.3))


def _height(u: np.ndarray, v: np.ndarray, radius: np.ndarray, looks: Looks) -> np.ndarray:
    """Height of the surface towards the viewer."""
    side, gap = np.abs(u), EYE_U * looks.eye_gap
    height = 0.85 * np.sqrt(np.clip(1.06 - radius**2, 0.02, None))
    bridge = np.clip((v + 0.12) / 0.5, 0, 1) * _inside(0.5 - v, 0.16)
    height += 0.26 * np.exp(-((u / (0.085 + 0.07 * bridge)) ** 2)) * bridge
    height += 0.09 * _bump(u, v - 0.4, 0.12, 0.1) + 0.07 * _bump(side - 0.15, v - 0.43, 0.07, 0.07)
    height -= 0.1 * _bump(side - gap, v, 0.24, 0.14)
    height += 0.06 * _bump(side - gap, v - 0.01, 0.15, 0.08) + 0.06 * _bump(side - gap, v + 0.26, 0.3, 0.08)
    height += 0.08 * _bump(side - 0.5, v - 0.4, 0.22, 0.2)
    height += 0.07 * _bump(u, v - MOUTH_V, 0.3, 0.14) + 0.08 * _bump(u, v - 1.18, 0.2, 0.11)
    return np.asarray(height - 0.03 * _bump(u, v - 0.64, 0.045, 0.09))


def _inside(distance: np.ndarray, edge: float = EDGE) -> np.ndarray:
    """Smooth step of the distance to an edge: 1 for positive, 0 for negative distances."""
    share = np.clip(distance / edge + 0.5, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _bump(x: np.ndarray, y: np.ndarray, wide: float, high: float) -> np.ndarray:
    """A Gaussian hill of height 1."""
    return np.asarray(np.exp(-0.5 * (x / wide) ** 2) * np.exp(-0.5 * (y / high) ** 2))


def _blend(picture: np.ndarray, share: np.ndarray, colour: Colour, shade: np.ndarray | float = 1.0) -> None:
    """Blend a colour, times a shade, into a picture (3, height, width) with the given shares, in place."""
    for channel, level in zip(picture, colour, strict=True):
        channel += share * (level * shade - channel)


def _times(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _colour(levels: np.ndarray) -> Colour:
    return (float(levels[0]), float(levels[1]), float(levels[2]))


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    """Convert from floats from 0 to 1, (3, height, width), to uint8 (height, width, 3)."""
    levels = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))
