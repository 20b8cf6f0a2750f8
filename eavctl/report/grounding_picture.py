"""Pictures of where a phrase is: its box and its mask, drawn on frames side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

COLOUR = (255, 0, 170)
SHARE = 0.4  # of the colour on the mask
PANEL_WIDTH = 480  # pixels at most, of each of several frames
PER_ROW = 3
MARGIN, TEXT = 6, 18  # pixels
PAPER, INK = (255, 255, 255), (20, 20, 20)


class Panel(NamedTuple):
    """A frame with what is to be drawn on it.

    Parameters
    ----------
    picture : uint8 RGB, shape (height, width, 3).
    mask : bool, shape (height, width).
    box : left, top, right and bottom in pixels; None draws neither box nor mask.
    label : written below.
    """

    picture: np.ndarray
    mask: np.ndarray
    box: Sequence[float] | None
    label: str


def png_bytes(panels: Sequence[Panel], title: str) -> bytes:
    """A PNG with a title and the panels: one in its own size, several scaled and in rows of three."""
    tiles = [_tile(each, is_single=len(panels) == 1) for each in panels]
    columns = min(len(tiles), PER_ROW)
    width, height = tiles[0].size
    rows = math.ceil(len(tiles) / columns)
    size = (MARGIN + columns * (width + MARGIN), MARGIN + 2 * TEXT + rows * (height + MARGIN))
    sheet = Image.new("RGB", size, PAPER)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN), title, fill=INK, font=ImageFont.load_default(TEXT))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (MARGIN + column * (width + MARGIN), 2 * TEXT + row * (height + MARGIN)))
    about = PngInfo()
    about.add_text("Software", "eavctl")
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", pnginfo=about)
    return buffer.getvalue()


def _tile(panel: Panel, *, is_single: bool) -> Image.Image:
    """A frame with box and mask, above its label."""
    height, width = panel.picture.shape[:2]
    values = panel.picture.astype(np.float32)
    if panel.box is not None:
        values[panel.mask] += SHARE * (np.array(COLOUR, np.float32) - values[panel.mask])
    image = Image.fromarray(values.astype(np.uint8))
    scale = 1.0 if is_single else min(PANEL_WIDTH / width, 1.0)
    image = image.resize((max(round(width * scale), 1), max(round(height * scale), 1)))
    if panel.box is not None:
        thick = max(2, round(max(image.size) / 200))
        ImageDraw.Draw(image).rectangle([edge * scale for edge in panel.box], outline=COLOUR, width=thick)
    tile = Image.new("RGB", (image.width, image.height + TEXT + MARGIN), PAPER)
    tile.paste(image)
    ImageDraw.Draw(tile).text((0, image.height), panel.label, fill=INK, font=ImageFont.load_default(TEXT - 4))
    return tile
