"""Scenes for the tests: two coloured squares side by side, and a phrase for one of them or for neither."""

import numpy as np

from eavctl.grounding.examples import Examples

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 230)}
SIDES = ("left", "right")


def scenes(n, side=32, seed=0):
    """``n`` phrases, a sixth of which name a colour that is nowhere; four phrases a picture."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((n, side, side, 3), np.uint8)
    boxes, there, masks, phrases = (
        np.full((n, 4), np.nan),
        np.ones(n, bool),
        np.zeros((n, side, side), bool),
        [],
    )
    for first in range(0, n, 4):
        names = rng.permutation(list(COLOURS))
        picture = rng.integers(0, 60, (side, side, 3)).astype(np.uint8)
        places = [_place(rng, side, right) for right in (False, True)]
        for (x, y, size), name in zip(places, names, strict=False):
            picture[y : y + size, x : x + size] = COLOURS[name]
        for row in range(first, min(first + 4, n)):
            pictures[row] = picture
            target = int(rng.integers(2))
            kind = rng.integers(6)
            there[row] = kind > 0
            by_place = f"the {SIDES[target]} square"
            phrases.append(by_place if kind > 3 else f"the {names[target if there[row] else 2]} square")
            if there[row]:
                x, y, size = places[target]
                boxes[row] = np.array([x + size / 2, y + size / 2, size, size]) / side
                masks[row, y : y + size, x : x + size] = True
    return Examples(pictures, phrases, boxes, there, np.packbits(masks, axis=2), clips=np.arange(n) // 4)


def _place(rng, side, right):
    """Left, top and size of a square in the left or right half."""
    size = int(rng.integers(side // 5, side // 3))
    half = side // 2
    return int(rng.integers(0, half - size + 1)) + half * right, int(rng.integers(0, side - size + 1)), size
