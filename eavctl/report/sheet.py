"""Pictures drawn by matplotlib, one below the other under a title, as one PNG."""

from __future__ import annotations

import contextlib
import io
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"  # included in matplotlib, so that the picture is the same on every machine
STYLE = {
    "font.family": FONT,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.titlesize": 12,
}
WIDTH, TITLE_HEIGHT = 9.0, 0.65  # inches
LEFT, RIGHT, BAR = 0.08, 0.905, 0.915  # shares of the width: sides of the panels, and of colour bars
DPI = 130
TITLE_LENGTH = 70  # characters per line
UNDRAWABLE = "\N{REPLACEMENT CHARACTER}"
# The report's blue, and colours that readers with any kind of colour blindness tell apart from it and from
# each other (Okabe, Ito: Color universal design, 2008).
BLUE, ORANGE, SKY = "#1f4e79", "#e69f00", "#56b4e9"


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """In the block, figures have the same style everywhere, not the user's."""
    from matplotlib import style

    with style.context(["default", STYLE]):
        yield


def png(figures: Sequence[Figure], title: Sequence[str]) -> bytes:
    """The figures, one below the other, as PNG; call it within `drawing`.

    Parameters
    ----------
    figures : each `WIDTH` inches wide.
    title : lines above them; those without text are left out.
    """
    from matplotlib.figure import Figure

    head = Figure(figsize=(WIDTH, TITLE_HEIGHT))
    lines = "\n".join(_line(line) for line in title if line)
    head.suptitle(lines, y=0.5, verticalalignment="center", parse_math=False)
    about = PngInfo()
    about.add_text("Software", "eavctl")
    buffer = io.BytesIO()
    sheet = np.concatenate([_pixels(figure) for figure in (head, *figures)])
    Image.fromarray(sheet).save(buffer, format="PNG", pnginfo=about)
    return buffer.getvalue()


def _pixels(figure: Figure) -> np.ndarray:
    """A figure as uint8, shape (height, width, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=DPI)
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, round(WIDTH * DPI), 4)[:, :, :3]


def _line(text: str) -> str:
    """A text as one line of the title: characters that the font lacks are replaced, a long middle is cut."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(FONT))
    drawable = "".join(
        each if unicodedata.category(each)[0] != "C" and font.get_char_index(ord(each)) else UNDRAWABLE
        for each in unicodedata.normalize("NFC", text)
    )
    if len(drawable) <= TITLE_LENGTH:
        return drawable
    half = TITLE_LENGTH // 2
    return f"{drawable[:half]}\N{HORIZONTAL ELLIPSIS}{drawable[-half:]}"
